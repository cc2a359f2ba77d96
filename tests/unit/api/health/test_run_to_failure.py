"""Run-to-failure tables: read whole, or refused with file, line, column and remedy."""

import json
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from analytics.health.model import HealthModel
from api.__main__ import main
from api.health.run_to_failure import CMAPSS_SIGNALS, TableError, read_cmapss, read_table
from api.registry.database import open_engine, read_session
from api.registry.models import HealthModelRecord
from api.settings import Settings
from tests.unit.api import fleet


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_units_are_read_in_order_of_time(tmp_path: Path) -> None:
    table = read_table(
        write(
            tmp_path / "press.csv",
            "unit,vibration_mm_s,time_h\nb,2.0,2\na,1.5,0\nb,1.0,0\na,,2\nb,3.0,4\n\n",
        )
    )

    assert table.signals == ("vibration_mm_s",)
    assert table.step_h == 2.0
    first, second = table.histories
    assert (first.unit, second.unit) == ("b", "a")
    np.testing.assert_array_equal(first.time_h, [0.0, 2.0, 4.0])
    np.testing.assert_array_equal(first.values[:, 0], [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(second.values[:, 0], [1.5, np.nan])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "column unit is missing"),
        ("unit,vibration_mm_s\na,1\n", "column time_h is missing"),
        ("unit,time_h\na,1\n", "no column of a signal"),
        ("unit,time_h,vibration\na,1,2\n", "'vibration' does not end in a unit"),
        ("unit,time_h,a_c,a_c\na,1,2,3\n", "column a_c is there twice"),
        ("unit,time_h,a_c\n", "there is no row below the header"),
        ("unit,time_h,a_c\na,1,2\na,2,x\n", "line 3, column a_c: 'x' is no number"),
        ("unit,time_h,a_c\na,1\n", "line 2: 2 cells but 3 columns"),
        ("unit,time_h,a_c\na,,2\na,1,2\n", "a time_h is missing"),
        ("unit,time_h,a_c\na,1,2\nb,1,2\n", "no unit has two samples"),
    ],
)
def test_a_table_that_can_not_be_used_is_refused_with_its_place(
    tmp_path: Path, text: str, expected: str
) -> None:
    with pytest.raises(TableError) as caught:
        read_table(write(tmp_path / "press.csv", text))

    assert "press.csv" in str(caught.value)
    assert expected in str(caught.value)


def test_a_missing_table_is_said_to_be_missing(tmp_path: Path) -> None:
    for read in (read_table, read_cmapss):
        with pytest.raises(TableError, match="can't be read"):
            read(tmp_path / "nowhere.csv")


@pytest.mark.parametrize("altitude_kft", [0.0, 35.0])
def test_turbofan_text_becomes_the_same_form(tmp_path: Path, altitude_kft: float) -> None:
    rows = [
        [unit, cycle, altitude_kft * (cycle % 2), 0.84, 100.0, *range(1, 22)]
        for unit in (1, 2)
        for cycle in range(1, 5)
    ]
    text = "\n".join(" ".join(f"{number}" for number in row) + "  " for row in rows)

    table = read_cmapss(write(tmp_path / "train_FD001.txt", text), hours_per_cycle=2.0)

    assert [history.unit for history in table.histories] == ["engine-001", "engine-002"]
    assert table.signals[-21:] == CMAPSS_SIGNALS
    assert table.step_h == 2.0
    assert bool(table.regime_signals) == (altitude_kft > 0)
    np.testing.assert_array_equal(table.histories[0].values[0, -21:], np.arange(1, 22))


def test_another_table_is_not_taken_for_turbofan_data(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="have 26"):
        read_cmapss(write(tmp_path / "x.txt", "1 2 3\n4 5 6\n"))


def test_fitting_puts_the_model_into_use_and_prints_its_card(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(1)
    lines = [",".join(["unit", "time_h", *fleet.SIGNALS])]
    for unit in range(5):
        age_h = np.arange(0.0, 400.0 + 40.0 * unit, 2.0)
        wear = fleet.wear_at(age_h, float(age_h[-1]))
        for age, row in zip(age_h, fleet.readings(wear, rng), strict=True):
            lines.append(",".join([f"u{unit}", f"{age:g}", *(f"{x:.5g}" for x in row)]))
    table = write(tmp_path / "press.csv", "\n".join(lines))
    arguments = ["fit-health-model", "--kind", "press", "--table", str(table)]

    code = main([*arguments, "--state-dir", str(tmp_path / "state")])

    assert code == 0
    printed = capsys.readouterr().out
    assert "coverage_ratio" in printed
    engine = open_engine(Settings(state_dir=tmp_path / "state").registry_url)
    with read_session(engine) as reading:
        record = reading.scalars(select(HealthModelRecord)).one()
    engine.dispose()
    model = HealthModel.from_document(json.loads(json.dumps(record.document)))
    assert (record.kind, record.version) == ("press", model.version)
    assert record.card["n_units"] == 5


def test_too_few_units_are_refused_with_a_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write(tmp_path / "press.csv", "unit,time_h,a_c\na,0,1\na,2,1\n")

    code = main([
        "fit-health-model", "--kind", "press", "--table", str(table),
        "--state-dir", str(tmp_path / "state"),
    ])  # fmt: skip

    assert code == 2
    assert "3 are needed" in capsys.readouterr().err
