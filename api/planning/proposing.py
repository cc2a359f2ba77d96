"""From the life a machine has left and what visits and failures cost, to a visit in time."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from analytics.arrays import FloatArray
from analytics.planning.waiting import (
    WaitingCost,
    cost_of_waiting,
    daily_survival,
    long_run_cost_rate,
)
from api.context import AppContext
from api.evidence.edges import Step, add_evidence
from api.fitted import FittedModel
from api.planning.words import reason_sentence
from api.registry.catalogue import MachineFacts, machine_facts
from api.registry.database import read_session, session
from api.registry.models import HealthSnapshot, Proposal
from api.snapshots import latest_health, latest_proposals

HOURS_PER_DAY: Final = 24.0

LEAST_CHANGE: Final = 0.01
"""A failure probability that moved less leaves the proposal as it is."""

LEAST_SHIFT: Final = timedelta(hours=12)
"""A visit date that moved less leaves the proposal as it is: visits are planned by days."""

LIFE_LEFT: Final = "life left that the visit date comes from"
NEW_LIFE: Final = "health since the repair that ended it"

METHOD: Final = (
    "cheapest day of Cp R(t) + Cf F(t) - g x life used, from the survival R of this health "
    "snapshot, the machine's visit and failure cost and the long-run cost rate g of its kind"
)


def visit_costs(machines: Sequence[MachineFacts]) -> tuple[FloatArray, FloatArray]:
    """Add up what a planned visit and a failure cost, standstill included.

    Parameters
    ----------
    machines : sequence of MachineFacts
        Machines with their costs.

    Returns
    -------
    tuple of two ndarrays of shape (n_machines,)
        Planned cost and failure cost. [currency]
    """
    planned = [m.planned_visit_cost + m.planned_visit_h * m.downtime_cost_per_h for m in machines]
    failure = [
        m.unplanned_repair_cost + m.unplanned_repair_h * m.downtime_cost_per_h for m in machines
    ]
    return np.array(planned, dtype=np.float64), np.array(failure, dtype=np.float64)


class Proposer:
    """Proposes visits from the newest health of every machine.

    Parameters
    ----------
    context : AppContext
        Stores and settings of the running server.
    """

    def __init__(self, context: AppContext) -> None:
        self._context = context

    def update(self, now: datetime) -> int:
        """Propose, change or close visits where the health of a machine is new.

        Parameters
        ----------
        now : datetime
            The present.

        Returns
        -------
        int
            Proposals written.
        """
        fitted = self._context.models.newest()
        with read_session(self._context.engine) as reading:
            machines = machine_facts(reading, now)
            latest = latest_proposals(reading)
            by_kind: dict[str, list[HealthSnapshot]] = defaultdict(list)
            ended: list[Proposal] = []
            for key, snapshot in latest_health(reading).items():
                is_new = key not in latest or latest[key].health_snapshot_id < snapshot.id
                if is_new and snapshot.survival and key in machines:
                    by_kind[machines[key].kind].append(snapshot)
                elif key in latest and is_new and _is_of_an_earlier_life(latest[key], snapshot):
                    ended.append(_closed(latest[key], snapshot, now))
        proposals = [
            proposal
            for kind, snapshots in by_kind.items()
            if kind in fitted
            for proposal in self._propose(fitted[kind], snapshots, machines, now)
        ]
        changed = [one for one in proposals if _has_changed(one, latest.get(one.machine_key))]
        changed += ended
        if not changed:
            return 0
        with session(self._context.engine) as writing:
            writing.add_all(changed)
            writing.flush()
            for proposal in changed:
                snapshot_id = str(proposal.health_snapshot_id)
                what = NEW_LIFE if proposal in ended else LIFE_LEFT
                step = Step(
                    "health", snapshot_id, what, proposal.failure_probability, "probability", METHOD
                )
                add_evidence(writing, "proposal", str(proposal.id), [step])
        for proposal in changed:
            self._publish(proposal)
        return len(changed)

    def _propose(
        self,
        fitted: FittedModel,
        snapshots: list[HealthSnapshot],
        machines: dict[str, MachineFacts],
        now: datetime,
    ) -> list[Proposal]:
        settings = self._context.settings.planning
        named = [machines[snapshot.machine_key] for snapshot in snapshots]
        planned_cost, failure_cost = visit_costs(named)
        lives_days = fitted.model.life_h / HOURS_PER_DAY
        waiting = cost_of_waiting(
            np.concatenate([_survival(snapshot, settings.horizon_days) for snapshot in snapshots]),
            planned_cost,
            failure_cost,
            long_run_cost_rate(lives_days, planned_cost, failure_cost),
        )
        return [
            Proposal(
                machine_key=snapshot.machine_key,
                health_snapshot_id=snapshot.id,
                as_of=snapshot.as_of,
                computed_at=now,
                is_open=self._is_open(waiting, row),
                visit_by=snapshot.as_of + timedelta(days=int(waiting.best_day[row])),
                failure_probability=float(waiting.failure_probability[row]),
                horizon_days=settings.horizon_days,
                planned_cost=round(float(planned_cost[row]), 2),
                failure_cost=round(float(failure_cost[row]), 2),
                currency=named[row].currency,
                waiting_cost=[
                    [day, round(float(extra), 2)] for day, extra in enumerate(waiting.penalty[row])
                ],
                reason=reason_sentence(
                    snapshot,
                    failure_probability=float(waiting.failure_probability[row]),
                    horizon_days=settings.horizon_days,
                    planned_cost=float(planned_cost[row]),
                    failure_cost=float(failure_cost[row]),
                    currency=named[row].currency,
                ),
            )
            for row, snapshot in enumerate(snapshots)
            if waiting.best_day[row] >= 0
        ]

    def _is_open(self, waiting: WaitingCost, row: int) -> bool:
        """Whether going within the horizon is worth it, and the danger is worth a person's time."""
        settings = self._context.settings.planning
        return bool(
            waiting.best_day[row] < settings.horizon_days
            and waiting.failure_probability[row] >= settings.open_at_failure_probability
        )

    def _publish(self, proposal: Proposal) -> None:
        self._context.hub.publish(
            "proposal",
            {
                "machine_key": proposal.machine_key,
                "proposal_id": proposal.id,
                "is_open": proposal.is_open,
                "visit_by": proposal.visit_by.isoformat(),
                "failure_probability": proposal.failure_probability,
            },
        )


