"""Reads NASA's C-MAPSS turbofan data as published: text files, 26 columns parted by blanks.

Columns are unit, cycle, three operating settings and 21 sensors. [1]_

References
----------
.. [1] A. Saxena, K. Goebel, D. Simon and N. Eklund, "Damage propagation modeling for aircraft
   engine run-to-failure simulation", International Conference on Prognostics and Health
   Management, 2008.
"""

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from simulators.errors import DataFolderError, ScenarioError

Split: TypeAlias = Literal["train", "test"]

SIGNALS: Final = (
    "altitude_kft",
    "flight_mach",
    "throttle_angle_pct",
    "fan_inlet_temperature_rankine",
    "lpc_outlet_temperature_rankine",
    "hpc_outlet_temperature_rankine",
    "lpt_outlet_temperature_rankine",
    "fan_inlet_pressure_psia",
    "bypass_duct_pressure_psia",
    "hpc_outlet_pressure_psia",
    "fan_speed_rpm",
    "core_speed_rpm",
    "engine_pressure_ratio",
    "hpc_outlet_static_pressure_psia",
    "fuel_flow_pps_psi",
    "corrected_fan_speed_rpm",
    "corrected_core_speed_rpm",
    "bypass_ratio",
    "burner_fuel_air_ratio",
    "bleed_enthalpy_count",
    "demanded_fan_speed_rpm",
    "demanded_corrected_fan_speed_rpm",
    "hpt_coolant_bleed_lbm_s",
    "lpt_coolant_bleed_lbm_s",
)
"""Operating settings and sensors in the order of the files."""

_N_COLUMNS: Final = 2 + len(SIGNALS)


@dataclass(frozen=True, slots=True, eq=False)
class Engine:
    """One engine's record.

    Parameters
    ----------
    machine : str
        Name it plays under, such as ``engine-fd001-test-003``.
    kind : str
        Kind it plays as, such as ``turbofan-fd001``.
    values : ndarray of shape (n_cycles, 24)
        One row for each cycle, columns as in `SIGNALS`.
    """

    machine: str
    kind: str
    values: npt.NDArray[np.float64]


def read_engines(data: Path, subset: str, split: Split, units: tuple[int, ...]) -> list[Engine]:
    """Read some engines of one file.

    Parameters
    ----------
    data : Path
        Folder of the data, or the folder that holds it as ``cmapss``.
    subset : str
        ``FD001`` to ``FD004``.
    split : {"train", "test"}
        Run to failure, or cut off before.
    units : tuple of int
        Engines to read, by their number in the file.

    Returns
    -------
    list of Engine
        In the order asked for.

    Raises
    ------
    DataFolderError
        If the file is missing or not as published.
    ScenarioError
        If a unit is not in it.
    """
    path = _find_file(data, subset, split)
    table = _read_table(path)
    unit, cycle = table[:, 0], table[:, 1]
    engines = []
    for number in units:
        rows = unit == number
        n_cycles = int(rows.sum())
        if n_cycles == 0:
            msg = (
                f"--units: {number} is not in {path.name}, which has units 1 to "
                f"{int(unit.max())}; choose among these"
            )
            raise ScenarioError(msg)
        if not np.array_equal(cycle[rows], np.arange(1, n_cycles + 1)):
            msg = f"{path}: cycles of unit {number} do not count 1, 2, 3, …; take the file anew"
            raise DataFolderError(msg)
        name = subset.lower()
        engines.append(
            Engine(f"engine-{name}-{split}-{number:03}", f"turbofan-{name}", table[rows, 2:])
        )
    return engines


def _find_file(data: Path, subset: str, split: Split) -> Path:
    folder = data / "cmapss" if (data / "cmapss").is_dir() else data
    found = sorted(folder.glob(f"{split}_FD*.txt"))
    if not found:
        msg = (
            f"--data: {data} holds no C-MAPSS data ({split}_FD001.txt and so on); name the folder "
            "the published files were unpacked to, or the one above it if that is called cmapss"
        )
        raise DataFolderError(msg)
    path = folder / f"{split}_{subset}.txt"
    if path not in found:
        there = ", ".join(file.stem.split("_")[1] for file in found)
        msg = f"--subset: {subset} has no {split} file in {folder}; there are {there}"
        raise DataFolderError(msg)
    return path


def _read_table(path: Path) -> npt.NDArray[np.float64]:
    try:
        with warnings.catch_warnings():
            # An empty file is told below, in our own words.
            warnings.simplefilter("ignore", UserWarning)
            table = np.loadtxt(path, ndmin=2)
    except ValueError as error:
        msg = f"{path}: {error}; it should hold {_N_COLUMNS} numbers a line, as published"
        raise DataFolderError(msg) from error
    if table.shape[1] != _N_COLUMNS:
        msg = f"{path}: {table.shape[1]} columns, {_N_COLUMNS} expected; take the file as published"
        raise DataFolderError(msg)
    return table


def parse_units(text: str) -> tuple[int, ...]:
    """Read a list of engines such as ``1,5,9`` or ``1-3,9``.

    Parameters
    ----------
    text : str
        Numbers and ranges between commas.

    Returns
    -------
    tuple of int
        Each once, in the order given.

    Raises
    ------
    ScenarioError
        If it is anything else.

    Examples
    --------
    >>> parse_units("1-3,9")
    (1, 2, 3, 9)
    """
    units: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,6})(?:-(\d{1,6}))?\s*", part)
        if match is None:
            msg = f"--units: {part!r} is not a unit; write numbers or ranges, for example 1,5,7-9"
            raise ScenarioError(msg)
        first = int(match[1])
        last = int(match[2] or first)
        if last < first:
            msg = f"--units: {part!r} runs backwards; write the smaller number first"
            raise ScenarioError(msg)
        units.update(dict.fromkeys(range(first, last + 1)))
    return tuple(units)
