"""First-time fix: against pairwise loops, known truth and the ways it is often flattered."""

import numpy as np
import pytest
import scipy.integrate
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.arrays import BoolArray, DomainError, FloatArray, IntArray, ShapeError
from analytics.retention.first_time_fix import first_time_fix, jeffreys_interval, shrunk_ratio
from tests.naive import retention as naive

Visits = tuple[IntArray, FloatArray, BoolArray, BoolArray]


@st.composite
def visits(draw: st.DrawFn) -> Visits:
    """Few keys and half days, so that ties and exact window ends are common."""
    n = draw(st.integers(0, 25))
    row = st.tuples(st.integers(-1, 3), st.integers(0, 160), st.booleans(), st.booleans())
    rows = draw(st.lists(row, min_size=n, max_size=n))
    table = np.array(rows, dtype=np.int64).reshape(n, 4)
    return table[:, 0], table[:, 1] / 2.0, table[:, 2] > 0, table[:, 3] > 0


@settings(deadline=None)
@given(visits(), st.sampled_from([7.0, 14.0, 30.0]), st.integers(0, 100))
def test_statuses_equal_comparing_every_pair_of_visits(
    log: Visits, window_days: float, as_of_day: int
) -> None:
    found = first_time_fix(*log, as_of_day=as_of_day, window_days=window_days)

    expected = naive.visit_statuses(*log, as_of_day, window_days)
    assert found.status.tolist() == expected
    assert found.n_fixed == expected.count(1)
    assert found.n_not_fixed == expected.count(0)
    assert found.n_pending == expected.count(2)


@settings(deadline=None)
@given(visits(), st.sampled_from([7.0, 30.0]))
def test_the_censored_estimate_equals_kaplan_meier_by_hand(log: Visits, window_days: float) -> None:
    key, ended_day, _, is_resolved = log
    chosen = (key >= 0) & (ended_day <= 70.0)
    key, ended_day, is_resolved = key[chosen], ended_day[chosen], is_resolved[chosen]

    found = first_time_fix(
        key,
        ended_day,
        np.ones_like(is_resolved),
        is_resolved,
        as_of_day=70.0,
        window_days=window_days,
    )

    if key.size:
        expected = naive.kaplan_meier(key, ended_day, is_resolved, 70.0, window_days)
        assert found.survival_ratio == pytest.approx(expected, nan_ok=True, abs=1e-12)
        if not np.isnan(expected):
            assert found.survival_lower <= found.survival_ratio <= found.survival_upper


