"""Measures of customers kept: golden figures, the trap beside them, and laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.arrays import DomainError, NotEnoughDataError, ShapeError
from analytics.retention.measures import (
    MEASURES,
    logo_churn_ratio,
    money_at_risk_per_year,
    often_quoted_churn_ratio_trap,
    retention_measures,
)
from tests.naive import retention as naive


def test_from_400_to_380_customers_is_5_percent() -> None:
    assert logo_churn_ratio(n_at_start=400, n_lost=20) == 0.05
    assert often_quoted_churn_ratio_trap(n_at_start=400, n_at_end=380) == pytest.approx(0.0526316)


def test_75_of_1000_customers_is_7_and_a_half_percent() -> None:
    assert logo_churn_ratio(n_at_start=1000, n_lost=75) == 0.075


def test_new_customers_hide_losses_from_the_trap_only() -> None:
    value_at_start = np.concatenate([np.full(400, 100.0), np.zeros(20)])
    value_at_end = np.concatenate([np.zeros(20), np.full(380, 100.0), np.full(20, 100.0)])

    found = retention_measures(value_at_start, value_at_end)

    assert found.logo_churn_ratio == 0.05
    assert often_quoted_churn_ratio_trap(n_at_start=400, n_at_end=400) == 0.0


def test_golden_values_of_retention_in_money() -> None:
    """One leaves (100), one halves (200 to 100), one grows (300 to 450), one stays, one joins."""
    found = retention_measures(
        np.array([100.0, 200.0, 300.0, 400.0, 0.0]), np.array([0.0, 100.0, 450.0, 400.0, 999.0])
    )

    assert (found.value_lost, found.value_reduced, found.value_expanded) == (100.0, 100.0, 150.0)
    assert found.value_churn_ratio == 0.1
    assert found.gross_retention_ratio == 0.8
    assert found.net_retention_ratio == 0.95
    assert found.logo_churn_ratio == 0.25


amounts = st.lists(st.one_of(st.just(0.0), st.floats(1.0, 1e6)), min_size=1, max_size=30)


@settings(deadline=None)
@given(st.data())
def test_gross_retention_never_exceeds_one_nor_net_retention(data: st.DataObject) -> None:
    start = data.draw(amounts.filter(any))
    end = data.draw(st.lists(st.floats(0.0, 1e6), min_size=len(start), max_size=len(start)))

    found = retention_measures(np.array(start), np.array(end))

    assert -1e-12 <= found.gross_retention_ratio <= 1.0
    assert found.gross_retention_ratio <= found.net_retention_ratio
    kept = sum(after for before, after in zip(start, end, strict=True) if before > 0)
    assert found.net_retention_ratio == pytest.approx(kept / sum(start), abs=1e-9)
    assert found.logo_churn_ratio == naive.cohort_churn(start, end)


def test_money_at_risk_is_value_times_probability_in_cents() -> None:
    at_risk = money_at_risk_per_year(np.array([1 / 3, 0.0, np.nan]), np.full(3, 1000.0))

    np.testing.assert_array_equal(at_risk, [333.33, 0.0, np.nan])


def test_every_measure_states_formula_denominator_and_trap() -> None:
    assert len({measure.name for measure in MEASURES}) == len(MEASURES)
    for measure in MEASURES:
        assert measure.formula
        assert measure.denominator
        assert measure.trap


def test_bad_input_is_refused() -> None:
    with pytest.raises(NotEnoughDataError, match="choose a later start"):
        logo_churn_ratio(n_at_start=0, n_lost=0)
    with pytest.raises(DomainError, match="5 lost of 4"):
        logo_churn_ratio(n_at_start=4, n_lost=5)
    with pytest.raises(NotEnoughDataError, match="no customers at the end"):
        often_quoted_churn_ratio_trap(n_at_start=4, n_at_end=0)
    with pytest.raises(DomainError, match="customer 1 has"):
        retention_measures(np.array([1.0, np.nan]), np.ones(2))
    with pytest.raises(ShapeError, match="one entry per customer"):
        retention_measures(np.ones(2), np.ones(3))
    with pytest.raises(DomainError, match=r"customer 0 has probability 1\.2"):
        money_at_risk_per_year(np.array([1.2]), np.ones(1))
    with pytest.raises(ShapeError, match="one entry per customer"):
        money_at_risk_per_year(np.ones(2), np.ones(1))
