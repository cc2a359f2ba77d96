"""From stored samples to `FleetBlock`s: bin means of like machines on the model's time step.

A window is kept between rounds and only what is new, or came late, is read again. Steps begin
at whole multiples of their length since 1970, so the same samples fall into the same bins
whenever and in whatever order they are read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from analytics.arrays import FleetBlock, Float32Array, IntArray
from analytics.signals.resample import bin_means
from api.times import NS_PER_H
from ingest.ports import TelemetryStore
from ingest.telemetry import Quality, Series, TelemetryBatch

SeriesOf: TypeAlias = Mapping[str, Mapping[str, Sequence[Series]]]
"""Series by machine and signal."""


@dataclass(frozen=True, slots=True, eq=False)
class StoreWindow:
    """Samples of like machines, binned, and which samples they were.

    Parameters
    ----------
    block : FleetBlock
        Means of the good samples of each step.
    start_ns, step_ns : int
        Beginning of the first bin and length of each. [ns]
    count : ndarray of int64, shape (n_times, n_machines)
        Samples in each bin, of whatever quality.
    first_ns, last_ns : ndarray of int64, shape (n_times, n_machines)
        Oldest and newest good sample in each bin; 0 where there is none. [ns]
    """

    block: FleetBlock
    start_ns: int
    step_ns: int
    count: IntArray
    first_ns: IntArray
    last_ns: IntArray


class WindowReader:
    """Reads the window that ends with the newest sample of a fleet of like machines.

    Parameters
    ----------
    store : TelemetryStore
        Where samples are kept.
    signals : sequence of str
        Signals of the block, in its order.
    step_h : float
        Length of a bin. [h]
    window_days : float
        Length of the window. [days]
    """

    def __init__(
        self, store: TelemetryStore, signals: Sequence[str], *, step_h: float, window_days: float
    ) -> None:
        self._store = store
        self._signals = tuple(signals)
        self._step_ns = round(step_h * NS_PER_H)
        self._n_bins = max(2, int(np.ceil(window_days * 24.0 / step_h)))
        self._machines: tuple[str, ...] = ()
        self._kept = _Bins.empty(0, 0, len(self._signals), 0)

    def read(
        self,
        series_of: SeriesOf,
        newest_ns: int,
        dirty_from_ns: int | None = None,
    ) -> StoreWindow:
        """Read what is new and give the whole window.

        Parameters
        ----------
        series_of : mapping of str to mapping of str to sequence of Series
            The series of each machine by signal: several where it moved from site to site.
        newest_ns : int
            Newest sample of any of these machines; its bin is the last one. [ns]
        dirty_from_ns : int, optional
            Earliest sample written since the last call; None reads everything again. [ns]

        Returns
        -------
        StoreWindow
            The window, with machines in the order given.

        Raises
        ------
        StoreUnavailableError
            If the store can't be reached.
        """
        machines = tuple(series_of)
        first_bin = newest_ns // self._step_ns - self._n_bins + 1
        bins = _Bins.empty(first_bin, self._n_bins, len(self._signals), len(machines))
        read_from = first_bin
        if dirty_from_ns is not None and machines == self._machines:
            n_known = bins.take_over(self._kept, dirty_from_ns // self._step_ns)
            read_from += n_known
        self._fill(bins, series_of, read_from)
        self._machines, self._kept = machines, bins
        return StoreWindow(
            FleetBlock(
                np.arange(self._n_bins, dtype=np.float64) * (self._step_ns / NS_PER_H),
                self._signals,
                machines,
                bins.values,
            ),
            first_bin * self._step_ns,
            self._step_ns,
            bins.count,
            bins.first_ns,
            bins.last_ns,
        )

    def _fill(self, bins: "_Bins", series_of: SeriesOf, read_from: int) -> None:
        columns = [
            (all_series, self._signals.index(signal), column)
            for column, by_signal in enumerate(series_of.values())
            for signal, all_series in by_signal.items()
            if signal in self._signals
        ]
        n_new = bins.first_bin + self._n_bins - read_from
        if not columns or n_new <= 0:
            return
        start_ns = read_from * self._step_ns
        batch = self._store.read(
            [series for all_series, _, _ in columns for series in all_series],
            start_ns,
            start_ns + n_new * self._step_ns,
        )
        # One after another: a machine that moved is one machine, and a cell is one cell.
        n_sites = [len(all_series) for all_series, _, _ in columns]
        of_column = np.repeat(np.arange(len(columns)), n_sites)[batch.series_index]
        row_of = np.array([row for _, row, _ in columns])
        column_of = np.array([column for _, _, column in columns])
        is_good = batch.quality == Quality.GOOD
        means = bin_means(
            of_column[is_good],
            (batch.source_time_ns[is_good] - start_ns) / NS_PER_H,
            batch.value[is_good],
            n_series=len(columns),
            start_h=0.0,
            step_h=self._step_ns / NS_PER_H,
            n_steps=n_new,
        )
        rows = slice(read_from - bins.first_bin, None)
        bins.values[rows, row_of, column_of] = means
        _count(bins, batch, column_of[of_column], start_ns, self._step_ns, rows)


@dataclass(slots=True, eq=False)
class _Bins:
    first_bin: int
    values: Float32Array  # (n_bins, n_signals, n_machines)
    count: IntArray  # (n_bins, n_machines), samples of any quality
    first_ns: IntArray  # (n_bins, n_machines), of good samples
    last_ns: IntArray  # (n_bins, n_machines)

    @classmethod
    def empty(cls, first_bin: int, n_bins: int, n_signals: int, n_machines: int) -> "_Bins":
        return cls(
            first_bin,
            np.full((n_bins, n_signals, n_machines), np.nan, dtype=np.float32),
            np.zeros((n_bins, n_machines), dtype=np.int64),
            np.zeros((n_bins, n_machines), dtype=np.int64),
            np.zeros((n_bins, n_machines), dtype=np.int64),
        )

    def take_over(self, kept: "_Bins", dirty_bin: int) -> int:
        """Copy what still holds from an earlier window; return how many bins are known."""
        shift = self.first_bin - kept.first_bin
        n_known = int(min(kept.count.shape[0] - shift, dirty_bin - self.first_bin))
        if shift < 0 or n_known <= 0:
            return 0
        for name in ("values", "count", "first_ns", "last_ns"):
            getattr(self, name)[:n_known] = getattr(kept, name)[shift : shift + n_known]
        return n_known


def _count(
    bins: _Bins,
    batch: TelemetryBatch,
    column: IntArray,
    start_ns: int,
    step_ns: int,
    rows: slice,
) -> None:
    shape = bins.count[rows].shape
    n_cells = shape[0] * shape[1]
    cell = ((batch.source_time_ns - start_ns) // step_ns) * shape[1] + column
    bins.count[rows] = np.bincount(cell, minlength=n_cells).reshape(shape)
    is_good = batch.quality == Quality.GOOD
    first = np.full(n_cells, np.iinfo(np.int64).max)
    last = np.zeros(n_cells, dtype=np.int64)
    np.minimum.at(first, cell[is_good], batch.source_time_ns[is_good])
    np.maximum.at(last, cell[is_good], batch.source_time_ns[is_good])
    bins.first_ns[rows] = np.where(last > 0, first, 0).reshape(shape)
    bins.last_ns[rows] = last.reshape(shape)
