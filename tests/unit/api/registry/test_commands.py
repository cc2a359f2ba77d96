"""The commands: what they print, and the exit codes scripts rely on."""

import argparse
from pathlib import Path

import pytest

from api.registry.commands import add_commands
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


def test_nothing_imported_says_how_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    staybolt(tmp_path / "state", "imports", "list")
    staybolt(tmp_path / "state", "set-aside", "list")

    assert capsys.readouterr().out == (
        "Nothing has been imported yet; `staybolt import FOLDER` does it.\nNo row is set aside.\n"
    )
