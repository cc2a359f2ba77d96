"""The compressor obeys the gas laws its docstring names, sound or not."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.machines import RECIPROCATING_COMPRESSOR
from tests.naive.simulators_machines import steady

WEAR = np.linspace(0.0, 1.0, 21)
SUCTION_BAR, DELIVERY_BAR, N = 1.0, 7.4, 1.3


def test_a_sound_stage_warms_air_by_the_polytropic_law() -> None:
    values = steady(RECIPROCATING_COMPRESSOR, ambient=np.array([5.0, 20.0, 35.0]))

    inlet_k = 273.15 + np.array([5.0, 20.0, 35.0])
    ratio = values["interstage_pressure_bar"] / SUCTION_BAR
    outlet_k = inlet_k * ratio ** ((N - 1) / N)
    assert values["stage_1_temperature_c"] == pytest.approx(outlet_k - 273.15)


def test_sound_stages_share_the_pressure_nearly_equally_as_the_least_work_asks() -> None:
    interstage_bar = steady(RECIPROCATING_COMPRESSOR)["interstage_pressure_bar"]

    assert interstage_bar == pytest.approx(math.sqrt(SUCTION_BAR * DELIVERY_BAR), rel=0.03)


def test_a_leaking_valve_costs_air_and_warms_its_own_stage() -> None:
    values = steady(RECIPROCATING_COMPRESSOR, {"discharge-valve-leak": WEAR})

    assert np.all(np.diff(values["flow_m3_h"]) < 0)
    assert np.all(np.diff(values["interstage_pressure_bar"]) < 0)
    assert np.all(np.diff(values["stage_1_temperature_c"]) > 0)
    assert np.all(np.diff(values["motor_power_kw"] / values["flow_m3_h"]) > 0)
    assert np.ptp(values["cooler_outlet_temperature_c"]) == 0


def test_a_fouled_cooler_hands_on_its_heat_and_costs_power_but_no_air() -> None:
    values = steady(RECIPROCATING_COMPRESSOR, {"cooler-fouling": WEAR})

    for signal in (
        "cooler_outlet_temperature_c",
        "stage_2_temperature_c",
        "interstage_pressure_bar",
        "motor_power_kw",
    ):
        assert np.all(np.diff(values[signal]) > 0), signal
    assert np.ptp(values["flow_m3_h"]) == 0
    assert np.ptp(values["vibration_mm_s"]) == 0


@given(
    leak=st.floats(0, 1), fouled=st.floats(0, 1), load=st.floats(0.05, 1.2),
    ambient=st.floats(-10, 45),
)  # fmt: skip
def test_no_compressor_takes_less_power_than_the_isothermal_law_asks(
    leak: float, fouled: float, load: float, ambient: float
) -> None:
    wear: dict[str, float | np.ndarray] = {"discharge-valve-leak": leak, "cooler-fouling": fouled}

    values = steady(RECIPROCATING_COMPRESSOR, wear, load=load, ambient=ambient)

    pressure_bar, flow_m3_h = values["delivery_pressure_bar"][0], values["flow_m3_h"][0]
    least_kw = 1e5 * SUCTION_BAR * flow_m3_h / 3600 * math.log(pressure_bar / SUCTION_BAR) / 1000
    assert values["motor_power_kw"][0] > least_kw
