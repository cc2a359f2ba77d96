"""What a row of each importable file must look like.

The columns are those of `api.registry.models`; a test holds the two together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Final, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, model_validator
from sqlalchemy import Table, inspect

from api.registry import models
from api.registry.cells import (
    Count,
    Currency,
    Day,
    Hours,
    Latitude,
    Longitude,
    Money,
    Name,
    Number,
    OptionalDay,
    OptionalName,
    OptionalRatio,
    OptionalText,
    OptionalTime,
    Ratio,
    Refers,
    Text,
    Time,
    TimeZone,
    Truth,
    between,
    not_before,
    one_of,
    wrong_cell,
)

LONGEST_MONTH_H: Final = 31 * 24 + 1
"""A month of 31 days in which the clocks go back."""


class FactRow(BaseModel):
    """Columns of every file; a missing cell of an optional column is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: Name
    source: Name = "import"
    valid_at: Time
    recorded_at: OptionalTime = None


class CustomerRow(FactRow):
    """A row of customers.csv."""

    name: Text
    segment: Text
    region: Text


class SiteRow(FactRow):
    """A row of sites.csv."""

    customer_key: Annotated[Name, Refers("customers.csv")]
    name: Text
    time_zone: TimeZone
    latitude_deg: Latitude
    longitude_deg: Longitude


class ContractRow(FactRow):
    """A row of contracts.csv."""

    customer_key: Annotated[Name, Refers("customers.csv")]
    starts_on: Day
    ends_on: Annotated[Day, not_before("starts_on", is_same_allowed=False)]
    auto_renew: Truth
    notice_days: Count
    recurring_value_per_year: Money
    currency: Currency
    pricing_model: Text
    uptime_guarantee_ratio: OptionalRatio = None
    downtime_vendor_share_ratio: Ratio
    response_target_h: Hours
    outcome: Annotated[str | None, one_of("renewed", "churned")] = None
    outcome_on: Annotated[OptionalDay, not_before("starts_on")] = None
    outcome_reason: OptionalText = None

    @model_validator(mode="after")
    def _outcome_has_its_day(self) -> "ContractRow":
        if (self.outcome is None) != (self.outcome_on is None):
            there, missing = (
                ("outcome", "outcome_on") if self.outcome else ("outcome_on", "outcome")
            )
            raise wrong_cell(f"empty, but {there} is given; write both or neither", missing)
        return self


class MachineRow(FactRow):
    """A row of machines.csv."""

    site_key: Annotated[Name, Refers("sites.csv")]
    contract_key: Annotated[Name, Refers("contracts.csv")]
    kind: Name
    model: Text
    installed_on: Day
    downtime_cost_per_h: Money
    planned_visit_cost: Money
    planned_visit_h: Hours
    unplanned_repair_cost: Money
    unplanned_repair_h: Hours


class TechnicianRow(FactRow):
    """A row of technicians.csv."""

    name: Text
    home_latitude_deg: Latitude
    home_longitude_deg: Longitude
    skills: Text


class WorkOrderRow(FactRow):
    """A row of work_orders.csv.

    An alarm may be named that this registry has not raised: the telemetry it rests on may be
    older than the registry, or still on its way.
    """

    machine_key: Annotated[Name, Refers("machines.csv")]
    kind: Annotated[str, one_of("corrective", "preventive", "condition", "installation")]
    fault_code: OptionalText = None
    opened_at: Time
    closed_at: Annotated[OptionalTime, not_before("opened_at")] = None
    alarm_key: OptionalName = None


def _only_when_unresolved(reason: str | None, info: ValidationInfo) -> str | None:
    if reason is not None and info.data.get("is_resolved") is True:
        raise wrong_cell(
            f"{reason} is given but is_resolved is true; empty the reason, or write false"
        )
    return reason


class VisitRow(FactRow):
    """A row of visits.csv."""

    work_order_key: Annotated[Name, Refers("work_orders.csv")]
    technician_key: Annotated[Name, Refers("technicians.csv")]
    arrived_at: Time
    left_at: Annotated[Time, not_before("arrived_at")]
    is_resolved: Truth
    incomplete_reason: Annotated[
        str | None,
        one_of("part", "skill", "access", "diagnosis"),
        AfterValidator(_only_when_unresolved),
    ] = None


class DowntimeRow(FactRow):
    """A row of downtimes.csv."""

    machine_key: Annotated[Name, Refers("machines.csv")]
    started_at: Time
    ended_at: Annotated[OptionalTime, not_before("started_at")] = None
    is_planned: Truth
    cause: Text
    work_order_key: Annotated[OptionalName, Refers("work_orders.csv")] = None


class TicketRow(FactRow):
    """A row of tickets.csv."""

    customer_key: Annotated[Name, Refers("customers.csv")]
    machine_key: Annotated[OptionalName, Refers("machines.csv")] = None
    kind: Annotated[str, one_of("question", "complaint")]
    opened_at: Time
    closed_at: Annotated[OptionalTime, not_before("opened_at")] = None


class PaymentRow(FactRow):
    """A row of payments.csv; a credit note has a negative amount."""

    contract_key: Annotated[Name, Refers("contracts.csv")]
    due_on: Day
    paid_on: OptionalDay = None
    amount: Number
    currency: Currency


def _first_of_month(day: date) -> date:
    if day.day != 1:
        raise wrong_cell(f"{day} is not the first day of a month; write {day.replace(day=1)}")
    return day


class UsageRow(FactRow):
    """A row of usages.csv."""

    machine_key: Annotated[Name, Refers("machines.csv")]
    month: Annotated[Day, AfterValidator(_first_of_month)]
    run_h: Annotated[Number, between(0, LONGEST_MONTH_H, "hours within one month, 0 to 745")]
    n_logins: Count


@dataclass(frozen=True, slots=True)
class ImportedTable:
    """A file, the table it fills, and what its rows look like."""

    file: str
    model: type[models.Fact]
    row: type[FactRow]
    required: tuple[str, ...]
    """Columns the file must have."""
    optional: tuple[str, ...]
    """Columns it may have besides."""
    references: Mapping[str, str]
    """Column that names a fact of another file, and that file."""
    sql_table: Table
    """The table itself, for bulk inserts."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns, the required ones first."""
        return self.required + self.optional


def _table(file: str, model: type[models.Fact], row: type[FactRow]) -> ImportedTable:
    fields = row.model_fields
    # A column whose cells may be empty must still be there: without paid_on every invoice would
    # be unpaid, without ended_at every standstill would still go on.
    free = ("source", "recorded_at")
    return ImportedTable(
        file,
        model,
        row,
        required=tuple(name for name in fields if name not in free),
        optional=free,
        references={
            name: mark.file
            for name, field in fields.items()
            for mark in field.metadata
            if isinstance(mark, Refers)
        },
        sql_table=cast("Table", inspect(model).local_table),
    )


TABLES: Final = (
    _table("customers.csv", models.Customer, CustomerRow),
    _table("sites.csv", models.Site, SiteRow),
    _table("contracts.csv", models.Contract, ContractRow),
    _table("machines.csv", models.Machine, MachineRow),
    _table("technicians.csv", models.Technician, TechnicianRow),
    _table("work_orders.csv", models.WorkOrder, WorkOrderRow),
    _table("visits.csv", models.Visit, VisitRow),
    _table("downtimes.csv", models.Downtime, DowntimeRow),
    _table("tickets.csv", models.Ticket, TicketRow),
    _table("payments.csv", models.Payment, PaymentRow),
    _table("usages.csv", models.Usage, UsageRow),
)
"""In the order of import: whatever a row refers to stands in an earlier file."""
