"""OPC UA servers are read in processes of their own: one that hangs or fills up is replaced."""

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import asyncua
import pytest

from edge_agent.counters import Counters
from edge_agent.errors import SourceError
from edge_agent.reader.source import ReaderSource
from edge_agent.records import Misfit, Priority
from edge_agent.settings_file import load_settings
from edge_agent.settings_reader import ReaderSettings
from ingest.telemetry import TelemetryBatch
from simulators.loopback import free_port
from tests.integration.edge_fixtures import (
    SITE,
    Agent,
    OpcuaPeer,
    StandInStore,
    agent_of,
    node_text,
    wait_until,
    write_config,
)

pytestmark = pytest.mark.timeout(180)
ua: Any = asyncua.ua
N_NODES = 3


@pytest.fixture
def store() -> Iterator[StandInStore]:
    store = StandInStore()
    yield store
    store.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "agent"
    (folder / "trusted").mkdir(parents=True)
    made = Agent(folder / "none.toml").run("keys", "--state-dir", str(folder / "state"))
    (tmp_path / "clients").mkdir()
    shutil.copy(made.stdout.strip(), tmp_path / "clients")
    return folder


def peer(tmp_path: Path, folder: Path, name: str) -> OpcuaPeer:
    one = OpcuaPeer(tmp_path / name, N_NODES, tmp_path / "clients", free_port())
    shutil.copy(one.certificate, folder / "trusted" / f"{name}.der")
    return one


def readers_of(agent: Agent) -> dict[str, int]:
    """Process number of each reader by the port it reads, found in the kernel's own lists."""
    children = Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split()
    return {
        child: int(child)
        for child in children
        if b"edge_agent.reader" in Path(f"/proc/{child}/cmdline").read_bytes()
    }


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


class Endless(list[Any]):
    """A list that says it has two thousand million elements: six bytes on the wire."""

    def __len__(self) -> int:
        return 2**31 - 1

    def __getitem__(self, place: object) -> Any:  # noqa: ANN401 - as a list of anything has it
        return None


def poison(one: OpcuaPeer, *, is_poisoned: bool) -> None:
    """Let the server answer who asks for its namespaces with an array of nulls without end.

    asyncua builds that array, whoever sent it.
    """
    node = ua.NodeId(ua.ObjectIds.Server_NamespaceArray)
    held = one._server.iserver.aspace._nodes[node].attributes[ua.AttributeIds.Value]
    if is_poisoned:
        endless = ua.Variant([None], ua.VariantType.Null)
        object.__setattr__(endless, "Value", Endless())
        one.kept, held.value = held.value, ua.DataValue(endless)  # type: ignore[attr-defined]  # for later
    else:
        held.value = one.kept  # type: ignore[attr-defined]  # from above


def test_a_server_that_fills_its_reader_disturbs_no_other_and_comes_back(
    tmp_path: Path, folder: Path, store: StandInStore
) -> None:
    good, hostile = peer(tmp_path, folder, "good"), peer(tmp_path, folder, "hostile")
    config = write_config(folder, store.url, opcua=good)
    hostile_nodes = "".join(
        node_text(f"s=press-{number:03d}.vibration_mm_s", f"mill-{number}", "vibration_mm_s")
        for number in range(N_NODES)
    )
    config.write_text(
        config.read_text()
        + f'[[opcua]]\nname = "hall-9"\nendpoint = "{hostile.endpoint}"\n'
        + f'trusted_servers_dir = "trusted"\npublishing_interval_ms = 50\n{hostile_nodes}'
        + "[reader]\nmax_memory_bytes = 200000000\nsilent_s = 10\n"
    )
    good.start()
    hostile.start()
    poison(hostile, is_poisoned=True)
    with agent_of(config) as agent:
        agent.start()
        wait_until("good one subscribed", lambda: "nodes subscribed" in agent.said(), 60)
        wait_until("reader replaced", lambda: "it is started anew" in agent.said(), 90)
        good.say(20)
        arrived = good.said.distinct().keys()
        wait_until("the good one's values", lambda: arrived <= store.distinct().keys(), 30)
        assert is_alive(agent.pid)
        poison(hostile, is_poisoned=False)
        wait_until("both subscribed", lambda: agent.said().count("nodes subscribed") >= 2, 90)
        hostile.say(5)
        wait_until(
            "the other's values",
            lambda: sum(machine.startswith("mill-") for machine, _, _ in store.distinct()) >= 5,
            30,
        )
        assert agent.stop() == 0
    good.stop()
    hostile.stop()

    said = agent.said()
    assert "reached its memory limit" in said or "said nothing for" in said
    print([line for line in said.splitlines() if "started anew" in line])


