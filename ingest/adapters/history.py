"""Windows and roll-ups for a store that only reads samples: computed from them when asked for."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from ingest.adapters.columns import step_means
from ingest.ports import StepMeans
from ingest.rollups import HOUR_NS, MINUTE_NS, Rollups, roll_up, roll_up_further, select_steps
from ingest.telemetry import Series, TelemetryBatch


class HistoryFromSamples(ABC):
    """What a store has left to do is to read."""

    @abstractmethod
    def read(self, series: Sequence[Series], start_ns: int, end_ns: int) -> TelemetryBatch:
        """Read a window as columns; see `ingest.ports.TelemetryStore`."""

    def read_steps(
        self, series: Sequence[Series], start_ns: int, step_ns: int, n_steps: int
    ) -> StepMeans:
        """Read a window as means of good samples on an even grid.

        Parameters
        ----------
        series : sequence of Series
            What to read, in this order and without repeats.
        start_ns : int
            Where the grid begins. [ns]
        step_ns : int
            Length of a step. [ns]
        n_steps : int
            How many steps there are.

        Returns
        -------
        StepMeans
            Means of the good samples of each step.
        """
        batch = self.read(series, start_ns, start_ns + n_steps * step_ns)
        return step_means(batch, start_ns, step_ns, n_steps)

    def read_rollups(
        self, series: Sequence[Series], start_ns: int, end_ns: int, step_ns: int
    ) -> Rollups:
        """Roll the samples of a window up.

        Parameters
        ----------
        series : sequence of Series
            What to read; this becomes the series table, in this order.
        start_ns, end_ns : int
            Steps that begin in this half-open window. [ns]
        step_ns : int
            Length of a step: a minute or an hour. [ns]

        Returns
        -------
        Rollups
            Sorted by series and time.

        Raises
        ------
        ValueError
            If there are no roll-ups of this length.
        """
        if step_ns not in {MINUTE_NS, HOUR_NS}:
            msg = f"step_ns: {step_ns} is neither a minute ({MINUTE_NS}) nor an hour ({HOUR_NS})"
            raise ValueError(msg)
        # From the whole steps that begin in the window: the first at or after its beginning.
        first_ns = -(-start_ns // step_ns) * step_ns
        last_ns = -(-end_ns // step_ns) * step_ns
        minutes = roll_up(self.read(series, first_ns, last_ns))
        steps = minutes if step_ns == MINUTE_NS else roll_up_further(minutes)
        return select_steps(steps, (steps.start_ns >= start_ns) & (steps.start_ns < end_ns))

    def maintain(self, *, raw_from_ns: int | None = None) -> int:
        """Do nothing: such a store looks after itself.

        Parameters
        ----------
        raw_from_ns : int, optional
            Not looked at; set the retention in the store itself.

        Returns
        -------
        int
            0.
        """
        del raw_from_ns
        return 0
