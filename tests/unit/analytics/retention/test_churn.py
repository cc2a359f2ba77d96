"""Risk, reasons and money: laws, loops, quadrature, and sums to the cent."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.arrays import BoolArray, DomainError, FloatArray, ShapeError
from analytics.retention.churn import (
    CHURN_FEATURES,
    ChurnModel,
    churn_risk,
    contributions_to_money,
    contributions_to_probability,
    counterfactual,
    expert_prior,
    fit_churn_model,
    split_to_cents,
)
from analytics.retention.first_time_fix import shrunk_ratio
from tests.naive import retention as naive

N = len(CHURN_FEATURES)
NAMES = [spec.name for spec in CHURN_FEATURES]
LOWEST = np.array([spec.lowest for spec in CHURN_FEATURES])
HIGHEST = np.array([spec.highest for spec in CHURN_FEATURES])
REFERENCE = np.array([spec.reference for spec in CHURN_FEATURES])


def draw_customers(rng: np.random.Generator, n: int) -> FloatArray:
    drawn: FloatArray = LOWEST + (HIGHEST - LOWEST) * rng.random((n, N)) ** 3
    return drawn


@st.composite
def models(draw: st.DrawFn) -> ChurnModel:
    """Fitted to rows whose churn is pure chance, or contradicts every belief, or to none."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_rows = draw(st.sampled_from([0, 5, 60]))
    X = draw_customers(rng, n_rows)
    # Contrary: the worse a customer is treated, the less it leaves.
    troubles = (X - REFERENCE) @ np.array([spec.expert_weight for spec in CHURN_FEATURES])
    is_contrary = draw(st.booleans())
    churned: BoolArray = (
        troubles < np.median(troubles) if is_contrary and n_rows else rng.random(n_rows) < 0.3
    )
    return fit_churn_model(X, churned, expert_prior())


@st.composite
def portfolios(draw: st.DrawFn) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Features (some unknown), months to renewal and recurring value."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 6))
    x = draw_customers(rng, n)
    x[rng.random(x.shape) < 0.1] = np.nan
    x[rng.random(n) < 0.2] = REFERENCE
    return x, rng.choice([0.0, 0.4, 3.0, 11.5, 24.0], n), np.round(rng.uniform(0, 3e5, n), 2)


