"""A tiny fleet of the API tests' own: presses that wear, and the customers who depend on them.

Written apart from the simulators, so that the two can't make the same mistake.
"""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analytics.health.model import HealthModel, RunToFailure, fit_health_model
from api.arrivals import Arrivals
from api.context import AppContext
from api.events import EventHub
from api.fitted import ModelShelf
from api.history import HistoryCache
from api.newest import NewestSamples
from api.registry.catalogue import RegistryCatalogue
from api.registry.database import migrate, open_engine, session
from api.registry.models import (
    Base,
    Contract,
    Customer,
    Downtime,
    HealthModelRecord,
    Machine,
    Payment,
    Site,
    Ticket,
    Usage,
    Visit,
    WorkOrder,
)
from api.settings import Settings
from api.times import to_ns
from ingest.opening import open_store
from ingest.quarantine import Quarantine
from ingest.service import IngestService
from ingest.telemetry import Quality, Series, TelemetryBatch
from ingest.tokens import TokenTable

NOW: Final = datetime(2026, 3, 15, 12, tzinfo=UTC)
INGEST_TOKEN: Final = "0123456789abcdef0123456789abcdef"
KIND: Final = "test-press"
SIGNALS: Final = ("vibration_mm_s", "oil_temperature_c", "motor_current_a")
STEP_H: Final = 2.0
NS_PER_H: Final = 3_600_000_000_000

FloatArray = npt.NDArray[np.float64]


@dataclass
class Clock:
    """A clock that tests move."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        self.now += timedelta(**duration)


def readings(wear: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Three signals of a press, of which two show wear."""
    noise = rng.normal(size=(wear.size, 3))
    return np.column_stack([
        2.0 * np.exp(1.4 * wear + 0.05 * noise[:, 0]),
        55.0 + 18.0 * wear + 0.8 * noise[:, 1],
        30.0 + 0.9 * noise[:, 2],
    ])


def wear_at(age_h: FloatArray, life_h: float) -> FloatArray:
    return np.clip((age_h / life_h - 0.4) / 0.6, 0.0, 1.0) ** 1.5


def fitted_model(n_units: int = 12) -> HealthModel:
    rng = np.random.default_rng(5)
    histories = []
    for unit in range(n_units):
        life_h = 700.0 + 500.0 * (unit * 0.618 % 1.0)
        age_h = np.arange(0.0, life_h, STEP_H)
        values = readings(wear_at(age_h, life_h), rng)
        histories.append(RunToFailure(f"unit-{unit:02d}", age_h, values))
    return fit_health_model(KIND, SIGNALS, histories, step_h=STEP_H)


def keep_model(context: AppContext, model: HealthModel) -> None:
    with session(context.engine) as writing:
        writing.add(
            HealthModelRecord(
                kind=model.kind,
                version=model.version,
                created_at=NOW,
                document=model.to_document(),
                card=model.card,
            )
        )


def batch(
    machine: str,
    end_at: datetime,
    values: FloatArray,
    *,
    step_h: float = STEP_H,
    quality: int = Quality.GOOD,
) -> TelemetryBatch:
    """Samples of one machine, the last one at a time."""
    n_times = values.shape[0]
    end_ns = round(end_at.timestamp()) * 1_000_000_000
    time_ns = end_ns - np.arange(n_times)[::-1] * round(step_h * NS_PER_H)
    series = [Series("site-a", machine, signal) for signal in SIGNALS]
    return TelemetryBatch.of(
        series,
        np.tile(np.arange(3), n_times),
        np.repeat(time_ns, 3),
        values.ravel(),
        np.full(3 * n_times, quality),
    )


def worn(machine: str, end_at: datetime, *, age_h: float, life_h: float = 900.0) -> TelemetryBatch:
    """Forty days of a press that is now so old."""
    seed = sum(machine.encode())
    ages_h = np.arange(max(0.0, age_h - 960.0), age_h + STEP_H, STEP_H)
    return batch(machine, end_at, readings(wear_at(ages_h, life_h), np.random.default_rng(seed)))


def store_samples(context: AppContext, *batches: TelemetryBatch) -> None:
    """What ingest does with a good batch: write it, then tell."""
    for one in batches:
        context.store.write(one)
        context.arrivals.on_stored(one)


def fact(table: type[Any], key: str, known_at: datetime, /, **columns: object) -> Any:  # noqa: ANN401
    return table(
        key=key, source="test", valid_at=known_at, recorded_at=known_at, import_id=None, **columns
    )


def record(context: AppContext, facts: Iterable[Base]) -> None:
    with session(context.engine) as writing:
        writing.add_all(list(facts))


