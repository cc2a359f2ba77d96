"""Spectra of raw vibration, for many channels at once, in pieces that stay in the cache."""

from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import scipy.fft
from scipy.signal import get_window

from analytics.arrays import DomainError, FloatArray, NotEnoughDataError

FloatT = TypeVar("FloatT", np.float32, np.float64)

_PIECE_VALUES: Final = 1 << 18
"""Samples transformed at once: with their spectrum they stay in a second-level cache."""


def welch(
    x: npt.NDArray[FloatT], sampling_rate_hz: float, *, segment: int = 1024
) -> tuple[FloatArray, npt.NDArray[FloatT]]:
    """Power spectral density by averaged segments that overlap by half [1]_.

    The same numbers as ``scipy.signal.welch`` with a Hann window and constant detrending, for
    many channels several times as fast: the mean is taken away after the transform, where it
    touches three lines instead of every sample.

    Parameters
    ----------
    x : ndarray of float32 or float64, shape (..., n)
        Samples, evenly spaced; a channel with a missing one gets ``nan`` throughout.
    sampling_rate_hz : float
        Samples a second. [Hz]
    segment : int
        Length of a segment, even. [samples]

    Returns
    -------
    frequency_hz : ndarray of shape (segment // 2 + 1,)
        Lines. [Hz]
    density : ndarray of the dtype of `x`, shape (..., segment // 2 + 1)
        In the squared unit of `x` per Hz, one-sided.

    Raises
    ------
    NotEnoughDataError
        If a channel is shorter than a segment.
    DomainError
        If the segment is odd or shorter than 8, or the sampling rate is not above 0.

    References
    ----------
    .. [1] P. D. Welch, "The use of fast Fourier transform for the estimation of power spectra",
       IEEE Transactions on Audio and Electroacoustics, vol. 15, no. 2, pp. 70-73, 1967.

    Examples
    --------
    >>> t = np.arange(4096) / 1000.0
    >>> lines, density = welch(np.sin(2 * np.pi * 125.0 * t), 1000.0)
    >>> float(lines[density.argmax()])
    125.0
    """
    _check("welch", x.shape[-1], sampling_rate_hz, segment)
    flat = x.reshape(-1, x.shape[-1])
    window = get_window("hann", segment).astype(x.dtype)
    scale = np.asarray(1.0 / (sampling_rate_hz * float((window.astype(np.float64) ** 2).sum())))
    n_segments = (x.shape[-1] - segment) // (segment // 2) + 1
    n_lines = segment // 2 + 1
    out = np.empty((flat.shape[0], n_lines), x.dtype)
    at_once = max(1, _PIECE_VALUES // (n_segments * segment))
    windowed = np.empty((at_once, n_segments, segment), x.dtype)
    with np.errstate(invalid="ignore"):
        for start in range(0, flat.shape[0], at_once):
            piece = flat[start : start + at_once]
            spectrum = _windowed_spectrum(piece, window, windowed[: piece.shape[0]])
            # Real and imaginary parts lie side by side: squares of both, summed over segments.
            parts = spectrum.view(x.dtype)
            power = np.einsum("ijk,ijk->ik", parts, parts)
            out[start : start + at_once] = power[:, 0::2] + power[:, 1::2]
    out *= (scale / n_segments).astype(x.dtype)
    out[:, 1:-1] *= 2
    lines: FloatArray = np.fft.rfftfreq(segment, 1.0 / sampling_rate_hz).astype(np.float64)
    return lines, out.reshape(*x.shape[:-1], n_lines)


def _windowed_spectrum(
    piece: npt.NDArray[FloatT],
    window: npt.NDArray[FloatT],
    windowed: npt.NDArray[FloatT],
) -> npt.NDArray[np.complexfloating]:
    """Spectra of the Hann-windowed segments of some channels, their means taken away."""
    segment = window.size
    half, n_segments = segment // 2, windowed.shape[1]
    used = piece[:, : (n_segments + 1) * half]
    # Around the channel's mean first, so that float32 keeps its digits far from zero.
    mean = np.add.reduce(used, axis=1, keepdims=True) / np.asarray(used.shape[1], piece.dtype)
    centred = used - mean
    halves = np.add.reduce(centred.reshape(piece.shape[0], n_segments + 1, half), axis=2)
    segments = np.lib.stride_tricks.sliding_window_view(centred, segment, axis=1)[:, ::half]
    np.multiply(segments, window, out=windowed)
    spectrum = scipy.fft.rfft(windowed, axis=-1)
    # A constant shows in the first two lines of a Hann window: half and a quarter of its sum.
    total = halves[:, :-1] + halves[:, 1:]
    spectrum[:, :, 0] -= total * np.asarray(0.5, piece.dtype)
    spectrum[:, :, 1] += total * np.asarray(0.25, piece.dtype)
    return np.asarray(spectrum)


def stft_bands(
    x: npt.NDArray[np.floating],
    sampling_rate_hz: float,
    edges_hz: FloatArray,
    *,
    segment: int = 1024,
) -> FloatArray:
    """Power in frequency bands along time, from segments that overlap by half.

    Parameters
    ----------
    x : ndarray of shape (..., n)
        Samples, evenly spaced.
    sampling_rate_hz : float
        Samples a second. [Hz]
    edges_hz : ndarray of shape (n_bands + 1,)
        Borders of the bands, rising; a line on a border belongs to the band above. [Hz]
    segment : int
        Length of a segment, even. [samples]

    Returns
    -------
    ndarray of shape (..., n_segments, n_bands)
        Mean square within each band, in the squared unit of `x`; the sum over bands that cover
        everything is about the variance of the segment.

    Raises
    ------
    DomainError
        If the borders do not rise.

    Examples
    --------
    >>> t = np.arange(4096) / 1000.0
    >>> power = stft_bands(np.sin(2 * np.pi * 125.0 * t), 1000.0, np.array([0.0, 100.0, 500.0]))
    >>> power.shape, power.argmax(axis=1).tolist()
    ((7, 2), [1, 1, 1, 1, 1, 1, 1])
    """
    _check("stft_bands", x.shape[-1], sampling_rate_hz, segment)
    if (np.diff(edges_hz) <= 0).any():
        msg = f"stft_bands: the borders {edges_hz.tolist()} do not rise; sort them"
        raise DomainError(msg)
    window = get_window("hann", segment)
    flat = x.reshape(-1, x.shape[-1]).astype(np.float64)
    n_segments = (x.shape[-1] - segment) // (segment // 2) + 1
    band = np.searchsorted(edges_hz, np.fft.rfftfreq(segment, 1.0 / sampling_rate_hz), "right") - 1
    n_bands = edges_hz.size - 1
    weight = np.full(segment // 2 + 1, 2.0)
    weight[[0, -1]] = 1.0
    weight /= segment * (window**2).sum()
    membership = np.zeros((weight.size, n_bands))
    is_inside = (band >= 0) & (band < n_bands)
    membership[np.flatnonzero(is_inside), band[is_inside]] = weight[is_inside]
    out = np.empty((flat.shape[0], n_segments, n_bands))
    buffer = np.empty((1, n_segments, segment))
    for channel in range(flat.shape[0]):
        spectrum = _windowed_spectrum(flat[channel : channel + 1], window, buffer)
        out[channel] = np.abs(spectrum[0]) ** 2 @ membership
    return out.reshape(*x.shape[:-1], n_segments, n_bands)


def cepstrum(x: npt.NDArray[np.floating]) -> FloatArray:
    """Real cepstrum [1]_: families of harmonics and side bands become single peaks.

    Parameters
    ----------
    x : ndarray of shape (..., n)
        Samples, evenly spaced.

    Returns
    -------
    ndarray of shape (..., n // 2 + 1)
        By quefrency in samples: a family with spacing ``f`` peaks at ``sampling_rate / f``.

    References
    ----------
    .. [1] R. B. Randall, "A history of cepstrum analysis and its application to mechanical
       problems", Mechanical Systems and Signal Processing, vol. 97, pp. 3-19, 2017.

    Examples
    --------
    >>> pulses = np.zeros(4000)
    >>> pulses[::80] = 1.0
    >>> tones = pulses + 1e-3 * np.random.default_rng(1).normal(size=4000)
    >>> int(cepstrum(tones)[20:120].argmax()) + 20
    80
    """
    n = x.shape[-1]
    centred = x - x.mean(axis=-1, keepdims=True)
    magnitude = np.abs(scipy.fft.rfft(centred.astype(np.float64), axis=-1))
    largest = magnitude.max(axis=-1, keepdims=True)
    # A floor 200 dB down stands in for lines that are empty.
    logged = np.log(np.maximum(magnitude, np.maximum(1e-10 * largest, 1e-300)))
    return np.asarray(scipy.fft.irfft(logged, n=n, axis=-1)[..., : n // 2 + 1])


def _check(name: str, n: int, sampling_rate_hz: float, segment: int) -> None:
    if segment < 8 or segment % 2 or not sampling_rate_hz > 0:
        msg = (
            f"{name}: segment is {segment} and sampling_rate_hz {sampling_rate_hz}; give an even "
            "number of samples of at least 8, and a rate above 0"
        )
        raise DomainError(msg)
    if n < segment:
        msg = f"{name}: not enough data: {n} of {segment} samples; record longer or cut shorter"
        raise NotEnoughDataError(msg)
