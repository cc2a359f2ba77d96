import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.arrays import DomainError, FloatArray, ShapeError
from analytics.signals.baseline import SCALE_FLOOR, Baseline, present_median, robust_baseline
from tests.naive import signals as naive


def _window(seed: int, n_times: int = 40) -> FloatArray:
    rng = np.random.default_rng(seed)
    values = rng.normal(5.0, 1.0, size=(n_times, 3, 4))
    values[rng.random(values.shape) < 0.3] = np.nan
    values[:, 1, 1] = np.where(rng.random(n_times) < 0.7, 4.0, values[:, 1, 1])
    values[:, 2, 2] = 7.0
    values[:, 0, 3] = np.nan
    values[3, 0, 0] = np.inf
    return values


@given(seed=st.integers(0, 10_000), n_times=st.integers(0, 50))
def test_baseline_is_that_of_the_plain_loop(seed: int, n_times: int) -> None:
    values = _window(seed, 50)[:n_times]

    fast = robust_baseline(values, min_samples=10)

    slow = naive.robust_baseline(values, min_samples=10)
    for name in ("centre", "scale", "autocorrelation", "n_samples"):
        np.testing.assert_allclose(
            getattr(fast, name), getattr(slow, name), rtol=1e-9, err_msg=name
        )


@given(seed=st.integers(0, 10_000), shift=st.floats(-100.0, 100.0), factor=st.floats(0.5, 100.0))
def test_baseline_follows_shift_and_scale(seed: int, shift: float, factor: float) -> None:
    values = _window(seed)[:, :1, :3]
    usual = robust_baseline(values, min_samples=5)

    moved = robust_baseline(values * factor + shift, min_samples=5)

    np.testing.assert_allclose(moved.centre, usual.centre * factor + shift, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(moved.scale, usual.scale * factor, rtol=1e-6)


@given(seed=st.integers(0, 10_000))
def test_machines_and_times_in_any_order_have_the_same_centre_and_scale(seed: int) -> None:
    values = _window(seed)
    rng = np.random.default_rng(seed)
    machines = rng.permutation(4)

    usual = robust_baseline(values)
    shuffled = robust_baseline(rng.permutation(values)[:, :, machines])

    np.testing.assert_array_equal(shuffled.centre, usual.centre[:, machines])
    np.testing.assert_allclose(shuffled.scale, usual.scale[:, machines], rtol=1e-12)


def test_wild_samples_in_a_third_of_the_window_hardly_move_the_baseline() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(10.0, 1.0, size=(300, 1, 1))
    values[::3] = 1e6

    usual = robust_baseline(values)

    assert abs(usual.centre.item() - 10.0) < 1.0
    assert usual.scale.item() < 3.0


def test_too_few_samples_are_said_with_nan() -> None:
    usual = robust_baseline(np.ones((10, 1, 1)), min_samples=24)

    assert np.isnan(usual.centre.item())
    assert np.isnan(usual.scale.item())
    assert usual.n_samples is not None
    assert usual.n_samples.item() == 10


@pytest.mark.parametrize(("level", "floor"), [(50.0, 0.05), (-50.0, 0.05), (0.0, SCALE_FLOOR)])
def test_a_constant_signal_gets_the_floor(level: float, floor: float) -> None:
    usual = robust_baseline(np.full((30, 1, 1), level))

    assert usual.scale.item() == pytest.approx(floor)


def test_median_of_nothing_is_not_known() -> None:
    assert np.isnan(present_median(np.empty((0, 2)))).all()


def test_a_window_without_a_machine_axis_is_refused() -> None:
    with pytest.raises(ShapeError, match="n_machines"):
        robust_baseline(np.zeros((5, 2)))


def test_no_samples_at_all_can_not_be_enough() -> None:
    with pytest.raises(DomainError, match="min_samples"):
        robust_baseline(np.zeros((5, 1, 1)), min_samples=0)


def test_arrays_of_different_shapes_are_refused() -> None:
    with pytest.raises(ShapeError, match="n_signals"):
        Baseline(np.zeros((2, 3)), np.zeros((3, 2)))
