"""What goes into the fleet's detector, what comes out, and what it remembers."""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from analytics.arrays import BoolArray, DomainError, Float32Array, IntArray, ShapeError

ALARM_SCORE: Final = 0.5
"""Score at the alarm limit."""

_LONGEST_REGISTER: Final = 32


class ResetReason(StrEnum):
    """Why a machine starts afresh."""

    NEVER = "never"
    MAINTENANCE = "maintenance"
    SENSOR_REPLACED = "sensor replaced"
    NEW_DUTY = "new duty"
    BY_HAND = "by hand"


RESET_REASONS: Final = tuple(ResetReason)
"""Code of a reason in `DetectorState.reset_reason` is its place here."""


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """How the detector weighs evidence.

    Parameters
    ----------
    alpha : float
        Weight of the newest sample in the smoothed deviation. [1/tick]
    z_clip : float
        Deviations beyond this many standard deviations count as this many, so that one wild
        sample can't raise an alarm alone.
    false_alarm_ratio : float
        How often a healthy machine's score may pass 0.5, per tick, before persistence.
    alarm_k, alarm_n : int
        An alarm is raised when the score is 0.5 or more in `alarm_k` of the last `alarm_n`
        ticks, and cleared when it is below `clear_score` in as many. ``2 * alarm_k > alarm_n``.
    clear_score : float
        Up to 0.5; the gap between the two keeps an alarm from flickering.
    cusum_slack : float
        Deviation that the cumulative sums forgive each tick, in standard deviations; half of the
        shift that should be found soonest.
    drift_slack : float
        The same for Page-Hinkley, which sums deviations from the machine's own slow mean.
    drift_alpha : float
        Weight of the newest sample in that slow mean. [1/tick]

    Raises
    ------
    DomainError
        If a setting is out of its range.
    """

    alpha: float = 0.2
    z_clip: float = 8.0
    false_alarm_ratio: float = 1e-4
    alarm_k: int = 4
    alarm_n: int = 6
    clear_score: float = 0.35
    cusum_slack: float = 0.5
    drift_slack: float = 0.25
    drift_alpha: float = 0.005

    def __post_init__(self) -> None:
        checks = {
            f"alpha is {self.alpha}; write a weight above 0 and up to 1": 0 < self.alpha <= 1,
            f"z_clip is {self.z_clip}; write a number above 0": self.z_clip > 0,
            f"false_alarm_ratio is {self.false_alarm_ratio}; write a ratio between 0 and 1": (
                0 < self.false_alarm_ratio < 1
            ),
            f"alarm_k and alarm_n are {self.alarm_k} and {self.alarm_n}; write more than half "
            f"of at most {_LONGEST_REGISTER} ticks, for example 4 of 6": (
                self.alarm_k <= self.alarm_n <= _LONGEST_REGISTER
                and 2 * self.alarm_k > self.alarm_n
            ),
            f"clear_score is {self.clear_score}; write a score from 0 to {ALARM_SCORE}": (
                0 <= self.clear_score <= ALARM_SCORE
            ),
            f"cusum_slack is {self.cusum_slack}; write a number of at least 0": (
                self.cusum_slack >= 0
            ),
            f"drift_slack is {self.drift_slack}; write a number of at least 0": (
                self.drift_slack >= 0
            ),
            f"drift_alpha is {self.drift_alpha}; write a weight above 0 and up to 1": (
                0 < self.drift_alpha <= 1
            ),
        }
        for problem, is_fine in checks.items():
            if not is_fine:
                msg = f"DetectorSettings: {problem}"
                raise DomainError(msg)

    @property
    def register_type(self) -> type[np.unsignedinteger]:
        """Smallest unsigned integer with a bit for each of the last `alarm_n` ticks."""
        return next(
            one for one in (np.uint8, np.uint16, np.uint32) if one(0).itemsize * 8 >= self.alarm_n
        )


@dataclass(frozen=True, slots=True, eq=False)
class AnomalyTick:
    """What the detector thinks after one tick.

    Parameters
    ----------
    score : ndarray of float32, shape (n_machines,)
        0 as usual, 0.5 at the alarm limit, towards 1 far beyond; ``nan`` for a machine that has
        no baseline or has not sent a sample yet.
    z : ndarray of float32, shape (n_signals, n_machines)
        Smoothed deviation of each signal in its own healthy standard deviations, signed.
        ``nan`` where nothing is known.
    signal_ratio : ndarray of float32, shape (n_signals, n_machines)
        Largest statistic of each signal by itself, over its limit.
    is_alarm : ndarray of bool, shape (n_machines,)
        Whether the machine is in alarm.
    """

    score: Float32Array
    z: Float32Array
    signal_ratio: Float32Array
    is_alarm: BoolArray

    @property
    def signal_score(self) -> Float32Array:
        """Score of each signal by itself, on the scale of `score`."""
        squared = self.signal_ratio**2
        return squared / (squared + 1)


