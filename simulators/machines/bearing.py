"""Drive bearing of a belt conveyor: a spall that grows on a race or on a ball.

A 15 kW four-pole motor drives the belt at 50 Hz, so it turns at 1500/min less its slip. The
velocity level of a healthy drive lies in zone A of ISO 20816-3 for small machines on stiff
ground (below 1.4 mm/s); a drive is lost well inside zone D, which begins at 4.5 mm/s. [1]_
Kurtosis of the acceleration is 3 for the noise of a sound bearing, climbs with the first single
impacts, and comes back towards 3 as the damage spreads all around the race, so a high kurtosis
means early damage and a high velocity late damage. [2]_ [3]_ Friction warms the bearing late.
A spall on the inner race goes through the load zone once a turn: its blows are heard through more
parts, weaker, but stay single for longer. A spalled ball tilts and hits both races now and then;
it shows least in the level, and warms the bearing most. The frequencies that tell them apart are
in raw vibration only (`simulators.vibration`).

References
----------
.. [1] ISO 20816-3:2022, Mechanical vibration: measurement and evaluation of machine
   vibration, part 3: industrial machinery above 15 kW, 120 to 30 000 r/min, zone limits of
   group 2.
.. [2] D. Dyer and R. M. Stewart, "Detection of rolling element bearing damage by statistical
   vibration analysis", Journal of Mechanical Design, vol. 100, no. 2, pp. 229-235, 1978.
.. [3] R. B. W. Heng and M. J. M. Nor, "Statistical analysis of sound and vibration signals for
   monitoring rolling element bearing condition", Applied Acoustics, vol. 53, pp. 211-226, 1998.
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
from simulators.wear.laws import GammaWear

FloatArray = npt.NDArray[np.float64]

_SYNCHRONOUS_RPM: Final = 1500.0
_RATED_SLIP_RATIO: Final = 0.027
_NO_LOAD_CURRENT_A: Final = 11.0
_LOAD_CURRENT_A: Final = 25.5
_HEALTHY_MM_S: Final = 1.05
_SPALL_MM_S: Final = 8.2
_GAUSSIAN_KURTOSIS: Final = 3.0
_KURTOSIS_PEAK: Final = 5.5
_KURTOSIS_PEAK_WEAR: Final = 0.3
_RATED_RISE_C: Final = 31.0
_FRICTION_RISE_C: Final = 24.0
_INNER_MM_S: Final = 6.9
_BALL_MM_S: Final = 5.6
_INNER_KURTOSIS_PEAK_WEAR: Final = 0.5
_BALL_FRICTION_RATIO: Final = 1.3
_STOPPED_RATIO: Final = 0.04
"""What is left of the vibration of a drive that stands: its neighbours'."""


def bearing_levels(conditions: Conditions, traits: FloatArray) -> FloatArray:
    """Work out what the sensors show of a conveyor drive.

    Parameters
    ----------
    conditions : Conditions
        What it is under.
    traits : ndarray of shape (4,)
        Standard normal: mounting, cooling, motor, impulsiveness of this unit.

    Returns
    -------
    ndarray of shape (5, n_times)
        Vibration [mm/s], kurtosis [1], bearing temperature [°C], current [A], speed [1/min].
    """
    load, (outer, inner, ball) = conditions.load_ratio, conditions.wear
    is_turning = np.where(conditions.is_idle, 0.0, 1.0)
    speed_rpm = _SYNCHRONOUS_RPM * (1.0 - _RATED_SLIP_RATIO * load) * is_turning
    healthy_mm_s = _HEALTHY_MM_S * np.exp(0.09 * traits[0]) * (0.8 + 0.2 * load)
    spall_mm_s = joined_levels(
        _SPALL_MM_S * outer**1.2, _INNER_MM_S * inner**1.2, _BALL_MM_S * ball**1.2
    ) * (0.75 + 0.25 * load)
    early = (
        _single_impacts(outer, _KURTOSIS_PEAK_WEAR)
        + 1.15 * _single_impacts(inner, _INNER_KURTOSIS_PEAK_WEAR)
        + 0.7 * _single_impacts(ball, _KURTOSIS_PEAK_WEAR)
    )
    friction = outer**2 + inner**2 + _BALL_FRICTION_RATIO * ball**2
    kurtosis = (
        _GAUSSIAN_KURTOSIS
        + 0.12
        + 0.05 * traits[3]
        + _KURTOSIS_PEAK * np.exp(0.1 * traits[3]) * early * is_turning
    )
    rise_c = (_RATED_RISE_C + 1.8 * traits[1]) * conditions.lagged_load_ratio**1.5
    warmth = warmth_ratio(conditions.lagged_load_ratio)
    current_a = np.hypot(_NO_LOAD_CURRENT_A + 0.3 * traits[2], _LOAD_CURRENT_A * load)
    return np.stack([
        joined_levels(healthy_mm_s, spall_mm_s) * np.maximum(is_turning, _STOPPED_RATIO),
        kurtosis,
        conditions.ambient_c + rise_c + _FRICTION_RISE_C * friction * warmth,
        current_a * (1.0 + 0.03 * friction) * is_turning,
        speed_rpm,
    ])


def _single_impacts(wear: FloatArray, peak_wear: float) -> FloatArray:
    """Rise as w and fall as exp(-w): highest where the first spall is still a single impact."""
    share = wear / peak_wear
    return np.asarray(share * np.exp(1.0 - share))


BEARING_CONVEYOR: Final = MachineKind(
    key="bearing-conveyor",
    model="BC-15",
    sensors=(
        Sensor("vibration_mm_s", noise_ratio=0.045),
        Sensor("acceleration_kurtosis_ratio", noise_ratio=0.04),
        Sensor("bearing_temperature_c", noise=0.4),
        Sensor("motor_current_a", noise=0.25),
        Sensor("speed_rpm", noise=0.8),
    ),
    n_traits=4,
    modes=(
        FailureMode(
            "outer-race-spall",
            GammaWear(
                onset_range_h=(30 * 24.0, 85 * 24.0),
                growth_h=18 * 24.0,
                growth_spread_ratio=0.18,
                power=1.6,
                jumps=60.0,
            ),
        ),
        FailureMode(
            "inner-race-spall",
            GammaWear(
                onset_range_h=(55 * 24.0, 140 * 24.0),
                growth_h=22 * 24.0,
                growth_spread_ratio=0.2,
                power=1.5,
                jumps=60.0,
            ),
        ),
        FailureMode(
            "ball-spall",
            GammaWear(
                onset_range_h=(60 * 24.0, 170 * 24.0),
                growth_h=25 * 24.0,
                growth_spread_ratio=0.22,
                power=1.4,
                jumps=50.0,
            ),
        ),
    ),
    thermal_lag_h=1.5,
    standstill_range_h=(14.0, 40.0),
    costs=KindCosts(
        planned_visit_cost_eur=1150.0,
        planned_visit_h=3.0,
        unplanned_repair_cost_eur=4200.0,
        unplanned_repair_h=26.0,
        downtime_cost_eur_per_h=620.0,
    ),
    levels=bearing_levels,
)
"""A belt conveyor watched at its drive bearing."""
