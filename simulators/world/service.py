"""The service of the simulated world: failures, technicians, visits and standstills."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from simulators.world.cast import Region, ScriptedFailure
from simulators.world.law import (
    ACCESS_PROBABILITY,
    DIAGNOSIS_PROBABILITY,
    HOURS_PER_DAY,
    N_VISITS_MAX,
    PART_PROBABILITY,
    POOR_REPAIR_DAYS,
    POOR_REPAIR_PROBABILITY,
    PREVENTIVE_AGE_RATIO,
    REPEAT_GAP_DAYS,
    RESPONSE_H_MAX,
    RESPONSE_H_MEDIAN,
    RESPONSE_LOAD_GAIN,
    RESPONSE_SIGMA,
    SKILLED_DISPATCH_PROBABILITY,
    UNSKILLED_PROBABILITY,
    WORKAROUND_PROBABILITY,
    remaining_life_days,
)
from simulators.world.state import (
    QUARTER_H,
    CustomerState,
    Job,
    MachineState,
    Standstill,
    TechnicianState,
    Visit,
    World,
)

_TRAVEL_H: Final = 1.5
"""A technician is taken for this long before and after each visit. [h]"""
_BUNDLE_PROBABILITY: Final = 0.15
"""That the planned visit is brought forward to a repair, so that their standstills overlap."""
_PATIENCE_H: Final = 30.0
"""How long the dispatcher holds out for a trained technician. [h]"""


def next_failure_h(customer: CustomerState, machine: MachineState) -> float:
    """Draw when the life that the machine has just begun will end.

    Parameters
    ----------
    customer : CustomerState
        Its owner, who sets the pace of its ageing.
    machine : MachineState
        The machine.

    Returns
    -------
    float
        Hour of failure, infinite past the time in which it may fail by chance. [h]
    """
    law = machine.law
    life_days = float(
        remaining_life_days(
            np.asarray(machine.chance.standard_exponential()),
            np.asarray(machine.age_days),
            shape=law.life_shape,
            scale_days=law.life_scale_days,
        )
    )
    fails_h = _after_ageing(customer, machine.life_starts_h, life_days * HOURS_PER_DAY)
    if machine.returning_fault is not None:
        days = float(machine.chance.uniform(*POOR_REPAIR_DAYS))
        fails_h = min(fails_h, machine.life_starts_h + days * HOURS_PER_DAY)
    return fails_h if fails_h <= machine.chance_ends_h else np.inf


def _after_ageing(customer: CustomerState, start_h: float, ageing_h: float) -> float:
    """Hour by which a machine has aged this much, at its owner's pace of each quarter."""
    time_h = start_h
    quarter = int(start_h // QUARTER_H)
    for number in range(quarter, customer.pace.size):
        pace, quarter_ends_h = float(customer.pace[number]), (number + 1) * QUARTER_H
        if ageing_h <= (quarter_ends_h - time_h) * pace:
            return time_h + ageing_h / pace
        ageing_h -= (quarter_ends_h - time_h) * pace
        time_h = quarter_ends_h
    return np.inf


def _aged_days(customer: CustomerState, machine: MachineState, now_h: float) -> float:
    """Age at heart of a machine in its present life."""
    edges = np.arange(customer.pace.size + 1) * QUARTER_H
    spans_h = np.diff(np.clip(edges, machine.life_starts_h, now_h))
    return machine.age_days + float(spans_h @ customer.pace) / HOURS_PER_DAY


def book(
    world: World,
    region: Region,
    kind: str,
    wanted_h: float,
    duration_h: float,
    chance: np.random.Generator,
) -> tuple[TechnicianState, float]:
    """Find a technician and the moment at which they can arrive.

    Parameters
    ----------
    world : World
        Knows the technicians.
    region : Region
        Where they are needed.
    kind : str
        What machine they are needed for.
    wanted_h : float
        Arrival wished for. [h]
    duration_h : float
        Length of the visit. [h]
    chance : Generator
        The machine's dice.

    Returns
    -------
    technician : TechnicianState
        Now booked.
    arrival_h : float
        At or after `wanted_h`, in working hours. [h]
    """
    crew = world.crew(region)
    is_skill_asked = chance.random() < SKILLED_DISPATCH_PROBABILITY
    pick = chance.random()
    arrival_h = wanted_h
    while True:
        open_h = world.calendar.working_h(arrival_h, region)
        # Those who wait for the morning don't all arrive with the first bell.
        arrival_h = open_h if open_h == arrival_h else open_h + 2.0 * pick
        start_h, end_h = arrival_h - _TRAVEL_H, arrival_h + duration_h + _TRAVEL_H
        free = [one for one in crew if one.is_free(start_h, end_h)]
        if is_skill_asked and arrival_h < wanted_h + _PATIENCE_H:
            free = [one for one in free if kind in one.person.skills]
        if free:
            technician = free[int(pick * len(free))]
            technician.book(start_h, end_h)
            return technician, arrival_h
        arrival_h += 2.0


def cause_of_failed_visit(
    technician: TechnicianState, kind: str, visit_number: int, chance: np.random.Generator
) -> str | None:
    """Draw whether a visit fails, and of what.

    Parameters
    ----------
    technician : TechnicianState
        Who came.
    kind : str
        Kind of the machine.
    visit_number : int
        0 for the first visit of the job.
    chance : Generator
        The machine's dice.

    Returns
    -------
    str or None
        ``access``, ``diagnosis``, ``skill`` or ``part``; None if it is fixed.
    """
    is_skilled = kind in technician.person.skills
    hurdles = {
        "access": ACCESS_PROBABILITY,
        "diagnosis": DIAGNOSIS_PROBABILITY,
        "skill": technician.skilled_probability if is_skilled else UNSKILLED_PROBABILITY,
        "part": PART_PROBABILITY[min(visit_number, 1)],
    }
    draws = chance.random(len(hurdles))
    if visit_number >= N_VISITS_MAX - 1:
        return None
    for (cause, probability), draw in zip(hurdles.items(), draws, strict=True):
        if draw >= probability:
            return cause
    return None


@dataclass(slots=True)
class Repair:
    """What one failure led to."""

    job: Job
    down_h: float
    """Hours of standstill in all. [h]"""
    n_visits: int


def repair(
    world: World,
    customer: CustomerState,
    machine: MachineState,
    failed_h: float,
    script: ScriptedFailure | None = None,
) -> Repair:
    """Play one failure through to the end of its repair.

    Parameters
    ----------
    world : World
        Gains the job, its visits and standstills.
    customer : CustomerState
        The machine's owner.
    machine : MachineState
        The machine; starts a new life when it is repaired.
    failed_h : float
        When it stopped. [h]
    script : ScriptedFailure, optional
        What is not left to chance.

    Returns
    -------
    Repair
        Job, standstill and number of visits.
    """
    chance, law, region = machine.chance, machine.law, customer.company.region
    opened_h = failed_h + min(float(chance.lognormal(-1.2, 0.7)), 3.0)
    fault_code = machine.returning_fault or str(chance.choice(law.fault_codes))
    job = _open_job(machine, "corrective", fault_code, opened_h)
    open_jobs_h = world.open_jobs_h.setdefault(region.name, [])
    n_open = sum(opened <= opened_h < closed for opened, closed in open_jobs_h)
    response_h = float(chance.lognormal(np.log(RESPONSE_H_MEDIAN), RESPONSE_SIGMA))
    response_h *= (1.0 + RESPONSE_LOAD_GAIN * n_open) * (script.response_gain if script else 1.0)
    wanted_h = opened_h + min(response_h, 48.0 if script else RESPONSE_H_MAX)
    down_from_h, down_h, n_visits = failed_h, 0.0, 0
    while True:
        wrench_h = min(float(chance.lognormal(np.log(law.wrench_h_median), 0.4)), 14.0)
        technician, arrived_h = book(world, region, law.kind, wanted_h, wrench_h, chance)
        left_h = arrived_h + wrench_h
        reason = cause_of_failed_visit(technician, law.kind, n_visits, chance)
        if script:
            reason = None if script.is_fixed_first_time or n_visits else "part"
        _add_visit(machine, job, technician, arrived_h, left_h, reason)
        n_visits += 1
        is_running = reason is None or chance.random() < WORKAROUND_PROBABILITY
        if is_running:
            _add_standstill(machine, job, min(down_from_h, arrived_h), left_h, fault_code)
            down_h += left_h - min(down_from_h, arrived_h)
            down_from_h = np.inf
        if reason is None:
            break
        wanted_h = (
            left_h + float(chance.uniform(*REPEAT_GAP_DAYS)) * (0.6 if script else 1.0) * 24.0
        )
    job.closed_h = left_h
    open_jobs_h.append((opened_h, left_h))
    if chance.random() < _BUNDLE_PROBABILITY:
        left_h = _bring_planned_visit_forward(machine, technician, arrived_h, left_h)
    is_poor = chance.random() < POOR_REPAIR_PROBABILITY
    machine.returning_fault = fault_code if is_poor else None
    _begin_life(machine, left_h, 0.0)
    return Repair(job, down_h, n_visits)


def _begin_life(machine: MachineState, time_h: float, age_days: float) -> None:
    machine.life_number += 1
    machine.life_starts_h = machine.busy_until_h = time_h
    machine.age_days = age_days


def _bring_planned_visit_forward(
    machine: MachineState, technician: TechnicianState, arrived_h: float, left_h: float
) -> float:
    """Do the planned work after the repair, if the technician can stay; return the end."""
    booked = (arrived_h - _TRAVEL_H, left_h + _TRAVEL_H)
    technician.bookings_h.remove(booked)
    end_h = left_h + machine.planned_visit_h
    if not technician.is_free(booked[0], end_h + _TRAVEL_H):
        technician.book(*booked)
        return left_h
    technician.book(booked[0], end_h + _TRAVEL_H)
    job = _open_job(machine, "preventive", None, arrived_h)
    job.closed_h = end_h
    _add_visit(machine, job, technician, left_h, end_h, None)
    # The site takes the machine out of the plan from the technician's arrival, so the planned
    # standstill covers the last hours of the unplanned one.
    _add_standstill(machine, job, arrived_h, end_h, "planned-maintenance")
    return end_h


def visit_as_planned(
    world: World, customer: CustomerState, machine: MachineState, kind: str, wanted_h: float
) -> float:
    """Play an installation or a preventive visit.

    Parameters
    ----------
    world : World
        Gains the job, its visit and, for a preventive one, its standstill.
    customer : CustomerState
        The machine's owner.
    machine : MachineState
        The machine; a preventive visit makes it younger at heart.
    kind : str
        ``installation`` or ``preventive``.
    wanted_h : float
        Arrival wished for. [h]

    Returns
    -------
    float
        When the technician left. [h]
    """
    chance = machine.chance
    opened_h = max(wanted_h - float(chance.uniform(5.0, 14.0)) * 24.0, customer.joins_h)
    duration_h = machine.planned_visit_h * float(chance.uniform(0.8, 1.3))
    region = customer.company.region
    technician, arrived_h = book(world, region, machine.law.kind, wanted_h, duration_h, chance)
    left_h = arrived_h + duration_h
    job = _open_job(machine, kind, None, opened_h)
    job.closed_h = left_h
    _add_visit(machine, job, technician, arrived_h, left_h, None)
    if kind == "preventive":
        _add_standstill(machine, job, arrived_h, left_h, "planned-maintenance")
        age_days = _aged_days(customer, machine, arrived_h) * PREVENTIVE_AGE_RATIO
        machine.returning_fault = None
        _begin_life(machine, left_h, age_days)
    return left_h


def _open_job(machine: MachineState, kind: str, fault_code: str | None, opened_h: float) -> Job:
    delay_h = float(machine.chance.uniform(0.05, 1.0))
    closing_delay_h = float(machine.chance.uniform(0.5, 24.0))
    key = f"wo-{machine.key}-{len(machine.jobs) + 1:03d}"
    job = Job(key, machine.key, kind, fault_code, opened_h, np.inf, delay_h, closing_delay_h)
    machine.jobs.append(job)
    return job


def _add_visit(
    machine: MachineState,
    job: Job,
    technician: TechnicianState,
    arrived_h: float,
    left_h: float,
    reason: str | None,
) -> None:
    delay_h = min(float(machine.chance.lognormal(np.log(6.0), 0.9)), 96.0)
    number = sum(visit.job is job for visit in machine.visits) + 1
    machine.visits.append(
        Visit(
            key=f"visit-{job.key.removeprefix('wo-')}-{number}",
            job=job,
            technician_key=technician.key,
            arrived_h=arrived_h,
            left_h=left_h,
            is_resolved=reason is None,
            incomplete_reason=reason,
            delay_h=delay_h,
        )
    )


def _add_standstill(
    machine: MachineState, job: Job, started_h: float, ended_h: float, cause: str
) -> None:
    number = sum(standstill.job is job for standstill in machine.standstills) + 1
    machine.standstills.append(
        Standstill(
            key=f"down-{job.key.removeprefix('wo-')}-{number}",
            job=job,
            started_h=started_h,
            ended_h=ended_h,
            is_planned=job.kind == "preventive",
            cause=cause,
            ending_delay_h=float(machine.chance.uniform(0.1, 12.0)),
        )
    )
