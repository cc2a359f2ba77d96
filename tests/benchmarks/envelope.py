"""Envelope spectra of many channels, against the same made with `scipy.signal`.

The peer is the customary chain: a Butterworth band-pass run both ways, the Hilbert transform, the
spectrum of the squared envelope. A linear-phase FIR in its place is measured too. Each channel
holds a bearing knocking in noise; the peaks must be the same.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy import signal

from analytics.arrays import Float32Array
from analytics.signals.envelope import envelope_spectrum
from tests.benchmarks.common import cpu_s, report

N_CHANNELS: Final = 400
N_SAMPLES: Final = 8192
RATE_HZ: Final = 25_600.0
BAND_HZ: Final = (3_000.0, 6_000.0)
HIGHEST_KNOCK_HZ: Final = 1_000.0


def run(data: Path) -> dict[str, Any]:
    """Measure; needs no real data."""
    x = _knocking()
    sos = signal.butter(4, BAND_HZ, "bandpass", fs=RATE_HZ, output="sos")
    taps = signal.firwin(257, BAND_HZ, pass_zero=False, fs=RATE_HZ).astype(np.float32)

    def butterworth() -> Float32Array:
        return _spectrum(signal.sosfiltfilt(sos, x, axis=1).astype(np.float32))

    def fir() -> Float32Array:
        return _spectrum(signal.fftconvolve(x, taps[np.newaxis], mode="same", axes=1))

    ours_s = cpu_s(lambda: envelope_spectrum(x, RATE_HZ, BAND_HZ))
    butterworth_s, fir_s = cpu_s(butterworth, n_repeats=3), cpu_s(fir, n_repeats=3)
    lines, ours = envelope_spectrum(x, RATE_HZ, BAND_HZ)
    low = slice(3, int(np.searchsorted(lines, HIGHEST_KNOCK_HZ)))
    our_peaks = ours[:, low].argmax(axis=1)
    their_peaks = butterworth()[:, low].argmax(axis=1)
    figures = {
        "million_values_per_cpu_s": round(x.size / ours_s / 1e6, 1),
        "same_peaks_ratio": float((our_peaks == their_peaks).mean()),
    }
    ratios = {
        "times_faster_than_scipy": round(butterworth_s / ours_s, 2),
        "times_faster_than_scipy_with_fir": round(fir_s / ours_s, 2),
    }
    for name, value in (figures | ratios).items():
        print(f"  {name:40} {value:12.4g}")
    return report(
        "envelope",
        figures,
        ratios=ratios,
        targets=[("times_faster_than_scipy", ">=", 10.0), ("same_peaks_ratio", ">=", 1.0)],
    )


def _spectrum(band: Float32Array) -> Float32Array:
    squared = np.abs(signal.hilbert(band, axis=1)) ** 2
    spectrum: Float32Array = np.abs(np.fft.rfft(squared, axis=1))
    return spectrum


def _knocking() -> Float32Array:
    rng = np.random.default_rng(1)
    knock_hz = rng.uniform(60.0, 250.0, (N_CHANNELS, 1))
    time_s = np.arange(N_SAMPLES) / RATE_HZ
    since = (time_s * knock_hz) % 1.0 / knock_hz
    ringing = np.exp(-1500.0 * since) * np.sin(2 * np.pi * 4500.0 * since)
    noisy = ringing + 0.7 * ringing.std() * rng.standard_normal(ringing.shape)
    recorded: Float32Array = noisy.astype(np.float32)
    return recorded
