"""What customers feel, write, pay and use, and whether they leave: once every month."""

import math

import numpy as np

from simulators.world.law import (
    HAZARD_FEATURES,
    HAZARD_INTERCEPT,
    HOURS_PER_DAY,
    MONTH_H,
    N_LEAD_IN_MONTHS,
    N_SERVICE_TERMS,
    FloatArray,
    hazard_log_odds,
    monthly_hazard,
)
from simulators.world.service import Repair
from simulators.world.state import CustomerState, MachineState, Ticket, TruthRow, World

SILENCE_GAIN = 0.9
"""How fast letters dry up with the log-odds of leaving above `CONTENT_LOG_ODDS`."""
CONTENT_LOG_ODDS = HAZARD_INTERCEPT + 1.0
QUESTIONS_PER_MACHINE_MONTH = 0.25
QUESTIONS_PER_FAILURE = 0.8
COMPLAINT_DOWNTIME_H = 80.0
"""A standstill of this length is complained about with probability 1 - 1/e. [h]"""
PAYMENT_DAYS_PER_LOG_ODDS = 5.0
"""How much longer bills lie for each unit of service burden. [d]"""
USAGE_LOSS_PER_LOG_ODDS = 0.03
"""How much the logarithm of use falls each month for each unit of burden above the usual."""
USUAL_BURDEN = 0.5
"""Service burden that customers put up with, in log-odds."""
REPEAT_WINDOW_DAYS = 30.0
REASONS = dict(
    zip(
        HAZARD_FEATURES,
        ("unreliable-machines", "repeat-repairs", "slow-response", "payment-dispute", "low-use"),
        strict=True,
    )
)


def features_at(customer: CustomerState, landmark_h: float) -> FloatArray:
    """Measure what the hazard depends on, from everything that has happened so far.

    Parameters
    ----------
    customer : CustomerState
        The customer.
    landmark_h : float
        Nothing after this moment is used. [h]

    Returns
    -------
    ndarray of shape (5,)
        In the order of `HAZARD_FEATURES`; 0 where there is nothing to measure.
    """
    return np.array([
        sum(_downtime_h(machine, landmark_h, 90.0) for machine in customer.machines)
        / len(customer.machines),
        _repeat_visit_ratio(customer, landmark_h),
        _response_excess_ratio(customer, landmark_h),
        _late_payment_days(customer, landmark_h),
        _usage_change_ratio(customer, landmark_h),
    ])


def _downtime_h(machine: MachineState, landmark_h: float, window_days: float) -> float:
    start_h = landmark_h - window_days * HOURS_PER_DAY
    return sum(
        max(0.0, min(one.ended_h, landmark_h) - max(one.started_h, start_h))
        for one in machine.standstills
        if not one.is_planned
    )


def _repeat_visit_ratio(customer: CustomerState, landmark_h: float) -> float:
    """Corrective visits that follow another for the same fault within 30 days, among all."""
    start_h = landmark_h - 180.0 * HOURS_PER_DAY
    n_visits = n_repeats = 0
    for machine in customer.machines:
        last_left_h: dict[str, float] = {}
        for visit in machine.visits:
            if visit.job.fault_code is None or visit.left_h > landmark_h:
                continue
            before_h = last_left_h.get(visit.job.fault_code, -math.inf)
            last_left_h[visit.job.fault_code] = visit.left_h
            if visit.left_h > start_h:
                n_visits += 1
                n_repeats += visit.arrived_h - before_h <= REPEAT_WINDOW_DAYS * HOURS_PER_DAY
    return n_repeats / n_visits if n_visits else 0.0


def _response_excess_ratio(customer: CustomerState, landmark_h: float) -> float:
    """Mean time over the promised response, as part of the promise."""
    start_h = landmark_h - 90.0 * HOURS_PER_DAY
    excess = []
    for machine in customer.machines:
        first_arrival_h: dict[str, float] = {}
        for visit in machine.visits:
            first_arrival_h.setdefault(visit.job.key, visit.arrived_h)
        for job in machine.jobs:
            if job.kind == "corrective" and start_h < job.opened_h <= landmark_h:
                response_h = min(first_arrival_h[job.key], landmark_h) - job.opened_h
                excess.append(max(0.0, response_h / customer.response_target_h - 1.0))
    return sum(excess) / len(excess) if excess else 0.0


def _late_payment_days(customer: CustomerState, landmark_h: float) -> float:
    """Mean days late of the bills that fell due within 180 days; an open bill counts so far."""
    start_h = landmark_h - 180.0 * HOURS_PER_DAY
    late_days = [
        max(0.0, min(invoice.paid_h, landmark_h) - invoice.due_h) / HOURS_PER_DAY
        for invoice in customer.invoices
        if start_h < invoice.due_h <= landmark_h
    ]
    return sum(late_days) / len(late_days) if late_days else 0.0


def _usage_change_ratio(customer: CustomerState, landmark_h: float) -> float:
    """Use in the last three months over the three before, less one."""
    month = round(landmark_h / MONTH_H)
    if month < 6 or customer.joins_h > landmark_h - 6.0 * MONTH_H:
        return 0.0
    level = np.exp(customer.usage_log_level[month - 6 : month])
    return float(level[3:].sum() / level[:3].sum() - 1.0)


