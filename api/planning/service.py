"""What service planners ask: which machine, why, by when, and what waiting costs."""

import math
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from api.context import AppContext
from api.evidence.edges import evidence_url
from api.planning.schemas import ProposalReading, WaitingPoint
from api.problem import NotFoundError
from api.registry.catalogue import MachineFacts, machine_facts
from api.registry.database import read_session
from api.registry.models import HealthSnapshot, Proposal
from api.shapes import Money
from api.snapshots import latest_proposals

WAITING_DAYS = 7
"""The cost of waiting is told as the mean over the week after the cheapest day."""


class ProposalService:
    """Answers about service proposals.

    Parameters
    ----------
    context : AppContext
        Stores of the running server.
    """

    def __init__(self, context: AppContext) -> None:
        self._context = context

    def proposals(self, *, is_open: bool | None = True) -> list[ProposalReading]:
        """Newest proposal of each machine.

        Parameters
        ----------
        is_open : bool or None
            Only open ones, only closed ones, or both.

        Returns
        -------
        list of ProposalReading
            Most costly to wait first.
        """
        with read_session(self._context.engine) as reading:
            chosen = [
                proposal
                for proposal in latest_proposals(reading).values()
                if is_open is None or proposal.is_open == is_open
            ]
            readings = self._readings(reading, chosen)
        return sorted(
            readings,
            key=lambda one: (not one.is_open, -one.cost_of_waiting_per_day.amount, one.visit_by),
        )

    def proposal(self, proposal_id: int) -> ProposalReading:
        """One proposal.

        Parameters
        ----------
        proposal_id : int
            Its number.

        Returns
        -------
        ProposalReading
            As it was made.

        Raises
        ------
        NotFoundError
            If there is no such proposal.
        """
        with read_session(self._context.engine) as reading:
            found = reading.get(Proposal, proposal_id) if proposal_id < 2**63 else None
            readings = self._readings(reading, [] if found is None else [found])
        if not readings:
            msg = f"there is no proposal {proposal_id}; /v1/proposals lists those that are open"
            raise NotFoundError(msg)
        return readings[0]

    def for_machine(self, machine_key: str) -> ProposalReading | None:
        """Newest proposal of one machine.

        Parameters
        ----------
        machine_key : str
            Which machine.

        Returns
        -------
        ProposalReading or None
            Open or not; None if there never was one.
        """
        with read_session(self._context.engine) as reading:
            found = latest_proposals(reading).get(machine_key)
            readings = self._readings(reading, [] if found is None else [found])
        return readings[0] if readings else None

    def _readings(self, reading: Session, proposals: list[Proposal]) -> list[ProposalReading]:
        now = self._context.now()
        machines = machine_facts(reading, now)
        return [
            _reading(
                proposal,
                machines[proposal.machine_key],
                reading.get(HealthSnapshot, proposal.health_snapshot_id),
                now,
            )
            for proposal in proposals
            if proposal.machine_key in machines
        ]


def days_until(visit_by: datetime, now: datetime) -> int:
    """Count the days that are left before a visit.

    Parameters
    ----------
    visit_by, now : datetime
        The visit and the present.

    Returns
    -------
    int
        Begun days; 0 once the visit's moment has passed, for then it is due at once.

    Examples
    --------
    >>> noon = datetime(2026, 3, 15, 12)
    >>> [days_until(noon + timedelta(hours=h), noon) for h in (-30, 0, 5, 24, 25)]
    [0, 0, 1, 1, 2]
    """
    return max(0, math.ceil((visit_by - now) / timedelta(days=1)))


def _reading(
    proposal: Proposal, machine: MachineFacts, snapshot: HealthSnapshot | None, now: datetime
) -> ProposalReading:
    extra = [cost for _, cost in proposal.waiting_cost]
    best_day = (proposal.visit_by - proposal.as_of).days
    later = min(best_day + WAITING_DAYS, len(extra) - 1)
    per_day = 0.0 if later == best_day else extra[later] / (later - best_day)
    return ProposalReading(
        id=proposal.id,
        evidence_url=evidence_url("proposal", proposal.id),
        machine_key=machine.key,
        kind=machine.kind,
        site_key=machine.site_key,
        site_name=machine.site_name,
        customer_key=machine.customer_key,
        customer_name=machine.customer_name,
        as_of=proposal.as_of,
        computed_at=proposal.computed_at,
        is_open=proposal.is_open,
        reason=proposal.reason,
        visit_by=proposal.visit_by,
        best_day=best_day,
        days_to_visit=days_until(proposal.visit_by, now) if best_day else 0,
        horizon_days=proposal.horizon_days,
        failure_probability=proposal.failure_probability,
        remaining_useful_life_h=None if snapshot is None else snapshot.remaining_useful_life_h,
        lower_h=None if snapshot is None else snapshot.lower_h,
        upper_h=None if snapshot is None else snapshot.upper_h,
        health_pct=None if snapshot is None else snapshot.health_pct,
        health_snapshot_id=proposal.health_snapshot_id,
        planned_cost=Money(amount=proposal.planned_cost, currency=proposal.currency),
        failure_cost=Money(amount=proposal.failure_cost, currency=proposal.currency),
        cost_of_waiting_per_day=Money(amount=round(per_day, 2), currency=proposal.currency),
        waiting_cost=[
            WaitingPoint(day=day, at=proposal.as_of + timedelta(days=day), extra_cost=cost)
            for day, cost in proposal.waiting_cost
        ],
    )
