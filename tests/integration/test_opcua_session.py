"""What an OPC UA source does with a real server: what is watched, what is lost, who is trusted."""

import asyncio
import datetime
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asyncua.client.ua_client import UASocketProtocol
from asyncua.server.history import HistoryDict, HistoryStorageInterface

from edge_agent.key_files import keys_folder
from edge_agent.keys import ensure_keys
from edge_agent.settings_opcua import OpcuaSettings
from edge_agent.sources.opcua_browse import Bounds, survey
from edge_agent.sources.opcua_link import OpcuaLink
from simulators.loopback import free_port
from simulators.opcua.history import RecentHistory
from tests.integration.edge_fixtures import NAMESPACE, Cable, OpcuaPeer
from tests.integration.opcua_reading import Reading, reading, until

N_NODES = 4


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """State folder of the agent, whose certificate the servers trust."""
    keys, _ = ensure_keys(tmp_path / "state")
    (tmp_path / "clients").mkdir()
    (tmp_path / "trusted").mkdir()
    shutil.copy(keys.certificate_path, tmp_path / "clients")
    return tmp_path / "state"


class Press:
    """Makes servers that trust us, one after the other at the same address."""

    def __init__(self, tmp_path: Path) -> None:
        self._tmp_path = tmp_path
        self.port = free_port()
        self._running: list[OpcuaPeer] = []

    def start(self, **options: Any) -> OpcuaPeer:  # noqa: ANN401 - of the peer
        folder = self._tmp_path / "server"
        peer = OpcuaPeer(folder, N_NODES, self._tmp_path / "clients", self.port, **options)
        peer.start()
        shutil.copy(peer.certificate, self._tmp_path / "trusted")
        self._running.append(peer)
        return peer

    def stop(self) -> None:
        while self._running:
            self._running.pop().stop()


@pytest.fixture
def press(tmp_path: Path, state: Path) -> Iterator[Press]:
    press = Press(tmp_path)
    yield press
    press.stop()


def settings_of(
    tmp_path: Path,
    peer: OpcuaPeer,
    nodes: dict[int, dict[str, object]] | None = None,
    **server: object,
) -> OpcuaSettings:
    """Settings that read these nodes, each with further keys."""
    chosen = {number: {} for number in range(N_NODES)} if nodes is None else nodes
    return OpcuaSettings.model_validate({
        "name": "hall-1",
        "endpoint": peer.endpoint,
        "trusted_servers_dir": tmp_path / "trusted",
        "publishing_interval_ms": 50.0,
        **server,
        "nodes": [
            {
                "namespace_uri": NAMESPACE,
                "node_id": f"s={'.'.join(peer.signal(number))}",
                "machine": peer.signal(number)[0],
                "signal": "vibration_mm_s",
                "unit": "mm/s",
                **more,
            }
            for number, more in chosen.items()
        ],
    })


async def until_all_kept(it: Reading, peer: OpcuaPeer, timeout_s: float = 30.0) -> None:
    expected = peer.said.distinct()
    try:
        await until(
            "everything is kept", lambda: expected.keys() <= it.kept.distinct().keys(), timeout_s
        )
    except AssertionError:
        missing = sorted(expected.keys() - it.kept.distinct().keys())
        pytest.fail(f"{len(missing)} of {len(expected)} are missing: {missing[:4]} {it.reasons}")
    kept = it.kept.distinct()
    assert {key: kept[key] for key in expected} == expected


async def until_watched(peer: OpcuaPeer, n_nodes: int = N_NODES) -> None:
    await until("watched", lambda: len(peer.watched_items()) == n_nodes)


async def say(peer: OpcuaPeer, values: int = 1, **how: Any) -> None:  # noqa: ANN401 - of the peer
    await asyncio.to_thread(peer.say, values, **how)


# --- what is watched -----------------------------------------------------------------------------


def test_changed_settings_touch_only_the_nodes_that_changed(tmp_path: Path, press: Press) -> None:
    peer = press.start()
    before = settings_of(tmp_path, peer, {0: {}, 1: {}, 2: {"queue_size": 500}})
    after = settings_of(tmp_path, peer, {0: {}, 2: {"queue_size": 700}, 3: {"priority": "alarm"}})

    async def run() -> None:
        async with reading(before, tmp_path / "state") as it:
            await until_watched(peer, 3)
            await say(peer, 3)
            watched = peer.watched_items()
            await until("values", lambda: len(it.kept.samples) >= 9)

            assert await it.source.apply(after)

            changed = peer.watched_items()
            first, second, third, fourth = (".".join(peer.signal(n)) for n in range(4))
            assert changed[first] == watched[first]
            assert second not in changed
            assert changed[third] == (watched[third][0], 700)
            n_before = len(peer.said.samples)
            await say(peer, 2)
            new = {s[:3] for s in peer.said.samples[n_before:] if s[0] != peer.signal(1)[0]}
            await until("new values", lambda: new <= it.kept.distinct().keys())
            assert it.kept.priorities[peer.signal(3)[0]] == {"alarm"}
            assert it.kept.priorities[peer.signal(0)[0]] == {"raw"}
            assert fourth in changed
            assert it.reasons == []

    asyncio.run(run())


