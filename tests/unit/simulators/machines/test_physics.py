"""Each kind of machine behaves as the sources in its docstring say."""

from dataclasses import replace

import numpy as np
import pytest

from ingest.telemetry import is_legal_name
from ingest.telemetry import unit_of as unit_of_telemetry
from simulators.conditions import Conditions
from simulators.machines import BEARING_CONVEYOR, CENTRIFUGAL_PUMP, KINDS, MACHINING_SPINDLE
from simulators.machines.kind import MachineKind
from simulators.replay.cmapss import SIGNALS
from simulators.units import unit_of

WEAR = np.linspace(0.0, 1.0, 101)

STEADY = Conditions(
    time_h=np.zeros(101),
    wear=WEAR[np.newaxis],
    load_ratio=np.ones(101),
    lagged_load_ratio=np.ones(101),
    ambient_c=np.full(101, 20.0),
    program=np.ones(101, dtype=np.int64),
    is_idle=np.zeros(101, dtype=np.bool_),
)


def measure(kind: MachineKind, conditions: Conditions = STEADY) -> dict[str, np.ndarray]:
    """Wear is by the first mode; the others' rows are 0."""
    rows = np.zeros((len(kind.modes), conditions.wear.shape[1]))
    rows[0] = conditions.wear[0]
    values = kind.levels(replace(conditions, wear=rows), np.zeros(kind.n_traits))
    return dict(zip(kind.signals, values, strict=True))


def test_a_conveyor_drive_goes_from_zone_a_to_zone_d_of_iso_20816_3() -> None:
    vibration_mm_s = measure(BEARING_CONVEYOR)["vibration_mm_s"]

    assert vibration_mm_s[0] < 1.4
    assert vibration_mm_s[-1] > 4.5


def test_kurtosis_is_gaussian_at_first_peaks_early_and_comes_back() -> None:
    kurtosis = measure(BEARING_CONVEYOR)["acceleration_kurtosis_ratio"]

    peak = WEAR[int(np.argmax(kurtosis))]
    assert kurtosis[0] == pytest.approx(3.1, abs=0.1)
    assert 0.2 < peak < 0.4
    assert kurtosis.max() > 7
    assert kurtosis[-1] < 6


def test_a_motor_turns_below_its_synchronous_speed_by_its_slip() -> None:
    loads = replace(STEADY, load_ratio=np.linspace(0.5, 1.1, 101), wear=np.zeros((1, 101)))

    values = measure(BEARING_CONVEYOR, loads)

    assert np.all((values["speed_rpm"] > 1440) & (values["speed_rpm"] < 1500))
    assert np.all(np.diff(values["speed_rpm"]) < 0)
    assert np.all(np.diff(values["motor_current_a"]) > 0)


def test_a_worn_pump_gives_less_pressure_and_flow_for_more_work_each() -> None:
    values = measure(CENTRIFUGAL_PUMP)

    for signal in ("discharge_pressure_bar", "flow_m3_h"):
        assert np.all(np.diff(values[signal]) < 0), signal
    assert np.all(np.diff(values["motor_power_kw"] / values["flow_m3_h"]) > 0)
    assert values["vibration_mm_s"][0] < 2.5  # zone A of ISO 10816-7, category I
    assert values["vibration_mm_s"][-1] > 6.6  # zone D


def test_a_healthy_pump_works_where_its_curve_meets_the_systems() -> None:
    values = measure(CENTRIFUGAL_PUMP)
    flow_m3_h, pressure_bar = values["flow_m3_h"][0], values["discharge_pressure_bar"][0]

    pump_head_m = 62.0 - 1.35e-3 * flow_m3_h**2
    system_head_m = 18.0 + 2.6e-3 * flow_m3_h**2

    assert pump_head_m == pytest.approx(system_head_m)
    assert pressure_bar == pytest.approx(1.2 + 0.0979 * pump_head_m)


def test_spindle_power_is_torque_times_speed_over_efficiency() -> None:
    values = measure(MACHINING_SPINDLE)

    shaft_kw = 2 * np.pi * values["speed_rpm"] / 60 * values["torque_nm"] / 1000
    assert values["spindle_power_kw"] == pytest.approx(0.9 + shaft_kw / 0.92)


@pytest.mark.parametrize(
    "signal", sorted({*SIGNALS, *(s for kind in KINDS.values() for s in kind.signals)})
)
def test_every_signal_has_a_legal_name_and_the_unit_ingest_reads_from_it(signal: str) -> None:
    assert is_legal_name(signal)
    assert unit_of(signal).text == unit_of_telemetry(signal)


def test_unit_numbers_are_those_of_the_opc_foundation() -> None:
    # From the foundation's published table UNECE_to_OPCUA.csv.
    assert unit_of("bearing_temperature_c").unece_number == 4408652
    assert unit_of("vibration_mm_s").unece_number == 4403510
