"""Hydraulic press: its accumulator loses gas, or its pump leaks inside.

A bladder accumulator smooths the pump's pulsation and gives the fast stroke its oil. As nitrogen
escapes, less oil is stored between the lowest and the highest pressure (Boyle's law), so pressure
ripples and the stroke takes longer. [1]_ A worn axial-piston pump leaks past its slippers into
the case: case-drain flow is what is watched on such pumps, and what leaks away heats the oil
and must be pumped again. [2]_

References
----------
.. [1] H. Murrenhoff, "Fundamentals of Fluid Power, part 1: Hydraulics", Shaker, 2014:
   accumulators, usable volume and precharge.
.. [2] N. Helwig, E. Pignanelli and A. Schütze, "Condition monitoring of a complex hydraulic
   system using multivariate statistics", IEEE International Instrumentation and Measurement
   Technology Conference, pp. 210-215, 2015.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from simulators.conditions import Conditions
from simulators.machines.kind import FailureMode, KindCosts, MachineKind, Sensor
from simulators.wear.laws import GammaWear, WienerWear

FloatArray = npt.NDArray[np.float64]

_SYSTEM_BAR: Final = 210.0
_PRECHARGE_BAR: Final = 130.0
_GAS_LOST_RATIO: Final = 0.72
_RIPPLE_BAR: Final = 2.2
_CYCLE_S: Final = 7.5
_STROKE_S: Final = 2.4
_DRAIN_L_MIN: Final = 2.1
_WORN_DRAIN_L_MIN: Final = 13.5
_PUMP_L_MIN: Final = 120.0
_KW_PER_BAR_L_MIN: Final = 1.0 / 600.0
_PUMP_EFFICIENCY_RATIO: Final = 0.88
_STANDBY_KW: Final = 3.2
_OIL_RISE_C: Final = 27.0
_LEAK_RISE_C: Final = 19.0
_FORCE_KN: Final = 1600.0
_PRODUCT_FORCE_RATIO: Final = np.array([0.92, 1.0, 1.08])


def press_levels(conditions: Conditions, traits: FloatArray) -> FloatArray:
    """Work out what the sensors show of a hydraulic press.

    Parameters
    ----------
    conditions : Conditions
        What it is under.
    traits : ndarray of shape (4,)
        Standard normal: accumulator, pump, cooler, valves of this unit.

    Returns
    -------
    ndarray of shape (8, n_times)
        System pressure, ripple and precharge [bar], cycle time [s], case-drain flow [l/min], oil
        temperature [°C], power [kW], force [kN].
    """
    load = conditions.load_ratio
    gas_lost, worn = conditions.wear
    is_pressing = np.where(conditions.is_idle, 0.0, 1.0)
    force_ratio = _PRODUCT_FORCE_RATIO[conditions.program] * is_pressing
    precharge_bar = _PRECHARGE_BAR * (1.0 + 0.01 * traits[0]) * (1.0 - _GAS_LOST_RATIO * gas_lost)
    # Oil stored between precharge and system pressure, as part of what a full charge stores.
    gas_share = precharge_bar / _PRECHARGE_BAR
    ripple_bar = _RIPPLE_BAR * np.exp(0.08 * traits[3]) / gas_share**1.6
    drain_l_min = _DRAIN_L_MIN * np.exp(0.1 * traits[1]) + _WORN_DRAIN_L_MIN * worn**1.2
    speed_ratio = (1.0 - drain_l_min / _PUMP_L_MIN) * (0.55 + 0.45 * gas_share)
    cycle_s = _CYCLE_S - _STROKE_S + _STROKE_S / speed_ratio
    pressure_bar = _SYSTEM_BAR * (0.9 + 0.1 * force_ratio) - 9.0 * gas_lost * is_pressing
    flow_l_min = _PUMP_L_MIN * load + drain_l_min
    power_kw = _STANDBY_KW + is_pressing * (
        _KW_PER_BAR_L_MIN * pressure_bar * flow_l_min / _PUMP_EFFICIENCY_RATIO
    )
    oil_c = conditions.ambient_c + conditions.lagged_load_ratio * (
        _OIL_RISE_C + 1.4 * traits[2] + _LEAK_RISE_C * worn**1.2
    )
    return np.stack([
        pressure_bar,
        ripple_bar * (0.2 + 0.8 * is_pressing),
        precharge_bar,
        cycle_s * is_pressing,
        drain_l_min * (0.6 + 0.4 * is_pressing),
        oil_c,
        power_kw,
        _FORCE_KN * force_ratio,
    ])


HYDRAULIC_PRESS: Final = MachineKind(
    key="hydraulic-press",
    model="HP-160",
    sensors=(
        Sensor("system_pressure_bar", noise=0.8),
        Sensor("pressure_ripple_bar", noise_ratio=0.06),
        Sensor("accumulator_precharge_bar", noise=1.2),
        Sensor("cycle_time_s", noise_ratio=0.008),
        Sensor("case_drain_flow_l_min", noise_ratio=0.05),
        Sensor("oil_temperature_c", noise=0.4),
        Sensor("motor_power_kw", noise_ratio=0.012),
        Sensor("press_force_kn", noise_ratio=0.006),
    ),
    n_traits=4,
    modes=(
        FailureMode(
            "accumulator-gas-loss",
            WienerWear(
                onset_range_h=(20 * 24.0, 60 * 24.0),
                growth_h=38 * 24.0,
                growth_spread_ratio=0.25,
                noise=0.1,
            ),
        ),
        FailureMode(
            "pump-leakage",
            GammaWear(
                onset_range_h=(30 * 24.0, 70 * 24.0),
                growth_h=42 * 24.0,
                growth_spread_ratio=0.2,
                power=1.4,
                jumps=80.0,
            ),
        ),
    ),
    thermal_lag_h=1.6,
    standstill_range_h=(12.0, 40.0),
    costs=KindCosts(
        planned_visit_cost_eur=2100.0,
        planned_visit_h=5.0,
        unplanned_repair_cost_eur=8200.0,
        unplanned_repair_h=28.0,
        downtime_cost_eur_per_h=950.0,
    ),
    levels=press_levels,
)
"""A hydraulic press that forms sheet metal."""