@pytest.mark.parametrize(
    "changed", [{"security": "Aes256Sha256RsaPss-SignAndEncrypt"}, {"user": "u"}]
)
def test_settings_that_need_another_connection_are_not_applied(
    tmp_path: Path, press: Press, changed: dict[str, object]
) -> None:
    peer = press.start()
    before = settings_of(tmp_path, peer)
    source = Reading(before, tmp_path / "state").source

    is_applied = asyncio.run(source.apply(before.model_copy(update=changed)))

    assert not is_applied
    assert source.settings is before


def test_settings_changed_while_the_server_is_away_hold_when_it_is_back(
    tmp_path: Path, press: Press
) -> None:
    peer = press.start()
    cable = Cable(peer.port)
    through = {"endpoint": peer.endpoint.replace(str(peer.port), str(cable.port))}
    before = settings_of(tmp_path, peer, {0: {}, 1: {}}, **through)
    after = settings_of(tmp_path, peer, {1: {}, 2: {}}, **through)

    async def run() -> None:
        async with reading(before, tmp_path / "state") as it:
            await until_watched(peer, 2)
            cable.cut()
            await until("lost", lambda: bool(it.reasons))
            assert await it.source.apply(after)
            cable.mend()
            names = {".".join(peer.signal(1)), ".".join(peer.signal(2))}
            await until("in line", lambda: set(peer.watched_items()) == names)

    try:
        asyncio.run(run())
    finally:
        cable.close()


def test_nodes_are_found_by_their_way_from_the_objects_folder(tmp_path: Path, press: Press) -> None:
    peer = press.start()
    # The peer's variables have browse names of the namespace that every server has.
    name = f"nsu=http://opcfoundation.org/UA/;{'.'.join(peer.signal(0))}"
    nodes: dict[int, dict[str, object]] = {
        0: {"node_id": None, "browse_path": [name]},
        1: {"node_id": None, "browse_path": ["no", "such", "way"]},
    }

    async def run() -> None:
        async with reading(settings_of(tmp_path, peer, nodes), tmp_path / "state") as it:
            await until_watched(peer, 1)
            await say(peer, 3)
            await until("values", lambda: len(it.kept.samples) >= 3)
            assert it.counters.bad_nodes == 1

    asyncio.run(run())


@pytest.mark.parametrize("is_told", [True, False])
def test_a_node_that_vanishes_disturbs_no_other_and_is_read_again_when_it_is_back(
    tmp_path: Path, press: Press, monkeypatch: pytest.MonkeyPatch, is_told: bool
) -> None:
    monkeypatch.setattr("edge_agent.sources.opcua.NODE_RETRY_S", 1.0)
    monkeypatch.setattr("edge_agent.sources.opcua.VANISHED_CHECK_S", 0.2)
    peer = press.start()

    async def run() -> None:
        async with reading(settings_of(tmp_path, peer), tmp_path / "state") as it:
            await until_watched(peer)
            await say(peer, 2)
            await asyncio.to_thread(peer.vanish, 1, is_told=is_told)
            await say(peer, 2)
            await until("noticed", lambda: it.counters.bad_nodes == 1)
            await say(peer, 2)
            await until_all_kept(it, peer)
            await asyncio.to_thread(peer.bring_back, 1)
            await until("there again", lambda: it.counters.bad_nodes == 0)
            await say(peer, 2)
            await until_all_kept(it, peer)
            assert it.reasons == []

    asyncio.run(run())


def test_namespace_indices_that_changed_with_a_restart_of_the_server_are_found_anew(
    tmp_path: Path, press: Press
) -> None:
    peer = press.start()

    async def run() -> None:
        async with reading(settings_of(tmp_path, peer), tmp_path / "state") as it:
            await until_watched(peer)
            await say(peer, 2)
            await until_all_kept(it, peer)
            await asyncio.to_thread(press.stop)
            again = await asyncio.to_thread(
                press.start, other_namespaces=("urn:new:one", "urn:new:two")
            )
            await until_watched(again)
            await say(again, 4)
            await until_all_kept(it, again)
            assert it.counters.bad_nodes == 0
            assert it.counters.gaps == 1

    asyncio.run(run())


