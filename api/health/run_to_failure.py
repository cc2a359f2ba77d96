"""Reads run-to-failure tables: what a health model is fitted from.

Two forms: a CSV file with columns ``unit``, ``time_h`` and one per signal; and the text files of
NASA's turbofan data (C-MAPSS), 26 numbers a line.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from analytics.arrays import FloatArray
from analytics.health.model import RunToFailure
from api.problem import ApiError
from ingest.telemetry import is_legal_name, unit_of

CMAPSS_REGIME: Final = ("altitude_kft", "flight_mach", "throttle_angle_pct")
CMAPSS_SIGNALS: Final = (
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
"""A. Saxena, K. Goebel, D. Simon and N. Eklund, "Damage propagation modeling for aircraft engine
run-to-failure simulation", PHM 2008, table 2."""

LEAST_REGIME_SPREAD_KFT: Final = 1.0
"""Engines that all fly at one altitude (FD001, FD003) have one regime: nothing to correct for."""


class TableError(ApiError, ValueError):
    """A run-to-failure table can't be used."""


@dataclass(frozen=True, slots=True, eq=False)
class RunToFailureTable:
    """Histories of one kind of machine.

    Parameters
    ----------
    signals : tuple of str
        Columns of the histories.
    regime_signals : tuple of str
        Those that say what the machine was asked to do, if the form of the table tells.
    histories : tuple of RunToFailure
        One for each unit.
    step_h : float
        Usual time between two samples. [h]
    """

    signals: tuple[str, ...]
    regime_signals: tuple[str, ...]
    histories: tuple[RunToFailure, ...]
    step_h: float


def read_table(path: Path) -> RunToFailureTable:
    """Read a CSV file with columns ``unit``, ``time_h`` and one per signal.

    Parameters
    ----------
    path : Path
        The file; an empty cell is a missing sample.

    Returns
    -------
    RunToFailureTable
        Units in the order they come.

    Raises
    ------
    TableError
        If the file can't be read, a column is missing or has no unit, or a cell is no number.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            signals = _checked_header(path, header)
            place = [header.index("unit"), header.index("time_h"), *map(header.index, signals)]
            units: list[str] = []
            numbers: list[list[float]] = []
            for cells in rows:
                if not cells:
                    continue
                if len(cells) != len(header):
                    msg = (
                        f"{path}, line {rows.line_num}: {len(cells)} cells but {len(header)} "
                        "columns; mend the line"
                    )
                    raise TableError(msg)
                units.append(cells[place[0]])
                numbers.append([
                    _number(path, rows.line_num, header[column], cells[column])
                    for column in place[1:]
                ])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"{path}: can't be read ({error}); give a CSV file in UTF-8"
        raise TableError(msg) from error
    return _table(path, signals, (), units, np.array(numbers, dtype=np.float64))


def read_cmapss(path: Path, *, hours_per_cycle: float = 1.0) -> RunToFailureTable:
    """Read a text file of NASA's turbofan data.

    Parameters
    ----------
    path : Path
        For example ``train_FD001.txt``.
    hours_per_cycle : float
        How long a flight counts. [h]

    Returns
    -------
    RunToFailureTable
        Engines in the order they come; flight settings are regimes if they differ.

    Raises
    ------
    TableError
        If the file can't be read or is not of this form.
    """
    try:
        table = np.loadtxt(path, dtype=np.float64, ndmin=2)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        msg = f"{path}: can't be read as turbofan data ({error}); give train_FD001.txt or the like"
        raise TableError(msg) from error
    if table.shape[1] != 26:
        msg = (
            f"{path}: {table.shape[1]} numbers a line but turbofan data have 26; give "
            "train_FD001.txt or the like"
        )
        raise TableError(msg)
    units = [f"engine-{int(number):03d}" for number in table[:, 0]]
    has_regimes = float(np.ptp(table[:, 2])) > LEAST_REGIME_SPREAD_KFT
    regime = CMAPSS_REGIME if has_regimes else ()
    values = table[:, 2:] if has_regimes else table[:, 5:]
    time_h = table[:, 1] * hours_per_cycle
    signals = (*regime, *CMAPSS_SIGNALS)
    return _table(path, signals, regime, units, np.column_stack([time_h, values]))


def _table(
    path: Path,
    signals: tuple[str, ...],
    regime_signals: tuple[str, ...],
    units: Sequence[str],
    numbers: FloatArray,
) -> RunToFailureTable:
    if not units:
        msg = f"{path}: there is no row below the header; give at least three units"
        raise TableError(msg)
    rows_of: dict[str, list[int]] = {}
    for row, unit in enumerate(units):
        rows_of.setdefault(unit, []).append(row)
    histories = []
    for unit, rows in rows_of.items():
        own = numbers[rows]
        if not np.isfinite(own[:, 0]).all():
            msg = f"{path}, unit {unit}: a time_h is missing; write hours in every row"
            raise TableError(msg)
        own = own[np.argsort(own[:, 0], kind="stable")]
        histories.append(RunToFailure(unit, own[:, 0], own[:, 1:]))
    steps = np.concatenate([np.diff(history.time_h) for history in histories])
    steps = steps[steps > 0]
    if not steps.size:
        msg = f"{path}: no unit has two samples at different times; give whole histories"
        raise TableError(msg)
    step_h = float(np.median(steps))
    return RunToFailureTable(signals, regime_signals, tuple(histories), step_h)


def _checked_header(path: Path, header: Sequence[str]) -> tuple[str, ...]:
    missing = [name for name in ("unit", "time_h") if name not in header]
    if missing:
        msg = (
            f"{path}: column {missing[0]} is missing; the header reads unit,time_h and one column "
            "for each signal"
        )
        raise TableError(msg)
    if len(set(header)) != len(header):
        twice = next(name for name in header if list(header).count(name) > 1)
        msg = f"{path}: column {twice} is there twice; name each column once"
        raise TableError(msg)
    signals = tuple(name for name in header if name not in {"unit", "time_h"})
    if not signals:
        msg = f"{path}: no column of a signal; add one for each signal, such as vibration_mm_s"
        raise TableError(msg)
    for name in signals:
        if not is_legal_name(name) or unit_of(name) is None:
            msg = (
                f"{path}: column {name!r} does not end in a unit we know; name it like "
                "vibration_mm_s or bearing_temperature_c (docs/glossary.md lists the units)"
            )
            raise TableError(msg)
    return signals


def _number(path: Path, line: int, column: str, cell: str) -> float:
    if not cell.strip():
        return float("nan")
    try:
        return float(cell)
    except ValueError as error:
        msg = (
            f"{path}, line {line}, column {column}: {cell!r} is no number; write 3.14 or leave "
            "the cell empty"
        )
        raise TableError(msg) from error
