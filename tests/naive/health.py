"""Slow twins of `analytics.health`: one machine, one step, one library position at a time."""

import itertools
import math
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from scipy.optimize import lsq_linear

from analytics.arrays import BoolArray, FloatArray
from analytics.health.fusion import Fusion
from analytics.health.similarity import Kernel, Library
from tests.naive.signals import ewma


def damage(fusion: Fusion, values: FloatArray) -> FloatArray:
    """Damage of machines whose model has no regime signals."""
    n_times, _, n_machines = values.shape
    out = np.full((n_times, n_machines), fusion.intercept)
    for machine in range(n_machines):
        for row, signal in enumerate(fusion.used):
            z = [
                _deviation(float(x), float(fusion.usual[0, row]), float(fusion.scale[row]))
                for x in values[:, signal, machine]
            ]
            for column, memory in enumerate(fusion.memory_steps):
                average = ewma(np.array(z), 1.0 / memory, warm_start=True)
                out[:, machine] += fusion.weights[row, column] * average
        for t in range(n_times):
            if not any(math.isfinite(values[t, signal, machine]) for signal in fusion.used):
                out[t, machine] = math.nan
    return out


def _deviation(x: float, usual: float, scale: float) -> float:
    return 10.0 * math.asinh((x - usual) / scale / 10.0) if math.isfinite(x) else math.nan


def ridge_weights(
    x: FloatArray, y: FloatArray, weight: FloatArray, ridge: float, n_memories: int
) -> FloatArray:
    """Intercept and weights from the rows themselves, by a solver with bounds."""
    levels_and_rises = x.copy()
    direction = np.ones(x.shape[1])
    for first in range(0, x.shape[1], n_memories):
        together = np.cov(x[:, first], y, aweights=weight)[0, 1]
        for column in range(first, first + n_memories):
            direction[column] = -1.0 if together < 0 else 1.0
            if column > first:
                levels_and_rises[:, column] = x[:, first] - x[:, column]
    levels_and_rises *= direction
    mean = np.average(levels_and_rises, axis=0, weights=weight)
    sd = np.sqrt(np.average((levels_and_rises - mean) ** 2, axis=0, weights=weight))
    sd = np.where(sd > 0, sd, 1.0)
    middle = np.average(y, weights=weight)
    # The penalty as rows of its own, for an ordinary least-squares solver.
    root = np.sqrt(weight / weight.sum())
    rows = np.vstack([
        root[:, np.newaxis] * (levels_and_rises - mean) / sd,
        math.sqrt(ridge) * np.eye(x.shape[1]),
    ])
    right = np.concatenate([root * (y - middle), np.zeros(x.shape[1])])
    bounded = lsq_linear(rows, right, bounds=(0.0, np.inf), method="bvls", tol=1e-14)
    slope = bounded.x / sd * direction
    weights = np.zeros(x.shape[1])
    for first in range(0, x.shape[1], n_memories):
        weights[first] = slope[first : first + n_memories].sum()
        weights[first + 1 : first + n_memories] = -slope[first + 1 : first + n_memories]
    return np.concatenate([[middle - np.average(x, axis=0, weights=weight) @ weights], weights])


@dataclass
class Likeness:
    """What the library says of one machine."""

    lives: list[float]
    weights: list[float]
    n_evidence: float
    distance: float

    def failing_by(self, life: float) -> float:
        """Probability, each life spread evenly over the cell around it."""
        by_life: dict[float, float] = defaultdict(float)
        for one, weight in zip(self.lives, self.weights, strict=True):
            by_life[one] += weight
        distinct = sorted(by_life)
        borders = [0.0]
        borders += [(a + b) / 2 for a, b in itertools.pairwise(distinct)]
        borders += [2 * distinct[-1] - borders[-1]]
        total = sum(self.weights)
        gone = 0.0
        for one, low, high in zip(distinct, borders[:-1], borders[1:], strict=True):
            share = min(1.0, max(0.0, (life - low) / (high - low)))
            gone += share * by_life[one] / total
        return gone

    def quantile(self, probability: float) -> float:
        low, high = 0.0, 2 * max(self.lives) + 1.0
        for _ in range(200):
            middle = (low + high) / 2
            if self.failing_by(middle) < probability:
                low = middle
            else:
                high = middle
        return high


def liken(library: Library, kernel: Kernel, trajectory: FloatArray, history_steps: int) -> Likeness:
    """Liken one machine to every position."""
    n_memories, n_positions = library.trajectory.shape
    log_weights, squares = [], []
    for position in range(n_positions):
        square = 0.0
        for memory in range(n_memories):
            past = library.trajectory[memory].astype(float)
            seen = min(max(float(trajectory[memory]), past.min()), past.max())
            square += (seen - past[position]) ** 2 / n_memories
        squares.append(square)
        watched = min(float(history_steps), float(library.history_steps.max()))
        unlike = math.log(
            (kernel.history_memory_steps + watched)
            / (kernel.history_memory_steps + float(library.history_steps[position]))
        )
        log_weights.append(
            -square / (2 * kernel.bandwidth**2) - (unlike / kernel.history_spread) ** 2 / 2
        )
    top = max(log_weights)
    weights = [math.exp(w - top) for w in log_weights]
    per_unit: dict[int, float] = defaultdict(float)
    for unit, weight in zip(library.unit, weights, strict=True):
        per_unit[int(unit)] += weight
    return Likeness(
        lives=[float(life) for life in library.life_steps],
        weights=weights,
        n_evidence=sum(per_unit.values()) ** 2 / sum(w**2 for w in per_unit.values()),
        distance=math.sqrt(min(squares)),
    )


def rows_of(features: FloatArray, labels: FloatArray, is_in: BoolArray) -> list[FloatArray]:
    """Samples of some units as rows: features, then the label last."""
    rows = []
    for unit in np.flatnonzero(is_in):
        for t in range(features.shape[0]):
            row = np.append(features[t, :, unit], labels[t, unit])
            if np.isfinite(row).all():
                rows.append(row)
    return rows
