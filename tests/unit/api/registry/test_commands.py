"""The commands: what they print, and the exit codes scripts rely on."""

import argparse
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from api.registry.commands import add_commands
from api.registry.database import database_url, migrate, open_engine
from tests.unit.api.registry.business import small_business, write_business


def staybolt(state: Path, *words: str) -> int:
    parser = argparse.ArgumentParser(prog="staybolt")
    add_commands(parser.add_subparsers(required=True))
    arguments = parser.parse_args([*words, "--state-dir", str(state)])
    code: int = arguments.run(arguments)
    return code


def test_all_rows_in_is_exit_code_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_business(tmp_path / "business", small_business())

    first = staybolt(tmp_path / "state", "import", str(folder))
    second = staybolt(tmp_path / "state", "import", str(folder))

    printed = capsys.readouterr().out
    assert (first, second) == (0, 0)
    assert "Import 1: 17 rows written, 0 known already, 0 set aside." in printed
    assert "Nothing new: 17 rows known already." in printed


def test_rows_set_aside_are_listed_and_exit_code_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = small_business()
    tables["visits"][0]["left_at"] = "2026-13-02"
    folder = write_business(tmp_path / "business", tables)

    code = staybolt(tmp_path / "state", "import", str(folder))

    message = (
        'visits.csv, line 2, left_at: "2026-13-02" is not a time; write it as 2026-01-31T14:00:00Z'
    )
    assert code == 3
    assert message in capsys.readouterr().out
    assert staybolt(tmp_path / "state", "set-aside", "list") == 0
    assert message in capsys.readouterr().out


def test_mended_rows_leave_the_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables = small_business()
    tables["visits"][0]["left_at"] = "2026-13-02"
    folder = write_business(tmp_path / "business", tables)
    staybolt(tmp_path / "state", "import", str(folder))
    write_business(folder, small_business())
    staybolt(tmp_path / "state", "import", str(folder))
    capsys.readouterr()

    staybolt(tmp_path / "state", "set-aside", "list")
    now = capsys.readouterr().out
    staybolt(tmp_path / "state", "set-aside", "list", "--import", "1")
    then = capsys.readouterr().out

    assert now == "No row is set aside.\n"
    assert "visits.csv, line 2, left_at" in then


def test_a_refused_import_is_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "business").mkdir()

    code = staybolt(tmp_path / "state", "import", str(tmp_path / "business"))

    told = capsys.readouterr().err
    assert code == 2
    assert "nothing to import" in told
    assert told.endswith("Nothing was imported.\n")


def test_an_import_is_taken_back_by_its_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_business(tmp_path / "business", small_business())
    staybolt(tmp_path / "state", "import", str(folder))
    capsys.readouterr()

    codes = [staybolt(tmp_path / "state", "imports", "undo", "1") for _ in range(2)]
    told = capsys.readouterr()
    staybolt(tmp_path / "state", "imports", "list")

    assert codes == [0, 2]
    assert told.out == "Import 1 is taken back: 17 rows are out.\n"
    assert "was taken back already" in told.err
    assert "17 rows, 0 set aside, taken back" in capsys.readouterr().out


def test_a_database_that_does_not_answer_is_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = "postgresql://127.0.0.1:1/registry"

    code = staybolt(tmp_path, "imports", "list", "--database", database)

    assert code == 1
    assert "check that the database runs" in capsys.readouterr().err


def test_a_registry_that_is_not_there_is_not_made_by_looking_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["imports", "list"], ["imports", "undo", "1"], ["set-aside", "list"]):
        assert staybolt(tmp_path / "state", *words) == 2

        assert "there is none; check --state-dir" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("number", ["0", "-4", "x", "²", "9" * 30])
def test_a_number_that_no_database_can_hold_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        staybolt(tmp_path, "set-aside", "list", f"--import={number}")

    assert ended.value.code == 2
    assert "is not a number from 1 to" in capsys.readouterr().err


def test_a_registry_damaged_in_the_middle_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_business(tmp_path / "business", small_business())
    staybolt(tmp_path, "import", str(folder))
    damage_rows_of(tmp_path / "registry.sqlite", "import_batch")
    capsys.readouterr()

    code = staybolt(tmp_path, "imports", "list")

    said = capsys.readouterr().err
    assert code == 1
    assert "malformed" in said
    assert "move it away and restore its backup" in said


def damage_rows_of(path: Path, table: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)
        ).fetchone()
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    content = bytearray(path.read_bytes())
    content[(page - 1) * page_bytes : page * page_bytes] = b"\xff" * page_bytes
    path.write_bytes(content)


def test_nothing_imported_says_how_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = open_engine(database_url(tmp_path / "state"))
    migrate(engine)
    engine.dispose()

    staybolt(tmp_path / "state", "imports", "list")
    staybolt(tmp_path / "state", "set-aside", "list")

    assert capsys.readouterr().out == (
        "Nothing has been imported yet; `staybolt import FOLDER` does it.\nNo row is set aside.\n"
    )
