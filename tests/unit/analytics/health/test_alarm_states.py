import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.arrays import DomainError, NotEnoughDataError
from analytics.health.alarm_rates import (
    Feedback,
    alarms_per_machine_month,
    flood_at,
    tune_limit,
)
from analytics.health.alarm_states import (
    Acknowledge,
    Alarm,
    AlarmBook,
    AlarmEvent,
    AlarmState,
    Condition,
    Operation,
    Severity,
    Shelve,
    Unshelve,
)

NEW = Alarm("pump-01", "vibration_mm_s")


def _after(*events: AlarmEvent) -> Alarm:
    alarm = NEW
    for event in events:
        alarm = alarm.handle(event)
    return alarm


def test_an_alarm_goes_the_way_of_the_standard() -> None:
    raised = NEW.handle(Condition(1.0, is_wrong=True, score=0.6))
    seen = raised.handle(Acknowledge(2.0))
    gone = seen.handle(Condition(3.0, is_wrong=False))

    assert raised.state is AlarmState.UNACKNOWLEDGED
    assert (seen.state, seen.raised_at_h) == (AlarmState.ACKNOWLEDGED, 1.0)
    assert gone.state is AlarmState.NORMAL


def test_an_alarm_that_went_unseen_waits_to_be_seen() -> None:
    gone = _after(Condition(1.0, is_wrong=True), Condition(2.0, is_wrong=False))

    assert gone.state is AlarmState.RETURNED_UNACKNOWLEDGED
    assert gone.handle(Acknowledge(3.0)).state is AlarmState.NORMAL
    again = gone.handle(Condition(3.0, is_wrong=True))
    assert (again.state, again.n_raised) == (AlarmState.UNACKNOWLEDGED, 2)


def test_a_standing_alarm_comes_back_when_its_shelf_ends() -> None:
    shelved = _after(Condition(1.0, is_wrong=True), Shelve(2.0, until_h=10.0))

    assert shelved.handle(Condition(5.0, is_wrong=True)).state is AlarmState.SHELVED
    assert shelved.handle(Condition(10.0, is_wrong=True)).state is AlarmState.UNACKNOWLEDGED
    assert shelved.handle(Unshelve(6.0)).state is AlarmState.UNACKNOWLEDGED
    assert shelved.handle(Condition(11.0, is_wrong=False)).state is not AlarmState.SHELVED


def test_a_machine_that_stands_still_suppresses_its_alarms() -> None:
    suppressed = _after(Operation(1.0, is_meaningful=False), Condition(2.0, is_wrong=True))

    assert suppressed.state is AlarmState.SUPPRESSED
    assert suppressed.handle(Operation(3.0, is_meaningful=True)).state is AlarmState.UNACKNOWLEDGED


@pytest.mark.parametrize(
    ("score", "severity"),
    [(0.5, Severity.ADVISORY), (0.8, Severity.WARNING), (0.95, Severity.CRITICAL)],
)
def test_severity_follows_the_distance_from_the_limit(score: float, severity: Severity) -> None:
    assert _after(Condition(1.0, is_wrong=True, score=score)).severity is severity


EVENTS = st.lists(
    st.one_of(
        st.booleans().map(lambda wrong: Condition(0.0, is_wrong=wrong)),
        st.booleans().map(lambda on: Operation(0.0, is_meaningful=on)),
        st.just(Acknowledge(0.0)),
        st.just(Unshelve(0.0)),
        st.just(Shelve(0.0, until_h=1.0)),
    ),
    max_size=20,
)


@given(events=EVENTS)
def test_what_is_annunciated_is_wrong_and_meaningful_and_not_shelved(
    events: list[AlarmEvent],
) -> None:
    alarm = NEW
    for place, event in enumerate(events):
        at_h = 0.1 * place
        timed = replace(event, at_h=at_h)
        if isinstance(timed, Shelve):
            timed = replace(timed, until_h=at_h + 0.35)
        alarm = alarm.handle(timed)
        if alarm.is_annunciated:
            assert alarm.is_wrong
            assert alarm.is_meaningful
            assert alarm.shelved_until_h is None
        if alarm.is_wrong and alarm.is_meaningful and alarm.shelved_until_h is None:
            # Nothing that is wrong is lost from sight.
            assert alarm.is_annunciated


