"""What an import promises, on SQLite and on PostgreSQL alike."""

import tempfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select

from api.registry.as_of import known
from api.registry.csv_rows import TABLES
from api.registry.database import read_session
from api.registry.errors import ImportRefusedError, UndoRefusedError
from api.registry.importer import import_folder
from api.registry.models import ImportBatch, SetAsideRow, Usage, Visit
from api.registry.report import ImportReport
from api.registry.undo import undo_import
from tests.unit.api.registry.business import Tables, small_business, write_business, write_table

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def bring_in(engine: Engine, folder: Path, tables: Tables, *, now: datetime = NOW) -> ImportReport:
    return import_folder(engine, write_business(folder, tables), now=now)


def n_facts(engine: Engine) -> dict[str, int]:
    with read_session(engine) as reader:
        return {
            table.file: reader.scalar(select(func.count()).select_from(table.model)) or 0
            for table in TABLES
        }


def messages(report: ImportReport) -> list[str]:
    return [str(each) for each in report.set_aside]


def test_every_row_of_every_table_goes_in(engine: Engine, tmp_path: Path) -> None:
    tables = small_business()

    report = bring_in(engine, tmp_path / "business", tables)

    assert messages(report) == []
    assert n_facts(engine) == {f"{name}.csv": len(rows) for name, rows in tables.items()}
    with read_session(engine) as reader:
        visit = reader.scalars(known(Visit).where(Visit.key == "visit-1")).one()
    assert visit.arrived_at == datetime(2025, 11, 3, 12, tzinfo=UTC)
    assert visit.recorded_at == datetime(2026, 1, 2, tzinfo=UTC)
    assert (visit.source, visit.import_id) == ("import", report.import_id)
    assert (visit.is_resolved, visit.incomplete_reason) == (False, "part")


def test_importing_a_folder_again_changes_nothing(engine: Engine, tmp_path: Path) -> None:
    tables = small_business()
    tables["payments"][0]["due_on"] = "soon"
    del tables["usages"][0]["recorded_at"]
    first = bring_in(engine, tmp_path, tables)
    before = n_facts(engine)

    second = import_folder(engine, tmp_path, now=NOW + timedelta(days=1))

    assert second.import_id is None
    assert (second.n_new, second.n_unchanged) == (0, first.n_new)
    assert second.set_aside == first.set_aside
    assert n_facts(engine) == before
    with read_session(engine) as reader:
        assert reader.scalars(select(ImportBatch.id)).all() == [first.import_id]
        assert reader.scalar(select(func.count()).select_from(SetAsideRow)) == 1


def test_a_changed_row_without_recorded_at_is_a_correction_known_from_now(
    engine: Engine, tmp_path: Path
) -> None:
    tables = small_business()
    for row in tables["usages"]:
        del row["recorded_at"]
    bring_in(engine, tmp_path, tables)
    tables["usages"][0]["run_h"] = "600"

    report = bring_in(engine, tmp_path, tables, now=NOW + timedelta(hours=1))

    assert report.n_new == 1
    with read_session(engine) as reader:
        run_h = [
            reader.scalars(known(Usage, NOW + timedelta(minutes=minutes))).one().run_h
            for minutes in (0, 59, 60)
        ]
    assert run_h == [610.5, 610.5, 600.0]


def test_a_version_is_never_rewritten(engine: Engine, tmp_path: Path) -> None:
    tables = small_business()
    bring_in(engine, tmp_path, tables)
    tables["usages"][0]["run_h"] = "600"

    report = bring_in(engine, tmp_path, tables)

    assert messages(report) == [
        "usages.csv, line 2, recorded_at: use-1 of source import was recorded at "
        "2026-01-02T00:00:00Z with other content; give the correction a later recorded_at, or none"
    ]
    with read_session(engine) as reader:
        assert [usage.run_h for usage in reader.scalars(select(Usage))] == [610.5]


def test_older_versions_may_come_later_and_stand_behind(engine: Engine, tmp_path: Path) -> None:
    tables = small_business()
    bring_in(engine, tmp_path, tables)
    tables["usages"][0] |= {"run_h": "600", "recorded_at": "2026-01-01T12:00:00Z"}

    report = bring_in(engine, tmp_path, tables)

    assert report.n_new == 1
    with read_session(engine) as reader:
        assert reader.scalars(known(Usage)).one().run_h == 610.5


