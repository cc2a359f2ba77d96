from typing import TypedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.arrays import DomainError, FloatArray, IntArray, ShapeError
from analytics.signals.resample import bin_means
from tests.naive import signals as naive


class Grid(TypedDict):
    n_series: int
    start_h: float
    step_h: float
    n_steps: int


def _samples(seed: int, n: int) -> tuple[IntArray, FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    series_index = rng.integers(0, 3, n)
    # A coarse clock makes samples of one moment; some lie outside the grid, some are missing.
    time_h = rng.integers(-4, 30, n) / 4.0
    value = rng.normal(1e3, 1.0, n)
    value[rng.random(n) < 0.2] = np.nan
    value[rng.random(n) < 0.1] = np.inf
    return series_index, time_h, value


@given(seed=st.integers(0, 10_000), n=st.integers(0, 60))
def test_bin_means_are_those_of_the_plain_loop(seed: int, n: int) -> None:
    samples = _samples(seed, n)

    fast = bin_means(*samples, n_series=3, start_h=0.0, step_h=0.75, n_steps=8)

    slow = naive.bin_means(*samples, n_series=3, start_h=0.0, step_h=0.75, n_steps=8)
    np.testing.assert_allclose(fast, slow, rtol=1e-12)


@given(seed=st.integers(0, 10_000))
def test_samples_in_any_order_give_the_same_bits(seed: int) -> None:
    series_index, time_h, value = _samples(seed, 80)
    order = np.random.default_rng(seed).permutation(80)
    grid = Grid(n_series=3, start_h=0.0, step_h=2.0, n_steps=4)

    in_order = bin_means(series_index, time_h, value, **grid)
    shuffled = bin_means(series_index[order], time_h[order], value[order], **grid)

    assert in_order.tobytes() == shuffled.tobytes()


def test_a_sample_on_a_border_belongs_to_the_step_that_it_opens() -> None:
    means = bin_means(
        np.array([0, 0, 0]),
        np.array([0.0, 2.0, 4.0]),
        np.array([1.0, 2.0, 3.0]),
        n_series=1,
        start_h=0.0,
        step_h=2.0,
        n_steps=2,
    )

    assert means.tolist() == [[1.0], [2.0]]


def test_a_time_that_is_not_known_is_left_out() -> None:
    means = bin_means(
        np.array([0, 0]),
        np.array([np.nan, 0.5]),
        np.array([9.0, 2.0]),
        n_series=1,
        start_h=0.0,
        step_h=1.0,
        n_steps=1,
    )

    assert means.tolist() == [[2.0]]


@pytest.mark.parametrize("index", [[-1], [1]])
def test_a_series_that_does_not_exist_is_refused(index: list[int]) -> None:
    with pytest.raises(DomainError, match="number them from 0"):
        bin_means(
            np.array(index), np.zeros(1), np.zeros(1), n_series=1, start_h=0, step_h=1, n_steps=1
        )


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(ShapeError, match="one entry per sample"):
        bin_means(
            np.array([0]), np.zeros(2), np.zeros(2), n_series=1, start_h=0, step_h=1, n_steps=1
        )


@pytest.mark.parametrize("step_h", [0.0, -1.0, np.nan])
def test_a_step_without_length_is_refused(step_h: float) -> None:
    with pytest.raises(DomainError, match="step_h"):
        bin_means(
            np.array([0]), np.zeros(1), np.zeros(1), n_series=1, start_h=0, step_h=step_h, n_steps=1
        )
