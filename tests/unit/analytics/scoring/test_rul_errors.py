import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.arrays import DomainError, NotEnoughDataError, ShapeError
from analytics.scoring.rul_errors import coverage_ratio, phm08_score, rmse_h, score_rul
from tests.naive import scoring as naive

LIVES = st.lists(
    st.tuples(st.floats(0.0, 300.0), st.floats(0.0, 300.0), st.floats(0.0, 300.0)),
    min_size=1,
    max_size=20,
)


@given(rows=LIVES, cap=st.sampled_from([None, 1.0, 125.0]))
def test_errors_are_those_of_the_plain_loops(
    rows: list[tuple[float, float, float]], cap: float | None
) -> None:
    truth, one, other = (list(column) for column in zip(*rows, strict=True))
    t, a, b = np.array(truth), np.array(one), np.array(other)
    slow_cap = math.inf if cap is None else cap

    assert rmse_h(t, a, cap_h=cap) == pytest.approx(naive.rmse(truth, one, slow_cap))
    assert phm08_score(t, a, cap_cycles=cap) == pytest.approx(naive.phm08(truth, one, slow_cap))
    assert coverage_ratio(t, a, b) == naive.coverage(truth, one, other)


@given(rows=LIVES)
def test_machines_in_any_order_score_the_same(rows: list[tuple[float, float, float]]) -> None:
    t, a, _ = np.array(rows).T
    order = np.random.default_rng(len(rows)).permutation(len(rows))

    assert rmse_h(t[order], a[order]) == pytest.approx(rmse_h(t, a))
    assert phm08_score(t[order], a[order]) == pytest.approx(phm08_score(t, a))


@given(life=st.floats(0.0, 200.0), miss=st.floats(0.1, 60.0))
def test_late_costs_more_than_early(life: float, miss: float) -> None:
    truth = np.array([life])

    assert phm08_score(truth, truth + miss) > phm08_score(truth, truth - miss)


def test_both_conventions_are_told_apart() -> None:
    truth, median = np.array([200.0, 20.0, 50.0]), np.array([150.0, 20.0, np.nan])

    scores = score_rul(truth, median, median - 5.0, median + 5.0)

    assert (scores.n, scores.n_unknown) == (2, 1)
    assert scores.rmse_capped_h == 0.0
    assert scores.rmse_raw_h == pytest.approx(50.0 / math.sqrt(2))
    assert scores.phm08_capped == 0.0
    assert scores.phm08_raw == pytest.approx(math.exp(50 / 13) - 1)
    assert scores.coverage_ratio == 0.5
    assert scores.mean_width_h == 10.0


def test_nothing_to_judge_is_an_error() -> None:
    nothing = np.full(3, np.nan)

    with pytest.raises(NotEnoughDataError, match="none of 3 machines"):
        score_rul(np.ones(3), nothing, nothing, nothing)


def test_a_cap_of_nothing_is_refused() -> None:
    with pytest.raises(DomainError, match="cap_h"):
        score_rul(*[np.ones(2)] * 4, cap_h=0.0)


def test_shapes_that_do_not_fit_are_refused() -> None:
    two, three = np.ones(2), np.ones(3)

    with pytest.raises(ShapeError, match="rmse_h"):
        rmse_h(two, three)
    with pytest.raises(ShapeError, match="phm08_score"):
        phm08_score(two, three)
    with pytest.raises(ShapeError, match="coverage_ratio"):
        coverage_ratio(two, two, three)
    with pytest.raises(ShapeError, match="score_rul"):
        score_rul(two, two, two, three)
