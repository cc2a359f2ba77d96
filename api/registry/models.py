"""Tables of the registry.

Every business fact is append-only and carries two times: ``valid_at``, when it became true in
the world, and ``recorded_at``, when it became known to us. A correction is a new row with the
same `key`; `api.registry.as_of` picks the row that was known at a moment. Facts name each other
by `key`, never by row, so that a correction moves nothing.
"""

from datetime import UTC, date, datetime
from typing import Any, ClassVar, Final

from sqlalchemy import (
    JSON,
    Date,
    DateTime,
    Dialect,
    Index,
    MetaData,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column
from sqlalchemy.types import TypeDecorator

KEY_LENGTH: Final = 64


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC times on every database; SQLite alone would drop the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Refuse naive times and store UTC.

        Parameters
        ----------
        value : datetime or None
            What the program gives.
        dialect : Dialect
            The database in use.

        Returns
        -------
        datetime or None
            The same moment in UTC.

        Raises
        ------
        ValueError
            If the time has no zone.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            msg = f"{value.isoformat()} has no time zone; give an aware UTC datetime"
            raise ValueError(msg)
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give the stored moment its zone back.

        Parameters
        ----------
        value : datetime or None
            What the database holds.
        dialect : Dialect
            The database in use.

        Returns
        -------
        datetime or None
            The same moment, aware, in UTC.
        """
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of every table."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        date: Date,
        dict[str, Any]: JSON,
        list[Any]: JSON,
    }


class Fact:
    """Columns of every business fact; see the module for the two times."""

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(KEY_LENGTH))
    """The fact's own name, the same in every version of it."""
    source: Mapped[str] = mapped_column(String(KEY_LENGTH), default="import")
    valid_at: Mapped[datetime]
    recorded_at: Mapped[datetime]
    import_id: Mapped[int | None] = mapped_column(index=True)

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Any, ...]:
        table = cls.__tablename__  # type: ignore[attr-defined]  # each table names itself
        return (
            Index(f"ix_{table}_key_recorded_at", "key", "recorded_at"),
            UniqueConstraint("source", "key", "recorded_at", name=f"uq_{table}_version"),
        )


class Customer(Fact, Base):
    """A company that subscribes to machines."""

    __tablename__ = "customer"
    name: Mapped[str]
    segment: Mapped[str]
    region: Mapped[str]


class Site(Fact, Base):
    """A place where a customer runs machines."""

    __tablename__ = "site"
    customer_key: Mapped[str] = mapped_column(String(KEY_LENGTH), index=True)
    name: Mapped[str]
    time_zone: Mapped[str]
    latitude_deg: Mapped[float]
    longitude_deg: Mapped[float]


class Contract(Fact, Base):
    """A subscription: what is paid, what is promised, and how it ended."""

    __tablename__ = "contract"
    customer_key: Mapped[str] = mapped_column(String(KEY_LENGTH), index=True)
    starts_on: Mapped[date]
    ends_on: Mapped[date]
    """Renewal date: the first day that is not covered any more."""
    auto_renew: Mapped[bool]
    notice_days: Mapped[int]
    recurring_value_per_year: Mapped[float]
    currency: Mapped[str] = mapped_column(String(3))
    pricing_model: Mapped[str]
    uptime_guarantee_ratio: Mapped[float | None]
    downtime_vendor_share_ratio: Mapped[float]
    """Part of the customer's downtime cost that the maker bears."""
    response_target_h: Mapped[float]
    outcome: Mapped[str | None]
    """``renewed`` or ``churned`` once decided, None while running."""
    outcome_on: Mapped[date | None]
    outcome_reason: Mapped[str | None]


class Machine(Fact, Base):
    """A machine at a customer's site; its key is the machine name in telemetry."""

    __tablename__ = "machine"
    site_key: Mapped[str] = mapped_column(String(KEY_LENGTH), index=True)
    contract_key: Mapped[str] = mapped_column(String(KEY_LENGTH), index=True)
    kind: Mapped[str]
    """Machines of one kind share signals and a health model."""
    model: Mapped[str]
    installed_on: Mapped[date]
    downtime_cost_per_h: Mapped[float]
    """What one hour of standstill costs the customer, in the contract's currency."""
    planned_visit_cost: Mapped[float]
    planned_visit_h: Mapped[float]
    unplanned_repair_cost: Mapped[float]
    unplanned_repair_h: Mapped[float]


