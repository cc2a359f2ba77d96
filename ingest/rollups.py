"""Roll-ups: what is kept of samples when the samples themselves are many, or gone.

Pure functions of columns. A roll-up is made of the samples sorted by series and time, each once, so
it is the same to the last bit in whatever order, parts and repeats they arrived. Hours are rolled
up from minutes: the mean of an hour is the same whether it is made now or from kept minutes.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ingest.telemetry import Quality, Series, TelemetryBatch

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

MINUTE_NS: Final = 60_000_000_000
HOUR_NS: Final = 60 * MINUTE_NS


@dataclass(frozen=True, slots=True, eq=False)
class Rollups:
    """Steps of series, sorted by series and time.

    Parameters
    ----------
    series : tuple of Series
        The series table.
    series_index : ndarray of uint32, shape (n_steps,)
        Row of `series` of each step.
    start_ns : ndarray of int64, shape (n_steps,)
        Beginning of the step, a whole multiple of its length since 1970. [ns]
    count : ndarray of int64, shape (n_steps,)
        Good samples in it.
    n_other : ndarray of int64, shape (n_steps,)
        Uncertain and bad samples in it.
    minimum, maximum, last : ndarray of float64, shape (n_steps,)
        Of the good samples; ``nan`` where there is none.
    total : ndarray of float64, shape (n_steps,)
        Sum of the good samples, added in the order of time.
    """

    series: tuple[Series, ...]
    series_index: npt.NDArray[np.uint32]
    start_ns: IntArray
    count: IntArray
    n_other: IntArray
    minimum: FloatArray
    maximum: FloatArray
    last: FloatArray
    total: FloatArray

    def __len__(self) -> int:
        return int(self.start_ns.size)

    @property
    def mean(self) -> FloatArray:
        """Mean of the good samples of each step, ``nan`` where there is none."""
        mean = np.full(self.total.size, np.nan)
        np.divide(self.total, self.count, out=mean, where=self.count > 0)
        return mean


def roll_up(batch: TelemetryBatch) -> Rollups:
    """Roll samples up to minutes.

    Parameters
    ----------
    batch : TelemetryBatch
        Samples sorted by series and time, each once, as a `TelemetryStore` reads them.

    Returns
    -------
    Rollups
        One step for each minute in which a series has a sample.

    Examples
    --------
    >>> batch = TelemetryBatch.of(
    ...     [Series("a", "m", "flow_m3_h")], [0, 0, 0], [1, 2, MINUTE_NS], [4.0, 2.0, 7.0], [0] * 3
    ... )
    >>> minutes = roll_up(batch)
    >>> minutes.mean.tolist(), minutes.last.tolist(), minutes.count.tolist()
    ([3.0, 7.0], [2.0, 7.0], [2, 1])
    """
    start_ns = batch.source_time_ns // MINUTE_NS * MINUTE_NS
    is_good = (batch.quality == Quality.GOOD) & np.isfinite(batch.value)
    return _reduced(
        batch.series,
        batch.series_index,
        start_ns,
        count=is_good.astype(np.int64),
        n_other=(~is_good).astype(np.int64),
        minimum=np.where(is_good, batch.value, np.nan),
        maximum=np.where(is_good, batch.value, np.nan),
        last=np.where(is_good, batch.value, np.nan),
        total=np.where(is_good, batch.value, 0.0),
    )


def roll_up_further(minutes: Rollups) -> Rollups:
    """Roll minutes up to hours.

    Parameters
    ----------
    minutes : Rollups
        Steps of a minute, whole hours of them.

    Returns
    -------
    Rollups
        One step for each hour in which a series has a sample.
    """
    return _reduced(
        minutes.series,
        minutes.series_index,
        minutes.start_ns // HOUR_NS * HOUR_NS,
        count=minutes.count,
        n_other=minutes.n_other,
        minimum=minutes.minimum,
        maximum=minutes.maximum,
        last=minutes.last,
        total=minutes.total,
    )


def select_steps(steps: Rollups, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Rollups:
    """Select steps, keeping the series table.

    Parameters
    ----------
    steps : Rollups
        Steps.
    rows : ndarray of bool or int
        One flag per step, or positions.

    Returns
    -------
    Rollups
        Those steps, in that order.
    """
    return Rollups(
        steps.series,
        steps.series_index[rows],
        steps.start_ns[rows],
        steps.count[rows],
        steps.n_other[rows],
        steps.minimum[rows],
        steps.maximum[rows],
        steps.last[rows],
        steps.total[rows],
    )


def _reduced(
    series: tuple[Series, ...],
    series_index: npt.NDArray[np.uint32],
    start_ns: IntArray,
    *,
    count: IntArray,
    n_other: IntArray,
    minimum: FloatArray,
    maximum: FloatArray,
    last: FloatArray,
    total: FloatArray,
) -> Rollups:
    is_first = np.ones(start_ns.size, np.bool_)
    is_first[1:] = (series_index[1:] != series_index[:-1]) | (start_ns[1:] != start_ns[:-1])
    first = np.flatnonzero(is_first)
    if first.size == 0:
        return Rollups(
            series, series_index, start_ns, count, n_other, minimum, maximum, last, total
        )
    step = np.cumsum(is_first) - 1
    # The last good one, not the last: positions of those without a value don't count.
    position = np.where(np.isnan(last), -1, np.arange(last.size))
    newest = np.maximum.reduceat(position, first)
    last_good: FloatArray = np.where(newest < 0, np.nan, last[newest])
    return Rollups(
        series,
        series_index[first],
        start_ns[first],
        np.add.reduceat(count, first),
        np.add.reduceat(n_other, first),
        np.fmin.reduceat(minimum, first),
        np.fmax.reduceat(maximum, first),
        last_good,
        # One after the other, as a loop would: reduceat adds in pairs, in an order of its own.
        np.bincount(step, weights=total, minlength=first.size).astype(np.float64),
    )
