"""Slow twins of `analytics.scoring`."""

import math


def rmse(truth: list[float], estimate: list[float], cap: float = math.inf) -> float:
    squares = [(min(e, cap) - min(t, cap)) ** 2 for t, e in zip(truth, estimate, strict=True)]
    return math.sqrt(sum(squares) / len(squares))


def phm08(truth: list[float], estimate: list[float], cap: float = math.inf) -> float:
    total = 0.0
    for t, e in zip(truth, estimate, strict=True):
        late = min(e, cap) - min(t, cap)
        total += math.exp(late / 10) - 1 if late >= 0 else math.exp(-late / 13) - 1
    return total


def coverage(truth: list[float], lower: list[float], upper: list[float]) -> float:
    held = [low <= t <= high for t, low, high in zip(truth, lower, upper, strict=True)]
    return sum(held) / len(held)