def test_bad_rows_are_set_aside_and_all_beside_them_go_in(engine: Engine, tmp_path: Path) -> None:
    tables = small_business()
    good = {f"{name}.csv": len(rows) for name, rows in tables.items()}
    tables["visits"] += [
        {**tables["visits"][0], "key": "visit-3", "left_at": "2026-13-02"},
        {**tables["visits"][0], "key": "visit-4", "left_at": "2025-11-01T00:00:00Z"},
        {**tables["visits"][0], "key": "visit-5", "work_order_key": "wo-9"},
        {**tables["visits"][0], "key": "visit-1"},
        {**tables["visits"][0], "key": "visit-6", "recorded_at": "2026-03-01T12:00:01Z"},
    ]
    tables["usages"].append({**tables["usages"][0], "key": "use-2", "run_h": "=1+1"})

    report = bring_in(engine, tmp_path, tables)

    assert messages(report) == [
        'visits.csv, line 4, left_at: "2026-13-02" is not a time; write it as 2026-01-31T14:00:00Z',
        "visits.csv, line 5, left_at: 2025-11-01T00:00:00Z is before arrived_at, "
        "2025-11-03T12:00:00Z; mend one of the two",
        "visits.csv, line 6, work_order_key: wo-9 is not known; add it to work_orders.csv, "
        "or mend the key",
        "visits.csv, line 7, key: visit-1 of source import stands on line 2 already with the same "
        "recorded_at; take one out, or give a correction its own recorded_at",
        "visits.csv, line 8, recorded_at: 2026-03-01T12:00:01Z has not come yet; write when it "
        "became known, or nothing",
        'usages.csv, line 3, run_h: "=1+1" is not a number; write digits with a decimal point, '
        "as 1234.5",
    ]
    assert n_facts(engine) == good
    with read_session(engine) as reader:
        kept = reader.scalars(select(SetAsideRow).order_by(SetAsideRow.id)).all()
    assert [row.line for row in kept] == [4, 5, 6, 7, 8, 3]
    assert kept[0].row == tables["visits"][2]


def test_rows_that_hang_on_a_row_set_aside_are_set_aside_too(
    engine: Engine, tmp_path: Path
) -> None:
    tables = small_business()
    tables["machines"][0]["planned_visit_h"] = "1,5"

    report = bring_in(engine, tmp_path, tables)

    assert messages(report) == [
        'machines.csv, line 2, planned_visit_h: "1,5" is not a number; write the decimal point as '
        "a point: 1.5",
        "work_orders.csv, line 2, machine_key: hangs on pump-01, which was set aside "
        "(machines.csv, line 2); mend that row first",
        "visits.csv, line 2, work_order_key: hangs on wo-1, which was set aside (work_orders.csv, "
        "line 2); mend that row first",
        "visits.csv, line 3, work_order_key: hangs on wo-1, which was set aside (work_orders.csv, "
        "line 2); mend that row first",
        "downtimes.csv, line 2, machine_key: hangs on pump-01, which was set aside (machines.csv, "
        "line 2); mend that row first",
        "usages.csv, line 2, machine_key: hangs on pump-01, which was set aside (machines.csv, "
        "line 2); mend that row first",
    ]


def test_mended_rows_go_in_and_are_off_the_list(engine: Engine, tmp_path: Path) -> None:
    tables = small_business()
    tables["machines"][0]["planned_visit_h"] = "1,5"
    first = bring_in(engine, tmp_path, tables)
    tables["machines"][0]["planned_visit_h"] = "1.5"

    second = bring_in(engine, tmp_path, tables)

    assert second.n_new == len(first.set_aside)
    assert second.set_aside == ()
    assert n_facts(engine) == {f"{name}.csv": len(rows) for name, rows in tables.items()}


def test_a_file_may_name_facts_of_an_earlier_import(engine: Engine, tmp_path: Path) -> None:
    tables = small_business()
    usages = tables.pop("usages")
    bring_in(engine, tmp_path / "first", tables)

    report = bring_in(engine, tmp_path / "second", {"usages": usages})

    assert (report.n_new, messages(report)) == (1, [])


