"""Reads any labelled data set for a backtest: a mapping file says which columns mean what."""

import csv
import math
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from analytics.arrays import BoolArray, FloatArray
from analytics.signals.monitor import MonitorSettings
from api.problem import ApiError


class MappingError(ApiError, ValueError):
    """A mapping file, or a data file that it names, can't be used."""


class DataMapping(BaseModel):
    """Which files, and which columns mean what."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: str
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    time: str
    signals: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    label: str | None = None
    healthy_rows: Annotated[int, Field(gt=0)]


class MonitorMapping(BaseModel):
    """How the monitor weighs evidence; the defaults of `MonitorSettings`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    alpha: float = MonitorSettings().alpha
    false_alarm_ratio: float = MonitorSettings().false_alarm_ratio
    alarm_k: int = MonitorSettings().k
    alarm_n: int = MonitorSettings().n


class Mapping(BaseModel):
    """A mapping file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: DataMapping
    monitor: MonitorMapping = MonitorMapping()

    def settings(self) -> MonitorSettings:
        """Give the settings of the monitor.

        Returns
        -------
        MonitorSettings
            As mapped.
        """
        chosen = self.monitor
        return MonitorSettings(
            alpha=chosen.alpha,
            false_alarm_ratio=chosen.false_alarm_ratio,
            k=chosen.alarm_k,
            n=chosen.alarm_n,
        )


@dataclass(frozen=True, slots=True, eq=False)
class DataFile:
    """Samples of one file in the order of time.

    Parameters
    ----------
    name : str
        Name of the file without its ending.
    signals : tuple of str
        Columns.
    time_h : ndarray of shape (n,)
        Since the first sample. [h]
    values : ndarray of shape (n, n_signals)
        ``nan`` where a cell holds no number.
    is_anomaly : ndarray of bool, shape (n,), or None
        The truth, if the mapping names it.
    n_not_numbers : int
        Cells that held something else than a number.
    """

    name: str
    signals: tuple[str, ...]
    time_h: FloatArray
    values: FloatArray
    is_anomaly: BoolArray | None
    n_not_numbers: int


def read_mapping(path: Path) -> Mapping:
    """Read a mapping file.

    Parameters
    ----------
    path : Path
        TOML.

    Returns
    -------
    Mapping
        Checked.

    Raises
    ------
    MappingError
        If it is not there, is not TOML, or says what can't be.
    """
    try:
        return Mapping.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        msg = f"{path} is not there; give a mapping file, see docs/detectors.md"
        raise MappingError(msg) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path} is not TOML: {error}"
        raise MappingError(msg) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        msg = f"{path}, {where}: {first['msg']}; see docs/detectors.md for the keys"
        raise MappingError(msg) from error


def read_files(mapping: Mapping, folder: Path) -> list[DataFile]:
    """Read every file of a mapping.

    Parameters
    ----------
    mapping : Mapping
        What to read.
    folder : Path
        That its file names are relative to.

    Returns
    -------
    list of DataFile
        By name.

    Raises
    ------
    MappingError
        If there is none, or one can't be read.
    """
    paths = sorted(folder.glob(mapping.data.files))
    if not paths:
        msg = f"no file is called {mapping.data.files!r} in {folder}; mend data.files or --data"
        raise MappingError(msg)
    return [_read(mapping.data, path) for path in paths]


def _read(mapping: DataMapping, path: Path) -> DataFile:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter=mapping.separator))
    header, body = (rows[0], rows[1:]) if rows else ([], [])
    missing = {mapping.time, *mapping.signals, *([mapping.label] if mapping.label else [])}
    missing -= set(header)
    if missing:
        msg = f"{path}: no column {', '.join(sorted(missing))}; it has {', '.join(header)}"
        raise MappingError(msg)
    others = {mapping.time, mapping.label, *mapping.ignore}
    signals = mapping.signals or tuple(name for name in header if name not in others)
    for number, row in enumerate(body, start=2):
        if len(row) != len(header):
            msg = f"{path}, line {number}: {len(row)} cells, the header has {len(header)}"
            raise MappingError(msg)
    times = np.array([_hours(row[header.index(mapping.time)], path) for row in body])
    values = np.array([[_number(row[header.index(name)]) for name in signals] for row in body])
    # Late rows are put where they belong; of repeated times the first counts.
    order = np.argsort(times, kind="stable")
    kept = order[np.append(True, np.diff(times[order]) > 0)] if order.size else order
    if kept.size <= mapping.healthy_rows:
        msg = (
            f"{path}: {kept.size} rows with times of their own, and healthy_rows is "
            f"{mapping.healthy_rows}; there must be more rows than are taken to learn from"
        )
        raise MappingError(msg)
    truth = None
    if mapping.label:
        label = header.index(mapping.label)
        truth = np.array([_number(row[label]) > 0 for row in body])[kept]
    n_blank = sum(row[header.index(name)].strip() == "" for row in body for name in signals)
    return DataFile(
        path.stem,
        signals,
        times[kept] - times[kept[0]],
        values[kept],
        truth,
        int(np.isnan(values).sum()) - n_blank,
    )


def _hours(text: str, path: Path) -> float:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"{path}: time {text!r} is neither hours nor like 2026-01-31 12:00:00"
        raise MappingError(msg) from error
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() / 3600.0


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
