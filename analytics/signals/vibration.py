"""Raw vibration in the time domain: how strong, how spiky, and resampled to the shaft's turns."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from analytics.arrays import DomainError, FloatArray, ShapeError

_PIECE_VALUES: Final = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class TimeFeatures:
    """Features of each channel, of shape (...); ``nan`` for one with a missing sample.

    Parameters
    ----------
    rms : ndarray
        Root mean square around the mean, in the unit of the samples.
    peak : ndarray
        Largest distance from the mean, in the unit of the samples.
    crest : ndarray
        Peak over RMS; 0 for a channel that stands still.
    skew, kurtosis : ndarray
        Third and fourth standardised moments; a normal law has 0 and 3.
    """

    rms: FloatArray
    peak: FloatArray
    crest: FloatArray
    skew: FloatArray
    kurtosis: FloatArray


def time_features(x: npt.NDArray[np.floating]) -> TimeFeatures:
    """Describe raw vibration by a few numbers a channel.

    Parameters
    ----------
    x : ndarray of shape (..., n)
        Samples.

    Returns
    -------
    TimeFeatures
        In float64, whatever the samples.

    Examples
    --------
    >>> found = time_features(np.sin(np.linspace(0.0, 20 * np.pi, 10_000, endpoint=False)))
    >>> found.rms.round(3).item(), found.crest.round(3).item(), found.kurtosis.round(3).item()
    (0.707, 1.414, 1.5)
    """
    flat = x.reshape(-1, x.shape[-1])
    moments = np.empty((5, flat.shape[0]))
    at_once = max(1, _PIECE_VALUES // max(1, x.shape[-1]))
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, flat.shape[0], at_once):
            piece = flat[start : start + at_once].astype(np.float64)
            piece -= piece.mean(axis=1, keepdims=True)
            columns = slice(start, start + at_once)
            moments[4, columns] = np.abs(piece).max(axis=1, initial=0.0)
            squared = np.square(piece)
            moments[2, columns] = np.einsum("ij,ij->i", squared, piece)
            moments[3, columns] = np.einsum("ij,ij->i", squared, squared)
            moments[1, columns] = squared.sum(axis=1)
        n = x.shape[-1]
        rms = np.sqrt(moments[1] / n)
        shape = x.shape[:-1]
        return TimeFeatures(
            rms=rms.reshape(shape),
            peak=moments[4].reshape(shape),
            crest=_over(moments[4], rms).reshape(shape),
            skew=_over(moments[2] / n, rms**3).reshape(shape),
            kurtosis=_over(moments[3] / n, rms**4).reshape(shape),
        )


def _over(above: FloatArray, below: FloatArray) -> FloatArray:
    out = np.where(np.isnan(below), np.nan, 0.0)
    np.divide(above, below, out=out, where=below > 0)
    return out


def resample_to_turns(
    x: FloatArray,
    time_s: FloatArray,
    turn_times_s: FloatArray,
    *,
    samples_per_turn: int = 64,
) -> FloatArray:
    """Resample vibration to even angles of the shaft, so that orders stand still as speed varies.

    Parameters
    ----------
    x : ndarray of shape (n,)
        Samples.
    time_s : ndarray of shape (n,)
        When, rising. [s]
    turn_times_s : ndarray of shape (n_turns + 1,)
        When a mark on the shaft passed, rising. [s]
    samples_per_turn : int
        Resolution; orders up to half of it are kept.

    Returns
    -------
    ndarray of shape (n_turns * samples_per_turn,)
        Samples at even angles; the spectrum of ``m`` turns has a line every ``1 / m`` orders.

    Raises
    ------
    ShapeError
        If times and samples differ in number.
    DomainError
        If times do not rise, or marks lie outside the recording.

    Examples
    --------
    >>> time_s = np.linspace(0.0, 2.0, 20_000)
    >>> angle = 10.0 * time_s + 5.0 * time_s**2  # turns, speeding up
    >>> marks = np.interp(np.arange(1.0, 31.0), angle, time_s)
    >>> even = resample_to_turns(np.sin(2 * np.pi * 4.0 * angle), time_s, marks)
    >>> lines = np.abs(np.fft.rfft(even))
    >>> float(lines.argmax() / 29)
    4.0
    """
    if x.shape != time_s.shape or x.ndim != 1:
        msg = f"resample_to_turns: shapes {x.shape} and {time_s.shape}; give a time per sample"
        raise ShapeError(msg)
    if (np.diff(time_s) <= 0).any() or (np.diff(turn_times_s) <= 0).any():
        msg = "resample_to_turns: times do not rise; sort samples and marks, drop repeated ones"
        raise DomainError(msg)
    is_inside = turn_times_s.size >= 2 and (
        turn_times_s[0] >= time_s[0] and turn_times_s[-1] <= time_s[-1]
    )
    if not is_inside or samples_per_turn < 2:
        msg = (
            f"resample_to_turns: {turn_times_s.size} marks and {samples_per_turn} samples per "
            "turn; give two marks or more within the recording, and two samples or more"
        )
        raise DomainError(msg)
    n_turns = turn_times_s.size - 1
    angle = np.arange(n_turns * samples_per_turn) / samples_per_turn
    when = np.interp(angle, np.arange(n_turns + 1.0), turn_times_s)
    return np.interp(when, time_s, x)