class Technician(Fact, Base):
    """Somebody who can be sent."""

    __tablename__ = "technician"
    name: Mapped[str]
    home_latitude_deg: Mapped[float]
    home_longitude_deg: Mapped[float]
    skills: Mapped[str]
    """Machine kinds, separated by ``;``."""


class WorkOrder(Fact, Base):
    """A job on one machine, done in one or more visits."""

    __tablename__ = "work_order"
    machine_key: Mapped[str] = mapped_column(String(KEY_LENGTH), index=True)
    kind: Mapped[str]
    """``corrective``, ``preventive``, ``condition`` or ``installation``."""
    fault_code: Mapped[str | None]
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    alarm_key: Mapped[str | None] = mapped_column(String(KEY_LENGTH), index=True)


class Visit(Fact, Base):
    """One technician's visit for a work order, and whether it was fixed."""

    __tablename__ = "visit"
    work_order_key: Mapped[str] = mapped_column(String(KEY_LENGTH), index=True)
    technician_key: Mapped[str] = mapped_column(String(KEY_LENGTH), index=True)
    arrived_at: Mapped[datetime]
    left_at: Mapped[datetime]
    is_resolved: Mapped[bool]
    incomplete_reason: Mapped[str | None]
    """``part``, ``skill``, ``access`` or ``diagnosis`` when not resolved."""


class Downtime(Fact, Base):
    """A standstill of one machine."""

    __tablename__ = "downtime"
    machine_key: Mapped[str] = mapped_column(String(KEY_LENGTH), index=True)
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    is_planned: Mapped[bool]
    cause: Mapped[str]
    work_order_key: Mapped[str | None] = mapped_column(String(KEY_LENGTH), index=True)


class Ticket(Fact, Base):
    """A question or complaint of a customer."""

    __tablename__ = "ticket"
    customer_key: Mapped[str] = mapped_column(String(KEY_LENGTH), index=True)
    machine_key: Mapped[str | None] = mapped_column(String(KEY_LENGTH), index=True)
    kind: Mapped[str]
    """``question`` or ``complaint``."""
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


class Payment(Fact, Base):
    """An invoice and when it was paid."""

    __tablename__ = "payment"
    contract_key: Mapped[str] = mapped_column(String(KEY_LENGTH), index=True)
    due_on: Mapped[date]
    paid_on: Mapped[date | None]
    amount: Mapped[float]
    currency: Mapped[str] = mapped_column(String(3))


class Usage(Fact, Base):
    """What a customer did with one machine in one calendar month."""

    __tablename__ = "usage"
    machine_key: Mapped[str] = mapped_column(String(KEY_LENGTH), index=True)
    month: Mapped[date]
    """First day of the month."""
    run_h: Mapped[float]
    n_logins: Mapped[int]


class Alarm(Fact, Base):
    """A machine found to be going wrong; raising and clearing are versions of one alarm."""

    __tablename__ = "alarm"
    machine_key: Mapped[str] = mapped_column(String(KEY_LENGTH), index=True)
    raised_at: Mapped[datetime]
    cleared_at: Mapped[datetime | None]
    signal: Mapped[str]
    """The signal that contributed most."""
    score: Mapped[float]
    message: Mapped[str]
    samples_from: Mapped[datetime]
    samples_to: Mapped[datetime]
    model_version: Mapped[str]


class HealthSnapshot(Base):
    """What was thought of one machine at one moment."""

    __tablename__ = "health_snapshot"
    id: Mapped[int] = mapped_column(primary_key=True)
    machine_key: Mapped[str] = mapped_column(String(KEY_LENGTH))
    as_of: Mapped[datetime]
    """Newest sample used."""
    computed_at: Mapped[datetime]
    health_pct: Mapped[float | None]
    anomaly_score: Mapped[float | None]
    remaining_useful_life_h: Mapped[float | None]
    """Median of the predictive distribution; None where there is too little to go by."""
    lower_h: Mapped[float | None]
    upper_h: Mapped[float | None]
    """Ends of the central 80 % interval."""
    survival: Mapped[list[Any]]
    """``[[hours ahead, probability still running], ...]``; empty where unknown."""
    contributions: Mapped[list[Any]]
    """``[[signal, robust z], ...]``, largest first."""
    samples_from: Mapped[datetime]
    samples_to: Mapped[datetime]
    n_samples: Mapped[int]
    note: Mapped[str | None]
    """Why an answer is missing or weak, in words for a person."""
    model_version: Mapped[str]
    __table_args__ = (Index("ix_health_snapshot_machine_key_id", "machine_key", "id"),)


