"""What happened at a customer lately, newest first."""

from datetime import UTC, datetime, time, timedelta
from typing import Final, Literal

from sqlalchemy.orm import Session

from api.evidence.edges import evidence_url
from api.registry.as_of import known
from api.registry.catalogue import CustomerFacts
from api.registry.models import Alarm, Downtime, Payment, Ticket, Visit, WorkOrder
from api.retention.schemas import TimelineEntry

DAYS: Final = 180
MAX_ENTRIES: Final = 200
LATE_AFTER_DAYS: Final = 7
"""An invoice is worth a line once it was paid a week late; bank transfers take days."""

Kind = Literal["visit", "downtime", "ticket", "alarm", "payment"]


def timeline(reading: Session, customer: CustomerFacts, now: datetime) -> list[TimelineEntry]:
    """Visits, standstills, tickets, alarms and late payments of a customer.

    Parameters
    ----------
    reading : Session
        Where to read.
    customer : CustomerFacts
        Whose.
    now : datetime
        The present; facts recorded later are not seen.

    Returns
    -------
    list of TimelineEntry
        Newest first.
    """
    since = now - timedelta(days=DAYS)
    entries = [
        *_visits(reading, customer, since, now),
        *_downtimes(reading, customer, since, now),
        *_tickets(reading, customer, since, now),
        *_alarms(reading, customer, since, now),
        *_late_payments(reading, customer, since, now),
    ]
    return sorted(entries, key=lambda entry: (entry.at, entry.id), reverse=True)[:MAX_ENTRIES]


def _visits(
    reading: Session, customer: CustomerFacts, since: datetime, now: datetime
) -> list[TimelineEntry]:
    orders = {
        order.key: order
        for order in reading.scalars(
            known(WorkOrder, now).where(WorkOrder.machine_key.in_(customer.machine_keys))
        )
    }
    visits = reading.scalars(
        known(Visit, now).where(Visit.work_order_key.in_(orders), Visit.arrived_at >= since)
    )
    entries = []
    for visit in visits:
        order = orders[visit.work_order_key]
        how = "fixed" if visit.is_resolved else f"not fixed ({visit.incomplete_reason})"
        words = f"{order.kind} visit to {order.machine_key}: {how}"
        entries.append(_entry("visit", visit.key, visit.arrived_at, order.machine_key, words))
    return entries


def _downtimes(
    reading: Session, customer: CustomerFacts, since: datetime, now: datetime
) -> list[TimelineEntry]:
    downtimes = reading.scalars(
        known(Downtime, now).where(
            Downtime.machine_key.in_(customer.machine_keys), Downtime.started_at >= since
        )
    )
    entries = []
    for downtime in downtimes:
        hours = ((downtime.ended_at or now) - downtime.started_at) / timedelta(hours=1)
        how = "planned" if downtime.is_planned else "unplanned"
        going_on = "" if downtime.ended_at else " so far"
        words = (
            f"{downtime.machine_key} stood still, {how}, {hours:.1f} h{going_on}: {downtime.cause}"
        )
        entries.append(
            _entry("downtime", downtime.key, downtime.started_at, downtime.machine_key, words)
        )
    return entries


def _tickets(
    reading: Session, customer: CustomerFacts, since: datetime, now: datetime
) -> list[TimelineEntry]:
    tickets = reading.scalars(
        known(Ticket, now).where(Ticket.customer_key == customer.key, Ticket.opened_at >= since)
    )
    return [
        _entry(
            "ticket",
            ticket.key,
            ticket.opened_at,
            ticket.machine_key,
            ticket.kind + (", still open" if ticket.closed_at is None else ""),
        )
        for ticket in tickets
    ]


def _alarms(
    reading: Session, customer: CustomerFacts, since: datetime, now: datetime
) -> list[TimelineEntry]:
    alarms = reading.scalars(
        known(Alarm, now).where(
            Alarm.machine_key.in_(customer.machine_keys), Alarm.raised_at >= since
        )
    )
    return [
        _entry("alarm", alarm.key, alarm.raised_at, alarm.machine_key, alarm.message)
        for alarm in alarms
    ]


def _late_payments(
    reading: Session, customer: CustomerFacts, since: datetime, now: datetime
) -> list[TimelineEntry]:
    contracts = [contract.key for contract in customer.contracts]
    payments = reading.scalars(
        known(Payment, now).where(
            Payment.contract_key.in_(contracts), Payment.due_on >= since.date()
        )
    )
    entries = []
    for payment in payments:
        days = ((payment.paid_on or now.date()) - payment.due_on).days
        if days < LATE_AFTER_DAYS:
            continue
        how = "not paid yet, " if payment.paid_on is None else "paid "
        words = f"{payment.amount:,.0f} {payment.currency} {how}{days} days late"
        due_at = datetime.combine(payment.due_on, time(), UTC)
        entries.append(_entry("payment", payment.key, due_at, None, words))
    return entries


def _entry(
    kind: Kind, key: str, at: datetime, machine_key: str | None, words: str
) -> TimelineEntry:
    return TimelineEntry(
        kind=kind,
        id=key,
        evidence_url=evidence_url(kind, key),
        at=at,
        machine_key=machine_key,
        words=words,
    )
