"""Draws the wear of single units, each to its true end."""

from dataclasses import dataclass, replace
from typing import Final, assert_never

import numpy as np
import numpy.typing as npt

from simulators.errors import ScenarioError
from simulators.wear.laws import (
    ExponentialWear,
    GammaWear,
    ShockWear,
    WearLaw,
    WienerWear,
    WithShocks,
)

FloatArray = npt.NDArray[np.float64]

GRID_STEP_H: Final = 1.0
"""Wear is drawn hourly and runs straight in between; lives are counted in weeks. [h]"""

_GROWTH_HORIZON: Final = 3.0
"""Units are first drawn to three times the typical growth time, which nearly all end within."""


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
        Ages at which the path bends, never falling; twice the same where wear jumps. [h]
    wear : ndarray of shape (n_points,)
        Wear at those ages, from 0 to 1.
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

    def age_at(self, wear: float) -> float:
        """Age at which a wear is first reached.

        Parameters
        ----------
        wear : float
            From 0 to 1.

        Returns
        -------
        float
            0 for a wear of 0: a new unit. [h]
        """
        if wear <= 0:
            return 0.0
        highest = np.maximum.accumulate(self.wear)
        after = int(np.searchsorted(highest, wear))
        if after >= highest.size:
            return self.failure_h
        low, high = float(self.wear[after - 1]), float(self.wear[after])
        share = (wear - low) / (high - low)
        return float(self.age_h[after - 1] + share * (self.age_h[after] - self.age_h[after - 1]))


NEVER: Final = WearPath(np.inf, np.inf, np.zeros(1), np.zeros(1))
"""The path of what does not wear at all."""


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
    check_law(law)
    if isinstance(law, WithShocks):
        return [_shaken(path, law, rng) for path in draw_wear_paths(law.law, rng, n_units)]
    onset_h = rng.uniform(*law.onset_range_h, size=n_units)
    growth_h = law.growth_h * np.exp(law.growth_spread_ratio * rng.standard_normal(n_units))
    units = list(zip(onset_h.tolist(), growth_h.tolist(), strict=True))
    match law:
        case ExponentialWear():
            return [_exponential_path(onset, growth, law.curvature) for onset, growth in units]
        case GammaWear():
            wear = _gamma_wear(law, rng, growth_h)
            return [
                _first_passage_path(onset, column)
                for (onset, _), column in zip(units, wear.T, strict=True)
            ]
        case WienerWear():
            return [_wiener_path(onset, growth, law.noise, rng) for onset, growth in units]
        case ShockWear():
            return [_shock_path(onset, growth, law.jump, rng) for onset, growth in units]
    assert_never(law)


def draw_worn_path(law: WearLaw, rng: np.random.Generator, wear: float) -> tuple[WearPath, float]:
    """Draw the life of a unit that is worn already, from a given wear on.

    Where wear creeps, a fresh path is entered where it first has that wear. Where it comes in
    blows a path may never have it; blows know no age, so there they go on from that wear.

    Parameters
    ----------
    law : WearLaw
        How wear grows.
    rng : numpy.random.Generator
        Source of chance.
    wear : float
        From 0, a new unit, to below 1.

    Returns
    -------
    path : WearPath
        One life, of which what lies before `age_h` did not happen.
    age_h : float
        Age at which it has that wear; its onset too, unless `wear` is 0. [h]

    Raises
    ------
    ScenarioError
        If the law can't be.

    Examples
    --------
    >>> law = ShockWear((100.0, 100.0), 50.0, 0.0, jump=0.5)
    >>> path, age_h = draw_worn_path(law, np.random.default_rng(7), 0.25)
    >>> path.wear_at(np.array([age_h])).tolist()
    [0.25]
    """
    if isinstance(law, WithShocks):
        path, age_h = draw_worn_path(law.law, rng, wear)
        return _shaken(path, law, rng, age_h), age_h
    if isinstance(law, ShockWear) and wear > 0:
        check_law(law)
        growth_h = law.growth_h * float(np.exp(law.growth_spread_ratio * rng.standard_normal()))
        return replace(_shock_path(0.0, growth_h, law.jump, rng, wear), onset_h=0.0), 0.0
    (path,) = draw_wear_paths(law, rng, 1)
    age_h = path.age_at(wear)
    return (replace(path, onset_h=age_h) if wear > 0 else path), age_h


