"""Slow twins of the detectors of `analytics.signals`: one series, one sample at a time."""

import itertools
import math
from collections import deque

import numpy as np

from analytics.arrays import FloatArray
from analytics.signals.isolation import IsolationForest
from analytics.signals.monitor import Monitor
from analytics.signals.regimes import Regimes


def pot_threshold(series: list[float], exceeded_ratio: float, tail_ratio: float) -> float:
    present = sorted((v for v in series if math.isfinite(v)), reverse=True)
    if not present:
        return math.nan
    n_tail = min(max(math.ceil(tail_ratio * len(present)), 10), len(present) - 1)
    level = present[n_tail]
    excesses = [v - level for v in present[:n_tail]]
    rate = n_tail / len(present)
    mean = sum(excesses) / max(n_tail, 1)
    weighted = sum(
        (n_tail - 1 - rank) / max(n_tail - 1, 1) * excess for rank, excess in enumerate(excesses)
    ) / max(n_tail, 1)
    half_gap = 2 * weighted - mean
    shape = 0.0
    if half_gap > 0 and n_tail >= 10:
        shape = min(0.45, max(-0.5, 2 - mean / half_gap))
    scale = mean * (1 - shape)
    ratio = max(rate, exceeded_ratio) / exceeded_ratio
    growth = math.log(ratio) if abs(shape) < 1e-6 else (ratio**shape - 1) / shape
    return level + scale * growth


def t2_and_spe(z: FloatArray, loadings: FloatArray, variance: FloatArray) -> tuple[float, float]:
    known = [float(v) if math.isfinite(v) else 0.0 for v in z]
    along = [sum(p * v for p, v in zip(row, known, strict=True)) for row in loadings.tolist()]
    t2 = sum(a * a / v for a, v in zip(along, variance.tolist(), strict=True))
    explained = [
        sum(a * row[signal] for a, row in zip(along, loadings.tolist(), strict=True))
        for signal in range(len(known))
    ]
    return t2, sum((v - e) ** 2 for v, e in zip(known, explained, strict=True))


def reconstruction_gain(z: FloatArray, loadings: FloatArray, signal: int) -> float:
    """How far SPE falls when one signal may take any value, found by search."""
    best, best_value = math.inf, float(z[signal])
    nothing = np.ones(loadings.shape[0])
    centre, width = float(z[signal]), 100.0
    for _ in range(60):
        for value in np.linspace(centre - width, centre + width, 9):
            tried = z.copy()
            tried[signal] = value
            spe = t2_and_spe(tried, loadings, nothing)[1]
            if spe < best:
                best, best_value = spe, float(value)
        centre, width = best_value, width / 2
    return t2_and_spe(z, loadings, nothing)[1] - best


def monitor_scores(monitor: Monitor, x: FloatArray) -> tuple[list[float], list[bool]]:
    """Scores and alarms of a monitor without regimes, number by number."""
    how = monitor.settings
    n_signals = x.shape[1]
    level, bound = (part.tolist() for part in monitor.level)
    average, n_seen = [math.nan] * n_signals, [0] * n_signals
    over: deque[bool] = deque(maxlen=how.n)
    calm: deque[bool] = deque(maxlen=how.n)
    is_alarm = False
    scores, alarms = [], []
    for sample in x.tolist():
        smoothed = []
        for j in range(n_signals):
            gap = sample[j] - level[j]
            value = gap if monitor.wanders[j] else sample[j]
            z = (value - monitor.baseline.centre[0, j]) / monitor.baseline.scale[0, j]
            if math.isfinite(z):
                z = max(-20.0, min(20.0, z))
                n_seen[j] += 1
                weight = max(how.alpha, 1 / n_seen[j])
                before = z if math.isnan(average[j]) else average[j]
                average[j] = before + weight * (z - before)
            if math.isfinite(gap):
                pace = how.alpha / 5 / (4 if is_alarm else 1)
                level[j] += pace * max(-bound[j], min(bound[j], gap))
            spread = math.sqrt(max(1 / max(n_seen[j], 1), how.alpha / (2 - how.alpha)))
            smoothed.append(average[j] / spread)
        if all(math.isnan(value) for value in smoothed):
            scores.append(math.nan)
            alarms.append(is_alarm)
            continue
        known = np.array(smoothed)
        t2 = t2_and_spe(known, monitor.whole.loadings, monitor.whole.variance)[0]
        spe = t2_and_spe(known, monitor.plane.loadings, monitor.plane.variance)[1]
        largest = max(v * v for v in smoothed if math.isfinite(v))
        statistics = (largest, t2, spe)
        peak = max(s / limit for s, limit in zip(statistics, monitor.limits[0], strict=True))
        score = peak / (1 + peak)
        if any(math.isfinite(v) for v in sample):
            over.append(score >= 0.5)
            calm.append(score < how.clear_score)
            is_alarm = (is_alarm or sum(over) >= how.k) and sum(calm) < how.k
        scores.append(score)
        alarms.append(is_alarm)
    return scores, alarms