def test_a_reader_that_hangs_is_killed_and_one_that_was_killed_is_replaced(
    tmp_path: Path, folder: Path, store: StandInStore
) -> None:
    press = peer(tmp_path, folder, "press")
    press.start()
    config = write_config(folder, store.url, opcua=press)
    config.write_text(config.read_text() + "[reader]\nsilent_s = 2\n")
    with agent_of(config) as agent:
        agent.start()
        wait_until("subscribed", lambda: "nodes subscribed" in agent.said(), 60)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            (pid,) = readers_of(agent).values()
            before = agent.said().count("nodes subscribed")
            os.kill(pid, number)
            press.say(3)
            wait_until("it is gone", lambda pid=pid: not is_alive(pid), 60)  # type: ignore[misc]  # bound now
            wait_until(
                "subscribed again",
                lambda before=before: agent.said().count("nodes subscribed") > before,  # type: ignore[misc]  # bound now
                60,
            )
            press.say(3)
            last = set(list(press.said.distinct())[-N_NODES:])
            wait_until("new values", lambda last=last: last <= store.distinct().keys(), 30)  # type: ignore[misc]  # bound now
        assert agent.stop() == 0
    press.stop()

    assert "said nothing for" in agent.said()
    assert "was ended by SIGKILL" in agent.said()


@pytest.mark.parametrize("is_hanging", [False, True])
def test_a_reader_ends_with_its_agent(
    tmp_path: Path, folder: Path, store: StandInStore, is_hanging: bool
) -> None:
    press = peer(tmp_path, folder, "press")
    press.start()
    with agent_of(write_config(folder, store.url, opcua=press)) as agent:
        agent.start()
        wait_until("subscribed", lambda: "nodes subscribed" in agent.said(), 60)
        (pid,) = readers_of(agent).values()
        if is_hanging:
            os.kill(pid, signal.SIGSTOP)
        agent.kill()
        wait_until("reader gone", lambda: not is_alive(pid), 20)
    press.stop()


class Pail:
    """An intake that keeps everything in memory."""

    def __init__(self) -> None:
        self.batches: list[TelemetryBatch] = []

    def submit(
        self,
        batch: TelemetryBatch | None,
        misfits: Sequence[Misfit] = (),
        *,
        is_urgent: bool = False,
        priority: Priority = "raw",
    ) -> "asyncio.Future[None]":
        if batch is not None:
            self.batches.append(batch)
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        durable.set_result(None)
        return durable

    def heard(self, source: str) -> None:
        pass


LIAR = """
import socket, sys, time
way = socket.socket(fileno=int(sys.argv[1]))
way.sendall({what!r})
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (b"\xff" * 8, "said what can't be"),
        (b"\x03\x00\x00\x00\x07\x00\x00\x00abc", "said what can't be"),
        (b"\x02\x00\x00\x00\x01\x00\x00\x00{}", "BEGIN out of turn"),
        (b"", "said nothing for"),
    ],
)
def test_a_process_that_says_what_can_not_be_is_killed_and_counted(
    folder: Path, what: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.reader.source.START_TIMEOUT_S", 2.0)
    port = free_port()
    config = write_config(folder, "http://127.0.0.1:1")
    config.write_text(
        config.read_text()
        + f'[[opcua]]\nname = "hall-1"\nendpoint = "opc.tcp://127.0.0.1:{port}"\n'
        + 'trusted_servers_dir = "trusted"\n'
        + node_text("s=a", "press-1", "vibration_mm_s")
    )
    settings = load_settings(config)
    counters = Counters()
    source = ReaderSource(
        settings.opcua[0],
        SITE,
        settings.state_dir,
        ReaderSettings(silent_s=2.0),
        counters,
        lambda descriptor: [sys.executable, "-c", LIAR.format(what=what), str(descriptor)],
    )
    pids: list[int] = []

    async def serve() -> None:
        serving = asyncio.create_task(source.serve(Pail()))
        await asyncio.sleep(0.5)
        pids.append(source.process_id or 0)
        await serving

    began_s = time.monotonic()
    with pytest.raises(SourceError, match=words):
        asyncio.run(serve())

    assert counters.reader_restarts == 1
    assert not is_alive(pids[0])
    assert time.monotonic() - began_s < 30
