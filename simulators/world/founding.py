"""The first day of the simulated world: who is there, with what machines and contracts."""

import math
from datetime import date, datetime, timedelta
from typing import Final

import numpy as np

from simulators.world.cast import (
    CONNECTED_CHANCE_ENDS_DAYS,
    CONNECTED_PLANNED_ENDS_DAYS,
    JOINING_MONTHS,
    N_CONNECTED,
    RENEWAL_DAYS_AHEAD,
    SCRIPTED_FAILURES,
    SCRIPTED_PACE,
    Company,
    Region,
)
from simulators.world.crowd import branch_of, company_of, kind_of, people_of
from simulators.world.law import (
    BAD_QUARTER_PACE,
    BAD_QUARTER_PROBABILITY,
    FRAILTY_SIGMA,
    HOURS_PER_DAY,
    KINDS,
    MONTH_H,
    N_LEAD_IN_MONTHS,
    PACE_SIGMA,
    SKILLED_PROBABILITY,
)
from simulators.world.relations import draw_relation
from simulators.world.state import (
    QUARTER_H,
    Calendar,
    CustomerState,
    Invoice,
    MachineState,
    TechnicianState,
    Term,
    World,
)

# Each being has a stream of chance of its own, so that a change to one leaves the dice of all
# others as they were. The numbers mean nothing; the first was picked because the demo's seed then
# shows a history near the middle of what the laws give (7 leave; the mean over seeds is about 6).
_CUSTOMER_STREAM: Final = 103
_MACHINE_STREAM: Final = 2
_TECHNICIAN_STREAM: Final = 3
_FIRST_OTHER_NUMBER: Final = 101
"""Machines that are not connected are numbered from here."""
_PAYMENT_TERM_DAYS: Final = 30


def found_world(seed: int, until: datetime, n_customers: int, n_months: int) -> World:
    """Make the world as it stands when history begins.

    Parameters
    ----------
    seed : int
        Decides everything that is left to chance.
    until : datetime
        End of history, aware UTC, in whole seconds.
    n_customers : int
        How many customers there are.
    n_months : int
        Months in which customers may leave.

    Returns
    -------
    World
        Customers, machines and technicians, with contracts and bills laid out to the end.
    """
    calendar = Calendar(until, n_months)
    calendar = Calendar(until - timedelta(hours=calendar.history_h), n_months)
    next_number = dict.fromkeys(KINDS, _FIRST_OTHER_NUMBER)
    regions: dict[str, Region] = {}
    customers = [
        _found_customer(seed, number, company_of(number, regions), calendar, next_number)
        for number in range(n_customers)
    ]
    technicians = []
    people = [
        person
        for branch in range(branch_of(n_customers - 1) + 1)
        for person in people_of(branch, regions)
    ]
    for number, person in enumerate(people):
        chance = np.random.default_rng([seed, _TECHNICIAN_STREAM, number])
        ability = float(chance.uniform(*SKILLED_PROBABILITY))
        technicians.append(TechnicianState(f"tech-{number + 1:02d}", person, ability))
    machines = {machine.key: (owner, machine) for owner in customers for machine in owner.machines}
    scripted = [
        (
            failure,
            *machines[failure.machine_key],
            calendar.history_h - failure.days_before_end * 24.0,
        )
        for failure in SCRIPTED_FAILURES
        if failure.machine_key in machines
    ]
    relations = [
        draw_relation(seed, customer.number, customer.joins_h, calendar.history_h)
        for customer in customers
    ]
    return World(calendar, customers, technicians, scripted, relations=relations)


def _found_customer(
    seed: int, number: int, company: Company, calendar: Calendar, next_number: dict[str, int]
) -> CustomerState:
    chance = np.random.default_rng([seed, _CUSTOMER_STREAM, number])
    n_quarters = math.ceil(calendar.history_h / QUARTER_H)
    pace = np.where(chance.random(n_quarters) < BAD_QUARTER_PROBABILITY, BAD_QUARTER_PACE, 1.0)
    pace *= SCRIPTED_PACE.get(number, float(chance.lognormal(0.0, PACE_SIGMA)))
    if number in SCRIPTED_PACE:
        pace[:] = SCRIPTED_PACE[number]
    notice_days = int(chance.choice([30, 60])) if number else 30
    value_eur = len(company.machines) * float(chance.uniform(22_000.0, 85_000.0))
    value_eur = round(min(max(value_eur, 40_000.0), 400_000.0), -2)
    is_guaranteed = bool(chance.random() < 0.5)
    terms = _terms(number, calendar, chance, notice_days, value_eur)
    customer = CustomerState(
        number=number,
        key=f"cust-{number + 1:03d}",
        company=company,
        chance=chance,
        frailty=float(chance.normal(0.0, FRAILTY_SIGMA)),
        leaving_draw=chance.random((calendar.n_months, 2)),
        usage_shock=chance.normal(0.0, 1.0, N_LEAD_IN_MONTHS + calendar.n_months + 1),
        usage_trend_per_year=float(chance.normal(0.02, 0.08)),
        pace=pace,
        payment_habit_days=float(chance.normal(1.0, 3.0)),
        response_target_h=float(chance.choice([16.0, 24.0, 36.0], p=[0.25, 0.5, 0.25])),
        notice_days=notice_days,
        auto_renew=bool(chance.random() < 0.4),
        pricing_model="uptime" if is_guaranteed else str(chance.choice(["fixed", "per-hour"])),
        uptime_guarantee_ratio=float(chance.choice([0.95, 0.97, 0.98])) if is_guaranteed else None,
        vendor_share_ratio=float(chance.choice([0.2, 0.35, 0.5])) if is_guaranteed else 0.0,
        joins_h=max(0.0, terms[0].starts_h),
        may_leave=number >= N_CONNECTED,
        terms=terms,
        invoices=[],
        machines=[],
        usage_log_level=np.zeros(N_LEAD_IN_MONTHS + calendar.n_months + 1),
    )
    customer.invoices = _invoices(customer, calendar)
    for letter in company.machines:
        kind = kind_of(number, letter)
        machine_number = number + 1
        if number >= N_CONNECTED:
            machine_number = next_number[kind]
            next_number[kind] += 1
        customer.machines.append(_found_machine(seed, kind, machine_number, customer, calendar))
    return customer


