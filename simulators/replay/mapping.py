"""Any table of a recorded machine, read as a mapping file says.

A mapping is a TOML file: which column is which signal, how the times go, what is a label and so
never becomes telemetry. Those of this folder's ``mappings`` can be named without path or ending.
"""

import csv
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from simulators.errors import DataFolderError, ScenarioError
from simulators.reading import BAD, GOOD, NS_PER_S, Readings
from simulators.units import unit_of

FloatArray = npt.NDArray[np.float64]
_MAPPINGS: Final = Path(__file__).parent / "mappings"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SignalSection(_Section):
    """Where a signal comes from: value = scale * column + offset."""

    column: str | int
    scale: float = 1.0
    offset: float = 0.0


class Mapping(_Section):
    """A mapping file."""

    description: str
    kind: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    signals: Annotated[dict[str, SignalSection], Field(min_length=1)]
    separator: str = ","
    has_header: bool = True
    is_transposed: bool = False
    skip_rows: Annotated[int, Field(ge=0)] = 0
    decimal: str = "."
    time_column: str | int | None = None
    step_s: Annotated[float, Field(gt=0)] | None = None
    labels: dict[str, str | int] = {}
    label_from_row: dict[str, Annotated[int, Field(ge=1)]] = {}

    @model_validator(mode="after")
    def _has_times(self) -> Self:
        if (self.time_column is None) == (self.step_s is None):
            msg = "give either time_column, or step_s for rows at equal distances"
            raise ValueError(msg)
        for signal in self.signals:
            unit_of(signal)
        return self


def mapping_names() -> list[str]:
    """Name the mappings that come with the product.

    Returns
    -------
    list of str
        In alphabetical order.
    """
    return sorted(path.stem for path in _MAPPINGS.glob("*.toml"))


def load_mapping(name: str) -> Mapping:
    """Read a mapping.

    Parameters
    ----------
    name : str
        Name of one that comes with the product, or path of a file that ends in ``.toml``.

    Returns
    -------
    Mapping
        Checked.

    Raises
    ------
    ScenarioError
        If there is none, or a key of it can't be.
    """
    path = Path(name) if name.endswith(".toml") else _MAPPINGS / f"{name}.toml"
    if not path.is_file():
        msg = (
            f"--mapping: {name!r} is not known; choose one of {', '.join(mapping_names())}, or "
            "give the path of a file that ends in .toml"
        )
        raise ScenarioError(msg)
    try:
        return Mapping.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path.name}: is not TOML: {error}"
        raise ScenarioError(msg) from error
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise ScenarioError(
            "\n".join(_sentence(path.name, detail) for detail in details)
        ) from error


def _sentence(file_name: str, detail: ErrorDetails) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    words = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        model = SignalSection if len(detail["loc"]) > 1 else Mapping
        words = f"unknown key; known are {', '.join(model.model_fields)}"
    return f"{file_name}{', ' if where else ''}{where}: {words[:1].lower()}{words[1:]}"


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """What one file says of one machine.

    Parameters
    ----------
    machine : str
        Name it plays under, made of the file's.
    kind : str
        Its kind.
    signals : tuple of str
        Names of the columns.
    readings : Readings
        Samples at the times of the file; text and gaps are bad.
    labels : dict of str to ndarray
        What people wrote beside the samples; never sent.
    """

    machine: str
    kind: str
    signals: tuple[str, ...]
    readings: Readings
    labels: dict[str, FloatArray]


def read_recording(path: Path, mapping: Mapping, *, most_rows: int | None = None) -> Recording:
    """Read a table as its mapping says.

    Parameters
    ----------
    path : Path
        A CSV or Parquet file.
    mapping : Mapping
        What its columns are.
    most_rows : int, optional
        Read no more rows.

    Returns
    -------
    Recording
        In order of time.

    Raises
    ------
    DataFolderError
        If the file is missing, has no such column, or a time that can't be read.
    """
    if not path.is_file():
        msg = f"--data: {path} is not there; name the file to replay"
        raise DataFolderError(msg)
    table = _Table.of_parquet(path) if path.suffix == ".parquet" else _Table.of_text(path, mapping)
    table = table.first(most_rows)
    columns = [_numbers(table.column(s.column), mapping.decimal) for s in mapping.signals.values()]
    values = np.stack([
        section.scale * column + section.offset
        for section, column in zip(mapping.signals.values(), columns, strict=True)
    ], axis=1)  # fmt: skip
    time_ns = _times(table, mapping, len(values))
    order = np.argsort(time_ns, kind="stable")
    quality = np.where(np.isnan(values), BAD, GOOD).astype(np.uint8)
    labels = {
        # Files without faults often have no column to tell them.
        name: _numbers(table.column(column), mapping.decimal)
        for name, column in mapping.labels.items()
        if isinstance(column, int) or column in table.names
    }
    for name, row in mapping.label_from_row.items():
        labels[name] = (np.arange(len(values)) >= row - 1).astype(np.float64)
    machine = "".join(c if c.isalnum() else "-" for c in path.stem.lower()).strip("-")
    return Recording(
        f"{mapping.kind}-{machine}",
        mapping.kind,
        tuple(mapping.signals),
        Readings(time_ns[order], values[order], quality[order]),
        {name: label[order] for name, label in labels.items()},
    )


