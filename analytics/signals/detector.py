"""One score and one alarm for each machine, every tick, for a whole fleet at once.

Robust deviations from each machine's own baseline are smoothed (an EWMA control chart), the
largest of a machine's signals is held against the level that a healthy machine rarely passes,
and an alarm needs that to happen in ``alarm_k`` of the last ``alarm_n`` ticks. Scoring a block
*is* the tick looped over time, so stream and replay agree to the last bit.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from analytics.arrays import BoolArray, DomainError, Float32Array, FloatArray, ShapeError
from analytics.signals.baseline import Baseline

ALARM_SCORE: Final = 0.5
"""Score at the alarm limit."""

_MEDIAN_VARIANCE: Final = np.pi / 2
"""Variance of a median over that of a mean, for a normal distribution."""

_LONGEST_REGISTER: Final = 32


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
        }
        for problem, is_fine in checks.items():
            if not is_fine:
                msg = f"DetectorSettings: {problem}"
                raise DomainError(msg)


@dataclass(frozen=True, slots=True, eq=False)
class AnomalyTick:
    """What the detector thinks after one tick.

    Parameters
    ----------
    score : ndarray of float32, shape (n_machines,)
        0 as usual, 0.5 at the alarm limit, towards 1 far beyond; ``nan`` for a machine that has
        no baseline or has not sent a sample yet.
    z : ndarray of float32, shape (n_signals, n_machines)
        Smoothed deviation of each signal in its own healthy standard deviations, signed; the
        largest makes the score. ``nan`` where nothing is known.
    is_alarm : ndarray of bool, shape (n_machines,)
        Whether the machine is in alarm.
    """

    score: Float32Array
    z: Float32Array
    is_alarm: BoolArray


@dataclass(frozen=True, slots=True, eq=False)
class AnomalyScores:
    """What the detector thinks at every time of a block, as in `AnomalyTick`.

    Parameters
    ----------
    score : ndarray of float32, shape (n_times, n_machines)
        Score of each machine.
    z : ndarray of float32, shape (n_times, n_signals, n_machines)
        Smoothed deviation of each signal.
    is_alarm : ndarray of bool, shape (n_times, n_machines)
        Whether the machine is in alarm.
    """

    score: Float32Array
    z: Float32Array
    is_alarm: BoolArray


@dataclass(frozen=True, slots=True, eq=False)
class DetectorState:
    """All that a detector remembers from tick to tick.

    Parameters
    ----------
    smoothed : ndarray of float32, shape (n_signals, n_machines)
        EWMA of the deviations.
    is_seen : ndarray of bool, shape (n_signals, n_machines)
        Whether a sample has come yet.
    over, calm : ndarray of uint32, shape (n_machines,)
        The last ticks as bits, newest lowest: at or over the alarm limit; below `clear_score`.
    is_alarm : ndarray of bool, shape (n_machines,)
        Whether the machine is in alarm.
    """

    smoothed: Float32Array
    is_seen: BoolArray
    over: npt.NDArray[np.uint32]
    calm: npt.NDArray[np.uint32]
    is_alarm: BoolArray

    def copy(self) -> "DetectorState":
        """Copy every array.

        Returns
        -------
        DetectorState
            Shares nothing with this one.
        """
        return DetectorState(
            self.smoothed.copy(),
            self.is_seen.copy(),
            self.over.copy(),
            self.calm.copy(),
            self.is_alarm.copy(),
        )


class AnomalyDetector:
    """Streaming detector over all machines of one kind.

    A missing sample leaves its signal's smoothed deviation where it is. A tick in which a
    machine sends nothing leaves all of that machine's state, its alarm too, as it was. A signal
    without a baseline is not looked at.

    The alarm limit follows from `DetectorSettings.false_alarm_ratio` for independent normal
    signals. The spread of a smoothed deviation is that of an EWMA over a first-order
    autoregressive signal [1]_, widened by what a baseline from few samples can't know.

    Parameters
    ----------
    baseline : Baseline
        What is usual, of shape (n_signals, n_machines).
    settings : DetectorSettings
        How to weigh evidence.

    References
    ----------
    .. [1] C.-W. Lu and M. R. Reynolds, "EWMA control charts for monitoring the mean of
       autocorrelated processes", Journal of Quality Technology, vol. 31, no. 2,
       pp. 166-188, 1999.

    Examples
    --------
    >>> usual = Baseline(centre=np.array([[2.0]]), scale=np.array([[0.1]]))
    >>> detector = AnomalyDetector(usual, DetectorSettings(alarm_k=2, alarm_n=3))
    >>> [
    ...     bool(detector.tick(np.array([[x]], np.float32)).is_alarm[0])
    ...     for x in (2.0, 2.1, 3.0, 3.0, 3.0)
    ... ]
    [False, False, False, True, True]
    """

    def __init__(self, baseline: Baseline, settings: DetectorSettings) -> None:
        self._settings = settings
        self._alpha = np.float32(settings.alpha)
        self._z_clip = np.float32(settings.z_clip)
        self._clear_score = np.float32(settings.clear_score)
        self._register_mask = np.uint32((1 << settings.alarm_n) - 1)
        self._centre = baseline.centre.astype(np.float32)
        self._per_scale = _reciprocal(baseline.scale)
        self._per_spread = _reciprocal(_smoothed_spread(baseline, settings.alpha))
        self._limit_squared = _alarm_limit(baseline, settings.false_alarm_ratio) ** 2
        shape: tuple[int, ...] = baseline.centre.shape
        self._state = DetectorState(
            smoothed=np.zeros(shape, np.float32),
            is_seen=np.zeros(shape, np.bool_),
            over=np.zeros(shape[1], np.uint32),
            calm=np.zeros(shape[1], np.uint32),
            is_alarm=np.zeros(shape[1], np.bool_),
        )
        self._z = np.zeros(shape, np.float32)
        self._present = np.zeros(shape, np.bool_)
        self._peak = np.zeros(shape[1], np.float32)

    @property
    def limit(self) -> Float32Array:
        """Smoothed deviation at which each machine's score is 0.5, of shape (n_machines,)."""
        return np.sqrt(self._limit_squared)

    def tick(self, x: Float32Array) -> AnomalyTick:
        """Take one sample of every signal of every machine.

        Parameters
        ----------
        x : ndarray of float32, shape (n_signals, n_machines)
            Samples of this tick, each in its signal's unit; ``nan`` or infinite where missing.

        Returns
        -------
        AnomalyTick
            Arrays of its own, which later ticks leave alone.

        Raises
        ------
        ShapeError
            If `x` has not the shape of the baseline.
        """
        if x.shape != self._z.shape:
            msg = (
                f"AnomalyDetector.tick: x has shape {x.shape} but the baseline has "
                f"{self._z.shape}; give one sample per signal and machine"
            )
            raise ShapeError(msg)
        out = AnomalyTick(
            np.empty(x.shape[1], np.float32),
            np.empty(x.shape, np.float32),
            np.empty(x.shape[1], np.bool_),
        )
        self._step(x, out.score, out.z, out.is_alarm)
        return out

    def _step(
        self, x: Float32Array, score: Float32Array, z_out: Float32Array, is_alarm: BoolArray
    ) -> None:
        """One tick, in place on the state, written into the given arrays."""
        state, z, present = self._state, self._z, self._present
        # nan and inf run through and are masked; a value too large for float32 becomes inf.
        with np.errstate(invalid="ignore", over="ignore"):
            np.subtract(x, self._centre, out=z)
            z *= self._per_scale
        np.isfinite(z, out=present)
        np.clip(z, -self._z_clip, self._z_clip, out=z)
        z -= state.smoothed
        z *= self._alpha
        np.add(state.smoothed, z, out=state.smoothed, where=present)
        np.logical_or(state.is_seen, present, out=state.is_seen)

        np.multiply(state.smoothed, self._per_spread, out=z_out)
        np.copyto(z_out, np.float32(np.nan), where=~state.is_seen)
        np.abs(z_out, out=z)
        np.fmax.reduce(z, axis=0, initial=np.nan, out=self._peak)
        np.square(self._peak, out=self._peak)
        np.add(self._peak, self._limit_squared, out=score)
        np.divide(self._peak, score, out=score)
        self._remember(score, np.logical_or.reduce(present, axis=0))
        is_alarm[...] = state.is_alarm

    def _remember(self, score: Float32Array, has_evidence: BoolArray) -> None:
        """Shift this tick into the registers and raise or clear alarms."""
        state = self._state
        for register, bit in (
            (state.over, score >= ALARM_SCORE),
            (state.calm, score < self._clear_score),
        ):
            shifted = (register << np.uint32(1)) | bit
            np.bitwise_and(shifted, self._register_mask, out=register, where=has_evidence)
        k = self._settings.alarm_k
        np.logical_or(state.is_alarm, np.bitwise_count(state.over) >= k, out=state.is_alarm)
        # k of n is more than half, so no register pair can both raise and clear.
        state.is_alarm[np.bitwise_count(state.calm) >= k] = False

    def snapshot(self) -> DetectorState:
        """Copy all that the detector remembers.

        Returns
        -------
        DetectorState
            Give it to `restore`, of this or of a like detector, to go on from here.
        """
        return self._state.copy()

    def restore(self, state: DetectorState) -> None:
        """Go on from a snapshot.

        Parameters
        ----------
        state : DetectorState
            From `snapshot`; copied.

        Raises
        ------
        ShapeError
            If it was taken over other signals or machines.
        """
        if state.smoothed.shape != self._z.shape:
            msg = (
                f"AnomalyDetector.restore: the snapshot has shape {state.smoothed.shape} but the "
                f"baseline has {self._z.shape}; restore it into a detector of the same machines"
            )
            raise ShapeError(msg)
        self._state = state.copy()

    def reset(self, is_reset: BoolArray) -> None:
        """Forget machines that have been repaired; their alarms clear.

        Parameters
        ----------
        is_reset : ndarray of bool, shape (n_machines,)
            Which machines start afresh.
        """
        state = self._state
        state.smoothed[:, is_reset] = 0
        state.is_seen[:, is_reset] = False
        state.over[is_reset] = 0
        state.calm[is_reset] = 0
        state.is_alarm[is_reset] = False


