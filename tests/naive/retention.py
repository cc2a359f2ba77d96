"""Slow, obvious versions of `analytics.retention`: one visit, standstill or customer at a time."""

import itertools
import math
from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal

import numpy as np
import scipy.integrate
import scipy.optimize

from analytics.arrays import BoolArray, FloatArray, IntArray
from analytics.retention.churn import ChurnPrior, FeatureSpec


def visit_statuses(
    key: IntArray,
    ended_day: FloatArray,
    is_corrective: BoolArray,
    is_resolved: BoolArray,
    as_of_day: float,
    window_days: float,
) -> list[int]:
    """-1 not counted, 0 not fixed, 1 fixed, 2 pending, by comparing every pair of visits."""
    statuses = []
    for i in range(key.size):
        if not is_corrective[i] or ended_day[i] > as_of_day or key[i] < 0:
            statuses.append(-1)
            continue
        if as_of_day - ended_day[i] < window_days:
            statuses.append(2)
            continue
        has_repeat = any(
            is_corrective[j]
            and key[j] == key[i]
            and ended_day[j] <= as_of_day
            and 0.0 < ended_day[j] - ended_day[i] <= window_days
            for j in range(key.size)
        )
        statuses.append(1 if is_resolved[i] and not has_repeat else 0)
    return statuses


def kaplan_meier(
    key: IntArray,
    ended_day: FloatArray,
    is_resolved: BoolArray,
    as_of_day: float,
    window_days: float,
) -> float:
    """Probability of no repeat within the window; all visits corrective and known."""
    lasted, failed = [], []
    for i in range(key.size):
        gaps = [
            ended_day[j] - ended_day[i]
            for j in range(key.size)
            if key[j] == key[i] and ended_day[j] > ended_day[i]
        ]
        gap = min(gaps, default=math.inf)
        if not is_resolved[i]:
            lasted.append(0.0)
        else:
            lasted.append(float(min(gap, as_of_day - ended_day[i], window_days)))
        failed.append(not is_resolved[i] or gap <= window_days)
    survival = 1.0
    for moment in sorted(set(lasted)):
        n_at_risk = sum(time >= moment for time in lasted)
        n_failed = sum(fail and time == moment for time, fail in zip(lasted, failed, strict=True))
        survival *= 1.0 - n_failed / n_at_risk
    if survival > 0.0 and max(lasted) < window_days:
        return math.nan
    return survival


def union_h(
    starts: Sequence[float], ends: Sequence[float], window_start_h: float, window_end_h: float
) -> float:
    """Hours covered by intervals of one machine, by testing every piece between two ends."""
    ends = [window_end_h if math.isnan(end) else end for end in ends]
    cuts = sorted({
        window_start_h,
        window_end_h,
        *(cut for cut in [*starts, *ends] if window_start_h < cut < window_end_h),
    })
    covered = 0.0
    for left, right in itertools.pairwise(cuts):
        if any(s <= left and right <= e for s, e in zip(starts, ends, strict=True)):
            covered += right - left
    return covered


def churn_probability(
    features: Sequence[FeatureSpec], weight: FloatArray, intercept: float, x: FloatArray, n: float
) -> tuple[float, list[float]]:
    """Probability and contributions of one customer, month by month where months are whole."""
    contributions = []
    for spec, w, value in zip(features, weight, x, strict=True):
        held = spec.reference if math.isnan(value) else min(max(value, spec.lowest), spec.highest)
        contributions.append(w * (held - spec.reference))
    hazard = 1.0 / (1.0 + math.exp(-intercept - sum(contributions)))
    stays = 1.0
    for _ in range(int(n)):
        stays *= 1.0 - hazard
    return 1.0 - stays * (1.0 - hazard) ** (n - int(n)), contributions


def attributed(baseline_log_odds: float, contributions: FloatArray, n: float) -> list[float]:
    """Part of each contribution in the probability, by integrating along the straight path."""
    total = float(contributions.sum())

    def slope(share: float) -> float:
        hazard = 1.0 / (1.0 + math.exp(-baseline_log_odds - share * total))
        return float(n * hazard * (1.0 - hazard) ** n)

    mean_slope = scipy.integrate.quad(slope, 0.0, 1.0, epsabs=1e-13)[0]
    return [float(c * mean_slope) for c in contributions]


def largest_remainder(parts: Sequence[float], total: float) -> list[Decimal]:
    """Whole cents that add up, in exact decimals."""
    cents = [Decimal(round(part * 1e8)) / Decimal(10**6) for part in parts]
    floors = [cent.to_integral_value(ROUND_FLOOR) for cent in cents]
    missing = int(Decimal(round(total * 100.0)) - sum(floors))
    by_remainder = sorted(range(len(cents)), key=lambda i: (floors[i] - cents[i], i))
    for i in by_remainder[:missing]:
        floors[i] += 1
    return [floor / 100 for floor in floors]


def map_estimate(X: FloatArray, churned: BoolArray, prior: ChurnPrior) -> FloatArray:
    """Most probable coefficients by a general optimiser, rows in a loop-free but plain form."""
    mean, sd, lower, upper = prior.coefficients()
    reference = np.array([spec.reference for spec in prior.features])
    lowest = np.array([spec.lowest for spec in prior.features])
    highest = np.array([spec.highest for spec in prior.features])
    held = np.where(np.isnan(X), reference, np.clip(X, lowest, highest)) - reference
    Z = np.hstack([np.ones((X.shape[0], 1)), held @ prior.ties])

    def loss(scaled: FloatArray) -> float:
        beta = mean + sd * scaled
        eta = Z @ beta
        likelihood = np.where(churned, -np.logaddexp(0, -eta), -np.logaddexp(0, eta)).sum()
        return float(-likelihood + 0.5 * (scaled**2).sum())

    found = scipy.optimize.minimize(
        loss,
        np.zeros(mean.size),
        method="L-BFGS-B",
        bounds=list(zip((lower - mean) / sd, (upper - mean) / sd, strict=True)),
        options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 5000, "maxfun": 200_000},
    )
    beta: FloatArray = mean + sd * found.x
    return beta


def cohort_churn(value_at_start: Sequence[float], value_at_end: Sequence[float]) -> float:
    """Lost customers of the start, counted one by one."""
    n_at_start = n_lost = 0
    for start, end in zip(value_at_start, value_at_end, strict=True):
        if start > 0:
            n_at_start += 1
            n_lost += end == 0
    return n_lost / n_at_start
