"""Extremes and slope over windows that move along with time, for every series at once."""

import math
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from analytics.arrays import DomainError, FloatArray

FloatT = TypeVar("FloatT", np.float32, np.float64)

_LEAST_FOR_SLOPE: Final = 2


def rolling_min_max(
    values: npt.NDArray[FloatT], window: int, *, min_samples: int = 1
) -> tuple[npt.NDArray[FloatT], npt.NDArray[FloatT]]:
    """Smallest and largest sample of the last `window` steps, for every series at once.

    Three comparisons a sample whatever the window [1]_.

    Parameters
    ----------
    values : ndarray of float32 or float64, shape (n_times, ...)
        Evenly spaced samples. Missing ones are left out of their windows.
    window : int
        Length of the window. [steps]
    min_samples : int
        Fewer present samples than this give ``nan``; the first windows are shorter.

    Returns
    -------
    smallest, largest : ndarray of the shape and dtype of `values`
        Over the steps ``t - window + 1`` to ``t``.

    References
    ----------
    .. [1] M. van Herk, "A fast algorithm for local minimum and maximum filters on rectangular and
       octagonal kernels", Pattern Recognition Letters, vol. 13, pp. 517-521, 1992.

    Examples
    --------
    >>> rolling_min_max(np.array([1.0, 3.0, np.nan, 2.0]), window=2)
    (array([1., 1., 3., 2.]), array([1., 3., 3., 2.]))
    """
    _check("rolling_min_max", window, min_samples)
    x = np.where(np.isfinite(values), values, np.asarray(np.nan, values.dtype))
    smallest, largest = _extremes(x, window, np.fmin), _extremes(x, window, np.fmax)
    if min_samples > 1:
        too_few = _rolling_counts(np.isfinite(x), window) < min_samples
        smallest[too_few] = np.nan
        largest[too_few] = np.nan
    return smallest, largest


def rolling_slope(
    values: npt.NDArray[FloatT], window: int, *, min_samples: int = 2
) -> npt.NDArray[FloatT]:
    """Slope of the straight line that fits the last `window` steps best, for every series.

    Parameters
    ----------
    values : ndarray of float32 or float64, shape (n_times, ...)
        Evenly spaced samples. Missing ones are left out of their windows.
    window : int
        Length of the window. [steps]
    min_samples : int
        Fewer present samples than this give ``nan``; at least 2 are needed.

    Returns
    -------
    ndarray of the shape and dtype of `values`
        By least squares, in the unit of the values per step.

    Examples
    --------
    >>> rolling_slope(np.array([1.0, 3.0, 5.0, np.nan, 9.0]), window=3)
    array([nan,  2.,  2.,  2.,  2.])
    """
    _check("rolling_slope", window, min_samples)
    n_times = values.shape[0]
    flat = values.reshape(n_times, math.prod(values.shape[1:])).astype(np.float64)
    present = np.isfinite(flat)
    n_present = np.maximum(present.sum(axis=0), 1)
    middle = np.where(present, flat, 0.0).sum(axis=0) / n_present
    y = np.where(present, flat - middle, 0.0)
    slope = np.full_like(flat, np.nan)
    window = min(window, max(n_times, 1))
    place = np.arange(window, dtype=np.float64)[:, np.newaxis]
    needed = max(min_samples, _LEAST_FOR_SLOPE)
    before = np.zeros((5, window + 1, flat.shape[1]))
    for start in range(0, n_times, window):
        rows = slice(start, start + window)
        n_rows = min(window, n_times - start)
        p, v, k = present[rows].astype(np.float64), y[rows], place[:n_rows]
        parts = np.stack([p, k * p, k**2 * p, v, k * v])
        sums = np.cumsum(parts, axis=1) + before[:, 1 : n_rows + 1]
        slope[rows] = _slope_of(sums, needed)
        before = np.zeros_like(before)
        before[:, :n_rows] = np.cumsum(parts[:, ::-1], axis=1)[:, ::-1]
        _count_back(before, window)
    out: npt.NDArray[FloatT] = slope.reshape(values.shape).astype(values.dtype)
    return out


def _count_back(sums: FloatArray, window: int) -> None:
    """Count the steps of a block from the beginning of the next one: all are `window` less."""
    n, k, kk, v, kv = sums
    kk -= 2 * window * k - window**2 * n
    k -= window * n
    kv -= window * v


def _slope_of(sums: FloatArray, needed: int) -> FloatArray:
    n, k, kk, v, kv = sums
    spread = n * kk - k**2
    slope = np.full_like(n, np.nan)
    np.divide(n * kv - k * v, spread, out=slope, where=(n >= needed) & (spread > 0))
    return np.asarray(slope)


def _check(name: str, window: int, min_samples: int) -> None:
    if window < 1 or min_samples < 1:
        msg = (
            f"{name}: window is {window} and min_samples {min_samples}; "
            "give numbers of steps and samples, at least 1"
        )
        raise DomainError(msg)


def _extremes(x: npt.NDArray[FloatT], window: int, pick: np.ufunc) -> npt.NDArray[FloatT]:
    out = np.empty(x.shape, x.dtype)
    before: npt.NDArray[FloatT] | None = None
    for start in range(0, x.shape[0], window):
        block = x[start : start + window]
        n_rows = block.shape[0]
        out[start : start + n_rows] = pick.accumulate(block, axis=0)
        if before is not None:
            # Row o of the block before reaches back from its end; row o + 1 is still inside.
            reach = out[start : start + min(n_rows, window - 1)]
            pick(reach, before[1 : 1 + reach.shape[0]], out=reach)
        before = pick.accumulate(block[::-1], axis=0)[::-1]
    return out


def _rolling_counts(present: npt.NDArray[np.bool_], window: int) -> npt.NDArray[np.int64]:
    total = np.cumsum(present, axis=0, dtype=np.int64)
    counts = total.copy()
    counts[window:] -= total[:-window]
    return counts
