"""Two years of a simulated business through the public import: the past can be had again."""

import csv
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from api.registry.as_of import columns, known
from api.registry.csv_rows import TABLES
from api.registry.database import database_url, migrate, open_engine, read_session
from api.registry.importer import import_folder
from simulators.world import generate_business

UNTIL = datetime(2026, 10, 1, tzinfo=UTC)
PAST = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def business(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("business")
    generate_business(folder, 7, UNTIL)
    return folder


def rewritten(
    source: Path, target: Path, change: Callable[[list[dict[str, str]]], list[dict[str, str]]]
) -> Path:
    target.mkdir()
    for path in sorted(source.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows, names = list(reader), list(reader.fieldnames or ())
        with (target / path.name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(change(rows))
    return target


def everything_known(engine: Engine, as_of: datetime) -> dict[str, list[object]]:
    """Every column of every table, as bytes where it can be compared to the bit."""
    found: dict[str, list[object]] = {}
    with read_session(engine) as reader:
        for table in TABLES:
            for name, column in columns(
                reader, known(table.model, as_of), sorted(table.columns)
            ).items():
                is_text = column.dtype == np.object_
                found[f"{table.file}:{name}"] = column.tolist() if is_text else [column.tobytes()]
    return found


def test_the_whole_history_goes_in(engine: Engine, business: Path) -> None:
    report = import_folder(engine, business, now=UNTIL)

    assert [str(row) for row in report.set_aside] == []
    assert report.n_new > 5_000
    assert {counts.file for counts in report.files} == {table.file for table in TABLES}


def test_a_past_day_looks_as_it_did_on_that_day(
    engine: Engine, business: Path, tmp_path: Path
) -> None:
    import_folder(engine, business, now=UNTIL)
    on_that_day = open_engine(database_url(tmp_path / "that-day"))
    migrate(on_that_day)
    by_then = rewritten(
        business,
        tmp_path / "by-then",
        lambda rows: [row for row in rows if datetime.fromisoformat(row["recorded_at"]) <= PAST],
    )
    assert import_folder(on_that_day, by_then, now=PAST).set_aside == ()

    then, now = everything_known(on_that_day, PAST), everything_known(engine, PAST)

    on_that_day.dispose()
    assert then == now
    assert everything_known(engine, UNTIL) != now


def test_the_order_of_rows_in_the_files_does_not_matter(
    engine: Engine, business: Path, tmp_path: Path
) -> None:
    import_folder(engine, business, now=UNTIL)
    other = open_engine(database_url(tmp_path / "other"))
    migrate(other)
    chance = np.random.default_rng(3)
    shuffled = rewritten(
        business,
        tmp_path / "shuffled",
        lambda rows: [rows[row] for row in chance.permutation(len(rows))],
    )
    import_folder(other, shuffled, now=UNTIL)

    in_order, out_of_order = everything_known(engine, PAST), everything_known(other, PAST)

    other.dispose()
    assert in_order == out_of_order
