"""What is usual for each signal of each machine: medians, which a few wild values can't move."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from analytics.arrays import BoolArray, DomainError, FloatArray, IntArray, ShapeError

MAD_TO_SIGMA: Final = 1.4826
"""Median absolute deviation to standard deviation, for a normal distribution."""

MEAN_DEVIATION_TO_SIGMA: Final = 1.2533
"""Mean absolute deviation to standard deviation, for a normal distribution."""

SCALE_FLOOR_RATIO: Final = 1e-3
"""A signal is never taken to be steadier than this part of its centre: below a tenth of a per
cent most sensors show their last digit, not the machine."""

SCALE_FLOOR: Final = 1e-6
"""Smallest scale of a signal centred on zero, in its own unit."""

_WINSOR_Z: Final = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """Usual level and spread of every signal of every machine.

    Parameters
    ----------
    centre : ndarray of shape (n_signals, n_machines)
        Usual level, in the signal's unit; ``nan`` where there was too little to tell.
    scale : ndarray of shape (n_signals, n_machines)
        Usual standard deviation, in the signal's unit; ``nan`` beside a ``nan`` centre.
    n_samples : ndarray of int, shape (n_signals, n_machines), optional
        Samples it rests on; None if not known, and then taken to be plenty.
    autocorrelation : ndarray of shape (n_signals, n_machines), optional
        Likeness of one step to the next, 0 to below 1; None if not known, and then taken as 0.

    Raises
    ------
    ShapeError
        If the arrays differ in shape.
    """

    centre: FloatArray
    scale: FloatArray
    n_samples: IntArray | None = None
    autocorrelation: FloatArray | None = None

    def __post_init__(self) -> None:
        parts = (self.centre, self.scale, self.n_samples, self.autocorrelation)
        shapes = {part.shape for part in parts if part is not None}
        if len(shapes) != 1 or self.centre.ndim != 2:
            msg = f"Baseline: arrays of shapes {shapes}; give one of (n_signals, n_machines) each"
            raise ShapeError(msg)


def robust_baseline(values: npt.NDArray[np.floating], *, min_samples: int = 24) -> Baseline:
    """Centre and scale of every signal of every machine over a healthy window.

    The centre is the median and the scale is 1.4826 times the median absolute deviation, so
    that up to half of the window may be spoilt. [1]_ Where more than half of the samples are
    equal, the mean absolute deviation times 1.2533 takes over; a signal that does not move at
    all gets the floor `SCALE_FLOOR_RATIO` times its centre, at least `SCALE_FLOOR`.

    Parameters
    ----------
    values : ndarray of shape (n_times, n_signals, n_machines)
        An initial or otherwise healthy window on an even grid; missing samples are left out.
    min_samples : int
        Series with fewer present samples get ``nan``.

    Returns
    -------
    Baseline
        With the number of samples and the robust lag-1 autocorrelation, from which the detector
        knows how far to trust it.

    Raises
    ------
    ShapeError
        If `values` has not three axes.
    DomainError
        If `min_samples` is below 1.

    References
    ----------
    .. [1] P. J. Rousseeuw and C. Croux, "Alternatives to the median absolute deviation",
       Journal of the American Statistical Association, vol. 88, pp. 1273-1283, 1993.

    Examples
    --------
    >>> window = np.array([1.0, 2.0, 3.0, 4.0, 90.0]).reshape(5, 1, 1)
    >>> usual = robust_baseline(window, min_samples=5)
    >>> usual.centre.item(), usual.scale.item()
    (3.0, 1.4826)
    """
    if values.ndim != 3:
        msg = (
            f"robust_baseline: values has shape {values.shape}; "
            "give (n_times, n_signals, n_machines)"
        )
        raise ShapeError(msg)
    if min_samples < 1:
        msg = f"robust_baseline: min_samples is {min_samples}; give a number of at least 1"
        raise DomainError(msg)
    x = values.astype(np.float64)
    x[~np.isfinite(x)] = np.nan
    n_samples = np.isfinite(x).sum(axis=0, dtype=np.int64)
    centre = present_median(x)
    deviation = np.abs(x - centre)
    scale = MAD_TO_SIGMA * present_median(deviation)
    mean_deviation = np.nansum(deviation, axis=0) / np.maximum(n_samples, 1)
    scale = np.where(scale > 0, scale, MEAN_DEVIATION_TO_SIGMA * mean_deviation)
    scale = np.maximum(scale, np.maximum(SCALE_FLOOR_RATIO * np.abs(centre), SCALE_FLOOR))
    is_known = n_samples >= min_samples
    return Baseline(
        centre=np.where(is_known, centre, np.nan),
        scale=np.where(is_known, scale, np.nan),
        n_samples=n_samples,
        autocorrelation=_autocorrelation((x - centre) / scale, is_known),
    )


def present_median(values: FloatArray) -> FloatArray:
    """Median along the first axis of what is there.

    Parameters
    ----------
    values : ndarray of shape (n, ...)
        ``nan`` where missing.

    Returns
    -------
    ndarray of shape (...)
        Medians, ``nan`` where nothing is there, without a warning.

    Examples
    --------
    >>> present_median(np.array([[1.0, np.nan], [np.nan, np.nan], [4.0, np.nan]]))
    array([2.5, nan])
    """
    if values.shape[0] == 0:
        return np.full(values.shape[1:], np.nan)
    ordered = np.sort(values, axis=0)  # nan goes last
    n = np.isfinite(values).sum(axis=0)[np.newaxis]
    last = values.shape[0] - 1
    low = np.take_along_axis(ordered, np.clip((n - 1) // 2, 0, last), axis=0)
    high = np.take_along_axis(ordered, np.clip(n // 2, 0, last), axis=0)
    middle: FloatArray = np.where(n > 0, 0.5 * (low + high), np.nan)[0]
    return middle


def _autocorrelation(z: FloatArray, is_known: BoolArray) -> FloatArray:
    """Lag-1 autocorrelation of clipped deviations, 0 to 0.98 (a finite window can't show more)."""
    clipped = np.clip(z, -_WINSOR_Z, _WINSOR_Z)
    product = clipped[1:] * clipped[:-1]
    n_pairs = np.isfinite(product).sum(axis=0)
    power = np.nansum(clipped**2, axis=0) / np.maximum(np.isfinite(z).sum(axis=0), 1)
    mean_product = np.nansum(product, axis=0) / np.maximum(n_pairs, 1)
    ratio = np.zeros_like(power)
    np.divide(mean_product, power, out=ratio, where=power > 0)
    return np.where(is_known, np.clip(ratio, 0.0, 0.98), np.nan)
