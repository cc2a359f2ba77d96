import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.arrays import DomainError, FloatArray, ShapeError
from analytics.signals.baseline import Baseline
from analytics.signals.sensor_checks import (
    SensorCheckSettings,
    SensorFault,
    check_sensors,
    healthy_step_noise,
)
from tests.naive import detection as naive

USUAL = Baseline(np.full((3, 2), 20.0), np.ones((3, 2)))


def _window(seed: int, n: int = 60) -> FloatArray:
    return 20.0 + np.random.default_rng(seed).normal(size=(n, 3, 2))


def _broken(fault: str, seed: int = 1) -> FloatArray:
    x = _window(seed)
    match fault:
        case "flat line":
            x[-20:, 1, 0] = x[-20, 1, 0]
        case "spikes":
            x[[10, 25, 40], 1, 0] += 30.0
        case "noise":
            x[:, 1, 0] = 20.0 + 8.0 * (x[:, 1, 0] - 20.0)
        case "out of range":
            x[:, 1, 0] = 500.0 + np.random.default_rng(2).normal(size=60)
        case "drift alone":
            x[:, 1, 0] += 12.0
        case "silent":
            x[5:, 1, 0] = np.nan
    return x


@pytest.mark.parametrize("fault", list(SensorFault))
def test_each_fault_is_named_and_the_other_sensors_are_believed(fault: SensorFault) -> None:
    noise = healthy_step_noise(_window(9, 400))

    found = check_sensors(_broken(fault), USUAL, noise)

    assert found.name_of(1, 0) is fault
    assert found.is_faulty.sum() == (fault is not SensorFault.NONE)


@given(seed=st.integers(0, 10_000), fault=st.sampled_from(list(SensorFault)))
def test_sensors_are_judged_as_one_by_one(seed: int, fault: SensorFault) -> None:
    x = _broken(fault, seed)
    noise = healthy_step_noise(_window(9, 400))

    found = check_sensors(x, USUAL, noise)

    for signal in range(3):
        series = x[:, :, 0].T.tolist()
        moved = [abs(float(np.nanmedian(x[:, one, 0])) - 20.0) for one in range(3) if one != signal]
        slow = naive.sensor_fault(series, signal, 20.0, 1.0, float(noise[signal, 0]), moved)
        assert found.name_of(signal, 0).value == slow


def test_a_machine_that_moves_in_several_signals_has_no_broken_sensor() -> None:
    x = _window(3)
    x[:, :2, 0] += 12.0

    assert not check_sensors(x, USUAL, healthy_step_noise(_window(9, 400))).is_faulty.any()


def test_machines_in_any_order_are_judged_alike() -> None:
    x, noise = _broken("spikes"), healthy_step_noise(_window(9, 400))

    usual = check_sensors(x, USUAL, noise).fault
    moved = check_sensors(x[:, :, ::-1], USUAL, noise[:, ::-1]).fault

    assert moved.tolist() == usual[:, ::-1].tolist()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ShapeError, match="a value per signal"):
        check_sensors(_window(1), USUAL, np.ones((2, 2)))
    with pytest.raises(DomainError, match="three flat steps"):
        SensorCheckSettings(flat_steps=2)
