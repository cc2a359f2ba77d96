"""What is left of old raw samples when there is no room for all: enough to see what happened.

Of each series, in each window of a minute, these stay: the first, the last, the smallest and the
largest sample of each quality, and where samples carry no value the first and the last of them. A
trend, a peak, a standstill and a change of quality can still be seen; a spectrum can't.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from edge_agent.outbox.frame import Columns

WINDOW_NS: Final = 60_000_000_000
"""At one sample a second, four of sixty stay: half of the cap then holds fifteen times its time."""


def survivors(columns: Columns) -> npt.NDArray[np.bool_]:
    """Choose the samples that stay.

    Parameters
    ----------
    columns : Columns
        Samples in any order.

    Returns
    -------
    ndarray of bool, shape (n_samples,)
        One flag per sample. Of equal values the earliest counts as the smallest and the latest as
        the largest; of equal times the place in `columns` decides.

    Examples
    --------
    >>> second = 1_000_000_000
    >>> survivors(Columns(
    ...     np.zeros(6, np.uint32), np.arange(6) * second, np.array([5.0, 1, 2, 9, 3, 4]),
    ...     np.zeros(6, np.uint8),
    ... )).tolist()
    [True, True, False, True, False, True]
    """
    stays = np.zeros(len(columns), dtype=bool)
    if not len(columns):
        return stays
    window = columns.time_ns // WINDOW_NS
    is_nan = np.isnan(columns.value)
    # Each class of samples that are looked at together: series, window, quality, with value or not.
    kind = columns.quality.astype(np.int64) * 2 + is_nan
    by_time = np.lexsort((columns.time_ns, kind, window, columns.series))
    begins = _begins(columns.series[by_time], window[by_time], kind[by_time])
    stays[by_time[begins]] = True
    stays[by_time[_ends(begins, len(columns))]] = True
    # A stable sort by value of what is in order of time leaves equal values in order of time.
    group = np.cumsum(begins)
    by_value = by_time[np.lexsort((columns.value[by_time], group))]
    stays[by_value[begins]] = True
    stays[by_value[_ends(begins, len(columns))]] = True
    # Samples without a value sort by nothing, so smallest and largest are their first and last.
    return stays


def _begins(
    series: npt.NDArray[np.uint32], window: npt.NDArray[np.int64], kind: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    begins = np.ones(series.size, dtype=bool)
    begins[1:] = (np.diff(series) != 0) | (np.diff(window) != 0) | (np.diff(kind) != 0)
    return begins


def _ends(begins: npt.NDArray[np.bool_], n_samples: int) -> npt.NDArray[np.intp]:
    return np.append(np.flatnonzero(begins)[1:], n_samples) - 1
