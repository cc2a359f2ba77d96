"""Gap events of the outbox as samples of the agent's own machine: what is missing, and why.

The time of such a sample is when the samples were given up; ``age_s`` before that the missing time
begins, and ``duration_s`` is how long it is. An event may still grow while samples are being given
up, so it is told once it has rested. After a restart the newest are told once more: the same
series at the same time is the same sample in every store.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from ingest.telemetry import Quality, Series, TelemetryBatch

RESTS_AFTER_NS: Final = 90_000_000_000
"""The outbox joins events of one cause that follow each other within a minute."""

MAX_TOLD_AT_ONCE: Final = 100


class Gap(Protocol):
    """A gap event; see `edge_agent.records.GapEvent`."""

    @property
    def number(self) -> int:
        """Grows from one event to the next."""

    @property
    def began_at_ns(self) -> int:
        """When samples were first given up, in ns since 1970-01-01 UTC."""

    @property
    def ended_at_ns(self) -> int:
        """When samples were last given up, in ns since 1970-01-01 UTC."""

    @property
    def reason(self) -> str:
        """Why, in words."""

    @property
    def first_ns(self) -> int | None:
        """Earliest source time among them, in ns since 1970-01-01 UTC."""

    @property
    def last_ns(self) -> int | None:
        """Latest source time among them, in ns since 1970-01-01 UTC."""

    @property
    def n_samples(self) -> int:
        """How many samples."""

    @property
    def n_series(self) -> int:
        """How many series they belong to."""


class GapNews:
    """Knows which gap events were told already."""

    def __init__(self) -> None:
        self._told: set[int] | None = None

    def of(self, newest_first: Sequence[Gap], now_ns: int) -> list[Gap]:
        """Find the events that are to be told now.

        Parameters
        ----------
        newest_first : sequence of Gap
            Events as the outbox has them.
        now_ns : int
            Wall clock. [ns since 1970-01-01 UTC]

        Returns
        -------
        list of Gap
            Those that have rested and were not told; `told` marks them.
        """
        if self._told is None:
            # Told in an earlier run: each became a durable sample within minutes of its event.
            self._told = {gap.number for gap in newest_first[MAX_TOLD_AT_ONCE:]}
        self._told &= {gap.number for gap in newest_first}
        # A clock that was set back must not hide an event for ever.
        return [
            gap
            for gap in newest_first
            if gap.number not in self._told and abs(now_ns - gap.ended_at_ns) > RESTS_AFTER_NS
        ][:MAX_TOLD_AT_ONCE]

    def told(self, gaps: Sequence[Gap]) -> None:
        """Remember that these events are durable as samples.

        Parameters
        ----------
        gaps : sequence of Gap
            What was told.
        """
        self._told = (self._told or set()) | {gap.number for gap in gaps}


def gap_batch(site: str, agent: str, gaps: Sequence[Gap]) -> TelemetryBatch:
    """Write gap events as samples.

    Parameters
    ----------
    site, agent : str
        Whose they are.
    gaps : sequence of Gap
        At least one.

    Returns
    -------
    TelemetryBatch
        Up to four samples for each event.
    """
    told = [(gap.began_at_ns, *signal) for gap in gaps for signal in _signals(gap)]
    names = sorted({name for _, name, _ in told})
    return TelemetryBatch.of(
        [Series(site, agent, name) for name in names],
        [names.index(name) for _, name, _ in told],
        [time_ns for time_ns, _, _ in told],
        [value for _, _, value in told],
        [Quality.GOOD] * len(told),
    )


def _signals(gap: Gap) -> Iterator[tuple[str, float]]:
    prefix = f"gap_{gap.reason.replace(' ', '_')}"
    yield f"{prefix}_samples_count", gap.n_samples
    yield f"{prefix}_series_count", gap.n_series
    if gap.first_ns is not None and gap.last_ns is not None:
        yield f"{prefix}_age_s", (gap.began_at_ns - gap.first_ns) / 1e9
        yield f"{prefix}_duration_s", (gap.last_ns - gap.first_ns) / 1e9