# --- what was lost -------------------------------------------------------------------------------


def present_ns() -> int:
    return int(datetime.datetime.now(datetime.UTC).timestamp()) * 10**9 - 10**10


def test_an_outage_longer_than_the_servers_queue_is_filled_from_its_history(
    tmp_path: Path, press: Press
) -> None:
    peer = press.start(has_history=True, base_time_ns=present_ns())
    cable = Cable(peer.port)
    settings = settings_of(
        tmp_path,
        peer,
        endpoint=peer.endpoint.replace(str(peer.port), str(cable.port)),
        queue_size=5,
    )

    async def run() -> None:
        async with reading(settings, tmp_path / "state") as it:
            await until_watched(peer)
            await say(peer, 1)
            await until_all_kept(it, peer)
            cable.cut()
            await until("lost", lambda: bool(it.reasons))
            for _ in range(20):
                await say(peer, 2)
                await asyncio.sleep(0.02)
            cable.mend()
            await until_all_kept(it, peer)
            assert it.counters.history > 0

    try:
        asyncio.run(run())
    finally:
        cable.close()


@pytest.mark.parametrize(
    "history",
    [
        # The library's cuts at the number asked for and tells nothing of the rest; that of the
        # simulators says where to go on.
        pytest.param(HistoryDict, id="library"),
        pytest.param(lambda: RecentHistory(100_000), id="simulators"),
    ],
)
def test_a_server_that_forgot_us_costs_nothing_where_it_keeps_history(
    tmp_path: Path,
    press: Press,
    monkeypatch: pytest.MonkeyPatch,
    history: Callable[[], HistoryStorageInterface],
) -> None:
    monkeypatch.setattr("edge_agent.sources.opcua_history.VALUES_PER_ANSWER", 40)
    peer = press.start(history=history(), base_time_ns=present_ns())

    async def run() -> None:
        async with reading(settings_of(tmp_path, peer), tmp_path / "state") as it:
            await until_watched(peer)
            await say(peer, 2)
            await until_all_kept(it, peer)
        # More than two answers of history for each node while nobody is subscribed.
        await asyncio.to_thread(peer.forget_sessions)
        await say(peer, 100)
        async with reading(settings_of(tmp_path, peer), tmp_path / "state") as it:
            await until("nothing more is missing", lambda: it.counters.history >= 100 * N_NODES)
            missing = [s[:3] for s in peer.said.samples[8:] if s[:3] not in it.kept.distinct()]
            assert missing == []
            assert it.counters.gaps == 1

    asyncio.run(run())


def test_a_gap_without_history_is_counted_once_and_reading_goes_on(
    tmp_path: Path, press: Press
) -> None:
    peer = press.start()

    async def run() -> None:
        async with reading(settings_of(tmp_path, peer), tmp_path / "state") as it:
            await until_watched(peer)
            await asyncio.to_thread(peer.forget_sessions)
            await until("noticed", lambda: it.counters.gaps == 1)
            await until_watched(peer)
            n_before = len(peer.said.samples)
            await say(peer, 3)
            new = {sample[:3] for sample in peer.said.samples[n_before:]}
            await until("new values", lambda: new <= it.kept.distinct().keys())
            assert it.counters.gaps == 1
            assert it.counters.history == 0

    asyncio.run(run())


