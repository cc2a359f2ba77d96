"""Looking at the agent: never waits for a disk that hangs, never trusts a clock that jumps."""

import asyncio
import dataclasses
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge_agent.core import AgentCore
from edge_agent.counters import Counters
from edge_agent.messages import NotAllowed
from edge_agent.oncall import health
from edge_agent.oncall.facts import Facts
from edge_agent.oncall.heartbeat import Heartbeat, heartbeat_values
from edge_agent.oncall.observer import DISK_WAIT_S, Observer
from edge_agent.outbox import Outbox
from edge_agent.ports import Intake
from edge_agent.records import GapEvent
from edge_agent.reload import Reloader
from edge_agent.runtime import Runtime
from edge_agent.settings import Settings
from edge_agent.settings_file import SAMPLE_CONFIG, load_settings
from ingest.telemetry import Series, TelemetryBatch
from tests.unit.edge_agent.oncall.test_gaps import Event, rested

HOUR_NS = 3_600_000_000_000


class NoUplink:
    place = "https://nowhere"

    def send(self, *_: object) -> NotAllowed:
        return NotAllowed("test")

    def close(self) -> None:
        pass


class Quiet:
    name = "mqtt hall-2"

    async def serve(self, intake: Intake) -> None:
        await asyncio.Event().wait()


@dataclasses.dataclass
class Watched:
    """An agent of real parts, and who looks at it."""

    runtime: Runtime
    observer: Observer
    settings: Settings
    wall_ns: list[int]


def watching(
    folder: Path, test: Callable[[Watched], Awaitable[None]], max_bytes: int = 10**7
) -> None:
    path = folder / "edge.toml"
    path.write_text(SAMPLE_CONFIG.read_text().replace("/var/lib/staybolt-edge", "state"))
    settings, counters, wall_ns = load_settings(path), Counters(), [time.time_ns()]

    async def main() -> None:
        runtime = Runtime(
            AgentCore(group_commit_s=0.01, max_body_bytes=100_000, retry_max_s=60.0),
            Outbox(folder / "outbox.sqlite", max_bytes),
            lambda _lane: NoUplink(),
            [Quiet()],
            counters,
        )
        reloader = Reloader(path, settings, runtime.serving, _no_source, id, counters)
        observer = Observer(runtime, reloader, lambda: wall_ns[0])
        stop = asyncio.Event()
        running = asyncio.create_task(runtime.run(stop))
        try:
            async with asyncio.timeout(30):
                await test(Watched(runtime, observer, settings, wall_ns))
        finally:
            stop.set()
            await running

    asyncio.run(main())


def _no_source(_settings: Settings, name: str) -> Quiet:
    raise AssertionError(name)


def sample(time_ns: int) -> TelemetryBatch:
    return TelemetryBatch.of([Series("mill-7", "press-04", "load_kw")], [0], [time_ns], [1.0], [0])


