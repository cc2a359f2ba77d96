"""Errors of estimates of remaining useful life.

Published figures on NASA's engines come in two conventions that must never be compared: the true
life as published (raw), or clipped at a cap, usually 125 cycles (capped). Here the cap is an
argument; where it is given, it clips truth and estimate alike.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.arrays import DomainError, FloatArray, NotEnoughDataError, ShapeError

EARLY_CYCLES: Final = 13.0
"""PHM08 score: an estimate this much too short costs e - 1. [cycles]"""

LATE_CYCLES: Final = 10.0
"""PHM08 score: an estimate this much too long costs e - 1. [cycles]"""


def rmse_h(true_h: FloatArray, estimate_h: FloatArray, *, cap_h: float | None = None) -> float:
    """Root mean square error.

    Parameters
    ----------
    true_h, estimate_h : ndarray of shape (n,)
        Life that was left, and what was said. [h]
    cap_h : float, optional
        Clip both at this; None takes them raw. [h]

    Returns
    -------
    float
        Error. [h]

    Raises
    ------
    ShapeError
        If the two differ in shape.

    Examples
    --------
    >>> rmse_h(np.array([150.0, 10.0]), np.array([130.0, 14.0]), cap_h=125.0).__round__(3)
    2.828
    """
    if true_h.shape != estimate_h.shape:
        msg = f"rmse_h: shapes {true_h.shape} and {estimate_h.shape}; give one estimate per truth"
        raise ShapeError(msg)
    error = _error(true_h, estimate_h, cap_h)
    return float(np.sqrt(np.mean(error**2)))


def phm08_score(
    true_cycles: FloatArray, estimate_cycles: FloatArray, *, cap_cycles: float | None = None
) -> float:
    """Add up the penalties of the PHM08 challenge [1]_: late estimates cost more than early ones.

    Parameters
    ----------
    true_cycles, estimate_cycles : ndarray of shape (n,)
        Life that was left, and what was said. [cycles]
    cap_cycles : float, optional
        Clip both at this; None takes them raw. [cycles]

    Returns
    -------
    float
        0 is perfect; grows with the number of units.

    Raises
    ------
    ShapeError
        If the two differ in shape.

    References
    ----------
    .. [1] A. Saxena, K. Goebel, D. Simon and N. Eklund, "Damage propagation modeling for aircraft
       engine run-to-failure simulation", International Conference on Prognostics and Health
       Management, 2008, eq. 13.

    Examples
    --------
    >>> phm08_score(np.array([50.0, 50.0]), np.array([37.0, 60.0])).__round__(3)
    3.437
    """
    if true_cycles.shape != estimate_cycles.shape:
        msg = (
            f"phm08_score: shapes {true_cycles.shape} and {estimate_cycles.shape}; "
            "give one estimate per truth"
        )
        raise ShapeError(msg)
    error = _error(true_cycles, estimate_cycles, cap_cycles)
    exponent = np.where(error < 0, -error / EARLY_CYCLES, error / LATE_CYCLES)
    return float(np.expm1(exponent).sum())


def coverage_ratio(true_h: FloatArray, lower_h: FloatArray, upper_h: FloatArray) -> float:
    """Part of the cases whose interval held the truth, ends included.

    Parameters
    ----------
    true_h : ndarray of shape (n,)
        Life that was left. [h]
    lower_h, upper_h : ndarray of shape (n,)
        Ends of the intervals. [h]

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    ShapeError
        If the three differ in shape.

    Examples
    --------
    >>> coverage_ratio(np.array([1.0, 2.0]), np.array([0.0, 3.0]), np.array([1.0, 4.0]))
    0.5
    """
    if not true_h.shape == lower_h.shape == upper_h.shape:
        msg = (
            f"coverage_ratio: shapes {true_h.shape}, {lower_h.shape} and {upper_h.shape}; "
            "give one interval per truth"
        )
        raise ShapeError(msg)
    return float(((lower_h <= true_h) & (true_h <= upper_h)).mean())


@dataclass(frozen=True, slots=True)
class RulScores:
    """Errors of many estimates, in both conventions.

    Parameters
    ----------
    n : int
        Estimates judged.
    n_unknown : int
        Machines without an estimate, left out of everything else.
    cap_h : float
        The cap of the capped figures. [h]
    rmse_capped_h, rmse_raw_h : float
        Root mean square error. [h]
    phm08_capped, phm08_raw : float
        PHM08 score, counting hours as cycles.
    coverage_ratio : float
        Part of the intervals that held the raw truth.
    mean_width_h : float
        Mean width of the intervals. [h]
    """

    n: int
    n_unknown: int
    cap_h: float
    rmse_capped_h: float
    rmse_raw_h: float
    phm08_capped: float
    phm08_raw: float
    coverage_ratio: float
    mean_width_h: float


def score_rul(
    true_h: FloatArray,
    median_h: FloatArray,
    lower_h: FloatArray,
    upper_h: FloatArray,
    *,
    cap_h: float = 125.0,
) -> RulScores:
    """Judge estimates in both conventions at once.

    Parameters
    ----------
    true_h : ndarray of shape (n,)
        Life that was left. [h]
    median_h, lower_h, upper_h : ndarray of shape (n,)
        What was said; ``nan`` where nothing was. [h]
    cap_h : float
        Cap of the capped figures. [h]

    Returns
    -------
    RulScores
        Over the machines with an estimate.

    Raises
    ------
    ShapeError
        If the arrays differ in shape.
    DomainError
        If the cap is not above 0.
    NotEnoughDataError
        If there is no estimate at all.
    """
    if not true_h.shape == median_h.shape == lower_h.shape == upper_h.shape:
        msg = (
            f"score_rul: shapes {true_h.shape}, {median_h.shape}, {lower_h.shape} and "
            f"{upper_h.shape}; give one estimate per truth"
        )
        raise ShapeError(msg)
    if not cap_h > 0:
        msg = f"score_rul: cap_h is {cap_h}; give a life above 0, for example 125"
        raise DomainError(msg)
    is_known = np.isfinite(median_h)
    if not is_known.any():
        msg = f"score_rul: none of {true_h.size} machines has an estimate; nothing to judge"
        raise NotEnoughDataError(msg)
    truth, median = true_h[is_known], median_h[is_known]
    lower, upper = lower_h[is_known], upper_h[is_known]
    return RulScores(
        n=int(is_known.sum()),
        n_unknown=int((~is_known).sum()),
        cap_h=cap_h,
        rmse_capped_h=rmse_h(truth, median, cap_h=cap_h),
        rmse_raw_h=rmse_h(truth, median),
        phm08_capped=phm08_score(truth, median, cap_cycles=cap_h),
        phm08_raw=phm08_score(truth, median),
        coverage_ratio=coverage_ratio(truth, lower, upper),
        mean_width_h=float((upper - lower).mean()),
    )


def _error(truth: FloatArray, estimate: FloatArray, cap: float | None) -> FloatArray:
    if cap is None:
        return estimate - truth
    return np.minimum(estimate, cap) - np.minimum(truth, cap)
