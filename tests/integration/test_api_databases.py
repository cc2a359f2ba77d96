"""The chain from samples to evidence closes on every database the registry supports."""

from pathlib import Path

from api.evidence.service import EvidenceService
from api.retention.service import RetentionService
from api.worker import Worker
from tests.unit.api import fleet

pytest_plugins = ["tests.contract.registry_databases"]


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