def _survival(snapshot: HealthSnapshot, n_days: int) -> FloatArray:
    ahead_h, running = np.array(snapshot.survival, dtype=np.float64).T
    if ahead_h[-1] < n_days * HOURS_PER_DAY:
        # The library's longest life ends here: past it, nothing of the kind was seen running.
        ahead_h = np.r_[ahead_h, n_days * HOURS_PER_DAY]
        running = np.r_[running, running[-1]]
    return daily_survival(ahead_h, running[np.newaxis, :], n_days=n_days)


def _is_of_an_earlier_life(old: Proposal, snapshot: HealthSnapshot) -> bool:
    """Whether the machine was repaired since, but has run too little to say how long it has left.

    A machine that only fell silent keeps its proposal: nothing says that the danger is gone.
    """
    return old.is_open and not snapshot.survival and snapshot.samples_from > old.as_of


def _closed(old: Proposal, snapshot: HealthSnapshot, now: datetime) -> Proposal:
    return Proposal(
        machine_key=old.machine_key,
        health_snapshot_id=snapshot.id,
        as_of=old.as_of,
        computed_at=now,
        is_open=False,
        visit_by=old.visit_by,
        failure_probability=old.failure_probability,
        horizon_days=old.horizon_days,
        planned_cost=old.planned_cost,
        failure_cost=old.failure_cost,
        currency=old.currency,
        waiting_cost=old.waiting_cost,
        reason="Closed: the machine was repaired since, and has run too little to judge it anew.",
    )


def _has_changed(new: Proposal, old: Proposal | None) -> bool:
    if old is None or not old.is_open:
        return new.is_open
    return (
        not new.is_open
        or abs(new.failure_probability - old.failure_probability) >= LEAST_CHANGE
        or abs(new.visit_by - old.visit_by) >= LEAST_SHIFT
        # The same visit, but seen from later: a proposal may not look older than its machine.
        or new.as_of - old.as_of >= LEAST_SHIFT
    )