def test_what_is_written_down_is_used_only_for_the_server_it_is_about(
    tmp_path: Path, press: Press
) -> None:
    peer = press.start()
    path = tmp_path / "state" / "opcua" / "hall-1.session.json"

    async def run(spoil: str) -> int:
        async with reading(settings_of(tmp_path, peer), tmp_path / "state") as it:
            await until_watched(peer)
            await say(peer, 1)
            await until("values", lambda: len(it.kept.samples) >= N_NODES)
            gaps = it.counters.gaps
        text = path.read_text()
        match spoil:
            case "torn":
                path.write_text(text[: len(text) // 2])
            case "other form":
                path.write_text(text.replace('"form": 1', '"form": 2'))
            case "token":
                at = text.index('"authentication_token": "') + 30
                path.write_text(text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :])
        return gaps

    assert asyncio.run(run("torn")) == 0
    assert asyncio.run(run("other form")) == 0
    assert asyncio.run(run("token")) == 0
    asyncio.run(run(""))


# --- who is trusted ------------------------------------------------------------------------------


def test_a_new_certificate_of_ours_is_used_without_a_break(
    tmp_path: Path, press: Press, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.sources.opcua_certificates.LOOK_S", 0.2)
    peer = press.start()
    own = keys_folder(tmp_path / "state")

    async def run() -> None:
        async with reading(settings_of(tmp_path, peer), tmp_path / "state") as it:
            await until_watched(peer)
            old = it.source.keys.certificate
            await say(peer, 2)
            new, _ = ensure_keys(tmp_path / "other")
            await asyncio.to_thread(peer.trust, new.certificate_path)
            for name in ("private_key.pem", "certificate.der"):
                shutil.copy(keys_folder(tmp_path / "other") / name, own / name)
            deadline = time.monotonic() + 20
            while peer.client_certificates() != {new.certificate}:
                await say(peer, 2)
                await asyncio.sleep(0.02)
                assert time.monotonic() < deadline, it.reasons
            await say(peer, 3)
            await until_all_kept(it, peer)
            assert old != new.certificate
            assert it.reasons == []
            assert it.counters.missed == it.counters.gaps == 0
            assert len(peer.watched_items()) == N_NODES

    asyncio.run(run())


def test_a_new_certificate_that_the_server_does_not_trust_yet_costs_nothing(
    tmp_path: Path, press: Press, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.sources.opcua_certificates.LOOK_S", 0.2)
    peer = press.start()
    own = keys_folder(tmp_path / "state")

    async def run() -> None:
        async with reading(settings_of(tmp_path, peer), tmp_path / "state") as it:
            await until_watched(peer)
            await say(peer, 2)
            ensure_keys(tmp_path / "other")
            for name in ("private_key.pem", "certificate.der"):
                shutil.copy(keys_folder(tmp_path / "other") / name, own / name)
            for _ in range(60):
                await say(peer, 2)
                await asyncio.sleep(0.05)
            await until_all_kept(it, peer)
            assert it.counters.gaps == 0

    asyncio.run(run())


# --- a guest that only reads ---------------------------------------------------------------------

READING = {
    "OpenSecureChannelRequest", "CloseSecureChannelRequest", "GetEndpointsRequest",
    "FindServersRequest", "CreateSessionRequest", "ActivateSessionRequest", "CloseSessionRequest",
    "ReadRequest", "HistoryReadRequest", "BrowseRequest", "BrowseNextRequest",
    "TranslateBrowsePathsToNodeIdsRequest", "CreateSubscriptionRequest",
    "ModifySubscriptionRequest", "SetPublishingModeRequest", "TransferSubscriptionsRequest",
    "CreateMonitoredItemsRequest", "ModifyMonitoredItemsRequest", "DeleteMonitoredItemsRequest",
    "PublishRequest", "RepublishRequest",
}  # fmt: skip
"""What reads, or concerns a session and a subscription of our own."""


def test_nothing_but_questions_is_ever_sent(
    tmp_path: Path, press: Press, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.sources.opcua.NODE_RETRY_S", 0.5)
    sent: set[str] = set()
    send = UASocketProtocol._send_request

    def send_and_note(self: UASocketProtocol, request: object, *rest: Any, **more: Any) -> Any:  # noqa: ANN401
        sent.add(type(request).__name__)
        return send(self, request, *rest, **more)

    monkeypatch.setattr(UASocketProtocol, "_send_request", send_and_note)
    peer = press.start(has_history=True, base_time_ns=present_ns())
    cable = Cable(peer.port)
    through = {"endpoint": peer.endpoint.replace(str(peer.port), str(cable.port)), "queue_size": 5}
    before = settings_of(tmp_path, peer, {0: {}, 1: {}, 2: {}}, **through)
    after = settings_of(
        tmp_path, peer, {0: {"queue_size": 9}, 2: {}, 3: {}}, publishing_interval_ms=60.0, **through
    )

    async def run() -> None:
        async with reading(before, tmp_path / "state") as it:
            await until_watched(peer, 3)
            assert await it.source.apply(after)
            await say(peer, 3)
            await until("values", lambda: len(it.kept.priorities) >= 3)
            await until("more", lambda: len(it.kept.distinct()) >= 9)
            cable.cut()
            await until("lost", lambda: bool(it.reasons))
            await say(peer, 20)
            cable.mend()
            await until("history", lambda: it.counters.history > 0)
            await asyncio.to_thread(peer.vanish, 2, is_told=True)
            await until("vanished", lambda: it.counters.bad_nodes == 1)
        bounds = Bounds(max_depth=3)
        keys, _ = ensure_keys(tmp_path / "state")
        link = OpcuaLink(before, keys, tmp_path / "state")
        await link.open()
        found = await survey(link.client, bounds)
        await link.end()
        assert len(found.variables) >= 3

    try:
        asyncio.run(run())
    finally:
        cable.close()
    assert sent <= READING
    assert {"HistoryReadRequest", "ModifyMonitoredItemsRequest", "BrowseRequest"} <= sent
