"""Where a machine's present life begins: after a repair, what came before it counts no more.

A repair shows in the samples as a standstill (the machine reports, but nothing good) after which
a worn machine is no longer worn. Nobody has to tell us, and who stops at night is not taken for
repaired.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.arrays import BoolArray, Float32Array, FloatArray, IntArray
from analytics.health.indicator import health_indicator
from analytics.health.model import HealthModel
from api.blocks import StoreWindow

WORN_DAMAGE: Final = 0.2
"""Only what was worn can be repaired; below this a standstill changes nothing."""

REPAIRED_RATIO: Final = 0.5
"""A repair takes away more than half of the damage: far beyond what chance does to the median of
a few steps, far less than a new part does."""

LEAST_STEPS_BACK: Final = 3
"""Steps after a standstill before it is called a repair; up to `HealthModel.min_samples` of them
decide, and then the decision stands."""


@dataclass(frozen=True, slots=True, eq=False)
class PresentLives:
    """Samples of the present life of each machine.

    Parameters
    ----------
    values : ndarray of float32, shape (n_times, n_signals, n_machines)
        ``nan`` before it.
    damage : ndarray of float64, shape (n_times, n_machines)
        Damage from those alone.
    start : ndarray of int64, shape (n_machines,)
        First bin of the present life; 0 where no repair was seen.
    standstill_h : ndarray of float64, shape (n_machines,)
        Standstill before it; 0 where no repair was seen. [h]
    """

    values: Float32Array
    damage: FloatArray
    start: IntArray
    standstill_h: FloatArray


def present_lives(model: HealthModel, window: StoreWindow) -> PresentLives:
    """Find where each machine's present life begins, and forget what came before.

    Parameters
    ----------
    model : HealthModel
        Of this kind of machine.
    window : StoreWindow
        Its samples, signals in the order of the model.

    Returns
    -------
    PresentLives
        With the damage of the present lives.
    """
    values = window.block.values.copy()
    n_machines = values.shape[2]
    start = np.zeros(n_machines, dtype=np.int64)
    standstill_h = np.zeros(n_machines)
    stops = [_standstills(values[:, :, m], window.count[:, m]) for m in range(n_machines)]
    # Machines are few that ever stood still; each is looked at by itself.
    for machine, runs in enumerate(stops):
        for stop, back in runs:
            if _is_repair(model, values[:, :, machine], stop, back):
                values[:back, :, machine] = np.nan
                start[machine] = back
                standstill_h[machine] = (back - stop) * model.step_h
    return PresentLives(values, health_indicator(model, values), start, standstill_h)


def _is_repair(model: HealthModel, values: Float32Array, stop: int, back: int) -> bool:
    """Whether a machine was worn just before a standstill and is not just after.

    Damage remembers: the same samples look less damaged to who has only just begun to watch. So
    both sides are judged from equally short histories.
    """
    present: BoolArray = np.logical_or.reduce(np.isfinite(values), axis=1)
    after = np.flatnonzero(present[back:])[: model.min_samples] + back
    before = np.flatnonzero(present[:stop])[-after.size :]
    if after.size < LEAST_STEPS_BACK or before.size < LEAST_STEPS_BACK:
        return False
    was, now = (
        float(np.median(health_indicator(model, values[rows, :, np.newaxis])))
        for rows in (before, after)
    )
    # A signal that was never seen on one side leaves its damage unknown: then nothing is forgotten.
    return bool(was >= WORN_DAMAGE and now <= REPAIRED_RATIO * was)


def _standstills(values: Float32Array, count: IntArray) -> list[tuple[int, int]]:
    """Find runs of bins in which a machine reported and nothing was good, and that have ended."""
    is_good: BoolArray = np.logical_or.reduce(np.isfinite(values), axis=1)
    has_stopped = ~is_good & (count > 0)
    runs = []
    good = np.flatnonzero(is_good)
    for last, back in zip(good[:-1].tolist(), good[1:].tolist(), strict=True):
        if back - last > 1 and has_stopped[last + 1 : back].any():
            runs.append((last + 1, back))
    return runs
