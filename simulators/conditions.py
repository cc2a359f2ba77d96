"""What the day does to a machine: shifts, breaks, products and weather.

Everything here is a plain function of machine time and of a few numbers drawn once for each
site or machine, so any moment can be asked for in any order and always has the same answer.
"""

import functools
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from simulators.errors import ScenarioError

FloatArray = npt.NDArray[np.float64]

HOURS_PER_DAY: Final = 24.0
HOURS_PER_WEEK: Final = 168.0
HOURS_PER_YEAR: Final = 8766.0

ShiftPlan: TypeAlias = Literal["continuous", "two-shift", "one-shift"]
SHIFT_PLANS: Final[tuple[ShiftPlan, ...]] = get_args(ShiftPlan)

_SHIFT_LOAD_RATIO: Final[dict[ShiftPlan, tuple[float, float, float]]] = {
    "continuous": (0.74, 1.0, 0.92),
    "two-shift": (0.0, 1.0, 0.92),
    "one-shift": (0.0, 1.0, 0.0),
}
"""Load of the night, early and late shift (from 22, 6 and 14 o'clock) on a working day."""

_WEEKEND_LOAD_RATIO: Final[dict[ShiftPlan, float]] = {
    "continuous": 0.85,
    "two-shift": 0.0,
    "one-shift": 0.0,
}
"""What is left of the load on Saturdays and Sundays."""

_BREAK_BEGINS_H: Final = 4.0
_BREAK_H: Final = 0.5
"""Where people work in shifts, half an hour of rest four hours into each. [h]"""

_LOAD_SWING_RATIO: Final = 0.035
_LOAD_SWING_PERIODS_H: Final = (5.3, 31.0, 97.0)
"""Products and batches change the load a little, at no round number of hours."""

_WEATHER_PERIODS_H: Final = (64.0, 117.0, 223.0)
"""Warm and cold spells last days; incommensurate periods never repeat within a year."""

_LAG_GRID_H: Final = 0.1
_HOURS_TO_FIRST_MONDAY: Final = 96.0
"""1970-01-01, where unix time begins, was a Thursday."""


@dataclass(frozen=True, slots=True, eq=False)
class Climate:
    """Weather and working hours of one site.

    Parameters
    ----------
    utc_offset_h : float
        Local time less UTC. [h]
    mean_c : float
        Yearly mean temperature of the hall. [°C]
    season_c, day_c, weather_c : float
        Half swing over the year, over the day, and of warm and cold spells. [K]
    weather_phase : ndarray of shape (3,)
        Where each spell stands at time 0. [rad]
    """

    utc_offset_h: float
    mean_c: float
    season_c: float
    day_c: float
    weather_c: float
    weather_phase: FloatArray


@dataclass(frozen=True, slots=True)
class Regime:
    """How a machine is worked.

    Parameters
    ----------
    shift_plan : {"continuous", "two-shift", "one-shift"}
        When: round the clock with less by night and at weekends; on working days from 6 to 22
        or to 14 o'clock local time, with half an hour of rest in each shift, idle besides.
    product_load_ratio : tuple of float
        What each of the three products asks of it, over the usual.
    """

    shift_plan: ShiftPlan = "continuous"
    product_load_ratio: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if self.shift_plan not in SHIFT_PLANS:
            msg = f"shift_plan: {self.shift_plan!r} is not one of {', '.join(SHIFT_PLANS)}"
            raise ScenarioError(msg)
        if not all(0.1 <= ratio <= 1.5 for ratio in self.product_load_ratio):
            msg = (
                f"product_load_ratio: {self.product_load_ratio} asks of the machine what none "
                "does; give three numbers from 0.1 to 1.5"
            )
            raise ScenarioError(msg)


