"""Shifts and weather are plain functions of time."""

import numpy as np
import pytest

from simulators.conditions import (
    Regime,
    ShiftPlan,
    ambient_c,
    conditions_of,
    draw_climate,
    lagged_shift_load_ratio,
    shift_load_ratio,
)
from simulators.errors import ScenarioError

MONDAY_H = 96.0


def test_weekends_carry_less_load_than_working_days() -> None:
    hours = np.arange(24.0)
    friday, saturday = (shift_load_ratio(MONDAY_H + 24 * day + hours) for day in (4, 5))

    assert saturday == pytest.approx(0.85 * friday)


@pytest.mark.parametrize("plan", ["continuous", "two-shift", "one-shift"])
@pytest.mark.parametrize("lag_h", [0.6, 1.5, 12.0])
def test_the_lagged_load_solves_its_differential_equation(lag_h: float, plan: ShiftPlan) -> None:
    step_h = 0.005
    hours = MONDAY_H + step_h * np.arange(round(3 * 24 / step_h), dtype=np.float64)
    load = shift_load_ratio(hours, plan)
    level = float(lagged_shift_load_ratio(hours[:1], lag_h, plan)[0])
    slow = np.empty(hours.size)
    for number, target in enumerate(load):
        slow[number] = level
        level += step_h * (target - level) / lag_h

    # Breaks come and go between the points of the lag's grid of 0.1 h.
    tolerance = 0.002 if plan == "continuous" else 0.03
    assert lagged_shift_load_ratio(hours, lag_h, plan) == pytest.approx(slow, abs=tolerance)


def test_afternoons_and_summers_are_warm() -> None:
    climate = draw_climate(np.random.default_rng(1), utc_offset_h=8.0)
    days_h = 24.0 * np.arange(365, dtype=np.float64)

    local_15, local_3 = (ambient_c(climate, days_h + hour - 8.0).mean() for hour in (15, 3))
    july, january = (ambient_c(climate, days_h[day : day + 30]).mean() for day in (181, 0))

    assert local_15 > local_3 + 2.5
    assert july > january + 4.0


def test_conditions_do_not_depend_on_what_else_is_asked_for() -> None:
    climate = draw_climate(np.random.default_rng(1), utc_offset_h=1.0)
    phase = np.array([0.3, 1.0, 2.0])
    time_h = 400_000.0 + np.arange(0.0, 200.0, 0.5)
    wear = np.zeros(time_h.size)

    whole = conditions_of(climate, phase, time_h, wear, lag_h=1.0)
    part = conditions_of(climate, phase, time_h[250:260], wear[250:260], lag_h=1.0)

    assert np.array_equal(whole.ambient_c[250:260], part.ambient_c)
    assert np.array_equal(whole.load_ratio[250:260], part.load_ratio)
    assert np.array_equal(whole.program[250:260], part.program)


def test_all_three_products_take_turns() -> None:
    climate = draw_climate(np.random.default_rng(1), utc_offset_h=0.0)
    time_h = np.arange(0.0, 24.0 * 30, 8.0)

    program = conditions_of(climate, np.zeros(3), time_h, np.zeros(time_h.size), lag_h=1.0).program

    assert np.bincount(program, minlength=3).min() >= 25


@pytest.mark.parametrize(("plan", "n_hours"), [("two-shift", 15.0), ("one-shift", 7.5)])
def test_shifts_last_their_hours_less_the_breaks_and_never_on_weekends(
    plan: ShiftPlan, n_hours: float
) -> None:
    step_h = 1.0 / 6.0
    hours = MONDAY_H + step_h * np.arange(7 * 144, dtype=np.float64)

    working_h = (shift_load_ratio(hours, plan) > 0).reshape(7, 144).sum(axis=1) * step_h

    assert working_h == pytest.approx([n_hours] * 5 + [0.0, 0.0])


def test_a_machine_idles_just_where_its_plan_asks_for_nothing() -> None:
    climate = draw_climate(np.random.default_rng(1), utc_offset_h=-5.0)
    time_h = 400_000.0 + np.arange(0.0, 14 * 24.0, 1.0 / 6.0)
    phase, wear = np.array([0.3, 1.0, 2.0]), np.zeros((1, time_h.size))

    shifts = conditions_of(climate, phase, time_h, wear, lag_h=1.0, regime=Regime("two-shift"))
    always = conditions_of(climate, phase, time_h, wear, lag_h=1.0)

    nobody = shift_load_ratio(time_h - 5.0, "two-shift") == 0
    assert np.array_equal(shifts.is_idle, nobody)
    assert np.array_equal(shifts.load_ratio == 0, nobody)
    assert not always.is_idle.any()
    assert shifts.lagged_load_ratio.min() >= 0.0


def test_products_ask_their_own_load_of_the_machine() -> None:
    climate = draw_climate(np.random.default_rng(1), utc_offset_h=0.0)
    time_h = np.arange(0.0, 24.0 * 30, 1.0)
    phase, wear = np.array([0.3, 1.0, 2.0]), np.zeros((1, time_h.size))
    regime = Regime(product_load_ratio=(0.5, 1.0, 1.3))

    usual = conditions_of(climate, phase, time_h, wear, lag_h=1.0)
    mixed = conditions_of(climate, phase, time_h, wear, lag_h=1.0, regime=regime)

    factor = np.array([0.5, 1.0, 1.3])[usual.program]
    assert mixed.load_ratio == pytest.approx(usual.load_ratio * factor)
    assert mixed.lagged_load_ratio == pytest.approx(usual.lagged_load_ratio * 2.8 / 3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"shift_plan": "four-shift"}, "shift_plan: 'four-shift' is not one of continuous"),
        ({"product_load_ratio": (1.0, -1.0, 1.0)}, "give three numbers from 0.1 to 1.5"),
        ({"product_load_ratio": (1.0, float("nan"), 1.0)}, "give three numbers from 0.1 to 1.5"),
    ],
)
def test_a_regime_no_machine_is_worked_by_is_refused(
    arguments: dict[str, object], words: str
) -> None:
    with pytest.raises(ScenarioError, match=words):
        Regime(**arguments)  # type: ignore[arg-type] # what a file may hold
