"""The laws by which simulated machines fail, repairs succeed and customers leave.

Every constant of the world that a test or an estimator may be judged against stands here; the
laws are told in words at the top of `simulators.world`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from simulators.machines import KINDS as MACHINE_KINDS

FloatArray = npt.NDArray[np.float64]

HOURS_PER_DAY: Final = 24.0
MONTH_H: Final = 730.5
"""A twelfth of a Julian year, so that 24 months are two years whatever the calendar says. [h]"""
N_LEAD_IN_MONTHS: Final = 6
"""Months before anybody may leave, so that the first 180-day features have their facts."""
N_MONTHS: Final = 24
"""Months in which customers may leave, unless another number is asked for."""


@dataclass(frozen=True, slots=True)
class KindLaw:
    """How machines of one kind fail, and what that costs.

    Parameters
    ----------
    kind : str
        Name shared by all machines of the kind.
    key_prefix : str
        Machine keys are this, a hyphen and a number.
    model : str
        Type plate.
    life_shape : float
        Weibull shape of the life: 1 is a Poisson process, more is wear.
    life_scale_days : float
        Weibull scale of the life. [d]
    fault_codes : tuple of str
        What breaks, equally often.
    wrench_h_median : float
        Median of the time at work on an unplanned repair. [h]
    preventive_interval_days : float
        Days from one planned visit to the next. [d]
    run_h_per_day : float
        Usual running time. [h/d]
    """

    kind: str
    key_prefix: str
    model: str
    life_shape: float
    life_scale_days: float
    fault_codes: tuple[str, ...]
    wrench_h_median: float
    preventive_interval_days: float
    run_h_per_day: float

    @property
    def downtime_cost_eur_per_h(self) -> tuple[float, float]:
        """Lowest and highest cost of an hour of standstill to a customer, in EUR/h."""
        return _around(MACHINE_KINDS[self.kind].costs.downtime_cost_eur_per_h)

    @property
    def planned_visit_cost_eur(self) -> tuple[float, float]:
        """Lowest and highest cost of a planned visit, in EUR."""
        return _around(MACHINE_KINDS[self.kind].costs.planned_visit_cost_eur)

    @property
    def planned_visit_h(self) -> tuple[float, float]:
        """Lowest and highest standstill for a planned visit, in h."""
        return _around(MACHINE_KINDS[self.kind].costs.planned_visit_h)

    @property
    def repair_cost_eur(self) -> tuple[float, float]:
        """Lowest and highest cost of an unplanned repair, in EUR."""
        return _around(MACHINE_KINDS[self.kind].costs.unplanned_repair_cost_eur)

    @property
    def repair_h(self) -> tuple[float, float]:
        """Lowest and highest standstill to plan with for an unplanned repair, in h."""
        return _around(MACHINE_KINDS[self.kind].costs.unplanned_repair_h)


_COST_SPREAD_RATIO: Final = (0.6, 1.5)
"""What a site makes of the typical costs of a kind, lowest and highest."""


def _around(typical: float) -> tuple[float, float]:
    low, high = _COST_SPREAD_RATIO
    return low * typical, high * typical


# Mean lives of roughly half a year are typical of bearings, seals and tool clamps in continuous
# use; the shapes follow the ranges in R. B. Abernethy, "The New Weibull Handbook", 5th ed., 2006:
# about 1 for seals (chance), near 2 for rolling bearings, above 2 for tool wear.
KINDS: Final[dict[str, KindLaw]] = {
    law.kind: law
    for law in (
        KindLaw(
            kind="bearing-conveyor",
            key_prefix="conveyor",
            model="BC-400",
            life_shape=1.8,
            life_scale_days=210.0,
            fault_codes=("outer-race", "inner-race", "belt-tracking"),
            wrench_h_median=5.0,
            preventive_interval_days=150.0,
            run_h_per_day=16.0,
        ),
        KindLaw(
            kind="centrifugal-pump",
            key_prefix="pump",
            model="CP-80",
            life_shape=1.0,
            life_scale_days=240.0,
            fault_codes=("seal-leak", "impeller-wear", "cavitation"),
            wrench_h_median=4.0,
            preventive_interval_days=180.0,
            run_h_per_day=20.0,
        ),
        KindLaw(
            kind="machining-spindle",
            key_prefix="spindle",
            model="MS-24",
            life_shape=2.4,
            life_scale_days=200.0,
            fault_codes=("spindle-bearing", "tool-clamp", "drive-overheating"),
            wrench_h_median=7.0,
            preventive_interval_days=120.0,
            run_h_per_day=13.0,
        ),
        KindLaw(
            kind="reciprocating-compressor",
            key_prefix="compressor",
            model="RC-75",
            life_shape=1.3,
            life_scale_days=230.0,
            fault_codes=("discharge-valve-leak", "cooler-fouling"),
            wrench_h_median=4.5,
            preventive_interval_days=150.0,
            run_h_per_day=19.0,
        ),
        KindLaw(
            kind="gearbox",
            key_prefix="gearbox",
            model="GB-300",
            life_shape=2.0,
            life_scale_days=240.0,
            fault_codes=("tooth-crack", "gear-wear"),
            wrench_h_median=8.0,
            preventive_interval_days=170.0,
            run_h_per_day=17.0,
        ),
        KindLaw(
            kind="electric-motor",
            key_prefix="motor",
            model="EM-55",
            life_shape=1.6,
            life_scale_days=250.0,
            fault_codes=("insulation-ageing", "cooling-blocked"),
            wrench_h_median=5.0,
            preventive_interval_days=180.0,
            run_h_per_day=18.0,
        ),
        KindLaw(
            kind="hydraulic-press",
            key_prefix="press",
            model="HP-160",
            life_shape=1.7,
            life_scale_days=215.0,
            fault_codes=("accumulator-gas-loss", "pump-leakage"),
            wrench_h_median=5.5,
            preventive_interval_days=140.0,
            run_h_per_day=14.0,
        ),
    )
}

PACE_SIGMA: Final = 0.3
"""Spread of the logarithm of how hard a customer works its machines."""
BAD_QUARTER_PROBABILITY: Final = 0.12
"""That a customer's quarter is a bad one (dust, heat, a bad batch of grease)."""
BAD_QUARTER_PACE: Final = 2.5
"""How many times faster machines age in a bad quarter."""
PREVENTIVE_AGE_RATIO: Final = 0.4
"""Part of its age that a machine keeps after a planned visit (Kijima's second model)."""
POOR_REPAIR_PROBABILITY: Final = 0.08
"""That a repair holds only a few days, and the same fault comes back."""
POOR_REPAIR_DAYS: Final = (3.0, 25.0)
"""Shortest and longest life of a poor repair. [d]"""

