"""What service does to a simulated machine: restores it fully, partly, or not at all.

Partial restoration is Kijima's: a repair takes away part of the damage, and the machine goes on
from the age at which a new one would have what is left. [1]_ Only the component that failed is
touched after a failure; a planned visit touches all of them.

References
----------
.. [1] M. Kijima, "Some results for repairable systems with general repair", Journal of Applied
   Probability, vol. 26, no. 1, pp. 89-102, 1989.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

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
    """

    perfect_probability: float = 1.0
    imperfect_probability: float = 0.0
    kept_wear_ratio: tuple[float, float] = (0.1, 0.4)
    planned_every_days: float | None = None
    planned_standstill_h: float = 4.0

    def __post_init__(self) -> None:
        probabilities = (self.perfect_probability, self.imperfect_probability)
        if min(probabilities) < 0 or sum(probabilities) > 1:
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
        if self.planned_standstill_h <= 0 or (self.planned_every_days or 1.0) <= 0:
            msg = "maintenance: planned_every_days and planned_standstill_h must be above 0"
            raise ScenarioError(msg)


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


def draw_service(policy: MaintenancePolicy, rng: np.random.Generator) -> Service:
    """Draw what a visit will do.

    Parameters
    ----------
    policy : MaintenancePolicy
        How well the machine is looked after.
    rng : numpy.random.Generator
        Source of chance.

    Returns
    -------
    Service
        Its effect.
    """
    draw, kept = float(rng.random()), float(rng.uniform(*policy.kept_wear_ratio))
    if draw < policy.perfect_probability:
        return Service("perfect", 0.0)
    if draw < policy.perfect_probability + policy.imperfect_probability:
        return Service("imperfect", kept)
    return Service("none", 1.0)
