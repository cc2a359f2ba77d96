"""How wear grows from its onset to a true end.

Wear is 0 on a healthy machine and 1 when it fails. Two laws are known here, each with
unit-to-unit variation, and each with a closed-form law of the failure time that the tests hold
the drawn paths to. What wear does to a machine's signals is up to `simulators.machines`.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from simulators.errors import ScenarioError

FloatArray = npt.NDArray[np.float64]

GRID_STEP_H: Final = 1.0
"""Wear is drawn hourly and runs straight in between; lives are counted in weeks. [h]"""

_GROWTH_HORIZON: Final = 3.0
"""Units are first drawn to three times the typical growth time, which nearly all end within."""


@dataclass(frozen=True, slots=True)
class GammaWear:
    """Wear in random jumps, never back: a gamma process with a power-law clock.

    After onset the wear at age τ is gamma distributed with shape ``jumps * (τ / s) ** power``
    and scale ``1 / jumps``, so that it averages 1 at τ = s. [1]_

    Parameters
    ----------
    onset_range_h : tuple of float
        Healthy time before wear sets in, uniform between these. [h]
    growth_h : float
        Median over units of s, the time from onset to an average wear of 1. [h]
    growth_spread_ratio : float
        Standard deviation over units of ln s.
    power : float
        Above 1, wear speeds up with age.
    jumps : float
        How finely wear comes: the relative spread of wear around its mean at s is
        ``jumps ** -0.5``.

    References
    ----------
    .. [1] J. M. van Noortwijk, "A survey of the application of gamma processes in
       maintenance", Reliability Engineering & System Safety, vol. 94, pp. 2-21, 2009.
    """

    onset_range_h: tuple[float, float]
    growth_h: float
    growth_spread_ratio: float
    power: float
    jumps: float


@dataclass(frozen=True, slots=True)
class ExponentialWear:
    """Wear that feeds on itself: ``(exp(c·τ/T) - 1) / (exp(c) - 1)`` at age τ after onset.

    The noise-free form of [1]_.

    Parameters
    ----------
    onset_range_h : tuple of float
        Healthy time before wear sets in, uniform between these. [h]
    growth_h : float
        Median over units of T, the time from onset to failure. [h]
    growth_spread_ratio : float
        Standard deviation over units of ln T.
    curvature : float
        c above; at 0.01 wear is a straight line, at 5 most of it comes in the last fifth.

    References
    ----------
    .. [1] N. Gebraeel, M. Lawley, R. Li and J. Ryan, "Residual-life distributions from
       component degradation signals: a Bayesian approach", IIE Transactions,
       vol. 37, no. 6, pp. 543-557, 2005.
    """

    onset_range_h: tuple[float, float]
    growth_h: float
    growth_spread_ratio: float
    curvature: float


WearLaw: TypeAlias = GammaWear | ExponentialWear


@dataclass(frozen=True, slots=True, eq=False)
class WearPath:
    """Wear of one unit over its life, from new to failed.

    Parameters
    ----------
    onset_h : float
        Age at which wear sets in. [h]
    failure_h : float
        Age at which wear reaches 1. [h]
    age_h : ndarray of shape (n_points,)
        Ages at which the path bends, rising. [h]
    wear : ndarray of shape (n_points,)
        Wear at those ages, never falling, from 0 to 1.
    """

    onset_h: float
    failure_h: float
    age_h: FloatArray
    wear: FloatArray

    def wear_at(self, age_h: FloatArray) -> FloatArray:
        """Wear at any ages.

        Parameters
        ----------
        age_h : ndarray
            Ages since new; may lie outside the life. [h]

        Returns
        -------
        ndarray of the same shape
            Wear from 0 to 1: 0 before the life, 1 from failure on.
        """
        return np.interp(age_h, self.age_h, self.wear)


def draw_wear_paths(law: WearLaw, rng: np.random.Generator, n_units: int) -> list[WearPath]:
    """Draw the lives of several units of one kind.

    Parameters
    ----------
    law : WearLaw
        How wear grows.
    rng : numpy.random.Generator
        Source of chance.
    n_units : int
        How many lives to draw.

    Returns
    -------
    list of WearPath
        One path for each unit, every one of them ending in failure.

    Raises
    ------
    ScenarioError
        If the law can't be: times or spreads below zero, or an onset range the wrong way round.

    Examples
    --------
    >>> law = ExponentialWear((100.0, 100.0), 50.0, 0.0, curvature=2.0)
    >>> (path,) = draw_wear_paths(law, np.random.default_rng(7), 1)
    >>> path.failure_h, path.wear_at(np.array([90.0, 150.0])).tolist()
    (150.0, [0.0, 1.0])
    """
    _check(law)
    onset_h = rng.uniform(*law.onset_range_h, size=n_units)
    growth_h = law.growth_h * np.exp(law.growth_spread_ratio * rng.standard_normal(n_units))
    if isinstance(law, ExponentialWear):
        return [
            _exponential_path(float(onset), float(growth), law.curvature)
            for onset, growth in zip(onset_h, growth_h, strict=True)
        ]
    wear = _gamma_wear(law, rng, growth_h)
    return [
        _first_passage_path(float(onset), column)
        for onset, column in zip(onset_h, wear.T, strict=True)
    ]


def _check(law: WearLaw) -> None:
    low_h, high_h = law.onset_range_h
    shape = law.jumps * law.power if isinstance(law, GammaWear) else law.curvature
    if not (0 <= low_h <= high_h and law.growth_h > 0 and law.growth_spread_ratio >= 0 < shape):
        msg = (
            f"{law}: no machine can wear like this; give an onset range from low to high, "
            "and growth, spread and shape above zero"
        )
        raise ScenarioError(msg)


def _exponential_path(onset_h: float, growth_h: float, curvature: float) -> WearPath:
    n_steps = max(1, int(np.ceil(growth_h / GRID_STEP_H)))
    share: FloatArray = np.linspace(0.0, 1.0, n_steps + 1, dtype=np.float64)
    wear = np.expm1(curvature * share) / np.expm1(curvature)
    return WearPath(onset_h, onset_h + growth_h, onset_h + growth_h * share, wear)


def _gamma_wear(law: GammaWear, rng: np.random.Generator, growth_h: FloatArray) -> FloatArray:
    """Wear at each grid step after onset, drawn on until every unit has passed 1."""
    n_steps = int(np.ceil(_GROWTH_HORIZON * law.growth_h / GRID_STEP_H))
    blocks = [np.zeros((1, growth_h.size))]
    while not np.all(blocks[-1][-1] >= 1):
        n_done = sum(len(block) for block in blocks) - 1
        age_h = GRID_STEP_H * np.arange(n_done, n_done + n_steps + 1)[:, np.newaxis]
        shape = law.jumps * (age_h / growth_h) ** law.power
        increments = rng.gamma(np.diff(shape, axis=0), 1.0 / law.jumps)
        blocks.append(blocks[-1][-1] + np.cumsum(increments, axis=0))
    return np.concatenate(blocks)


def _first_passage_path(onset_h: float, wear: FloatArray) -> WearPath:
    """Cut a path where it first passes 1; within the grid step it is taken to run straight."""
    last = int(np.argmax(wear >= 1))
    step_share = (1.0 - wear[last - 1]) / (wear[last] - wear[last - 1])
    failure_h = onset_h + GRID_STEP_H * (last - 1 + float(step_share))
    age_h = onset_h + GRID_STEP_H * np.arange(last + 1, dtype=np.float64)
    age_h[-1] = failure_h
    return WearPath(onset_h, failure_h, age_h, np.append(wear[:last], 1.0))
