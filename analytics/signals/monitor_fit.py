"""Learning to watch a machine with many signals: multivariate charts with honest limits.

Learned from healthy samples alone. The later part of them is judged by what the earlier part
taught, and the other way round: limits come from those judgements, so they know how much a
baseline from so little data can be off. A signal that wanders even while healthy, such as a
temperature that follows the day, can't be held against a fixed level: it is held against its own
slow mean instead, so that its jumps are seen and its wandering is not.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from analytics.arrays import BoolArray, FloatArray, IntArray, NotEnoughDataError
from analytics.signals.extremes import pot_threshold
from analytics.signals.monitor import Monitor, MonitorSettings
from analytics.signals.monitor_charts import (
    CHARTS,
    CLIP,
    SLOWER,
    chart_statistics,
    regime_of,
    smoothed_deviations,
)
from analytics.signals.projection import Projection
from analytics.signals.regimes import RegimeBaseline, Regimes, regime_baseline
from analytics.signals.rolling import ewma

_SAMPLES_PER_SIGNAL: Final = 8

_LEAST_SAMPLES: Final = 64

_WANDERS: Final = 1.5
"""A signal whose healthy halves lie this many times further apart than chance allows wanders.

This and the next were chosen on SKAB's anomaly-free run and on shifts added to the training rows
of valve1: the least false alarms there at which nine in ten shifts of five spreads were found."""

_MARGIN: Final = 1.75
"""Limits lie this much above what the healthy halves say of each other: a machine that is watched
for longer than it was learned goes further."""

_N_FOLDS: Final = 2
"""Parts of the healthy samples that are judged by what the others taught."""

_LEVEL_SAMPLES: Final = 50

_BOUND_FACTOR: Final = 2.0

_WIDE_HEALTHY: Final = 1.645
"""Smoothed deviation that a steady signal passes a tenth of the time."""


def fit_monitor(
    healthy: npt.NDArray[np.floating],
    settings: MonitorSettings | None = None,
    *,
    regimes: Regimes | None = None,
) -> Monitor:
    """Learn from healthy samples in the order of time.

    Parameters
    ----------
    healthy : ndarray of shape (n, n_signals)
        Each in its signal's unit, ``nan`` where missing.
    settings : MonitorSettings, optional
        How to weigh evidence.
    regimes : Regimes, optional
        Baselines and limits are then taken for each regime.

    Returns
    -------
    Monitor
        Which never changes again.

    Raises
    ------
    NotEnoughDataError
        If there are fewer than 64 samples, or fewer than eight per signal.
    """
    settings = MonitorSettings() if settings is None else settings
    n, n_signals = healthy.shape
    needed = max(_LEAST_SAMPLES, _SAMPLES_PER_SIGNAL * n_signals)
    if n < needed:
        msg = (
            f"fit_monitor: not enough data: {n} of {needed} healthy samples of {n_signals} "
            "signals; give a longer window or fewer signals"
        )
        raise NotEnoughDataError(msg)
    half = n // 2
    folds = ((slice(0, half), slice(half, n)), (slice(half, n), slice(0, half)))
    regime = regime_of(regimes, healthy)
    n_regimes = 1 if regimes is None else regimes.n_regimes
    everything = healthy.astype(np.float64)
    wanders = _wander(everything, regime, n_regimes, folds, settings) > _WANDERS
    healthy, level = _level(everything, wanders, settings.alpha)
    wander = _wander(healthy, regime, n_regimes, folds, settings)
    held_out = np.full((n, len(CHARTS)), np.nan)
    for judged in np.array_split(np.arange(n), _N_FOLDS):
        taught = np.setdiff1d(np.arange(n), judged)
        part = _learn(healthy[taught], regime[taught], n_regimes, wander, settings)
        smoothed = smoothed_deviations(part[0], healthy[judged], regime[judged], settings.alpha)
        held_out[judged] = chart_statistics(smoothed, part[1], part[2])
    baseline, whole, plane = _learn(healthy, regime, n_regimes, wander, settings)
    limits = np.stack([
        _limits(held_out[regime == one], held_out, settings) for one in range(n_regimes)
    ])
    return Monitor(settings, regimes, baseline, whole, plane, limits, wanders, level)


def _level(
    x: FloatArray, wanders: BoolArray, alpha: float
) -> tuple[FloatArray, tuple[FloatArray, FloatArray]]:
    """Take away from wandering signals of healthy samples their slow level.

    The level moves as for a deviation of at most two usual ones, so that a spike hardly drags it
    along.
    """
    levelled = x.copy()
    level, bound = np.full(wanders.size, np.nan), np.full(wanders.size, np.nan)
    if wanders.any():
        part = x[:, wanders]
        now, step = _first_level(part)
        for t, sample in enumerate(part):
            gap = sample - now
            levelled[t, wanders] = gap
            moved = now + alpha / SLOWER * np.clip(gap, -step, step)
            now = np.where(np.isfinite(gap), moved, now)
        level[wanders], bound[wanders] = now, step
    return levelled, (level, bound)


def _first_level(part: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Where the level begins, and how far a signal usually is from its own level."""
    slow = ewma(part, 1.0 / _LEVEL_SAMPLES, warm_start=True)
    gap = np.abs(part - slow)
    first = part[:_LEVEL_SAMPLES]
    counts = np.maximum(np.isfinite(first).sum(axis=0), 1)
    begin = np.where(np.isfinite(first), first, 0.0).sum(axis=0) / counts
    bound = np.array([np.median(g[np.isfinite(g)]) if np.isfinite(g).any() else 0.0 for g in gap.T])
    return begin, np.maximum(_BOUND_FACTOR * bound, 1e-9)