@settings(deadline=None)
@given(visits(), st.integers(0, 2**32 - 1))
def test_order_of_visits_does_not_matter(log: Visits, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(log[0].size)

    found = first_time_fix(*log, as_of_day=70.0)
    shuffled = first_time_fix(
        log[0][order], log[1][order], log[2][order], log[3][order], as_of_day=70.0
    )

    assert shuffled.status.tolist() == found.status[order].tolist()
    assert shuffled.survival_ratio == pytest.approx(found.survival_ratio, nan_ok=True, abs=0.0)


@settings(deadline=None)
@given(visits())
def test_a_longer_window_never_finds_more_of_the_same_visits_fixed(log: Visits) -> None:
    short = first_time_fix(*log, as_of_day=200.0, window_days=7.0)
    long = first_time_fix(*log, as_of_day=200.0, window_days=30.0)

    assert long.n_fixed <= short.n_fixed
    assert long.n_fixed + long.n_not_fixed == short.n_fixed + short.n_not_fixed


@settings(deadline=None)
@given(visits(), st.integers(0, 3), st.integers(0, 100))
def test_one_more_failed_visit_never_raises_the_ratio(log: Visits, key: int, day: int) -> None:
    more = (
        np.append(log[0], key),
        np.append(log[1], float(day)),
        np.append(log[2], True),
        np.append(log[3], False),
    )

    before = first_time_fix(*log, as_of_day=200.0)
    after = first_time_fix(*more, as_of_day=200.0)

    assert np.isnan(before.ratio) or after.ratio <= before.ratio


def test_a_visit_matures_at_the_very_end_of_its_window_and_a_repeat_there_still_counts() -> None:
    yes = np.ones(3, dtype=bool)

    found = first_time_fix(np.array([1, 1, 2]), np.array([0.0, 30.0, 30.0]), yes, yes, as_of_day=60)

    assert found.status.tolist() == [0, 1, 1]
    assert found.n_pending == 0


def test_young_visits_do_not_flatter_the_figure() -> None:
    """A fault comes back after a quarter of the visits, some days later, up to yesterday."""
    rng = np.random.default_rng(11)
    n = 20_000
    ended_day = rng.uniform(0.0, 60.0, n)
    comes_back = rng.random(n) < 0.25
    back_day = ended_day + rng.uniform(1.0, 29.0, n)
    is_known = comes_back & (back_day <= 60.0)
    n_known = int(is_known.sum())
    yes = np.ones(n + n_known, dtype=bool)
    log = (
        np.concatenate([np.arange(n), np.flatnonzero(is_known)]),
        np.concatenate([ended_day, back_day[is_known]]),
        yes,
        yes,
    )
    is_recent = np.concatenate([ended_day > 30.0, np.zeros(n_known, dtype=bool)])

    recent = first_time_fix(*log, as_of_day=60.0, is_counted=is_recent)
    all_first = first_time_fix(*log, as_of_day=60.0, is_counted=np.arange(n + n_known) < n)
    naive_ratio = 1.0 - is_known[ended_day > 30.0].mean()

    assert naive_ratio > 0.86
    assert recent.n_pending == int(is_recent.sum())
    assert np.isnan(recent.ratio)
    assert all_first.survival_ratio == pytest.approx(0.75, abs=0.01)
    assert all_first.ratio == pytest.approx(0.75, abs=0.01)


def test_another_technician_s_visit_still_counts_as_a_repeat() -> None:
    key, ended_day, yes = np.array([1, 1]), np.array([0.0, 5.0]), np.ones(2, dtype=bool)

    found = first_time_fix(
        key, ended_day, yes, yes, as_of_day=90.0, is_counted=np.array([True, False])
    )

    assert found.status.tolist() == [0, -1]


def test_preventive_visits_neither_count_nor_repeat() -> None:
    found = first_time_fix(
        np.array([1, 1]),
        np.array([0.0, 5.0]),
        np.array([True, False]),
        np.ones(2, dtype=bool),
        as_of_day=90.0,
    )

    assert found.status.tolist() == [1, -1]


def test_two_people_on_one_job_are_not_a_repeat() -> None:
    found = first_time_fix(
        np.array([1, 1]), np.zeros(2), np.ones(2, dtype=bool), np.ones(2, dtype=bool), as_of_day=90
    )

    assert found.status.tolist() == [1, 1]


def test_visits_without_a_key_are_counted_apart_not_as_fixed() -> None:
    yes = np.ones(2, dtype=bool)

    found = first_time_fix(np.array([-1, 4]), np.zeros(2), yes, yes, as_of_day=90.0)

    assert (found.n_unknown_key, found.n_fixed, found.status.tolist()) == (1, 1, [-1, 1])


def test_no_visits_give_no_figure_rather_than_zero() -> None:
    none = np.zeros(0, dtype=bool)

    found = first_time_fix(np.zeros(0, dtype=np.int64), np.zeros(0), none, none, as_of_day=1.0)

    assert np.isnan([found.ratio, found.lower, found.upper, found.survival_ratio]).all()


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.sampled_from([0.5, 0.8, 0.95]))
def test_jeffreys_interval_holds_its_share_of_the_posterior(
    n_hits: int, n_misses: int, interval_ratio: float
) -> None:
    def density(p: float) -> float:
        return float(p ** (n_hits - 0.5) * (1.0 - p) ** (n_misses - 0.5))

    lower, upper = jeffreys_interval(n_hits, n_hits + n_misses, interval_ratio)

    whole = scipy.integrate.quad(density, 0.0, 1.0)[0]
    below = scipy.integrate.quad(density, 0.0, lower)[0]
    assert scipy.integrate.quad(density, lower, upper)[0] / whole == pytest.approx(interval_ratio)
    assert below / whole == pytest.approx((1.0 - interval_ratio) / 2.0)


def test_an_interval_reaches_the_end_where_all_or_none_were_hits() -> None:
    assert jeffreys_interval(0, 5)[0] == 0.0
    assert jeffreys_interval(5, 5)[1] == 1.0


@settings(deadline=None)
@given(st.integers(0, 50), st.integers(0, 50), st.floats(0.0, 1.0), st.floats(0.1, 50.0))
def test_one_more_hit_never_lowers_a_shrunk_ratio(
    n_hits: int, n_misses: int, prior_ratio: float, prior_n: float
) -> None:
    hits = np.array([n_hits, n_hits + 1.0, float(n_hits)])
    trials = np.array([n_hits + n_misses, n_hits + n_misses + 1.0, n_hits + n_misses + 1.0])

    same, hit, miss = shrunk_ratio(hits, trials, prior_ratio=prior_ratio, prior_n=prior_n)

    assert miss - 1e-12 <= same <= hit + 1e-12
    assert 0.0 <= same <= 1.0


def test_bad_input_is_refused_with_its_row() -> None:
    yes = np.ones(1, dtype=bool)

    with pytest.raises(DomainError, match="visit 0 has no end"):
        first_time_fix(np.array([1]), np.array([np.nan]), yes, yes, as_of_day=1.0)
    with pytest.raises(DomainError, match="window_days 0 must be above 0"):
        first_time_fix(np.array([1]), np.zeros(1), yes, yes, as_of_day=1.0, window_days=0)
    with pytest.raises(ShapeError, match="one entry per visit"):
        first_time_fix(np.array([1, 2]), np.zeros(1), yes, yes, as_of_day=1.0)
    with pytest.raises(DomainError, match="n_hits <= n_trials"):
        shrunk_ratio(np.array([2.0]), np.array([1.0]), prior_ratio=0.5, prior_n=1.0)
