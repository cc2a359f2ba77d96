"""Slow twins of `analytics.signals`: one series, one sample at a time."""

import itertools
import math
import statistics
from collections import deque

import numpy as np
from scipy.stats import norm

from analytics.arrays import FloatArray, IntArray
from analytics.signals.baseline import Baseline
from analytics.signals.detector import DetectorSettings
from analytics.signals.limits import DetectorLimits
from analytics.signals.projection import Projection


def bin_means(
    series_index: IntArray,
    time_h: FloatArray,
    value: FloatArray,
    *,
    n_series: int,
    start_h: float,
    step_h: float,
    n_steps: int,
) -> FloatArray:
    means = np.full((n_steps, n_series), np.nan)
    for step in range(n_steps):
        for series in range(n_series):
            inside = [
                float(v)
                for s, t, v in zip(series_index, time_h, value, strict=True)
                if s == series
                and math.isfinite(v)
                and math.isfinite(t)
                and math.floor((t - start_h) / step_h) == step
            ]
            if inside:
                means[step, series] = math.fsum(inside) / len(inside)
    return means


def rolling_mean_std(
    values: FloatArray, window: int, *, min_samples: int = 2
) -> tuple[FloatArray, FloatArray]:
    mean, std = np.full_like(values, np.nan), np.full_like(values, np.nan)
    for t in range(values.shape[0]):
        for column in np.ndindex(values.shape[1:]):
            part = values[(slice(max(0, t - window + 1), t + 1), *column)]
            present = [float(v) for v in part if math.isfinite(v)]
            if len(present) >= min_samples:
                mean[(t, *column)] = statistics.fmean(present)
                std[(t, *column)] = statistics.pstdev(present)
    return mean, std


def rolling_min_max(values: FloatArray, window: int) -> tuple[FloatArray, FloatArray]:
    low, high = np.full_like(values, np.nan), np.full_like(values, np.nan)
    for t in range(values.shape[0]):
        for column in np.ndindex(values.shape[1:]):
            part = values[(slice(max(0, t - window + 1), t + 1), *column)]
            present = [float(v) for v in part if math.isfinite(v)]
            if present:
                low[(t, *column)], high[(t, *column)] = min(present), max(present)
    return low, high


def rolling_slope(values: FloatArray, window: int) -> FloatArray:
    out = np.full_like(values, np.nan)
    for t in range(values.shape[0]):
        for column in np.ndindex(values.shape[1:]):
            first = max(0, t - window + 1)
            part = values[(slice(first, t + 1), *column)]
            pairs = [(k, float(v)) for k, v in enumerate(part) if math.isfinite(v)]
            if len(pairs) >= 2:
                out[(t, *column)] = statistics.linear_regression(*zip(*pairs, strict=True)).slope
    return out


def ewma(values: FloatArray, alpha: float, *, warm_start: bool = False) -> FloatArray:
    out = np.full_like(values, np.nan)
    for column in np.ndindex(values.shape[1:]):
        average = math.nan
        n_seen = 0
        for t in range(values.shape[0]):
            x = float(values[(t, *column)])
            if math.isfinite(x):
                n_seen += 1
                weight = max(alpha, 1.0 / n_seen) if warm_start else alpha
                average = x if n_seen == 1 else average + (x - average) * weight
            out[(t, *column)] = average
    return out


def robust_baseline(values: FloatArray, *, min_samples: int = 24) -> Baseline:
    _, n_signals, n_machines = values.shape
    shape = (n_signals, n_machines)
    centre, scale, likeness = (np.full(shape, np.nan) for _ in range(3))
    n_samples = np.zeros(shape, np.int64)
    for signal, machine in np.ndindex(shape):
        series = [float(v) for v in values[:, signal, machine]]
        present = [v for v in series if math.isfinite(v)]
        n_samples[signal, machine] = len(present)
        if len(present) < min_samples:
            continue
        middle = statistics.median(present)
        off = [abs(v - middle) for v in present]
        spread = 1.4826 * statistics.median(off)
        if spread == 0:
            spread = 1.2533 * statistics.fmean(off)
        spread = max(spread, 1e-3 * abs(middle), 1e-6)
        z = [min(3.0, max(-3.0, (v - middle) / spread)) for v in series]
        z = [c if math.isfinite(v) else math.nan for c, v in zip(z, series, strict=True)]
        pairs = [a * b for a, b in itertools.pairwise(z) if math.isfinite(a * b)]
        power = statistics.fmean([c * c for c in z if math.isfinite(c)])
        rho = statistics.fmean(pairs) / power if pairs and power > 0 else 0.0
        centre[signal, machine], scale[signal, machine] = middle, spread
        likeness[signal, machine] = min(0.98, max(0.0, rho))
    return Baseline(centre, scale, n_samples, likeness)


