"""A customer's months once more without one failure, from the whole books and without windows."""

import copy
import math

from simulators.world.law import HAZARD_INTERCEPT, HAZARD_TERMS, MONTH_H, N_SERVICE_TERMS
from simulators.world.relation import Relation
from simulators.world.state import CustomerState, Job


def hazard_without(customer: CustomerState, relation: Relation, job: Job, month: int) -> float:
    """Take the job out of a copy of the customer and live its months from the beginning."""
    other = copy.deepcopy(customer)
    for machine in other.machines:
        machine.jobs = [each for each in machine.jobs if each.key != job.key]
        machine.visits = [each for each in machine.visits if each.job.key != job.key]
        machine.standstills = [each for each in machine.standstills if each.job.key != job.key]
    begins = math.ceil(job.opened_h / MONTH_H)
    for earlier in range(begins, month):
        burden = sum(added(other, relation, earlier)[:N_SERVICE_TERMS])
        for bill in other.invoices:
            if earlier * MONTH_H <= bill.due_h < (earlier + 1) * MONTH_H:
                days = round(other.payment_habit_days + 5.0 * burden + bill.whim_days)
                bill.paid_h = bill.due_h + max(-10, days) * 24.0 + 10.0
        change = other.usage_trend_per_year / 12.0 + 0.02 * float(other.usage_shock[earlier])
        change -= 0.03 * (burden - 0.5)
        other.usage_log_level[earlier] = other.usage_log_level[earlier - 1] + change
    log_odds = HAZARD_INTERCEPT + sum(added(other, relation, month)) + other.frailty
    return 1.0 / (1.0 + math.exp(-log_odds))


def added(customer: CustomerState, relation: Relation, month: int) -> list[float]:
    """Log-odds of each feature at a landmark."""
    now_h = month * MONTH_H
    values = [
        downtime(customer, now_h),
        repeats(customer, now_h),
        response(customer, now_h),
        late_days(customer, now_h),
        use_change(customer, month),
        *related(customer, relation, now_h),
    ]
    return [
        term.log_odds_per_unit * min(max(value, term.lowest), term.highest)
        for term, value in zip(HAZARD_TERMS, values, strict=True)
    ]


def downtime(customer: CustomerState, now_h: float) -> float:
    total = 0.0
    for machine in customer.machines:
        for one in machine.standstills:
            if not one.is_planned:
                span = min(one.ended_h, now_h) - max(one.started_h, now_h - 90 * 24)
                total += max(0.0, span)
    return total / len(customer.machines)


def repeats(customer: CustomerState, now_h: float) -> float:
    seen = again = 0
    for machine in customer.machines:
        corrective = [v for v in machine.visits if v.job.fault_code and v.left_h <= now_h]
        for number, visit in enumerate(corrective):
            if visit.left_h > now_h - 180 * 24:
                same = [v for v in corrective[:number] if v.job.fault_code == visit.job.fault_code]
                seen += 1
                again += bool(same) and visit.arrived_h - same[-1].left_h <= 30 * 24
    return again / seen if seen else 0.0


def response(customer: CustomerState, now_h: float) -> float:
    excess = []
    for machine in customer.machines:
        for job in machine.jobs:
            if job.kind == "corrective" and now_h - 90 * 24 < job.opened_h <= now_h:
                first = next(v.arrived_h for v in machine.visits if v.job is job)
                waited = min(first, now_h) - job.opened_h
                excess.append(max(0.0, waited / customer.response_target_h - 1.0))
    return sum(excess) / len(excess) if excess else 0.0


def late_days(customer: CustomerState, now_h: float) -> float:
    late = [
        max(0.0, min(bill.paid_h, now_h) - bill.due_h) / 24.0
        for bill in customer.invoices
        if now_h - 180 * 24 < bill.due_h <= now_h
    ]
    return sum(late) / len(late) if late else 0.0


def use_change(customer: CustomerState, month: int) -> float:
    if month < 6 or customer.joins_h > (month - 6) * MONTH_H:
        return 0.0
    use = [math.exp(customer.usage_log_level[m]) for m in range(month - 6, month)]
    return sum(use[3:]) / sum(use[:3]) - 1.0


def related(customer: CustomerState, relation: Relation, now_h: float) -> list[float]:
    half_year, quarter = now_h - 180 * 24, now_h - 90 * 24
    left = [c for c in relation.champions if half_year < c.to_h <= now_h]
    down = [c for c in relation.tier_changes if c.delta_ratio < 0 and half_year < c.at_h <= now_h]
    offers = [at_h for at_h in relation.offers_h if quarter < at_h <= now_h]
    overdue = [
        m for m in relation.milestones
        if m.due_h <= now_h < m.done_h and now_h - m.due_h < 12 * MONTH_H
    ]  # fmt: skip
    ending = [term for term in customer.terms if now_h <= term.ends_h < now_h + 60 * 24]
    return [min(len(left), 1), min(len(down), 1), min(len(offers), 1), len(overdue), bool(ending)]
