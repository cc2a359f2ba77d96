"""Slow, obvious versions of `analytics.planning`: one machine and one day at a time."""

from collections.abc import Callable

import numpy as np
import scipy.integrate
import scipy.optimize

from analytics.arrays import FloatArray


def cost_of_waiting(
    survival: FloatArray, planned_cost: float, failure_cost: float, cost_rate_per_day: float
) -> tuple[list[float], int]:
    """Penalty of each day of one machine, and its cheapest day."""
    phi = []
    running_days = 0.0
    for day, alive in enumerate(survival):
        if day > 0:
            running_days += (survival[day - 1] + alive) / 2.0
        phi.append(
            planned_cost * alive + failure_cost * (1.0 - alive) - cost_rate_per_day * running_days
        )
    best = min(phi)
    slack = 1e-9 * (planned_cost + failure_cost)
    best_day = max(day for day, cost in enumerate(phi) if cost - best <= slack)
    return [cost - best for cost in phi], best_day


def best_age(
    survival: Callable[[float], float], planned_cost: float, failure_cost: float, last_days: float
) -> tuple[float, float]:
    """Cost rate and age of the best replacement, by quadrature and a search over ages."""

    def rate(age_days: float) -> float:
        running_days = scipy.integrate.quad(survival, 0.0, age_days, limit=200)[0]
        alive = survival(age_days)
        return float((planned_cost * alive + failure_cost * (1.0 - alive)) / running_days)

    ages = np.linspace(last_days / 200.0, last_days, 200)
    coarse = min(ages, key=rate)
    found = scipy.optimize.minimize_scalar(
        rate, bounds=(max(coarse - last_days / 100.0, 1e-6), coarse + last_days / 100.0)
    )
    return float(found.fun), float(found.x)


def simulated_cost(
    residual_days: FloatArray,
    day: int,
    planned_cost: float,
    failure_cost: float,
    cost_rate_per_day: float,
) -> float:
    """Mean cost of going on a day, over drawn residual lives, against the long run."""
    total = 0.0
    for life in residual_days:
        ended = min(life, day)
        total += (failure_cost if life < day else planned_cost) - cost_rate_per_day * ended
    return total / residual_days.size


def daily_survival(horizon_h: FloatArray, survival: FloatArray, n_days: int) -> list[float]:
    """Survival of one machine at the ends of days."""
    hours, alive = [0.0, *horizon_h], [1.0, *survival]
    if horizon_h[0] == 0.0:
        hours, alive = list(horizon_h), list(survival)
    return [float(np.interp(24.0 * day, hours, alive)) for day in range(n_days + 1)]