def regime_of(regimes: Regimes, sample: list[float]) -> int:
    scaled = [
        (sample[place] - middle) / spread
        for place, middle, spread in zip(
            regimes.settings, regimes.middle, regimes.spread, strict=True
        )
    ]
    if not all(math.isfinite(value) for value in scaled):
        return -1
    distances = [
        sum((a - b) ** 2 for a, b in zip(scaled, centre, strict=True))
        for centre in regimes.centres.tolist()
    ]
    return distances.index(min(distances))


def nearest_distances(x: list[float], width: int, *, is_causal: bool) -> list[float]:
    """The matrix profile, pair by pair."""
    windows = [x[start : start + width] for start in range(len(x) - width + 1)]

    def shape(window: list[float]) -> list[float] | None:
        if not all(math.isfinite(v) for v in window):
            return None
        mean = math.fsum(window) / width
        spread = math.sqrt(math.fsum((v - mean) ** 2 for v in window) / width)
        size = max(abs(v) for v in window)
        if spread <= 1e-9 * max(size, 1e-30):
            return [0.0] * width
        return [(v - mean) / spread for v in window]

    shapes = [shape(window) for window in windows]
    out = []
    for i, own in enumerate(shapes):
        found = []
        for j, other in enumerate(shapes):
            gap = i - j if is_causal else abs(i - j)
            if own is None or other is None or gap < width // 2:
                continue
            if not any(own) or not any(other):
                found.append(0.0 if own == other else math.sqrt(2 * width))
                continue
            found.append(math.dist(own, other))
        out.append(min(found, default=math.nan))
    return out


def sensor_fault(series: list[list[float]], signal: int, centre: float, scale: float,
                 noise: float, others: list[float]) -> str:  # fmt: skip
    """The worst fault of one sensor of one machine, with the standing settings.

    `others` are the distances of the other signals' medians from their usual.
    """
    x = series[signal]
    present = [v for v in x if math.isfinite(v)]
    if len(present) < 0.2 * len(x):
        return "silent"
    if len(x) >= 12 and all(v == x[-1] for v in x[-12:]) and noise > 0:
        return "flat line"
    moved = abs((sorted(present)[len(present) // 2] - centre) / scale)
    if len(present) % 2 == 0:
        low, high = sorted(present)[len(present) // 2 - 1 : len(present) // 2 + 1]
        moved = abs(((low + high) / 2 - centre) / scale)
    if moved > 60:
        return "out of range"
    steps = sorted(abs(b - a) for a, b in itertools.pairwise(x) if math.isfinite(b - a))
    middle = (steps[(len(steps) - 1) // 2] + steps[len(steps) // 2]) / 2
    if 1.4826 * middle > 4 * noise:
        return "noise"
    z = [(v - centre) / scale for v in x]
    spikes = sum(
        min(abs(b - a), abs(b - c)) > 10 and abs(c - a) < 5
        for a, b, c in zip(z[:-2], z[1:-1], z[2:], strict=True)
    )
    if spikes >= 3:
        return "spikes"
    if moved > 6 and max(others) < 2:
        return "drift alone"
    return "none"


def isolation_score(forest: IsolationForest, sample: list[float]) -> float:
    """Walk every tree with one sample."""
    depths = []
    for tree in range(forest.signal.shape[0]):
        node = 0
        while forest.signal[tree, node] >= 0:
            goes_right = sample[int(forest.signal[tree, node])] >= forest.cut[tree, node]
            node = 2 * node + (2 if goes_right else 1)
        depths.append(float(forest.depth[tree, node]))
    return float(2 ** (-(sum(depths) / len(depths)) / forest.usual_depth))


def change_points(x: list[float], price: float, min_length: int) -> tuple[float, list[int]]:
    """The cheapest cuts of a series in units of its noise: every last cut of every end is tried."""

    def cost(first: int, last: int) -> float:
        part = x[first:last]
        mean = math.fsum(part) / len(part)
        return math.fsum((v - mean) ** 2 for v in part)

    best: list[tuple[float, list[int]]] = [(0.0, [])]
    for end in range(1, len(x) + 1):
        found = [(math.inf, list[int]())]
        for first in range(end - min_length + 1):
            cuts = best[first][1]
            if math.isfinite(best[first][0]):
                added = [first] if first else []
                total = best[first][0] + cost(first, end) + (price if first else 0.0)
                found.append((total, [*cuts, *added]))
        best.append(min(found, key=lambda one: one[0]))
    return best[-1]


def profile_centre(
    x: list[float], time_h: list[float], cycle_h: float, n_bins: int, bin_: int
) -> float:
    inside = sorted(
        v
        for v, t in zip(x, time_h, strict=True)
        if math.isfinite(v) and min(int((t % cycle_h) / cycle_h * n_bins), n_bins - 1) == bin_
    )
    if len(inside) < 3:
        return math.nan
    return (inside[(len(inside) - 1) // 2] + inside[len(inside) // 2]) / 2
