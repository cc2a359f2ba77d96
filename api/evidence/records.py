"""What is recorded about each thing a number can come from, and what it points to itself.

Facts know their neighbours already (a visit names its work order), so those steps are read from
the facts; only steps that were computed are kept as evidence edges.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.evidence.edges import Step, samples_id
from api.evidence.schemas import EvidenceKind
from api.registry.as_of import F, known
from api.registry.models import (
    Alarm,
    Contract,
    Downtime,
    HealthSnapshot,
    Payment,
    Proposal,
    RiskSnapshot,
    Ticket,
    Usage,
    Visit,
    WorkOrder,
)
from api.times import to_ns

Facts = dict[str, str | float | bool | None]


@dataclass(frozen=True, slots=True)
class Record:
    """What is recorded about one thing.

    Parameters
    ----------
    title : str
        It in a few words.
    at : datetime or None
        When it was.
    facts : dict
        Its fields.
    page_url : str or None
        The page a person would look at.
    steps : list of Step
        What it points to by itself.
    """

    title: str
    at: datetime | None
    facts: Facts
    page_url: str | None = None
    steps: list[Step] = field(default_factory=list)


Loader = Callable[[Session, Sequence[str], datetime | None], dict[str, Record]]


def load_records(
    session: Session, kind: EvidenceKind, ids: Sequence[str], as_of: datetime | None
) -> dict[str, Record]:
    """Read what is recorded about several things of one kind.

    Parameters
    ----------
    session : Session
        Where to read.
    kind : str
        What they are; ``samples`` are not records.
    ids : sequence of str
        Their names.
    as_of : datetime or None
        Versions recorded later are not seen; None means today.

    Returns
    -------
    dict of str to Record
        Those that exist.
    """
    return _LOADERS[kind](session, ids, as_of) if kind in _LOADERS else {}


def _risks(session: Session, ids: Sequence[str], _as_of: datetime | None) -> dict[str, Record]:
    rows = session.scalars(select(RiskSnapshot).where(RiskSnapshot.id.in_(_numbers(ids))))
    return {
        str(risk.id): Record(
            f"Risk of {risk.customer_key} leaving: {risk.churn_probability:.0%}, "
            f"{risk.money_at_risk_per_year:,.0f} {risk.currency} a year",
            risk.as_of,
            _fields(risk, leave_out={"drivers"}),
            f"/customers/{risk.customer_key}",
        )
        for risk in rows
    }


def _drivers(session: Session, ids: Sequence[str], _as_of: datetime | None) -> dict[str, Record]:
    numbers = _numbers({id_.partition(".")[0] for id_ in ids})
    rows = session.scalars(select(RiskSnapshot).where(RiskSnapshot.id.in_(numbers)))
    return {
        driver["id"]: Record(
            driver["words"],
            risk.as_of,
            {
                name: value
                for name, value in driver.items()
                if name not in {"words", "parameters", "evidence_url"}
            }
            | {
                name: value
                for name, value in (driver.get("parameters") or {}).items()
                if name == "failure_probability"
            },
            f"/customers/{risk.customer_key}",
        )
        for risk in rows
        for driver in risk.drivers
        if driver["id"] in ids
    }


def _proposals(session: Session, ids: Sequence[str], _as_of: datetime | None) -> dict[str, Record]:
    rows = session.scalars(select(Proposal).where(Proposal.id.in_(_numbers(ids))))
    return {
        str(proposal.id): Record(
            f"Visit {proposal.machine_key} by {proposal.visit_by:%Y-%m-%d}",
            proposal.as_of,
            _fields(proposal, leave_out={"waiting_cost"}),
            "/proposals",
        )
        for proposal in rows
    }


def _health(session: Session, ids: Sequence[str], _as_of: datetime | None) -> dict[str, Record]:
    rows = session.scalars(select(HealthSnapshot).where(HealthSnapshot.id.in_(_numbers(ids))))
    return {
        str(snapshot.id): Record(
            f"Health of {snapshot.machine_key}: "
            + ("not known" if snapshot.health_pct is None else f"{snapshot.health_pct:.0f} %"),
            snapshot.as_of,
            _fields(snapshot, leave_out={"survival", "contributions"}),
            f"/machines/{snapshot.machine_key}",
        )
        for snapshot in rows
    }


def _alarms(session: Session, ids: Sequence[str], as_of: datetime | None) -> dict[str, Record]:
    return {
        alarm.key: Record(
            alarm.message,
            alarm.raised_at,
            _fields(alarm, leave_out={"message"}),
            f"/machines/{alarm.machine_key}",
            [
                Step(
                    "samples",
                    samples_id(
                        alarm.machine_key, to_ns(alarm.samples_from), to_ns(alarm.samples_to)
                    ),
                    "samples that raised the alarm",
                    None,
                    None,
                    f"anomaly score {alarm.score:.2f} by health model {alarm.model_version}",
                )
            ],
        )
        for alarm in _newest(session, Alarm, ids, as_of)
    }


def _visits(session: Session, ids: Sequence[str], as_of: datetime | None) -> dict[str, Record]:
    return {
        visit.key: Record(
            f"Visit {visit.key} on work order {visit.work_order_key}: "
            + ("fixed" if visit.is_resolved else f"not fixed ({visit.incomplete_reason})"),
            visit.arrived_at,
            _fields(visit),
            None,
            [_recorded("work_order", visit.work_order_key, "work order of the visit")],
        )
        for visit in _newest(session, Visit, ids, as_of)
    }


def _work_orders(session: Session, ids: Sequence[str], as_of: datetime | None) -> dict[str, Record]:
    visits_of: dict[str, list[Step]] = {}
    statement = known(Visit, as_of).where(Visit.work_order_key.in_(ids))
    for visit in session.scalars(statement.order_by(Visit.arrived_at, Visit.key)):
        step = _recorded("visit", visit.key, "visit made for the work order")
        visits_of.setdefault(visit.work_order_key, []).append(step)
    records = {}
    for order in _newest(session, WorkOrder, ids, as_of):
        steps = visits_of.get(order.key, [])
        if order.alarm_key is not None:
            steps = [_recorded("alarm", order.alarm_key, "alarm that led to it"), *steps]
        fault = "" if order.fault_code is None else f", fault {order.fault_code}"
        records[order.key] = Record(
            f"Work order {order.key}: {order.kind} on {order.machine_key}{fault}",
            order.opened_at,
            _fields(order),
            f"/machines/{order.machine_key}",
            steps,
        )
    return records


def _downtimes(session: Session, ids: Sequence[str], as_of: datetime | None) -> dict[str, Record]:
    records = {}
    for downtime in _newest(session, Downtime, ids, as_of):
        steps = []
        if downtime.work_order_key is not None:
            steps.append(_recorded("work_order", downtime.work_order_key, "work order for it"))
        records[downtime.key] = Record(
            f"{'Planned' if downtime.is_planned else 'Unplanned'} standstill of "
            f"{downtime.machine_key}: {downtime.cause}",
            downtime.started_at,
            _fields(downtime),
            f"/machines/{downtime.machine_key}",
            steps,
        )
    return records


def _tickets(session: Session, ids: Sequence[str], as_of: datetime | None) -> dict[str, Record]:
    return {
        ticket.key: Record(
            f"{ticket.kind.capitalize()} {ticket.key}",
            ticket.opened_at,
            _fields(ticket),
            f"/customers/{ticket.customer_key}",
        )
        for ticket in _newest(session, Ticket, ids, as_of)
    }


def _payments(session: Session, ids: Sequence[str], as_of: datetime | None) -> dict[str, Record]:
    return {
        payment.key: Record(
            f"Invoice {payment.key}: {payment.amount:,.0f} {payment.currency} due "
            f"{payment.due_on}, "
            + ("not paid" if payment.paid_on is None else f"paid {payment.paid_on}"),
            None,
            _fields(payment),
        )
        for payment in _newest(session, Payment, ids, as_of)
    }


def _usages(session: Session, ids: Sequence[str], as_of: datetime | None) -> dict[str, Record]:
    return {
        usage.key: Record(
            f"Use of {usage.machine_key} in {usage.month:%Y-%m}: {usage.run_h:,.0f} h",
            None,
            _fields(usage),
            f"/machines/{usage.machine_key}",
        )
        for usage in _newest(session, Usage, ids, as_of)
    }


def _contracts(session: Session, ids: Sequence[str], as_of: datetime | None) -> dict[str, Record]:
    return {
        contract.key: Record(
            f"Contract {contract.key}: {contract.recurring_value_per_year:,.0f} "
            f"{contract.currency} a year until {contract.ends_on}",
            None,
            _fields(contract),
            f"/customers/{contract.customer_key}",
        )
        for contract in _newest(session, Contract, ids, as_of)
    }


_LOADERS: Final[Mapping[EvidenceKind, Loader]] = {
    "risk": _risks,
    "driver": _drivers,
    "proposal": _proposals,
    "health": _health,
    "alarm": _alarms,
    "visit": _visits,
    "work_order": _work_orders,
    "downtime": _downtimes,
    "ticket": _tickets,
    "payment": _payments,
    "usage": _usages,
    "contract": _contracts,
}


def _newest(
    session: Session, model: type[F], ids: Sequence[str], as_of: datetime | None
) -> list[F]:
    """Two sources may speak of one key; the one that spoke last comes last and stands."""
    statement = known(model, as_of).where(model.key.in_(ids))
    return list(session.scalars(statement.order_by(model.recorded_at)))


def _recorded(kind: EvidenceKind, id_: str, label: str) -> Step:
    return Step(kind, id_, label, None, None, "as recorded")


def _numbers(ids: Iterable[str]) -> list[int]:
    return [int(id_) for id_ in ids if id_.isdecimal() and len(id_) < 19]


_PLUMBING: Final = frozenset({"id", "import_id"})


def _fields(row: Any, leave_out: Iterable[str] = ()) -> Facts:  # noqa: ANN401  # any table
    hidden = _PLUMBING | set(leave_out)
    return {
        column.key: _plain(getattr(row, column.key))
        for column in row.__table__.columns
        if column.key not in hidden
    }


def _plain(value: Any) -> str | float | bool | None:  # noqa: ANN401  # whatever a column holds
    match value:
        case datetime() | date():
            return value.isoformat()
        case None | bool() | str():
            return value
        case int() | float():
            return float(value)
        case _:
            return str(value)
