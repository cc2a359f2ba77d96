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

WORN_DAMAGE: Final = 0.3
"""Only what was worn can be repaired; below this a standstill changes nothing."""

LEAST_DROP: Final = 0.2
"""Damage that falls by this over a standstill: beyond what chance does to the average of a day."""

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
    damage = health_indicator(model, values)
    stops = [_standstills(values[:, :, m], window.count[:, m]) for m in range(n_machines)]
    # Machines are few that ever stood still; each is looked at by itself.
    for machine, runs in enumerate(stops):
        for stop, back in runs:
            before = _last_known(damage[:stop, machine])
            if not before >= WORN_DAMAGE:
                continue
            fresh = values[:, :, machine : machine + 1].copy()
            fresh[:back] = np.nan
            anew = health_indicator(model, fresh)[:, 0]
            known = np.flatnonzero(np.isfinite(anew))
            first = anew[known[: model.min_samples]]
            if first.size >= LEAST_STEPS_BACK and np.median(first) <= before - LEAST_DROP:
                values[:back, :, machine] = np.nan
                damage[:, machine] = anew
                start[machine] = back
                standstill_h[machine] = (back - stop) * model.step_h
    return PresentLives(values, damage, start, standstill_h)


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


def _last_known(damage: FloatArray) -> float:
    known = damage[np.isfinite(damage)]
    return float(known[-1]) if known.size else float("nan")
