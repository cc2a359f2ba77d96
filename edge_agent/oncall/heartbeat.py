"""The agent's own counts as samples of a machine that has the agent's name.

They take the same durable way as every sample, as alarms: sent first and never dropped for room
while others can be. So an agent that is silent or loses samples is seen where its machines are
seen. Counts are since the agent was started, and fall to 0 when ``uptime_s`` does; but what the
outbox ever dropped is counted on disk, for good.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from edge_agent.counters import Counters
from edge_agent.oncall.facts import Facts
from edge_agent.oncall.gaps import Gap, GapNews, gap_batch
from edge_agent.oncall.health import EARLIEST_SANE, reasons
from edge_agent.ports import Intake
from edge_agent.settings import Settings
from ingest.telemetry import Quality, Series, TelemetryBatch

logger = logging.getLogger(__name__)

OFF_CHECK_S: Final = 60.0
"""While heartbeats are switched off, how often to see whether a reload switched them on."""

_SAMPLES: Final = frozenset({"received", "stored", "acknowledged", "refused"})
"""Counters that count samples, which their signals' names say."""


def heartbeat_values(facts: Facts) -> dict[str, float]:
    """Find what is told upstream.

    Parameters
    ----------
    facts : Facts
        How the agent is.

    Returns
    -------
    dict of str to float
        By signal; every counter of `Counters` is among them.
    """
    values: dict[str, float] = {
        "uptime_s": round(facts.uptime_s, 3),
        "reasons_count": len(reasons(facts)),
        "lag_s": round(facts.lag_s, 3),
    }
    for name, value in facts.counters.items():
        if isinstance(value, int):
            values[f"{name}{'_samples' if name in _SAMPLES else ''}_count"] = value
    counts = facts.disk.counts
    if counts is not None:
        values["waiting_samples_count"] = counts.n_samples
        values["dropped_samples_count"] = counts.n_dropped_samples
        values["quarantined_count"] = counts.n_quarantined
    return values


def heartbeat_batch(facts: Facts) -> TelemetryBatch:
    """Write a heartbeat as samples.

    Parameters
    ----------
    facts : Facts
        How the agent is.

    Returns
    -------
    TelemetryBatch
        One sample for each signal, uncertain if the clock is obviously wrong.
    """
    values = heartbeat_values(facts)
    quality = Quality.GOOD if facts.now >= EARLIEST_SANE else Quality.UNCERTAIN
    time_ns = int(facts.now.timestamp() * 1000) * 1_000_000
    return TelemetryBatch.of(
        [Series(facts.site, facts.agent, signal) for signal in values],
        range(len(values)),
        [time_ns] * len(values),
        list(values.values()),
        [quality] * len(values),
    )


class Heartbeat:
    """Sends the agent's own counts.

    Parameters
    ----------
    look : callable
        Sees how the agent is.
    gaps : callable
        Asks the outbox for its gap events, newest first.
    intake : Intake
        Where samples become durable.
    settings : callable
        Settings in force, which a reload may change.
    counters : Counters
        Where to count.
    """

    def __init__(
        self,
        look: Callable[[], Awaitable[Facts]],
        gaps: Callable[[], Awaitable[Sequence[Gap]]],
        intake: Intake,
        settings: Callable[[], Settings],
        counters: Counters,
    ) -> None:
        self._look = look
        self._gaps = gaps
        self._news = GapNews()
        self._intake = intake
        self._settings = settings
        self._counters = counters

    async def run(self) -> None:
        """Send one heartbeat after each interval, for ever."""
        while True:
            interval_s = self._settings().status.heartbeat_s
            await asyncio.sleep(interval_s or OFF_CHECK_S)
            if interval_s:
                try:
                    await self.beat()
                except Exception:
                    # A heart that failed once must beat again.
                    logger.exception("fault in a heartbeat; the next one is in %.0f s", interval_s)
                    self._counters.faults += 1

    async def beat(self) -> None:
        """Send one heartbeat and the gap events that are news; durable when this returns."""
        facts = await self._look()
        self._counters.heartbeats += 1
        await asyncio.shield(self._intake.submit(heartbeat_batch(facts), priority="alarm"))
        news = self._news.of(await self._gaps(), int(facts.now.timestamp() * 1e9))
        if news:
            batch = gap_batch(facts.site, facts.agent, news)
            await asyncio.shield(self._intake.submit(batch, priority="alarm"))
            self._news.told(news)
