"""The motor is held against the limits of IEC 60034-1 and IEEE 43."""

import numpy as np
import pytest

from simulators.machines import ELECTRIC_MOTOR
from tests.naive.simulators_machines import steady

WEAR = np.linspace(0.0, 1.0, 21)
CLASS_B_RISE_K, CLASS_F_RISE_K = 80.0, 105.0  # IEC 60034-1, by resistance, up to 200 kW
CLASS_F_C = 155.0
REFERENCE_C = 40.0  # IEEE 43 compares insulation at this temperature
LEAST_MOHM = 5.0  # IEEE 43, of random-wound coils below 1 kV


def test_a_sound_winding_keeps_the_rise_of_class_b_and_a_blocked_one_passes_class_f() -> None:
    values = steady(ELECTRIC_MOTOR, {"cooling-blocked": WEAR}, ambient=40.0)

    rise_k = values["winding_temperature_c"] - 40.0
    assert rise_k[0] < CLASS_B_RISE_K
    assert rise_k[-1] > CLASS_F_RISE_K
    assert values["winding_temperature_c"][-1] > CLASS_F_C
    assert np.all(np.diff(rise_k) > 0)


def test_the_windings_warm_with_the_square_of_the_load() -> None:
    load = np.array([0.25, 0.5, 1.0])

    rise_k = steady(ELECTRIC_MOTOR, load=load)["winding_temperature_c"] - 20.0

    assert rise_k / rise_k[-1] == pytest.approx(load**2)


def test_insulation_falls_from_far_above_to_the_least_that_the_standard_allows() -> None:
    # Cold, at the temperature of the standard: no load, and a hall of 40 °C.
    values = steady(ELECTRIC_MOTOR, {"insulation-ageing": WEAR}, load=0.0, ambient=REFERENCE_C)

    resistance_mohm = values["insulation_resistance_mohm"]
    assert resistance_mohm[0] > 100 * LEAST_MOHM
    assert resistance_mohm[-1] == pytest.approx(LEAST_MOHM, rel=0.25)
    assert np.all(np.diff(np.log(resistance_mohm)) < 0)


def test_warmth_alone_lowers_insulation_and_cold_brings_it_back() -> None:
    hall_c = np.array([10.0, 24.0, 38.0, 24.0, 10.0])

    resistance_mohm = steady(ELECTRIC_MOTOR, ambient=hall_c)["insulation_resistance_mohm"]

    assert resistance_mohm[:3] / resistance_mohm[0] == pytest.approx([1.0, 0.5, 0.25])
    assert resistance_mohm[::-1] == pytest.approx(resistance_mohm)


def test_aged_insulation_unbalances_the_phases_and_warms_nothing() -> None:
    values = steady(ELECTRIC_MOTOR, {"insulation-ageing": WEAR})

    assert np.all(np.diff(values["current_unbalance_pct"]) > 0)
    for signal in ("winding_temperature_c", "bearing_temperature_c", "motor_power_kw"):
        assert np.ptp(values[signal]) == 0, signal


def test_blocked_ribs_warm_both_and_leave_the_currents_alone() -> None:
    values = steady(ELECTRIC_MOTOR, {"cooling-blocked": WEAR})

    assert np.all(np.diff(values["bearing_temperature_c"]) > 0)
    for signal in ("motor_current_a", "current_unbalance_pct", "motor_power_kw", "speed_rpm"):
        assert np.ptp(values[signal]) == 0, signal


def test_a_motor_never_gives_more_than_it_takes() -> None:
    values = steady(ELECTRIC_MOTOR, load=np.linspace(0.0, 1.2, 25))

    shaft_kw = 55.0 * np.linspace(0.0, 1.2, 25)
    assert np.all(values["motor_power_kw"] > shaft_kw)
    apparent_kva = np.sqrt(3) * 400.0 * values["motor_current_a"] / 1000
    assert np.all(values["motor_power_kw"] < apparent_kva)
