"""What waiting costs: from survival and two prices to the day on which going costs least.

Going early gives away life that was left in the machine; going late risks a failure that costs
more than a visit. The price of life given away is the long-run cost rate: what a day of running
such a machine costs under the best replacement age. Knows no calendar, route or technician.
"""

from dataclasses import dataclass

import numpy as np

from analytics.arrays import DomainError, FloatArray, IntArray, ShapeError
from analytics.planning.replacement import (
    TOLERANCE,
    check_survival,
    long_run_cost_rate,
    survival_integral,
)

__all__ = [
    "WaitingCost",
    "WaitingTerms",
    "cost_of_waiting",
    "daily_survival",
    "explain_waiting",
    "long_run_cost_rate",
    "waiting_sentence",
]


@dataclass(frozen=True, slots=True, eq=False)
class WaitingCost:
    """What visiting on each day costs more than visiting on the cheapest.

    Parameters
    ----------
    penalty : ndarray of shape (n_machines, n_days + 1)
        Expected extra cost of going at the end of each day, 0 on the cheapest; ``nan`` where
        the survival, a cost or the rate is not known. [currency]
    best_day : ndarray of int, shape (n_machines,)
        Cheapest day, the latest of equals; -1 where not known. The last day means that nothing
        is gained by going within the horizon. [days]
    failure_probability : ndarray of shape (n_machines,)
        Of failing within the horizon if nobody goes.
    failure_probability_by_best_day : ndarray of shape (n_machines,)
        Of failing before the cheapest day ends.
    """

    penalty: FloatArray
    best_day: IntArray
    failure_probability: FloatArray
    failure_probability_by_best_day: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class WaitingTerms:
    """Why going on one day costs more than on another, in whole cents.

    Parameters
    ----------
    day, best_day : ndarray of int, shape (n_machines,)
        The day asked about, and the cheapest; -1 where not known.
    planned : ndarray of shape (n_machines,)
        Change in what planned visits are expected to cost. [currency]
    failure : ndarray of shape (n_machines,)
        Change in what failures are expected to cost. [currency]
    rate : ndarray of shape (n_machines,)
        Life given away by going earlier, or gained (below zero) by going later. [currency]
    penalty : ndarray of shape (n_machines,)
        Their sum. [currency]
    """

    day: IntArray
    best_day: IntArray
    planned: FloatArray
    failure: FloatArray
    rate: FloatArray
    penalty: FloatArray


def cost_of_waiting(
    survival: FloatArray,
    planned_cost: FloatArray,
    failure_cost: FloatArray,
    cost_rate_per_day: FloatArray,
) -> WaitingCost:
    """Compare visiting each machine at the end of each day with the cheapest day.

    With Cp and Cf the planned and failure cost, R the survival, F = 1 - R and g the long-run
    cost rate, going at day t costs Phi(t) = Cp R(t) + Cf F(t) - g int_0^t R, and the penalty is
    Phi - min Phi over the days given [1]_. Integrals are by trapezoids over days. A failure
    that costs no more than a visit makes waiting best.

    Parameters
    ----------
    survival : ndarray of shape (n_machines, n_days + 1)
        Probability of still running at the ends of days 0 (now: 1) to n_days, given that the
        machine runs now; a row of ``nan`` where not known.
    planned_cost, failure_cost : ndarray of shape (n_machines,)
        Of a planned visit, and of a failure with its standstill. [currency]
    cost_rate_per_day : ndarray of shape (n_machines,)
        From `long_run_cost_rate`. [currency/day]

    Returns
    -------
    WaitingCost
        One row per machine, in the order given.

    Raises
    ------
    ShapeError
        If the arrays disagree in machines, or there is no day.
    DomainError
        If a survival does not begin at 1, rises, or leaves 0..1, or a cost is below 0.

    References
    ----------
    .. [1] R. E. Wildeman, R. Dekker and A. C. J. M. Smit, "A dynamic policy for grouping
       maintenance activities", European Journal of Operational Research, vol. 99, no. 3,
       pp. 530-551, 1997.

    Examples
    --------
    >>> survival = np.array([[1.0, 0.99, 0.9, 0.6, 0.2]])
    >>> found = cost_of_waiting(
    ...     survival, np.array([500.0]), np.array([4000.0]), np.array([100.0])
    ... )
    >>> found.best_day, found.penalty.round(1)
    (array([1]), array([[  64.5,    0. ,  220.5, 1195.5, 2555.5]]))
    """
    check_survival(survival, planned_cost, failure_cost, cost_rate_per_day)
    phi = _planned(survival, planned_cost) + _failure(survival, failure_cost)
    phi += _rate(survival, cost_rate_per_day)
    is_known = ~np.isnan(phi).any(axis=1)
    cheapest = np.min(phi, axis=1, keepdims=True)  # nan where not known
    penalty = phi - cheapest
    # Days that differ by rounding alone are equals, and then there is no hurry.
    slack = TOLERANCE * (planned_cost + failure_cost + 1e-300)
    is_cheapest = penalty <= slack[:, None]
    n_days = survival.shape[1] - 1
    best_day = np.where(is_known, n_days - np.argmax(is_cheapest[:, ::-1], axis=1), -1)
    failing = 1.0 - survival
    return WaitingCost(
        penalty=penalty,
        best_day=best_day.astype(np.int64),
        failure_probability=failing[:, -1],
        failure_probability_by_best_day=np.where(
            is_known, failing[np.arange(best_day.size), best_day], np.nan
        ),
    )


