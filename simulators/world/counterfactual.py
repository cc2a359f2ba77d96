"""What the true risk would have been, had a machine been serviced before it failed.

The same seed with one change: one failure does not happen. Its standstills, its visits and its
response are not there, so the customer feels less of a burden from the next landmark on, pays its
bills sooner and goes on using its machines; all with the same dice. Everything else stays as it
was: other failures, other customers, and the days technicians were taken.
"""

from dataclasses import dataclass

import numpy as np

from simulators.world.features import OtherCourse, downtime_h, features_at
from simulators.world.feeling import due_between, paid_h, usage_step
from simulators.world.law import (
    HOURS_PER_DAY,
    MONTH_H,
    N_SERVICE_TERMS,
    RELATION_FEATURES,
    hazard_log_odds,
    monthly_hazard,
)
from simulators.world.relation import Relation
from simulators.world.relations import relation_features
from simulators.world.state import CustomerState, Job, MachineState

_WINDOW_DAYS = 90.0
_NO_RELATION = np.zeros(len(RELATION_FEATURES))


@dataclass(frozen=True, slots=True)
class Prevented:
    """A failure that might have been prevented, and the risk if it had been.

    Parameters
    ----------
    machine_key : str
        The machine.
    failed_h : float
        When it failed. [h]
    hazard : float
        Probability of leaving within the month after the landmark without that failure.
    """

    machine_key: str
    failed_h: float
    hazard: float


def worst_failure(
    customer: CustomerState, landmark_h: float
) -> tuple[MachineState, Job, float] | None:
    """Find the failure that cost the customer most standstill in the 90 days before a landmark.

    Parameters
    ----------
    customer : CustomerState
        The customer.
    landmark_h : float
        The landmark. [h]

    Returns
    -------
    tuple of MachineState, Job and float, or None
        The machine, the work order and when it failed [h]; None if nothing failed.
    """
    worst, most_h = None, 0.0
    for machine in customer.machines:
        total_h = downtime_h(machine, landmark_h, _WINDOW_DAYS)
        for job in reversed(machine.jobs):
            if job.opened_h < landmark_h - _WINDOW_DAYS * HOURS_PER_DAY:
                break
            if job.kind != "corrective" or job.opened_h > landmark_h:
                continue
            down_h = total_h - downtime_h(machine, landmark_h, _WINDOW_DAYS, without=job)
            if down_h > most_h:
                began = [one.started_h for one in machine.standstills if one.job is job]
                worst, most_h = (machine, job, min(began)), down_h
    return worst


def hazard_without(
    customer: CustomerState, relation: Relation, job: Job | None, month: int
) -> float:
    """Work out a customer's true risk, had one failure not happened.

    Parameters
    ----------
    customer : CustomerState
        A customer of a world that has been played.
    relation : Relation
        What happens to it beside machines: the same in either case.
    job : Job or None
        Work order of the failure; None for the risk as it was.
    month : int
        Months of history at whose end the risk is asked for, at most as far as it was played.

    Returns
    -------
    float
        Probability of leaving within the month after.
    """
    course = OtherCourse(job, {}, customer.usage_log_level.copy())
    first = month if job is None else int(np.ceil(job.opened_h / MONTH_H))
    level = course.usage_log_level
    assert level is not None  # noqa: S101 - made two lines above
    for earlier in range(first, month):
        landmark_h = earlier * MONTH_H
        served = np.concatenate([features_at(customer, landmark_h, course), _NO_RELATION])
        burden = float(hazard_log_odds(served)[:N_SERVICE_TERMS].sum())
        for invoice in due_between(customer, landmark_h, landmark_h + MONTH_H):
            course.paid_h[invoice.key] = paid_h(customer, invoice, burden)
        before = float(level[earlier - 1]) if earlier else 0.0
        level[earlier] = before + usage_step(customer, earlier, burden)
    related = relation_features(customer, relation, month * MONTH_H)
    features = np.concatenate([features_at(customer, month * MONTH_H, course), related])
    return float(monthly_hazard(features, np.asarray(customer.frailty)))


def prevented_at(customer: CustomerState, relation: Relation, month: int) -> Prevented | None:
    """Work out the risk at a landmark without the worst failure before it.

    Parameters
    ----------
    customer : CustomerState
        A customer of a world that has been played.
    relation : Relation
        What happens to it beside machines.
    month : int
        Months of history up to the landmark.

    Returns
    -------
    Prevented or None
        None if nothing failed in the 90 days before.
    """
    found = worst_failure(customer, month * MONTH_H)
    if found is None:
        return None
    machine, job, failed_h = found
    return Prevented(machine.key, failed_h, hazard_without(customer, relation, job, month))