def _found_machine(
    seed: int, kind: str, number: int, customer: CustomerState, calendar: Calendar
) -> MachineState:
    law = KINDS[kind]
    chance = np.random.default_rng([seed, _MACHINE_STREAM, list(KINDS).index(kind), number])
    is_new = customer.joins_h > 0.0
    installed_h = customer.joins_h if is_new else -float(chance.uniform(400.0, 2200.0)) * 24.0
    machine = MachineState(
        key=f"{law.key_prefix}-{number:02d}",
        law=law,
        chance=chance,
        installed_on=calendar.day(installed_h),
        downtime_cost_eur_per_h=round(float(chance.uniform(*law.downtime_cost_eur_per_h)), -1),
        planned_visit_cost_eur=round(float(chance.uniform(*law.planned_visit_cost_eur)), -1),
        planned_visit_h=round(float(chance.uniform(*law.planned_visit_h)), 1),
        repair_cost_eur=round(float(chance.uniform(*law.repair_cost_eur)), -2),
        repair_h=round(float(chance.uniform(*law.repair_h)), 0),
        life_starts_h=customer.joins_h,
        age_days=0.0 if is_new else float(chance.uniform(0.0, 0.6)) * law.life_scale_days,
    )
    if not customer.may_leave:
        machine.chance_ends_h = calendar.history_h - CONNECTED_CHANCE_ENDS_DAYS * HOURS_PER_DAY
        machine.planned_ends_h = calendar.history_h - CONNECTED_PLANNED_ENDS_DAYS * HOURS_PER_DAY
    return machine


def _terms(
    number: int,
    calendar: Calendar,
    chance: np.random.Generator,
    notice_days: int,
    value_eur: float,
) -> list[Term]:
    """Lay out yearly terms from the one running at the start to one after the end."""
    days_ahead = RENEWAL_DAYS_AHEAD.get(number, int(chance.integers(5, 365)))
    if number in JOINING_MONTHS:
        first_on = calendar.day(JOINING_MONTHS[number] * MONTH_H)
    else:
        first_on = calendar.day(calendar.history_h + days_ahead * HOURS_PER_DAY)
        while calendar.midnight_h(first_on) > 0.0:
            first_on = _years_later(first_on, -1)
    first_h = calendar.midnight_h(first_on)
    signed_h = _office_h(first_h - float(chance.uniform(12.0, 40.0)) * HOURS_PER_DAY, calendar)
    signing_delay_h = float(chance.uniform(2.0, 48.0))
    terms: list[Term] = []
    starts_on = first_on
    while not terms or terms[-1].decided_h < calendar.history_h:
        ends_on = _years_later(first_on, len(terms) + 1)
        ends_h = calendar.midnight_h(ends_on)
        notice_h = float(chance.uniform(0.15, 0.9)) * notice_days * HOURS_PER_DAY
        decided_h = _office_h(ends_h - notice_h, calendar)
        terms.append(
            Term(
                key=f"contract-{number + 1:03d}-{starts_on.year}",
                starts_on=starts_on,
                ends_on=ends_on,
                starts_h=calendar.midnight_h(starts_on),
                ends_h=ends_h,
                signed_h=signed_h,
                signing_delay_h=signing_delay_h,
                decided_h=decided_h,
                value_eur_per_year=value_eur,
            )
        )
        starts_on, signed_h = ends_on, decided_h
        signing_delay_h = float(chance.uniform(2.0, 48.0))
        value_eur = round(value_eur * float(chance.uniform(1.0, 1.04)), -2)
    return terms


def _office_h(time_h: float, calendar: Calendar) -> float:
    """Move a signature into the office hours of its day."""
    midnight_h = calendar.midnight_h(calendar.day(time_h))
    return midnight_h + 8.0 + (time_h - midnight_h) / 3.0


def _years_later(day: date, n_years: int) -> date:
    is_leap_day = (day.month, day.day) == (2, 29)
    return day.replace(year=day.year + n_years, day=28 if is_leap_day else day.day)


def _invoices(customer: CustomerState, calendar: Calendar) -> list[Invoice]:
    """Lay out a bill for every month that begins in history."""
    invoices = []
    for term in customer.terms:
        for month in range(12):
            months = term.starts_on.year * 12 + term.starts_on.month - 1 + month
            issued_on = date(months // 12, months % 12 + 1, min(term.starts_on.day, 28))
            issued_h = calendar.midnight_h(issued_on) + 8.0
            if 0.0 <= issued_h < calendar.history_h:
                invoices.append(
                    Invoice(
                        key=f"invoice-{customer.number + 1:03d}-{issued_on:%Y-%m}",
                        contract_key=term.key,
                        issued_h=issued_h,
                        due_h=issued_h - 8.0 + _PAYMENT_TERM_DAYS * HOURS_PER_DAY,
                        amount_eur=round(term.value_eur_per_year / 12.0, 2),
                    )
                )
    return invoices