def explain_waiting(
    survival: FloatArray,
    planned_cost: FloatArray,
    failure_cost: FloatArray,
    cost_rate_per_day: FloatArray,
    *,
    day: IntArray,
) -> WaitingTerms:
    """Split the penalty of one day per machine into the terms that make it up.

    The terms are those of `cost_of_waiting`, each as a difference between the day asked about
    and the cheapest. They add up to the penalty to the cent; what rounding leaves, two cents at
    most, is in the rate term.

    Parameters
    ----------
    survival : ndarray of shape (n_machines, n_days + 1)
        As for `cost_of_waiting`.
    planned_cost, failure_cost : ndarray of shape (n_machines,)
        Of a planned visit, and of a failure with its standstill. [currency]
    cost_rate_per_day : ndarray of shape (n_machines,)
        From `long_run_cost_rate`. [currency/day]
    day : ndarray of int, shape (n_machines,)
        Day asked about, 0 to n_days. [days]

    Returns
    -------
    WaitingTerms
        One row per machine; ``nan`` where not known.

    Raises
    ------
    ShapeError
        If there is not one day per machine.
    DomainError
        If a day is outside the survival given.

    Examples
    --------
    >>> terms = explain_waiting(
    ...     np.array([[1.0, 0.99, 0.9, 0.6, 0.2]]),
    ...     np.array([500.0]),
    ...     np.array([4000.0]),
    ...     np.array([100.0]),
    ...     day=np.array([2]),
    ... )
    >>> waiting_sentence(terms, 0, currency="EUR")
    'Going on day 2 instead of day 1 costs 220.50 EUR more: planned visit -45.00, \
failure +360.00, life of the machine -94.50.'
    """
    found = cost_of_waiting(survival, planned_cost, failure_cost, cost_rate_per_day)
    n_machines, n_points = survival.shape
    if day.shape != (n_machines,):
        msg = f"explain_waiting: {n_machines} machines but day has shape {day.shape}"
        raise ShapeError(msg)
    if ((day < 0) | (day >= n_points)).any():
        row = int(np.argmax((day < 0) | (day >= n_points)))
        msg = f"explain_waiting: machine {row}, day {day[row]} is not within 0..{n_points - 1}"
        raise DomainError(msg)
    rows, is_known = np.arange(n_machines), found.best_day >= 0

    def change(term: FloatArray) -> FloatArray:
        difference = term[rows, day] - term[rows, found.best_day]
        return np.where(is_known, np.round(difference, 2) + 0.0, np.nan)

    planned = change(_planned(survival, planned_cost))
    failure = change(_failure(survival, failure_cost))
    penalty = np.where(is_known, np.round(found.penalty[rows, day], 2), np.nan)
    return WaitingTerms(
        day=np.where(is_known, day, -1),
        best_day=found.best_day,
        planned=planned,
        failure=failure,
        rate=np.round(penalty - planned - failure, 2) + 0.0,
        penalty=penalty,
    )