def score_block(
    block: Float32Array, baseline: Baseline, settings: DetectorSettings
) -> AnomalyScores:
    """Score a whole block: the tick looped over time, to the last bit.

    Parameters
    ----------
    block : ndarray of float32, shape (n_times, n_signals, n_machines)
        Samples on an even grid, each in its signal's unit; ``nan`` or infinite where missing.
    baseline : Baseline
        What is usual, of shape (n_signals, n_machines).
    settings : DetectorSettings
        How to weigh evidence.

    Returns
    -------
    AnomalyScores
        What `AnomalyDetector.tick` would have said at each time.

    Raises
    ------
    ShapeError
        If the block's signals and machines are not those of the baseline.
    """
    if block.shape[1:] != baseline.centre.shape:
        msg = (
            f"score_block: block has shape {block.shape} but the baseline has "
            f"{baseline.centre.shape}; give (n_times, n_signals, n_machines)"
        )
        raise ShapeError(msg)
    n_times, n_signals, n_machines = block.shape
    scores = AnomalyScores(
        np.empty((n_times, n_machines), np.float32),
        np.empty((n_times, n_signals, n_machines), np.float32),
        np.empty((n_times, n_machines), np.bool_),
    )
    detector = AnomalyDetector(baseline, settings)
    for t in range(n_times):
        detector._step(block[t], scores.score[t], scores.z[t], scores.is_alarm[t])
    return scores


