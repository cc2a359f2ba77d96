"""Making intervals hold what they promise, and scoring what was said of left-out units."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.arrays import FloatArray, NotEnoughDataError
from analytics.health.similarity import LifeDistribution

STRETCH_RANGE: Final = (0.5, 2.0)
"""Few units can ask for absurd corrections; beyond a factor of two the answer is another model."""

_N_SCORE_LIVES: Final = 48


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """What was said of the units of one fold, and what came true.

    Parameters
    ----------
    said : LifeDistribution
        Not stretched.
    true_steps : ndarray of shape (n_cases,)
        Life that was left. [steps]
    """

    said: LifeDistribution
    true_steps: FloatArray


@dataclass(frozen=True, slots=True)
class Calibration:
    """The stretch to use, and how good the stretched answers were.

    Parameters
    ----------
    stretch : float
        Makes the interval hold the wanted part of all cases.
    crps_steps : float
        Mean continuous ranked probability score up to a clip; 0 is perfect. [steps]
    rmse_steps : float
        Root mean square error of the medians. [steps]
    coverage_ratio : float
        Part of the cases held by their interval, each fold stretched by what the others needed.
    mean_width_steps : float
        Mean width of those intervals. [steps]
    n_cases : int
        How many cases.
    """

    stretch: float
    crps_steps: float
    rmse_steps: float
    coverage_ratio: float
    mean_width_steps: float
    n_cases: int


def calibrate(trials: Sequence[Trial], *, clip_steps: float, interval_ratio: float) -> Calibration:
    """Find the stretch that makes intervals honest, and score the stretched answers.

    The stretch is the split-conformal quantile [1]_ of the stretches that the single cases would
    have needed. The continuous ranked probability score [2]_ weighs a distribution as a whole.

    Parameters
    ----------
    trials : sequence of Trial
        One for each fold.
    clip_steps : float
        Lives beyond this score alike. [steps]
    interval_ratio : float
        Part of the cases that the central interval shall hold.

    Returns
    -------
    Calibration
        Over the cases of all folds.

    Raises
    ------
    NotEnoughDataError
        If there is no case.

    References
    ----------
    .. [1] J. Lei, M. G'Sell, A. Rinaldo, R. J. Tibshirani and L. Wasserman, "Distribution-free
       predictive inference for regression", Journal of the American Statistical Association,
       vol. 113, pp. 1094-1111, 2018.
    .. [2] T. Gneiting and A. E. Raftery, "Strictly proper scoring rules, prediction, and
       estimation", Journal of the American Statistical Association, vol. 102, pp. 359-378, 2007.
    """
    fold = np.repeat(np.arange(len(trials)), [trial.true_steps.size for trial in trials])
    if not fold.size:
        msg = "no unit has enough samples before its failure to try the model on; give longer lives"
        raise NotEnoughDataError(msg)
    needed = np.concatenate([_needed_stretch(trial, interval_ratio) for trial in trials])
    stretch = _stretch_for(needed, interval_ratio)
    tail = 0.5 * (1.0 - interval_ratio)
    truth, median, lower, upper, crps = [], [], [], [], []
    for k, trial in enumerate(trials):
        honest = trial.said.stretched(_stretch_for(needed[fold != k], interval_ratio))
        truth.append(trial.true_steps)
        median.append(honest.quantile_steps(0.5))
        lower.append(honest.quantile_steps(tail))
        upper.append(honest.quantile_steps(1.0 - tail))
        crps.append(_crps(trial.said.stretched(stretch), trial.true_steps, clip_steps))
    true_steps, low, high = (np.concatenate(column) for column in (truth, lower, upper))
    miss = np.concatenate(median) - true_steps
    return Calibration(
        stretch=stretch,
        crps_steps=float(np.concatenate(crps).mean()),
        rmse_steps=float(np.sqrt(np.mean(miss**2))),
        coverage_ratio=float(((low <= true_steps) & (true_steps <= high)).mean()),
        mean_width_steps=float((high - low).mean()),
        n_cases=int(fold.size),
    )


def _needed_stretch(trial: Trial, interval_ratio: float) -> FloatArray:
    """Stretch at which each case's interval would just hold the truth."""
    tail = 0.5 * (1.0 - interval_ratio)
    median = trial.said.quantile_steps(0.5)
    miss = np.log(trial.true_steps / median)
    edge = np.where(
        miss > 0, trial.said.quantile_steps(1.0 - tail), trial.said.quantile_steps(tail)
    )
    reach = np.abs(np.log(edge / median))
    needed: FloatArray = np.full(miss.size, np.inf)
    np.divide(np.abs(miss), reach, out=needed, where=reach > 0)
    return needed


def _stretch_for(needed: FloatArray, interval_ratio: float) -> float:
    """Smallest stretch that holds the wanted part of new cases."""
    if not needed.size:
        return 1.0
    rank = min(int(np.ceil((needed.size + 1) * interval_ratio)), needed.size)
    return float(np.clip(np.sort(needed)[rank - 1], *STRETCH_RANGE))


def _crps(said: LifeDistribution, true_steps: FloatArray, clip_steps: float) -> FloatArray:
    """Continuous ranked probability score of each case, on lives clipped at `clip_steps`."""
    life = (np.arange(_N_SCORE_LIVES) + 0.5) * clip_steps / _N_SCORE_LIVES
    missed = said.survival(life) - (true_steps[:, np.newaxis] > life)
    score: FloatArray = clip_steps * np.mean(missed**2, axis=1)
    return score