@settings(max_examples=40, deadline=None)
@given(models(), portfolios())
def test_risk_equals_one_customer_and_one_month_at_a_time(
    model: ChurnModel, portfolio: tuple[FloatArray, FloatArray, FloatArray]
) -> None:
    x, n_months, _ = portfolio

    risk = churn_risk(model, x, n_months=n_months)

    for i in range(x.shape[0]):
        probability, contributions = naive.churn_probability(
            CHURN_FEATURES, model.weight, model.intercept, x[i], n_months[i]
        )
        assert risk.probability[i] == pytest.approx(probability, abs=1e-12)
        np.testing.assert_allclose(risk.log_odds_contribution[i], contributions, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(models(), portfolios())
def test_contributions_add_up_and_intervals_enclose(
    model: ChurnModel, portfolio: tuple[FloatArray, FloatArray, FloatArray]
) -> None:
    x, n_months, _ = portfolio

    risk = churn_risk(model, x, n_months=n_months)
    points = contributions_to_probability(risk)

    total = risk.baseline_log_odds + risk.log_odds_contribution.sum(axis=1)
    np.testing.assert_allclose(total, risk.log_odds, atol=1e-9)
    np.testing.assert_allclose(risk.baseline + points.sum(axis=1), risk.probability, atol=1e-9)
    assert (points * risk.log_odds_contribution >= 0.0).all()
    assert (risk.lower <= risk.probability).all()
    assert (risk.probability <= risk.upper).all()


@settings(max_examples=40, deadline=None)
@given(models(), portfolios(), st.integers(0, 5), st.floats(0.0, 300.0))
def test_more_trouble_never_lowers_the_risk(
    model: ChurnModel,
    portfolio: tuple[FloatArray, FloatArray, FloatArray],
    row: int,
    more: float,
) -> None:
    """An hour of standstill, past or expected, a repeat visit, a late day, a complaint..."""
    x, n_months, _ = portfolio
    row %= x.shape[0]
    before = churn_risk(model, x, n_months=n_months).probability[row]

    for column, spec in enumerate(CHURN_FEATURES):
        worse = x.copy()
        worse[row, column] += spec.sign * more * spec.scale / 100.0
        assert churn_risk(model, worse, n_months=n_months).probability[row] >= before


@settings(max_examples=40, deadline=None)
@given(models(), st.integers(0, 20), st.integers(0, 20))
def test_one_more_failed_visit_never_lowers_the_risk(
    model: ChurnModel, n_failed: int, n_fixed: int
) -> None:
    ratio = shrunk_ratio(
        np.array([n_failed, n_failed + 1.0]),
        np.array([n_failed + n_fixed, n_failed + n_fixed + 1.0]),
        prior_ratio=0.15,
        prior_n=4.0,
    )
    x = np.tile(REFERENCE, (2, 1))
    x[:, NAMES.index("repeat_visit_ratio_180d")] = ratio

    before, after = churn_risk(model, x, n_months=np.full(2, 12.0)).probability

    assert after >= before


@settings(max_examples=40, deadline=None)
@given(models(), portfolios(), st.integers(0, 2**32 - 1))
def test_order_of_customers_does_not_matter(
    model: ChurnModel, portfolio: tuple[FloatArray, FloatArray, FloatArray], seed: int
) -> None:
    x, n_months, value = portfolio
    order = np.random.default_rng(seed).permutation(value.size)

    risk = churn_risk(model, x, n_months=n_months)
    again = churn_risk(model, x[order], n_months=n_months[order])

    assert np.array_equal(again.probability, risk.probability[order])
    assert np.array_equal(again.lower, risk.lower[order])
    assert np.array_equal(
        contributions_to_money(again, value[order]).driver,
        contributions_to_money(risk, value).driver[order],
    )


@settings(max_examples=40, deadline=None)
@given(models(), portfolios())
def test_money_adds_up_to_the_cent_and_nothing_costs_nothing(
    model: ChurnModel, portfolio: tuple[FloatArray, FloatArray, FloatArray]
) -> None:
    x, n_months, value = portfolio
    risk = churn_risk(model, x, n_months=n_months)

    split = contributions_to_money(risk, value)

    cents = np.rint(100.0 * split.baseline) + np.rint(100.0 * split.driver).sum(axis=1)
    assert np.array_equal(cents, np.rint(100.0 * split.total))
    assert (split.driver[risk.log_odds_contribution == 0.0] == 0.0).all()
    exact = contributions_to_probability(risk) * value[:, None]
    np.testing.assert_allclose(split.driver, exact, atol=0.0101)


@settings(max_examples=40, deadline=None)
@given(models(), portfolios())
def test_parts_of_the_probability_equal_integrating_along_the_path(
    model: ChurnModel, portfolio: tuple[FloatArray, FloatArray, FloatArray]
) -> None:
    x, n_months, _ = portfolio
    risk = churn_risk(model, x, n_months=n_months)

    points = contributions_to_probability(risk)

    for i in range(x.shape[0]):
        expected = naive.attributed(
            risk.baseline_log_odds, risk.log_odds_contribution[i], n_months[i]
        )
        np.testing.assert_allclose(points[i], expected, atol=1e-8)


def test_drivers_that_cancel_out_keep_their_parts() -> None:
    model = fit_churn_model(np.zeros((0, N)), np.zeros(0, dtype=bool), expert_prior())
    x = np.tile(REFERENCE, (1, 1))
    x[0, NAMES.index("late_payment_days_180d")] = 20.0  # + 0.4
    x[0, NAMES.index("usage_change_ratio_90d")] = 0.2  # - 0.4

    points = contributions_to_probability(churn_risk(model, x, n_months=np.array([12.0])))[0]

    slope = 12 * 0.01 * 0.99**12  # of 1 - (1 - h)^12 by the log-odds of h, at h = 1 %
    assert points[NAMES.index("late_payment_days_180d")] == pytest.approx(0.4 * slope, rel=1e-9)
    assert points.sum() == pytest.approx(0.0, abs=1e-12)


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(-1e5, 1e5), min_size=3, max_size=3), min_size=1, max_size=5))
def test_cents_equal_largest_remainders_in_decimals(rows: list[list[float]]) -> None:
    # On a grid that decimals and floats agree about, half cents aside.
    parts = np.round(np.array(rows), 4)
    total = parts.sum(axis=1)
    # Of equal remainders either may get the cent, and floats differ in their last digits.
    rest = np.sort(parts * 100.0 % 1.0, axis=1)
    gaps = np.diff(np.append(rest, rest[:, :1] + 1.0, axis=1), axis=1)
    clear = (np.abs(np.abs(total * 100.0 % 1.0) - 0.5) > 1e-3) & np.all(gaps > 1e-3, axis=1)

    cents = split_to_cents(parts, total)

    for row in np.flatnonzero(clear):
        expected = naive.largest_remainder(parts[row].tolist(), float(total[row]))
        np.testing.assert_allclose(cents[row], [float(e) for e in expected], atol=1e-9)


