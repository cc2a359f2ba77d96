"""Putting rows in the order, and the number, that the stores promise."""

import numpy as np
import numpy.typing as npt

from ingest.ports import StepMeans
from ingest.telemetry import Quality, TelemetryBatch


def last_of_each(
    series_index: npt.NDArray[np.uint32], source_time_ns: npt.NDArray[np.int64]
) -> npt.NDArray[np.intp]:
    """Rows sorted by series and time, of equal ones only the last.

    Parameters
    ----------
    series_index : ndarray of uint32, shape (n_samples,)
        Series of each sample.
    source_time_ns : ndarray of int64, shape (n_samples,)
        Time of each sample. [ns]

    Returns
    -------
    ndarray of intp, shape (n_kept,)
        Positions in the given arrays.

    Examples
    --------
    >>> last_of_each(np.array([1, 0, 1, 1], np.uint32), np.array([5, 7, 5, 4])).tolist()
    [1, 3, 2]
    """
    order = np.lexsort((source_time_ns, series_index))
    index, time_ns = series_index[order], source_time_ns[order]
    is_last = np.ones(order.size, dtype=np.bool_)
    is_last[:-1] = (index[1:] != index[:-1]) | (time_ns[1:] != time_ns[:-1])
    return order[is_last]


def one_of_each(batch: TelemetryBatch) -> TelemetryBatch:
    """Sort a batch by series and time; of samples with equal ones, keep the last.

    Parameters
    ----------
    batch : TelemetryBatch
        Samples in the order they were written.

    Returns
    -------
    TelemetryBatch
        Each (series, time) once.
    """
    return batch.take(last_of_each(batch.series_index, batch.source_time_ns))


def step_means(batch: TelemetryBatch, start_ns: int, step_ns: int, n_steps: int) -> StepMeans:
    """Means of good samples on an even grid.

    Parameters
    ----------
    batch : TelemetryBatch
        Samples sorted by series and time, each once.
    start_ns : int
        Where the grid begins. [ns]
    step_ns : int
        Length of a step. [ns]
    n_steps : int
        How many steps there are.

    Returns
    -------
    StepMeans
        Samples of a step are added in the order of time.

    Examples
    --------
    >>> from ingest.telemetry import Series
    >>> batch = TelemetryBatch.of([Series("a", "m", "s")], [0, 0], [10, 11], [1.0, 2.0], [0, 0])
    >>> step_means(batch, 10, 5, 2).mean.tolist()
    [[1.5], [nan]]
    """
    n_series = len(batch.series)
    is_good = (batch.quality == Quality.GOOD) & np.isfinite(batch.value)
    is_good &= batch.source_time_ns >= start_ns
    is_good &= batch.source_time_ns < start_ns + n_steps * step_ns
    step = (batch.source_time_ns[is_good] - start_ns) // step_ns
    cell = step * n_series + batch.series_index[is_good]
    n_cells = n_steps * n_series
    count = np.bincount(cell, minlength=n_cells)
    total = np.bincount(cell, weights=batch.value[is_good], minlength=n_cells)
    mean = np.full(n_cells, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    shape = (n_steps, n_series)
    return StepMeans(mean.reshape(shape), count.astype(np.uint32).reshape(shape))
