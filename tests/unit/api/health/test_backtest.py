import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from api.__main__ import main
from api.health.backtest import backtest, summary
from api.health.backtest_data import MappingError, read_files, read_mapping
from api.health.backtest_page import drawing, page

MAPPING = """
[data]
files = "*.csv"
time = "time"
label = "wrong"
healthy_rows = 200
"""
N_ROWS, FAULT = 500, 350


def _write(folder: Path, *, label: bool = True, text: str = "") -> Path:
    """A machine whose pressure jumps near the end; rows out of order, one twice, a word for one."""
    rng = np.random.default_rng(3)
    rows = []
    for t in range(N_ROWS):
        pressure = 5.0 + 0.1 * rng.normal() + (1.5 if t >= FAULT else 0.0)
        cells = [
            f"2026-01-01T{t // 60:02}:{t % 60:02}:00",
            f"{pressure:.4f}",
            f"{rng.normal():.4f}",
        ]
        rows.append(",".join([*cells, *(["1" if t >= FAULT else "0"] if label else [])]))
    rows[10], rows[11] = rows[11], rows[10]
    rows.append(rows[-1])
    rows[20] = rows[20].replace(rows[20].split(",")[1], "Inp OutRange")
    header = "time,pressure_bar,flow_m3_h" + (",wrong" if label else "")
    (folder / "press & pump.csv").write_text("\n".join([header, *rows, *([text] if text else [])]))
    mapping = folder / "mapping.toml"
    mapping.write_text(MAPPING if label else MAPPING.replace('label = "wrong"\n', ""))
    return mapping


def test_a_fault_is_found_counted_and_blamed_on_its_signal(tmp_path: Path) -> None:
    mapping = read_mapping(_write(tmp_path))
    (file,) = read_files(mapping, tmp_path)

    found = backtest(mapping, file)

    assert file.time_h.size == N_ROWS
    assert file.n_not_numbers == 1
    assert found.events is not None
    assert (found.events.n_found, found.events.n_false) == (1, 0)
    assert (found.why[0].signal, found.why[0].unit) == ("pressure_bar", "bar")
    assert found.why[0].value > 6.0 > 5.5 > found.why[0].usual
    figures = summary([found])
    assert figures["f1"] > 0.95
    assert figures["n_cells_not_numbers"] == 1


def test_without_a_truth_only_what_can_be_told_is_told(tmp_path: Path) -> None:
    mapping = read_mapping(_write(tmp_path, label=False))
    (file,) = read_files(mapping, tmp_path)

    figures = summary([backtest(mapping, file)])

    assert set(figures) == {"n_files", "n_rows_judged", "in_alarm_ratio", "n_cells_not_numbers"}
    assert 0.4 < figures["in_alarm_ratio"] < 0.6


def test_the_page_is_whole_and_escapes_what_it_was_given(tmp_path: Path) -> None:
    mapping = read_mapping(_write(tmp_path))
    found = [backtest(mapping, one) for one in read_files(mapping, tmp_path)]

    shown = page("a <b> title", summary(found), found)

    assert "press &amp; pump" in shown
    assert "While in alarm: pressure_bar is 6.5" in shown
    assert "a &lt;b&gt; title" in shown
    assert "<script" not in shown
    picture = ET.fromstring(drawing(found[0]))  # noqa: S314  # our own drawing
    kinds = [one.get("class") for one in picture]
    assert {"truth", "alarm", "limit", "score"} <= set(kinds)


def test_the_command_draws_and_says_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mapping = _write(tmp_path)

    assert main(["backtest", str(mapping)]) == 0

    assert "1 of 1 found, 0 false" in capsys.readouterr().out
    assert (tmp_path / "mapping.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("healthy_rows = 200", "healthy_rows = 900"), "there must be more rows"),
        (("healthy_rows = 200", "healthy_rows = 30"), "not enough data: 30 of 64"),
        (("healthy_rows = 200", "healty_rows = 200"), "see docs/detectors.md for the keys"),
        (('time = "time"', 'time = "when"'), "no column when; it has time, pressure_bar"),
        (('files = "*.csv"', 'files = "*.dat"'), "mend data.files or --data"),
        (("[data]", "[data"), "is not TOML"),
    ],
)
def test_what_can_not_be_used_is_refused_with_advice(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: tuple[str, str],
    message: str,
) -> None:
    mapping = _write(tmp_path)
    mapping.write_text(mapping.read_text().replace(*change))

    assert main(["backtest", str(mapping)]) == 2

    assert message in capsys.readouterr().err


def test_a_broken_line_and_a_strange_time_are_told_with_their_place(tmp_path: Path) -> None:
    mapping = read_mapping(_write(tmp_path, text="2026-01-02T00:00:00,1.0"))
    with pytest.raises(MappingError, match="line 503: 2 cells, the header has 4"):
        read_files(mapping, tmp_path)

    mapping = read_mapping(_write(tmp_path, text="yesterday,1.0,1.0,0"))
    with pytest.raises(MappingError, match="'yesterday' is neither hours"):
        read_files(mapping, tmp_path)


def test_a_mapping_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="is not there"):
        read_mapping(tmp_path / "none.toml")


def test_the_example_mapping_is_sound() -> None:
    root = Path(__file__).resolve().parents[4]

    mapping = read_mapping(root / "docs" / "examples" / "skab-valve1.toml")

    assert mapping.data.healthy_rows == 400
    assert mapping.settings().k == 4
