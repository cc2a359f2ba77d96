"""`staybolt-sim generate` writes the same telemetry again, and refuses what it can't write."""

import hashlib
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from simulators.__main__ import main
from simulators.machines import KINDS


def generate(folder: Path, *arguments: str) -> int:
    return main(["generate", "telemetry", "--dir", str(folder), *arguments])


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.*"))
    }


def test_telemetry_is_written_with_the_truth_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = generate(
        tmp_path, "--kinds", "gearbox, electric-motor", "--machines", "3", "--days", "2",
        "--step-s", "600", "--seed", "7", "--until", "2026-01-31",
    )  # fmt: skip

    assert status == 0
    assert "samples of 3 machines" in capsys.readouterr().out
    names = ["electric-motor-00002", "gearbox-00001", "gearbox-00003"]
    assert [path.stem for path in sorted((tmp_path / "telemetry").iterdir())] == names
    assert [path.stem for path in sorted((tmp_path / "truth").iterdir())] == names
    table = pq.read_table(tmp_path / "telemetry" / "gearbox-00001.parquet")
    assert table.num_rows == 2 * 144
    assert tuple(table.column_names) == ("time", *KINDS["gearbox"].signals)
    assert str(table["time"][0].as_py()) == "2026-01-29 00:00:00+00:00"
    truth = (tmp_path / "truth" / "gearbox-00001.jsonl").read_text().splitlines()
    assert {json.loads(line)["machine"] for line in truth} == {"gearbox-00001"}


def test_the_same_command_writes_the_same_bytes(tmp_path: Path) -> None:
    common = ("--machines", "2", "--days", "1", "--seed", "7", "--until", "2026-01-31T10:03:07Z")

    for name in ("once", "again"):
        generate(tmp_path / name, *common)

    assert len(hashes(tmp_path / "once")) == 4
    assert hashes(tmp_path / "once") == hashes(tmp_path / "again")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--days", "nan"), "--days: nan is not a number above 0"),
        (("--days", "inf"), "--days: inf is not a number above 0"),
        (("--days", "0.0001"), "--days: 0.0001 is less than one step of 60 s"),
        (("--days", "1e9"), "do not all lie between the years 1970 and 2200"),
        (("--until", "1970-01-10"), "do not all lie between the years 1970 and 2200"),
        (("--until", "9999-12-31"), "do not all lie between the years 1970 and 2200"),
        (("--until", "soon"), "--until: 'soon' is not a date"),
        (("--step-s", "0"), "--step-s: 0 neither divides ten minutes"),
        (("--kinds", "pony"), "--kinds: 'pony' is not known"),
        (("--machines", "0"), "--machines: 0 is below 1"),
        (("--processes", "0"), "--processes: 0 is below 1"),
        (("--seed", "-1"), "--seed: -1 is below zero"),
    ],
)
def test_what_cannot_be_generated_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    status = generate(tmp_path / "out", *arguments)

    assert status == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out" / "telemetry").exists()
