"""Opens the files of an import: encoding, delimiter, header and lines, not what cells mean.

A file whose rows can't be told apart for certain is refused as a whole.
"""

import csv
import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from api.registry.cells import quoted
from api.registry.csv_rows import TABLES, ImportedTable
from api.registry.errors import ImportRefusedError

DELIMITERS: Final = (",", ";", "\t")
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A file whose header has been found good."""

    path: Path
    table: ImportedTable
    delimiter: str
    header: tuple[str, ...]

    def lines(self) -> Iterator[tuple[int, list[str]]]:
        """Read the rows below the header, leaving blank lines out.

        Yields
        ------
        tuple of int and list of str
            Number of the row's first line, counted from 1, and its cells without outer spaces.

        Raises
        ------
        ImportRefusedError
            If a line is not UTF-8 text, or its quotes do not match.
        """
        for line, cells in _rows(self.path, self.delimiter):
            if line > 1 and any(cells):
                yield line, cells


def open_folder(folder: Path) -> tuple[list[CsvFile], list[str]]:
    """Find the files of an import and check their headers.

    Parameters
    ----------
    folder : Path
        Folder with any of the files of `api.registry.csv_rows.TABLES`.

    Returns
    -------
    files : list of CsvFile
        In the order of import.
    notes : list of str
        CSV files that were left out because of their name.

    Raises
    ------
    ImportRefusedError
        If there is nothing to import, or a header has a column too few or one unknown; all
        that was found in any file.
    """
    names = ", ".join(table.file for table in TABLES)
    try:
        present = sorted(path.name for path in folder.iterdir() if path.is_file())
    except OSError as error:
        msg = f"{folder}: {error.strerror}; give a folder with any of {names}"
        raise ImportRefusedError([msg]) from error
    files: list[CsvFile] = []
    problems: list[str] = []
    for table in TABLES:
        if table.file in present:
            try:
                files.append(_open_file(folder / table.file, table))
            except ImportRefusedError as error:
                problems += error.problems
    if problems:
        raise ImportRefusedError(problems)
    notes = _unread(present)
    if not files:
        msg = f"{folder}: nothing to import; put in any of {names}"
        raise ImportRefusedError([msg, *notes])
    return files, notes


def _unread(present: list[str]) -> list[str]:
    known = [table.file for table in TABLES]
    notes = []
    for name in present:
        if name in known or not name.lower().endswith(".csv"):
            continue
        close = difflib.get_close_matches(name.lower(), known, n=1)
        hint = f"; if it is meant to be {close[0]}, rename it" if close else ""
        notes.append(f"{name}: not read, because no table has this name{hint}")
    return notes


def _open_file(path: Path, table: ImportedTable) -> CsvFile:
    best: tuple[str, list[str]] | None = None
    n_best = -1
    for delimiter in DELIMITERS:
        header = next((cells for _, cells in _rows(path, delimiter)), None)
        if header is None:
            msg = f"{table.file}: empty; its first line must name the columns {_listed(table)}"
            raise ImportRefusedError([msg])
        n_known = len(set(header) & set(table.columns))
        if n_known > n_best:
            best, n_best = (delimiter, header), n_known
    assert best is not None  # noqa: S101 - there are delimiters
    delimiter, header = best
    problems = _header_problems(header, table)
    if problems:
        raise ImportRefusedError(problems)
    return CsvFile(path, table, delimiter, tuple(header))


def _header_problems(header: list[str], table: ImportedTable) -> list[str]:
    missing = [name for name in table.required if name not in header]
    problems = [
        f"{table.file}, line 1, {name}: this column is missing; add it, and leave its cells "
        "empty where the value is not known"
        for name in missing
    ]
    for position, name in enumerate(header):
        if name not in table.columns:
            close = difflib.get_close_matches(name, missing or table.columns, n=1)
            hint = (
                f"rename it to {close[0]}" if close else f"take it out; there are {_listed(table)}"
            )
            problems.append(
                f"{table.file}, line 1, {quoted(name)}: no column of this table; {hint}"
            )
        elif name in header[:position]:
            problems.append(f"{table.file}, line 1, {name}: stands there twice; take one out")
    return problems


def _listed(table: ImportedTable) -> str:
    return ", ".join(table.columns)


def _rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            for cells in reader:
                yield line, [cell.strip() for cell in cells]
                line = reader.line_num + 1
    except UnicodeDecodeError as error:
        raise ImportRefusedError([_undecodable(path)]) from error
    except csv.Error as error:
        msg = (
            f"{path.name}, line {line}: cannot be taken apart ({error}); check that every quote "
            'is closed, and that a quote within a quoted cell is doubled: "the ""old"" pump"'
        )
        raise ImportRefusedError([msg]) from error
    except OSError as error:
        msg = f"{path.name}: cannot be read ({error.strerror}); check its permissions"
        raise ImportRefusedError([msg]) from error


def _undecodable(path: Path) -> str:
    remedy = 'save it as "CSV UTF-8"'
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if number == 1 and line.startswith(_UTF16_MARKS):
                return f"{path.name}: UTF-16 text, not UTF-8; {remedy}"
            try:
                line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                byte = error.object[error.start]
                return f"{path.name}, line {number}: byte 0x{byte:02x} is not UTF-8; {remedy}"
    return f"{path.name}: not UTF-8 text; {remedy}"


def shown_folder(folder: Path) -> str:
    """Name a folder in text that any database can keep.

    Parameters
    ----------
    folder : Path
        Any folder.

    Returns
    -------
    str
        Its absolute path; bytes that are not UTF-8 are replaced.
    """
    return os.fsencode(folder.resolve()).decode("utf-8", "replace").replace("\x00", "")
