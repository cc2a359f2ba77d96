"""Bearing faults in raw vibration: the band that they ring in, and how often they knock."""

from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import scipy.fft

from analytics.arrays import DomainError, FloatArray, NotEnoughDataError

FloatT = TypeVar("FloatT", np.float32, np.float64)

_CHANNELS: Final = 16
"""Channels transformed at once."""

_LEAST_SAMPLES: Final = 64


@dataclass(frozen=True, slots=True)
class BearingOrders:
    """How often each fault of a rolling bearing knocks, per turn of the shaft [1]_.

    Parameters
    ----------
    bpfo, bpfi : float
        A fault of the outer and of the inner race, met by every ball.
    bsf : float
        A turn of a ball; its fault meets both races, so that it knocks twice as often.
    ftf : float
        A turn of the cage.

    References
    ----------
    .. [1] R. B. Randall and J. Antoni, "Rolling element bearing diagnostics: a tutorial",
       Mechanical Systems and Signal Processing, vol. 25, no. 2, pp. 485-520, 2011.
    """

    bpfo: float
    bpfi: float
    bsf: float
    ftf: float


def bearing_orders(
    n_balls: int, ball_over_pitch: float, *, contact_angle_deg: float = 0.0
) -> BearingOrders:
    """Work out the fault orders of a bearing whose outer race stands still.

    Parameters
    ----------
    n_balls : int
        Rolling elements.
    ball_over_pitch : float
        Diameter of a ball over the pitch diameter.
    contact_angle_deg : float
        Contact angle. [degrees]

    Returns
    -------
    BearingOrders
        Per turn of the shaft; slip makes the true ones one or two per cent smaller.

    Raises
    ------
    DomainError
        If there is no such bearing.

    Examples
    --------
    >>> orders = bearing_orders(9, 0.2)
    >>> round(orders.bpfo, 3), round(orders.bpfi, 3), round(orders.bsf, 3), round(orders.ftf, 3)
    (3.6, 5.4, 2.4, 0.4)
    """
    if n_balls < 2 or not 0 < ball_over_pitch < 1 or not 0 <= contact_angle_deg < 90:
        msg = (
            f"bearing_orders: {n_balls} balls, ball over pitch {ball_over_pitch} and angle "
            f"{contact_angle_deg}; give at least 2 balls, a ratio below 1, an angle below 90"
        )
        raise DomainError(msg)
    ratio = ball_over_pitch * float(np.cos(np.radians(contact_angle_deg)))
    return BearingOrders(
        bpfo=n_balls / 2 * (1 - ratio),
        bpfi=n_balls / 2 * (1 + ratio),
        bsf=(1 - ratio**2) / (2 * ball_over_pitch),
        ftf=(1 - ratio) / 2,
    )


def envelope_spectrum(
    x: npt.NDArray[FloatT], sampling_rate_hz: float, band_hz: tuple[float, float]
) -> tuple[FloatArray, npt.NDArray[FloatT]]:
    """Amplitudes with which the power within a band comes and goes [1]_.

    The band is cut out of one transform, moved to zero and transformed back at the rate that
    the band needs: the squared envelope of the decimated signal is that of the whole one, and
    its spectrum reaches as far as the band is wide.

    Parameters
    ----------
    x : ndarray of float32 or float64, shape (..., n)
        Samples, evenly spaced.
    sampling_rate_hz : float
        Samples a second. [Hz]
    band_hz : tuple of float
        Lower and upper border of the band. [Hz]

    Returns
    -------
    frequency_hz : ndarray of shape (n_lines,)
        From 0 to the width of the band. [Hz]
    amplitude : ndarray of the dtype of `x`, shape (..., n_lines)
        Amplitudes of the squared envelope, in the squared unit of `x`; the first is its mean.

    Raises
    ------
    DomainError
        If the band does not lie between 0 and half the sampling rate.
    NotEnoughDataError
        If there are fewer than 64 samples or the band has fewer than 8 lines.

    References
    ----------
    .. [1] J. Antoni, "Cyclic spectral analysis of rolling-element bearing signals: facts and
       fictions", Journal of Sound and Vibration, vol. 304, pp. 497-529, 2007.

    Examples
    --------
    >>> t = np.arange(8192) / 8192.0
    >>> ringing = (1 + np.cos(2 * np.pi * 64 * t)) * np.sin(2 * np.pi * 2000 * t)
    >>> lines, amplitude = envelope_spectrum(ringing, 8192.0, (1500.0, 2500.0))
    >>> float(lines[1:][amplitude[1:].argmax()])
    64.0
    """
    n = x.shape[-1]
    first, last = _lines_of(n, sampling_rate_hz, band_hz)
    width = last - first
    # The squared envelope holds differences of up to the width of the band: twice as many points.
    n_short = int(scipy.fft.next_fast_len(2 * width, real=False))
    flat = x.reshape(-1, n)
    out = np.empty((flat.shape[0], width), x.dtype)
    complex_type = np.complex64 if x.dtype == np.float32 else np.complex128
    for start in range(0, flat.shape[0], _CHANNELS):
        piece = flat[start : start + _CHANNELS]
        spectrum = scipy.fft.rfft(piece, axis=-1)
        short = np.zeros((piece.shape[0], n_short), complex_type)
        short[:, :width] = spectrum[:, first:last]
        analytic = scipy.fft.ifft(short, axis=-1, overwrite_x=True, norm="forward")
        parts = np.square(analytic.view(x.dtype))
        squared = parts[:, 0::2] + parts[:, 1::2]
        lines = scipy.fft.rfft(squared, axis=-1, norm="forward")
        np.abs(lines[:, :width], out=out[start : start + _CHANNELS])
    # Twice for the missing negative half of the band, over n for the transform, all squared;
    # twice again for the negative half of the envelope's own lines.
    out *= np.asarray((2.0 / n) ** 2, x.dtype)
    out[:, 1:] *= 2
    return np.arange(width) * sampling_rate_hz / n, out.reshape(*x.shape[:-1], width)


