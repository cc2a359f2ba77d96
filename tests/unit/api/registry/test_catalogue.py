"""Who owns which machine, and what happens while the registry can't be asked."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from api.registry.catalogue import RegistryCatalogue, customer_facts, machine_facts
from api.registry.database import database_url, migrate, open_engine, read_session
from api.registry.importer import import_folder
from ingest.ports import MachineCatalogue
from tests.unit.api.registry.business import small_business, write_business

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_engine(database_url(tmp_path / "state"))
    migrate(opened)
    yield opened
    opened.dispose()


@pytest.fixture
def business(tmp_path: Path) -> Path:
    return write_business(tmp_path / "business", small_business())


def test_machines_are_let_in_a_few_seconds_after_their_import(
    engine: Engine, business: Path
) -> None:
    clock_s = [100.0]
    catalogue: MachineCatalogue = RegistryCatalogue(
        engine, clock_s=lambda: clock_s[0], refresh_after_s=5.0
    )
    assert not catalogue.is_known("pump-01")

    import_folder(engine, business, now=NOW)
    clock_s[0] = 104.9
    is_known_early = catalogue.is_known("pump-01")
    clock_s[0] = 105.0

    assert (is_known_early, catalogue.is_known("pump-01")) == (False, True)
    assert not catalogue.is_known("pump-99")


def test_a_refresh_lets_machines_in_at_once(engine: Engine, business: Path) -> None:
    catalogue = RegistryCatalogue(engine)
    assert not catalogue.is_known("pump-01")
    import_folder(engine, business, now=NOW)

    catalogue.refresh()

    assert catalogue.is_known("pump-01")


def test_known_machines_stay_known_while_the_registry_fails(
    engine: Engine, business: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock_s = [0.0]
    import_folder(engine, business, now=NOW)
    catalogue = RegistryCatalogue(engine, clock_s=lambda: clock_s[0])
    assert catalogue.is_known("pump-01")
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE machine RENAME TO gone"))

    clock_s[0] = 60.0

    assert catalogue.is_known("pump-01")
    assert "going on with the 3 known" in caplog.text
    caplog.clear()
    assert catalogue.is_known("pump-01")
    assert caplog.text == ""


def test_there_is_no_catalogue_without_a_registry(tmp_path: Path) -> None:
    engine = open_engine(database_url(tmp_path))

    with pytest.raises(SQLAlchemyError):
        RegistryCatalogue(engine)

    engine.dispose()


def test_a_machine_knows_its_site_customer_and_contract(engine: Engine, business: Path) -> None:
    import_folder(engine, business, now=NOW)

    with read_session(engine) as reader:
        machines = machine_facts(reader)

    assert list(machines) == ["pump-01", "pump-02", "pump-03"]
    pump = machines["pump-03"]
    assert (pump.site_key, pump.customer_key, pump.contract.key) == ("site-02", "cust-002", "con-2")
    assert (pump.kind, pump.currency, pump.unplanned_repair_cost) == (
        "centrifugal-pump",
        "EUR",
        5200.5,
    )


def test_a_customer_knows_its_machines_and_running_contracts(
    engine: Engine, business: Path
) -> None:
    import_folder(engine, business, now=NOW)

    with read_session(engine) as reader:
        customers = customer_facts(reader)

    stays, left = customers["cust-001"], customers["cust-002"]
    assert stays.machine_keys == ("pump-01", "pump-02")
    assert [contract.key for contract in stays.running_contracts(date(2026, 6, 30))] == ["con-1"]
    assert stays.running_contracts(date(2026, 7, 1)) == ()
    assert [contract.key for contract in left.running_contracts(date(2025, 12, 31))] == ["con-2"]
    assert left.running_contracts(date(2026, 1, 1)) == ()


def test_nothing_is_known_before_it_was_recorded(engine: Engine, business: Path) -> None:
    import_folder(engine, business, now=NOW)

    with read_session(engine) as reader:
        before = datetime(2026, 1, 1, 23, 59, tzinfo=UTC)
        assert machine_facts(reader, before) == {}
        assert customer_facts(reader, before) == {}
