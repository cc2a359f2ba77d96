"""What is usual at an hour of the day or of the week: shifts, weekends, tides."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.arrays import DomainError, FloatArray, IntArray, ShapeError
from analytics.signals.baseline import MAD_TO_SIGMA, SCALE_FLOOR, SCALE_FLOOR_RATIO, present_median

DAY_H: Final = 24.0
WEEK_H: Final = 168.0


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Usual level and spread by the phase of a cycle.

    Parameters
    ----------
    cycle_h : float
        Length of the cycle. [h]
    centre, scale : ndarray of shape (n_bins, n_series)
        In the unit of each series; ``nan`` for a phase with too few samples.
    """

    cycle_h: float
    centre: FloatArray
    scale: FloatArray

    def standardise(self, x: FloatArray, time_h: FloatArray) -> FloatArray:
        """Write samples as deviations from what is usual at their phase.

        Parameters
        ----------
        x : ndarray of shape (n, n_series)
            Samples.
        time_h : ndarray of shape (n,)
            When, counted from a moment at which a cycle begins. [h]

        Returns
        -------
        ndarray of shape (n, n_series)
            In usual standard deviations; ``nan`` where the sample or its phase is not known.
        """
        phase = _phase(time_h, self.cycle_h, self.centre.shape[0])
        return (x - self.centre[phase]) / self.scale[phase]


def fit_profile(
    x: FloatArray,
    time_h: FloatArray,
    *,
    cycle_h: float = WEEK_H,
    n_bins: int = 168,
    min_samples: int = 3,
) -> Profile:
    """Learn what is usual at each phase of a cycle, by medians.

    Parameters
    ----------
    x : ndarray of shape (n, n_series)
        Healthy samples; missing ones are left out.
    time_h : ndarray of shape (n,)
        When, in any order, counted from a moment at which a cycle begins. [h]
    cycle_h : float
        Length of the cycle, such as `DAY_H` or `WEEK_H`. [h]
    n_bins : int
        Phases told apart.
    min_samples : int
        A phase with fewer samples is not known.

    Returns
    -------
    Profile
        The spread is one for all phases of a series: few samples at each say little of it.

    Raises
    ------
    ShapeError
        If there is not one time per sample.
    DomainError
        If the cycle or the number of phases is not above 0.

    Examples
    --------
    >>> time_h = np.arange(24.0 * 7)
    >>> load = np.where(time_h % 24 < 8, 10.0, 90.0)[:, np.newaxis]
    >>> profile = fit_profile(load, time_h, cycle_h=DAY_H, n_bins=24)
    >>> profile.centre[[0, 12], 0]
    array([10., 90.])
    """
    if x.ndim != 2 or time_h.shape != x.shape[:1]:
        msg = f"fit_profile: x has shape {x.shape} and time_h {time_h.shape}; give a time per row"
        raise ShapeError(msg)
    if not cycle_h > 0 or n_bins < 1:
        msg = f"fit_profile: cycle_h is {cycle_h} and n_bins {n_bins}; give both above 0"
        raise DomainError(msg)
    known = np.where(np.isfinite(x), x, np.nan)
    phase = _phase(time_h, cycle_h, n_bins)
    centre = np.full((n_bins, x.shape[1]), np.nan)
    for one in np.unique(phase):
        rows = known[phase == one]
        is_enough = np.isfinite(rows).sum(axis=0) >= min_samples
        centre[one] = np.where(is_enough, present_median(rows), np.nan)
    spread = MAD_TO_SIGMA * present_median(np.abs(known - centre[phase]))
    floor = np.maximum(SCALE_FLOOR_RATIO * np.abs(present_median(centre)), SCALE_FLOOR)
    scale = np.broadcast_to(np.maximum(spread, floor), centre.shape).copy()
    return Profile(cycle_h, centre, scale)


def _phase(time_h: FloatArray, cycle_h: float, n_bins: int) -> IntArray:
    share = np.mod(time_h, cycle_h) / cycle_h
    return np.minimum((share * n_bins).astype(np.int64), n_bins - 1)
