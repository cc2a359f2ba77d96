"""The files of the simulated world, with their columns in order."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from simulators.world import happenings, relations, standing
from simulators.world.counterfactual import prevented_at
from simulators.world.law import HAZARD_FEATURES, N_LEAD_IN_MONTHS
from simulators.world.rows import Cell, Row
from simulators.world.state import World


@dataclass(frozen=True, slots=True)
class Table:
    """One file.

    Parameters
    ----------
    name : str
        File name without ending.
    columns : tuple of str
        Columns before ``valid_at`` and ``recorded_at``.
    rows : callable
        Gives the rows of a world.
    """

    name: str
    columns: tuple[str, ...]
    rows: Callable[[World], Iterator[Row]]


TABLES: Final = (
    Table("customers", ("key", "name", "segment", "region"), standing.customers),
    Table(
        "sites",
        ("key", "customer_key", "name", "time_zone", "latitude_deg", "longitude_deg"),
        standing.sites,
    ),
    Table(
        "contracts",
        (
            "key",
            "customer_key",
            "starts_on",
            "ends_on",
            "auto_renew",
            "notice_days",
            "recurring_value_per_year",
            "currency",
            "pricing_model",
            "uptime_guarantee_ratio",
            "downtime_vendor_share_ratio",
            "response_target_h",
            "outcome",
            "outcome_on",
            "outcome_reason",
        ),
        standing.contracts,
    ),
    Table(
        "machines",
        (
            "key",
            "site_key",
            "contract_key",
            "kind",
            "model",
            "installed_on",
            "downtime_cost_per_h",
            "planned_visit_cost",
            "planned_visit_h",
            "unplanned_repair_cost",
            "unplanned_repair_h",
        ),
        standing.machines,
    ),
    Table(
        "technicians",
        ("key", "name", "home_latitude_deg", "home_longitude_deg", "skills"),
        standing.technicians,
    ),
    Table(
        "work_orders",
        ("key", "machine_key", "kind", "fault_code", "opened_at", "closed_at", "alarm_key"),
        happenings.work_orders,
    ),
    Table(
        "visits",
        (
            "key",
            "work_order_key",
            "technician_key",
            "arrived_at",
            "left_at",
            "is_resolved",
            "incomplete_reason",
        ),
        happenings.visits,
    ),
    Table(
        "downtimes",
        ("key", "machine_key", "started_at", "ended_at", "is_planned", "cause", "work_order_key"),
        happenings.downtimes,
    ),
    Table(
        "tickets",
        ("key", "customer_key", "machine_key", "kind", "opened_at", "closed_at"),
        happenings.tickets,
    ),
    Table(
        "payments",
        ("key", "contract_key", "due_on", "paid_on", "amount", "currency"),
        standing.payments,
    ),
    Table("usages", ("key", "machine_key", "month", "run_h", "n_logins"), happenings.usages),
)
"""All files, each after those it refers to."""

RELATIONS: Final = (
    Table(
        "contacts", ("key", "customer_key", "role", "valid_from", "valid_to"), relations.contacts
    ),
    Table("competitor_offers", ("key", "customer_key", "price_ratio"), relations.competitor_offers),
    Table(
        "contract_changes",
        ("key", "contract_key", "kind", "delta_per_year", "currency"),
        relations.contract_changes,
    ),
    Table("milestones", ("key", "customer_key", "name", "due_on", "done_on"), relations.milestones),
    Table("parts", ("key", "machine_kind", "fault_code", "price", "currency"), relations.parts),
    Table(
        "technician_shifts",
        ("key", "technician_key", "arrives_from_h", "arrives_to_h", "utc_offset_h"),
        relations.technician_shifts,
    ),
)
"""Files about people and terms that the registry does not import yet, in a folder of their own."""

TRUTH_COLUMNS: Final = (
    "customer",
    "month",
    "landmark_at",
    "monthly_hazard",
    "may_leave",
    "has_left",
    "frailty_log_odds",
    *HAZARD_FEATURES,
    "machine_if_serviced",
    "failure_at_if_serviced",
    "monthly_hazard_if_serviced",
)


def truth_rows(world: World) -> Iterator[tuple[Cell, ...]]:
    """Tell the true risks.

    Parameters
    ----------
    world : World
        A world that has been played.

    Yields
    ------
    tuple
        Values of `TRUTH_COLUMNS`.
    """
    owner = {customer.key: customer for customer in world.customers}
    for row in world.truth:
        prevented = prevented_at(
            owner[row.customer_key],
            world.relations[owner[row.customer_key].number],
            row.month + N_LEAD_IN_MONTHS,
        )
        yield (
            row.customer_key,
            row.month,
            world.calendar.moment(row.landmark_h),
            row.hazard,
            row.may_leave,
            row.has_left,
            row.frailty,
            *row.features.tolist(),
            None if prevented is None else prevented.machine_key,
            None if prevented is None else world.calendar.moment(prevented.failed_h),
            row.hazard if prevented is None else prevented.hazard,
        )
