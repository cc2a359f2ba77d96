"""Slow twins of the detectors of `analytics.signals`: one series, one sample at a time."""

import math

import numpy as np

from analytics.arrays import FloatArray


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
