"""A small business as CSV files: two customers, three machines, a year of service."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

Row = dict[str, str]
Tables = dict[str, list[Row]]

VALID_AT = "2026-01-01T00:00:00Z"
RECORDED_AT = "2026-01-02T00:00:00Z"


def _fact(key: str, **cells: str) -> Row:
    return {"key": key, "valid_at": VALID_AT, "recorded_at": RECORDED_AT, **cells}


def small_business() -> Tables:
    """Every table, each with at least one row, all of it importable."""
    costs = {
        "downtime_cost_per_h": "850",
        "planned_visit_cost": "600",
        "planned_visit_h": "4",
        "unplanned_repair_cost": "5200.50",
        "unplanned_repair_h": "18",
    }
    contract = {
        "starts_on": "2025-07-01",
        "ends_on": "2026-07-01",
        "auto_renew": "true",
        "notice_days": "90",
        "recurring_value_per_year": "120000",
        "currency": "EUR",
        "pricing_model": "per-machine",
        "uptime_guarantee_ratio": "0.97",
        "downtime_vendor_share_ratio": "0.3",
        "response_target_h": "8",
        "outcome": "",
        "outcome_on": "",
        "outcome_reason": "",
    }
    machine = {"kind": "centrifugal-pump", "model": "CP-200", "installed_on": "2025-07-03", **costs}
    return {
        "customers": [
            _fact("cust-001", name="Müller, Söhne & Co", segment="food", region="north"),
            _fact("cust-002", name="=HYPERLINK(“x”)", segment="paper", region="south"),
        ],
        "sites": [
            _fact(
                f"site-0{number}",
                customer_key=f"cust-00{number}",
                name="Mill",
                time_zone="Europe/Berlin",
                latitude_deg="52.5",
                longitude_deg="13.4",
            )
            for number in (1, 2)
        ],
        "contracts": [
            _fact("con-1", customer_key="cust-001", **contract),
            _fact(
                "con-2",
                customer_key="cust-002",
                **contract
                | {"outcome": "churned", "outcome_on": "2026-01-01", "outcome_reason": "price"},
            ),
        ],
        "machines": [
            _fact("pump-01", site_key="site-01", contract_key="con-1", **machine),
            _fact("pump-02", site_key="site-01", contract_key="con-1", **machine),
            _fact("pump-03", site_key="site-02", contract_key="con-2", **machine),
        ],
        "technicians": [
            _fact(
                "tech-1",
                name="Ada",
                home_latitude_deg="52",
                home_longitude_deg="13",
                skills="centrifugal-pump;machining-spindle",
            )
        ],
        "work_orders": [
            _fact(
                "wo-1",
                machine_key="pump-01",
                kind="corrective",
                fault_code="seal",
                opened_at="2025-11-03T08:00:00Z",
                closed_at="2025-11-05T16:30:00Z",
                alarm_key="",
            )
        ],
        "visits": [
            _fact(
                "visit-1",
                work_order_key="wo-1",
                technician_key="tech-1",
                arrived_at="2025-11-03T13:00:00+01:00",
                left_at="2025-11-03T15:00:00Z",
                is_resolved="false",
                incomplete_reason="part",
            ),
            _fact(
                "visit-2",
                work_order_key="wo-1",
                technician_key="tech-1",
                arrived_at="2025-11-05T13:00:00Z",
                left_at="2025-11-05T16:00:00Z",
                is_resolved="true",
                incomplete_reason="",
            ),
        ],
        "downtimes": [
            _fact(
                "down-1",
                machine_key="pump-01",
                started_at="2025-11-03T07:30:00Z",
                ended_at="2025-11-05T16:00:00Z",
                is_planned="false",
                cause="seal",
                work_order_key="wo-1",
            )
        ],
        "tickets": [
            _fact(
                "ticket-1",
                customer_key="cust-001",
                machine_key="",
                kind="complaint",
                opened_at="2025-11-04T09:00:00Z",
                closed_at="",
            )
        ],
        "payments": [
            _fact(
                "pay-1",
                contract_key="con-1",
                due_on="2025-12-01",
                paid_on="",
                amount="10000",
                currency="EUR",
            )
        ],
        "usages": [
            _fact("use-1", machine_key="pump-01", month="2025-11-01", run_h="610.5", n_logins="14")
        ],
    }


def write_table(
    folder: Path, name: str, rows: Sequence[Mapping[str, str]], *, delimiter: str = ","
) -> Path:
    """Write one file with the columns of its first row."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_business(folder: Path, tables: Mapping[str, Sequence[Mapping[str, str]]]) -> Path:
    """Write a whole folder."""
    for name, rows in tables.items():
        write_table(folder, name, rows)
    return folder