def test_unknown_renewal_or_value_stays_unknown_and_harms_no_other() -> None:
    model = fit_churn_model(np.zeros((0, N)), np.zeros(0, dtype=bool), expert_prior())
    x = np.tile(REFERENCE, (3, 1))

    risk = churn_risk(model, x, n_months=np.array([np.nan, 12.0, 12.0]))
    split = contributions_to_money(risk, np.array([1000.0, np.nan, 1000.0]))

    assert np.isnan(risk.probability).tolist() == [True, False, False]
    assert np.isnan(split.total).tolist() == [True, True, False]
    assert np.isnan(split.driver).any(axis=1).tolist() == [True, True, False]
    assert split.total[2] == split.baseline[2]


@settings(max_examples=40, deadline=None)
@given(models(), portfolios(), st.integers(0, 2**32 - 1))
def test_counterfactual_is_the_difference_of_two_risks(
    model: ChurnModel, portfolio: tuple[FloatArray, FloatArray, FloatArray], seed: int
) -> None:
    x, n_months, value = portfolio
    better = x.copy()
    better[:, :2] *= np.random.default_rng(seed).random((x.shape[0], 2))

    found = counterfactual(model, x, better, n_months=n_months, recurring_value_per_year=value)

    before = churn_risk(model, x, n_months=n_months).probability
    after = churn_risk(model, better, n_months=n_months).probability
    assert np.array_equal(found.probability_change, after - before)
    assert (found.probability_change <= 0.0).all()
    assert (found.money_change <= 0.0).all()
    assert (found.lower <= found.probability_change).all()
    assert (found.probability_change <= found.upper).all()


def test_changing_nothing_changes_nothing_for_certain() -> None:
    model = fit_churn_model(np.zeros((0, N)), np.zeros(0, dtype=bool), expert_prior())
    x = np.tile(REFERENCE + 0.1, (1, 1))

    found = counterfactual(
        model, x, x, n_months=np.array([6.0]), recurring_value_per_year=np.array([1e5])
    )

    assert (found.lower[0], found.probability_change[0], found.upper[0]) == (0.0, 0.0, 0.0)


def test_the_interval_of_a_difference_agrees_with_drawing_coefficients() -> None:
    rng = np.random.default_rng(8)
    X = draw_customers(rng, 4000)
    hazard = 1.0 / (1.0 + np.exp(4.0 - X[:, 0] * 0.03))
    model = fit_churn_model(X, rng.random(4000) < hazard, expert_prior())
    x, better = np.tile(REFERENCE, (1, 1)), np.tile(REFERENCE, (1, 1))
    x[0, 0] = 40.0

    found = counterfactual(
        model, x, better, n_months=np.array([12.0]), recurring_value_per_year=np.array([1e5])
    )

    drawn = rng.multivariate_normal(model.coefficient, model.covariance, 20_000)
    before = 1.0 - (1.0 + np.exp(drawn[:, 0] + 40.0 * drawn[:, 1])) ** -12.0
    after = 1.0 - (1.0 + np.exp(drawn[:, 0])) ** -12.0
    lower, upper = np.quantile(after - before, [0.1, 0.9])
    assert found.lower[0] == pytest.approx(lower, abs=0.01)
    assert found.upper[0] == pytest.approx(upper, abs=0.01)


def test_bad_input_is_refused_with_its_row() -> None:
    model = fit_churn_model(np.zeros((0, N)), np.zeros(0, dtype=bool), expert_prior())
    x = np.tile(REFERENCE, (2, 1))
    risk = churn_risk(model, x, n_months=np.ones(2))

    with pytest.raises(DomainError, match=r"row 1 has -1\.0 months to renewal"):
        churn_risk(model, x, n_months=np.array([1.0, -1.0]))
    with pytest.raises(ShapeError, match="2 customers but n_months has shape"):
        churn_risk(model, x, n_months=np.ones(3))
    with pytest.raises(DomainError, match=r"row 0 has recurring value -5\.0"):
        contributions_to_money(risk, np.array([-5.0, 1.0]))
    with pytest.raises(ShapeError, match="2 customers but recurring value"):
        contributions_to_money(risk, np.ones(1))
    with pytest.raises(ShapeError, match="x has shape"):
        counterfactual(model, x, x[:1], n_months=np.ones(2), recurring_value_per_year=np.ones(2))
