"""Vibration, one blow and one sample after the other."""

import math

from simulators.vibration.synthesis import RATE_HZ, Resonance


def blows(
    n_samples: int, resonance: Resonance, times_s: list[float], sizes: list[float]
) -> list[float]:
    """A structure that rings from each blow until it is not heard any more."""
    signal = [0.0] * n_samples
    for at_s, size in zip(times_s, sizes, strict=True):
        first = math.ceil(at_s * RATE_HZ)
        for number in range(first, first + resonance.n_samples):
            if 0 <= number < n_samples:
                since_s = number / RATE_HZ - at_s
                ring = math.sin(2 * math.pi * resonance.frequency_hz * since_s)
                signal[number] += size * math.exp(-resonance.decay_per_s * since_s) * ring
    return signal


def tone(turns: list[float], order: int, amplitude: float, phase: float) -> list[float]:
    """A component that turns with a shaft."""
    return [amplitude * math.sin(2 * math.pi * order * turn + phase) for turn in turns]
