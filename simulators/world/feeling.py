"""What customers feel, write, pay and use, and whether they leave: once every month."""

import bisect
import math
import operator

import numpy as np

from simulators.world.features import features_at
from simulators.world.law import (
    HAZARD_FEATURES,
    HAZARD_INTERCEPT,
    HOURS_PER_DAY,
    MONTH_H,
    N_LEAD_IN_MONTHS,
    N_SERVICE_TERMS,
    FloatArray,
    hazard_log_odds,
    hazard_of,
)
from simulators.world.relations import relation_features
from simulators.world.service import Repair
from simulators.world.state import CustomerState, Invoice, MachineState, Ticket, TruthRow, World

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
REASONS = dict(
    zip(
        HAZARD_FEATURES,
        (
            "unreliable-machines",
            "repeat-repairs",
            "slow-response",
            "payment-dispute",
            "low-use",
            "champion-left",
            "downsizing",
            "competitor",
            "onboarding",
            "price",
        ),
        strict=True,
    )
)


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
    relation = relation_features(customer, world.relations[customer.number], landmark_h)
    features = np.concatenate([features_at(customer, landmark_h), relation])
    added = hazard_log_odds(features)
    hazard = float(hazard_of(added, np.asarray(customer.frailty)))
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
    for invoice in due_between(customer, landmark_h, landmark_h + MONTH_H):
        invoice.whim_days = float(customer.chance.normal(0.0, 3.0))
        invoice.paid_h = paid_h(customer, invoice, customer.service_burden)
        invoice.paid_delay_h = float(customer.chance.uniform(4.0, 40.0))


def due_between(customer: CustomerState, from_h: float, to_h: float) -> list[Invoice]:
    """Find the bills that fall due in some time.

    Parameters
    ----------
    customer : CustomerState
        Whose bills.
    from_h, to_h : float
        The time. [h]

    Returns
    -------
    list of Invoice
        In order.
    """
    due = operator.attrgetter("due_h")
    first = bisect.bisect_left(customer.invoices, from_h, key=due)
    return customer.invoices[first : bisect.bisect_left(customer.invoices, to_h, key=due)]


def paid_h(customer: CustomerState, invoice: Invoice, service_burden: float) -> float:
    """Say when a bill is paid by a customer who has been served like this.

    Parameters
    ----------
    customer : CustomerState
        The customer.
    invoice : Invoice
        The bill.
    service_burden : float
        Log-odds that poor service adds when the bill falls due.

    Returns
    -------
    float
        Ten o'clock of some day. [h]
    """
    days = customer.payment_habit_days + PAYMENT_DAYS_PER_LOG_ODDS * service_burden
    late_days = max(-10, round(days + invoice.whim_days))
    return invoice.due_h + late_days * HOURS_PER_DAY + 10.0


def _use(customer: CustomerState, month: int) -> None:
    before = float(customer.usage_log_level[month - 1]) if month else 0.0
    step = usage_step(customer, month, customer.service_burden)
    customer.usage_log_level[month] = before + step


def usage_step(customer: CustomerState, month: int, service_burden: float) -> float:
    """Say how much the logarithm of use changes in a month of such service.

    Parameters
    ----------
    customer : CustomerState
        The customer.
    month : int
        Months since history began.
    service_burden : float
        Log-odds that poor service adds at its beginning.

    Returns
    -------
    float
        Added to the logarithm.
    """
    step = customer.usage_trend_per_year / 12.0 + 0.02 * float(customer.usage_shock[month])
    return step - USAGE_LOSS_PER_LOG_ODDS * (service_burden - USUAL_BURDEN)


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