def test_alarms_of_one_machine_or_one_cause_are_one_thing_to_see_to() -> None:
    book = AlarmBook()
    for machine, cause, at_h, score in (
        ("pump-01", "vibration_mm_s", 1.0, 0.6),
        ("pump-01", "temperature_c", 7.0, 0.97),
        ("pump-02", "supply_voltage_v", 2.0, 0.6),
        ("pump-03", "supply_voltage_v", 2.2, 0.6),
        ("pump-04", "supply_voltage_v", 9.0, 0.6),
    ):
        book.handle(machine, cause, Condition(at_h, is_wrong=True, score=score))

    groups = book.groups()

    assert [[alarm.machine for alarm in group.alarms] for group in groups] == [
        ["pump-01", "pump-01"],
        ["pump-02", "pump-03"],
        ["pump-04"],
    ]
    assert groups[0].severity is Severity.CRITICAL


def test_a_shelf_without_end_is_refused() -> None:
    with pytest.raises(DomainError, match="within 336 hours"):
        NEW.handle(Shelve(0.0, until_h=1000.0))
    with pytest.raises(DomainError, match="after its beginning"):
        NEW.handle(Shelve(5.0, until_h=5.0))


@given(gaps=st.lists(st.floats(0.0, 0.2), max_size=60))
def test_floods_are_those_of_the_plain_count(gaps: list[float]) -> None:
    raised_h = np.cumsum(np.array(gaps, np.float64))

    found = flood_at(raised_h)

    standing = False
    slow: list[bool] = []
    for at in raised_h.tolist():
        recent = sum(at - 1 / 6 < other <= at for other in raised_h.tolist())
        later = sum(other == at for other in raised_h.tolist()[len(slow) + 1 :])
        recent -= later
        standing = recent > 10 or (standing and recent >= 5)
        slow.append(standing)
    assert found.tolist() == slow


@given(seed=st.integers(0, 10_000), budget=st.floats(0.0, 3.0))
def test_a_tuned_limit_keeps_the_budget_and_is_the_least_that_does(
    seed: int, budget: float
) -> None:
    rng = np.random.default_rng(seed)
    told = [
        Feedback(float(1 + rng.exponential()), "true" if rng.random() < 0.5 else "false")
        for _ in range(40)
    ]

    tuned = tune_limit(told, n_machines=10, hours=730.5, budget_per_machine_month=budget)

    assert tuned.false_per_machine_month <= budget + 1e-9
    if tuned.factor > 1.0:
        lower = sum(
            one.peak_ratio >= tuned.factor * (1 - 1e-12) for one in told if one.verdict == "false"
        )
        assert alarms_per_machine_month(lower, 10, 730.5) > budget


def test_a_larger_budget_never_loses_true_alarms() -> None:
    rng = np.random.default_rng(1)
    told = [Feedback(1 + rng.random(), "false") for _ in range(20)]
    told += [Feedback(1 + 2 * rng.random(), "true") for _ in range(20)]
    kept = [
        tune_limit(told, n_machines=5, hours=7305.0, budget_per_machine_month=b).n_true_kept
        for b in (0.0, 0.1, 0.2, 0.5)
    ]

    assert all(a <= b for a, b in itertools.pairwise(kept))


def test_what_can_not_be_told_is_refused() -> None:
    with pytest.raises(NotEnoughDataError, match="1 of 10 verdicts"):
        tune_limit(
            [Feedback(1.0, "true"), Feedback(2.0, "unknown")],
            n_machines=1,
            hours=1.0,
            budget_per_machine_month=1.0,
        )
    with pytest.raises(DomainError, match="budget"):
        tune_limit([], n_machines=1, hours=1.0, budget_per_machine_month=-1.0)
    with pytest.raises(DomainError, match="some of both"):
        alarms_per_machine_month(1, 0, 5.0)
    with pytest.raises(DomainError, match="falls"):
        flood_at(np.array([2.0, 1.0]))
