"""Records of machines from new to failed, straight to CSV, for fitting health models.

One file for each kind: ``unit,time_h,<signal>,…``, a row every two hours, and the last row of
each unit is its failure. What is true of the units stands apart, in ``truth/<kind>.csv``.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from simulators.chance import chance, check_seed
from simulators.conditions import HOURS_PER_YEAR, conditions_of, draw_climate
from simulators.errors import ScenarioError
from simulators.machines import KINDS
from simulators.machines.kind import MachineKind
from simulators.plant.machine import DECIMALS, spread_of
from simulators.wear.paths import NEVER, draw_wear_paths

FloatArray = npt.NDArray[np.float64]

STEP_H: Final = 2.0

_EPOCH_H: Final = 20.0 * HOURS_PER_YEAR
"""Records begin somewhere in the year after this, so they meet every season. [h]"""


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One unit from new to failed.

    Parameters
    ----------
    unit : str
        Its name.
    time_h : ndarray of shape (n_times,)
        Hours since the record began, 0, 2, 4, … [h]
    values : ndarray of shape (n_times, n_signals)
        Signals of its kind.
    wear : ndarray of shape (n_modes, n_times)
        True wear, 1 at the end for the mode it failed of; not written to the file.
    mode : str
        Failure mode it failed of.
    onset_h : float
        When that mode's wear set in, on the clock of the record; may lie before it. [h]
    """

    unit: str
    time_h: FloatArray
    values: FloatArray
    wear: FloatArray
    mode: str
    onset_h: float


def draw_records(
    kind: MachineKind, *, seed: int, n_units: int, n_modes: int | None = None
) -> Iterator[Record]:
    """Draw units of one kind.

    Parameters
    ----------
    kind : MachineKind
        The kind.
    seed : int
        Zero or above; the same seed gives the same records.
    n_units : int
        How many.
    n_modes : int, optional
        Let only the first so many failure modes happen; all of them if not given.

    Yields
    ------
    Record
        One unit after the other.
    """
    happening = kind.modes[:n_modes]
    for number in range(1, n_units + 1):
        unit = f"{kind.key}-{number:03}"
        rng = chance(seed, unit, "machine")
        paths = [draw_wear_paths(mode.law, rng, 1)[0] for mode in happening]
        failed = int(np.argmin([path.failure_h for path in paths]))
        paths += [NEVER] * (len(kind.modes) - len(paths))
        failure_h = paths[failed].failure_h
        n_steps = int(failure_h // STEP_H)
        time_h = STEP_H * np.arange(n_steps + 1, dtype=np.float64)
        # The last row is the failure itself, so a record begins up to two hours after birth.
        born_h = time_h[-1] - failure_h
        wear = np.stack([path.wear_at(time_h - born_h) for path in paths])
        wear[failed, -1] = 1.0
        climate = draw_climate(rng, float(rng.integers(-8, 9)))
        conditions = conditions_of(
            climate,
            rng.uniform(0.0, 2 * np.pi, size=3),
            _EPOCH_H + float(rng.uniform(0.0, HOURS_PER_YEAR)) + time_h,
            wear,
            lag_h=kind.thermal_lag_h,
        )
        level = kind.levels(conditions, rng.standard_normal(kind.n_traits))
        noise = rng.standard_normal(level.shape)
        values = (level + spread_of(kind, level) * noise).T
        yield Record(
            unit, time_h, values, wear, kind.modes[failed].key, born_h + paths[failed].onset_h
        )


def write_run_to_failure(
    folder: Path, *, seed: int, units_per_kind: int, n_modes: int | None = None
) -> list[Path]:
    """Write one CSV for each kind.

    Parameters
    ----------
    folder : Path
        Where to write; made if missing.
    seed : int
        Zero or above.
    units_per_kind : int
        How many units in each file.
    n_modes : int, optional
        Let only the first so many failure modes of each kind happen; all if not given.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ScenarioError
        If seed or number of units make no sense.
    """
    check_seed(seed)
    if units_per_kind < 1:
        msg = f"--units-per-kind: {units_per_kind} is below 1; give at least one unit"
        raise ScenarioError(msg)
    (folder / "truth").mkdir(parents=True, exist_ok=True)
    paths = []
    for kind in KINDS.values():
        path = folder / f"{kind.key}.csv"
        truth_path = folder / "truth" / path.name
        with (
            path.open("w", encoding="utf-8") as file,
            truth_path.open("w", encoding="utf-8", newline="") as truth_file,
        ):
            file.write(",".join(["unit", "time_h", *kind.signals]) + "\n")
            truth = csv.writer(truth_file, lineterminator="\n")
            truth.writerow(["unit", "mode", "onset_h", "failure_h"])
            records = draw_records(kind, seed=seed, n_units=units_per_kind, n_modes=n_modes)
            for record in records:
                file.writelines(_rows(record))
                truth.writerow([
                    record.unit, record.mode, round(record.onset_h, 3), float(record.time_h[-1])
                ])  # fmt: skip
        paths.append(path)
    return paths


def _rows(record: Record) -> Iterator[str]:
    values = np.round(record.values, DECIMALS).tolist()
    for time_h, row in zip(record.time_h.tolist(), values, strict=True):
        yield f"{record.unit},{time_h:g},{','.join(map(repr, row))}\n"
