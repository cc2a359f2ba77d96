"""The shell: whatever fails around it, it goes on, and what it was given arrives."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import pytest

from edge_agent.core import AgentCore
from edge_agent.counters import Counters
from edge_agent.errors import SourceError
from edge_agent.outbox import Outbox
from edge_agent.ports import Intake
from edge_agent.runtime import Runtime
from edge_agent.settings_uplink import UplinkSettings
from edge_agent.uplink_http import HttpUplink
from ingest.telemetry import Series, TelemetryBatch
from tests.integration.edge_fixtures import SITE, StandInStore

Act = Callable[[Intake, int], Coroutine[object, object, None]]


class ScriptedSource:
    """Plays one act each time it is connected; the last one for ever."""

    name = "scripted"

    def __init__(self, *acts: Act) -> None:
        self._acts = acts
        self.n_connections = 0

    async def serve(self, intake: Intake) -> None:
        act = self._acts[min(self.n_connections, len(self._acts) - 1)]
        self.n_connections += 1
        await act(intake, self.n_connections)


def batch(number: int) -> TelemetryBatch:
    return TelemetryBatch.of(
        [Series(SITE, "press-04", "vibration_mm_s")], [0], [number], [float(number)], [0]
    )


@pytest.fixture
def store() -> Iterator[StandInStore]:
    store = StandInStore()
    yield store
    store.close()


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox.sqlite", 10**6)


def run(
    outbox: Outbox,
    store: StandInStore,
    source: ScriptedSource,
    is_done: Callable[[], bool],
    meanwhile: Callable[[], Coroutine[object, object, None]] | None = None,
) -> Counters:
    """Run an agent until `is_done`, then stop it as a service manager would."""
    (outbox.path.parent / "token").write_text("t")
    uplink = UplinkSettings(url=store.url, token_file=outbox.path.parent / "token")
    core = AgentCore(group_commit_s=0.01, max_body_bytes=100_000, retry_max_s=0.2)
    counters = Counters()

    async def main() -> None:
        runtime = Runtime(
            core, outbox, lambda _lane: HttpUplink(uplink), [source], counters, jitter=lambda: 0.0
        )
        stop = asyncio.Event()
        running = asyncio.create_task(runtime.run(stop))
        if meanwhile is not None:
            await meanwhile()
        async with asyncio.timeout(20):
            while not is_done():  # noqa: ASYNC110 - what it waits for happens in other threads
                await asyncio.sleep(0.01)
        stop.set()
        await running

    asyncio.run(main())
    return counters


def arrived(store: StandInStore) -> set[int]:
    return {time_ns for _, _, time_ns in store.distinct()}


async def rest(_intake: Intake, _connection: int) -> None:
    await asyncio.Event().wait()


async def deliver_ten_and_rest(intake: Intake, _connection: int) -> None:
    for number in range(1, 11):
        await intake.submit(batch(number))
    await asyncio.Event().wait()


def test_what_is_delivered_is_durable_then_stored_then_forgotten(
    outbox: Outbox, store: StandInStore
) -> None:
    counters = run(
        outbox, store, ScriptedSource(deliver_ten_and_rest), lambda: len(arrived(store)) == 10
    )

    assert (counters.received, counters.stored, counters.acknowledged) == (10, 10, 10)
    assert counters.faults == 0
    with Outbox(outbox.path, 10**6) as after:
        assert after.counts().n_records == 0


def test_one_commit_keeps_alarms_and_raw_samples_apart(outbox: Outbox, store: StandInStore) -> None:
    store.status = 503
    kept: list[tuple[int, int]] = []

    async def deliver_both(intake: Intake, _connection: int) -> None:
        await asyncio.gather(
            intake.submit(batch(1)),
            intake.submit(batch(2), priority="alarm"),
            intake.submit(batch(3)),
        )
        with Outbox(outbox.path, 10**6, is_read_only=True) as look:
            kept.extend((r.n_samples, r.body.count(b"\n")) for r in look.peek_oldest(10))
        store.status = 204
        await rest(intake, 0)

    run(outbox, store, ScriptedSource(deliver_both), lambda: len(arrived(store)) == 3)

    assert sorted(kept) == [(1, 1), (2, 2)]


def test_a_full_disk_keeps_the_source_waiting_and_freed_it_goes_on(
    outbox: Outbox, store: StandInStore, caplog: pytest.LogCaptureFixture
) -> None:
    (pages,) = outbox._database.execute("PRAGMA page_count").fetchone()
    outbox._database.execute(f"PRAGMA max_page_count = {pages}")
    n_before: list[int] = []
    names = [f"signal_{number}_c" for number in range(1000)]
    large = TelemetryBatch.of(
        [Series(SITE, "press-04", name) for name in names],
        range(1000),
        [1] * 1000,
        [number / 7 for number in range(1000)],
        [0] * 1000,
    )

    async def deliver_large(intake: Intake, _connection: int) -> None:
        await intake.submit(large)
        await rest(intake, 0)

    async def free_the_disk() -> None:
        await asyncio.sleep(0.5)
        n_before.append(len(store.samples))
        outbox._database.execute("PRAGMA max_page_count = 100000")

    run(
        outbox,
        store,
        ScriptedSource(deliver_large),
        lambda: len(store.distinct()) == 1000,
        free_the_disk,
    )

    assert n_before == [0]
    assert "see that the disk has room" in caplog.text


def test_an_outbox_that_breaks_in_use_is_set_aside_and_the_agent_goes_on(
    outbox: Outbox, store: StandInStore
) -> None:
    store.status = 503

    async def deliver_break_deliver(intake: Intake, _connection: int) -> None:
        await intake.submit(batch(1))
        connection = sqlite3.connect(outbox.path)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        with outbox.path.open("r+b") as file:
            file.write(b"\xff" * 40_960)
        await intake.submit(batch(2))
        store.status = 204
        await rest(intake, 0)

    run(outbox, store, ScriptedSource(deliver_break_deliver), lambda: 2 in arrived(store))

    assert outbox.path.with_name("outbox.sqlite.damaged-1").exists()


def test_a_source_that_fails_in_any_way_is_connected_again(
    outbox: Outbox, store: StandInStore, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(_intake: Intake, _connection: int) -> None:
        msg = "scripted: no route to host"
        raise SourceError(msg)

    async def break_down(_intake: Intake, _connection: int) -> None:
        msg = "a bug"
        raise RuntimeError(msg)

    async def be_cancelled_from_inside(_intake: Intake, _connection: int) -> None:
        raise asyncio.CancelledError

    async def end(_intake: Intake, _connection: int) -> None:
        return

    source = ScriptedSource(refuse, break_down, be_cancelled_from_inside, end, deliver_ten_and_rest)
    counters = run(outbox, store, source, lambda: len(arrived(store)) == 10)

    assert source.n_connections == 5
    assert counters.faults == 1
    assert "scripted: no route to host; trying again until it works" in caplog.text


def test_a_bug_in_the_uplink_loses_nothing(
    outbox: Outbox,
    store: StandInStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    send, broken = HttpUplink.send, [True, True]

    def sometimes(self: HttpUplink, *arguments: object) -> object:
        if broken:
            broken.pop()
            msg = "a bug"
            raise RuntimeError(msg)
        return send(self, *arguments)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(HttpUplink, "send", sometimes)
    counters = run(
        outbox, store, ScriptedSource(deliver_ten_and_rest), lambda: len(arrived(store)) == 10
    )

    assert counters.faults == 2


def test_samples_that_cannot_be_written_as_lines_do_not_hold_up_the_others(
    outbox: Outbox, store: StandInStore
) -> None:
    wrong = TelemetryBatch.of([Series(SITE, "a,b", "vibration_mm_s")], [0], [1], [1.0], [0])

    async def deliver_wrong_too(intake: Intake, connection: int) -> None:
        await intake.submit(wrong)
        await deliver_ten_and_rest(intake, connection)

    run(outbox, store, ScriptedSource(deliver_wrong_too), lambda: len(arrived(store)) == 10)

    with Outbox(outbox.path, 10**6) as after:
        (entry,) = after.quarantine()
    assert "can't be written" in entry.reason
