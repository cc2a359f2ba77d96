"""Limits and planes measured on healthy samples, so that false alarms come as rarely as allowed."""

from typing import Final

import numpy as np

from analytics.arrays import Float32Array, FloatArray, NotEnoughDataError
from analytics.signals.baseline import Baseline
from analytics.signals.detector import AnomalyDetector, DetectorSettings
from analytics.signals.extremes import pot_threshold
from analytics.signals.limits import DetectorLimits, smoothed_spread
from analytics.signals.projection import Projection, fit_projection

MIN_HEALTHY_SAMPLES: Final = 200
"""Samples of a signal, over all machines, below which its tail is not extrapolated."""

_N_CHARTS: Final = 6


def healthy_projection(
    healthy: Float32Array, baseline: Baseline, *, explained_ratio: float = 0.9
) -> Projection:
    """Find the plane in which healthy machines of one kind move, each around its own baseline.

    Parameters
    ----------
    healthy : ndarray of float32, shape (n_times, n_signals, n_machines)
        Healthy samples; ticks with a missing signal are left out.
    baseline : Baseline
        Of the same machines.
    explained_ratio : float
        Part of the variance that the plane explains.

    Returns
    -------
    Projection
        One for all machines.
    """
    z = (healthy - baseline.centre) / baseline.scale
    rows = np.moveaxis(z, 1, 2).reshape(-1, z.shape[1])
    return fit_projection(rows, explained_ratio=explained_ratio)


def measured_limits(
    healthy: Float32Array,
    baseline: Baseline,
    settings: DetectorSettings,
    *,
    projection: Projection | None = None,
    n_warm_up: int = 32,
) -> DetectorLimits:
    """Measure how far the statistics of healthy machines go.

    The detector runs over healthy samples; the tail of each statistic, pooled over the machines
    of the kind, is extrapolated to the part of the false alarms that falls to it: each signal and
    each chart gets its equal share of `DetectorSettings.false_alarm_ratio`.

    Parameters
    ----------
    healthy : ndarray of float32, shape (n_times, n_signals, n_machines)
        Healthy samples, best other ones than the baseline was taken from.
    baseline : Baseline
        Of the same machines.
    settings : DetectorSettings
        How the detector weighs evidence, and the false alarms that are allowed.
    projection : Projection, optional
        The plane, if T² and SPE are to be watched.
    n_warm_up : int
        Ticks after which the charts have forgotten that they began at zero. [ticks]

    Returns
    -------
    DetectorLimits
        The same for all machines; ``nan`` for signals without a baseline, and infinite for a
        chart that no healthy machine could be watched on.

    Raises
    ------
    NotEnoughDataError
        If a signal with a baseline has fewer than `MIN_HEALTHY_SAMPLES` samples after warm-up.
    """
    detector = AnomalyDetector(baseline, settings, projection=projection)
    n_signals, n_machines = healthy.shape[1:]
    tick_statistics = [detector.statistics(x) for x in healthy]
    is_known = np.isfinite(baseline.centre)
    n_samples = np.isfinite(healthy[n_warm_up:]).sum(axis=(0, 2))
    is_short = is_known.any(axis=1) & (n_samples < MIN_HEALTHY_SAMPLES)
    if is_short.any():
        which = int(np.flatnonzero(is_short)[0])
        msg = (
            f"measured_limits: not enough data: {int(n_samples[which])} of {MIN_HEALTHY_SAMPLES} "
            f"samples of signal {which} after {n_warm_up} ticks of warm-up; give more healthy "
            "machines or a longer window, or use theory_limits"
        )
        raise NotEnoughDataError(msg)
    ratio = settings.false_alarm_ratio / _N_CHARTS
    limits: dict[str, FloatArray] = {}
    for name in ("z", "ewma", "cusum", "drift"):
        pooled = np.stack([getattr(one, name) for one in tick_statistics[n_warm_up:]])
        rows = np.moveaxis(pooled, 1, 2).reshape(-1, n_signals)
        highest = pot_threshold(rows, ratio / n_signals)
        floor = 1e-3 if name != "ewma" else 1e-3 * float(np.nanmin(smoothed_spread(baseline, 1.0)))
        by_signal = np.maximum(highest, floor)[:, np.newaxis]
        limits[name] = np.where(is_known, by_signal, np.nan)
    # A clipped deviation can't pass a limit above the clip: then the chart is silent.
    limits["z"] = np.where(limits["z"] > settings.z_clip, np.inf, limits["z"])
    for name in ("t2", "spe"):
        limit = np.inf
        if projection is not None:
            whole = np.concatenate([getattr(one, name) for one in tick_statistics[n_warm_up:]])
            limit = max(float(pot_threshold(whole[:, np.newaxis], ratio)[0]), 1e-6)
        limits[name] = np.full(n_machines, limit)
    return DetectorLimits(**limits)
