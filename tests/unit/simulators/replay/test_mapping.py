"""Tables of recorded machines are read as their mapping says, and refused in words."""

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.telemetry import is_legal_name
from ingest.telemetry import unit_of as unit_of_telemetry
from simulators.__main__ import main
from simulators.errors import DataFolderError, ScenarioError
from simulators.reading import BAD, GOOD, NS_PER_S
from simulators.replay.mapping import Mapping, load_mapping, mapping_names, read_recording
from simulators.units import unit_of

OWN = """
description = "own"
kind = "press"
time_column = "when"
labels = { fault = "fault" }
[signals]
force_kn = { column = "F", scale = 0.001 }
oil_temperature_c = { column = "T", offset = -273.15 }
"""
TABLE = "when,F,T,fault\n2026-01-01 00:00:02,1500,300,1\n2026-01-01 00:00:00,Inp OutRange,,0\n"


def own(folder: Path, text: str = OWN) -> Mapping:
    path = folder / "own.toml"
    path.write_text(text)
    return load_mapping(str(path))


def table(folder: Path, text: str = TABLE) -> Path:
    path = folder / "Press 7.csv"
    path.write_text(text)
    return path


def test_a_table_is_read_in_order_of_time_with_units_converted(tmp_path: Path) -> None:
    recording = read_recording(table(tmp_path), own(tmp_path))

    start_ns = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * NS_PER_S
    assert recording.machine == "press-press-7"
    assert recording.readings.time_ns.tolist() == [start_ns, start_ns + 2 * NS_PER_S]
    assert recording.readings.values[1] == pytest.approx([1.5, 26.85])
    assert np.isnan(recording.readings.values[0]).all()
    assert recording.readings.quality.tolist() == [[BAD, BAD], [GOOD, GOOD]]
    assert recording.labels["fault"].tolist() == [0.0, 1.0]
    assert "fault" not in recording.signals


def test_parquet_is_read_as_csv_is(tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(TABLE)))
    path = tmp_path / "Press 7.parquet"
    pq.write_table(pa.table({key: [row[key] for row in rows] for key in rows[0]}), path)

    one, other = (read_recording(file, own(tmp_path)).readings for file in (path, table(tmp_path)))

    assert np.array_equal(one.values, other.values, equal_nan=True)
    assert np.array_equal(one.time_ns, other.time_ns)


@given(
    values=st.lists(
        st.lists(st.one_of(st.floats(-1e9, 1e9), st.just("bad cell")), min_size=2, max_size=2),
        min_size=1, max_size=20,
    ),
    separator=st.sampled_from([",", ";", "\t"]),
    decimal=st.sampled_from([".", ","]),
)  # fmt: skip
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    values: list[list[float | str]], separator: str, decimal: str,
) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("m")
    path = folder / "table.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(["F", "T"])
        writer.writerows([[str(cell).replace(".", decimal) for cell in row] for row in values])
    mapping = Mapping.model_validate({
        "description": "x", "kind": "press", "separator": separator, "decimal": decimal,
        "step_s": 2.0,
        "signals": {"force_kn": {"column": "F"}, "oil_temperature_c": {"column": "T"}},
    })  # fmt: skip

    readings = read_recording(path, mapping).readings

    expected = [[np.nan if isinstance(cell, str) else cell for cell in row] for row in values]
    assert np.array_equal(readings.values, np.array(expected), equal_nan=True)
    assert readings.time_ns.tolist() == [2 * NS_PER_S * n for n in range(len(values))]


@pytest.mark.parametrize("name", mapping_names())
def test_signals_of_our_mappings_are_known_to_ingest(name: str) -> None:
    for signal in load_mapping(name).signals:
        assert is_legal_name(signal)
        assert unit_of(signal).text == unit_of_telemetry(signal)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("kind", "kynd"), "own.toml, kynd: unknown key; known are"),
        (("time_column", "step_s = 1.0\ntime_column"), "give either time_column, or step_s"),
        (("force_kn", "force"), "'force' ends in no known unit"),
        (("description", "= "), "own.toml: is not TOML"),
    ],
)
def test_a_wrong_mapping_is_refused(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    with pytest.raises(ScenarioError, match=words.replace(".", r"\.")):
        own(tmp_path, OWN.replace(*change, 1))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TABLE.replace("F", "G", 1), "there is no column 'F'; there are when, G, T, fault"),
        (TABLE.replace("2026-01-01 00:00:02", "yesterday"), "row 1: 'yesterday' is not a time"),
        (TABLE + "1,2\n", "line 4: 2 columns where 4 are expected"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataFolderError, match=words):
        read_recording(table(tmp_path, text), own(tmp_path))


def test_files_that_are_not_there_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ScenarioError, match="'mars' is not known; choose one of skab, tep"):
        load_mapping("mars")
    arguments = ["replay", "file", "--dir", str(tmp_path), "--trust-client", "none.der"]
    assert main([*arguments, "--mapping", "skab", "--data", "nowhere.csv"]) == 2
    assert "--data: nowhere.csv is not there" in capsys.readouterr().err


@pytest.mark.data("skab")
def test_skab_is_read_as_a_plain_reader_reads_it(real_data: Path) -> None:
    path = min((real_data / "skab" / "data" / "valve1").glob("*.csv"))
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))

    recording = read_recording(path, load_mapping("skab"))

    assert recording.readings.values[:, 3].tolist() == [float(row["Pressure"]) for row in rows]
    assert recording.labels["anomaly"].sum() == sum(float(row["anomaly"]) for row in rows) > 0
    steps = np.diff(recording.readings.time_ns)
    assert np.all(steps >= NS_PER_S)


@pytest.mark.data("tep")
def test_tennessee_eastman_is_read_as_a_plain_reader_reads_it(real_data: Path) -> None:
    normal = read_recording(real_data / "tep" / "d00.dat", load_mapping("tep-normal"))
    fault = read_recording(real_data / "tep" / "d01_te.dat", load_mapping("tep"))

    assert np.array_equal(normal.readings.values, np.loadtxt(real_data / "tep" / "d00.dat").T)
    assert np.array_equal(fault.readings.values, np.loadtxt(real_data / "tep" / "d01_te.dat"))
    assert fault.labels["fault"].sum() == 960 - 160
