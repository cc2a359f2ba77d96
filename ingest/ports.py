"""What ingest needs from outside: a place to keep telemetry, and a list of known machines."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ingest.rollups import Rollups
from ingest.telemetry import Series, TelemetryBatch


@dataclass(frozen=True, slots=True, eq=False)
class StepMeans:
    """A window on an even grid, as the analytics take it.

    Parameters
    ----------
    mean : ndarray of float64, shape (n_steps, n_series)
        Mean of the good samples of each step, ``nan`` where there is none.
    count : ndarray of uint32, shape (n_steps, n_series)
        Good samples in it.
    """

    mean: npt.NDArray[np.float64]
    count: npt.NDArray[np.uint32]


class TelemetryStore(Protocol):
    """Keeps samples. One contract suite (``tests/contract``) runs against every adapter.

    A sample is identified by its series and source time: writing it again stores it once,
    and the last value written wins. All methods may be called from any thread.
    """

    def write(self, batch: TelemetryBatch) -> None:
        """Keep every sample of the batch; on return they are durable.

        Parameters
        ----------
        batch : TelemetryBatch
            Validated samples. ``nan`` stands only beside bad quality.

        Raises
        ------
        StoreUnavailableError
            If the store can't be reached; nothing may be assumed about the batch.
        StoreRejectedError
            If the store will never take it.
        """

    def read(self, series: Sequence[Series], start_ns: int, end_ns: int) -> TelemetryBatch:
        """Read a window as columns.

        Parameters
        ----------
        series : sequence of Series
            What to read; this becomes the series table, in this order. Series never
            written are simply without samples.
        start_ns, end_ns : int
            Half-open window ``start <= source time < end``. [ns]

        Returns
        -------
        TelemetryBatch
            Samples sorted by series, then by source time, each exactly once.

        Raises
        ------
        StoreUnavailableError
            If the store can't be reached.
        """

    def latest(self, series: Sequence[Series]) -> TelemetryBatch:
        """Newest sample of each series.

        Parameters
        ----------
        series : sequence of Series
            What to read; this becomes the series table.

        Returns
        -------
        TelemetryBatch
            At most one sample for each series, in the order given.

        Raises
        ------
        StoreUnavailableError
            If the store can't be reached.
        """

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
            Samples of a step are added in the order of time, so that the mean does not depend
            on the order in which they came.

        Raises
        ------
        StoreUnavailableError
            If the store can't be reached.
        """

    def read_rollups(
        self, series: Sequence[Series], start_ns: int, end_ns: int, step_ns: int
    ) -> Rollups:
        """Read roll-ups, right also for what came late a moment ago.

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
        StoreUnavailableError
            If the store can't be reached.
        """

    def maintain(self, *, raw_from_ns: int | None = None) -> int:
        """Do a bounded part of the store's own upkeep, if it has any.

        Parameters
        ----------
        raw_from_ns : int, optional
            Samples before this may be dropped once they are rolled up; None keeps all. [ns]

        Returns
        -------
        int
            Above 0 if there may be more to do.

        Raises
        ------
        StoreUnavailableError
            If the store can't be reached.
        """

    def series(self) -> tuple[Series, ...]:
        """Every series ever written, sorted.

        Returns
        -------
        tuple of Series
            Without repeats.

        Raises
        ------
        StoreUnavailableError
            If the store can't be reached.
        """

    def close(self) -> None:
        """Release files and connections; a closed store may not be used again."""


class MachineCatalogue(Protocol):
    """Knows which machines may send."""

    def is_known(self, machine: str) -> bool:
        """Whether telemetry of this machine is expected.

        Parameters
        ----------
        machine : str
            Machine name.

        Returns
        -------
        bool
            False sets its samples aside as ``unknown machine``.
        """