class MachineDetector:
    """The detector of one machine, in plain Python, with every chart of the fleet's."""

    def __init__(
        self,
        baseline: Baseline,
        machine: int,
        settings: DetectorSettings,
        *,
        limits: DetectorLimits | None = None,
        projection: Projection | None = None,
    ) -> None:
        self.settings = settings
        self.projection = projection
        self.centre = [float(c) for c in baseline.centre[:, machine]]
        self.scale = [float(s) for s in baseline.scale[:, machine]]
        alpha = settings.alpha
        self.spread = []
        for signal in range(len(self.centre)):
            rho = 0.0
            if baseline.autocorrelation is not None:
                rho = float(baseline.autocorrelation[signal, machine])
            kept = rho * (1 - alpha)
            variance = alpha / (2 - alpha) * (1 + kept) / (1 - kept)
            if baseline.n_samples is not None:
                n = max(1, int(baseline.n_samples[signal, machine]))
                variance += math.pi / 2 / (n * (1 - rho) / (1 + rho))
            self.spread.append(math.sqrt(variance))
        n_signals = max(1, sum(math.isfinite(c) for c in self.centre))
        limit = float(norm.isf(settings.false_alarm_ratio / 2 / n_signals))
        self.limits = {"ewma": [limit * spread for spread in self.spread]}
        self.t2_limit = self.spe_limit = math.inf
        if limits is not None:
            self.limits = {
                name: [float(value) for value in getattr(limits, name)[:, machine]]
                for name in ("z", "ewma", "cusum", "drift")
            }
            self.t2_limit, self.spe_limit = float(limits.t2[machine]), float(limits.spe[machine])
        size = len(self.centre)
        self.smoothed, self.slow_mean = [0.0] * size, [0.0] * size
        self.sums = {name: [0.0] * size for name in ("up", "down", "drift up", "drift down")}
        self.is_seen = [False] * size
        self.over: deque[bool] = deque(maxlen=settings.alarm_n)
        self.calm: deque[bool] = deque(maxlen=settings.alarm_n)
        self.is_alarm = False

    def _move(self, signal: int, z: float) -> None:
        how, sums = self.settings, self.sums
        self.smoothed[signal] += how.alpha * (z - self.smoothed[signal])
        self.is_seen[signal] = True
        off_mean = z - self.slow_mean[signal]
        self.slow_mean[signal] += how.drift_alpha * off_mean
        for name, step, limit in (
            ("up", z - how.cusum_slack, "cusum"),
            ("down", -z - how.cusum_slack, "cusum"),
            ("drift up", off_mean - how.drift_slack, "drift"),
            ("drift down", -off_mean - how.drift_slack, "drift"),
        ):
            highest = 2 * self.limits[limit][signal] if limit in self.limits else math.inf
            sums[name][signal] = min(highest, max(0.0, sums[name][signal] + step))

    def _ratio(self, signal: int, z: float) -> float:
        statistics = {
            "z": abs(z),
            "ewma": abs(self.smoothed[signal]),
            "cusum": max(self.sums["up"][signal], self.sums["down"][signal]),
            "drift": max(self.sums["drift up"][signal], self.sums["drift down"][signal]),
        }
        return max(statistics[name] / limit[signal] for name, limit in self.limits.items())

    def _whole(self, z: list[float]) -> list[float]:
        if self.projection is None:
            return []
        along = [
            sum(p * value for p, value in zip(row, z, strict=True))
            for row in self.projection.loadings.tolist()
        ]
        t2 = sum(a * a / v for a, v in zip(along, self.projection.variance.tolist(), strict=True))
        spe = sum(value * value for value in z) - sum(a * a for a in along)
        return [math.sqrt(t2 / self.t2_limit), math.sqrt(max(spe, 0.0) / self.spe_limit)]

    def tick(self, x: list[float]) -> tuple[float, list[float], bool]:
        has_evidence = False
        deviation = [0.0] * len(x)
        for signal, sample in enumerate(x):
            z = (sample - self.centre[signal]) / self.scale[signal]
            if math.isfinite(z):
                deviation[signal] = max(-self.settings.z_clip, min(self.settings.z_clip, z))
                self._move(signal, deviation[signal])
                has_evidence = True
        out = [
            smoothed / spread if is_seen else math.nan
            for smoothed, spread, is_seen in zip(
                self.smoothed, self.spread, self.is_seen, strict=True
            )
        ]
        seen = [signal for signal, is_seen in enumerate(self.is_seen) if is_seen]
        ratios = [self._ratio(signal, deviation[signal]) for signal in seen]
        peak = max([*ratios, *self._whole(deviation)]) if ratios else math.nan
        score = peak**2 / (peak**2 + 1)
        if has_evidence:
            self.over.append(score >= 0.5)
            self.calm.append(score < self.settings.clear_score)
        if sum(self.over) >= self.settings.alarm_k:
            self.is_alarm = True
        if sum(self.calm) >= self.settings.alarm_k:
            self.is_alarm = False
        return score, out, self.is_alarm