def test_a_file_that_cannot_be_read_through_writes_nothing(engine: Engine, tmp_path: Path) -> None:
    write_business(tmp_path, small_business())
    with (tmp_path / "usages.csv").open("ab") as file:
        file.write(b"use-\xff2\n")

    with pytest.raises(ImportRefusedError, match=r"usages\.csv, line 3: byte 0xff is not UTF-8"):
        import_folder(engine, tmp_path, now=NOW)

    assert set(n_facts(engine).values()) == {0}
    with read_session(engine) as reader:
        assert reader.scalars(select(ImportBatch)).all() == []


def test_an_import_can_be_taken_back(engine: Engine, tmp_path: Path) -> None:
    tables = small_business()
    tables["payments"][0]["due_on"] = "soon"
    report = bring_in(engine, tmp_path, tables)
    assert report.import_id is not None

    n_rows = undo_import(engine, report.import_id, now=NOW)

    assert n_rows == report.n_new
    assert set(n_facts(engine).values()) == {0}
    again = import_folder(engine, tmp_path, now=NOW)
    assert again.n_new == report.n_new
    assert again.import_id != report.import_id


def test_an_import_that_others_hang_on_is_not_taken_back(engine: Engine, tmp_path: Path) -> None:
    tables = small_business()
    usages = tables.pop("usages")
    first = bring_in(engine, tmp_path / "first", tables)
    second = bring_in(engine, tmp_path / "second", {"usages": usages})
    assert first.import_id is not None
    assert second.import_id is not None

    with pytest.raises(UndoRefusedError, match=r"1 row of usages\.csv from import 2"):
        undo_import(engine, first.import_id, now=NOW)

    undo_import(engine, second.import_id, now=NOW)
    undo_import(engine, first.import_id, now=NOW)
    with pytest.raises(UndoRefusedError, match="already"):
        undo_import(engine, first.import_id, now=NOW)


def test_the_same_folder_imported_twice_at_once_goes_in_once(
    engine: Engine, tmp_path: Path
) -> None:
    write_business(tmp_path, small_business())
    reports: list[ImportReport] = []

    def run() -> None:
        reports.append(import_folder(engine, tmp_path, now=NOW))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(report.n_new for report in reports) == [0, 0, 17]


def test_more_rows_than_a_chunk_keep_their_order_and_their_duplicates(
    engine: Engine, tmp_path: Path
) -> None:
    tables = small_business()
    usage = tables["usages"][0]
    tables["usages"] = [{**usage, "key": f"use-{number}"} for number in range(12_000)]
    tables["usages"].append(tables["usages"][0])

    report = bring_in(engine, tmp_path, tables)

    assert [(each.line, each.column) for each in report.set_aside] == [(12_002, "key")]
    assert n_facts(engine)["usages.csv"] == 12_000


CELLS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from([
        "",
        "\x00",
        "nan",
        "-1",
        "1e999",
        "9" * 30,
        "2026-02-30",
        "0001-01-01T00:00:00+23:59",
        "2026-01-31T14:00:00Z",
        "=cmd|' /C calc'!A0",
        '"',
        "a;b,c\r\nd",
        "pump-01",
        "true",
    ]),
)


@given(data=st.data())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_stands_in_a_cell_every_row_is_in_or_set_aside(
    engine: Engine, data: st.DataObject
) -> None:
    tables = small_business()
    for _ in range(data.draw(st.integers(1, 3))):
        row = data.draw(st.sampled_from([row for rows in tables.values() for row in rows]))
        row[data.draw(st.sampled_from(sorted(row)))] = data.draw(CELLS)

    with tempfile.TemporaryDirectory() as folder:
        report = bring_in(engine, Path(folder), tables)
        again = import_folder(engine, Path(folder), now=NOW)

    n_rows = sum(map(len, tables.values()))
    assert report.n_new + len(report.set_aside) == n_rows
    assert (again.import_id, again.n_unchanged) == (None, report.n_new)
    assert sum(n_facts(engine).values()) == report.n_new
    assert report.import_id is not None
    undo_import(engine, report.import_id, now=NOW)
    assert set(n_facts(engine).values()) == {0}


def test_semicolons_and_a_byte_order_mark_are_read(engine: Engine, tmp_path: Path) -> None:
    customers = small_business()["customers"]
    path = write_table(tmp_path, "customers", customers, delimiter=";")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())

    report = import_folder(engine, tmp_path, now=NOW)

    assert (report.n_new, messages(report)) == (2, [])
