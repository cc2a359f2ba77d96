"""A cracked tooth and worn flanks leave the marks that the cited sources tell apart."""

import numpy as np
import pytest

from simulators.machines import GEARBOX
from tests.naive.simulators_machines import steady

WEAR = np.linspace(0.0, 1.0, 21)
GAUSSIAN_KURTOSIS = 3.0


def test_a_cracked_tooth_raises_sidebands_and_single_blows_and_leaves_the_mesh_alone() -> None:
    values = steady(GEARBOX, {"tooth-crack": WEAR})

    assert np.all(np.diff(values["sideband_level_ratio"]) > 0)
    assert np.all(np.diff(values["acceleration_kurtosis_ratio"]) > 0)
    assert values["acceleration_kurtosis_ratio"][0] == pytest.approx(GAUSSIAN_KURTOSIS, abs=0.2)
    assert np.ptp(values["gear_mesh_m_s2"]) == 0
    assert np.ptp(values["oil_temperature_c"]) == 0


def test_worn_flanks_raise_mesh_debris_and_oil_temperature_and_leave_the_sidebands_alone() -> None:
    values = steady(GEARBOX, {"gear-wear": WEAR})

    for signal in ("gear_mesh_m_s2", "oil_debris_count", "oil_temperature_c", "vibration_mm_s"):
        assert np.all(np.diff(values[signal]) > 0), signal
    assert np.ptp(values["sideband_level_ratio"]) == 0
    assert np.ptp(values["acceleration_kurtosis_ratio"]) == 0


def test_wear_all_around_sheds_more_than_one_crack() -> None:
    worn = steady(GEARBOX, {"gear-wear": 1.0})["oil_debris_count"]
    cracked = steady(GEARBOX, {"tooth-crack": 1.0})["oil_debris_count"]

    assert worn > 2 * cracked


def test_more_load_means_more_torque_and_mesh_at_less_speed() -> None:
    values = steady(GEARBOX, load=np.linspace(0.2, 1.2, 21))

    assert np.all(np.diff(values["torque_nm"]) > 0)
    assert np.all(np.diff(values["gear_mesh_m_s2"]) > 0)
    assert np.all(np.diff(values["speed_rpm"]) < 0)
    assert np.all(values["speed_rpm"] < 1000)  # synchronous speed of six poles at 50 Hz


def test_a_crack_is_not_heard_while_nothing_meshes() -> None:
    sound, cracked = (steady(GEARBOX, {"tooth-crack": crack}, is_idle=True) for crack in (0.0, 1.0))

    for signal in ("sideband_level_ratio", "acceleration_kurtosis_ratio"):
        assert cracked[signal] == pytest.approx(sound[signal])
    assert cracked["speed_rpm"] == cracked["torque_nm"] == 0
