"""The statistics of the monitor, the same while learning and while judging."""

from typing import Final

import numpy as np
import numpy.typing as npt

from analytics.arrays import FloatArray, IntArray
from analytics.signals.projection import Projection
from analytics.signals.regimes import RegimeBaseline, Regimes
from analytics.signals.rolling import ewma

CHARTS: Final = ("signal", "t2", "spe")
"""Largest smoothed deviation of a signal; T² over all directions; distance from the plane."""

CLIP: Final = 20.0

SLOWER: Final = 5.0
"""The slow level of a wandering signal remembers this many times longer than the charts."""


def regime_of(regimes: Regimes | None, x: npt.NDArray[np.floating]) -> IntArray:
    """Find the regime of each sample: 0 where the machine has only one.

    Parameters
    ----------
    regimes : Regimes or None
        None for a machine that is always asked to do the same.
    x : ndarray of shape (n, n_signals)
        Samples.

    Returns
    -------
    ndarray of int, shape (n,)
        -1 where a setting is missing.
    """
    return np.zeros(x.shape[0], np.int64) if regimes is None else regimes.assign(x)


def smoothed_deviations(
    baseline: RegimeBaseline, x: npt.NDArray[np.floating], regime: IntArray, alpha: float
) -> FloatArray:
    """Smooth the deviations of samples from what is usual, in units of smoothed noise.

    Parameters
    ----------
    baseline : RegimeBaseline
        What is usual.
    x : ndarray of shape (n, n_signals)
        Samples in the order of time.
    regime : ndarray of int, shape (n,)
        Their regimes.
    alpha : float
        Weight of the newest sample.

    Returns
    -------
    ndarray of shape (n, n_signals)
        ``nan`` before the first sample of a signal.
    """
    z = np.clip(baseline.standardise(x.astype(np.float64), regime), -CLIP, CLIP)
    n_seen = np.cumsum(np.isfinite(z), axis=0)
    return ewma(z, alpha, warm_start=True) / smoothed_noise(n_seen, alpha)


def smoothed_noise(n_seen: npt.NDArray[np.number], alpha: float) -> FloatArray:
    """Say how far smoothed noise of 1 spreads; further while there is little of it.

    Parameters
    ----------
    n_seen : ndarray
        Samples so far.
    alpha : float
        Weight of the newest sample.

    Returns
    -------
    ndarray of the same shape
        Standard deviations.
    """
    return np.asarray(np.sqrt(np.maximum(1.0 / np.maximum(n_seen, 1), alpha / (2.0 - alpha))))


def chart_statistics(smoothed: FloatArray, whole: Projection, plane: Projection) -> FloatArray:
    """Work out the statistic of each of `CHARTS`.

    Parameters
    ----------
    smoothed : ndarray of shape (n, n_signals)
        Smoothed deviations.
    whole, plane : Projection
        All directions, and the usual plane.

    Returns
    -------
    ndarray of shape (n, 3)
        All in squared deviations.
    """
    largest = np.where(np.isfinite(smoothed), smoothed, 0.0) ** 2
    return np.stack([largest.max(axis=1), whole.t2(smoothed), plane.spe(smoothed)], axis=1)
