"""Motor spindle of a machining centre: bearings wear, tools blunt, the rotor loses its balance.

Three products take turns, each with its speed and cutting torque. Worn front bearings rub: the
friction torque grows, power and temperature with it, and the loose shaft vibrates, more at higher
speed. Spindle bearings are the part that fails most often in machine tools. [1]_ A blunt tool
takes more torque to cut and shakes a little more. An unbalanced rotor shakes with the square
of its speed and costs nothing else. Vibration
levels span from a new spindle to one that ISO/TR 17243 would have taken out of service. [2]_

References
----------
.. [1] E. Abele, Y. Altintas and C. Brecher, "Machine tool spindle units", CIRP Annals,
   vol. 59, no. 2, pp. 781-802, 2010.
.. [2] ISO/TR 17243-1:2014, Machine tool spindles: evaluation of machine tool spindle vibrations
   by measurements on spindle housing, part 1: spindles with rolling element bearings and
   integral drives operating at speeds between 600 min-1 and 30 000 min-1.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from simulators.conditions import Conditions
from simulators.machines.kind import (
    FailureMode,
    KindCosts,
    MachineKind,
    Sensor,
    joined_levels,
    warmth_ratio,
)
from simulators.wear.laws import ExponentialWear, GammaWear, WienerWear

FloatArray = npt.NDArray[np.float64]

_PROGRAM_RPM: Final = np.array([7600.0, 8000.0, 8400.0])
_PROGRAM_TORQUE_NM: Final = np.array([15.2, 14.0, 12.9])
_FRICTION_NM: Final = 1.1
_WORN_FRICTION_NM: Final = 3.4
_HEALTHY_MM_S: Final = 0.62
_LOOSE_MM_S: Final = 4.6
_DRIVE_EFFICIENCY_RATIO: Final = 0.92
_IDLE_KW: Final = 0.9
_RATED_RISE_C: Final = 19.0
_FRICTION_RISE_C: Final = 21.0
_BLUNT_TORQUE_RATIO: Final = 0.38
_BLUNT_MM_S: Final = 1.3
_UNBALANCE_MM_S: Final = 4.1
_STOPPED_RATIO: Final = 0.04
"""What is left of the vibration of a spindle that stands: its neighbours'."""


def spindle_levels(conditions: Conditions, traits: FloatArray) -> FloatArray:
    """Work out what the sensors show of a machining spindle.

    Parameters
    ----------
    conditions : Conditions
        What it is under.
    traits : ndarray of shape (4,)
        Standard normal: balance, friction, cooling, drive of this unit.

    Returns
    -------
    ndarray of shape (5, n_times)
        Vibration [mm/s], spindle power [kW], spindle temperature [°C], torque [N·m], speed
        [1/min].
    """
    load, (wear, blunt, unbalanced) = conditions.load_ratio, conditions.wear
    is_turning = np.where(conditions.is_idle, 0.0, 1.0)
    speed_rpm = _PROGRAM_RPM[conditions.program]
    speed_ratio = speed_rpm / _PROGRAM_RPM[1]
    friction_nm = _FRICTION_NM * np.exp(0.06 * traits[1]) + _WORN_FRICTION_NM * wear**1.1
    cutting_nm = _PROGRAM_TORQUE_NM[conditions.program] * (0.55 + 0.45 * load)
    torque_nm = cutting_nm * (1.0 + _BLUNT_TORQUE_RATIO * blunt) + friction_nm
    shaft_kw = 2 * np.pi * speed_rpm / 60.0 * torque_nm / 1000.0
    power_kw = _IDLE_KW + 0.03 * traits[3] + shaft_kw / _DRIVE_EFFICIENCY_RATIO * is_turning
    healthy_mm_s = _HEALTHY_MM_S * np.exp(0.09 * traits[0]) * speed_ratio**2
    loose_mm_s = _LOOSE_MM_S * wear**1.1 * speed_ratio**2
    rise_c = (_RATED_RISE_C + 0.9 * traits[2]) * conditions.lagged_load_ratio
    friction_c = _FRICTION_RISE_C * wear**1.4 * warmth_ratio(conditions.lagged_load_ratio)
    return np.stack([
        joined_levels(
            healthy_mm_s,
            loose_mm_s,
            _BLUNT_MM_S * blunt**1.5 * (0.4 + 0.6 * load),
            _UNBALANCE_MM_S * unbalanced * speed_ratio**2,
        )
        * np.maximum(is_turning, _STOPPED_RATIO),
        power_kw,
        conditions.ambient_c + rise_c + friction_c,
        torque_nm * is_turning,
        speed_rpm * is_turning,
    ])


MACHINING_SPINDLE: Final = MachineKind(
    key="machining-spindle",
    model="MS-24",
    sensors=(
        Sensor("vibration_mm_s", noise_ratio=0.05),
        Sensor("spindle_power_kw", noise_ratio=0.01),
        Sensor("spindle_temperature_c", noise=0.35),
        Sensor("torque_nm", noise_ratio=0.012),
        Sensor("speed_rpm", noise=1.5),
    ),
    n_traits=4,
    modes=(
        FailureMode(
            "front-bearing-wear",
            GammaWear(
                onset_range_h=(25 * 24.0, 75 * 24.0),
                growth_h=27 * 24.0,
                growth_spread_ratio=0.2,
                power=1.5,
                jumps=80.0,
            ),
        ),
        FailureMode(
            "tool-wear",
            ExponentialWear(
                onset_range_h=(50 * 24.0, 140 * 24.0),
                growth_h=22 * 24.0,
                growth_spread_ratio=0.25,
                curvature=1.2,
            ),
        ),
        FailureMode(
            "imbalance",
            WienerWear(
                onset_range_h=(55 * 24.0, 160 * 24.0),
                growth_h=28 * 24.0,
                growth_spread_ratio=0.3,
                noise=0.12,
            ),
        ),
    ),
    thermal_lag_h=0.6,
    standstill_range_h=(20.0, 60.0),
    costs=KindCosts(
        planned_visit_cost_eur=3100.0,
        planned_visit_h=6.0,
        unplanned_repair_cost_eur=11500.0,
        unplanned_repair_h=38.0,
        downtime_cost_eur_per_h=390.0,
    ),
    levels=spindle_levels,
)
"""The motor spindle of a machining centre."""
