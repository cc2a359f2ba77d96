"""C-MAPSS files are read as a plain csv reader reads them, and what is wrong with them is told."""

import csv
from pathlib import Path

import numpy as np
import pytest

from simulators.errors import DataFolderError, ScenarioError
from simulators.reading import NS_PER_H, NS_PER_S
from simulators.replay.cmapss import SIGNALS, parse_units, read_engines
from simulators.replay.play import ReplaySettings, outlets_of, readings_of

NOW_NS = 1_795_384_437_900_000_000


def row(unit: int, cycle: int) -> str:
    return " ".join([str(unit), str(cycle), *(f"{unit + cycle / 100 + k:.4f}" for k in range(24))])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = [row(unit, cycle) for unit in (1, 2, 3) for cycle in range(1, 3 + unit)]
    (tmp_path / "test_FD001.txt").write_text("  \n".join(lines) + "  \n")
    return tmp_path


@pytest.mark.data("cmapss")
@pytest.mark.parametrize("split", ["test", "train"])
def test_published_engines_are_read_as_a_plain_reader_reads_them(
    real_data: Path, split: str
) -> None:
    with (real_data / "cmapss" / f"{split}_FD001.txt").open(newline="") as file:
        rows = [[float(x) for x in line if x] for line in csv.reader(file, delimiter=" ")]

    engines = read_engines(real_data, "FD001", split, (1, 42, 100))  # type: ignore[arg-type]

    for engine, unit in zip(engines, (1, 42, 100), strict=True):
        assert engine.machine == f"engine-fd001-{split}-{unit:03}"
        assert engine.values.tolist() == [each[2:] for each in rows if each[0] == unit]


def test_the_folder_itself_or_the_one_above_may_be_named(folder: Path, tmp_path: Path) -> None:
    above = tmp_path / "above"
    above.mkdir()
    (above / "cmapss").symlink_to(folder)

    inside, from_above = (read_engines(data, "FD001", "test", (2,)) for data in (folder, above))

    assert inside[0].values.tolist() == from_above[0].values.tolist()
    assert inside[0].kind == "turbofan-fd001"


def test_every_column_has_its_name(folder: Path) -> None:
    (engine,) = read_engines(folder, "FD001", "test", (2,))

    assert engine.values.shape == (4, len(SIGNALS)) == (4, 24)
    assert len(set(SIGNALS)) == 24


@pytest.mark.parametrize(
    ("subset", "units", "error", "words"),
    [
        (
            "FD001",
            (1, 9),
            ScenarioError,
            "--units: 9 is not in test_FD001.txt, which has units 1 to 3",
        ),
        ("FD009", (1,), DataFolderError, "--subset: FD009 has no test file.*there are FD001"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(
    folder: Path, subset: str, units: tuple[int, ...], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        read_engines(folder, subset, "test", units)


def test_a_folder_without_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFolderError, match=r"--data: .* holds no C-MAPSS data"):
        read_engines(tmp_path / "nowhere", "FD001", "test", (1,))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("1 1 2 3\n", "4 columns, 26 expected"),
        (row(1, 1).replace("1.0100", "one") + "\n", "26 numbers a line"),
        (row(1, 1) + "\n1 2\n", "26 numbers a line"),
        (row(1, 2) + "\n", "cycles of unit 1 do not count"),
        ("", "columns, 26 expected"),
    ],
)
def test_a_file_that_is_not_as_published_is_refused(
    tmp_path: Path, content: str, words: str
) -> None:
    (tmp_path / "test_FD001.txt").write_text(content)

    with pytest.raises(DataFolderError, match=words):
        read_engines(tmp_path, "FD001", "test", (1,))


@pytest.mark.parametrize(
    ("text", "units"), [("1", (1,)), ("1,5,9", (1, 5, 9)), ("3-5, 4,1", (3, 4, 5, 1))]
)
def test_units_are_numbers_and_ranges(text: str, units: tuple[int, ...]) -> None:
    assert parse_units(text) == units


@pytest.mark.parametrize("text", ["", "a", "1,,2", "5-3", "-1", "1.5"])
def test_other_units_are_refused(text: str) -> None:
    with pytest.raises(ScenarioError, match="--units: "):
        parse_units(text)


def test_the_last_cycle_is_now_and_none_lies_in_the_future(folder: Path) -> None:
    engines = read_engines(folder, "FD001", "test", (1, 3))

    for engine in engines:
        times = readings_of(engine, now_ns=NOW_NS, hours_per_cycle=2.5).time_ns
        assert times[-1] == NOW_NS // NS_PER_S * NS_PER_S <= NOW_NS
        assert set(np.diff(times)) == {int(2.5 * NS_PER_H)}


@pytest.mark.parametrize(("n_engines", "n_opcua"), [(1, 1), (2, 1), (5, 3)])
def test_the_first_half_speaks_opc_ua_and_the_rest_mqtt(
    folder: Path, n_engines: int, n_opcua: int
) -> None:
    (engine,) = read_engines(folder, "FD001", "test", (1,))

    outlets = outlets_of([engine] * n_engines)

    assert [o.protocol for o in outlets] == ["opcua"] * n_opcua + ["mqtt"] * (n_engines - n_opcua)


@pytest.mark.parametrize("option", ["cycles_per_s", "hours_per_cycle", "wait_s"])
def test_an_impossible_pace_is_refused(option: str) -> None:
    with pytest.raises(ScenarioError, match="is not above 0"):
        ReplaySettings(**{option: 0.0})