def live_month(world: World, customer: CustomerState, month: int) -> None:
    """Begin a month: look back, perhaps decide to leave, pay, use and write.

    Parameters
    ----------
    world : World
        Gains a row of truth once the lead-in is over.
    customer : CustomerState
        A customer who is there.
    month : int
        Months since history began; the last lies just after its end.
    """
    landmark_h = month * MONTH_H
    features = features_at(customer, landmark_h)
    added = hazard_log_odds(features)
    hazard = float(monthly_hazard(features, np.asarray(customer.frailty)))
    customer.service_burden = float(added[:N_SERVICE_TERMS].sum())
    log_odds = HAZARD_INTERCEPT + float(added.sum()) + customer.frailty
    customer.engagement_ratio = math.exp(-SILENCE_GAIN * max(0.0, log_odds - CONTENT_LOG_ODDS))
    number = month - N_LEAD_IN_MONTHS
    if number >= 0:
        has_left = (
            None
            if number == world.calendar.n_months
            else _decide(world, customer, number, hazard, added)
        )
        world.truth.append(
            TruthRow(
                customer_key=customer.key,
                month=number,
                landmark_h=landmark_h,
                hazard=hazard,
                may_leave=customer.may_leave,
                has_left=has_left,
                frailty=customer.frailty,
                features=features,
            )
        )
    _pay(customer, landmark_h)
    _use(customer, month)
    rate = QUESTIONS_PER_MACHINE_MONTH * len(customer.machines) * customer.engagement_ratio
    for _ in range(int(customer.chance.poisson(rate))):
        opened_h = landmark_h + float(customer.chance.uniform(0.0, MONTH_H))
        machine = customer.machines[int(customer.chance.integers(len(customer.machines)))]
        _write(customer, machine.key if customer.chance.random() < 0.7 else None, opened_h)


def _decide(
    world: World, customer: CustomerState, number: int, hazard: float, added: FloatArray
) -> bool:
    leaving, within_month = customer.leaving_draw[number]
    if not customer.may_leave or leaving >= hazard:
        return False
    landmark_h = (number + N_LEAD_IN_MONTHS) * MONTH_H
    # Customers leave at a midnight, the last one still within the month.
    left_h = landmark_h + float(within_month) * (MONTH_H - 48.0) + 24.0
    customer.left_h = world.calendar.midnight_h(world.calendar.day(left_h))
    strongest = int(np.argmax(added))
    has_service_reason = added[strongest] > max(0.3, customer.frailty)
    customer.leaving_reason = REASONS[HAZARD_FEATURES[strongest]] if has_service_reason else "price"
    return True


def _pay(customer: CustomerState, landmark_h: float) -> None:
    """Settle when the bills that fall due within the month are paid."""
    delay_days = customer.payment_habit_days
    delay_days += PAYMENT_DAYS_PER_LOG_ODDS * customer.service_burden
    for invoice in customer.invoices:
        if landmark_h <= invoice.due_h < landmark_h + MONTH_H:
            days = max(-10, round(delay_days + float(customer.chance.normal(0.0, 3.0))))
            invoice.paid_h = invoice.due_h + days * HOURS_PER_DAY + 10.0
            invoice.paid_delay_h = float(customer.chance.uniform(4.0, 40.0))


def _use(customer: CustomerState, month: int) -> None:
    step = customer.usage_trend_per_year / 12.0 + 0.02 * float(customer.usage_shock[month])
    step -= USAGE_LOSS_PER_LOG_ODDS * (customer.service_burden - USUAL_BURDEN)
    before = float(customer.usage_log_level[month - 1]) if month else 0.0
    customer.usage_log_level[month] = before + step


def react_to_failure(customer: CustomerState, machine: MachineState, repair: Repair) -> None:
    """Ask after a failure, and complain if it was long or took several visits.

    Parameters
    ----------
    customer : CustomerState
        The owner.
    machine : MachineState
        What failed.
    repair : Repair
        How it went.
    """
    chance, opened_h = customer.chance, repair.job.opened_h
    n_questions = int(chance.poisson(QUESTIONS_PER_FAILURE * customer.engagement_ratio))
    for _ in range(n_questions):
        _write(customer, machine.key, opened_h + float(chance.exponential(72.0)))
    weight = repair.down_h / COMPLAINT_DOWNTIME_H * (1.0 if repair.n_visits == 1 else 2.0)
    if chance.random() < (1.0 - math.exp(-weight)) * customer.engagement_ratio:
        after_h = repair.down_h * float(chance.uniform(0.3, 1.2))
        _write(customer, machine.key, opened_h + after_h, kind="complaint")


def _write(
    customer: CustomerState, machine_key: str | None, opened_h: float, kind: str = "question"
) -> None:
    median_h = 24.0 if kind == "question" else 120.0
    closed_h = opened_h + 0.5 + float(customer.chance.lognormal(math.log(median_h), 0.7))
    delay_h = float(customer.chance.uniform(0.0, 2.0))
    key = f"ticket-{customer.number + 1:03d}-{len(customer.tickets) + 1:03d}"
    customer.tickets.append(Ticket(key, machine_key, kind, opened_h, closed_h, delay_h))
