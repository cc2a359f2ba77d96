"""Parts that vibration is made of: ringing blows, tones and noise.

All of them add to a signal in place. A blow makes the structure ring: a sine that decays, begun
at an exact time between two samples.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]

RATE_HZ: Final = 25_600.0
"""Sampling rate of snapshots. [Hz]"""

_RING_TIME_CONSTANTS: Final = 6.0
"""After so many time constants a ring is below 0.25 % of its blow and cut off."""


@dataclass(frozen=True, slots=True)
class Resonance:
    """How a structure rings when it is struck.

    Parameters
    ----------
    frequency_hz : float
        Of the ringing. [Hz]
    damping_ratio : float
        Of critical damping.
    """

    frequency_hz: float
    damping_ratio: float

    @property
    def decay_per_s(self) -> float:
        """Rate at which the ring decays, in 1/s."""
        return 2 * np.pi * self.frequency_hz * self.damping_ratio

    @property
    def n_samples(self) -> int:
        """Samples until a ring is cut off."""
        return int(np.ceil(_RING_TIME_CONSTANTS / self.decay_per_s * RATE_HZ))


def add_blows(
    signal: Float32Array, resonance: Resonance, time_s: FloatArray, amplitude: FloatArray
) -> None:
    """Let a structure ring from blows.

    Parameters
    ----------
    signal : ndarray of float32, shape (n_samples,)
        Added to. [m/s²]
    resonance : Resonance
        How it rings.
    time_s : ndarray of shape (n_blows,)
        When each blow falls, rising; may lie before the signal. [s]
    amplitude : ndarray of shape (n_blows,)
        Of the ring where it begins. [m/s²]
    """
    n_ring = resonance.n_samples
    if time_s.size == 0:
        return
    padded = np.zeros(signal.size + 2 * n_ring, dtype=np.float32)
    at = time_s * RATE_HZ
    first = np.ceil(at).astype(np.int64)
    is_heard = (first > -n_ring) & (first < signal.size)
    first, late_s = first[is_heard], (first - at)[is_heard] / RATE_HZ
    if first.size == 0:
        return
    # exp(-a(t+d))·sin(w(t+d)) is a product of a table over t and a factor for each delay d.
    w, a = 2 * np.pi * resonance.frequency_hz, resonance.decay_per_s
    ring_s = np.arange(n_ring) / RATE_HZ
    table = np.exp(-a * ring_s) * np.stack([np.sin(w * ring_s), np.cos(w * ring_s)])
    scale = amplitude[is_heard] * np.exp(-a * late_s)
    factor = np.stack([scale * np.cos(w * late_s), scale * np.sin(w * late_s)])
    rings = factor.T.astype(np.float32) @ table.astype(np.float32)
    # Rings that overlap must not be added by one indexed assignment, so they go in turns.
    gap = max(1, int(np.diff(first).min(initial=n_ring)))
    n_turns = min(first.size, -(-n_ring // gap))
    place = np.arange(n_ring) + n_ring
    for turn in range(n_turns):
        padded[first[turn::n_turns, np.newaxis] + place] += rings[turn::n_turns]
    signal += padded[n_ring : n_ring + signal.size]


def add_tone(
    signal: Float32Array, turns: Float32Array, order: int, amplitude: float, phase: float
) -> None:
    """Add a component that turns with a shaft.

    Parameters
    ----------
    signal : ndarray of float32, shape (n_samples,)
        Added to. [m/s²]
    turns : ndarray of float32, shape (n_samples,)
        Angle of the shaft as part of a turn, 0 to 1.
    order : int
        Turns of the component for each turn of the shaft; whole, so that turns need not be
        counted.
    amplitude : float
        Of the component. [m/s²]
    phase : float
        Where it begins. [rad]
    """
    if amplitude:
        tone = turns * np.float32(2 * np.pi * order)
        tone += np.float32(phase)
        np.sin(tone, out=tone)
        tone *= np.float32(amplitude)
        signal += tone


def parts_of_turn(turns: FloatArray) -> Float32Array:
    """Forget how often a shaft has turned, and keep where it stands.

    Parameters
    ----------
    turns : ndarray of shape (n_samples,)
        Angle of a shaft in turns.

    Returns
    -------
    ndarray of float32, shape (n_samples,)
        0 to 1; all of float32's digits are spent within one turn.
    """
    return (turns - np.floor(turns)).astype(np.float32)


def add_noise(signal: Float32Array, rng: np.random.Generator, level: float) -> None:
    """Add white noise.

    Parameters
    ----------
    signal : ndarray of float32, shape (n_samples,)
        Added to. [m/s²]
    rng : numpy.random.Generator
        Source of chance.
    level : float
        Its root mean square. [m/s²]
    """
    noise = rng.standard_normal(signal.size, dtype=np.float32)
    noise *= np.float32(level)
    signal += noise


def blow_times_s(
    rng: np.random.Generator, *, order: float, shaft_hz: float, length_s: float, slip_ratio: float
) -> FloatArray:
    """Draw when blows fall that come round with a shaft, but never quite.

    Rolling elements slip a little, so each interval differs at random from the last and blows
    lose their phase over time. [1]_

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of chance.
    order : float
        Blows for each turn of the shaft.
    shaft_hz : float
        Turns of the shaft in a second. [Hz]
    length_s : float
        Over how long. [s]
    slip_ratio : float
        Standard deviation of an interval over its mean.

    Returns
    -------
    ndarray of shape (n_blows,)
        Rising, from before 0 to past the end. [s]

    References
    ----------
    .. [1] J. Antoni and R. B. Randall, "A stochastic model for simulation and diagnostics of
       rolling element bearings with localized faults", Journal of Vibration and Acoustics,
       vol. 125, no. 3, pp. 282-289, 2003.
    """
    if shaft_hz <= 0:
        return np.empty(0)
    mean_s = 1.0 / (order * shaft_hz)
    n_blows = int(np.ceil(1.1 * length_s / mean_s)) + 12
    intervals = mean_s * np.maximum(0.2, 1.0 + slip_ratio * rng.standard_normal(n_blows))
    return np.cumsum(intervals) - mean_s * (1.0 + 4.0 + float(rng.random()))