def _wander(
    healthy: FloatArray,
    regime: IntArray,
    n_regimes: int,
    folds: tuple[tuple[slice, slice], ...],
    settings: MonitorSettings,
) -> FloatArray:
    """How far each signal goes in one part of the healthy samples from where the other was.

    At least 1: its smoothed deviation over what chance would allow.
    """
    largest = np.ones(healthy.shape[1])
    for taught, judged in folds:
        part = regime_baseline(healthy[taught], regime[taught], n_regimes)
        smoothed = np.abs(
            smoothed_deviations(part, healthy[judged], regime[judged], settings.alpha)
        )
        smoothed = np.where(np.isfinite(smoothed), smoothed, 0.0)
        largest = np.maximum(largest, np.quantile(smoothed, 0.9, axis=0) / _WIDE_HEALTHY)
    return largest


def _learn(
    healthy: npt.NDArray[np.floating],
    regime: IntArray,
    n_regimes: int,
    wander: FloatArray,
    settings: MonitorSettings,
) -> tuple[RegimeBaseline, Projection, Projection]:
    usual = regime_baseline(healthy, regime, n_regimes)
    baseline = RegimeBaseline(usual.centre, usual.scale * wander)
    z = np.clip(baseline.standardise(healthy, regime), -CLIP, CLIP)
    covariance = _shrunk_covariance(z)
    # Slow ways of healthy machines weigh more in smoothed deviations than in bare ones; taken
    # alone, smoothed ones would be too few that are independent.
    smoothed = smoothed_deviations(baseline, healthy, regime, settings.alpha)
    covariance = covariance + _covariance(smoothed)
    variance, vectors = np.linalg.eigh(covariance)
    variance, directions = np.maximum(variance[::-1], 1e-6), vectors.T[::-1].copy()
    share = np.cumsum(variance) / variance.sum()
    n_kept = min(int(np.searchsorted(share, settings.explained_ratio)) + 1, variance.size - 1)
    n_kept = max(n_kept, 1)
    return (
        baseline,
        Projection(directions, variance),
        Projection(directions[:n_kept].copy(), variance[:n_kept].copy()),
    )


def _covariance(z: FloatArray) -> FloatArray:
    known = np.where(np.isfinite(z), z, 0.0)
    known = known - known.mean(axis=0)
    return np.asarray(known.T @ known / known.shape[0])


def _shrunk_covariance(z: FloatArray) -> FloatArray:
    """Covariance drawn towards equal variances, as far as [1]_ says the sample is too short.

    References
    ----------
    .. [1] O. Ledoit and M. Wolf, "A well-conditioned estimator for large-dimensional covariance
       matrices", Journal of Multivariate Analysis, vol. 88, no. 2, pp. 365-411, 2004.
    """
    known = np.where(np.isfinite(z), z, 0.0)
    known = known - known.mean(axis=0)
    n, n_signals = known.shape
    covariance = known.T @ known / n
    target = float(np.trace(covariance)) / n_signals * np.eye(n_signals)
    squared = ((known**2).sum(axis=1) ** 2).mean() - (covariance**2).sum()
    distance = ((covariance - target) ** 2).sum()
    shrinkage = float(np.clip(squared / n / max(distance, 1e-12), 0.0, 1.0))
    return np.asarray((1 - shrinkage) * covariance + shrinkage * target)


def _limits(own: FloatArray, everything: FloatArray, settings: MonitorSettings) -> FloatArray:
    """Limit of each chart: of the regime's own judgements if there are enough, else of all."""
    judged = own if own.shape[0] >= _LEAST_SAMPLES else everything
    ratio = settings.false_alarm_ratio / len(CHARTS)
    return np.maximum(_MARGIN**2 * pot_threshold(judged, ratio, tail_ratio=0.05), 1e-6)
