"""Records of machines from new to failed, straight to CSV, for fitting health models.

One file for each kind: ``unit,time_h,<signal>,…``, a row every two hours, and the last row of
each unit is its failure.
"""

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
from simulators.machines.kind import MachineKind, sensed
from simulators.plant.machine import DECIMALS
from simulators.wear.laws import draw_wear_paths

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
    wear : ndarray of shape (n_times,)
        True wear, 1 at the end; not written to the file.
    """

    unit: str
    time_h: FloatArray
    values: FloatArray
    wear: FloatArray


def draw_records(kind: MachineKind, *, seed: int, n_units: int) -> Iterator[Record]:
    """Draw units of one kind.

    Parameters
    ----------
    kind : MachineKind
        The kind.
    seed : int
        Zero or above; the same seed gives the same records.
    n_units : int
        How many.

    Yields
    ------
    Record
        One unit after the other.
    """
    for number in range(1, n_units + 1):
        unit = f"{kind.key}-{number:03}"
        rng = chance(seed, unit, "machine")
        (path,) = draw_wear_paths(kind.modes[0].law, rng, 1)
        n_steps = int(path.failure_h // STEP_H)
        time_h = STEP_H * np.arange(n_steps + 1, dtype=np.float64)
        wear = path.wear_at(time_h + (path.failure_h - time_h[-1]))
        climate = draw_climate(rng, float(rng.integers(-8, 9)))
        conditions = conditions_of(
            climate,
            rng.uniform(0.0, 2 * np.pi, size=3),
            _EPOCH_H + float(rng.uniform(0.0, HOURS_PER_YEAR)) + time_h,
            wear[np.newaxis],
            lag_h=kind.thermal_lag_h,
        )
        traits = rng.standard_normal(kind.n_traits)
        noise = rng.standard_normal((time_h.size, len(kind.signals)))
        yield Record(unit, time_h, sensed(kind, kind.levels(conditions, traits), noise.T).T, wear)


def write_run_to_failure(folder: Path, *, seed: int, units_per_kind: int) -> list[Path]:
    """Write one CSV for each kind.

    Parameters
    ----------
    folder : Path
        Where to write; made if missing.
    seed : int
        Zero or above.
    units_per_kind : int
        How many units in each file.

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
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for kind in KINDS.values():
        path = folder / f"{kind.key}.csv"
        with path.open("w", encoding="utf-8") as file:
            file.write(",".join(["unit", "time_h", *kind.signals]) + "\n")
            for record in draw_records(kind, seed=seed, n_units=units_per_kind):
                file.writelines(_rows(record))
        paths.append(path)
    return paths


def _rows(record: Record) -> Iterator[str]:
    values = np.round(record.values, DECIMALS).tolist()
    for time_h, row in zip(record.time_h.tolist(), values, strict=True):
        yield f"{record.unit},{time_h:g},{','.join(map(repr, row))}\n"
