"""What the analytics core says about the machines of one kind, put side by side.

Samples in, judgements out: no store, no clock, no words beyond the notes.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.arrays import BoolArray, FloatArray, IntArray
from analytics.health.fusion import KNEE_Z
from analytics.health.indicator import health_pct
from analytics.health.model import HealthModel
from analytics.health.rul import RulEstimate, estimate_rul
from analytics.signals.baseline import Baseline
from analytics.signals.detector import AnomalyScores, DetectorSettings, score_block
from api.blocks import StoreWindow
from api.health.lives import PresentLives, present_lives
from api.shapes import INTERVAL_RATIO

DETECTOR: Final = DetectorSettings()

UNIT_AUTOCORRELATION: Final = 0.99
"""The baseline is that of all units of the kind, and how one unit differs from the next stays as
it is from step to step: smoothing can't average it away, so the detector must not count on it."""

RECENT_STEPS: Final = 6
"""A contribution is the median of the last half day at steps of two hours: one wild sample does
not name the wrong signal."""

HEALTHY_BAND: Final = 3.0
"""Half width of the healthy band in healthy spreads: 99.7 % of healthy samples of a normal law."""


@dataclass(frozen=True, slots=True, eq=False)
class Judgements:
    """What is thought of each machine as of its newest good sample.

    Parameters
    ----------
    window : StoreWindow
        Samples behind it.
    lives : PresentLives
        Which of them count, and their damage.
    scores : AnomalyScores
        Score and alarm at every step; z by used signal, see `signals`.
    signals : tuple of str
        Signals that the scores look at.
    newest : ndarray of int64, shape (n_machines,)
        Last bin with a good sample, -1 without any.
    health_pct : ndarray of shape (n_machines,)
        ``nan`` where not known.
    rul : RulEstimate
        Life left.
    deviation : ndarray of shape (n_used_signals, n_machines)
        Recent distance from healthy in healthy spreads; ``nan`` where not known.
    """

    window: StoreWindow
    lives: PresentLives
    scores: AnomalyScores
    signals: tuple[str, ...]
    newest: IntArray
    health_pct: FloatArray
    rul: RulEstimate
    deviation: FloatArray


def judge(model: HealthModel, window: StoreWindow) -> Judgements:
    """Judge all machines of one kind.

    Parameters
    ----------
    model : HealthModel
        Of this kind.
    window : StoreWindow
        Their samples, signals in the order of the model.

    Returns
    -------
    Judgements
        Machines in the order of the window.
    """
    lives = present_lives(model, window)
    compressed = model.fusion.deviations(lives.values)
    n_used, n_machines = compressed.shape[1:]
    usual = Baseline(
        centre=np.zeros((n_used, n_machines)),
        scale=np.ones((n_used, n_machines)),
        autocorrelation=np.full((n_used, n_machines), UNIT_AUTOCORRELATION),
    )
    scores = score_block(compressed.astype(np.float32), usual, DETECTOR)
    damage = lives.damage
    return Judgements(
        window=window,
        lives=lives,
        scores=scores,
        signals=tuple(model.signals[int(index)] for index in model.fusion.used),
        newest=_last_row(np.logical_or.reduce(np.isfinite(lives.values), axis=1)),
        health_pct=health_pct(_last_value(damage)),
        rul=estimate_rul(model, damage, interval=INTERVAL_RATIO),
        deviation=_recent_median(KNEE_Z * np.sinh(compressed / KNEE_Z)),
    )


def healthy_bands(model: HealthModel) -> dict[str, tuple[float, float]]:
    """Healthy band of each signal, where it is the same whatever the machine is asked to do.

    Parameters
    ----------
    model : HealthModel
        Of a kind of machine.

    Returns
    -------
    dict of str to tuple of float
        Centre and half width in the signal's unit; empty for a model with regime signals.
    """
    fusion = model.fusion
    if fusion.regime.size:
        return {}
    return {
        model.signals[int(index)]: (float(centre), HEALTHY_BAND * float(scale))
        for index, centre, scale in zip(fusion.used, fusion.usual[0], fusion.scale, strict=True)
    }


def _last_row(is_known: BoolArray) -> IntArray:
    """Last row of each column that holds, -1 where none does."""
    n_rows = is_known.shape[0]
    last = n_rows - 1 - is_known[::-1].argmax(axis=0)
    return np.where(is_known.any(axis=0), last, -1)


def _last_value(values: FloatArray) -> FloatArray:
    row = _last_row(np.isfinite(values))
    found = values[row, np.arange(values.shape[1])]
    return np.where(row >= 0, found, np.nan)


def _recent_median(deviation: FloatArray) -> FloatArray:
    recent = np.full(deviation.shape[1:], np.nan)
    for machine in range(deviation.shape[2]):
        of_machine = deviation[:, :, machine]
        rows = np.flatnonzero(np.isfinite(of_machine).any(axis=1))[-RECENT_STEPS:]
        for signal in range(deviation.shape[1]):
            known = of_machine[rows, signal]
            known = known[np.isfinite(known)]
            if known.size:
                recent[signal, machine] = np.median(known)
    return recent
