"""The plant's clock deals out machine time: fast, slow, then live, and never the future."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import ScenarioError
from simulators.live.clock import ClockSettings, PlantClock
from simulators.reading import NS_PER_H, NS_PER_S

NOW_NS = 1_795_384_437_123_456_789
STEP_NS = 2 * NS_PER_H


def play(clock: PlantClock, elapsed_s: np.ndarray) -> list[tuple[str, int]]:
    """Phase and machine time of everything dealt out, the wall clock running along."""
    return [
        (due.phase, int(time_ns))
        for now_s in elapsed_s.tolist()
        for due in [clock.due(now_s, NOW_NS + round(now_s * NS_PER_S))]
        for time_ns in due.time_ns
    ]


def test_history_is_played_in_two_paces_and_then_live() -> None:
    dealt = play(PlantClock(ClockSettings(), NOW_NS), np.arange(0.0, 90.0, 0.02))
    phases = [phase for phase, _ in dealt]

    # 50 days at 100 h/s and 10 days at 4 h/s, two hours a step; then a sample a second.
    assert [phase for phase, _ in itertools.groupby(phases)] == ["fast", "slow", "live"]
    assert phases.count("fast") == pytest.approx(600, abs=1)
    assert phases.count("slow") == pytest.approx(120, abs=1)
    assert phases.count("live") == pytest.approx(90 - 12 - 60, abs=2)


def test_history_comes_every_two_hours_from_sixty_days_ago() -> None:
    times = [time for phase, time in play(PlantClock(ClockSettings(), NOW_NS), np.arange(90.0))
             if phase != "live"]  # fmt: skip

    assert set(np.diff(times)) == {STEP_NS}
    assert all(time % STEP_NS == 0 for time in times)
    assert NOW_NS - times[0] == pytest.approx(60 * 24 * NS_PER_H, abs=STEP_NS)
    assert 0 <= NOW_NS - times[-1] < STEP_NS


def test_live_samples_come_on_every_second() -> None:
    dealt = play(PlantClock(ClockSettings(), NOW_NS), np.arange(0.0, 100.0, 0.02))
    live = [time for phase, time in dealt if phase == "live"]

    assert set(np.diff(live)) == {NS_PER_S}
    assert all(time % NS_PER_S == 0 for time in live)


@given(st.lists(st.floats(0.0, 30.0), min_size=1, max_size=60))
def test_no_time_is_dealt_twice_out_of_order_or_from_the_future(pauses_s: list[float]) -> None:
    clock = PlantClock(ClockSettings(), NOW_NS)
    last_ns = 0

    for elapsed_s in np.cumsum(pauses_s).tolist():
        now_ns = NOW_NS + round(elapsed_s * NS_PER_S)
        for time_ns in clock.due(elapsed_s, now_ns).time_ns.tolist():
            assert last_ns < time_ns <= now_ns
            last_ns = time_ns


def test_history_is_whole_however_seldom_the_clock_is_asked() -> None:
    often = play(PlantClock(ClockSettings(), NOW_NS), np.arange(0.0, 71.0, 0.02))
    seldom = play(PlantClock(ClockSettings(), NOW_NS), np.array([70.98]))

    assert [time for _, time in seldom] == [time for _, time in often]


def test_a_computer_that_slept_makes_up_the_last_minute_only() -> None:
    clock = PlantClock(ClockSettings(), NOW_NS)
    play(clock, np.array([80.0, 80.1]))

    due = clock.due(9000.0, NOW_NS + 9000 * NS_PER_S)

    assert due.phase == "live"
    assert due.time_ns.size == 60


def test_without_slow_days_all_of_history_is_played_fast() -> None:
    settings = ClockSettings(history_days=2.0, slow_days=0.0, fast_h_per_s=48.0)

    dealt = play(PlantClock(settings, NOW_NS), np.arange(0.0, 2.0, 0.05))

    assert sum(phase == "live" for phase, _ in dealt) in {1, 2}
    assert sum(phase != "live" for phase, _ in dealt) == 24


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"slow_days": 61.0}, "--slow-days: 61"),
        ({"slow_days": -1.0}, "--slow-days: -1"),
        ({"fast_h_per_s": 0.0}, "must be above 0"),
        ({"slow_h_per_s": -4.0}, "must be above 0"),
    ],
)
def test_an_impossible_pace_is_refused(settings: dict[str, float], words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        ClockSettings(**settings)  # type: ignore[arg-type]  # floats all, the steps keep defaults