class Proposal(Base):
    """A service proposal: which machine, why, by when, and what waiting costs."""

    __tablename__ = "proposal"
    id: Mapped[int] = mapped_column(primary_key=True)
    machine_key: Mapped[str] = mapped_column(String(KEY_LENGTH))
    health_snapshot_id: Mapped[int]
    as_of: Mapped[datetime]
    computed_at: Mapped[datetime]
    is_open: Mapped[bool]
    """False once the machine no longer needs a visit within the horizon."""
    visit_by: Mapped[datetime]
    """End of the cheapest day."""
    failure_probability: Mapped[float]
    """Of failing within the planning horizon if nobody goes."""
    horizon_days: Mapped[int]
    planned_cost: Mapped[float]
    failure_cost: Mapped[float]
    currency: Mapped[str] = mapped_column(String(3))
    waiting_cost: Mapped[list[Any]]
    """``[[day, expected extra cost of going that day], ...]``."""
    reason: Mapped[str]
    __table_args__ = (Index("ix_proposal_machine_key_id", "machine_key", "id"),)


class RiskSnapshot(Base):
    """One customer's risk of leaving at one moment, with what drives it."""

    __tablename__ = "risk_snapshot"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_key: Mapped[str] = mapped_column(String(KEY_LENGTH))
    as_of: Mapped[datetime]
    """Facts recorded after this moment were not used."""
    computed_at: Mapped[datetime]
    horizon_days: Mapped[int]
    renewal_on: Mapped[date | None]
    churn_probability: Mapped[float]
    lower: Mapped[float]
    upper: Mapped[float]
    """Ends of the central 80 % interval."""
    recurring_value_per_year: Mapped[float]
    money_at_risk_per_year: Mapped[float]
    currency: Mapped[str] = mapped_column(String(3))
    drivers: Mapped[list[Any]]
    """Objects as in `api.retention.schemas.Driver`, largest money first."""
    model_version: Mapped[str]
    __table_args__ = (Index("ix_risk_snapshot_customer_key_id", "customer_key", "id"),)


class EvidenceEdge(Base):
    """One step of evidence: a number, and one thing it came from."""

    __tablename__ = "evidence_edge"
    id: Mapped[int] = mapped_column(primary_key=True)
    from_kind: Mapped[str] = mapped_column(String(32))
    from_id: Mapped[str] = mapped_column(String(128))
    to_kind: Mapped[str] = mapped_column(String(32))
    to_id: Mapped[str] = mapped_column(String(128))
    label: Mapped[str]
    value: Mapped[float | None]
    unit: Mapped[str | None]
    method: Mapped[str]
    """How the step was computed, in words."""
    __table_args__ = (Index("ix_evidence_edge_from", "from_kind", "from_id"),)


class HealthModelRecord(Base):
    """A fitted health model of one kind of machine; the newest of a kind is in use."""

    __tablename__ = "health_model"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    version: Mapped[str] = mapped_column(String(64))
    """Hash of the training data and settings."""
    created_at: Mapped[datetime]
    document: Mapped[dict[str, Any]]
    card: Mapped[dict[str, Any]]
    """Cross-validated figures, counts and dates for a person to read."""


class ImportBatch(Base):
    """One import of business facts: everything of it, or nothing."""

    __tablename__ = "import_batch"
    id: Mapped[int] = mapped_column(primary_key=True)
    started_at: Mapped[datetime]
    folder: Mapped[str]
    n_rows: Mapped[int]
    """Versions written; rows that were known already are not among them."""
    n_set_aside: Mapped[int]
    undone_at: Mapped[datetime | None]
    """When its facts were taken out again; the batch itself stays, so that its number does too."""


class SetAsideRow(Base):
    """A row that could not be imported, kept with its reason."""

    __tablename__ = "set_aside_row"
    id: Mapped[int] = mapped_column(primary_key=True)
    import_id: Mapped[int] = mapped_column(index=True)
    file: Mapped[str]
    line: Mapped[int]
    column: Mapped[str]
    reason: Mapped[str]
    row: Mapped[dict[str, Any]]