RESPONSE_H_MEDIAN: Final = 13.0
"""Median of the wait for a technician in a region without other open jobs. [h]"""
RESPONSE_SIGMA: Final = 0.55
RESPONSE_LOAD_GAIN: Final = 0.15
"""The wait grows by this part for each corrective job open in the region."""
RESPONSE_H_MAX: Final = 96.0
REPEAT_GAP_DAYS: Final = (1.0, 5.0)
"""From one visit to the next of the same job, while the part comes. [d]"""
N_VISITS_MAX: Final = 3
"""The third visit brings a specialist and always succeeds."""
WORKAROUND_PROBABILITY: Final = 0.5
"""That an unsuccessful visit at least leaves the machine running until the next."""

ACCESS_PROBABILITY: Final = 0.98
DIAGNOSIS_PROBABILITY: Final = 0.94
SKILLED_PROBABILITY: Final = (0.92, 0.99)
"""That a technician trained for the kind can do the job, worst and best of them."""
UNSKILLED_PROBABILITY: Final = 0.6
PART_PROBABILITY: Final = (0.86, 0.98)
"""That the part is on the van at the first visit, and at later ones for which it was ordered."""
SKILLED_DISPATCH_PROBABILITY: Final = 0.9
"""That the dispatcher asks for the skill."""


@dataclass(frozen=True, slots=True)
class HazardTerm:
    """What one feature adds to the log-odds of leaving in a month.

    Parameters
    ----------
    feature : str
        Name of the feature, ending in its unit.
    log_odds_per_unit : float
        Added log-odds for each unit of the feature.
    lowest, highest : float
        The feature is held between these before it counts.
    """

    feature: str
    log_odds_per_unit: float
    lowest: float
    highest: float


