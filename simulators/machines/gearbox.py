"""Single-stage helical gearbox: a tooth cracks, or the flanks of all teeth wear.

A cracked tooth gives way once a turn, which modulates the meshing of the teeth: sidebands grow
around the mesh frequency at the distance of the shaft's turning, and single blows raise the
kurtosis. [1]_ Evenly worn flanks leave the sidebands alone and lift the mesh frequency and its
harmonics instead, while the oil carries more debris and runs hotter. [2]_ Vibration velocity is
held against the zones of ISO 20816-9. [3]_

References
----------
.. [1] P. D. McFadden, "Detecting fatigue cracks in gears by amplitude and phase demodulation of
   the meshing vibration", Journal of Vibration, Acoustics, Stress, and Reliability in Design,
   vol. 108, pp. 165-170, 1986.
.. [2] R. B. Randall, "A new method of modeling gear faults", Journal of Mechanical Design,
   vol. 104, pp. 259-267, 1982.
.. [3] ISO 20816-9:2020, Mechanical vibration: measurement and evaluation of machine vibration,
   part 9: gear units.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from simulators.conditions import Conditions
from simulators.machines.kind import FailureMode, KindCosts, MachineKind, Sensor, joined_levels
from simulators.wear.laws import ExponentialWear, GammaWear, WithShocks

FloatArray = npt.NDArray[np.float64]

_RATED_RPM: Final = 985.0
_RATED_NM: Final = 2900.0
_NO_LOAD_NM: Final = 120.0
_MESH_M_S2: Final = 2.5
_WORN_MESH_M_S2: Final = 8.5
_SIDEBAND_RATIO: Final = 0.08
_CRACK_SIDEBAND_RATIO: Final = 0.75
_HEALTHY_MM_S: Final = 1.9
_WORN_MM_S: Final = 5.2
_CRACK_MM_S: Final = 3.4
_CRACK_KURTOSIS: Final = 5.0
_DEBRIS_COUNT: Final = 6.0
_WORN_DEBRIS_COUNT: Final = 85.0
_CRACK_DEBRIS_COUNT: Final = 12.0
_SLIP_RATIO: Final = 0.012
_STOPPED_RATIO: Final = 0.02
"""What is left of the vibration of a gearbox that stands: its neighbours'."""
_OIL_RISE_C: Final = 33.0
_WORN_RISE_C: Final = 17.0


def gearbox_levels(conditions: Conditions, traits: FloatArray) -> FloatArray:
    """Work out what the sensors show of a gearbox.

    Parameters
    ----------
    conditions : Conditions
        What it is under.
    traits : ndarray of shape (4,)
        Standard normal: gear quality, run-out, cooling, mounting of this unit.

    Returns
    -------
    ndarray of shape (8, n_times)
        Vibration [mm/s], mesh acceleration [m/s²], sidebands over mesh [1], kurtosis [1], oil
        temperature [°C], debris in a sample of oil [1], torque [N·m], speed [1/min].
    """
    load = conditions.load_ratio
    crack, worn = conditions.wear
    is_turning = np.where(conditions.is_idle, 0.0, 1.0)
    turning = np.maximum(is_turning, _STOPPED_RATIO)
    under_load = turning * (0.35 + 0.65 * load)
    mesh_m_s2 = joined_levels(
        _MESH_M_S2 * np.exp(0.1 * traits[0]) * under_load, _WORN_MESH_M_S2 * worn**1.2 * under_load
    )
    sideband_ratio = (
        _SIDEBAND_RATIO * np.exp(0.12 * traits[1]) + _CRACK_SIDEBAND_RATIO * crack**1.3 * is_turning
    )
    vibration_mm_s = joined_levels(
        _HEALTHY_MM_S * np.exp(0.08 * traits[3]) * under_load,
        _WORN_MM_S * worn**1.3 * under_load,
        _CRACK_MM_S * crack**1.6 * under_load,
    )
    kurtosis = 3.1 + _CRACK_KURTOSIS * crack**1.5 * np.minimum(load, 1.0)
    oil_c = conditions.ambient_c + conditions.lagged_load_ratio * (
        _OIL_RISE_C + 1.5 * traits[2] + _WORN_RISE_C * worn**1.4
    )
    debris_count = _DEBRIS_COUNT + _WORN_DEBRIS_COUNT * worn**1.3 + _CRACK_DEBRIS_COUNT * crack**2
    return np.stack([
        vibration_mm_s,
        mesh_m_s2,
        sideband_ratio,
        kurtosis,
        oil_c,
        debris_count,
        (_NO_LOAD_NM + _RATED_NM * load) * is_turning,
        _RATED_RPM * (1.0 - _SLIP_RATIO * load) * is_turning,
    ])


GEARBOX: Final = MachineKind(
    key="gearbox",
    model="GB-300",
    sensors=(
        Sensor("vibration_mm_s", noise_ratio=0.045),
        Sensor("gear_mesh_m_s2", noise_ratio=0.06),
        Sensor("sideband_level_ratio", noise_ratio=0.08),
        Sensor("acceleration_kurtosis_ratio", noise_ratio=0.04),
        Sensor("oil_temperature_c", noise=0.4),
        Sensor("oil_debris_count", noise_ratio=0.08, noise=0.6),
        Sensor("torque_nm", noise_ratio=0.01, noise=4.0),
        Sensor("speed_rpm", noise=0.6),
    ),
    n_traits=4,
    modes=(
        FailureMode(
            "tooth-crack",
            WithShocks(
                ExponentialWear(
                    onset_range_h=(30 * 24.0, 95 * 24.0),
                    growth_h=20 * 24.0,
                    growth_spread_ratio=0.25,
                    curvature=2.8,
                ),
                every_h=45 * 24.0,
                jump=0.06,
            ),
        ),
        FailureMode(
            "gear-wear",
            GammaWear(
                onset_range_h=(20 * 24.0, 50 * 24.0),
                growth_h=55 * 24.0,
                growth_spread_ratio=0.2,
                power=1.3,
                jumps=90.0,
            ),
        ),
    ),
    thermal_lag_h=2.5,
    standstill_range_h=(24.0, 72.0),
    costs=KindCosts(
        planned_visit_cost_eur=4200.0,
        planned_visit_h=8.0,
        unplanned_repair_cost_eur=16500.0,
        unplanned_repair_h=46.0,
        downtime_cost_eur_per_h=820.0,
    ),
    levels=gearbox_levels,
)
"""The gearbox of a mill drive."""