def _lines_of(n: int, sampling_rate_hz: float, band_hz: tuple[float, float]) -> tuple[int, int]:
    low, high = band_hz
    if not 0 < low < high < sampling_rate_hz / 2:
        msg = (
            f"envelope_spectrum: the band {band_hz} must lie between 0 and half the sampling rate "
            f"{sampling_rate_hz}, the lower border first"
        )
        raise DomainError(msg)
    first, last = (int(np.ceil(border * n / sampling_rate_hz)) for border in band_hz)
    if n < _LEAST_SAMPLES or last - first < 8:
        msg = (
            f"envelope_spectrum: not enough data: {n} of {_LEAST_SAMPLES} samples, and "
            f"{last - first} of 8 lines in the band {band_hz}; record longer or widen the band"
        )
        raise NotEnoughDataError(msg)
    return first, last


def amplitude_at_orders(
    frequency_hz: FloatArray,
    amplitude: npt.NDArray[np.floating],
    shaft_hz: float,
    orders: BearingOrders,
    *,
    tolerance: float = 0.02,
    n_harmonics: int = 3,
) -> dict[str, FloatArray]:
    """Height of the envelope's peaks at the fault orders over what lies around them.

    Parameters
    ----------
    frequency_hz : ndarray of shape (n_lines,)
        From `envelope_spectrum`. [Hz]
    amplitude : ndarray of shape (..., n_lines)
        From `envelope_spectrum`.
    shaft_hz : float
        Turns a second. [Hz]
    orders : BearingOrders
        Of the bearing.
    tolerance : float
        A peak may lie this part of its frequency aside (slip, and a speed not quite known).
    n_harmonics : int
        Multiples looked at; those beyond the spectrum are left out.

    Returns
    -------
    dict of str to ndarray of shape (...)
        By ``bpfo``, ``bpfi``, ``bsf``, ``ftf``: mean over the harmonics of peak over the median
        of the spectrum; about 3 for noise.
    """
    floor = np.median(amplitude[..., 1:], axis=-1)
    found = {}
    for name in ("bpfo", "bpfi", "bsf", "ftf"):
        heights = []
        for harmonic in range(1, n_harmonics + 1):
            centre = harmonic * getattr(orders, name) * shaft_hz
            near = np.abs(frequency_hz - centre) <= max(
                tolerance * centre, float(frequency_hz[1] - frequency_hz[0])
            )
            near[0] = False
            if near.any():
                heights.append(amplitude[..., near].max(axis=-1) / np.maximum(floor, 1e-300))
        found[name] = np.mean(heights, axis=0) if heights else np.full(floor.shape, np.nan)
    return found


@dataclass(frozen=True, slots=True)
class Band:
    """Where a signal is most impulsive.

    Parameters
    ----------
    low_hz, high_hz : float
        Borders. [Hz]
    kurtosis : float
        Spectral kurtosis there: 0 for noise, larger for impulses.
    """

    low_hz: float
    high_hz: float
    kurtosis: float


def kurtogram(
    x: FloatArray, sampling_rate_hz: float, *, n_levels: int = 6
) -> tuple[Band, list[FloatArray]]:
    """Look for the band in which impulses stand out most [1]_, over halves, quarters, and so on.

    Each level also has bands of a third of the one before, as in the fast kurtogram. Bands are cut
    from one transform, so that neighbouring bands do not leak into each other.

    Parameters
    ----------
    x : ndarray of shape (n,)
        Samples, evenly spaced.
    sampling_rate_hz : float
        Samples a second. [Hz]
    n_levels : int
        Halvings.

    Returns
    -------
    best : Band
        Of the largest spectral kurtosis.
    levels : list of ndarray
        Spectral kurtosis of every band, from two bands to the finest, level by level.

    Raises
    ------
    NotEnoughDataError
        If the finest bands would have fewer than 16 lines.

    References
    ----------
    .. [1] J. Antoni, "Fast computation of the kurtogram for the detection of transient faults",
       Mechanical Systems and Signal Processing, vol. 21, no. 1, pp. 108-124, 2007.
    """
    counts = sorted({2**k for k in range(1, n_levels + 1)} | {3 * 2**k for k in range(n_levels)})
    counts = [count for count in counts if count <= 2**n_levels]
    n = x.size
    if n // 2 // counts[-1] < 16:
        msg = (
            f"kurtogram: not enough data: {n} of {32 * counts[-1]} samples for {n_levels} levels; "
            "record longer or ask for fewer levels"
        )
        raise NotEnoughDataError(msg)
    spectrum = scipy.fft.rfft(x - x.mean())
    best = Band(0.0, sampling_rate_hz / 2, -np.inf)
    levels = []
    for count in counts:
        width = (n // 2) // count
        bands = spectrum[: width * count].reshape(count, width)
        power = np.abs(scipy.fft.ifft(bands, axis=1)) ** 2
        mean = power.mean(axis=1)
        kurtosis = (power**2).mean(axis=1) / np.maximum(mean**2, 1e-300) - 2.0
        kurtosis[mean <= 1e-12 * mean.max()] = 0.0
        levels.append(kurtosis)
        top = int(kurtosis.argmax())
        if kurtosis[top] > best.kurtosis:
            step = width * sampling_rate_hz / n
            best = Band(top * step, (top + 1) * step, float(kurtosis[top]))
    return best, levels
