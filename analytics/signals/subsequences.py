"""The shape of one signal over time: windows that no plane explains, and windows unlike all others.

A window is named by its first sample. Offline figures may look at the whole series; causal ones
look at what came before.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.arrays import BoolArray, DomainError, FloatArray, NotEnoughDataError
from analytics.signals.projection import Projection, fit_projection

_LARGEST_LAG: Final = 400
_SHORTEST: Final = 8
_DEFAULT_PERIOD: Final = 100
_CLEAR_PEAK: Final = 0.2
"""Autocorrelation at which a period is believed."""

_BLOCK: Final = 512


def period_of(x: FloatArray, *, longest: int = 300) -> int:
    """Find the period of a series from its autocorrelation.

    Parameters
    ----------
    x : ndarray of shape (n,)
        The series, best an ordinary stretch of it; missing samples count as the mean.
    longest : int
        Longest period looked for. [samples]

    Returns
    -------
    int
        Lag of the highest peak, or 100 (a third of a shorter series) where there is no clear one.
        [samples]

    Examples
    --------
    >>> period_of(np.sin(2 * np.pi * np.arange(1000) / 48))
    48
    """
    known = np.where(np.isfinite(x), x, np.nanmean(x) if np.isfinite(x).any() else 0.0)
    centred = known - known.mean()
    n = int(centred.size)
    default = int(max(min(_DEFAULT_PERIOD, n // 3), _SHORTEST))
    power = float((centred**2).sum())
    if n < 3 * _SHORTEST or power <= 0:
        return default
    spectrum = np.fft.rfft(centred, 2 * n)
    likeness = np.fft.irfft(np.abs(spectrum) ** 2)[: min(_LARGEST_LAG, n // 2)] / power
    inner = likeness[1:-1]
    is_peak = (inner > likeness[:-2]) & (inner > likeness[2:])
    lags = np.flatnonzero(is_peak) + 1
    lags = lags[(lags >= _SHORTEST) & (lags <= longest)]
    if not lags.size or likeness[lags].max() < _CLEAR_PEAK:
        return default
    return int(lags[likeness[lags].argmax()])


def windows_of(x: FloatArray, width: int) -> FloatArray:
    """Cut a series into every window of a width.

    Parameters
    ----------
    x : ndarray of shape (n,)
        The series.
    width : int
        Length of a window. [samples]

    Returns
    -------
    ndarray of shape (n - width + 1, width)
        A view.

    Raises
    ------
    NotEnoughDataError
        If the series is shorter than two windows.
    DomainError
        If the width is below 2.
    """
    if width < 2:
        msg = f"windows_of: width is {width}; give at least 2 samples"
        raise DomainError(msg)
    if x.size < 2 * width:
        msg = f"windows_of: not enough data: {x.size} of {2 * width} samples for windows of {width}"
        raise NotEnoughDataError(msg)
    return np.lib.stride_tricks.sliding_window_view(x, width)


@dataclass(frozen=True, slots=True, eq=False)
class ShapePlane:
    """The plane in which ordinary windows lie.

    Parameters
    ----------
    width : int
        Length of a window. [samples]
    middle : ndarray of shape (width,)
        Mean window.
    plane : Projection
        Around it.
    """

    width: int
    middle: FloatArray
    plane: Projection

    def distance(self, x: FloatArray) -> FloatArray:
        """Say how far each window lies from the plane.

        Parameters
        ----------
        x : ndarray of shape (n,)
            A series of the same signal; windows with a missing sample get ``nan``.

        Returns
        -------
        ndarray of shape (n - width + 1,)
            Root mean square over the window, in the unit of the series.
        """
        windows = windows_of(x, self.width)
        out = np.full(windows.shape[0], np.nan)
        whole = np.asarray(np.isfinite(windows).all(axis=1))
        for start in range(0, windows.shape[0], _BLOCK):
            rows = np.flatnonzero(whole[start : start + _BLOCK]) + start
            out[rows] = np.sqrt(self.plane.spe(windows[rows] - self.middle) / self.width)
        return out


def fit_shape_plane(x: FloatArray, width: int, *, explained_ratio: float = 0.9) -> ShapePlane:
    """Learn how ordinary windows look (principal components of all windows [1]_).

    Parameters
    ----------
    x : ndarray of shape (n,)
        Ordinary samples; windows with a missing one are left out.
    width : int
        Length of a window, best a period. [samples]
    explained_ratio : float
        Part of the variance that lies in the plane.

    Returns
    -------
    ShapePlane
        Of that width.

    References
    ----------
    .. [1] C. C. Aggarwal, "Outlier Analysis", 2nd ed., Springer, 2017, chapters 3 and 9.
    """
    windows = windows_of(x, width)
    whole = windows[np.isfinite(windows).all(axis=1)]
    middle = whole.mean(axis=0) if whole.size else np.zeros(width)
    # As many rows as the check for enough asks for, though neighbours share most samples.
    step = max(1, whole.shape[0] // max(4 * width, 2000))
    plane = fit_projection(whole[::step] - middle, explained_ratio=explained_ratio, clip=np.inf)
    return ShapePlane(width, middle, plane)


def nearest_distances(x: FloatArray, width: int, *, is_causal: bool = False) -> FloatArray:
    """Distance of each window to the most alike other one: the matrix profile [1]_.

    Windows are compared by shape, each with its mean taken away and its spread made 1; windows that
    overlap by half or more do not count. A window that stands still is like every other such one
    and as far as can be from the rest.

    Parameters
    ----------
    x : ndarray of shape (n,)
        The series.
    width : int
        Length of a window. [samples]
    is_causal : bool
        Compare with earlier windows only.

    Returns
    -------
    ndarray of shape (n - width + 1,)
        Euclidean distances, at most ``2 * sqrt(width)``; ``nan`` for a window with a missing sample
        or nothing to compare with.

    References
    ----------
    .. [1] C.-C. M. Yeh et al., "Matrix profile I: all pairs similarity joins for time series",
       IEEE ICDM 2016.

    Examples
    --------
    >>> x = np.tile([0.0, 1.0, 0.0, -1.0], 20)
    >>> x[40:44] = [0.0, 2.0, 2.0, 2.0]
    >>> int(np.nanargmax(nearest_distances(x, 8))) in range(33, 44)
    True
    """
    windows = windows_of(x, width)
    n = windows.shape[0]
    normal, is_flat, is_whole = _normalised(windows)
    out = np.full(n, np.nan)
    place = np.arange(n)
    for start in range(0, n, _BLOCK):
        rows = slice(start, min(start + _BLOCK, n))
        likeness = normal[rows] @ normal.T
        # Two flat windows are alike; a flat one and another are as unlike as unrelated ones.
        likeness[np.ix_(is_flat[rows], is_flat)] = 1.0
        gap = place[rows, np.newaxis] - place
        left_out = (gap < width // 2) if is_causal else (np.abs(gap) < width // 2)
        likeness[left_out | ~is_whole] = -np.inf
        best = likeness.max(axis=1)
        known = is_whole[rows] & np.isfinite(best)
        out[rows][known] = np.sqrt(np.maximum(2.0 * width * (1.0 - best[known]), 0.0))
    return out


def _normalised(windows: FloatArray) -> tuple[FloatArray, BoolArray, BoolArray]:
    """Windows of mean 0 and length 1 (0 where flat or not whole), which are flat, which whole."""
    is_whole = np.asarray(np.isfinite(windows).all(axis=1))
    known = np.where(is_whole[:, np.newaxis], windows, 0.0)
    centred = known - known.mean(axis=1, keepdims=True)
    length = np.sqrt((centred**2).sum(axis=1))
    size = np.abs(known).max(axis=1)
    is_flat: BoolArray = length <= 1e-9 * np.maximum(size, 1e-30) * np.sqrt(windows.shape[1])
    unit = centred / np.where(is_flat, 1.0, length)[:, np.newaxis]
    unit[is_flat] = 0.0
    return unit, is_flat & is_whole, is_whole


def over_windows(of_windows: FloatArray, n: int, width: int, *, is_causal: bool) -> FloatArray:
    """Spread figures of windows over the samples that they cover.

    Parameters
    ----------
    of_windows : ndarray of shape (n - width + 1,)
        A figure for each window; missing ones are left out.
    n : int
        Samples of the series.
    width : int
        Length of a window. [samples]
    is_causal : bool
        Give each sample the figure of the window that it ends; else the mean over the windows that
        hold it.

    Returns
    -------
    ndarray of shape (n,)
        ``nan`` where no window speaks.
    """
    out = np.full(n, np.nan)
    if is_causal:
        out[width - 1 :] = of_windows
        return out
    known = np.isfinite(of_windows)
    total = np.convolve(np.where(known, of_windows, 0.0), np.ones(width))
    count = np.convolve(known.astype(np.float64), np.ones(width))
    np.divide(total, count, out=out, where=count > 0.5)
    return out
