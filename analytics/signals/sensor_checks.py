"""A broken sensor is not a broken machine: signs that a reading itself can't be trusted.

What a machine does shows in several signals or follows the physics of wear; what a sensor does
alone shows in one signal and in ways that no machine can: it stands still to the last digit, jumps
and returns within a sample, is out of its range, or drifts while nothing else moves.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from analytics.arrays import BoolArray, DomainError, FloatArray, IntArray, ShapeError
from analytics.signals.baseline import MAD_TO_SIGMA, Baseline

_LEAST_STEPS: Final = 8


class SensorFault(StrEnum):
    """What is wrong with a sensor."""

    NONE = "none"
    FLAT = "flat line"
    SPIKES = "spikes"
    NOISE = "noise"
    OUT_OF_RANGE = "out of range"
    DRIFT = "drift alone"
    SILENT = "silent"


SENSOR_FAULTS: Final = tuple(SensorFault)
"""Code of a fault in `SensorChecks.fault` is its place here."""


@dataclass(frozen=True, slots=True)
class SensorCheckSettings:
    """When a reading is not believed.

    Parameters
    ----------
    flat_steps : int
        Equal readings in a row that make a flat line. [steps]
    spike_z : float
        Jump and return within a step or two, in healthy spreads.
    n_spikes : int
        Spikes within the window that make a fault; fewer are a bad moment.
    noise_ratio : float
        Step-to-step noise over the healthy one that makes a fault.
    range_z : float
        Distance from the usual, in healthy spreads, that no machine reaches.
    drift_z : float
        Distance of the recent median from the usual, in healthy spreads, that counts as drift if no
        other signal moves.
    quiet_z : float
        Up to which the others count as not moving.
    silent_ratio : float
        Part of the readings that must be there.

    Raises
    ------
    DomainError
        If a setting is out of its range.
    """

    flat_steps: int = 12
    spike_z: float = 10.0
    n_spikes: int = 3
    noise_ratio: float = 4.0
    range_z: float = 60.0
    drift_z: float = 6.0
    quiet_z: float = 2.0
    silent_ratio: float = 0.2

    def __post_init__(self) -> None:
        is_fine = (
            self.flat_steps >= 3
            and self.n_spikes >= 1
            and min(self.spike_z, self.range_z, self.drift_z, self.quiet_z) > 0
            and self.noise_ratio > 1
            and 0 <= self.silent_ratio <= 1
        )
        if not is_fine:
            msg = (
                f"SensorCheckSettings: {self}; write limits above 0, three flat steps or more, a "
                "noise_ratio above 1 and a silent_ratio from 0 to 1"
            )
            raise DomainError(msg)


@dataclass(frozen=True, slots=True, eq=False)
class SensorChecks:
    """What the last window says of every sensor.

    Parameters
    ----------
    fault : ndarray of int, shape (n_signals, n_machines)
        Worst fault, as a place in `SENSOR_FAULTS`.
    """

    fault: IntArray

    @property
    def is_faulty(self) -> BoolArray:
        """Whether a sensor is not to be believed, of shape (n_signals, n_machines)."""
        return self.fault > 0

    def name_of(self, signal: int, machine: int) -> SensorFault:
        """Name the fault of one sensor.

        Parameters
        ----------
        signal, machine : int
            Which.

        Returns
        -------
        SensorFault
            Its fault.
        """
        return SENSOR_FAULTS[int(self.fault[signal, machine])]


def check_sensors(
    window: npt.NDArray[np.floating],
    baseline: Baseline,
    step_noise: FloatArray,
    settings: SensorCheckSettings | None = None,
) -> SensorChecks:
    """Look for broken sensors in the last readings.

    Parameters
    ----------
    window : ndarray of shape (n_times, n_signals, n_machines)
        The last readings on an even grid; ``nan`` where missing.
    baseline : Baseline
        What is usual.
    step_noise : ndarray of shape (n_signals, n_machines)
        Healthy standard deviation of the difference between neighbours, from `healthy_step_noise`.
    settings : SensorCheckSettings, optional
        When a reading is not believed.

    Returns
    -------
    SensorChecks
        Of every sensor; a sensor without a baseline is only checked for silence and flat lines.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    """
    settings = SensorCheckSettings() if settings is None else settings
    if window.ndim != 3 or not window.shape[1:] == baseline.centre.shape == step_noise.shape:
        msg = (
            f"check_sensors: window of shape {window.shape}, baseline {baseline.centre.shape} and "
            f"step_noise {step_noise.shape}; give (n_times, n_signals, n_machines) and a value per "
            "signal and machine in the others"
        )
        raise ShapeError(msg)
    x = window.astype(np.float64)
    x[~np.isfinite(x)] = np.nan
    z = (x - baseline.centre) / baseline.scale
    moves = np.abs(_median(z))
    n_times = window.shape[0]
    found = {
        SensorFault.DRIFT: _drifts_alone(moves, settings),
        SensorFault.SPIKES: _n_spikes(z, settings.spike_z) >= settings.n_spikes,
        SensorFault.NOISE: _steps(x) > settings.noise_ratio * step_noise,
        SensorFault.OUT_OF_RANGE: moves > settings.range_z,
        SensorFault.FLAT: _is_flat(x, settings.flat_steps) & (step_noise > 0),
        SensorFault.SILENT: np.isfinite(x).sum(axis=0) < settings.silent_ratio * n_times,
    }
    fault = np.zeros(baseline.centre.shape, np.int64)
    for name, where in found.items():
        fault[where] = SENSOR_FAULTS.index(name)
    return SensorChecks(fault)


def healthy_step_noise(window: npt.NDArray[np.floating]) -> FloatArray:
    """Take the usual size of the step from one reading to the next.

    Parameters
    ----------
    window : ndarray of shape (n_times, n_signals, n_machines)
        Healthy readings on an even grid.

    Returns
    -------
    ndarray of shape (n_signals, n_machines)
        Standard deviation of the differences, robustly; 0 where a signal never moves, and ``nan``
        where there is nothing to tell from.
    """
    x = window.astype(np.float64)
    x[~np.isfinite(x)] = np.nan
    return _steps(x)


def _steps(x: FloatArray) -> FloatArray:
    return MAD_TO_SIGMA * _median(np.abs(np.diff(x, axis=0)))


def _median(values: FloatArray) -> FloatArray:
    """Median along time of what is there; ``nan`` where there are fewer than eight."""
    known = np.isfinite(values).sum(axis=0) >= _LEAST_STEPS
    out = np.full(values.shape[1:], np.nan)
    if known.any():
        out[known] = np.nanmedian(values[:, known], axis=0)
    return out


def _n_spikes(z: FloatArray, spike_z: float) -> IntArray:
    """Count readings far from both neighbours, which are alike."""
    before, here, after = z[:-2], z[1:-1], z[2:]
    with np.errstate(invalid="ignore"):
        leaves = np.minimum(np.abs(here - before), np.abs(here - after)) > spike_z
        returns = np.abs(after - before) < 0.5 * spike_z
        return np.asarray((leaves & returns).sum(axis=0), np.int64)


def _is_flat(x: FloatArray, flat_steps: int) -> BoolArray:
    """Whether the last readings are all the same to the last digit."""
    last = x[-flat_steps:]
    if last.shape[0] < flat_steps:
        return np.zeros(x.shape[1:], np.bool_)
    return np.asarray((last == last[-1]).all(axis=0))


def _drifts_alone(moves: FloatArray, settings: SensorCheckSettings) -> BoolArray:
    """Signals far off while every other signal of the machine is where it should be."""
    known = np.where(np.isfinite(moves), moves, 0.0)
    n_signals = known.shape[0]
    if n_signals < 2:
        return np.zeros(known.shape, np.bool_)
    others = np.stack([np.delete(known, place, axis=0).max(axis=0) for place in range(n_signals)])
    return (known > settings.drift_z) & (others < settings.quiet_z)
