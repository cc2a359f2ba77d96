"""The chain from samples to evidence closes on every database the registry supports."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from api.evidence.schemas import EvidenceNode, SampleWindow
from api.evidence.service import EvidenceService
from api.retention.service import RetentionService
from api.worker import Worker
from ingest.adapters.influx1 import Influx1Store
from tests.servers.launch import HttpServer
from tests.unit.api import fleet


def test_the_chain_closes_on_every_database(empty_url: str, tmp_path: Path) -> None:
    clock = fleet.Clock()
    with fleet.open_context(tmp_path / "server", clock, database=empty_url) as context:
        fleet.keep_model(context, fleet.fitted_model())
        fleet.record(context, fleet.business_facts())
        fleet.store_samples(context, fleet.worn("acme-press-1", fleet.NOW, age_h=800.0))
        worker = Worker(context)

        first = worker.run_once()
        clock.advance(hours=2)
        fleet.store_samples(context, fleet.worn("acme-press-1", clock.now, age_h=802.0))
        second = worker.run_once()

        assert (first.errors, second.errors) == ((), ())
        assert (first.n_health, second.n_health) == (1, 1)
        customers = RetentionService(context).customers()
        assert [customer.key for customer in customers] == ["acme", "calm"]
        risk = RetentionService(context).risk("acme")
        (driver,) = [d for d in risk.drivers if d.machine_key == "acme-press-1"]
        root = EvidenceService(context).resolve("driver", driver.id)
        assert {child.kind for child in root.children} == {"health", "alarm", "proposal"}
        assert RetentionService(context).customer("acme").timeline


@pytest.mark.server("influxd")
def test_the_server_keeps_its_samples_in_an_influxdb_if_told_to(
    influxdb1_server: HttpServer, tmp_path: Path
) -> None:
    telemetry = {"kind": "influx1", "url": influxdb1_server.url, "database": "staybolt_server"}
    with closing(Influx1Store(influxdb1_server.url, "staybolt_server")) as database:
        database.setup()
    clock = fleet.Clock()
    with fleet.open_context(tmp_path / "server", clock, telemetry=telemetry) as context:
        fleet.keep_model(context, fleet.fitted_model())
        fleet.record(context, fleet.business_facts())
        fleet.store_samples(context, fleet.worn("acme-press-1", fleet.NOW, age_h=800.0))

        done = Worker(context).run_once()

        assert (done.errors, done.n_health) == ((), 1)
        risk = RetentionService(context).risk("acme")
        (driver,) = [d for d in risk.drivers if d.machine_key == "acme-press-1"]
        leaves = list(samples_under(EvidenceService(context).resolve("driver", driver.id)))
        assert leaves
        assert all(window.n_samples > 0 for window in leaves)
    assert not list((tmp_path / "server").glob("*.duckdb"))


def samples_under(node: EvidenceNode) -> Iterator[SampleWindow]:
    """Windows of samples at the ends of a chain of evidence."""
    if node.samples is not None:
        yield node.samples
    for child in node.children:
        yield from samples_under(child)
