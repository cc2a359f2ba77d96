"""Measures that people compare: first-time fix and downtime exposure, with their definitions."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

import numpy as np

from analytics.retention.downtime import downtime_cost
from analytics.retention.first_time_fix import first_time_fix as judge_visits
from api.history import HOURS_PER_DAY, Known
from api.registry.as_of import EPOCH
from api.registry.catalogue import MachineFacts
from api.retention.features import corrective_visits, unplanned, unplanned_downtime_h
from api.retention.schemas import DowntimeExposure, Exposure, FirstTimeFix
from api.shapes import Money

EXPOSURE_DEFINITION = (
    "Unplanned standstill of machines under a running contract, overlaps on one machine counted "
    "once, times what an hour costs the customer; the maker bears its share by contract."
)


def first_time_fix(
    facts: Known, customer_key: str | None, window_days: float, repeat_window_days: float
) -> FirstTimeFix:
    """Share of corrective visits that fixed the fault for good.

    Parameters
    ----------
    facts : Known
        The registry at the moment of the question.
    customer_key : str or None
        Only visits to this customer.
    window_days : float
        Visits of this long back are counted. [days]
    repeat_window_days : float
        The fault must not come back within this time. [days]

    Returns
    -------
    FirstTimeFix
        With its definition and interval.
    """
    visits, machine, key = corrective_visits(facts)
    ended_day = visits["left_at"] / HOURS_PER_DAY
    as_of_day = facts.at_h / HOURS_PER_DAY
    is_counted = ended_day > as_of_day - window_days
    if customer_key is not None:
        of_customer = facts.customers.index(customer_key)
        is_counted &= facts.machine_customer[machine] == of_customer
    found = judge_visits(
        key,
        ended_day,
        np.ones(key.shape, dtype=np.bool_),
        visits["is_resolved"],
        as_of_day=as_of_day,
        window_days=repeat_window_days,
        is_counted=is_counted,
    )
    n_judged = found.n_fixed + found.n_not_fixed
    to_at = EPOCH + timedelta(hours=facts.at_h)
    return FirstTimeFix(
        customer_key=customer_key,
        first_time_fix_ratio=found.ratio if n_judged else None,
        lower=found.lower if n_judged else None,
        upper=found.upper if n_judged else None,
        n_fixed=found.n_fixed,
        n_failed=found.n_not_fixed,
        n_pending=found.n_pending,
        repeat_window_days=repeat_window_days,
        from_at=to_at - timedelta(days=window_days),
        to_at=to_at,
        definition=(
            "Corrective visits that left nothing to be done and saw no further corrective visit "
            f"for the same fault of the machine within {repeat_window_days:g} days, out of all "
            "whose time has passed; more recent ones are pending, not fixed."
        ),
        note=None
        if n_judged
        else f"no corrective visit of the last {window_days:g} days is old enough to judge",
    )


def exposure(
    facts: Known,
    machines: Mapping[str, MachineFacts],
    window_h: float,
    customer_keys: Collection[str] | None = None,
) -> list[Exposure]:
    """Unplanned standstill by customer.

    Parameters
    ----------
    facts : Known
        The registry at the moment of the question.
    machines : mapping of str to MachineFacts
        What an hour costs, and who bears it.
    window_h : float
        How far back. [h]
    customer_keys : collection of str, optional
        Only these customers.

    Returns
    -------
    list of Exposure
        One for each customer and currency, the most costly first.
    """
    hours = unplanned_downtime_h(facts, window_h)
    rows = unplanned(facts, window_h)
    n_downtimes = np.bincount(rows.parent, minlength=len(facts.machines))
    chosen = [
        row
        for row, key in enumerate(facts.machines)
        if facts.machine_customer[row] >= 0
        and key in machines
        and (customer_keys is None or machines[key].customer_key in customer_keys)
    ]
    named = [machines[facts.machines[row]] for row in chosen]
    cost = downtime_cost(
        hours[chosen],
        np.array([machine.downtime_cost_per_h for machine in named]),
        np.array([machine.contract.downtime_vendor_share_ratio for machine in named]),
    )
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    for place, (row, machine) in enumerate(zip(chosen, named, strict=True)):
        group = groups.setdefault((machine.customer_key, machine.currency), _nothing(machine))
        group["n_machines"] += 1
        group["n_downtimes"] += int(n_downtimes[row])
        group["downtime_h"] += float(hours[row])
        group["cost"] += float(cost.total[place])
        group["vendor_cost"] += float(cost.vendor[place])
    exposures = [_exposure(group, currency) for (_, currency), group in groups.items()]
    return sorted(exposures, key=lambda one: (-one.cost.amount, one.customer_key or ""))


def downtime_exposure(
    facts: Known, machines: Mapping[str, MachineFacts], window_h: float
) -> DowntimeExposure:
    """Unplanned standstill in total by currency, and by customer.

    Parameters
    ----------
    facts : Known
        The registry at the moment of the question.
    machines : mapping of str to MachineFacts
        What an hour costs, and who bears it.
    window_h : float
        How far back. [h]

    Returns
    -------
    DowntimeExposure
        With its definition.
    """
    customers = exposure(facts, machines, window_h)
    totals: dict[str, dict[str, Any]] = {}
    for one in customers:
        total = totals.setdefault(one.cost.currency, _nothing(None))
        total["n_machines"] += one.n_machines
        total["n_downtimes"] += one.n_downtimes
        total["downtime_h"] += one.downtime_h
        total["cost"] += one.cost.amount
        total["vendor_cost"] += one.vendor_cost.amount
    to_at = EPOCH + timedelta(hours=facts.at_h)
    return DowntimeExposure(
        from_at=to_at - timedelta(hours=window_h),
        to_at=to_at,
        definition=EXPOSURE_DEFINITION,
        totals=[_exposure(total, currency) for currency, total in sorted(totals.items())],
        customers=customers,
    )


def _nothing(machine: MachineFacts | None) -> dict[str, Any]:
    return {
        "customer_key": None if machine is None else machine.customer_key,
        "customer_name": None if machine is None else machine.customer_name,
        "n_machines": 0,
        "n_downtimes": 0,
        "downtime_h": 0.0,
        "cost": 0.0,
        "vendor_cost": 0.0,
    }


def _exposure(sums: dict[str, Any], currency: str) -> Exposure:
    money = {
        name: Money(amount=round(sums[name], 2), currency=currency)
        for name in ("cost", "vendor_cost")
    }
    return Exposure(**{**sums, **money})