@dataclass(frozen=True, slots=True, eq=False)
class AnomalyScores:
    """What the detector thinks at every time of a block, as in `AnomalyTick`.

    Parameters
    ----------
    score : ndarray of float32, shape (n_times, n_machines)
        Score of each machine.
    z : ndarray of float32, shape (n_times, n_signals, n_machines)
        Smoothed deviation of each signal.
    signal_ratio : ndarray of float32, shape (n_times, n_signals, n_machines)
        Largest statistic of each signal by itself, over its limit.
    is_alarm : ndarray of bool, shape (n_times, n_machines)
        Whether the machine is in alarm.
    """

    score: Float32Array
    z: Float32Array
    signal_ratio: Float32Array
    is_alarm: BoolArray

    @property
    def signal_score(self) -> Float32Array:
        """Score of each signal by itself, on the scale of `score`."""
        squared = self.signal_ratio**2
        return squared / (squared + 1)


@dataclass(frozen=True, slots=True, eq=False)
class FleetStatistics:
    """The bare statistics of one tick, before they are held against limits.

    Parameters
    ----------
    z, ewma, cusum, drift : ndarray of float32, shape (n_signals, n_machines)
        Sizes, without sign; ``cusum`` and ``drift`` are the larger of the two sides.
    t2, spe : ndarray of float32, shape (n_machines,)
        Zero without a projection.
    """

    z: Float32Array
    ewma: Float32Array
    cusum: Float32Array
    drift: Float32Array
    t2: Float32Array
    spe: Float32Array


@dataclass(frozen=True, slots=True, eq=False)
class DetectorState:
    """All that a detector remembers from tick to tick.

    Parameters
    ----------
    smoothed : ndarray of float32, shape (n_signals, n_machines)
        EWMA of the deviations.
    slow_mean : ndarray of float32, shape (n_signals, n_machines)
        Slow mean of the deviations, for Page-Hinkley.
    sums : ndarray of float32, shape (4, n_signals, n_machines)
        Cumulative sums: CUSUM up and down, Page-Hinkley up and down; those down are at most 0.
    is_seen : ndarray of bool, shape (n_signals, n_machines)
        Whether a sample has come yet.
    registers : ndarray of unsigned int, shape (2, n_machines)
        The last ticks as bits, newest lowest: at or over the alarm limit; below `clear_score`.
    is_alarm : ndarray of bool, shape (n_machines,)
        Whether the machine is in alarm.
    reset_reason : ndarray of uint8, shape (n_machines,)
        Why it last did, as a place in `RESET_REASONS`.
    """

    smoothed: Float32Array
    slow_mean: Float32Array
    sums: Float32Array
    is_seen: BoolArray
    registers: npt.NDArray[np.unsignedinteger]
    is_alarm: BoolArray
    reset_reason: npt.NDArray[np.uint8]

    @classmethod
    def new(cls, n_signals: int, n_machines: int, settings: DetectorSettings) -> "DetectorState":
        """Know nothing yet.

        Parameters
        ----------
        n_signals, n_machines : int
            Size of the fleet.
        settings : DetectorSettings
            Whose `alarm_n` says how many ticks the registers hold.

        Returns
        -------
        DetectorState
            All zero.
        """
        shape = (n_signals, n_machines)
        return cls(
            smoothed=np.zeros(shape, np.float32),
            slow_mean=np.zeros(shape, np.float32),
            sums=np.zeros((4, *shape), np.float32),
            is_seen=np.zeros(shape, np.bool_),
            registers=np.zeros((2, n_machines), settings.register_type),
            is_alarm=np.zeros(n_machines, np.bool_),
            reset_reason=np.zeros(n_machines, np.uint8),
        )

    def copy(self) -> "DetectorState":
        """Copy every array.

        Returns
        -------
        DetectorState
            Shares nothing with this one.
        """
        return DetectorState(*(getattr(self, one.name).copy() for one in fields(self)))

    def joined(self, other: "DetectorState") -> "DetectorState":
        """Put other machines beside these, for example machines that joined the fleet.

        Parameters
        ----------
        other : DetectorState
            Of other machines with the same signals.

        Returns
        -------
        DetectorState
            Of both; shares nothing with either.

        Raises
        ------
        ShapeError
            If the signals differ in number.
        """
        if self.smoothed.shape[0] != other.smoothed.shape[0]:
            msg = (
                f"DetectorState.joined: {self.smoothed.shape[0]} signals beside "
                f"{other.smoothed.shape[0]}; a new signal needs a new baseline and detector"
            )
            raise ShapeError(msg)
        return DetectorState(
            *(
                np.concatenate([getattr(self, one.name), getattr(other, one.name)], axis=-1)
                for one in fields(self)
            )
        )

    def of_machines(self, chosen: IntArray | slice) -> "DetectorState":
        """Take some of the machines.

        Parameters
        ----------
        chosen : ndarray of int or slice
            Which, in the order wanted.

        Returns
        -------
        DetectorState
            Of those; shares nothing with this one.
        """
        return DetectorState(
            *(np.array(getattr(self, one.name)[..., chosen]) for one in fields(self))
        )