@dataclass(frozen=True, slots=True, eq=False)
class Conditions:
    """What a machine is under at each moment, ready for `MachineKind.levels`.

    Parameters
    ----------
    time_h : ndarray of shape (n_times,)
        Hours since 1970-01-01 UTC. [h]
    wear : ndarray of shape (n_modes, n_times)
        0 healthy to 1 failed, a row for each failure mode of the kind.
    load_ratio : ndarray of shape (n_times,)
        Load over rated load; 0 while it idles.
    lagged_load_ratio : ndarray of shape (n_times,)
        Load as a warm body of metal remembers it.
    ambient_c : ndarray of shape (n_times,)
        Temperature of the hall. [°C]
    program : ndarray of int, shape (n_times,)
        Which of three products runs.
    is_idle : ndarray of bool, shape (n_times,)
        True while it is switched on and makes nothing.
    """

    time_h: FloatArray
    wear: FloatArray
    load_ratio: FloatArray
    lagged_load_ratio: FloatArray
    ambient_c: FloatArray
    program: npt.NDArray[np.int64]
    is_idle: npt.NDArray[np.bool_]


def draw_climate(rng: np.random.Generator, utc_offset_h: float) -> Climate:
    """Draw the weather of one site.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of chance.
    utc_offset_h : float
        Local time less UTC. [h]

    Returns
    -------
    Climate
        A temperate hall: about 20 °C, warmer in the afternoon and in summer.
    """
    return Climate(
        utc_offset_h=utc_offset_h,
        mean_c=float(rng.uniform(18.0, 22.0)),
        season_c=float(rng.uniform(3.0, 5.0)),
        day_c=float(rng.uniform(1.5, 2.5)),
        weather_c=float(rng.uniform(0.6, 1.2)),
        weather_phase=rng.uniform(0.0, 2 * np.pi, size=len(_WEATHER_PERIODS_H)),
    )


def ambient_c(climate: Climate, time_h: FloatArray) -> FloatArray:
    """Temperature of the hall.

    Parameters
    ----------
    climate : Climate
        Weather of the site.
    time_h : ndarray of shape (n_times,)
        Hours since 1970-01-01 UTC. [h]

    Returns
    -------
    ndarray of shape (n_times,)
        Highest at 15 o'clock local time and in mid July. [°C]
    """
    local_h = time_h + climate.utc_offset_h
    day = np.cos(2 * np.pi * (local_h - 15.0) / HOURS_PER_DAY)
    season = np.cos(2 * np.pi * (local_h - 195 * HOURS_PER_DAY) / HOURS_PER_YEAR)
    spells = np.sin(
        2 * np.pi * local_h[:, np.newaxis] / np.asarray(_WEATHER_PERIODS_H) + climate.weather_phase
    ).sum(axis=1)
    swing = climate.day_c * day + climate.season_c * season + climate.weather_c * spells
    return np.asarray(climate.mean_c + swing)


def shift_load_ratio(local_h: FloatArray, plan: ShiftPlan = "continuous") -> FloatArray:
    """Load that the shift plan asks for.

    Parameters
    ----------
    local_h : ndarray of shape (n_times,)
        Local hours since 1970-01-01. [h]
    plan : {"continuous", "two-shift", "one-shift"}
        The plan.

    Returns
    -------
    ndarray of shape (n_times,)
        Load over rated load, repeating every week; 0 where nobody works.

    Examples
    --------
    >>> monday_h = 96.0
    >>> shift_load_ratio(monday_h + np.array([3.0, 7.0, 15.0, 23.0])).tolist()
    [0.74, 1.0, 0.92, 0.74]
    >>> shift_load_ratio(monday_h + np.array([3.0, 7.0, 10.25, 15.0]), "one-shift").tolist()
    [0.0, 1.0, 0.0, 0.0]
    """
    shift = np.floor((local_h + 2.0) / 8.0).astype(np.int64) % 3
    day = np.floor((local_h - _HOURS_TO_FIRST_MONDAY) / HOURS_PER_DAY).astype(np.int64) % 7
    load = np.asarray(_SHIFT_LOAD_RATIO[plan])[shift]
    load = load * np.where(day >= 5, _WEEKEND_LOAD_RATIO[plan], 1.0)
    if plan == "continuous":
        return load
    in_shift_h = (local_h + 2.0) % 8.0
    is_rest = (in_shift_h >= _BREAK_BEGINS_H) & (in_shift_h < _BREAK_BEGINS_H + _BREAK_H)
    return np.where(is_rest, 0.0, load)


