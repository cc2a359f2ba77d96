"""Downtime: against testing every piece of time, and bookkeeping laws."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.arrays import DomainError, FloatArray, IntArray, ShapeError
from analytics.retention.downtime import downtime_cost, downtime_exposure_h, split_downtime_h
from tests.naive import retention as naive

Standstills = tuple[IntArray, FloatArray, FloatArray]
exposure_h = partial(downtime_exposure_h, n_machines=3, window_start_h=10.0, window_end_h=60.0)
split_h = partial(split_downtime_h, n_machines=3, window_start_h=10.0, window_end_h=60.0)


@st.composite
def standstills(draw: st.DrawFn) -> Standstills:
    """Overlapping, touching, empty, open and out of the window."""
    hour = st.integers(0, 280).map(lambda quarter: quarter / 4.0)
    row = st.tuples(st.integers(0, 2), hour, st.one_of(st.none(), st.integers(0, 120)))
    rows = draw(st.lists(row, max_size=20))
    machine = np.array([m for m, _, _ in rows], dtype=np.int64)
    start_h = np.array([s for _, s, _ in rows], dtype=np.float64)
    length = np.array([np.nan if n is None else n / 4.0 for _, _, n in rows], dtype=np.float64)
    return machine, start_h, start_h + length


@settings(deadline=None)
@given(standstills())
def test_union_equals_testing_every_piece_of_time(log: Standstills) -> None:
    machine, start_h, end_h = log

    hours = exposure_h(*log)

    for i in range(3):
        chosen = machine == i
        expected = naive.union_h(start_h[chosen].tolist(), end_h[chosen].tolist(), 10.0, 60.0)
        assert hours[i] == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(standstills(), st.integers(0, 2**32 - 1))
def test_order_and_duplicates_do_not_matter(log: Standstills, seed: int) -> None:
    n = log[0].size
    order = np.random.default_rng(seed).permutation(np.concatenate([np.arange(n), np.arange(n)]))

    hours = exposure_h(*log)
    again = exposure_h(log[0][order], log[1][order], log[2][order])

    assert np.array_equal(hours, again)


@settings(deadline=None)
@given(standstills(), st.integers(0, 2), st.floats(0.0, 70.0), st.floats(0.0, 30.0))
def test_one_more_standstill_never_shortens_the_exposure(
    log: Standstills, machine: int, start: float, length: float
) -> None:
    more = (
        np.append(log[0], machine),
        np.append(log[1], start),
        np.append(log[2], start + length),
    )

    before, after = exposure_h(*log), exposure_h(*more)

    assert (after >= before - 1e-9).all()
    assert (after <= 50.0).all()


@settings(deadline=None)
@given(standstills(), st.integers(0, 2**32 - 1))
def test_unplanned_and_planned_hours_add_up_to_the_union(log: Standstills, seed: int) -> None:
    is_planned = np.random.default_rng(seed).random(log[0].size) < 0.5

    split = split_h(*log, is_planned)

    np.testing.assert_allclose(split.total_h, exposure_h(*log), atol=1e-9)
    assert np.array_equal(split.total_h, split.planned_h + split.unplanned_h)
    assert (split.planned_h >= 0.0).all()


@settings(deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 10),
)
def test_both_sides_of_the_bill_add_up_to_the_cent(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)

    cost = downtime_cost(rng.uniform(0, 500, n), rng.uniform(0, 5000, n), rng.random(n))

    cents = np.rint(100 * cost.vendor) + np.rint(100 * cost.customer)
    assert np.array_equal(cents, np.rint(100 * cost.total))


def test_no_standstill_is_no_exposure() -> None:
    none = np.zeros(0)

    hours = exposure_h(none.astype(np.int64), none, none)

    assert hours.tolist() == [0.0, 0.0, 0.0]


def test_bad_input_is_refused_with_its_row() -> None:
    one = np.array([1.0])

    with pytest.raises(DomainError, match=r"standstill 0 of machine 0 runs from 1\.0 to 0\.5 h"):
        exposure_h(np.array([0]), one, np.array([0.5]))
    with pytest.raises(DomainError, match=r"machine 0\.\.2"):
        exposure_h(np.array([3]), one, one)
    with pytest.raises(DomainError, match="before its start"):
        exposure_h(np.array([0]), one, one, n_machines=1, window_start_h=2.0, window_end_h=1.0)
    with pytest.raises(ShapeError, match="one entry per standstill"):
        exposure_h(np.array([0, 1]), one, one)
    with pytest.raises(ShapeError, match="is_planned"):
        split_h(np.array([0]), one, one, np.zeros(2, dtype=bool))
    with pytest.raises(DomainError, match=r"the maker bears 1\.5"):
        downtime_cost(one, one, np.array([1.5]))
    with pytest.raises(ShapeError, match="one entry per machine"):
        downtime_cost(one, one, np.ones(2))
