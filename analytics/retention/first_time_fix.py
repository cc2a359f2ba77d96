"""Honest first-time fix: how often one visit is enough, and how sure that is.

Three habits flatter the usual figure: counting preventive visits, counting a visit as fixed
before there was time for the fault to come back, and losing repeats that another technician
made. Here only corrective visits count, a visit is judged once its window has passed, and every
corrective visit on the key can be a repeat, whoever made it. Newer visits enter the
Kaplan-Meier estimate as censored.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import scipy.stats

from analytics.arrays import BoolArray, DomainError, FloatArray, IntArray, ShapeError

NOT_COUNTED: Final = -1
NOT_FIXED: Final = 0
FIXED: Final = 1
PENDING: Final = 2

DEFAULT_WINDOW_DAYS: Final = 30.0
"""Faults that were not mended come back within weeks; a shorter window flatters."""


@dataclass(frozen=True, slots=True, eq=False)
class FirstTimeFix:
    """Share of corrective visits that fixed the fault for good.

    Parameters
    ----------
    ratio, lower, upper : float
        Of matured visits, with its central interval (Jeffreys); ``nan`` without any.
    survival_ratio, survival_lower, survival_upper : float
        Kaplan-Meier estimate from all visits, newer ones censored, with its interval; ``nan``
        while no visit has been followed through the whole window.
    n_fixed, n_not_fixed : int
        Matured visits.
    n_pending : int
        Corrective visits too recent to judge.
    n_unknown_key : int
        Corrective visits whose key is not known; they can't be judged and are left out.
    window_days : float
        Window in which the fault must not come back. [days]
    interval_ratio : float
        What the intervals cover.
    status : ndarray of int8, shape (n_visits,)
        -1 not counted, 0 not fixed, 1 fixed, 2 pending; in the order given.
    """

    ratio: float
    lower: float
    upper: float
    survival_ratio: float
    survival_lower: float
    survival_upper: float
    n_fixed: int
    n_not_fixed: int
    n_pending: int
    n_unknown_key: int
    window_days: float
    interval_ratio: float
    status: npt.NDArray[np.int8]


def first_time_fix(
    key: IntArray,
    ended_day: FloatArray,
    is_corrective: BoolArray,
    is_resolved: BoolArray,
    *,
    as_of_day: float,
    window_days: float = DEFAULT_WINDOW_DAYS,
    is_counted: BoolArray | None = None,
    interval_ratio: float = 0.8,
) -> FirstTimeFix:
    """Share of corrective visits that fixed the fault and saw no repeat within the window.

    A visit is fixed the first time if it resolved the fault and no later corrective visit on the
    same key ended within `window_days` of its end; two visits that end at the same moment (two
    people on one job) are not repeats of each other. It has matured when its end plus the window
    is not after `as_of_day`. Visits that end after `as_of_day` are not known yet. Intervals are
    Jeffreys' [1]_; the estimate that also uses visits not yet matured is Kaplan and Meier's [2]_,
    with a visit that did not resolve the fault failing at once.

    Parameters
    ----------
    key : ndarray of int, shape (n_visits,)
        What must not fail again: codes for asset and fault, asset, or site; below 0 where not
        known. Pass every visit on a key, also those outside the period or team of interest.
    ended_day : ndarray of shape (n_visits,)
        End of each visit. [days]
    is_corrective : ndarray of bool, shape (n_visits,)
        True for repairs; others neither count nor repeat.
    is_resolved : ndarray of bool, shape (n_visits,)
        True where the visit left nothing to be done.
    as_of_day : float
        Moment of the question, on the same clock. [days]
    window_days : float
        Window in which the fault must not come back; 7, 14 and 30 are usual. [days]
    is_counted : ndarray of bool, shape (n_visits,), optional
        Visits to judge (a period, a technician); all if left out. The others still repeat.
    interval_ratio : float
        Central part the intervals cover.

    Returns
    -------
    FirstTimeFix
        Figures, counts and each visit's status.

    Raises
    ------
    ShapeError
        If the arrays differ in length.
    DomainError
        If the window is not above 0, an interval is not within 0 and 1, or an end is not finite.

    References
    ----------
    .. [1] L. D. Brown, T. T. Cai and A. DasGupta, "Interval estimation for a binomial
       proportion", Statistical Science, vol. 16, no. 2, pp. 101-133, 2001.
    .. [2] E. L. Kaplan and P. Meier, "Nonparametric estimation from incomplete observations",
       Journal of the American Statistical Association, vol. 53, pp. 457-481, 1958.

    Examples
    --------
    >>> found = first_time_fix(
    ...     np.array([1, 1, 2, 3]),
    ...     np.array([0.0, 10.0, 20.0, 95.0]),
    ...     np.ones(4, dtype=bool),
    ...     np.ones(4, dtype=bool),
    ...     as_of_day=100.0,
    ... )
    >>> found.status.tolist(), round(found.ratio, 3), found.n_pending
    ([0, 1, 1, 2], 0.667, 1)
    """
    counted = np.ones(key.shape, dtype=np.bool_) if is_counted is None else is_counted
    _check(key, ended_day, is_corrective, is_resolved, counted, window_days, interval_ratio)
    corrective = is_corrective & (ended_day <= as_of_day)
    known = corrective & (key >= 0)
    gap_days = np.full(key.shape, np.inf)
    gap_days[known] = days_to_next(key[known], ended_day[known])
    judged = known & counted
    followed_days = as_of_day - ended_day
    has_matured = followed_days >= window_days
    has_failed = ~is_resolved | (gap_days <= window_days)

    status = np.full(key.shape, NOT_COUNTED, dtype=np.int8)
    status[judged & has_matured] = np.where(has_failed, NOT_FIXED, FIXED)[judged & has_matured]
    status[judged & ~has_matured] = PENDING
    n_fixed = int((status == FIXED).sum())
    n_not_fixed = int((status == NOT_FIXED).sum())
    lower, upper = jeffreys_interval(n_fixed, n_fixed + n_not_fixed, interval_ratio)

    lasted_days = np.where(
        is_resolved, np.minimum(np.minimum(gap_days, followed_days), window_days), 0.0
    )
    survival = _kaplan_meier(lasted_days[judged], has_failed[judged], window_days, interval_ratio)
    return FirstTimeFix(
        ratio=n_fixed / (n_fixed + n_not_fixed) if n_fixed + n_not_fixed else np.nan,
        lower=lower,
        upper=upper,
        survival_ratio=survival[0],
        survival_lower=survival[1],
        survival_upper=survival[2],
        n_fixed=n_fixed,
        n_not_fixed=n_not_fixed,
        n_pending=int((status == PENDING).sum()),
        n_unknown_key=int((corrective & counted & (key < 0)).sum()),
        window_days=window_days,
        interval_ratio=interval_ratio,
        status=status,
    )


def jeffreys_interval(
    n_hits: int, n_trials: int, interval_ratio: float = 0.8
) -> tuple[float, float]:
    """Central interval of a proportion, from the Beta(1/2, 1/2) prior.

    Parameters
    ----------
    n_hits, n_trials : int
        Hits among trials.
    interval_ratio : float
        What it covers.

    Returns
    -------
    tuple of float
        Lower and upper end; 0 and 1 are reached when no or all trials hit, and both are ``nan``
        without trials.

    Examples
    --------
    >>> lower, upper = jeffreys_interval(9, 12)
    >>> round(lower, 3), round(upper, 3)
    (0.569, 0.876)
    """
    if n_trials == 0:
        return np.nan, np.nan
    tail = (1.0 - interval_ratio) / 2.0
    posterior = scipy.stats.beta(n_hits + 0.5, n_trials - n_hits + 0.5)
    lower = 0.0 if n_hits == 0 else float(posterior.ppf(tail))
    upper = 1.0 if n_hits == n_trials else float(posterior.ppf(1.0 - tail))
    return lower, upper


def shrunk_ratio(
    n_hits: FloatArray, n_trials: FloatArray, *, prior_ratio: float, prior_n: float
) -> FloatArray:
    """Draw ratios of few trials towards a usual one (beta-binomial posterior mean).

    One more trial that hits never lowers the answer, one that misses never raises it.

    Parameters
    ----------
    n_hits, n_trials : ndarray of shape (n,)
        Hits among trials; ``n_trials`` may be 0.
    prior_ratio : float
        Usual ratio, the answer without trials.
    prior_n : float
        How many trials the usual ratio is worth.

    Returns
    -------
    ndarray of shape (n,)
        Ratios between 0 and 1.

    Raises
    ------
    DomainError
        If there are more hits than trials, hits below 0, or `prior_n` is not above 0.

    Examples
    --------
    >>> n_hits, n_trials = np.array([0.0, 1.0, 10.0]), np.array([0.0, 1.0, 20.0])
    >>> shrunk_ratio(n_hits, n_trials, prior_ratio=0.15, prior_n=4).round(3)
    array([0.15 , 0.32 , 0.442])
    """
    if (n_hits > n_trials).any() or (n_hits < 0).any() or not prior_n > 0:
        msg = f"shrunk_ratio: needs 0 <= n_hits <= n_trials and prior_n above 0, not {prior_n}"
        raise DomainError(msg)
    return (n_hits + prior_ratio * prior_n) / (n_trials + prior_n)


def _check(
    key: IntArray,
    ended_day: FloatArray,
    is_corrective: BoolArray,
    is_resolved: BoolArray,
    is_counted: BoolArray,
    window_days: float,
    interval_ratio: float,
) -> None:
    shapes = {a.shape for a in (key, ended_day, is_corrective, is_resolved, is_counted)}
    if len(shapes) != 1 or key.ndim != 1:
        msg = (
            f"first_time_fix: arrays have shapes {sorted(shapes)}; pass one entry per visit in each"
        )
        raise ShapeError(msg)
    if not (window_days > 0 and 0 < interval_ratio < 1):
        msg = (
            f"first_time_fix: window_days {window_days} must be above 0 and interval_ratio "
            f"{interval_ratio} between 0 and 1"
        )
        raise DomainError(msg)
    if not np.isfinite(ended_day).all():
        row = int(np.argmin(np.isfinite(ended_day)))
        msg = f"first_time_fix: visit {row} has no end; leave visits out until they have ended"
        raise DomainError(msg)


def days_to_next(key: IntArray, ended_day: FloatArray) -> FloatArray:
    """Find how long it took until the same thing was visited again.

    Parameters
    ----------
    key : ndarray of int, shape (n_visits,)
        What was visited.
    ended_day : ndarray of shape (n_visits,)
        End of each visit. [days]

    Returns
    -------
    ndarray of shape (n_visits,)
        To the next visit on its key that ended strictly later, inf if there is none; two people
        who leave together are one visit. [days]

    Examples
    --------
    >>> days_to_next(np.array([1, 1, 1, 2]), np.array([0.0, 0.0, 9.0, 1.0]))
    array([ 9.,  9., inf, inf])
    """
    order = np.lexsort((ended_day, key))
    key, ended_day = key[order], ended_day[order]
    starts_run = np.ones(key.size, dtype=np.bool_)
    starts_run[1:] = (key[1:] != key[:-1]) | (ended_day[1:] != ended_day[:-1])
    first = np.flatnonzero(starts_run)  # one run per key and moment
    run = np.cumsum(starts_run) - 1
    next_days = np.full(first.size, np.inf)
    same_key = key[first[1:]] == key[first[:-1]]
    next_days[:-1][same_key] = np.diff(ended_day[first])[same_key]
    gap_days = np.empty(key.size)
    gap_days[order] = next_days[run]
    return gap_days


def _kaplan_meier(
    lasted_days: FloatArray, has_failed: BoolArray, window_days: float, interval_ratio: float
) -> tuple[float, float, float]:
    """Estimate at the window's end, with Greenwood's interval on the log(-log) scale."""
    if lasted_days.size == 0:
        return np.nan, np.nan, np.nan
    moments, inverse = np.unique(lasted_days, return_inverse=True)
    n_failed = np.bincount(inverse, weights=has_failed, minlength=moments.size)
    n_left = np.bincount(inverse, minlength=moments.size)
    n_at_risk = lasted_days.size - np.concatenate([[0], np.cumsum(n_left)[:-1]])
    survival = float(np.prod(1.0 - n_failed / n_at_risk))
    if survival > 0.0 and moments[-1] < window_days:
        return np.nan, np.nan, np.nan
    if survival in {0.0, 1.0}:
        # Greenwood's variance is 0 there; all lasted equally long, so they are plain trials.
        n = int(n_at_risk[-1]) if survival == 1.0 else int(lasted_days.size)
        return survival, *jeffreys_interval(round(survival * n), n, interval_ratio)
    greenwood = float((n_failed / (n_at_risk * (n_at_risk - n_failed))).sum())
    z = float(scipy.stats.norm.ppf(0.5 + interval_ratio / 2.0))
    width = z * np.sqrt(greenwood) / np.log(survival)
    return survival, float(survival ** np.exp(-width)), float(survival ** np.exp(width))