HAZARD_TERMS: Final = (
    HazardTerm("downtime_h_per_machine_90d", 0.022, 0.0, 100.0),
    HazardTerm("repeat_visit_ratio_180d", 1.5, 0.0, 1.0),
    HazardTerm("response_excess_ratio_90d", 0.8, 0.0, 3.0),
    HazardTerm("late_payment_days_180d", 0.05, 0.0, 30.0),
    HazardTerm("usage_change_ratio_90d", -3.0, -0.5, 0.5),
    HazardTerm("champion_left_180d_count", 0.9, 0.0, 1.0),
    HazardTerm("downgrade_180d_count", 0.7, 0.0, 1.0),
    HazardTerm("competitor_offer_90d_count", 0.6, 0.0, 1.0),
    HazardTerm("onboarding_overdue_count", 0.25, 0.0, 4.0),
    HazardTerm("renewal_within_60d_count", 0.7, 0.0, 1.0),
)
"""The terms of the true hazard; `simulators.world` says how each feature is defined."""
HAZARD_FEATURES: Final = tuple(term.feature for term in HAZARD_TERMS)
N_SERVICE_TERMS: Final = 3
"""The first terms are what the service did to the customer; payment and usage are its answer."""
RELATION_FEATURES: Final = HAZARD_FEATURES[5:]
"""What does not depend on machines; see `simulators.world.relations`."""
HAZARD_INTERCEPT: Final = -5.85
"""Log-odds in a month without any trouble, for the middle customer."""
FRAILTY_SIGMA: Final = 0.7
"""Standard deviation of what sets one customer apart from the next, in log-odds."""


_LOWEST: Final = np.array([term.lowest for term in HAZARD_TERMS])
_HIGHEST: Final = np.array([term.highest for term in HAZARD_TERMS])
_WEIGHT: Final = np.array([term.log_odds_per_unit for term in HAZARD_TERMS])


def hazard_log_odds(features: FloatArray) -> FloatArray:
    """Log-odds that each feature adds to leaving within the month.

    Parameters
    ----------
    features : ndarray of shape (..., 10)
        In the order of `HAZARD_FEATURES` and the units their names say.

    Returns
    -------
    ndarray of shape (..., 10)
        Added log-odds; 0 where the feature is 0.

    Examples
    --------
    >>> hazard_log_odds(np.array([50.0, 0.4, 0.0, 10.0, -0.1, 1, 0, 0, 2, 0])).round(2)
    array([1.1, 0.6, 0. , 0.5, 0.3, 0.9, 0. , 0. , 0.5, 0. ])
    """
    added: FloatArray = _WEIGHT * np.minimum(np.maximum(features, _LOWEST), _HIGHEST)
    return added


def monthly_hazard(features: FloatArray, frailty: FloatArray) -> FloatArray:
    """Probability that a customer leaves within the month after a landmark.

    Parameters
    ----------
    features : ndarray of shape (..., 10)
        In the order of `HAZARD_FEATURES`.
    frailty : ndarray of shape (...)
        Each customer's own log-odds.

    Returns
    -------
    ndarray of shape (...)
        Probability in (0, 1).

    Examples
    --------
    >>> calm, troubled = [0.0] * 10, [60.0, 0.4, 0.8, 10.0, -0.1, 0, 0, 0, 0, 0]
    >>> monthly_hazard(np.array([calm, troubled]), np.zeros(2)).round(4)
    array([0.0029, 0.0766])
    """
    return hazard_of(hazard_log_odds(features), frailty)


def hazard_of(added: FloatArray, frailty: FloatArray) -> FloatArray:
    """Probability of leaving, from the log-odds that each feature adds.

    Parameters
    ----------
    added : ndarray of shape (..., 10)
        As `hazard_log_odds` gives them.
    frailty : ndarray of shape (...)
        Each customer's own log-odds.

    Returns
    -------
    ndarray of shape (...)
        Probability in (0, 1).
    """
    log_odds = HAZARD_INTERCEPT + added.sum(axis=-1) + frailty
    probability: FloatArray = 1.0 / (1.0 + np.exp(-log_odds))
    return probability


def remaining_life_days(
    exponential: FloatArray, age_days: FloatArray, *, shape: float, scale_days: float
) -> FloatArray:
    """Life left to a Weibull machine of some age.

    Parameters
    ----------
    exponential : ndarray
        Standard exponential draws.
    age_days : ndarray of the same shape
        Age the machine has at heart. [d]
    shape : float
        Weibull shape.
    scale_days : float
        Weibull scale. [d]

    Returns
    -------
    ndarray of the same shape
        Days until it fails, given that it has come so far. [d]

    References
    ----------
    .. [1] M. Kijima, "Some results for repairable systems with general repair",
       Journal of Applied Probability, vol. 26, no. 1, pp. 89-102, 1989.

    Examples
    --------
    >>> age_days = np.array([0.0, 100.0])
    >>> remaining_life_days(np.ones(2), age_days, shape=2.0, scale_days=200.0).round(1)
    array([200. , 123.6])
    """
    whole = scale_days * ((age_days / scale_days) ** shape + exponential) ** (1.0 / shape)
    left: FloatArray = whole - age_days
    return left
