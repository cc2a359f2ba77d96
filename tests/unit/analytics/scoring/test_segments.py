import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.arrays import BoolArray, DomainError, ShapeError
from analytics.scoring.segments import (
    HOURS_PER_MONTH,
    add_events,
    misleading_point_adjusted_f1,
    range_f1,
    score_events,
    score_samples,
)
from tests.naive import scoring as naive


def _flags(seed: int, n: int = 80) -> BoolArray:
    rng = np.random.default_rng(seed)
    flags = np.zeros(n, np.bool_)
    for first in rng.integers(0, n, int(rng.integers(0, 5))).tolist():
        flags[first : first + int(rng.integers(1, 10))] = True
    return flags


@given(seed=st.integers(0, 10_000), tolerance=st.integers(0, 6), merge=st.integers(0, 6))
def test_events_are_matched_as_by_hand(seed: int, tolerance: int, merge: int) -> None:
    truth, alarm = _flags(seed), _flags(seed + 1)

    found = score_events(truth, alarm, np.arange(80.0), tolerance_h=tolerance, merge_h=merge)

    n_found, n_false, delays = naive.events(truth.tolist(), alarm.tolist(), tolerance, merge)
    assert (found.n_found, found.n_false) == (n_found, n_false)
    if delays:
        assert found.median_delay_h == float(np.median(delays))


@given(seed=st.integers(0, 10_000))
def test_the_truth_itself_scores_full_marks(seed: int) -> None:
    truth = _flags(seed)
    if not truth.any():
        return

    events = score_events(truth, truth, np.arange(80.0))

    assert (events.found_ratio, events.n_false, events.median_delay_h) == (1.0, 0, 0.0)
    assert range_f1(truth, truth) == score_samples(truth, truth).f1 == 1.0


def test_false_alarms_are_counted_per_machine_month() -> None:
    nothing, alarm = np.zeros(73, np.bool_), np.zeros(73, np.bool_)
    alarm[[10, 40]] = True
    time_h = np.arange(0.0, 730.0, 10.0)

    one = score_events(nothing, alarm, time_h)

    assert one.hours == 730.0
    assert one.false_per_month == pytest.approx(2.0 / 730.0 * HOURS_PER_MONTH)
    both = add_events([one, score_events(nothing, nothing, time_h)])
    assert both.false_per_month == pytest.approx(1.0 / 730.0 * HOURS_PER_MONTH)
    assert np.isnan(both.found_ratio)


def test_an_alarm_that_always_stands_pays_in_false_alarms_only() -> None:
    truth = np.arange(100) < 54

    scores = score_samples(truth, np.ones(100, np.bool_))

    # The published always-alarm figure on SKAB, whose samples are anomalous to 54 %.
    assert scores.f1 == pytest.approx(0.70, abs=0.005)
    assert (scores.false_alarm_ratio, scores.missed_ratio) == (1.0, 0.0)


def test_range_f1_punishes_an_alarm_in_pieces() -> None:
    truth = np.zeros(40, np.bool_)
    truth[10:30] = True
    whole, pieces = truth.copy(), truth.copy()
    pieces[11:30:2] = False

    assert range_f1(truth, pieces) < range_f1(truth, whole) == 1.0


@given(seed=st.integers(0, 10_000))
def test_point_adjustment_never_lowers_the_figure(seed: int) -> None:
    truth, alarm = _flags(seed), _flags(seed + 1)

    assert misleading_point_adjusted_f1(truth, alarm) >= score_samples(truth, alarm).f1


def test_what_does_not_fit_is_refused() -> None:
    truth = _flags(1)

    with pytest.raises(ShapeError, match="a truth, an alarm and a time"):
        score_events(truth, truth[1:], np.arange(80.0))
    with pytest.raises(DomainError, match="does not rise"):
        score_events(truth, truth, np.zeros(80))
    with pytest.raises(ShapeError, match="must agree"):
        score_samples(truth, truth[1:])
    with pytest.raises(ShapeError, match="must agree"):
        range_f1(truth, truth[1:])
