"""Risk of a customer leaving by its renewal date, why, in money, and what would change it.

The risk is built from a monthly hazard (`analytics.retention.churn_model`) held constant over
the months to renewal. Contributions add up exactly: log-odds to the hazard's log-odds,
probability points to the probability, money to the money at risk.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.special
import scipy.stats

from analytics.arrays import DomainError, FloatArray, ShapeError
from analytics.retention.churn_features import CHURN_FEATURES, FeatureSpec, Language
from analytics.retention.churn_model import (
    ChurnModel,
    ChurnPrior,
    FitError,
    centred,
    expert_prior,
    fit_churn_model,
)

__all__ = [
    "CHURN_FEATURES",
    "ChurnModel",
    "ChurnPrior",
    "ChurnRisk",
    "Counterfactual",
    "FeatureSpec",
    "FitError",
    "Language",
    "MoneySplit",
    "churn_risk",
    "contributions_to_money",
    "contributions_to_probability",
    "counterfactual",
    "expert_prior",
    "fit_churn_model",
]

INTERVAL_RATIO: Final = 0.8
"""Central part of the predictive distribution that intervals cover, here as everywhere."""

# Below this change of log-odds the mean slope is taken from the derivative at the middle, whose
# error (third order) is then smaller than the rounding of the difference quotient.
_SMALL_LOG_ODDS: Final = 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class ChurnRisk:
    """Risks of customers leaving within their horizons.

    Parameters
    ----------
    probability : ndarray of shape (n_customers,)
        Of leaving within the horizon; ``nan`` where the horizon is not known.
    lower, upper : ndarray of shape (n_customers,)
        Ends of the central 80 % interval, from what is uncertain about the model.
    log_odds : ndarray of shape (n_customers,)
        Of leaving in one month: `baseline_log_odds` plus the row's contributions.
    baseline : ndarray of shape (n_customers,)
        Probability of the reference customer over the same horizon.
    baseline_log_odds : float
        Of the reference customer leaving in one month.
    log_odds_contribution : ndarray of shape (n_customers, n_features)
        What each feature adds to the reference's log-odds.
    n_months : ndarray of shape (n_customers,)
        Horizon. [months]
    """

    probability: FloatArray
    lower: FloatArray
    upper: FloatArray
    log_odds: FloatArray
    baseline: FloatArray
    baseline_log_odds: float
    log_odds_contribution: FloatArray
    n_months: FloatArray


def churn_risk(model: ChurnModel, x: FloatArray, *, n_months: FloatArray) -> ChurnRisk:
    """Probability that each customer leaves within its horizon, with contributions.

    The features, and with them the monthly hazard h, stay as they are for all n months:
    the probability is 1 - (1 - h)^n. It rises with the log-odds, so the interval is the
    Gaussian interval of the log-odds carried over.

    Parameters
    ----------
    model : ChurnModel
        From `fit_churn_model`.
    x : ndarray of shape (n_customers, n_features)
        Present features; ``nan`` where not known, which contributes nothing. [unit of the feature]
    n_months : ndarray of shape (n_customers,)
        Months to renewal, in fractions too; ``nan`` where not known. [months]

    Returns
    -------
    ChurnRisk
        One row per customer, in the order given.

    Raises
    ------
    ShapeError
        If `x` and `n_months` disagree in customers.
    DomainError
        If a horizon is below 0.

    Examples
    --------
    >>> model = fit_churn_model(np.zeros((0, 8)), np.zeros(0, dtype=bool), expert_prior())
    >>> x = np.array([[24.0, 0, 0.15, 1, 0, 0, 0, 0], [0, 24.0, 0.15, 1, 0, 0, 1, 0]])
    >>> churn_risk(model, x, n_months=np.array([12.0, 12.0])).probability.round(3)
    array([0.218, 0.306])
    """
    held = centred(model.features, x)
    _check_customers("churn_risk", "n_months", held, n_months)
    if (n_months < 0).any():
        row = int(np.argmax(n_months < 0))
        msg = f"churn_risk: row {row} has {n_months[row]} months to renewal; renewals lie ahead"
        raise DomainError(msg)
    contribution = held * model.weight + 0.0  # a negative zero would be shown as -0
    log_odds = model.intercept + contribution.sum(axis=1)
    z = scipy.stats.norm.ppf(0.5 + INTERVAL_RATIO / 2.0)
    margin = z * np.sqrt(_variance(model, _design(model, held)))
    return ChurnRisk(
        probability=_within(log_odds, n_months),
        lower=_within(log_odds - margin, n_months),
        upper=_within(log_odds + margin, n_months),
        log_odds=log_odds,
        baseline=_within(np.full_like(log_odds, model.intercept), n_months),
        baseline_log_odds=model.intercept,
        log_odds_contribution=contribution,
        n_months=np.asarray(n_months, dtype=np.float64),
    )


def contributions_to_probability(risk: ChurnRisk) -> FloatArray:
    """Part of each probability that each feature explains.

    The probability depends on the features through the sum of their log-odds alone, so going
    from the reference to the customer in a straight line gives each feature the same share of
    the change in probability as of the change in log-odds (the Aumann-Shapley value [1]_).
    A feature that raises the risk never gets a negative part.

    Parameters
    ----------
    risk : ChurnRisk
        From `churn_risk`.

    Returns
    -------
    ndarray of shape (n_customers, n_features)
        Sums over features to ``probability - baseline``.

    References
    ----------
    .. [1] R. J. Aumann and L. S. Shapley, "Values of Non-Atomic Games", Princeton University
       Press, 1974; for models: M. Sundararajan, A. Taly and Q. Yan, "Axiomatic attribution for
       deep networks", Proc. ICML, 2017.
    """
    change = risk.log_odds_contribution.sum(axis=1)
    slope = _slope(risk.baseline_log_odds + change / 2.0, risk.n_months)
    is_large = np.abs(change) > _SMALL_LOG_ODDS
    np.divide(risk.probability - risk.baseline, change, out=slope, where=is_large)
    return risk.log_odds_contribution * slope[:, None]


@dataclass(frozen=True, slots=True, eq=False)
class MoneySplit:
    """Money at risk, and what puts it there, in whole cents.

    Parameters
    ----------
    total : ndarray of shape (n_customers,)
        Probability times recurring value. [currency/year]
    lower, upper : ndarray of shape (n_customers,)
        The same at the ends of the 80 % interval. [currency/year]
    baseline : ndarray of shape (n_customers,)
        Part that the reference customer would have. [currency/year]
    driver : ndarray of shape (n_customers, n_features)
        Part of each feature; below zero where it lowers the risk. [currency/year]
    """

    total: FloatArray
    lower: FloatArray
    upper: FloatArray
    baseline: FloatArray
    driver: FloatArray


def contributions_to_money(risk: ChurnRisk, recurring_value_per_year: FloatArray) -> MoneySplit:
    """Split each customer's money at risk into what each feature puts there.

    The parts follow `contributions_to_probability` and are rounded to cents by largest
    remainders, so `baseline` and `driver` add up to `total` exactly; a feature without effect
    gets exactly nothing.

    Parameters
    ----------
    risk : ChurnRisk
        From `churn_risk`.
    recurring_value_per_year : ndarray of shape (n_customers,)
        What the customer pays, not below zero; ``nan`` where not known. [currency/year]

    Returns
    -------
    MoneySplit
        One row per customer; ``nan`` where value or probability is not known. [currency/year]

    Raises
    ------
    ShapeError
        If customers disagree.
    DomainError
        If a recurring value is below zero.

    Examples
    --------
    >>> model = fit_churn_model(np.zeros((0, 8)), np.zeros(0, dtype=bool), expert_prior())
    >>> x = np.array([[24.0, 0, 0.15, 1, 0, 0, 1, 0]])
    >>> risk = churn_risk(model, x, n_months=np.array([12.0]))
    >>> split = contributions_to_money(risk, np.array([100_000.0]))
    >>> split.total, split.baseline, split.driver[0, [0, 6]]
    (array([30640.22]), array([11361.51]), array([12393.46,  6885.25]))
    """
    value = recurring_value_per_year
    _check_customers("contributions_to_money", "recurring value", risk.log_odds_contribution, value)
    if (value < 0).any():
        row = int(np.argmax(value < 0))
        msg = f"contributions_to_money: row {row} has recurring value {value[row]}; give 0 or more"
        raise DomainError(msg)
    parts = np.column_stack([risk.baseline, contributions_to_probability(risk)]) * value[:, None]
    parts_rounded = split_to_cents(parts, risk.probability * value)
    return MoneySplit(
        total=np.round(risk.probability * value, 2),
        lower=np.round(risk.lower * value, 2),
        upper=np.round(risk.upper * value, 2),
        baseline=parts_rounded[:, 0],
        driver=parts_rounded[:, 1:],
    )


def split_to_cents(parts: FloatArray, total: FloatArray) -> FloatArray:
    """Round parts to whole cents so that they add up to the rounded total.

    Parameters
    ----------
    parts : ndarray of shape (n_rows, n_parts)
        Amounts. [currency]
    total : ndarray of shape (n_rows,)
        Their sums. [currency]

    Returns
    -------
    ndarray of shape (n_rows, n_parts)
        Each within one cent of its part, by largest remainders; ``nan`` rows stay. [currency]

    Examples
    --------
    >>> split_to_cents(np.array([[1 / 3, 1 / 3, 1 / 3]]), np.array([1.0]))
    array([[0.34, 0.33, 0.33]])
    """
    cents = parts * 100.0
    # Amounts a rounding error away from a whole cent are that cent, so nothing stays nothing.
    near = np.round(cents)
    cents = np.where(np.abs(cents - near) < 1e-6, near, cents)
    floor = np.floor(cents)
    n_missing = np.round(total * 100.0) - floor.sum(axis=1)
    order = np.argsort(-(cents - floor), axis=1, kind="stable")
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.arange(parts.shape[1])[None, :], axis=1)
    rounded: FloatArray = np.round((floor + (place < n_missing[:, None])) / 100.0, 2)
    return rounded


@dataclass(frozen=True, slots=True, eq=False)
class Counterfactual:
    """What changes if features change.

    Parameters
    ----------
    probability_before, probability_after : ndarray of shape (n_customers,)
        Of leaving within the horizon.
    probability_change, lower, upper : ndarray of shape (n_customers,)
        After minus before, with its 80 % interval; below zero is good.
    money_change, money_lower, money_upper : ndarray of shape (n_customers,)
        The same times the recurring value, in whole cents. [currency/year]
    """

    probability_before: FloatArray
    probability_after: FloatArray
    probability_change: FloatArray
    lower: FloatArray
    upper: FloatArray
    money_change: FloatArray
    money_lower: FloatArray
    money_upper: FloatArray


def counterfactual(
    model: ChurnModel,
    x: FloatArray,
    x_changed: FloatArray,
    *,
    n_months: FloatArray,
    recurring_value_per_year: FloatArray,
) -> Counterfactual:
    """Compare the same customers with other features: had the visit come first, for one.

    The difference is what the model says, all else equal; it is a cause only as far as the
    model's drivers are. Its interval is of first order in the coefficients (delta method), and
    narrower than two intervals side by side, since both answers share their coefficients.

    Parameters
    ----------
    model : ChurnModel
        From `fit_churn_model`.
    x, x_changed : ndarray of shape (n_customers, n_features)
        Features as they are, and as they would be. [unit of the feature]
    n_months : ndarray of shape (n_customers,)
        Months to renewal. [months]
    recurring_value_per_year : ndarray of shape (n_customers,)
        What the customer pays. [currency/year]

    Returns
    -------
    Counterfactual
        One row per customer.

    Raises
    ------
    ShapeError
        If customers or features disagree.
    """
    if x.shape != x_changed.shape:
        msg = f"counterfactual: x has shape {x.shape} but x_changed {x_changed.shape}"
        raise ShapeError(msg)
    value = recurring_value_per_year
    _check_customers("counterfactual", "recurring value", x, value)
    before = churn_risk(model, x, n_months=n_months)
    after = churn_risk(model, x_changed, n_months=n_months)
    gradient = (
        _design(model, centred(model.features, x_changed))
        * _slope(after.log_odds, after.n_months)[:, None]
        - _design(model, centred(model.features, x))
        * _slope(before.log_odds, before.n_months)[:, None]
    )
    margin = scipy.stats.norm.ppf(0.5 + INTERVAL_RATIO / 2.0) * np.sqrt(_variance(model, gradient))
    change = after.probability - before.probability
    return Counterfactual(
        probability_before=before.probability,
        probability_after=after.probability,
        probability_change=change,
        lower=change - margin,
        upper=change + margin,
        money_change=np.round(change * value, 2),
        money_lower=np.round((change - margin) * value, 2),
        money_upper=np.round((change + margin) * value, 2),
    )


def _check_customers(function: str, name: str, rows: FloatArray, column: FloatArray) -> None:
    if column.shape != (rows.shape[0],):
        msg = f"{function}: {rows.shape[0]} customers but {name} has shape {column.shape}"
        raise ShapeError(msg)


def _within(log_odds: FloatArray, n_months: FloatArray) -> FloatArray:
    """1 - (1 - h)^n without cancellation: log(1 - h) is -log(1 + e^log_odds)."""
    return -np.expm1(-n_months * np.logaddexp(0.0, log_odds))


def _slope(log_odds: FloatArray, n_months: FloatArray) -> FloatArray:
    """Differentiate `_within` by the log-odds."""
    stays = np.exp(-n_months * np.logaddexp(0.0, log_odds))
    slope: FloatArray = n_months * scipy.special.expit(log_odds) * stays
    return slope


def _design(model: ChurnModel, held: FloatArray) -> FloatArray:
    return np.column_stack([np.ones(held.shape[0]), held @ model.prior.ties])


def _variance(model: ChurnModel, design: FloatArray) -> FloatArray:
    variance: FloatArray = np.einsum("ij,jk,ik->i", design, model.covariance, design)
    return np.maximum(variance, 0.0)
