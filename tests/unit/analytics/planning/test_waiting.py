"""Cost of waiting: against loops, simulation and first principles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.arrays import DomainError, FloatArray, ShapeError
from analytics.planning.replacement import age_replacement
from analytics.planning.waiting import (
    cost_of_waiting,
    daily_survival,
    explain_waiting,
    waiting_sentence,
)
from tests.naive import planning as naive


@st.composite
def fleets(draw: st.DrawFn) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Survivals that only fall, with prices."""
    n_machines, n_days = draw(st.integers(1, 5)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    fall = rng.random((n_machines, n_days)) * rng.random((n_machines, 1)) ** 3
    survival = np.column_stack([np.ones(n_machines), np.cumprod(1.0 - fall, axis=1)])
    planned_cost = rng.uniform(0.0, 2000.0, n_machines)
    failure_cost = rng.uniform(0.0, 20000.0, n_machines)
    return survival, planned_cost, failure_cost, rng.uniform(0.0, 200.0, n_machines)


@settings(deadline=None)
@given(fleets())
def test_cost_of_waiting_equals_the_plain_loop(
    fleet: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
) -> None:
    survival, planned_cost, failure_cost, rate = fleet

    found = cost_of_waiting(survival, planned_cost, failure_cost, rate)

    for i in range(survival.shape[0]):
        penalty, best_day = naive.cost_of_waiting(
            survival[i], planned_cost[i], failure_cost[i], rate[i]
        )
        np.testing.assert_allclose(found.penalty[i], penalty, atol=1e-8)
        assert found.best_day[i] == best_day
        assert found.failure_probability[i] == 1.0 - survival[i, -1]


@settings(deadline=None)
@given(fleets(), st.integers(0, 2**32 - 1))
def test_order_of_machines_does_not_matter(
    fleet: tuple[FloatArray, FloatArray, FloatArray, FloatArray], seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(fleet[0].shape[0])

    found = cost_of_waiting(*fleet)
    shuffled = cost_of_waiting(*(array[order] for array in fleet))

    assert np.array_equal(shuffled.penalty, found.penalty[order])
    assert np.array_equal(shuffled.best_day, found.best_day[order])


@settings(deadline=None)
@given(fleets(), st.floats(1.0, 10.0))
def test_a_costlier_failure_never_puts_the_visit_off(
    fleet: tuple[FloatArray, FloatArray, FloatArray, FloatArray], factor: float
) -> None:
    survival, planned_cost, failure_cost, rate = fleet

    cheap = cost_of_waiting(survival, planned_cost, failure_cost, rate)
    dear = cost_of_waiting(survival, planned_cost, failure_cost * factor + 1.0, rate)

    assert (dear.best_day <= cheap.best_day).all()


@settings(deadline=None)
@given(fleets())
def test_waiting_is_best_where_a_failure_costs_no_more_than_a_visit(
    fleet: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
) -> None:
    survival, planned_cost, failure_cost, rate = fleet

    found = cost_of_waiting(survival, planned_cost, np.minimum(planned_cost, failure_cost), rate)

    assert (found.best_day == survival.shape[1] - 1).all()


@settings(deadline=None)
@given(fleets(), st.integers(0, 2**32 - 1))
def test_explained_terms_add_up_to_the_penalty_to_the_cent(
    fleet: tuple[FloatArray, FloatArray, FloatArray, FloatArray], seed: int
) -> None:
    n_machines, n_points = fleet[0].shape
    day = np.random.default_rng(seed).integers(0, n_points, size=(n_machines,))

    terms = explain_waiting(*fleet, day=day)
    penalty = cost_of_waiting(*fleet).penalty[np.arange(day.size), day]

    cents = [np.rint(100.0 * term) for term in (terms.planned, terms.failure, terms.rate)]
    assert np.array_equal(sum(cents), np.rint(100.0 * np.round(penalty, 2)))
    running_days = np.array([
        np.trapezoid(row[: d + 1]) - np.trapezoid(row[: best + 1])
        for row, d, best in zip(fleet[0], day, terms.best_day, strict=True)
    ])
    np.testing.assert_allclose(terms.rate, -fleet[3] * running_days, atol=0.02)


def test_penalty_agrees_with_simulated_residual_lives() -> None:
    rng = np.random.default_rng(7)
    lives = 20.0 * rng.weibull(3.0, 40_000)
    days = np.arange(16)
    survival = np.exp(-((days / 20.0) ** 3))[None, :]
    prices = 500.0, 4000.0, 60.0

    found = cost_of_waiting(survival, *(np.array([price]) for price in prices))
    simulated = [naive.simulated_cost(lives, day, *prices) for day in (0, 4, 8, 12)]

    differences = np.diff(found.penalty[0, [0, 4, 8, 12]])
    np.testing.assert_allclose(differences, np.diff(simulated), atol=40.0)


def test_a_new_machine_is_best_visited_at_its_best_age_and_then_costs_the_long_run_rate() -> None:
    days = np.arange(301)
    survival = np.exp(-((days / 100.0) ** 3))
    planned_cost, failure_cost = np.array([1000.0]), np.array([5000.0])

    best = age_replacement(days.astype(float), survival, planned_cost, failure_cost)
    found = cost_of_waiting(survival[None, :], planned_cost, failure_cost, best.cost_rate_per_day)

    assert found.best_day.tolist() == best.age_days.astype(int).tolist()
    # Phi there is 0: its cost is what so many days cost in the long run.
    assert found.penalty[0, 0] == pytest.approx(planned_cost[0])


def test_a_machine_without_survival_is_marked_unknown_and_harms_no_other() -> None:
    survival = np.array([[1.0, 0.9, 0.1], [np.nan] * 3])
    prices = [np.array([100.0, 100.0]), np.array([900.0, 900.0]), np.array([10.0, 10.0])]

    found = cost_of_waiting(survival, *prices)
    terms = explain_waiting(survival, *prices, day=np.array([2, 2]))

    assert found.best_day.tolist() == [0, -1]
    assert np.isnan(found.penalty[1]).all()
    assert np.isnan(found.failure_probability[1])
    assert np.isnan(found.failure_probability_by_best_day[1])
    assert np.isnan(terms.penalty[1])
    assert "no failure distribution" in waiting_sentence(terms, 1, currency="EUR")
    assert "未知" in waiting_sentence(terms, 1, currency="EUR", language="zh")


def test_no_hurry_where_nothing_happens() -> None:
    found = cost_of_waiting(np.ones((1, 5)), np.array([1.0]), np.array([9.0]), np.zeros(1))

    assert found.best_day.tolist() == [4]


def test_days_that_differ_by_rounding_alone_are_equals() -> None:
    """Fifty machines whose failure costs what a visit costs: every day costs the same."""
    fall = np.random.default_rng(9).random((50, 29))
    survival = np.column_stack([np.ones(50), np.cumprod(fall**0.1, axis=1)])
    price = np.full(50, 777.77)

    found = cost_of_waiting(survival, price, price, np.zeros(50))

    assert (found.penalty > 0.0).any()
    assert (found.best_day == 29).all()


def test_words_in_another_language_are_refused_by_name() -> None:
    terms = explain_waiting(
        np.array([[1.0, 0.5]]), np.ones(1), np.ones(1), np.ones(1), day=np.array([0])
    )

    with pytest.raises(DomainError, match="no words in 'fr'; there are en, zh"):
        waiting_sentence(terms, 0, currency="EUR", language="fr")


@pytest.mark.parametrize(
    ("survival", "words"),
    [
        ([[0.9, 0.8]], "machine 0, survival 0.9 at point 0"),
        ([[1.0, 0.5], [1.0, 1.1]], "machine 1, survival 1.1 at point 1"),
        ([[1.0, 0.5, 0.6]], "never rise"),
    ],
)
def test_a_survival_that_cannot_be_is_refused_with_its_machine(
    survival: list[list[float]], words: str
) -> None:
    prices = [np.ones(len(survival))] * 3

    with pytest.raises(DomainError, match=words):
        cost_of_waiting(np.array(survival), *prices)


def test_bad_prices_days_and_shapes_are_refused() -> None:
    survival, one = np.array([[1.0, 0.5]]), np.ones(1)

    with pytest.raises(DomainError, match=r"machine 0: cost -1\.0"):
        cost_of_waiting(survival, -one, one, one)
    with pytest.raises(ShapeError, match="for 2 machines"):
        cost_of_waiting(survival, np.ones(2), np.ones(2), np.ones(2))
    with pytest.raises(DomainError, match=r"day 2 is not within 0\.\.1"):
        explain_waiting(survival, one, one, one, day=np.array([2]))
    with pytest.raises(ShapeError, match="day has shape"):
        explain_waiting(survival, one, one, one, day=np.array([0, 1]))


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.booleans())
def test_daily_survival_equals_interpolation_one_machine_at_a_time(
    seed: int, n_days: int, has_zero: bool
) -> None:
    rng = np.random.default_rng(seed)
    horizon_h: FloatArray = np.cumsum(rng.uniform(1.0, 40.0, 30))
    horizon_h[-1] = max(horizon_h[-1], 24.0 * n_days)
    survival = np.asarray(np.cumprod(rng.uniform(0.8, 1.0, (3, 30)), axis=1), dtype=np.float64)
    if has_zero:
        horizon_h[0], survival[:, 0] = 0.0, 1.0

    daily = daily_survival(horizon_h, survival, n_days=n_days)

    for row in range(3):
        expected = naive.daily_survival(horizon_h, survival[row], n_days)
        np.testing.assert_allclose(daily[row], expected, atol=1e-12)


def test_survival_is_not_read_past_its_end() -> None:
    unknown = np.full((1, 2), np.nan)

    assert np.isnan(daily_survival(np.array([12.0, 48.0]), unknown, n_days=2)).all()
    with pytest.raises(DomainError, match="reach 72 h for 3 days"):
        daily_survival(np.array([12.0, 48.0]), unknown, n_days=3)
    with pytest.raises(ShapeError, match="disagree"):
        daily_survival(np.array([12.0]), unknown, n_days=1)
