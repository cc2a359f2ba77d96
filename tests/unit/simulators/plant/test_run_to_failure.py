"""Run-to-failure files: every unit ends at its failure, the same for the same seed, and fast."""

import csv
import time
from pathlib import Path

import numpy as np
import pytest

from simulators.errors import ScenarioError
from simulators.machines import KINDS
from simulators.machines.kind import MachineKind
from simulators.plant.run_to_failure import draw_records, write_run_to_failure


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.key)
def test_every_unit_is_new_at_first_and_failed_at_last(kind: MachineKind) -> None:
    for record in draw_records(kind, seed=7, n_units=5):
        assert record.wear[:, 0].max() <= 0.02
        assert record.wear[:, -1].max() == 1.0
        assert np.all(np.diff(record.time_h) == 2.0)
        assert np.isfinite(record.values).all()


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.key)
def test_more_units_leave_the_first_ones_as_they_were(kind: MachineKind) -> None:
    few, many = (list(draw_records(kind, seed=7, n_units=n)) for n in (2, 4))

    for one, other in zip(few, many, strict=False):
        assert one.values.tobytes() == other.values.tobytes()


def test_files_hold_what_was_drawn(tmp_path: Path) -> None:
    paths = write_run_to_failure(tmp_path / "new" / "folder", seed=7, units_per_kind=3)

    assert [path.name for path in paths] == [f"{key}.csv" for key in KINDS]
    for path, kind in zip(paths, KINDS.values(), strict=True):
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        records = list(draw_records(kind, seed=7, n_units=3))
        assert list(rows[0]) == ["unit", "time_h", *kind.signals]
        assert len(rows) == sum(record.time_h.size for record in records)
        for record in records:
            mine = [row for row in rows if row["unit"] == record.unit]
            assert [float(row["time_h"]) for row in mine] == record.time_h.tolist()
            values = np.array([[float(row[signal]) for signal in kind.signals] for row in mine])
            assert values == pytest.approx(record.values, abs=5.1e-5)


def test_twenty_units_of_each_kind_take_seconds_at_most(tmp_path: Path) -> None:
    began_s = time.process_time()

    write_run_to_failure(tmp_path, seed=7, units_per_kind=20)

    assert time.process_time() - began_s < 3.0


def test_no_units_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="--units-per-kind: 0 is below 1"):
        write_run_to_failure(tmp_path, seed=7, units_per_kind=0)


def test_truth_names_mode_onset_and_failure_of_each_unit_beside_the_records(tmp_path: Path) -> None:
    write_run_to_failure(tmp_path, seed=7, units_per_kind=6)

    for kind in KINDS.values():
        with (tmp_path / "truth" / f"{kind.key}.csv").open(newline="") as file:
            truth = list(csv.DictReader(file))
        records = list(draw_records(kind, seed=7, n_units=6))
        assert [row["unit"] for row in truth] == [record.unit for record in records]
        for row, record in zip(truth, records, strict=True):
            failed = [mode.key for mode in kind.modes].index(row["mode"])
            onset_h = float(row["onset_h"])
            assert record.wear[failed, -1] == 1.0
            assert float(row["failure_h"]) == record.time_h[-1]
            assert onset_h < record.time_h[-1]
            assert record.wear[failed, record.time_h < onset_h - 0.001].max(initial=0.0) == 0.0


def test_modes_compete_unless_only_the_first_may_happen() -> None:
    for kind in KINDS.values():
        competing = {record.mode for record in draw_records(kind, seed=7, n_units=60)}
        first = {record.mode for record in draw_records(kind, seed=7, n_units=20, n_modes=1)}
        assert first == {kind.modes[0].key}
        assert competing > first