def _reciprocal(values: FloatArray) -> Float32Array:
    """One over each value, ``nan`` staying ``nan``."""
    return (1.0 / values).astype(np.float32)


def _smoothed_spread(baseline: Baseline, alpha: float) -> FloatArray:
    """Healthy standard deviation of the smoothed deviation, per unit of baseline scale."""
    rho = (
        np.zeros_like(baseline.centre)
        if baseline.autocorrelation is None
        else baseline.autocorrelation
    )
    kept = rho * (1.0 - alpha)
    variance = alpha / (2.0 - alpha) * (1.0 + kept) / (1.0 - kept)
    if baseline.n_samples is not None:
        n_independent = np.maximum(baseline.n_samples, 1) * (1.0 - rho) / (1.0 + rho)
        variance = variance + _MEDIAN_VARIANCE / n_independent
    return np.sqrt(variance)


def _alarm_limit(baseline: Baseline, false_alarm_ratio: float) -> Float32Array:
    """Deviation that the largest of a healthy machine's signals passes that rarely."""
    n_signals = np.isfinite(baseline.centre).sum(axis=0)
    # Bonferroni: each signal gets its share of the machine's false alarms, on either side.
    tail = false_alarm_ratio / (2.0 * np.maximum(n_signals, 1))
    return np.asarray(-ndtri(tail), dtype=np.float32)