def lagged_shift_load_ratio(
    local_h: FloatArray, lag_h: float, plan: ShiftPlan = "continuous"
) -> FloatArray:
    """Shift load as a first-order lag remembers it, once transients have died out.

    Solves ``lag * y' = load - y`` for the weekly plan, whose steady answer repeats weekly too.

    Parameters
    ----------
    local_h : ndarray of shape (n_times,)
        Local hours since 1970-01-01. [h]
    lag_h : float
        Time constant of the lag. [h]
    plan : {"continuous", "two-shift", "one-shift"}
        The plan.

    Returns
    -------
    ndarray of shape (n_times,)
        Load over rated load, smoothed.
    """
    grid_h, smooth = _week_with_lag(lag_h, plan)
    return np.interp(local_h, grid_h, smooth, period=HOURS_PER_WEEK)


@functools.cache
def _week_with_lag(lag_h: float, plan: ShiftPlan) -> tuple[FloatArray, FloatArray]:
    """One week of the lagged plan on a fine grid."""
    n_steps = round(HOURS_PER_WEEK / _LAG_GRID_H)
    grid_h: FloatArray = _LAG_GRID_H * np.arange(n_steps, dtype=np.float64)
    kept = np.exp(-_LAG_GRID_H / lag_h)
    weights = (1 - kept) * kept ** np.arange(n_steps) / (1 - kept**n_steps)
    # A lag is a convolution with falling weights, and the plan repeats: a circular one. Each
    # point remembers the steps before it, not its own, which has only begun.
    smooth = np.fft.irfft(
        np.fft.rfft(shift_load_ratio(grid_h, plan)) * np.fft.rfft(np.roll(weights, 1)), n_steps
    )
    return grid_h, smooth


def conditions_of(
    climate: Climate,
    phase: FloatArray,
    time_h: FloatArray,
    wear: FloatArray,
    *,
    lag_h: float,
    regime: Regime = Regime(),
) -> Conditions:
    """Everything a machine is under at the given times.

    Parameters
    ----------
    climate : Climate
        Weather and working hours of its site.
    phase : ndarray of shape (3,)
        Where the machine's product mix stands at time 0. [rad]
    time_h : ndarray of shape (n_times,)
        Hours since 1970-01-01 UTC. [h]
    wear : ndarray of shape (n_modes, n_times)
        0 healthy to 1 failed, a row for each failure mode.
    lag_h : float
        Thermal time constant of the machine. [h]
    regime : Regime
        How it is worked.

    Returns
    -------
    Conditions
        One row for each time.
    """
    local_h = time_h + climate.utc_offset_h
    swing = _LOAD_SWING_RATIO * np.sin(
        2 * np.pi * time_h[:, np.newaxis] / np.asarray(_LOAD_SWING_PERIODS_H) + phase
    ).sum(axis=1)
    program = _program_of_shift(np.floor((local_h + 2.0) / 8.0), phase)
    product = np.asarray(regime.product_load_ratio)
    plan_ratio = shift_load_ratio(local_h, regime.shift_plan)
    is_idle = plan_ratio == 0
    lagged_ratio = lagged_shift_load_ratio(local_h, lag_h, regime.shift_plan)
    return Conditions(
        time_h=time_h,
        wear=wear,
        load_ratio=np.where(is_idle, 0.0, (plan_ratio + swing) * product[program]),
        # What was asked of it on the whole: a body of metal does not follow single products.
        lagged_load_ratio=np.maximum(lagged_ratio + swing, 0.0) * product.mean(),
        ambient_c=ambient_c(climate, time_h),
        program=program,
        is_idle=is_idle,
    )


def _program_of_shift(shift_number: FloatArray, phase: FloatArray) -> npt.NDArray[np.int64]:
    """One of three products for each shift, without a pattern that repeats soon."""
    golden = (np.sqrt(5.0) - 1.0) / 2.0
    share = (shift_number * golden + phase[0]) % 1.0
    return np.asarray(np.floor(3.0 * share), dtype=np.int64)
