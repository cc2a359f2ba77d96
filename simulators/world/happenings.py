"""What the office wrote down of jobs, visits, standstills, letters and use.

A fact that takes time is written when it begins and again, as a new version under the same key,
when it ends. Leaving ends whatever is open.
"""

import math
from collections.abc import Iterator
from datetime import date, timedelta

from simulators.world.features import recent
from simulators.world.history import machines_of
from simulators.world.law import HOURS_PER_DAY, MONTH_H
from simulators.world.rows import CLOSING_AFTER_OPENING_H, Row
from simulators.world.state import CustomerState, MachineState, World


def work_orders(world: World) -> Iterator[Row]:
    """Tell what jobs were opened and closed.

    Parameters
    ----------
    world : World
        A world that has been played.

    Yields
    ------
    Row
        Columns as in `tables.TABLES`.
    """
    moment = world.calendar.moment
    for customer, machine in machines_of(world):
        for job in machine.jobs:
            if job.opened_h >= customer.left_h:
                continue
            closed_h = min(job.closed_h, customer.left_h)
            known_h = job.opened_h + job.delay_h
            cells = (job.key, job.machine_key, job.kind, job.fault_code, moment(job.opened_h))
            yield Row(job.opened_h, known_h, (*cells, None, None))
            closing_known_h = max(closed_h + job.closing_delay_h, known_h + CLOSING_AFTER_OPENING_H)
            yield Row(closed_h, closing_known_h, (*cells, moment(closed_h), None))


def visits(world: World) -> Iterator[Row]:
    """Tell who went, and whether it helped.

    Parameters
    ----------
    world : World
        A world that has been played.

    Yields
    ------
    Row
        Columns as in `tables.TABLES`.
    """
    moment = world.calendar.moment
    for customer, machine in machines_of(world):
        for visit in machine.visits:
            if visit.left_h > customer.left_h:
                continue
            cells = (
                visit.key,
                visit.job.key,
                visit.technician_key,
                moment(visit.arrived_h),
                moment(visit.left_h),
                visit.is_resolved,
                visit.incomplete_reason,
            )
            # The report names its work order, so it can't be filed before that is.
            job_known_h = visit.job.opened_h + visit.job.delay_h
            yield Row(visit.left_h, max(visit.left_h + visit.delay_h, job_known_h), cells)


def downtimes(world: World) -> Iterator[Row]:
    """Tell what stood still.

    Parameters
    ----------
    world : World
        A world that has been played.

    Yields
    ------
    Row
        Columns as in `tables.TABLES`.
    """
    moment = world.calendar.moment
    for customer, machine in machines_of(world):
        for one in machine.standstills:
            if one.started_h >= customer.left_h or one.job.opened_h >= customer.left_h:
                continue
            ended_h = min(one.ended_h, customer.left_h)
            known_h = max(one.started_h, one.job.opened_h) + one.job.delay_h
            begin = (one.key, machine.key, moment(one.started_h))
            end = (one.is_planned, one.cause, one.job.key)
            yield Row(one.started_h, known_h, (*begin, None, *end))
            ending_known_h = max(ended_h + one.ending_delay_h, known_h + CLOSING_AFTER_OPENING_H)
            yield Row(ended_h, ending_known_h, (*begin, moment(ended_h), *end))


def tickets(world: World) -> Iterator[Row]:
    """Tell what customers wrote.

    Parameters
    ----------
    world : World
        A world that has been played.

    Yields
    ------
    Row
        Columns as in `tables.TABLES`.
    """
    moment = world.calendar.moment
    for customer in world.customers:
        for ticket in customer.tickets:
            if ticket.opened_h >= customer.left_h:
                continue
            closed_h = min(ticket.closed_h, customer.left_h)
            known_h = ticket.opened_h + ticket.delay_h
            cells = (ticket.key, customer.key, ticket.machine_key, ticket.kind)
            yield Row(ticket.opened_h, known_h, (*cells, moment(ticket.opened_h), None))
            closing_known_h = max(closed_h, known_h) + CLOSING_AFTER_OPENING_H
            closing = (*cells, moment(ticket.opened_h), moment(closed_h))
            yield Row(closed_h, closing_known_h, closing)


def usages(world: World) -> Iterator[Row]:
    """Tell how much machines ran in each whole calendar month.

    Parameters
    ----------
    world : World
        A world that has been played.

    Yields
    ------
    Row
        Columns as in `tables.TABLES`.
    """
    for customer, machine in machines_of(world):
        month = _month_after(world.calendar.day(customer.joins_h))
        while True:
            next_month = _month_after(month)
            start_h = world.calendar.midnight_h(month)
            end_h = world.calendar.midnight_h(next_month)
            if end_h > min(world.calendar.history_h, customer.left_h):
                break
            run_h, n_logins, delay_h = _usage(customer, machine, start_h, end_h)
            key = f"usage-{machine.key}-{month:%Y-%m}"
            yield Row(end_h, end_h + delay_h, (key, machine.key, month, run_h, n_logins))
            month = next_month


def _month_after(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def _usage(
    customer: CustomerState, machine: MachineState, start_h: float, end_h: float
) -> tuple[float, int, float]:
    """Run hours and log-ins of one calendar month, and how long the report took."""
    level = customer.usage_log_level
    n_days = round((end_h - start_h) / HOURS_PER_DAY)
    days = 0.0
    for month in range(int((start_h + 12.0) / MONTH_H), int((end_h - 12.0) / MONTH_H) + 1):
        # Noons of this calendar month that lie in this month of history.
        first = max(0, math.ceil((month * MONTH_H - start_h - 12.0) / HOURS_PER_DAY))
        last = min(n_days, math.ceil(((month + 1) * MONTH_H - start_h - 12.0) / HOURS_PER_DAY))
        days += (last - first) * math.exp(level[month])
    down_h = sum(
        max(0.0, min(one.ended_h, end_h) - max(one.started_h, start_h))
        for one in recent(machine.standstills, start_h)
    )
    noise = float(machine.chance.lognormal(0.0, 0.02))
    run_ratio = machine.law.run_h_per_day * noise / HOURS_PER_DAY
    run_h = max(0.0, (days * HOURS_PER_DAY - down_h) * run_ratio)
    n_logins = int(machine.chance.poisson(12.0 * days / 30.0))
    return round(min(run_h, end_h - start_h), 1), n_logins, float(machine.chance.uniform(6.0, 60.0))
