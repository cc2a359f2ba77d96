"""Laws of the small drawings."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.web.drawings import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    height_at,
    interval,
    plot,
    round_up,
    waterfall,
)

amounts = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(amounts, min_size=1, max_size=12), amounts)
def test_each_step_of_a_waterfall_begins_where_the_one_before_ended(
    steps: list[float], base: float
) -> None:
    total = base + sum(steps)

    bars = waterfall([
        (base, "base"),
        *((step, "raise" if step >= 0 else "lower") for step in steps),
        (total, "total"),
    ])

    for bar in bars:
        assert -1e-6 <= bar.x <= 1000 + 1e-6
        assert bar.x + bar.width <= 1003 + 1e-6
    assert len({bar.zero for bar in bars}) == 1


@given(st.tuples(amounts, amounts, amounts), st.floats(0.1, 1e6))
def test_a_whisker_stays_within_its_scale(values: tuple[float, float, float], top: float) -> None:
    lower, middle, upper = sorted(values)

    bar = interval(lower, middle, upper, top)

    assert bar.low is not None
    assert bar.high is not None
    assert 0 <= bar.low <= bar.high <= 1004
    assert 0 <= bar.width <= 1000


def test_an_endless_upper_end_is_drawn_at_the_end() -> None:
    assert interval(10.0, 20.0, math.inf, 100.0).high == 1000.0


@given(st.lists(st.floats(0, 1e9), min_size=2, max_size=40))
def test_a_curve_stays_in_its_frame(heights: list[float]) -> None:
    drawn = plot(list(map(float, range(len(heights)))), heights, y_text=str, x_text=str)

    assert drawn is not None
    for point in drawn.points.split(" "):
        x, y = map(float, point.split(","))
        assert LEFT <= x <= RIGHT
        assert TOP <= y <= BOTTOM


def test_one_point_is_no_curve() -> None:
    assert plot([1.0], [1.0], y_text=str, x_text=str) is None


@given(st.floats(1e-6, 1e12))
def test_an_axis_ends_at_or_above_its_highest_value(value: float) -> None:
    assert value <= round_up(value) * (1 + 1e-12)
    assert round_up(value) <= 10 * value * (1 + 1e-12)


@pytest.mark.parametrize(("x", "expected"), [(-1.0, 5.0), (0.5, 7.5), (9.0, 10.0)])
def test_a_curve_is_read_between_its_points(x: float, expected: float) -> None:
    assert height_at(x, [0.0, 1.0], [5.0, 10.0]) == expected
