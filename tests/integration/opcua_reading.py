"""An OPC UA source in the test's own process, between a real server and a list of what it kept."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from edge_agent.counters import Counters
from edge_agent.errors import SourceError
from edge_agent.keys import ensure_keys
from edge_agent.records import Misfit, Priority
from edge_agent.settings_opcua import OpcuaSettings
from edge_agent.sources.opcua import OpcuaSource
from ingest.telemetry import Series, TelemetryBatch
from tests.integration.edge_fixtures import SITE

RETRY_S = 0.2


class Kept:
    """Takes what a source delivers: durable at once, in a plain list."""

    def __init__(self) -> None:
        self.samples: list[tuple[str, str, int, float | None, int]] = []
        self.priorities: dict[str, set[str]] = {}
        self.misfits: list[Misfit] = []

    def submit(
        self,
        batch: TelemetryBatch | None,
        misfits: Sequence[Misfit] = (),
        *,
        is_urgent: bool = False,
        priority: Priority = "raw",
    ) -> "asyncio.Future[None]":
        del is_urgent
        self.misfits += misfits
        if batch is not None:
            for row, time_ns, value, quality in zip(
                batch.series_index.tolist(),
                batch.source_time_ns.tolist(),
                batch.value.tolist(),
                batch.quality.tolist(),
                strict=True,
            ):
                series = batch.series[row]
                told = None if value != value else value
                self.samples.append((series.machine, series.signal, time_ns, told, quality))
                self.priorities.setdefault(series.machine, set()).add(priority)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def heard(self, source: str) -> None:
        pass

    def distinct(self) -> dict[tuple[str, str, int], tuple[float | None, int]]:
        return {sample[:3]: sample[3:] for sample in self.samples}


class Reading:
    """A source that is served until the block ends, connected again whenever it is lost."""

    def __init__(self, settings: OpcuaSettings, state_dir: Path) -> None:
        self.kept = Kept()
        self.counters = Counters()
        self.reasons: list[str] = []
        keys, _ = ensure_keys(state_dir)
        series = tuple(Series(SITE, node.machine, node.signal) for node in settings.nodes)
        self.source = OpcuaSource(settings, series, keys, state_dir, self.counters)

    async def serve_forever(self) -> None:
        while True:
            try:
                await self.source.serve(self.kept)
            except SourceError as error:
                self.reasons.append(str(error))
            await asyncio.sleep(RETRY_S)


@contextlib.asynccontextmanager
async def reading(settings: OpcuaSettings, state_dir: Path) -> AsyncIterator[Reading]:
    """Serve a source while the block runs."""
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    it = Reading(settings, state_dir)
    task = asyncio.create_task(it.serve_forever())
    try:
        yield it
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(what: str, is_true: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Wait for something that happens in this process or another."""
    deadline = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > deadline:
            msg = f"{what}: not within {timeout_s} s"
            raise AssertionError(msg)
        await asyncio.sleep(0.02)
