"""Putting rows in the order, and the number, that the stores promise."""

import numpy as np
import numpy.typing as npt

from ingest.telemetry import TelemetryBatch


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
