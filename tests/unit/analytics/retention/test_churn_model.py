"""The fitted hazard: against a general optimiser, simulated truth and the laws of its prior."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.arrays import BoolArray, DomainError, FloatArray, ShapeError
from analytics.retention.churn import (
    CHURN_FEATURES,
    ChurnModel,
    FeatureSpec,
    churn_risk,
    expert_prior,
    fit_churn_model,
)
from analytics.retention.churn_model import ChurnPrior
from tests.naive import retention as naive

NO_ROWS = np.zeros((0, len(CHURN_FEATURES))), np.zeros(0, dtype=bool)


def customer_months(rng: np.random.Generator, n: int) -> FloatArray:
    """Features as customers have them, in the order of CHURN_FEATURES."""
    return np.column_stack([
        rng.exponential(6.0, n),
        rng.exponential(3.0, n),
        rng.beta(2.0, 8.0, n),
        rng.gamma(4.0, 0.3, n),
        rng.exponential(8.0, n),
        rng.normal(0.0, 0.2, n).clip(-1.0, 0.5),
        rng.poisson(0.4, n).astype(float),
        rng.beta(1.0, 3.0, n),
    ])


def draw_churn(
    rng: np.random.Generator, X: FloatArray, weight: FloatArray, intercept: float
) -> BoolArray:
    reference = np.array([spec.reference for spec in CHURN_FEATURES])
    hazard = 1.0 / (1.0 + np.exp(-intercept - (X - reference) @ weight))
    drawn: BoolArray = rng.random(X.shape[0]) < hazard
    return drawn


def test_without_rows_the_model_is_the_prior_itself() -> None:
    prior = expert_prior()

    model = fit_churn_model(*NO_ROWS, prior)

    mean, sd, _, _ = prior.coefficients()
    assert model.coefficient.tolist() == mean.tolist()
    np.testing.assert_allclose(model.covariance, np.diag(sd**2), rtol=1e-12)


def test_past_and_expected_standstill_share_one_coefficient() -> None:
    rng = np.random.default_rng(1)
    X = customer_months(rng, 40_000)
    X[:, 1] = 0.0  # nothing was ever forecast, yet history teaches what an hour weighs
    truth = np.array([0.08, 0.08, 1.0, 0.4, 0.02, -1.0, 0.4, 0.3])

    model = fit_churn_model(X, draw_churn(rng, X, truth, -4.0), expert_prior())

    assert model.weight[0] == model.weight[1]
    assert model.weight[1] == pytest.approx(0.08, abs=0.01)
    assert len(model.prior.weight_names) == len(CHURN_FEATURES) - 1


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 300))
def test_fit_equals_a_general_optimiser(seed: int, n_rows: int) -> None:
    rng = np.random.default_rng(seed)
    X = customer_months(rng, n_rows)
    X[rng.random(X.shape) < 0.05] = np.nan
    churned = rng.random(n_rows) < rng.uniform(0.0, 0.5)
    prior = expert_prior()

    model = fit_churn_model(X, churned, prior)

    _, sd, _, _ = prior.coefficients()
    expected = naive.map_estimate(X, churned, prior)
    np.testing.assert_allclose(model.coefficient / sd, expected / sd, atol=2e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.booleans())
def test_the_fit_meets_the_conditions_of_a_bounded_optimum(
    seed: int, n_rows: int, is_backwards: bool
) -> None:
    rng = np.random.default_rng(seed)
    X = customer_months(rng, n_rows)
    order = np.argsort(X[:, 0])
    churned = np.zeros(n_rows, dtype=bool)
    # Backwards: only customers without standstill leave, which pushes its weight to the bound.
    churned[order[: n_rows // 4] if is_backwards else order[-n_rows // 4 :]] = True
    prior = expert_prior()

    beta = fit_churn_model(X, churned, prior).coefficient

    mean, sd, lower, upper = prior.coefficients()
    held = np.clip(
        X, [spec.lowest for spec in CHURN_FEATURES], [spec.highest for spec in CHURN_FEATURES]
    ) - [spec.reference for spec in CHURN_FEATURES]
    Z = np.column_stack([np.ones(n_rows), held @ prior.ties])
    gradient = sd * (Z.T @ (1.0 / (1.0 + np.exp(-Z @ beta)) - churned) + (beta - mean) / sd**2)
    assert (beta >= lower).all()
    assert (beta <= upper).all()
    assert (np.abs(gradient[(beta > lower) & (beta < upper)]) < 1e-6).all()
    assert (gradient[beta == lower] >= 0.0).all()
    assert (gradient[beta == upper] <= 0.0).all()


def test_many_rows_recover_the_true_weights_within_their_stated_uncertainty() -> None:
    rng = np.random.default_rng(2)
    truth = np.array([0.05, 0.05, 0.8, 0.7, 0.03, -1.2, 0.2, 0.9])
    X = customer_months(rng, 100_000)

    model = fit_churn_model(X, draw_churn(rng, X, truth, -4.2), expert_prior())

    sd = np.sqrt(np.diag(model.covariance))
    found, expected = model.coefficient, np.array([-4.2, *truth[[0, 2, 3, 4, 5, 6, 7]]])
    assert (np.abs(found - expected) < 3.5 * sd).all()
    assert (sd < 0.25 * expert_prior().coefficients()[1]).all()


def test_more_data_moves_the_weight_from_belief_to_data() -> None:
    rng = np.random.default_rng(3)
    truth = np.array([0.10, 0.10, 1.5, 0.4, 0.02, -2.0, 0.4, 0.5])
    X = customer_months(rng, 40_000)
    churned = draw_churn(rng, X, truth, -4.6)

    distances = [
        abs(fit_churn_model(X[:n], churned[:n], expert_prior()).weight[0] - 0.10)
        for n in (0, 400, 4000, 40_000)
    ]

    assert distances == sorted(distances, reverse=True)
    assert distances[0] == pytest.approx(0.07)
    assert distances[-1] < 0.01


def test_a_belief_without_force_leaves_the_maximum_of_the_likelihood() -> None:
    """One yes-or-no feature: the maximum is the log odds ratio of the two-by-two table."""
    spec = replace(CHURN_FEATURES[6], expert_weight=0.0, expert_sd=1e6, sign=0, weight_name="yes")
    X = np.repeat([[0.0], [0.0], [1.0], [1.0]], [70, 30, 40, 60], axis=0)
    churned = np.repeat([False, True, False, True], [70, 30, 40, 60])

    model = fit_churn_model(X, churned, expert_prior((spec,), intercept_sd=1e6))

    assert model.intercept == pytest.approx(math.log(30 / 70), abs=1e-9)
    assert model.weight[0] == pytest.approx(math.log(60 / 40) - math.log(30 / 70), abs=1e-9)
    woolf = 1 / 70 + 1 / 30 + 1 / 40 + 1 / 60
    assert model.covariance[1, 1] == pytest.approx(woolf, rel=1e-6)


def test_intervals_hold_the_true_risk_as_often_as_they_say() -> None:
    """Truth drawn from the prior, some data, then: is it inside? 80 % of the time."""
    rng = np.random.default_rng(4)
    prior = expert_prior()
    mean, sd, lower, upper = prior.coefficients()
    inside = []
    for _ in range(120):
        beta = np.clip(mean + sd * rng.standard_normal(mean.size), lower, upper)
        weight = (prior.ties @ beta[1:, None])[:, 0]
        X = customer_months(rng, 400)
        model = fit_churn_model(X, draw_churn(rng, X, weight, beta[0]), prior)
        x = customer_months(rng, 5)
        risk = churn_risk(model, x, n_months=np.full(5, 12.0))
        reference = np.array([spec.reference for spec in CHURN_FEATURES])
        true = 1.0 - (1.0 + np.exp(beta[0] + (x - reference) @ weight)) ** -12.0
        inside.extend((risk.lower <= true) & (true <= risk.upper))

    assert 0.75 <= np.mean(inside) <= 0.87


def test_a_model_survives_being_written_down_to_the_bit() -> None:
    rng = np.random.default_rng(5)
    X = customer_months(rng, 200)
    model = fit_churn_model(X, rng.random(200) < 0.1, expert_prior())

    again = ChurnModel.from_document(json.loads(json.dumps(model.to_document())))

    assert again.version == model.version
    assert again.coefficient.tolist() == model.coefficient.tolist()
    assert again.covariance.tolist() == model.covariance.tolist()
    assert again.features == model.features
    assert fit_churn_model(*NO_ROWS, expert_prior()).version != model.version


def test_features_beyond_their_limits_count_as_the_limit() -> None:
    model = fit_churn_model(*NO_ROWS, expert_prior())
    x = np.array([[9e9, 0, 0.15, 1, 0, 0, 0, 0], [240.0, 0, 0.15, 1, 0, 0, 0, 0]])

    risk = churn_risk(model, x, n_months=np.ones(2))

    assert risk.probability[0] == risk.probability[1]


@pytest.mark.parametrize("spec", CHURN_FEATURES, ids=lambda spec: spec.name)
def test_every_feature_can_be_said_in_both_languages(spec: FeatureSpec) -> None:
    value = 0.25 if spec.unit == "ratio" else 12.0

    english, chinese = spec.words(value, "en"), spec.words(value, "zh")

    assert any(number in english for number in ("12", "25%", "0.2", "0.3"))
    assert any(number in chinese for number in ("12", "25%", "0.2", "0.3"))
    assert any("\u4e00" <= letter <= "\u9fff" for letter in chinese)
    assert english.isascii()
    assert spec.words(math.nan) == f"{spec.name}: not known"
    assert spec.words(math.nan, "zh") == f"{spec.name}: 未知"


def test_beliefs_that_contradict_each_other_are_refused() -> None:
    first, second = CHURN_FEATURES[:2]

    with pytest.raises(DomainError, match="shares weight downtime_per_h"):
        ChurnPrior((first, replace(second, expert_weight=0.05)), -4.0, 1.0)
    with pytest.raises(DomainError, match="on the side of its sign"):
        ChurnPrior((replace(first, expert_weight=-0.03),), -4.0, 1.0)
    with pytest.raises(DomainError, match="the sd must be above 0"):
        ChurnPrior((replace(first, expert_sd=0.0),), -4.0, 1.0)
    with pytest.raises(DomainError, match="intercept_sd is 0"):
        expert_prior(intercept_sd=0.0)
    with pytest.raises(DomainError, match="give a probability between 0 and 1"):
        expert_prior(base_monthly_hazard=0.0)


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match="2 rows of features but churned"):
        fit_churn_model(np.zeros((2, 8)), np.zeros(3, dtype=bool), expert_prior())
    with pytest.raises(ShapeError, match="one column for each of 8"):
        fit_churn_model(np.zeros((2, 7)), np.zeros(2, dtype=bool), expert_prior())
    unlimited = replace(CHURN_FEATURES[0], highest=math.inf)
    with pytest.raises(DomainError, match="row 1, feature downtime_h_per_machine_90d: infinite"):
        fit_churn_model(
            np.array([[0.0], [math.inf]]), np.zeros(2, dtype=bool), expert_prior((unlimited,))
        )