def business_facts(now: datetime = NOW) -> list[Base]:
    """Three customers: one in trouble, one content, one that left last autumn."""
    long_ago = now - timedelta(days=700)
    facts: list[Base] = []
    for number, (key, ends_in_days, left_days_ago) in enumerate([
        ("acme", 120, None),
        ("calm", 200, None),
        ("gone", 150, 130),
    ]):
        left_on = None if left_days_ago is None else (now - timedelta(days=left_days_ago)).date()
        ends_on = left_on or (now + timedelta(days=ends_in_days)).date()
        facts += [
            fact(Customer, key, long_ago, name=key.title(), segment="steel", region="north"),
            fact(
                Site,
                f"{key}-site",
                long_ago,
                customer_key=key,
                name=f"{key} works",
                time_zone="Europe/Berlin",
                latitude_deg=50.0,
                longitude_deg=8.0 + number,
            ),
            fact(Contract, f"{key}-contract", long_ago, **contract(key, long_ago, ends_on)),
        ]
        if left_on is not None:
            told_at = datetime(left_on.year, left_on.month, left_on.day, tzinfo=UTC)
            outcome = {"outcome": "churned", "outcome_on": left_on, "outcome_reason": "service"}
            facts.append(
                fact(
                    Contract,
                    f"{key}-contract",
                    told_at,
                    **{**contract(key, long_ago, ends_on), **outcome},
                )
            )
        for place in (1, 2):
            facts.append(
                fact(
                    Machine,
                    f"{key}-press-{place}",
                    long_ago,
                    site_key=f"{key}-site",
                    contract_key=f"{key}-contract",
                    kind=KIND,
                    model="P-100",
                    installed_on=long_ago.date(),
                    downtime_cost_per_h=250.0,
                    planned_visit_cost=900.0,
                    planned_visit_h=4.0,
                    unplanned_repair_cost=6000.0,
                    unplanned_repair_h=30.0,
                )
            )
    return [*facts, *trouble("acme", now), *trouble("gone", now - timedelta(days=140)),
            *_usage_and_payments(now)]  # fmt: skip


def contract(customer: str, starts_at: datetime, ends_on: date) -> dict[str, Any]:
    return {
        "customer_key": customer,
        "starts_on": starts_at.date(),
        "ends_on": ends_on,
        "auto_renew": False,
        "notice_days": 60,
        "recurring_value_per_year": 120_000.0,
        "currency": "EUR",
        "pricing_model": "fixed",
        "uptime_guarantee_ratio": None,
        "downtime_vendor_share_ratio": 0.25,
        "response_target_h": 8.0,
        "outcome": None,
        "outcome_on": None,
        "outcome_reason": None,
    }


def trouble(customer: str, now: datetime) -> list[Base]:
    """A breakdown mended at the second visit, and a complaint."""
    machine, stopped_at = f"{customer}-press-2", now - timedelta(days=40)
    order = f"{customer}-order-1"
    facts: list[Base] = [
        fact(
            WorkOrder, order, stopped_at, machine_key=machine, kind="corrective",
            fault_code="seal", opened_at=stopped_at, closed_at=None, alarm_key=None,
        ),
        fact(
            Downtime, f"{customer}-down-1", stopped_at, machine_key=machine,
            started_at=stopped_at, ended_at=stopped_at + timedelta(hours=50), is_planned=False,
            cause="seal", work_order_key=order,
        ),
        fact(
            Ticket, f"{customer}-ticket-1", stopped_at, customer_key=customer,
            machine_key=machine, kind="complaint", opened_at=stopped_at, closed_at=None,
        ),
    ]  # fmt: skip
    for number, (hours, is_resolved) in enumerate([(30.0, False), (48.0, True)], 1):
        arrived_at = stopped_at + timedelta(hours=hours)
        facts.append(
            fact(
                Visit, f"{customer}-visit-{number}", arrived_at, work_order_key=order,
                technician_key="tech-1", arrived_at=arrived_at,
                left_at=arrived_at + timedelta(hours=2), is_resolved=is_resolved,
                incomplete_reason=None if is_resolved else "part",
            )
        )  # fmt: skip
    return facts


def _usage_and_payments(now: datetime) -> list[Base]:
    facts: list[Base] = []
    for back in range(1, 20):
        month = (now.year * 12 + now.month - 1) - back
        first = date(month // 12, month % 12 + 1, 1)
        told_at = datetime(first.year, first.month, 1, tzinfo=UTC) + timedelta(days=33)
        for customer in ("acme", "calm", "gone"):
            fading = customer != "calm" and back <= (3 if customer == "acme" else 8)
            facts += [
                fact(
                    Usage,
                    f"{customer}-use-{back}-{place}",
                    told_at,
                    machine_key=f"{customer}-press-{place}",
                    month=first,
                    run_h=300.0 if fading else 420.0,
                    n_logins=4,
                )
                for place in (1, 2)
            ]
            late_days = 12 if fading else 0
            facts.append(
                fact(
                    Payment,
                    f"{customer}-invoice-{back}",
                    told_at,
                    contract_key=f"{customer}-contract",
                    due_on=first,
                    paid_on=first + timedelta(days=late_days),
                    amount=10_000.0,
                    currency="EUR",
                )
            )
    return facts  # fmt: skip


@contextmanager
def open_context(folder: Path, clock: Clock, **settings: object) -> Iterator[AppContext]:
    """Real stores in a folder of the test."""
    chosen = Settings.model_validate({"state_dir": folder, **settings})
    engine = open_engine(chosen.registry_url)
    migrate(engine)
    hub = EventHub()
    arrivals = Arrivals(hub)
    with (
        closing(open_store(chosen.telemetry_store)) as store,
        Quarantine(chosen.quarantine_path) as quarantine,
    ):
        yield AppContext(
            engine=engine,
            store=store,
            ingest=IngestService(
                store,
                quarantine,
                RegistryCatalogue(engine, refresh_after_s=0.0),
                lambda: to_ns(clock()),
                TokenTable({INGEST_TOKEN: "press-hall"}),
                arrivals.on_stored,
            ),
            settings=chosen,
            hub=hub,
            arrivals=arrivals,
            newest=NewestSamples(store, arrivals, check_s=chosen.history_check_s),
            history=HistoryCache(engine),
            models=ModelShelf(engine),
            now=clock,
        )
        hub.close()
    engine.dispose()
