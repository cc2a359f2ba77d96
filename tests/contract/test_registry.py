"""What the registry promises, on SQLite and on PostgreSQL alike."""

import threading
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.registry.as_of import columns, known
from api.registry.database import migrate, open_engine, read_session, session
from api.registry.errors import RegistryUnavailableError, RegistryVersionError
from api.registry.models import Base, Contract, Customer, Downtime, Usage

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(hour: float) -> datetime:
    return START + timedelta(hours=hour)


def customer(key: str, recorded_h: float, name: str = "Mill", source: str = "import") -> Customer:
    return Customer(
        key=key,
        source=source,
        name=name,
        segment="food",
        region="north",
        valid_at=START,
        recorded_at=at(recorded_h),
    )


def test_models_and_migrations_agree(empty_url: str) -> None:
    engine = open_engine(empty_url)

    migrate(engine)

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_migrating_twice_changes_nothing(engine: Engine) -> None:
    with session(engine) as writer:
        writer.add(customer("cust-001", 0))

    migrate(engine)

    with read_session(engine) as reader:
        assert reader.scalars(select(Customer.key)).all() == ["cust-001"]


def test_programs_that_start_together_migrate_once(empty_url: str) -> None:
    failures: list[Exception] = []

    def start() -> None:
        engine = open_engine(empty_url)
        try:
            migrate(engine)
        except RegistryUnavailableError as error:
            failures.append(error)
        finally:
            engine.dispose()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []


