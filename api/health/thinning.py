"""Fewer points for a chart, with every extreme kept: a spike must never vanish by zooming out."""

import numpy as np

from analytics.arrays import FloatArray, IntArray


def thin_keeping_extremes(
    time_ns: IntArray, value: FloatArray, *, start_ns: int, end_ns: int, max_points: int
) -> IntArray:
    """Choose samples so that a line through them looks like a line through all.

    The window is cut into equal slices of time; of each the lowest and the highest value are
    kept. A slice that has only unknown values keeps one of them, so that the gap shows.

    Parameters
    ----------
    time_ns : ndarray of int64, shape (n_samples,)
        Rising. [ns]
    value : ndarray of float64, shape (n_samples,)
        ``nan`` where not known.
    start_ns, end_ns : int
        The window, end excluded. [ns]
    max_points : int
        At most so many, from 2.

    Returns
    -------
    ndarray of int64, shape (n_chosen,)
        Positions, rising; all of them if there are no more than `max_points`.

    Examples
    --------
    >>> value = np.array([1.0, 9.0, 2.0, 3.0, -5.0, 4.0])
    >>> thin_keeping_extremes(np.arange(6), value, start_ns=0, end_ns=6, max_points=4).tolist()
    [0, 1, 4, 5]
    """
    if time_ns.size <= max_points:
        return np.arange(time_ns.size)
    n_slices = max(max_points // 2, 1)
    width_ns = -(-(end_ns - start_ns) // n_slices)
    part = (time_ns - start_ns) // width_ns
    is_known = np.isfinite(value)
    known = np.flatnonzero(is_known)
    order = known[np.lexsort((value[known], part[known]))]
    lowest = order[_begins(part[order])]
    highest = order[_ends(part[order])]
    unknown = np.flatnonzero(~is_known & ~np.isin(part, part[known]))
    return np.unique(np.concatenate([lowest, highest, unknown[_begins(part[unknown])]]))


def _begins(part: IntArray) -> IntArray:
    is_first = np.ones(part.size, dtype=np.bool_)
    is_first[1:] = part[1:] != part[:-1]
    return np.flatnonzero(is_first)


def _ends(part: IntArray) -> IntArray:
    is_last = np.ones(part.size, dtype=np.bool_)
    is_last[:-1] = part[1:] != part[:-1]
    return np.flatnonzero(is_last)
