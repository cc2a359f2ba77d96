"""Three-phase motor of 55 kW: its insulation ages, or dust blocks its cooling.

Windings warm with the square of the current above their surroundings; class F insulation is
rated for 155 °C in all, usually used to a rise of 80 K. [1]_ Aged insulation conducts: its
resistance falls over decades until little is left of the megohms that a test asks for, [2]_ and
turns that touch upset the balance of the phases. Blocked cooling ribs let the same losses warm the
windings, and with them the bearing on the fan's side, far above the usual.

References
----------
.. [1] IEC 60034-1:2022, Rotating electrical machines, part 1: rating and performance, limits of
   temperature rise for thermal class 155 (F) and 130 (B).
.. [2] IEEE Std 43-2013, IEEE Recommended Practice for Testing Insulation Resistance of Electric
   Machinery, minimum values.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from simulators.conditions import Conditions
from simulators.machines.kind import FailureMode, KindCosts, MachineKind, Sensor
from simulators.wear.laws import ExponentialWear, WienerWear

FloatArray = npt.NDArray[np.float64]

_SYNCHRONOUS_RPM: Final = 1500.0
_RATED_SLIP_RATIO: Final = 0.012
_RATED_KW: Final = 55.0
_LOSSES_KW: Final = 1.6
_EFFICIENCY_RATIO: Final = 0.95
_NO_LOAD_A: Final = 33.0
_LOAD_A: Final = 92.0
_WINDING_RISE_C: Final = 74.0
_BLOCKED_RISE_C: Final = 62.0
_BEARING_RISE_C: Final = 28.0
_BLOCKED_BEARING_C: Final = 21.0
_NEW_MOHM: Final = 900.0
_DECADES_LOST: Final = 2.2
_HALVED_EVERY_K: Final = 14.0
"""Warm insulation conducts better: its resistance halves every so many kelvin."""
_UNBALANCE_PCT: Final = 0.9
_SHORTED_PCT: Final = 5.5
_HEALTHY_MM_S: Final = 1.1


def motor_levels(conditions: Conditions, traits: FloatArray) -> FloatArray:
    """Work out what the sensors show of an electric motor.

    Parameters
    ----------
    conditions : Conditions
        What it is under.
    traits : ndarray of shape (4,)
        Standard normal: winding, cooling, balance of phases, rotor of this unit.

    Returns
    -------
    ndarray of shape (8, n_times)
        Winding and bearing temperature [°C], current [A], unbalance of phases [%], insulation
        resistance [MΩ], power [kW], vibration [mm/s], speed [1/min].
    """
    load = conditions.load_ratio
    aged, blocked = conditions.wear
    is_turning = np.where(conditions.is_idle, 0.0, 1.0)
    losses = conditions.lagged_load_ratio**2
    rise_c = losses * (_WINDING_RISE_C + 2.0 * traits[1] + _BLOCKED_RISE_C * blocked**1.2)
    winding_c = conditions.ambient_c + rise_c
    bearing_c = conditions.ambient_c + conditions.lagged_load_ratio * (
        _BEARING_RISE_C + 1.2 * traits[1] + _BLOCKED_BEARING_C * blocked**1.3
    )
    new_mohm = _NEW_MOHM * np.exp(0.2 * traits[0])
    resistance_mohm = new_mohm * np.exp(
        -np.log(10.0) * _DECADES_LOST * aged - np.log(2.0) * (winding_c - 40.0) / _HALVED_EVERY_K
    )
    current_a = np.hypot(_NO_LOAD_A, _LOAD_A * load) * is_turning
    unbalance_pct = _UNBALANCE_PCT * np.exp(0.15 * traits[2]) + _SHORTED_PCT * aged**2.2
    power_kw = (_RATED_KW * load / _EFFICIENCY_RATIO + _LOSSES_KW) * is_turning
    vibration_mm_s = _HEALTHY_MM_S * np.exp(0.08 * traits[3]) * (1.0 + 0.25 * aged**2.2)
    return np.stack([
        winding_c,
        bearing_c,
        current_a,
        unbalance_pct * is_turning,
        resistance_mohm,
        power_kw,
        vibration_mm_s * np.where(conditions.is_idle, 0.05, 1.0),
        _SYNCHRONOUS_RPM * (1.0 - _RATED_SLIP_RATIO * load) * is_turning,
    ])


ELECTRIC_MOTOR: Final = MachineKind(
    key="electric-motor",
    model="EM-55",
    sensors=(
        Sensor("winding_temperature_c", noise=0.5),
        Sensor("bearing_temperature_c", noise=0.4),
        Sensor("motor_current_a", noise_ratio=0.006, noise=0.1),
        Sensor("current_unbalance_pct", noise_ratio=0.06),
        Sensor("insulation_resistance_mohm", noise_ratio=0.05),
        Sensor("motor_power_kw", noise_ratio=0.006, noise=0.02),
        Sensor("vibration_mm_s", noise_ratio=0.05),
        Sensor("speed_rpm", noise=0.7),
    ),
    n_traits=4,
    modes=(
        FailureMode(
            "insulation-ageing",
            ExponentialWear(
                onset_range_h=(25 * 24.0, 75 * 24.0),
                growth_h=38 * 24.0,
                growth_spread_ratio=0.22,
                curvature=1.4,
            ),
        ),
        FailureMode(
            "cooling-blocked",
            WienerWear(
                onset_range_h=(10 * 24.0, 40 * 24.0),
                growth_h=78 * 24.0,
                growth_spread_ratio=0.25,
                noise=0.15,
            ),
        ),
    ),
    thermal_lag_h=1.1,
    standstill_range_h=(12.0, 48.0),
    costs=KindCosts(
        planned_visit_cost_eur=1300.0,
        planned_visit_h=4.0,
        unplanned_repair_cost_eur=5200.0,
        unplanned_repair_h=30.0,
        downtime_cost_eur_per_h=540.0,
    ),
    levels=motor_levels,
)
"""A three-phase motor with a fan on its shaft."""