@dataclass(frozen=True, slots=True)
class _Table:
    """Columns of text or numbers, by name or number from 1."""

    path: Path
    names: tuple[str, ...]
    columns: Sequence[Sequence[Any]]

    @classmethod
    def of_text(cls, path: Path, mapping: Mapping) -> Self:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(_rows(islice(file, mapping.skip_rows, None), mapping.separator))
        if mapping.is_transposed:
            rows = [list(column) for column in zip(*rows, strict=True)]
        header = rows.pop(0) if mapping.has_header and rows else []
        width = len(header) or (len(rows[0]) if rows else 0)
        for number, row in enumerate(rows, 1):
            if len(row) != width:
                first = 1 + mapping.skip_rows + bool(header)
                msg = (
                    f"{path}, line {number + first - 1}: {len(row)} columns where {width} are "
                    "expected; check separator in the mapping"
                )
                raise DataFolderError(msg)
        return cls(path, tuple(header), list(zip(*rows, strict=True)))

    @classmethod
    def of_parquet(cls, path: Path) -> Self:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
        except pa.ArrowInvalid as error:
            msg = f"{path}: is not a Parquet file: {error}"
            raise DataFolderError(msg) from error
        return cls(path, tuple(table.column_names), [c.to_pylist() for c in table.columns])

    def first(self, most_rows: int | None) -> "_Table":
        if most_rows is None:
            return self
        return _Table(self.path, self.names, [column[:most_rows] for column in self.columns])

    def column(self, name: str | int) -> Sequence[Any]:
        if isinstance(name, int):
            if 1 <= name <= len(self.columns):
                return self.columns[name - 1]
            msg = f"{self.path}: there is no column {name}; there are {len(self.columns)}"
            raise DataFolderError(msg)
        if name not in self.names:
            msg = f"{self.path}: there is no column {name!r}; there are {', '.join(self.names)}"
            raise DataFolderError(msg)
        return self.columns[self.names.index(name)]


def _rows(lines: Iterator[str], separator: str) -> Iterator[list[str]]:
    if separator == " ":
        # Columns apart by any number of blanks, as Fortran writes them.
        yield from (line.split() for line in lines if line.strip())
        return
    yield from (row for row in csv.reader(lines, delimiter=separator) if row)


def _numbers(column: Sequence[Any], decimal: str) -> FloatArray:
    return np.array([_number(cell, decimal) for cell in column], dtype=np.float64)


def _number(cell: object, decimal: str) -> float:
    """Read a number; whatever is none is missing, as in "Inp OutRange"."""
    try:
        number = float(str(cell).replace(decimal, ".") if decimal != "." else cell)  # type: ignore[arg-type]  # refused below
    except (TypeError, ValueError):
        return np.nan
    return number if np.isfinite(number) else np.nan


def _times(table: _Table, mapping: Mapping, n_rows: int) -> npt.NDArray[np.int64]:
    if mapping.time_column is None:
        step_ns = round((mapping.step_s or 1.0) * NS_PER_S)
        return step_ns * np.arange(n_rows, dtype=np.int64)
    times = []
    for number, cell in enumerate(table.column(mapping.time_column), 1):
        try:
            moment = cell if isinstance(cell, datetime) else datetime.fromisoformat(str(cell))
        except ValueError as error:
            msg = f"{table.path}, row {number}: {cell!r} is not a time such as 2026-01-31 12:00:00"
            raise DataFolderError(msg) from error
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        times.append(round(aware.timestamp() * 1000) * (NS_PER_S // 1000))
    return np.array(times, dtype=np.int64)
