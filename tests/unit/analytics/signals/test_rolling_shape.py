import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.arrays import DomainError, FloatArray
from analytics.signals.rolling_shape import rolling_min_max, rolling_slope
from tests.naive import signals as naive


def _series(seed: int, n_times: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    values = 300.0 + rng.normal(size=(n_times, 2, 3))
    values[rng.random(values.shape) < 0.25] = np.nan
    values[rng.random(values.shape) < 0.05] = -np.inf
    return values


@given(seed=st.integers(0, 10_000), n_times=st.integers(0, 40), window=st.integers(1, 50))
def test_extremes_and_slope_are_those_of_the_plain_loop(
    seed: int, n_times: int, window: int
) -> None:
    values = _series(seed, n_times)

    low, high = rolling_min_max(values, window)
    slope = rolling_slope(values, window)

    slow_low, slow_high = naive.rolling_min_max(values, window)
    np.testing.assert_array_equal(low, slow_low)
    np.testing.assert_array_equal(high, slow_high)
    np.testing.assert_allclose(slope, naive.rolling_slope(values, window), atol=1e-9)


@given(seed=st.integers(0, 10_000), shift=st.floats(-1e4, 1e4), factor=st.floats(0.01, 100.0))
def test_slope_does_not_see_a_shift_and_follows_scale(
    seed: int, shift: float, factor: float
) -> None:
    values = _series(seed, 30)

    moved = rolling_slope(values * factor + shift, 7)

    np.testing.assert_allclose(moved, factor * rolling_slope(values, 7), atol=1e-8 * factor)


@given(seed=st.integers(0, 10_000))
def test_machines_in_any_order_have_the_same_extremes(seed: int) -> None:
    values = _series(seed, 25)
    order = np.random.default_rng(seed).permutation(3)

    moved, usual = rolling_min_max(values[:, :, order], 5), rolling_min_max(values, 5)

    np.testing.assert_array_equal(moved[0], usual[0][:, :, order])
    np.testing.assert_array_equal(moved[1], usual[1][:, :, order])


def test_windows_with_too_few_samples_say_nothing() -> None:
    values = np.array([1.0, np.nan, 2.0, 4.0])

    low, _ = rolling_min_max(values, 2, min_samples=2)
    slope = rolling_slope(values, 3, min_samples=3)

    np.testing.assert_array_equal(low, [np.nan, np.nan, np.nan, 2.0])
    assert np.isnan(slope).all()


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(DomainError, match="at least 1"):
        rolling_slope(np.zeros(3), 0)
    with pytest.raises(DomainError, match="at least 1"):
        rolling_min_max(np.zeros(3), 2, min_samples=0)
