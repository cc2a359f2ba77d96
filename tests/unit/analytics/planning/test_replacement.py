"""Age replacement: against closed forms, quadrature and libraries drawn from known lives."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.arrays import DomainError, NotEnoughDataError, ShapeError
from analytics.planning.replacement import age_replacement, library_survival, long_run_cost_rate
from tests.naive import planning as naive


def test_a_machine_that_does_not_age_is_never_worth_a_preventive_visit() -> None:
    age_days = np.linspace(0.0, 4000.0, 40_001)
    survival = np.exp(-age_days / 100.0)

    found = age_replacement(age_days, survival, np.array([1.0, 100.0]), np.array([50.0, 900.0]))

    assert np.isinf(found.age_days).all()
    np.testing.assert_allclose(found.cost_rate_per_day, [0.5, 9.0], rtol=1e-5)  # Cf / mean life


@settings(deadline=None)
@given(st.floats(1.5, 6.0), st.floats(20.0, 400.0), st.floats(2.0, 30.0))
def test_weibull_optimum_equals_search_by_quadrature(
    shape: float, scale_days: float, ratio: float
) -> None:
    last_days = 3.0 * scale_days
    age_days = np.linspace(0.0, last_days, 6001)

    found = age_replacement(
        age_days, np.exp(-((age_days / scale_days) ** shape)), np.array([1.0]), np.array([ratio])
    )
    rate, age = naive.best_age(
        lambda t: math.exp(-((t / scale_days) ** shape)), 1.0, ratio, last_days
    )

    assert found.cost_rate_per_day[0] == pytest.approx(rate, rel=1e-4)
    if math.isfinite(found.age_days[0]):
        assert found.age_days[0] == pytest.approx(age, abs=0.02 * scale_days)


@settings(deadline=None)
@given(st.floats(1.2, 6.0), st.floats(1.0, 20.0), st.floats(1.0, 3.0))
def test_dearer_failures_never_make_a_day_cheaper_nor_the_best_age_higher(
    shape: float, ratio: float, factor: float
) -> None:
    age_days = np.linspace(0.0, 400.0, 2001)
    survival = np.exp(-((age_days / 100.0) ** shape))

    found = age_replacement(
        age_days, survival, np.ones(2), np.array([ratio, ratio * factor + 1e-3])
    )

    assert found.cost_rate_per_day[1] >= found.cost_rate_per_day[0]
    assert found.age_days[1] <= found.age_days[0]


def test_the_cost_rate_from_a_library_of_lives_is_close_to_the_true_one() -> None:
    rng = np.random.default_rng(3)
    true_rate, _ = naive.best_age(lambda t: math.exp(-((t / 80.0) ** 4)), 1.0, 10.0, 240.0)

    rates = [
        long_run_cost_rate(80.0 * rng.weibull(4.0, 20), np.array([1.0]), np.array([10.0]))[0]
        for _ in range(60)
    ]

    assert np.mean(rates) == pytest.approx(true_rate, rel=0.12)


def test_the_cost_rate_settles_on_the_true_one_as_the_library_grows() -> None:
    lives_days = 80.0 * np.random.default_rng(5).weibull(4.0, 3000)
    true_rate, _ = naive.best_age(lambda t: math.exp(-((t / 80.0) ** 4)), 1.0, 10.0, 240.0)

    rate = long_run_cost_rate(lives_days, np.array([1.0]), np.array([10.0]))

    assert rate[0] == pytest.approx(true_rate, rel=0.08)  # smoothing widens the early tail


@settings(deadline=None)
@given(st.lists(st.floats(0.5, 5000.0), min_size=3, max_size=30))
def test_library_survival_falls_from_one_to_nothing_in_any_order_of_lives(
    lives: list[float],
) -> None:
    _, survival = library_survival(np.array(lives))
    again = library_survival(np.array(lives[::-1]))[1]

    assert survival[0] == 1.0
    assert (np.diff(survival) <= 0.0).all()
    assert survival[-1] < 1e-6
    assert np.array_equal(survival, again)


def test_equal_lives_are_replaced_just_before_they_end() -> None:
    age_days, survival = library_survival(np.full(5, 50.0))

    found = age_replacement(age_days, survival, np.array([1.0]), np.array([100.0]))

    assert 47.0 < found.age_days[0] < 50.0


def test_unknown_costs_stay_unknown() -> None:
    found = age_replacement(
        np.array([0.0, 1.0, 2.0]), np.array([1.0, 0.5, 0.0]), np.array([np.nan]), np.array([1.0])
    )

    assert np.isnan(found.cost_rate_per_day[0])
    assert np.isnan(found.age_days[0])


def test_bad_input_is_refused_with_a_remedy() -> None:
    one = np.ones(1)

    with pytest.raises(NotEnoughDataError, match="2 lives, 3 are needed"):
        library_survival(np.array([3.0, 4.0]))
    with pytest.raises(DomainError, match="not above 0 days"):
        library_survival(np.array([3.0, 4.0, 0.0]))
    with pytest.raises(DomainError, match="begin at 0 and rise"):
        age_replacement(np.array([1.0, 2.0]), np.array([1.0, 0.5]), one, one)
    with pytest.raises(ShapeError, match="must agree"):
        age_replacement(np.array([0.0, 2.0]), np.array([1.0]), one, one)
    with pytest.raises(DomainError, match="never rise"):
        age_replacement(np.array([0.0, 2.0]), np.array([1.0, 1.2]), one, one)
