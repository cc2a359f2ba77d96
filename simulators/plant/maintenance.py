"""What service does to a simulated machine: restores it fully, partly, or not at all.

Partial restoration is Kijima's: a repair takes away part of the damage, and the machine goes on
from the age at which a new one would have what is left. [1]_ Unless the policy says otherwise, only
the component that failed is touched after a failure, and all of them by a planned visit.

References
----------
.. [1] M. Kijima, "Some results for repairable systems with general repair", Journal of Applied
   Probability, vol. 26, no. 1, pp. 89-102, 1989.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, assert_never, get_args

import numpy as np

from simulators.errors import ScenarioError

Effect: TypeAlias = Literal["perfect", "imperfect", "none"]

PATCHED_WEAR: Final = 0.9
"""What a failed component has after a repair that restored nothing: it turns again, and that is
all."""


@dataclass(frozen=True, slots=True)
class MaintenancePolicy:
    """How well a machine is looked after.

    Parameters
    ----------
    perfect_probability : float
        That service makes as new what it touches.
    imperfect_probability : float
        That it leaves part of the wear; what is left to 1 does nothing.
    kept_wear_ratio : tuple of float
        Least and most of the wear that imperfect service leaves.
    planned_every_days : float or None
        Days from one planned visit to the next, counted from the last stop; None for never. [d]
    planned_standstill_h : float
        How long a planned visit stops the machine. [h]
    planned_effect : {"perfect", "imperfect", "none"} or None
        How well a planned visit restores what it touches; None to draw it as after a failure.
    planned_modes : tuple of str
        Failure modes that a planned visit sees to; all if empty.
    overhauls : bool
        Whether service after a failure sees to all failure modes, not only the one that failed.
    """

    perfect_probability: float = 1.0
    imperfect_probability: float = 0.0
    kept_wear_ratio: tuple[float, float] = (0.1, 0.4)
    planned_every_days: float | None = None
    planned_standstill_h: float = 4.0
    planned_effect: Effect | None = None
    planned_modes: tuple[str, ...] = ()
    overhauls: bool = False

    def __post_init__(self) -> None:
        probabilities = (self.perfect_probability, self.imperfect_probability)
        if not all(0 <= one <= 1 for one in (*probabilities, sum(probabilities))):
            msg = (
                f"maintenance: probabilities {probabilities} of perfect and imperfect service must "
                "be 0 or above and at most 1 together"
            )
            raise ScenarioError(msg)
        low, high = self.kept_wear_ratio
        if not 0 <= low <= high < 1:
            msg = (
                f"maintenance: kept_wear_ratio {self.kept_wear_ratio} must run from low to high "
                "within 0 to below 1"
            )
            raise ScenarioError(msg)
        planned = (self.planned_standstill_h, self.planned_every_days)
        if not all(length is None or 0 < length < np.inf for length in planned):
            msg = (
                f"maintenance: planned_every_days {self.planned_every_days} and "
                f"planned_standstill_h {self.planned_standstill_h} must be above 0; leave the "
                "days out for no visits"
            )
            raise ScenarioError(msg)
        if self.planned_effect not in {None, *get_args(Effect)}:
            msg = (
                f"maintenance: planned_effect {self.planned_effect!r} is not one of "
                f"{', '.join(get_args(Effect))}"
            )
            raise ScenarioError(msg)

    def touches(self, mode: str, *, is_failed: bool, is_planned: bool) -> bool:
        """Whether a visit sees to a failure mode.

        Parameters
        ----------
        mode : str
            Its key.
        is_failed : bool
            Whether it is what stopped the machine.
        is_planned : bool
            Whether the visit was planned.

        Returns
        -------
        bool
            True if its component is served.
        """
        if is_planned:
            return not self.planned_modes or mode in self.planned_modes
        return is_failed or self.overhauls


@dataclass(frozen=True, slots=True)
class Service:
    """What one visit does.

    Parameters
    ----------
    effect : {"perfect", "imperfect", "none"}
        How well it restores what it touches.
    kept_wear_ratio : float
        Part of the wear that it leaves: 0 if perfect, 1 if none.
    """

    effect: Effect
    kept_wear_ratio: float

    def wear_left(self, wear: float) -> float:
        """Wear after the visit.

        Parameters
        ----------
        wear : float
            Wear before it; 1 if the component has failed.

        Returns
        -------
        float
            Below 1, since a machine that runs again has not failed.
        """
        return min(self.kept_wear_ratio * wear, PATCHED_WEAR if wear >= 1 else 1.0)


def draw_service(
    policy: MaintenancePolicy, rng: np.random.Generator, *, is_planned: bool = False
) -> Service:
    """Draw what a visit will do.

    Parameters
    ----------
    policy : MaintenancePolicy
        How well the machine is looked after.
    rng : numpy.random.Generator
        Source of chance.
    is_planned : bool
        Whether the visit was planned.

    Returns
    -------
    Service
        Its effect.
    """
    draw, kept = float(rng.random()), float(rng.uniform(*policy.kept_wear_ratio))
    effect = policy.planned_effect if is_planned else None
    if effect is None:
        effect = _effect_at(policy, draw)
    match effect:
        case "perfect":
            return Service(effect, 0.0)
        case "imperfect":
            return Service(effect, kept)
        case "none":
            return Service(effect, 1.0)
    assert_never(effect)


def _effect_at(policy: MaintenancePolicy, draw: float) -> Effect:
    if draw < policy.perfect_probability:
        return "perfect"
    if draw < policy.perfect_probability + policy.imperfect_probability:
        return "imperfect"
    return "none"
