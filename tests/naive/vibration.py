"""Slow twins of the vibration features: sums written out, one line at a time."""

import cmath
import math

import numpy as np

from analytics.arrays import FloatArray


def _dft(x: list[complex]) -> list[complex]:
    n = len(x)
    return [
        sum(v * cmath.exp(-2j * math.pi * k * t / n) for t, v in enumerate(x)) for k in range(n)
    ]


def welch(x: list[float], rate_hz: float, segment: int) -> list[float]:
    window = [0.5 - 0.5 * math.cos(2 * math.pi * t / segment) for t in range(segment)]
    total = [0.0] * (segment // 2 + 1)
    starts = range(0, len(x) - segment + 1, segment // 2)
    for start in starts:
        part = x[start : start + segment]
        mean = sum(part) / segment
        lines = _dft([(v - mean) * w + 0j for v, w in zip(part, window, strict=True)])
        for k in range(segment // 2 + 1):
            both_sides = 1 if k in {0, segment // 2} else 2
            total[k] += both_sides * abs(lines[k]) ** 2
    return [v / len(starts) / rate_hz / sum(w * w for w in window) for v in total]


def envelope_spectrum(x: list[float], rate_hz: float, band_hz: tuple[float, float]) -> list[float]:
    n = len(x)
    lines = _dft([v + 0j for v in x])
    first, last = (math.ceil(border * n / rate_hz) for border in band_hz)
    kept = [2 * v if first <= k < last else 0j for k, v in enumerate(lines)]
    analytic = [v.conjugate() / n for v in _dft([v.conjugate() for v in kept])]
    squared = [abs(v) ** 2 + 0j for v in analytic]
    amplitude = [abs(v) / n for v in _dft(squared)]
    return [amplitude[0], *(2 * v for v in amplitude[1 : last - first])]


def time_features(x: list[float]) -> dict[str, float]:
    n = len(x)
    mean = math.fsum(x) / n
    off = [v - mean for v in x]
    rms = math.sqrt(math.fsum(v * v for v in off) / n)
    peak = max(abs(v) for v in off)
    return {
        "rms": rms,
        "peak": peak,
        "crest": peak / rms,
        "skew": math.fsum(v**3 for v in off) / n / rms**3,
        "kurtosis": math.fsum(v**4 for v in off) / n / rms**4,
    }


def spectral_kurtosis(x: FloatArray, count: int) -> list[float]:
    """Of each of `count` equal bands, from the bare definition."""
    n = x.size
    lines = _dft([v + 0j for v in (x - x.mean()).tolist()])
    width = (n // 2) // count
    found = []
    for band in range(count):
        part = lines[band * width : (band + 1) * width]
        power = [abs(v) ** 2 for v in _dft([v.conjugate() for v in part])]
        mean = sum(power) / width
        found.append(float(np.mean(np.square(power))) / mean**2 - 2)
    return found
