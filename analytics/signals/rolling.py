"""Averages that move along with time."""

import math
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from analytics.arrays import DomainError, FloatArray

FloatT = TypeVar("FloatT", np.float32, np.float64)

_CHUNK_VALUES: Final = 1 << 20
"""Values worked on at once: a few arrays of this size stay near the cache."""


def rolling_mean_std(
    values: npt.NDArray[FloatT], window: int, *, min_samples: int = 2
) -> tuple[npt.NDArray[FloatT], npt.NDArray[FloatT]]:
    """Mean and standard deviation over the last `window` steps, for every series at once.

    Nothing is ever subtracted from a running sum: each window is put together from the end of
    one block of `window` steps and the start of the next, whose sums only ever grow, around a
    reference inside the block [1]_, with the update of [2]_. So a long series far from zero
    loses no digits.

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
    mean : ndarray of the shape and dtype of `values`
        Mean over the steps ``t - window + 1`` to ``t``.
    std : ndarray of the shape and dtype of `values`
        Population standard deviation over the same steps.

    Raises
    ------
    DomainError
        If the window or `min_samples` is below 1.

    References
    ----------
    .. [1] M. van Herk, "A fast algorithm for local minimum and maximum filters on rectangular
       and octagonal kernels", Pattern Recognition Letters, vol. 13, pp. 517-521, 1992: the
       two-pass split of windows into block ends and block starts.
    .. [2] T. F. Chan, G. H. Golub and R. J. LeVeque, "Algorithms for computing the sample
       variance: analysis and recommendations", The American Statistician, vol. 37, no. 3,
       pp. 242-247, 1983.

    Examples
    --------
    >>> mean, std = rolling_mean_std(np.array([1.0, 3.0, np.nan, 5.0]), window=3)
    >>> mean, std
    (array([nan,  2.,  2.,  4.]), array([nan,  1.,  1.,  1.]))
    """
    if window < 1 or min_samples < 1:
        msg = (
            f"rolling_mean_std: window is {window} and min_samples {min_samples}; "
            "give numbers of steps and samples, at least 1"
        )
        raise DomainError(msg)
    n_times = values.shape[0]
    flat = values.reshape(n_times, math.prod(values.shape[1:]))
    mean, std = np.empty_like(flat), np.empty_like(flat)
    window = min(window, max(n_times, 1))
    n_columns = max(1, _CHUNK_VALUES // max(1, n_times + window))
    for start in range(0, flat.shape[1], n_columns):
        columns = slice(start, start + n_columns)
        mean[:, columns], std[:, columns] = _rolling(flat[:, columns], window, min_samples)
    return mean.reshape(values.shape), std.reshape(values.shape)


def _rolling(
    values: npt.NDArray[np.floating], window: int, min_samples: int
) -> tuple[FloatArray, FloatArray]:
    """`rolling_mean_std` of a few columns, in float64."""
    n_times, n_columns = values.shape
    # One block of nothing before the first: then every window is an end and a start.
    n_blocks = 1 + -(-n_times // window)
    padded = np.full((n_blocks * window, n_columns), np.nan)
    padded[window : window + n_times] = values
    blocks = padded.reshape(n_blocks, window, n_columns)
    present = np.isfinite(blocks)
    count = present.sum(axis=1, keepdims=True)
    blocks = np.where(present, blocks, 0.0)
    reference = blocks.sum(axis=1, keepdims=True) / np.maximum(count, 1)
    shifted = np.where(present, blocks - reference, 0.0)

    starts = _moments(present, shifted, reference)
    ends = _moments(present[:, ::-1], shifted[:, ::-1], reference)
    # The window that ends at offset o of a block holds o + 1 steps of it, and before them the
    # last window - 1 - o steps of the block before: none for the last offset.
    n_b, mean_b, spread_b = (part[1:] for part in starts)
    n_a, mean_a, spread_a = (_ends_before(part[:-1]) for part in ends)
    n = n_a + n_b
    share_a = n_a / np.maximum(n, 1)
    gap = np.where((n_a > 0) & (n_b > 0), mean_a - mean_b, 0.0)
    mean = np.where(n_b > 0, mean_b + gap * share_a, mean_a)
    spread = spread_a + spread_b + gap**2 * share_a * n_b
    std = np.sqrt(np.maximum(spread, 0.0) / np.maximum(n, 1))
    too_few = n < min_samples
    mean[too_few] = np.nan
    std[too_few] = np.nan
    shape = (-1, n_columns)
    return mean.reshape(shape)[:n_times], std.reshape(shape)[:n_times]


def _moments(
    present: npt.NDArray[np.bool_], shifted: FloatArray, reference: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Count, mean and summed squared deviation of each growing part of each block."""
    n = np.cumsum(present, axis=1, dtype=np.float64)
    total = np.cumsum(shifted, axis=1)
    at_least_one = np.maximum(n, 1.0)
    spread = np.cumsum(shifted**2, axis=1) - total**2 / at_least_one
    return n, reference + total / at_least_one, spread


def _ends_before(part: FloatArray) -> FloatArray:
    """Line up block ends of window - 1, ..., 1, 0 steps with the offsets they precede."""
    lined_up = np.zeros_like(part)
    lined_up[:, :-1] = part[:, -2::-1]
    return lined_up


def ewma(
    values: npt.NDArray[FloatT], alpha: float | FloatArray, *, warm_start: bool = False
) -> npt.NDArray[FloatT]:
    """Exponentially weighted moving average along time, for every series at once.

    Each present sample moves the average by ``alpha`` of the way towards itself. [1]_ A missing
    sample leaves it where it is; before the first present sample it is ``nan``.

    Parameters
    ----------
    values : ndarray of float32 or float64, shape (n_times, ...)
        Evenly spaced samples.
    alpha : float or ndarray that broadcasts with ``values.shape[1:]``
        Weight of the newest sample, above 0 and up to 1; ``1 / alpha`` is the memory. [1/step]
    warm_start : bool
        Take the plain mean until the memory is full, so that the first sample, one noisy value,
        does not colour everything after it.

    Returns
    -------
    ndarray of the dtype of `values`, shape (n_times, ...)
        Averages; the trailing shape is that of `values` and `alpha` broadcast together.

    Raises
    ------
    DomainError
        If `alpha` is not above 0 and up to 1.

    References
    ----------
    .. [1] S. W. Roberts, "Control chart tests based on geometric moving averages",
       Technometrics, vol. 1, no. 3, pp. 239-250, 1959.

    Examples
    --------
    >>> ewma(np.array([np.nan, 4.0, 8.0, np.nan, 6.0]), alpha=0.5)
    array([nan,  4.,  6.,  6.,  6.])
    """
    weight = np.asarray(alpha, dtype=values.dtype)
    if not np.all((weight > 0) & (weight <= 1)):
        msg = f"ewma: alpha is {alpha}; give a weight above 0 and up to 1"
        raise DomainError(msg)
    series: tuple[int, ...] = np.broadcast_shapes(values.shape[1:], weight.shape)
    out = np.empty((values.shape[0], *series), dtype=values.dtype)
    state = np.full(series, np.nan, dtype=values.dtype)
    moved = np.empty_like(state)
    n_seen = np.zeros(values.shape[1:], dtype=values.dtype)
    # Infinite samples pass through the arithmetic before they are masked away.
    with np.errstate(invalid="ignore", over="ignore"):
        for t in range(values.shape[0]):
            present = np.isfinite(values[t])
            np.subtract(values[t], state, out=moved)
            if warm_start:
                n_seen += present
                moved *= np.maximum(weight, 1 / np.maximum(n_seen, 1))
            else:
                moved *= weight
            moved += state
            # The first present sample finds nan and takes its place.
            np.copyto(moved, values[t], where=np.isnan(state))
            np.copyto(state, moved, where=present)
            out[t] = state
    return out