def check_law(law: WearLaw) -> None:
    """Refuse a law by which no machine can wear.

    Parameters
    ----------
    law : WearLaw
        The law.

    Raises
    ------
    ScenarioError
        If times or spreads are below zero, or the onset range runs the wrong way round.
    """
    if isinstance(law, WithShocks):
        check_law(law.law)
        is_possible = law.every_h > 0 and law.jump > 0
    else:
        low_h, high_h = law.onset_range_h
        shape = _shape_of(law)
        is_possible = (
            0 <= low_h <= high_h and law.growth_h > 0 and law.growth_spread_ratio >= 0 < shape
        )
    if not is_possible:
        msg = (
            f"{law}: no machine can wear like this; give an onset range from low to high, "
            "and growth, spread and shape above zero"
        )
        raise ScenarioError(msg)


def _shape_of(law: GammaWear | ExponentialWear | WienerWear | ShockWear) -> float:
    match law:
        case GammaWear():
            return min(law.jumps, law.power)
        case ExponentialWear():
            return law.curvature
        case WienerWear():
            return law.noise
        case ShockWear():
            return law.jump
    assert_never(law)


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


def _wiener_path(
    onset_h: float, growth_h: float, noise: float, rng: np.random.Generator
) -> WearPath:
    """Draw when the level is first reached, and then the way there.

    Given the time of its first passage, the distance of drifting Brownian motion from the level
    is a three-dimensional Bessel bridge to 0, whatever the drift (D. Williams, "Path decomposition
    and continuity of local time for one-dimensional diffusions", Proceedings of the London
    Mathematical Society, vol. 28, pp. 738-768, 1974). So no passage between grid points is missed.
    """
    passage_h = float(rng.wald(growth_h, growth_h / noise**2))
    n_steps = max(1, int(np.ceil(passage_h / GRID_STEP_H)))
    share: FloatArray = np.linspace(0.0, 1.0, n_steps + 1, dtype=np.float64)
    steps = rng.standard_normal((3, n_steps)) * noise * np.sqrt(passage_h / growth_h / n_steps)
    walk = np.concatenate([np.zeros((3, 1)), np.cumsum(steps, axis=1)], axis=1)
    bridge = walk - share * walk[:, -1:]
    bridge[0] += 1.0 - share
    wear = np.clip(1.0 - np.sqrt(np.sum(bridge**2, axis=0)), 0.0, 1.0)
    wear[0], wear[-1] = 0.0, 1.0
    return WearPath(onset_h, onset_h + passage_h, onset_h + passage_h * share, wear)


def _shock_path(
    onset_h: float, growth_h: float, jump: float, rng: np.random.Generator, worn: float = 0.0
) -> WearPath:
    every_h = growth_h * jump / (1.0 + jump)
    age_h, wear = [0.0], [worn]
    at_h = onset_h
    while worn < 1.0:
        at_h += float(rng.exponential(every_h))
        age_h += [at_h, at_h]
        wear += [worn, min(1.0, worn + float(rng.exponential(jump)))]
        worn = wear[-1]
    return WearPath(age_h[1], at_h, np.array(age_h), np.array(wear))


def _shaken(
    path: WearPath, law: WithShocks, rng: np.random.Generator, after_h: float = 0.0
) -> WearPath:
    """Add blows to a path after some age and end it where both together first reach 1."""
    n_blows = int(rng.poisson((path.failure_h - after_h) / law.every_h))
    blow_h = np.sort(rng.uniform(after_h, path.failure_h, size=n_blows))
    blows = rng.exponential(law.jump, size=n_blows)
    age_h = np.concatenate([path.age_h, blow_h, blow_h])
    added = np.concatenate([
        np.zeros(path.age_h.size), np.zeros(n_blows), blows
    ])  # fmt: skip
    order = np.argsort(age_h, kind="stable")
    age_h = age_h[order]
    wear = path.wear_at(age_h) + np.cumsum(added[order])
    last = int(np.argmax(wear >= 1))
    low, high = float(wear[last - 1]), float(wear[last])
    failure_h = float(
        age_h[last - 1] + (1.0 - low) / (high - low) * (age_h[last] - age_h[last - 1])
    )
    onset_h = min([path.onset_h, *blow_h[:1].tolist()])
    return WearPath(
        onset_h, failure_h, np.append(age_h[:last], failure_h), np.append(wear[:last], 1.0)
    )
