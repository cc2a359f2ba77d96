import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.arrays import DomainError, FloatArray
from analytics.signals.rolling import ewma, rolling_mean_std
from tests.naive import signals as naive


def _series(seed: int, n_times: int, *, offset: float = 0.0) -> FloatArray:
    rng = np.random.default_rng(seed)
    values = offset + rng.normal(size=(n_times, 2, 3))
    values[rng.random(values.shape) < 0.25] = np.nan
    values[rng.random(values.shape) < 0.05] = -np.inf
    return values


@given(
    seed=st.integers(0, 10_000),
    n_times=st.integers(0, 40),
    window=st.integers(1, 50),
    min_samples=st.integers(1, 4),
)
def test_rolling_statistics_are_those_of_the_plain_loop(
    seed: int, n_times: int, window: int, min_samples: int
) -> None:
    values = _series(seed, n_times, offset=300.0)

    fast = rolling_mean_std(values, window, min_samples=min_samples)

    slow = naive.rolling_mean_std(values, window, min_samples=min_samples)
    np.testing.assert_allclose(fast[0], slow[0], rtol=1e-12)
    np.testing.assert_allclose(fast[1], slow[1], atol=1e-9)


@given(seed=st.integers(0, 10_000), shift=st.floats(-1e6, 1e6), factor=st.floats(0.01, 100.0))
def test_rolling_statistics_follow_shift_and_scale(seed: int, shift: float, factor: float) -> None:
    values = _series(seed, 30)
    mean, std = rolling_mean_std(values, 7)

    moved_mean, moved_std = rolling_mean_std(values * factor + shift, 7)

    size = abs(shift) + factor
    np.testing.assert_allclose(moved_mean, mean * factor + shift, atol=1e-12 * size)
    np.testing.assert_allclose(moved_std, std * factor, atol=1e-9 * size)


def test_float32_far_from_zero_keeps_its_digits() -> None:
    rng = np.random.default_rng(7)
    values = (80.0 + rng.normal(size=(20_000, 2))).astype(np.float32)

    mean, std = rolling_mean_std(values, 60)

    windows = np.lib.stride_tricks.sliding_window_view(values.astype(np.float64), 60, axis=0)
    assert mean.dtype == std.dtype == np.float32
    # Half a unit in the last place of a float32 near 80 is 3.8e-6.
    assert np.abs(mean[59:] - windows.mean(axis=-1)).max() < 4e-6
    assert np.abs(std[59:] - windows.std(axis=-1)).max() < 1e-6


def test_a_signal_that_stands_still_has_no_spread() -> None:
    _, std = rolling_mean_std(np.full((50, 1), 1e7 + 0.1), 10)

    assert np.nanmax(std) < 1e-8


@given(seed=st.integers(0, 10_000), alpha=st.floats(0.01, 1.0), warm_start=st.booleans())
def test_ewma_is_that_of_the_plain_loop(seed: int, alpha: float, warm_start: bool) -> None:
    values = _series(seed, 25)

    fast = ewma(values, alpha, warm_start=warm_start)

    np.testing.assert_array_equal(fast, naive.ewma(values, alpha, warm_start=warm_start))


@given(seed=st.integers(0, 10_000), shift=st.floats(-1e3, 1e3), factor=st.floats(0.01, 100.0))
def test_ewma_follows_shift_and_scale(seed: int, shift: float, factor: float) -> None:
    values = _series(seed, 25)

    moved = ewma(values * factor + shift, 0.3)

    np.testing.assert_allclose(moved, ewma(values, 0.3) * factor + shift, atol=1e-9)


@given(seed=st.integers(0, 10_000))
def test_machines_in_any_order_have_the_same_averages(seed: int) -> None:
    values = _series(seed, 25)
    order = np.random.default_rng(seed).permutation(3)

    np.testing.assert_array_equal(ewma(values[:, :, order], 0.2), ewma(values, 0.2)[:, :, order])
    for moved, usual in zip(
        rolling_mean_std(values[:, :, order], 5), rolling_mean_std(values, 5), strict=True
    ):
        np.testing.assert_array_equal(moved, usual[:, :, order])


def test_several_memories_are_averaged_at_once() -> None:
    values = _series(3, 25)
    alpha = np.array([0.1, 0.5])[:, np.newaxis]

    both = ewma(values[:, :, np.newaxis], alpha, warm_start=True)

    assert both.shape == (25, 2, 2, 3)
    np.testing.assert_array_equal(both[:, :, 1], ewma(values, 0.5, warm_start=True))


def test_a_warm_start_averages_what_has_come_so_far() -> None:
    values = np.array([6.0, 0.0, np.nan, 3.0])

    assert ewma(values, 0.01, warm_start=True).tolist() == [6.0, 3.0, 3.0, 3.0]


@pytest.mark.parametrize("alpha", [0.0, 1.5, np.nan])
def test_a_weight_out_of_range_is_refused(alpha: float) -> None:
    with pytest.raises(DomainError, match="alpha"):
        ewma(np.zeros(3), alpha)


@pytest.mark.parametrize(("window", "min_samples"), [(0, 1), (3, 0)])
def test_an_empty_window_is_refused(window: int, min_samples: int) -> None:
    with pytest.raises(DomainError, match="at least 1"):
        rolling_mean_std(np.zeros(3), window, min_samples=min_samples)
