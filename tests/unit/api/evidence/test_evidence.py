"""Every number can be followed to facts and samples that are really there."""

from collections.abc import Iterator

import pytest

from api.context import AppContext
from api.evidence.edges import parse_samples_id
from api.evidence.schemas import EvidenceNode
from api.evidence.service import EvidenceService
from api.problem import BadRequestError
from api.registry.models import Contract, Downtime
from api.retention.service import RetentionService
from api.worker import Worker
from ingest.telemetry import Series
from tests.unit.api import fleet
from tests.unit.api.asking import get

FACTS = {"visit", "work_order", "downtime", "ticket", "payment", "usage", "contract"}


@pytest.fixture
def judged(worn_presses: AppContext) -> AppContext:
    """After one round of the worker."""
    Worker(worn_presses).run_once()
    return worn_presses


def leaves(node: EvidenceNode) -> Iterator[EvidenceNode]:
    if not node.children:
        yield node
    for child in node.children:
        yield from leaves(child)


def nodes(node: EvidenceNode) -> Iterator[EvidenceNode]:
    yield node
    for child in node.children:
        yield from nodes(child)


def test_every_driver_of_every_customer_reaches_facts_or_samples_that_exist(
    judged: AppContext,
) -> None:
    n_drivers = 0
    for customer in RetentionService(judged).customers():
        assert customer.risk is not None
        root = EvidenceService(judged).resolve("risk", str(customer.risk.id), 12)
        drivers = RetentionService(judged).risk(customer.key).drivers
        assert [child.id for child in root.children] == [driver.id for driver in drivers]
        for child, driver in zip(root.children, drivers, strict=True):
            n_drivers += 1
            assert child.value == driver.money_per_year
            assert len(child.children) == driver.n_evidence >= 1
            for leaf in leaves(child):
                assert not leaf.is_missing
                is_sampled = leaf.samples is not None and leaf.samples.n_samples > 0
                assert leaf.kind in FACTS or is_sampled
                assert leaf.n_hidden == 0
    assert n_drivers >= 8


def test_the_wearing_machine_leads_through_health_to_its_samples(judged: AppContext) -> None:
    risk = RetentionService(judged).risk("acme")
    (driver,) = [d for d in risk.drivers if d.machine_key == "acme-press-1"]

    root = get(judged, driver.evidence_url)

    kinds = {child["kind"] for child in root["children"]}
    assert kinds == {"health", "alarm", "proposal"}
    health = next(child for child in root["children"] if child["kind"] == "health")
    (samples,) = health["children"]
    assert samples["samples"]["n_samples"] == 3 * 401 == health["facts"]["n_samples"]
    assert {one["signal"] for one in samples["samples"]["signals"]} == set(fleet.SIGNALS)


def test_samples_under_a_number_are_those_of_the_store(judged: AppContext) -> None:
    machine = get(judged, "/v1/machines/acme-press-1")
    node = get(judged, machine["health"]["samples"]["evidence_url"])
    series = [Series("site-a", "acme-press-1", "vibration_mm_s")]
    stored = judged.store.read(series, 0, 2**62)

    (shown,) = [o for o in node["samples"]["signals"] if o["signal"] == "vibration_mm_s"]

    assert shown["n_samples"] == len(stored)
    assert shown["first_value"] == stored.value[0]
    assert shown["last_value"] == stored.value[-1]
    assert get(judged, shown["samples_url"])["n_samples"] == len(stored)


def test_a_visit_shows_its_work_order_and_the_other_visits_but_not_itself(
    judged: AppContext,
) -> None:
    root = EvidenceService(judged).resolve("visit", "acme-visit-1")

    assert [(node.kind, node.id) for node in nodes(root)] == [
        ("visit", "acme-visit-1"),
        ("work_order", "acme-order-1"),
        ("visit", "acme-visit-2"),
    ]


def test_facts_are_shown_as_they_were_known_when_the_risk_was_judged(
    judged: AppContext, clock: fleet.Clock
) -> None:
    risk = RetentionService(judged).risk("acme")
    clock.advance(days=1)
    corrected = {
        "machine_key": "acme-press-2", "is_planned": False, "cause": "mended in the books",
        "work_order_key": None, "started_at": fleet.NOW, "ended_at": fleet.NOW,
    }  # fmt: skip
    fleet.record(judged, [fleet.fact(Downtime, "acme-down-1", clock(), **corrected)])

    root = EvidenceService(judged).resolve("risk", str(risk.id), 12)

    (then,) = [node for node in nodes(root) if node.kind == "downtime"]
    now = EvidenceService(judged).resolve("downtime", "acme-down-1")
    assert then.facts["cause"] == "seal"
    assert now.facts["cause"] == "mended in the books"


def test_depth_says_what_it_hides(judged: AppContext) -> None:
    risk = RetentionService(judged).risk("acme")

    root = EvidenceService(judged).resolve("risk", str(risk.id), 0)

    assert root.children == []
    assert root.n_hidden == len(risk.drivers)


def test_links_that_lead_nowhere_are_said_to_be_missing(judged: AppContext) -> None:
    terms = fleet.contract("acme", fleet.NOW, fleet.NOW.date())
    fleet.record(judged, [fleet.fact(Contract, "odd", fleet.NOW, **terms)])

    found = EvidenceService(judged).resolve("contract", "odd")

    assert not found.is_missing
    assert found.facts["recurring_value_per_year"] == 120_000.0


def test_a_window_of_thousands_of_digits_is_refused() -> None:
    for window in (f"{'9' * 5000}:5", f"5:{'9' * 5000}", "5:5", "a:b", "5"):
        with pytest.raises(BadRequestError, match="samples"):
            parse_samples_id(f"press-1:{window}")
