"""Averages that move along with time: windows put together from block ends and block starts.

Nothing is ever subtracted from a running sum: each window is the end of one block of `window`
steps and the start of the next, whose sums only ever grow [1]_, around a reference close to the
data. So a long float32 series far from zero loses no digits, and a spike leaves no trace once it
has left the window.

References
----------
.. [1] M. van Herk, "A fast algorithm for local minimum and maximum filters on rectangular and
   octagonal kernels", Pattern Recognition Letters, vol. 13, pp. 517-521, 1992.
"""

import math
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from analytics.arrays import BoolArray, DomainError, FloatArray

FloatT = TypeVar("FloatT", np.float32, np.float64)

_COLUMNS: Final = 8192
"""Series worked on at once: a few blocks of this width stay in the cache."""

_FAR: Final = 8.0
"""The reference follows when a block's middle is this many of its spreads away from it."""

_EWMA_ROWS: Final = 64
"""Rows after which it is seen whether a sample was missing."""


def rolling_mean_std(
    values: npt.NDArray[FloatT],
    window: int,
    *,
    min_samples: int = 2,
    out: tuple[npt.NDArray[FloatT], npt.NDArray[FloatT]] | None = None,
) -> tuple[npt.NDArray[FloatT], npt.NDArray[FloatT]]:
    """Mean and standard deviation over the last `window` steps, for every series at once.

    Parameters
    ----------
    values : ndarray of float32 or float64, shape (n_times, ...)
        Evenly spaced samples. Missing ones are left out of their windows.
    window : int
        Length of the window. [steps]
    min_samples : int
        Fewer present samples than this give ``nan``; the first windows are shorter.
    out : tuple of ndarray, optional
        Contiguous arrays to write into; fresh memory costs as much as the sums themselves.

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
    dtype = values.dtype
    into = (np.empty(values.shape, dtype), np.empty(values.shape, dtype)) if out is None else out
    mean, std = (part.reshape(flat.shape) for part in into)
    window = min(window, max(n_times, 1))
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, flat.shape[1], _COLUMNS):
            columns = slice(start, start + _COLUMNS)
            _MeanStd(flat[:, columns], window, min_samples).roll(mean[:, columns], std[:, columns])
    return into


class _MeanStd:
    """`rolling_mean_std` of a few columns: sums, sums of squares and, with gaps, counts."""

    def __init__(self, values: npt.NDArray[np.floating], window: int, min_samples: int) -> None:
        self._values = values
        self._window = window
        self._min_samples = min_samples
        n_columns = values.shape[1]
        # A sum is finite only if all that went into it was.
        self._has_gaps = not bool(np.isfinite(np.add.reduce(values, axis=0)).all())
        n_parts = 3 if self._has_gaps else 2
        dtype = values.dtype
        # The parts of a step lie side by side, so that one addition takes them all.
        self._block = np.zeros((window + 1, n_parts, n_columns), dtype)
        # Row o: sums over the steps o to the last of the block before.
        self._tails = np.zeros((window + 1, n_parts, n_columns), dtype)
        self._sums = np.zeros((window, n_parts, n_columns), dtype)
        self._reference = _first_present(values)
        # The block before the first is empty; every later one is full.
        self._n_in_tails = np.zeros((window + 1, 1), dtype)

    def roll(self, mean: npt.NDArray[np.floating], std: npt.NDArray[np.floating]) -> None:
        window = self._window
        for start in range(0, self._values.shape[0], window):
            rows = slice(start, start + window)
            x = self._values[rows]
            self._load(x)
            self._add_up(x.shape[0])
            self._finish(mean[rows], std[rows], is_first=start == 0)
            self._block, self._tails = self._tails, self._block
            self._n_in_tails[:, 0] = np.arange(window, -1, -1)

    def _load(self, x: npt.NDArray[np.floating]) -> None:
        """Put a block relative to the reference, which follows where the data went far."""
        n_rows = x.shape[0]
        present = np.isfinite(x) if self._has_gaps else None
        self._follow(x, present)
        shifted, squares = self._block[:n_rows, 0], self._block[:n_rows, 1]
        np.subtract(x, self._reference, out=shifted)
        if present is not None:
            np.copyto(shifted, 0, where=~present)
            np.copyto(self._block[:n_rows, 2], present)
        np.square(shifted, out=squares)
        self._block[n_rows:] = 0

    def _follow(self, x: npt.NDArray[np.floating], present: BoolArray | None) -> None:
        first, middle, last = (x[place] for place in (0, x.shape[0] // 2, x.shape[0] - 1))
        if present is not None:
            first, middle, last = (
                np.where(np.isfinite(part), part, self._reference) for part in (first, middle, last)
            )
        low, high = np.minimum(first, middle), np.maximum(first, middle)
        median = np.maximum(low, np.minimum(high, last))
        spread = np.maximum(high, last) - np.minimum(low, last)
        is_far = np.abs(median - self._reference) > _FAR * spread
        far = np.flatnonzero(is_far)
        if not far.size:
            return
        shift = self._reference[far] - median[far]
        n = self._tails[:, 2, far] if self._has_gaps else self._n_in_tails
        sums = self._tails[:, 0, far]
        self._tails[:, 1, far] += shift * (2 * sums + n * shift)
        self._tails[:, 0, far] = sums + n * shift
        self._reference[far] = median[far]

    def _add_up(self, n_rows: int) -> None:
        """Sum each window: the start of this block so far, and the end of the one before."""
        block = self._block
        head = np.zeros_like(block[0])
        for row, tail, total in zip(block[:n_rows], self._tails[1:], self._sums, strict=False):
            np.add(head, row, out=head)
            np.add(head, tail, out=total)
        for row in range(n_rows - 2, -1, -1):
            np.add(block[row], block[row + 1], out=block[row])

    def _finish(
        self,
        mean: npt.NDArray[np.floating],
        std: npt.NDArray[np.floating],
        *,
        is_first: bool,
    ) -> None:
        n_rows = mean.shape[0]
        total, squares = self._sums[:n_rows, 0], self._sums[:n_rows, 1]
        n: npt.NDArray[np.floating]
        if self._has_gaps:
            n = self._sums[:n_rows, 2]
        else:
            n = np.full((n_rows, 1), self._window, mean.dtype)
            if is_first:
                n[:, 0] = np.arange(1, n_rows + 1)
        per_n = np.asarray(1, mean.dtype) / np.maximum(n, 1)
        np.multiply(total, per_n, out=mean)
        np.multiply(squares, per_n, out=squares)
        np.square(mean, out=std)
        np.subtract(squares, std, out=std)
        # Rounding may leave a trace below zero.
        np.abs(std, out=std)
        np.sqrt(std, out=std)
        np.add(mean, self._reference, out=mean)
        if self._has_gaps or is_first:
            too_few = np.broadcast_to(n < self._min_samples, mean.shape)
            mean[too_few] = np.nan
            std[too_few] = np.nan


def _first_present(values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """First sample of each column, 0 where there is none."""
    if values.shape[0] == 0:
        return np.zeros(values.shape[1], values.dtype)
    first: npt.NDArray[np.floating] = values[0].copy()
    missing = np.flatnonzero(~np.isfinite(first))
    if missing.size:
        present = np.isfinite(values[:, missing])
        found = values[present.argmax(axis=0), missing]
        first[missing] = np.where(present.any(axis=0), found, 0)
    return first


def ewma(
    values: npt.NDArray[FloatT],
    alpha: float | FloatArray,
    *,
    warm_start: bool = False,
    out: npt.NDArray[FloatT] | None = None,
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
    out : ndarray, optional
        Array to write into; fresh memory costs as much as the averages themselves.

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
    out = np.empty((values.shape[0], *series), dtype=values.dtype) if out is None else out
    state = np.full(series, np.nan, dtype=values.dtype)
    # Infinite samples pass through the arithmetic before they are masked away.
    with np.errstate(invalid="ignore", over="ignore"):
        if warm_start:
            _warm_ewma(values, weight, state, out)
            return out
        begin = 0
        if values.shape[0] and np.isfinite(values[0]).all():
            out[0] = values[0]
            state, begin = out[0, ...], 1
        for start in range(begin, values.shape[0], _EWMA_ROWS):
            rows = slice(start, start + _EWMA_ROWS)
            state = _ewma_rows(values[rows], weight, state, out[rows])
    return out


def _ewma_rows(
    values: npt.NDArray[FloatT],
    weight: npt.NDArray[FloatT],
    state: npt.NDArray[FloatT],
    out: npt.NDArray[FloatT],
) -> npt.NDArray[FloatT]:
    """Average a few rows; return the state after them."""
    if np.isfinite(state).all():
        before = state
        for t, x in enumerate(values):
            moved = out[t, ...]
            np.subtract(x, before, out=moved)
            np.multiply(moved, weight, out=moved)
            np.add(moved, before, out=moved)
            before = moved
        # A missing sample would have spoilt everything after it.
        if np.isfinite(before).all():
            return before
    state = state.copy()
    for t, x in enumerate(values):
        moved = out[t, ...]
        np.subtract(x, state, out=moved)
        np.multiply(moved, weight, out=moved)
        np.add(moved, state, out=moved)
        # The first present sample finds nan and takes its place.
        np.copyto(moved, x, where=np.isnan(state))
        np.copyto(state, moved, where=np.isfinite(x))
        np.copyto(moved, state)
    return state


def _warm_ewma(
    values: npt.NDArray[FloatT],
    weight: npt.NDArray[FloatT],
    state: npt.NDArray[FloatT],
    out: npt.NDArray[FloatT],
) -> None:
    n_seen = np.zeros(values.shape[1:], dtype=values.dtype)
    for t, x in enumerate(values):
        moved = out[t, ...]
        present = np.isfinite(x)
        n_seen += present
        np.subtract(x, state, out=moved)
        moved *= np.maximum(weight, 1 / np.maximum(n_seen, 1))
        moved += state
        np.copyto(moved, x, where=np.isnan(state))
        np.copyto(state, moved, where=present)
        np.copyto(moved, state)
