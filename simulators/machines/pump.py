"""Centrifugal process pump: wear rings erode, cavitation eats the impeller, the seal leaks.

The pump works where its head curve ``H0 - a·Q²`` meets the system curve ``Hs + r·Q²``; the
control valve sets r after the demand. As the wear rings open, more of the flow runs back inside
the pump and the head curve sinks, so flow and pressure fall while every cubic metre delivered
costs more power. [1]_ The eroded impeller loses its balance: vibration leaves zone A of ISO
10816-7 (below 2.5 mm/s for category I) and passes 6.6 mm/s, where zone D begins. [2]_ The shaft
seal runs hotter as leakage upsets its film. Cavitation is worst where flow is highest: collapsing
bubbles shake the whole pump broadly, more than the head it costs. [1]_ A leaking shaft seal runs
hot and loses liquid to the outside, and leaves the rest of the pump alone.

References
----------
.. [1] J. F. Gülich, "Centrifugal Pumps", 3rd ed., Springer, 2014: characteristics, leakage
   losses through annular seals, and how wear changes them.
.. [2] ISO 10816-7:2009, Mechanical vibration: evaluation of machine vibration by measurements
   on non-rotating parts, part 7: rotodynamic pumps, zone limits of category I up to 200 kW.
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

_SHUTOFF_HEAD_M: Final = 62.0
_HEAD_CURVE: Final = 1.35e-3
"""a above. [m/(m³/h)²]"""
_STATIC_HEAD_M: Final = 18.0
_SYSTEM_CURVE_AT_RATED_DEMAND: Final = 2.6e-3
"""r above. [m/(m³/h)²]"""
_HEAD_LOST_RATIO: Final = 0.16
_LEAKAGE_RATIO: Final = 0.12
_EFFICIENCY_RATIO: Final = 0.74
_EFFICIENCY_LOST_RATIO: Final = 0.13
_SUCTION_BAR: Final = 1.2
_BAR_PER_M: Final = 0.0979
"""Ten metres of water column weigh a little less than one bar. [bar/m]"""
_KW_PER_M4_H: Final = 9.81 / 3600.0
"""Hydraulic power of one m³/h lifted by one metre. [kW]"""
_HEALTHY_MM_S: Final = 1.7
_UNBALANCE_MM_S: Final = 6.6
_SEAL_RISE_C: Final = 17.0
_LEAK_RISE_C: Final = 26.0
_CAVITATION_HEAD_RATIO: Final = 0.07
_CAVITATION_MM_S: Final = 7.4
_RATED_M3_H: Final = 105.0
_SEAL_LOSS_RATIO: Final = 0.05
_SEAL_LEAK_RISE_C: Final = 44.0
_SHUT_LOAD_RATIO: Final = 0.05
_STOPPED_RATIO: Final = 0.04
"""What is left of the vibration of a pump that stands: its neighbours'."""


def pump_levels(conditions: Conditions, traits: FloatArray) -> FloatArray:
    """Work out what the sensors show of a centrifugal pump.

    Parameters
    ----------
    conditions : Conditions
        What it is under.
    traits : ndarray of shape (4,)
        Standard normal: balance, head, efficiency, seal of this unit.

    Returns
    -------
    ndarray of shape (5, n_times)
        Vibration [mm/s], discharge pressure [bar], flow [m³/h], motor power [kW], seal
        temperature [°C].
    """
    (wear, cavitation, leak), load = conditions.wear, conditions.load_ratio
    is_turning = np.where(conditions.is_idle, 0.0, 1.0)
    # Before an idle pump the valve is shut; a little load stands for the slit that is left.
    load = np.maximum(load, _SHUT_LOAD_RATIO)
    lost = _HEAD_LOST_RATIO * wear + _CAVITATION_HEAD_RATIO * cavitation
    head_m = _SHUTOFF_HEAD_M * (1.0 + 0.008 * traits[1]) * (1.0 - lost)
    # More demand opens the valve: less resistance, more flow.
    system = _SYSTEM_CURVE_AT_RATED_DEMAND / load**0.8
    through_m3_h = np.sqrt((head_m - _STATIC_HEAD_M) / (_HEAD_CURVE + system))
    delivered_m = head_m - _HEAD_CURVE * through_m3_h**2
    flow_m3_h = through_m3_h * (1.0 - _LEAKAGE_RATIO * wear - _SEAL_LOSS_RATIO * leak)
    efficiency = (_EFFICIENCY_RATIO + 0.008 * traits[2]) * (1.0 - _EFFICIENCY_LOST_RATIO * wear)
    power_kw = _KW_PER_M4_H * through_m3_h * delivered_m / efficiency
    healthy_mm_s = _HEALTHY_MM_S * np.exp(0.08 * traits[0]) * (1.1 - 0.1 * load)
    bubbles_mm_s = _CAVITATION_MM_S * cavitation**1.1 * (through_m3_h / _RATED_M3_H) ** 2
    rise_c = (_SEAL_RISE_C + 0.9 * traits[3]) * conditions.lagged_load_ratio
    leak_rise_c = _LEAK_RISE_C * wear**1.5 + _SEAL_LEAK_RISE_C * leak**1.3
    leak_rise_c = leak_rise_c * warmth_ratio(conditions.lagged_load_ratio)
    return np.stack([
        joined_levels(healthy_mm_s, _UNBALANCE_MM_S * wear, bubbles_mm_s)
        * np.maximum(is_turning, _STOPPED_RATIO),
        (_SUCTION_BAR + _BAR_PER_M * delivered_m * is_turning),
        flow_m3_h * is_turning,
        power_kw * is_turning,
        conditions.ambient_c + rise_c + leak_rise_c,
    ])


CENTRIFUGAL_PUMP: Final = MachineKind(
    key="centrifugal-pump",
    model="CP-100",
    sensors=(
        Sensor("vibration_mm_s", noise_ratio=0.04),
        Sensor("discharge_pressure_bar", noise_ratio=0.004),
        Sensor("flow_m3_h", noise_ratio=0.008),
        Sensor("motor_power_kw", noise_ratio=0.006),
        Sensor("seal_temperature_c", noise=0.35),
    ),
    n_traits=4,
    modes=(
        FailureMode(
            "wear-ring-erosion",
            ExponentialWear(
                onset_range_h=(20 * 24.0, 70 * 24.0),
                growth_h=30 * 24.0,
                growth_spread_ratio=0.2,
                curvature=1.8,
            ),
        ),
        FailureMode(
            "cavitation-erosion",
            GammaWear(
                onset_range_h=(45 * 24.0, 130 * 24.0),
                growth_h=32 * 24.0,
                growth_spread_ratio=0.2,
                power=1.2,
                jumps=70.0,
            ),
        ),
        FailureMode(
            "seal-leak",
            WienerWear(
                onset_range_h=(40 * 24.0, 150 * 24.0),
                growth_h=30 * 24.0,
                growth_spread_ratio=0.3,
                noise=0.15,
            ),
        ),
    ),
    thermal_lag_h=0.8,
    standstill_range_h=(10.0, 34.0),
    costs=KindCosts(
        planned_visit_cost_eur=1600.0,
        planned_visit_h=4.0,
        unplanned_repair_cost_eur=5600.0,
        unplanned_repair_h=22.0,
        downtime_cost_eur_per_h=480.0,
    ),
    levels=pump_levels,
)
"""A centrifugal pump for a process liquid."""