def test_a_migration_that_fails_half_way_leaves_nothing_behind(empty_url: str) -> None:
    engine = open_engine(empty_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE visit (somebody_elses INTEGER)"))

    with pytest.raises(RegistryUnavailableError, match="visit"):
        migrate(engine)

    assert set(inspect(engine).get_table_names()) <= {"visit"}
    engine.dispose()


def test_tables_of_a_newer_program_are_left_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(RegistryVersionError, match="newer"):
        migrate(engine)


def test_a_session_that_raises_keeps_nothing(engine: Engine) -> None:
    def write_twice() -> None:
        with session(engine) as writer:
            writer.add(customer("cust-001", 0))
            writer.flush()
            writer.add(customer("cust-001", 0))

    with pytest.raises(IntegrityError):
        write_twice()

    with read_session(engine) as reader:
        assert reader.scalar(select(func.count()).select_from(Customer)) == 0


def test_a_reader_sees_one_moment_while_others_write(engine: Engine) -> None:
    with read_session(engine) as reader:
        before = reader.scalar(select(func.count()).select_from(Customer))
        with session(engine) as writer:
            writer.add(customer("cust-001", 0))
        after = reader.scalar(select(func.count()).select_from(Customer))

    assert (before, after) == (0, 0)


def test_a_read_session_keeps_nothing(engine: Engine) -> None:
    with read_session(engine) as reader:
        reader.add(customer("cust-001", 0))

    with read_session(engine) as reader:
        assert reader.scalar(select(func.count()).select_from(Customer)) == 0


def test_writers_that_read_first_wait_their_turn(engine: Engine) -> None:
    n_threads, n_rounds = 4, 5

    def write(thread: int) -> None:
        for turn in range(n_rounds):
            with session(engine) as writer:
                writer.scalar(select(func.count()).select_from(Customer))
                writer.add(customer(f"cust-{thread}-{turn}", 0))

    threads = [threading.Thread(target=write, args=(thread,)) for thread in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with read_session(engine) as reader:
        assert reader.scalar(select(func.count()).select_from(Customer)) == n_threads * n_rounds


def test_moments_come_back_aware_and_in_utc(engine: Engine) -> None:
    with session(engine) as writer:
        writer.add(customer("cust-001", 0.25))

    with read_session(engine) as reader:
        read = reader.scalars(select(Customer)).one()

    assert read.recorded_at == at(0.25)
    assert read.recorded_at.utcoffset() == timedelta(0)


class Version(NamedTuple):
    source: str
    key: str
    recorded_h: int
    name: str


versions = st.lists(
    st.builds(
        Version,
        source=st.sampled_from(["crm", "import"]),
        key=st.sampled_from(["cust-001", "cust-002", "cust-003"]),
        recorded_h=st.integers(0, 12),
        name=st.sampled_from(["Mill", "Mill & Co", "Mill AG"]),
    ),
    unique_by=lambda version: version[:3],
    max_size=12,
)
on_every_database = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def record(writer: Session, some: Sequence[Version]) -> None:
    rows = [
        {
            "source": version.source,
            "key": version.key,
            "name": version.name,
            "recorded_at": at(version.recorded_h),
            "valid_at": START,
            "segment": "food",
            "region": "north",
        }
        for version in some
    ]
    if rows:
        writer.execute(insert(Customer), rows)


def answer(reader: Session, as_of: datetime | None) -> set[Version]:
    return {
        Version(
            fact.source,
            fact.key,
            round((fact.recorded_at - START).total_seconds() / 3600),
            fact.name,
        )
        for fact in reader.scalars(known(Customer, as_of).execution_options(populate_existing=True))
    }


def naively_known(some: Sequence[Version], as_of_h: float) -> set[Version]:
    newest: dict[tuple[str, str], Version] = {}
    for version in sorted(some, key=lambda each: each.recorded_h):
        if version.recorded_h <= as_of_h:
            newest[version.source, version.key] = version
    return set(newest.values())


@given(some=versions, as_of_h=st.integers(-1, 13))
@on_every_database
def test_known_is_the_newest_version_recorded_by_then(
    engine: Engine, some: list[Version], as_of_h: int
) -> None:
    with Session(engine) as writer:
        record(writer, some)

        assert answer(writer, at(as_of_h)) == naively_known(some, as_of_h)
        assert answer(writer, None) == naively_known(some, 99)


@given(some=versions, as_of_h=st.integers(0, 12))
@on_every_database
def test_facts_recorded_later_never_change_a_past_answer(
    engine: Engine, some: list[Version], as_of_h: int
) -> None:
    early = [version for version in some if version.recorded_h <= as_of_h]
    late = [version for version in some if version.recorded_h > as_of_h]
    with Session(engine) as writer:
        record(writer, early)
        before = answer(writer, at(as_of_h))
        record(writer, late)

        assert answer(writer, at(as_of_h)) == before


@given(some=versions, data=st.data())
@on_every_database
def test_the_order_of_writing_does_not_matter(
    engine: Engine, some: list[Version], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(some))
    names = ["key", "source", "name", "recorded_at"]
    read = []
    for order in (some, shuffled):
        with Session(engine) as writer:
            record(writer, order)
            read.append(columns(writer, known(Customer, at(6)), names))

    for name in names:
        np.testing.assert_array_equal(read[0][name], read[1][name])


def test_a_correction_changes_later_answers_and_no_earlier_one(engine: Engine) -> None:
    with session(engine) as writer:
        writer.add_all([customer("cust-001", 1, "Mill"), customer("cust-001", 5, "Mill AG")])

    with read_session(engine) as reader:
        names = [
            [fact.name for fact in reader.scalars(known(Customer, at(hour)))]
            for hour in (0.5, 1, 4.9, 5)
        ]

    assert names == [[], ["Mill"], ["Mill"], ["Mill AG"]]


def test_a_filter_acts_on_the_version_that_counts(engine: Engine) -> None:
    with session(engine) as writer:
        writer.add_all([customer("cust-001", 1, "Mill"), customer("cust-001", 5, "Mill AG")])

    with read_session(engine) as reader:
        statement = known(Customer).where(Customer.name == "Mill")
        assert reader.scalars(statement).all() == []


def test_facts_become_columns_with_units(engine: Engine) -> None:
    fact = {"valid_at": START, "recorded_at": START}
    with session(engine) as writer:
        writer.add_all([
            Downtime(
                key="down-b",
                machine_key="pump-01",
                started_at=at(1.5),
                ended_at=None,
                is_planned=False,
                cause="seal",
                **fact,
            ),
            Downtime(
                key="down-a",
                machine_key="pump-02",
                started_at=at(-3),
                ended_at=at(2),
                is_planned=True,
                cause="service",
                **fact,
            ),
            Usage(
                key="use-1",
                machine_key="pump-01",
                month=date(2025, 12, 1),
                run_h=600.5,
                n_logins=3,
                **fact,
            ),
        ])

    with read_session(engine) as reader:
        down = columns(
            reader,
            known(Downtime),
            ["machine_key", "started_at", "ended_at", "is_planned", "work_order_key"],
            since=START,
        )
        use = columns(reader, known(Usage), ["month", "run_h", "n_logins"], since=START)
        none = columns(reader, known(Contract), ["ends_on", "currency", "auto_renew"])

    assert down["machine_key"].tolist() == ["pump-02", "pump-01"]
    assert down["started_at"].tolist() == [-3.0, 1.5]
    np.testing.assert_array_equal(down["ended_at"], [2.0, np.nan])
    assert (str(down["is_planned"].dtype), down["is_planned"].tolist()) == ("bool", [True, False])
    assert down["work_order_key"].tolist() == [None, None]
    assert use["month"].tolist() == [-31.0]
    assert use["run_h"].tolist() == [600.5]
    assert (str(use["n_logins"].dtype), use["n_logins"].tolist()) == ("int64", [3])
    assert {name: (column.dtype.kind, column.shape) for name, column in none.items()} == {
        "ends_on": ("f", (0,)),
        "currency": ("O", (0,)),
        "auto_renew": ("b", (0,)),
    }
