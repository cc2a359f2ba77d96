"""The customer that replayed engines belong to, as CSV for `staybolt import`.

The records say nothing of who flew the engines; a machine needs an owner and a contract to have
a risk at all. So one operator is invented, with plain round terms.
"""

import csv
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from simulators.reading import NS_PER_S, Outlet

CUSTOMER: Final = "cust-replay"

_CONTRACT: Final = "contract-replay"
_CONTRACT_DAYS: Final = 365
_RENEWS_IN_DAYS: Final = 180


def write_replay_business(
    folder: Path, outlets: Sequence[Outlet], *, first_ns: int, now_ns: int
) -> None:
    """Write customers, sites, contracts and machines.

    Parameters
    ----------
    folder : Path
        Where to write; made if missing.
    outlets : sequence of Outlet
        The engines.
    first_ns, now_ns : int
        Their first sample, and now. [ns since 1970-01-01 UTC]
    """
    first, now = (datetime.fromtimestamp(ns // NS_PER_S, UTC) for ns in (first_ns, now_ns))
    renewed_on = (now + timedelta(days=_RENEWS_IN_DAYS - _CONTRACT_DAYS)).date()
    began = min(first, now - timedelta(days=_CONTRACT_DAYS)) - timedelta(days=1)
    # Everything was known before the first sample, so no sample is from an unknown machine.
    times = {"valid_at": _iso(began), "recorded_at": _iso(began)}
    tables: dict[str, list[dict[str, Any]]] = {
        "customers": [
            {
                "key": CUSTOMER,
                "name": "Replayed engines",
                "segment": "aviation",
                "region": "replay",
            }
        ],
        "sites": [
            {
                "key": outlets[0].site,
                "customer_key": CUSTOMER,
                "name": "Test bench of the replay",
                "time_zone": "UTC",
                "latitude_deg": 37.41,
                "longitude_deg": -122.06,
            }
        ],
        "contracts": [
            {
                "key": _CONTRACT,
                "customer_key": CUSTOMER,
                "starts_on": renewed_on,
                "ends_on": renewed_on + timedelta(days=_CONTRACT_DAYS),
                "auto_renew": "true",
                "notice_days": 60,
                "recurring_value_per_year": 100_000.0 * len(outlets),
                "currency": "EUR",
                "pricing_model": "fixed",
                "uptime_guarantee_ratio": "",
                "downtime_vendor_share_ratio": 0.0,
                "response_target_h": 24.0,
                "outcome": "",
                "outcome_on": "",
                "outcome_reason": "",
            }
        ],
        "machines": [
            {
                "key": outlet.machine,
                "site_key": outlet.site,
                "contract_key": _CONTRACT,
                "kind": outlet.kind,
                "model": "C-MAPSS turbofan",
                "installed_on": began.date(),
                "downtime_cost_per_h": 2000.0,
                "planned_visit_cost": 20_000.0,
                "planned_visit_h": 12.0,
                "unplanned_repair_cost": 90_000.0,
                "unplanned_repair_h": 96.0,
            }
            for outlet in outlets
        ],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for table, rows in tables.items():
        with (folder / f"{table}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [*rows[0], *times], lineterminator="\n")
            writer.writeheader()
            writer.writerows({**row, **times} for row in rows)


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
