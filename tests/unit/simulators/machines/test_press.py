"""The press obeys Boyle's law and its own energy balance."""

import numpy as np
import pytest

from simulators.machines import HYDRAULIC_PRESS
from tests.naive.simulators_machines import steady

WEAR = np.linspace(0.0, 1.0, 21)


def test_lost_gas_stores_less_oil_so_pressure_ripples_and_the_stroke_slows() -> None:
    values = steady(HYDRAULIC_PRESS, {"accumulator-gas-loss": WEAR})

    assert np.all(np.diff(values["accumulator_precharge_bar"]) < 0)
    assert np.all(np.diff(values["pressure_ripple_bar"]) > 0)
    assert np.all(np.diff(values["cycle_time_s"]) > 0)
    assert np.ptp(values["case_drain_flow_l_min"]) == 0
    assert np.ptp(values["oil_temperature_c"]) == 0


def test_precharge_stays_between_the_limits_within_which_a_bladder_stores_oil() -> None:
    values = steady(HYDRAULIC_PRESS, {"accumulator-gas-loss": WEAR})

    assert np.all(values["accumulator_precharge_bar"] > 0)
    assert np.all(values["accumulator_precharge_bar"] < values["system_pressure_bar"])


def test_a_worn_pump_drains_warms_the_oil_and_slows_and_leaves_the_gas_alone() -> None:
    values = steady(HYDRAULIC_PRESS, {"pump-leakage": WEAR})

    for signal in ("case_drain_flow_l_min", "oil_temperature_c", "cycle_time_s", "motor_power_kw"):
        assert np.all(np.diff(values[signal]) > 0), signal
    assert np.ptp(values["accumulator_precharge_bar"]) == 0
    assert np.ptp(values["pressure_ripple_bar"]) == 0


def test_what_drains_must_be_pumped_again_at_the_full_pressure() -> None:
    values = steady(HYDRAULIC_PRESS, {"pump-leakage": WEAR})

    more_drain_m3_s = np.diff(values["case_drain_flow_l_min"]) / 60_000
    hydraulic_w = values["system_pressure_bar"][1:] * 1e5 * more_drain_m3_s
    assert np.all(1000 * np.diff(values["motor_power_kw"]) > hydraulic_w)
    assert 1000 * np.diff(values["motor_power_kw"]) == pytest.approx(hydraulic_w / 0.88)


def test_heavier_products_are_pressed_harder() -> None:
    force_kn = [
        float(steady(HYDRAULIC_PRESS, program=program)["press_force_kn"][0]) for program in range(3)
    ]

    assert force_kn == sorted(force_kn)
    assert force_kn[0] < force_kn[-1]