def waiting_sentence(
    terms: WaitingTerms, machine: int, *, currency: str, language: str = "en"
) -> str:
    """Say what going on a day costs more than on the cheapest, and why.

    Parameters
    ----------
    terms : WaitingTerms
        From `explain_waiting`.
    machine : int
        Row.
    currency : str
        Its code.
    language : str
        ``"en"`` or ``"zh"``.

    Returns
    -------
    str
        One sentence; its terms add up to its first amount.

    Raises
    ------
    DomainError
        If the language is another one.
    """
    templates = {
        "en": (
            "Going on day {day} instead of day {best} costs {penalty:,.2f} {currency} more: "
            "planned visit {planned:+,.2f}, failure {failure:+,.2f}, "
            "life of the machine {rate:+,.2f}.",
            "What waiting costs is not known: the machine has no failure distribution yet.",
        ),
        "zh": (
            "第 {day} 天上门比第 {best} 天多花 {penalty:,.2f} {currency}:计划上门 {planned:+,.2f},"
            "故障 {failure:+,.2f},机器寿命 {rate:+,.2f}。",
            "等待成本未知:这台机器还没有故障分布。",
        ),
    }
    if language not in templates:
        msg = f"waiting_sentence: no words in {language!r}; there are {', '.join(templates)}"
        raise DomainError(msg)
    known, unknown = templates[language]
    if terms.best_day[machine] < 0:
        return unknown
    return known.format(
        day=terms.day[machine],
        best=terms.best_day[machine],
        penalty=terms.penalty[machine],
        planned=terms.planned[machine],
        failure=terms.failure[machine],
        rate=terms.rate[machine],
        currency=currency,
    )


def daily_survival(horizon_h: FloatArray, survival: FloatArray, *, n_days: int) -> FloatArray:
    """Read survival at the ends of days off a survival over hours.

    Parameters
    ----------
    horizon_h : ndarray of shape (n_horizons,)
        Hours ahead, rising; 0 (where the survival is 1) is added if missing. [h]
    survival : ndarray of shape (n_machines, n_horizons)
        Probability of still running at each; a row of ``nan`` where not known.
    n_days : int
        Days ahead, at least 1. [days]

    Returns
    -------
    ndarray of shape (n_machines, n_days + 1)
        At the ends of days 0 to n_days, linear between the hours given.

    Raises
    ------
    ShapeError
        If there is not one column per horizon.
    DomainError
        If the hours don't rise, or end before the last day does.

    Examples
    --------
    >>> daily_survival(np.array([12.0, 48.0]), np.array([[1.0, 0.4]]), n_days=2)
    array([[1. , 0.8, 0.4]])
    """
    if survival.ndim != 2 or survival.shape[1:] != horizon_h.shape:
        msg = f"daily_survival: horizons {horizon_h.shape} and survival {survival.shape} disagree"
        raise ShapeError(msg)
    if horizon_h.size and horizon_h[0] > 0:
        horizon_h = np.concatenate([[0.0], horizon_h])
        # nan times 0 keeps unknown machines unknown.
        survival = np.column_stack([1.0 + 0.0 * survival[:, :1], survival])
    day_h = 24.0 * np.arange(n_days + 1)
    if not (horizon_h.size and (np.diff(horizon_h) > 0).all() and horizon_h[-1] >= day_h[-1]):
        msg = (
            f"daily_survival: {horizon_h.size} horizons must rise and reach {day_h[-1]:.0f} h for "
            f"{n_days} days; ask for fewer days or a longer survival"
        )
        raise DomainError(msg)
    right = np.clip(np.searchsorted(horizon_h, day_h, side="left"), 1, horizon_h.size - 1)
    share = (day_h - horizon_h[right - 1]) / (horizon_h[right] - horizon_h[right - 1])
    daily: FloatArray = survival[:, right - 1] * (1.0 - share) + survival[:, right] * share
    return daily


def _planned(survival: FloatArray, planned_cost: FloatArray) -> FloatArray:
    return planned_cost[:, None] * survival


def _failure(survival: FloatArray, failure_cost: FloatArray) -> FloatArray:
    return failure_cost[:, None] * (1.0 - survival)


def _rate(survival: FloatArray, cost_rate_per_day: FloatArray) -> FloatArray:
    return -cost_rate_per_day[:, None] * survival_integral(survival, np.ones(survival.shape[1] - 1))
