"""Two-stage reciprocating air compressor: discharge valves leak, the intercooler fouls.

Each stage compresses polytropically, ``T2 = T1 · r^((n-1)/n)``, and its work is that of the same
law. [1]_ A discharge valve of the first stage that no longer closes lets hot air back in, which is
compressed again: that stage's temperature rises, the compressor delivers less, and the pressure
between the stages sinks, so the second stage has more to do. Valves are the part that most often
stops reciprocating compressors. [2]_ A fouled intercooler hands warm air to the second stage,
whose work and temperature grow with the absolute temperature at its inlet, while the pressure
between the stages rises with it.

References
----------
.. [1] P. C. Hanlon (ed.), "Compressor Handbook", McGraw-Hill, 2001: polytropic compression, and
   faults seen in stage temperatures and pressures.
.. [2] S. Foreman, "Compressor valves and unloaders for reciprocating compressors", Dresser-Rand,
   2002: share of unscheduled shutdowns caused by valves.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from simulators.conditions import Conditions
from simulators.machines.kind import FailureMode, KindCosts, MachineKind, Sensor, joined_levels
from simulators.wear.laws import ExponentialWear, WienerWear, WithShocks

FloatArray = npt.NDArray[np.float64]

_EXPONENT: Final = 1.3 / 0.3
"""n / (n - 1) of the polytropic law."""
_SUCTION_BAR: Final = 1.0
_INTERSTAGE_BAR: Final = 2.75
_NETWORK_BAR: Final = 7.4
_SUCTION_M3_H: Final = 610.0
_KW_PER_BAR_M3_H: Final = 1e5 / 3600.0 / 1000.0
_MECHANICAL_EFFICIENCY_RATIO: Final = 0.9
_UNLOADED_KW: Final = 8.5
_APPROACH_K: Final = 8.0
_FOULED_APPROACH_K: Final = 34.0
_LEAK_RATIO: Final = 0.26
_RECOMPRESSED_K: Final = 52.0
_HEALTHY_MM_S: Final = 3.4
_VALVE_MM_S: Final = 4.6
_STANDSTILL_SHARE: Final = 0.35
"""Unloaded, the crank goes on turning: what is left of its vibration."""
_KELVIN: Final = 273.15


def compressor_levels(conditions: Conditions, traits: FloatArray) -> FloatArray:
    """Work out what the sensors show of a reciprocating compressor.

    Parameters
    ----------
    conditions : Conditions
        What it is under.
    traits : ndarray of shape (4,)
        Standard normal: valves, cooler, drive, foundation of this unit.

    Returns
    -------
    ndarray of shape (8, n_times)
        Delivery pressure and interstage pressure [bar], discharge temperatures of both stages
        and cooler outlet temperature [°C], delivered flow [m³/h], power [kW], vibration [mm/s].
    """
    load = conditions.load_ratio
    leaking, fouled = conditions.wear
    warmth = conditions.lagged_load_ratio
    approach_k = (_APPROACH_K + 0.5 * traits[1] + _FOULED_APPROACH_K * fouled) * warmth
    inlet_c, cooled_c = conditions.ambient_c, conditions.ambient_c + approach_k
    leak = _LEAK_RATIO * leaking
    # The second stage takes what the first gives it: less air or colder air, less pressure.
    interstage_bar = (
        _INTERSTAGE_BAR
        * (1.0 + 0.006 * traits[0])
        * (1.0 - 0.55 * leak)
        * (cooled_c + _KELVIN)
        / (inlet_c + _APPROACH_K + _KELVIN)
    )
    ratio_1, ratio_2 = interstage_bar / _SUCTION_BAR, _NETWORK_BAR / interstage_bar
    gain_1, gain_2 = ratio_1 ** (1 / _EXPONENT), ratio_2 ** (1 / _EXPONENT)
    stage_1_c = inlet_c + (inlet_c + _KELVIN) * (gain_1 - 1.0) * warmth
    stage_1_c = stage_1_c + _RECOMPRESSED_K * leaking * warmth
    stage_2_c = cooled_c + (cooled_c + _KELVIN) * (gain_2 - 1.0) * warmth
    flow_m3_h = _SUCTION_M3_H * load * (1.0 - leak)
    work = (gain_1 - 1.0) + (gain_2 - 1.0) * (cooled_c + _KELVIN) / (inlet_c + _KELVIN)
    shaft_kw = _EXPONENT * _KW_PER_BAR_M3_H * _SUCTION_BAR * _SUCTION_M3_H * load * work
    power_kw = _UNLOADED_KW * (1.0 + 0.02 * traits[2]) + shaft_kw / _MECHANICAL_EFFICIENCY_RATIO
    share = _STANDSTILL_SHARE + (1.0 - _STANDSTILL_SHARE) * np.minimum(load, 1.0)
    vibration_mm_s = joined_levels(
        _HEALTHY_MM_S * np.exp(0.08 * traits[3]) * share, _VALVE_MM_S * leaking**1.2 * share
    )
    return np.stack([
        _NETWORK_BAR - 0.35 * leak * load,
        interstage_bar,
        stage_1_c,
        stage_2_c,
        cooled_c,
        flow_m3_h,
        power_kw,
        vibration_mm_s,
    ])


RECIPROCATING_COMPRESSOR: Final = MachineKind(
    key="reciprocating-compressor",
    model="RC-75",
    sensors=(
        Sensor("delivery_pressure_bar", noise=0.03),
        Sensor("interstage_pressure_bar", noise=0.012),
        Sensor("stage_1_temperature_c", noise=0.6),
        Sensor("stage_2_temperature_c", noise=0.6),
        Sensor("cooler_outlet_temperature_c", noise=0.4),
        Sensor("flow_m3_h", noise_ratio=0.01, noise=0.5),
        Sensor("motor_power_kw", noise_ratio=0.01),
        Sensor("vibration_mm_s", noise_ratio=0.05),
    ),
    n_traits=4,
    modes=(
        FailureMode(
            "discharge-valve-leak",
            WithShocks(
                ExponentialWear(
                    onset_range_h=(25 * 24.0, 80 * 24.0),
                    growth_h=24 * 24.0,
                    growth_spread_ratio=0.25,
                    curvature=2.2,
                ),
                every_h=30 * 24.0,
                jump=0.05,
            ),
        ),
        FailureMode(
            "cooler-fouling",
            WienerWear(
                onset_range_h=(5 * 24.0, 30 * 24.0),
                growth_h=72 * 24.0,
                growth_spread_ratio=0.25,
                noise=0.12,
            ),
        ),
    ),
    thermal_lag_h=0.7,
    standstill_range_h=(10.0, 36.0),
    costs=KindCosts(
        planned_visit_cost_eur=1900.0,
        planned_visit_h=5.0,
        unplanned_repair_cost_eur=6200.0,
        unplanned_repair_h=24.0,
        downtime_cost_eur_per_h=710.0,
    ),
    levels=compressor_levels,
)
"""A two-stage reciprocating compressor that feeds a plant's air network."""
