"""What ingest needs from outside: a place to keep telemetry, and a list of known machines."""

from collections.abc import Sequence
from typing import Protocol

from ingest.telemetry import Series, TelemetryBatch


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