def test_what_is_told_is_what_the_outbox_holds(tmp_path: Path) -> None:
    async def test(watched: Watched) -> None:
        await watched.runtime.submit(sample(watched.wall_ns[0] - HOUR_NS))
        await watched.runtime.submit(sample(watched.wall_ns[0] - HOUR_NS // 2), priority="alarm")

        facts = await watched.observer.look()

        assert facts.disk.counts is not None
        assert facts.disk.counts.n_samples == 2
        alarm, backlog = facts.lanes
        assert (alarm.name, alarm.n_waiting, alarm.lag_s) == ("alarm", 1, 1800.0)
        assert (backlog.name, backlog.n_waiting, backlog.lag_s) == ("backlog", 1, 3600.0)
        assert facts.lag_s == 3600.0
        assert facts.disk.free_bytes is not None
        assert facts.counters["stored"] == 2
        assert facts.memory_bytes > 10_000_000
        assert [source.name for source in facts.sources] == ["mqtt hall-2"]

    watching(tmp_path, test)


def test_a_disk_that_hangs_keeps_nobody_waiting_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "DISK_SILENT_S", 0.3)

    async def test(watched: Watched) -> None:
        works_again = threading.Event()
        hanging = watched.runtime.ask_outbox(lambda _outbox: works_again.wait(30))
        try:
            began_s = time.monotonic()
            first = await watched.observer.look()
            assert time.monotonic() - began_s < DISK_WAIT_S + 5
            assert first.disk.counts is None
            second = await watched.observer.look()
            (reason,) = [r for r in health.reasons(second) if r.code == "disk_silent"]
            assert "look at the kernel's log" in reason.text
        finally:
            works_again.set()
            await hanging
        third = await watched.observer.look()
        assert third.disk.counts is not None
        assert third.disk.unanswered_s == 0.0

    watching(tmp_path, test)


def test_a_wall_clock_that_jumps_moves_no_duration(tmp_path: Path) -> None:
    async def test(watched: Watched) -> None:
        before = await watched.observer.look()
        watched.wall_ns[0] += 26 * HOUR_NS
        after = await watched.observer.look()
        watched.wall_ns[0] -= 52 * HOUR_NS
        earlier = await watched.observer.look()

        assert (after.now - before.now).total_seconds() == 26 * 3600
        for facts in (after, earlier):
            assert 0 <= facts.uptime_s - before.uptime_s < 20
            assert 0 <= facts.sources[0].silent_s - before.sources[0].silent_s < 20
            assert [reason.code for reason in health.reasons(facts)] == []

    watching(tmp_path, test)


def test_a_heartbeat_is_durable_when_it_was_sent_and_a_fault_in_one_does_not_end_the_next(
    tmp_path: Path,
) -> None:
    async def test(watched: Watched) -> None:
        fails = [True]

        async def look() -> Facts:
            if fails:
                fails.pop()
                msg = "a bug"
                raise RuntimeError(msg)
            return await watched.observer.look()

        status = watched.settings.status.model_copy(update={"heartbeat_s": 0.05})
        settings = watched.settings.model_copy(update={"status": status})
        gaps = [rested(1)]

        async def ask_gaps() -> list[Event]:
            return gaps

        heart = Heartbeat(
            look, ask_gaps, watched.runtime, lambda: settings, watched.runtime.counters
        )
        beating = asyncio.create_task(heart.run())
        while watched.runtime.counters.heartbeats < 2:  # noqa: ASYNC110 - it counts, no more
            await asyncio.sleep(0.01)
        beating.cancel()
        facts = await watched.observer.look()

        assert watched.runtime.counters.faults == 1
        n_beats, n_signals = watched.runtime.counters.heartbeats, len(heartbeat_values(facts))
        n_gap_samples = watched.runtime.counters.stored - n_beats * n_signals
        assert n_gap_samples in {4, 4 - n_signals}, "told once, though there were two heartbeats"

    watching(tmp_path, test)


def test_what_the_outbox_dropped_for_room_is_told_upstream_to_the_sample(tmp_path: Path) -> None:
    async def test(watched: Watched) -> None:
        runtime, signals = (
            watched.runtime,
            [Series("mill-7", "press-04", f"s{n}_kw") for n in range(2000)],
        )
        chance = np.random.default_rng(7)
        for second in range(120):
            times = [watched.wall_ns[0] - HOUR_NS + second * 10**9] * len(signals)
            values = chance.normal(size=len(signals)).tolist()
            await runtime.submit(
                TelemetryBatch.of(signals, range(2000), times, values, [0] * len(signals))
            )
        n_dropped: list[int] = []

        async def ask_gaps() -> list[GapEvent]:
            # Room for the heartbeat itself is made by dropping more.
            gaps, counts = await runtime.ask_outbox(lambda one: (one.gaps(), one.counts()))
            n_dropped.append(counts.n_dropped_samples)
            return gaps

        watched.wall_ns[0] = time.time_ns() + 200 * 10**9
        kept: list[TelemetryBatch] = []
        submit = runtime.submit

        def keep(batch: TelemetryBatch, **options: Any) -> "asyncio.Future[None]":  # noqa: ANN401
            kept.append(batch)
            return submit(batch, **options)

        intake = SimpleNamespace(submit=keep)
        heart = Heartbeat(
            watched.observer.look,
            ask_gaps,
            intake,
            lambda: watched.settings,
            runtime.counters,
        )
        await heart.beat()
        await heart.beat()

        told = [
            value
            for batch in kept
            for value, index in zip(batch.value.tolist(), batch.series_index.tolist(), strict=True)
            if batch.series[index].signal.startswith("gap_")
            and batch.series[index].signal.endswith("_samples_count")
        ]
        assert sum(told) == n_dropped[0] > 0
        assert len(kept) == 3

    watching(tmp_path, test, max_bytes=1_000_000)


def test_the_ends_of_certificates_are_looked_at_and_told_once_a_day(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from tests.unit.edge_agent.test_check_device import certificate

    trusted = tmp_path / "state" / "pki" / "trusted"
    trusted.mkdir(parents=True)
    certificate(trusted / "soon.der", days=30)

    async def test(watched: Watched) -> None:
        looking = asyncio.create_task(watched.observer.watch_certificates())
        while not (await watched.observer.look()).certificates:  # noqa: ASYNC110 - it says no word
            await asyncio.sleep(0.01)
        looking.cancel()
        codes = [reason.code for reason in health.reasons(await watched.observer.look())]
        assert codes == ["certificate_ends"]

    watching(tmp_path, test)

    assert caplog.text.count("renew it before") == 1
