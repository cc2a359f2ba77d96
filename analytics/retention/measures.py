"""Measures of customers kept, each with its formula, its denominator and its trap.

All are of a closed cohort: the customers at the start of the period. Who joins later neither
hides a loss nor counts as growth of those who were there.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.arrays import DomainError, FloatArray, NotEnoughDataError, ShapeError


@dataclass(frozen=True, slots=True)
class MeasureSpec:
    """How one measure is defined.

    Parameters
    ----------
    name : str
        Name in code and on screens.
    unit : str
        Unit of a value.
    formula, denominator, trap : str
        What is computed, out of what, and how it is often got wrong.
    """

    name: str
    unit: str
    formula: str
    denominator: str
    trap: str


MEASURES: Final[tuple[MeasureSpec, ...]] = (
    MeasureSpec(
        "logo_churn_ratio",
        "ratio",
        "customers of the start who are gone at the end / customers at the start",
        "customers at the start of the period",
        "(start - end) / end, often quoted, divides by the wrong number (400 to 380 gives 5.26 % "
        "instead of 5 %) and hides losses behind customers who joined meanwhile",
    ),
    MeasureSpec(
        "recurring_value_lost_per_year",
        "currency/year",
        "recurring value of customers gone at the end, plus what the others reduced",
        "none: an amount",
        "value of customers won meanwhile does not make up for it",
    ),
    MeasureSpec(
        "gross_retention_ratio",
        "ratio",
        "(start - lost - reduced) / start, in recurring value",
        "recurring value at the start",
        "above 100 % means expansion was counted: a mistake",
    ),
    MeasureSpec(
        "net_retention_ratio",
        "ratio",
        "(start - lost - reduced + expanded) / start, in recurring value",
        "recurring value at the start",
        "new customers don't belong in it",
    ),
    MeasureSpec(
        "money_at_risk_per_year",
        "currency/year",
        "sum of recurring value x churn probability",
        "none: an amount",
        "adding up the whole value of accounts coloured red overstates it and forgets the green",
    ),
    MeasureSpec(
        "first_time_fix_ratio",
        "ratio",
        "corrective visits that resolved and saw no repeat on the key within the window / "
        "matured corrective visits",
        "corrective visits whose window has passed",
        "counting visits as fixed before the window has passed, preventive visits, or only "
        "repeats by the same technician flatters it",
    ),
    MeasureSpec(
        "downtime_exposure_h",
        "h",
        "union of a machine's standstills within the window",
        "none: hours per machine",
        "adding overlapping standstills counts hours twice; open work orders are not standstill",
    ),
)


@dataclass(frozen=True, slots=True)
class RetentionMeasures:
    """What became of the customers of the start.

    Parameters
    ----------
    n_at_start, n_lost : int
        Customers at the start, and those of them gone at the end.
    logo_churn_ratio : float
        Lost among those at the start.
    value_at_start, value_lost, value_reduced, value_expanded : float
        Recurring value at the start; of those gone; taken away and added by those still there.
        [currency/year]
    value_churn_ratio : float
        Lost value among that at the start.
    gross_retention_ratio, net_retention_ratio : float
        What is left of the value at the start, without and with expansion.
    """

    n_at_start: int
    n_lost: int
    logo_churn_ratio: float
    value_at_start: float
    value_lost: float
    value_reduced: float
    value_expanded: float
    value_churn_ratio: float
    gross_retention_ratio: float
    net_retention_ratio: float


def logo_churn_ratio(*, n_at_start: int, n_lost: int) -> float:
    """Share of the customers at the start who were lost in the period.

    Parameters
    ----------
    n_at_start : int
        Customers at the start.
    n_lost : int
        Those of them who are gone at the end; who joined meanwhile does not enter.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    NotEnoughDataError
        If there were no customers at the start.
    DomainError
        If more were lost than there were.

    Examples
    --------
    >>> logo_churn_ratio(n_at_start=400, n_lost=20), logo_churn_ratio(n_at_start=1000, n_lost=75)
    (0.05, 0.075)
    """
    if n_at_start < 1:
        msg = "logo_churn_ratio: no customers at the start of the period; choose a later start"
        raise NotEnoughDataError(msg)
    if not 0 <= n_lost <= n_at_start:
        msg = f"logo_churn_ratio: {n_lost} lost of {n_at_start}; count only customers of the start"
        raise DomainError(msg)
    return n_lost / n_at_start


def often_quoted_churn_ratio_trap(*, n_at_start: int, n_at_end: int) -> float:
    """Compute what is often quoted as churn, to show beside the measure why it is not.

    It divides by the customers at the end and lets new customers hide lost ones: it even goes
    below zero. Show it only as a warning.

    Parameters
    ----------
    n_at_start, n_at_end : int
        All customers at the start and at the end, new ones included.

    Returns
    -------
    float
        ``(start - end) / end``.

    Raises
    ------
    NotEnoughDataError
        If nobody is left at the end.

    Examples
    --------
    >>> round(often_quoted_churn_ratio_trap(n_at_start=400, n_at_end=380), 4)
    0.0526
    """
    if n_at_end < 1:
        msg = "often_quoted_churn_ratio_trap: no customers at the end to divide by"
        raise NotEnoughDataError(msg)
    return (n_at_start - n_at_end) / n_at_end


def retention_measures(value_at_start: FloatArray, value_at_end: FloatArray) -> RetentionMeasures:
    """Measure what became of the customers of the start, in number and value.

    Parameters
    ----------
    value_at_start, value_at_end : ndarray of shape (n_customers,)
        Recurring value of each customer; 0 where it is no customer then. Customers of the end
        alone are left out. [currency/year]

    Returns
    -------
    RetentionMeasures
        Of the closed cohort.

    Raises
    ------
    ShapeError
        If the arrays differ in length.
    DomainError
        If a value is below 0 or not known.
    NotEnoughDataError
        If there were no customers at the start.

    Examples
    --------
    >>> found = retention_measures(
    ...     np.array([100.0, 200.0, 100.0, 0.0]), np.array([0.0, 260.0, 80.0, 500.0])
    ... )
    >>> round(found.logo_churn_ratio, 3), found.gross_retention_ratio, found.net_retention_ratio
    (0.333, 0.7, 0.85)
    """
    if value_at_start.shape != value_at_end.shape or value_at_start.ndim != 1:
        msg = (
            f"retention_measures: shapes {value_at_start.shape} and {value_at_end.shape} differ; "
            "pass one entry per customer in each"
        )
        raise ShapeError(msg)
    bad = ~((value_at_start >= 0) & (value_at_end >= 0))
    if bad.any():
        row = int(np.argmax(bad))
        msg = (
            f"retention_measures: customer {row} has {value_at_start[row]} at the start and "
            f"{value_at_end[row]} at the end; give 0 or more, 0 where it is no customer"
        )
        raise DomainError(msg)
    cohort = value_at_start > 0
    start, end = value_at_start[cohort], value_at_end[cohort]
    is_lost = end == 0
    n_lost = int(is_lost.sum())
    total = float(start.sum())
    lost = float(start[is_lost].sum())
    reduced = float(np.maximum(start - end, 0.0)[~is_lost].sum())
    expanded = float(np.maximum(end - start, 0.0).sum())
    return RetentionMeasures(
        n_at_start=start.size,
        n_lost=n_lost,
        logo_churn_ratio=logo_churn_ratio(n_at_start=start.size, n_lost=n_lost),
        value_at_start=total,
        value_lost=lost,
        value_reduced=reduced,
        value_expanded=expanded,
        value_churn_ratio=lost / total,
        gross_retention_ratio=(total - lost - reduced) / total,
        net_retention_ratio=(total - lost - reduced + expanded) / total,
    )


def money_at_risk_per_year(
    churn_probability: FloatArray, recurring_value_per_year: FloatArray
) -> FloatArray:
    """Recurring value that is expected to be lost.

    Parameters
    ----------
    churn_probability : ndarray of shape (n_customers,)
        Of leaving within the horizon.
    recurring_value_per_year : ndarray of shape (n_customers,)
        What each customer pays. [currency/year]

    Returns
    -------
    ndarray of shape (n_customers,)
        Their product, in whole cents. [currency/year]

    Raises
    ------
    ShapeError
        If the arrays differ in length.
    DomainError
        If a probability is not between 0 and 1.

    Examples
    --------
    >>> money_at_risk_per_year(np.array([0.2]), np.array([120_000.0]))
    array([24000.])
    """
    if churn_probability.shape != recurring_value_per_year.shape:
        msg = (
            f"money_at_risk_per_year: shapes {churn_probability.shape} and "
            f"{recurring_value_per_year.shape} differ; pass one entry per customer in each"
        )
        raise ShapeError(msg)
    bad = (churn_probability < 0) | (churn_probability > 1)
    if bad.any():
        row = int(np.argmax(bad))
        msg = f"money_at_risk_per_year: customer {row} has probability {churn_probability[row]}"
        raise DomainError(msg)
    return np.round(churn_probability * recurring_value_per_year, 2)
