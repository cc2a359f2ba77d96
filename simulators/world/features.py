"""What the true hazard depends on, measured from everything that has happened so far."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from simulators.world.law import HOURS_PER_DAY, MONTH_H, FloatArray
from simulators.world.state import CustomerState, Job, MachineState, Standstill, Visit

REPEAT_WINDOW_DAYS: Final = 30.0
_LONGEST_JOB_DAYS: Final = 60.0
"""No job takes longer from failure to repair, so nothing older reaches into a window. [d]"""


@dataclass(slots=True)
class OtherCourse:
    """How things would have gone with one change.

    Parameters
    ----------
    without : Job or None
        Work order of a failure that does not happen.
    paid_h : dict of str to float
        When bills would have been paid instead, by key. [h]
    usage_log_level : ndarray or None
        What use would have been, by month; None as it was.
    """

    without: Job | None = None
    paid_h: dict[str, float] = field(default_factory=dict)
    usage_log_level: FloatArray | None = None


AS_IT_WAS: Final = OtherCourse()


def features_at(
    customer: CustomerState, landmark_h: float, course: OtherCourse = AS_IT_WAS
) -> FloatArray:
    """Measure what the hazard depends on but for relations, from everything so far.

    Parameters
    ----------
    customer : CustomerState
        The customer.
    landmark_h : float
        Nothing after this moment is used. [h]
    course : OtherCourse
        A change to what happened; none by default.

    Returns
    -------
    ndarray of shape (5,)
        The first five of `HAZARD_FEATURES`; 0 where there is nothing to measure.
    """
    return np.array([
        sum(downtime_h(machine, landmark_h, 90.0, course.without) for machine in customer.machines)
        / len(customer.machines),
        _repeat_visit_ratio(customer, landmark_h, course.without),
        _response_excess_ratio(customer, landmark_h, course.without),
        _late_payment_days(customer, landmark_h, course.paid_h),
        _usage_change_ratio(customer, landmark_h, course.usage_log_level),
    ])


def downtime_h(
    machine: MachineState, landmark_h: float, window_days: float, without: Job | None = None
) -> float:
    """Count unplanned standstill before a landmark.

    Parameters
    ----------
    machine : MachineState
        The machine.
    landmark_h : float
        The landmark. [h]
    window_days : float
        How far to look back. [d]
    without : Job, optional
        Work order whose standstills don't count.

    Returns
    -------
    float
        Within the window. [h]
    """
    start_h = landmark_h - window_days * HOURS_PER_DAY
    total_h = 0.0
    for one in recent(machine.standstills, start_h):
        if one.is_planned or one.job is without or one.ended_h <= start_h:
            continue
        if one.started_h < landmark_h:
            total_h += min(one.ended_h, landmark_h) - max(one.started_h, start_h)
    return total_h


def recent(standstills: Sequence[Standstill], since_h: float) -> Iterator[Standstill]:
    """Go back through standstills until none can reach past a time.

    Parameters
    ----------
    standstills : sequence of Standstill
        In the order they began, or nearly.
    since_h : float
        The time. [h]

    Yields
    ------
    Standstill
        The newest first.
    """
    earliest_h = since_h - _LONGEST_JOB_DAYS * HOURS_PER_DAY
    for one in reversed(standstills):
        if one.started_h < earliest_h:
            return
        yield one


def _repeat_visit_ratio(customer: CustomerState, landmark_h: float, without: Job | None) -> float:
    """Corrective visits that follow another for the same fault within 30 days, among all."""
    start_h = landmark_h - 180.0 * HOURS_PER_DAY
    n_visits = n_repeats = 0
    for machine in customer.machines:
        last_left_h: dict[str, float] = {}
        for visit in _visits_since(machine.visits, start_h):
            fault = visit.job.fault_code
            if fault is None or visit.left_h > landmark_h or visit.job is without:
                continue
            before_h = last_left_h.get(fault, -math.inf)
            last_left_h[fault] = visit.left_h
            if visit.left_h > start_h:
                n_visits += 1
                n_repeats += visit.arrived_h - before_h <= REPEAT_WINDOW_DAYS * HOURS_PER_DAY
    return n_repeats / n_visits if n_visits else 0.0


def _visits_since(visits: Sequence[Visit], start_h: float) -> Sequence[Visit]:
    """Visits in order, from well before a time: earlier ones can't be repeated after it."""
    earliest_h = start_h - _LONGEST_JOB_DAYS * HOURS_PER_DAY
    first = len(visits)
    while first and visits[first - 1].left_h >= earliest_h:
        first -= 1
    return visits[first:]


def _response_excess_ratio(
    customer: CustomerState, landmark_h: float, without: Job | None
) -> float:
    """Mean time over the promised response, as part of the promise."""
    start_h = landmark_h - 90.0 * HOURS_PER_DAY
    total, n_jobs = 0.0, 0
    for machine in customer.machines:
        first_arrival_h: dict[int, float] = {}
        for visit in _visits_since(machine.visits, start_h):
            first_arrival_h.setdefault(id(visit.job), visit.arrived_h)
        for job in reversed(machine.jobs):
            if job.opened_h <= start_h - _LONGEST_JOB_DAYS * HOURS_PER_DAY:
                break
            if job.kind != "corrective" or not start_h < job.opened_h <= landmark_h:
                continue
            if job is not without:
                response_h = min(first_arrival_h[id(job)], landmark_h) - job.opened_h
                total += max(0.0, response_h / customer.response_target_h - 1.0)
                n_jobs += 1
    return total / n_jobs if n_jobs else 0.0


def _late_payment_days(
    customer: CustomerState, landmark_h: float, paid_h: dict[str, float]
) -> float:
    """Mean days late of the bills that fell due within 180 days; an open bill counts so far."""
    start_h = landmark_h - 180.0 * HOURS_PER_DAY
    total_days, n_bills = 0.0, 0
    for invoice in customer.invoices:
        if invoice.due_h > landmark_h:
            break
        if invoice.due_h > start_h:
            settled_h = min(paid_h.get(invoice.key, invoice.paid_h), landmark_h)
            total_days += max(0.0, settled_h - invoice.due_h) / HOURS_PER_DAY
            n_bills += 1
    return total_days / n_bills if n_bills else 0.0


def _usage_change_ratio(
    customer: CustomerState, landmark_h: float, usage_log_level: FloatArray | None
) -> float:
    """Use in the last three months over the three before, less one."""
    month = round(landmark_h / MONTH_H)
    if month < 6 or customer.joins_h > landmark_h - 6.0 * MONTH_H:
        return 0.0
    log_level = customer.usage_log_level if usage_log_level is None else usage_log_level
    level = [math.exp(each) for each in log_level[month - 6 : month].tolist()]
    return sum(level[3:]) / sum(level[:3]) - 1.0
