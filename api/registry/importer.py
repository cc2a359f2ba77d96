"""Brings business facts in from a folder of CSV files, and takes an import back.

An import is one transaction: every row that can be understood goes in together, the others are
kept aside with their reason, and if the files themselves can't be trusted nothing is written.
Rows are read in chunks, so that memory holds keys rather than files.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import Engine, Table, insert, select
from sqlalchemy.orm import Session

from api.registry.csv_files import CsvFile, open_folder, shown_folder
from api.registry.csv_rows import TABLES, FactRow, ImportedTable
from api.registry.database import session
from api.registry.models import ImportBatch, SetAsideRow
from api.registry.report import FileCounts, ImportReport, SetAside

# Well below the 32,766 bound values SQLite takes and the 65,535 PostgreSQL does.
CHUNK_ROWS: Final = 5_000

# The columns that say when and by whom a version was recorded, rather than what it says.
_NOT_CONTENT: Final = frozenset({"id", "source", "key", "recorded_at", "import_id"})

Version = tuple[str, str, datetime]
"""Source, key and time of recording: what names a version of a fact."""


def import_folder(engine: Engine, folder: Path, *, now: datetime) -> ImportReport:
    """Import the business facts of a folder.

    A row whose version is known already with the same content is left alone, so importing a
    folder again changes nothing. A row without `recorded_at` whose content differs from what is
    known is a correction, recorded now.

    Parameters
    ----------
    engine : Engine
        The registry, already migrated.
    folder : Path
        Any of the files of `api.registry.csv_rows.TABLES`; UTF-8, separated by comma, semicolon
        or tab.
    now : datetime
        The present moment: the `recorded_at` of rows that have none.

    Returns
    -------
    ImportReport
        What went in and what was set aside.

    Raises
    ------
    ImportRefusedError
        If a file can't be read for certain or lacks a column; nothing is written then.
    """
    files, notes = open_folder(folder)
    where = shown_folder(folder)
    with session(engine, is_exclusive=True) as writer:
        before = _still_set_aside(writer, where)
        batch = ImportBatch(started_at=now, folder=where, n_rows=0, n_set_aside=0)
        writer.add(batch)
        writer.flush()
        work = _Import(writer, batch.id, now)
        counts = [work.take(file) for file in files]
        batch.n_rows = sum(each.n_new for each in counts)
        batch.n_set_aside = len(work.set_aside)
        is_changed = batch.n_rows > 0 or work.set_aside != before
        if is_changed:
            work.keep_set_aside()
        else:
            writer.delete(batch)
    return ImportReport(
        import_id=batch.id if is_changed else None,
        folder=where,
        files=tuple(counts),
        set_aside=tuple(work.set_aside),
        notes=tuple(notes),
    )


def _still_set_aside(writer: Session, folder: str) -> list[SetAside]:
    newest = writer.scalar(
        select(ImportBatch.id)
        .where(ImportBatch.folder == folder, ImportBatch.undone_at.is_(None))
        .order_by(ImportBatch.id.desc())
        .limit(1)
    )
    rows = writer.scalars(
        select(SetAsideRow).where(SetAsideRow.import_id == newest).order_by(SetAsideRow.id)
    )
    return [SetAside.of(row) for row in rows]


@dataclass(slots=True)
class _Line:
    """One row on its way in."""

    number: int
    raw: dict[str, str]
    row: FactRow
    version: Version


@dataclass(slots=True)
class _Import:
    """One import under way."""

    writer: Session
    import_id: int
    now: datetime
    set_aside: list[SetAside] = field(default_factory=list)
    accepted: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """By file: keys known to be in the registry, or going in."""
    refused: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    """By file: keys of rows set aside, and their lines."""

    def take(self, file: CsvFile) -> FileCounts:
        """Import one file; those it refers to came before it."""
        n_before = len(self.set_aside)
        n_new = n_unchanged = 0
        lines_of: dict[Version, int] = {}
        for chunk in _chunks(self._readable(file), CHUNK_ROWS):
            self._look_up(file.table, chunk)
            whole = [line for line in chunk if self._stands(file.table, line, lines_of)]
            n_new_here, n_unchanged_here = self._write(file.table, whole)
            n_new += n_new_here
            n_unchanged += n_unchanged_here
        self.set_aside[n_before:] = sorted(self.set_aside[n_before:], key=lambda each: each.line)
        return FileCounts(file.table.file, n_new, n_unchanged, len(self.set_aside) - n_before)

    def keep_set_aside(self) -> None:
        """Write down the rows set aside."""
        rows = [
            {
                "import_id": self.import_id,
                "file": each.file,
                "line": each.line,
                "column": each.column,
                "reason": each.reason,
                "row": each.row,
            }
            for each in self.set_aside
        ]
        if rows:
            self.writer.execute(insert(SetAsideRow), rows)

    def _put_aside(
        self, table: ImportedTable, number: int, raw: dict[str, str], column: str, reason: str
    ) -> None:
        self.set_aside.append(SetAside(table.file, number, column, reason, raw))
        self.refused[table.file].setdefault(raw.get("key", ""), number)

    def _readable(self, file: CsvFile) -> Iterator[_Line]:
        table, n_columns = file.table, len(file.header)
        for number, cells in file.lines():
            raw = dict(zip(file.header, cells, strict=False))
            if len(cells) != n_columns:
                if len(cells) > n_columns:
                    raw["(more)"] = file.delimiter.join(cells[n_columns:])
                reason = (
                    f"{len(cells)} cells, but the header names {n_columns} columns; put text that "
                    f"holds a {file.delimiter!r} in double quotes, or add the missing cells"
                )
                self._put_aside(table, number, raw, "", reason)
                continue
            try:
                row = table.row.model_validate({name: cell for name, cell in raw.items() if cell})
            except ValidationError as error:
                self._put_aside(table, number, raw, *_reason(error, table))
                continue
            yield _Line(number, raw, row, (row.source, row.key, row.recorded_at or self.now))

    def _look_up(self, table: ImportedTable, chunk: Sequence[_Line]) -> None:
        for column, file in table.references.items():
            accepted = self.accepted[file]
            wanted = {getattr(line.row, column) for line in chunk} - accepted - {None}
            model = _TABLE_OF[file].model
            if wanted:
                accepted.update(self.writer.scalars(select(model.key).where(model.key.in_(wanted))))

    def _stands(self, table: ImportedTable, line: _Line, lines_of: dict[Version, int]) -> bool:
        """Whether a readable row fits what is known; puts it aside if not."""
        fault = self._fault(table, line, lines_of)
        if fault is not None:
            self._put_aside(table, line.number, line.raw, *fault)
            return False
        lines_of[line.version] = line.number
        return True

    def _fault(
        self, table: ImportedTable, line: _Line, lines_of: dict[Version, int]
    ) -> tuple[str, str] | None:
        source, key, recorded_at = line.version
        if recorded_at > self.now:
            shown = _shown(recorded_at)
            return (
                "recorded_at",
                f"{shown} has not come yet; write when it became known, or nothing",
            )
        if line.version in lines_of:
            return "key", (
                f"{key} of source {source} stands on line {lines_of[line.version]} already with "
                "the same recorded_at; take one out, or give a correction its own recorded_at"
            )
        for column, file in table.references.items():
            wanted = getattr(line.row, column)
            if wanted is None or wanted in self.accepted[file]:
                continue
            if wanted in self.refused[file]:
                return column, (
                    f"hangs on {wanted}, which was set aside ({file}, line "
                    f"{self.refused[file][wanted]}); mend that row first"
                )
            return column, f"{wanted} is not known; add it to {file}, or mend the key"
        return None

    def _write(self, table: ImportedTable, lines: Sequence[_Line]) -> tuple[int, int]:
        sql_table = table.sql_table
        content_names = [
            column.name for column in sql_table.columns if column.name not in _NOT_CONTENT
        ]
        known = self._known_versions(sql_table, {line.row.key for line in lines}, content_names)
        new, n_unchanged = [], 0
        for line in lines:
            source, key, recorded_at = line.version
            content = tuple(getattr(line.row, name) for name in content_names)
            versions = known.get((source, key), {})
            if recorded_at in versions:
                if versions[recorded_at] != content:
                    reason = (
                        f"{key} of source {source} was recorded at {_shown(recorded_at)} with "
                        "other content; give the correction a later recorded_at, or none"
                    )
                    self._put_aside(table, line.number, line.raw, "recorded_at", reason)
                else:
                    n_unchanged += 1
            elif line.row.recorded_at is None and _newest(versions, self.now) == content:
                n_unchanged += 1
            else:
                new.append(
                    dict(
                        zip(content_names, content, strict=True),
                        source=source,
                        key=key,
                        recorded_at=recorded_at,
                        import_id=self.import_id,
                    )
                )
        self.accepted[table.file].update(line.row.key for line in lines)
        if new:
            self.writer.execute(insert(sql_table), new)
        return len(new), n_unchanged

    def _known_versions(
        self, sql_table: Table, keys: Iterable[str], content_names: Sequence[str]
    ) -> dict[tuple[str, str], dict[datetime, tuple[Any, ...]]]:
        columns = sql_table.columns
        statement = select(
            columns.source,
            columns.key,
            columns.recorded_at,
            *(columns[name] for name in content_names),
        ).where(columns.key.in_(list(keys)), columns.import_id.is_distinct_from(self.import_id))
        known: dict[tuple[str, str], dict[datetime, tuple[Any, ...]]] = defaultdict(dict)
        for source, key, recorded_at, *content in self.writer.execute(statement):
            known[source, key][recorded_at] = tuple(content)
        return known


_TABLE_OF: Final = {table.file: table for table in TABLES}


def _chunks(lines: Iterable[_Line], size: int) -> Iterator[list[_Line]]:
    iterator = iter(lines)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def _newest(versions: dict[datetime, tuple[Any, ...]], now: datetime) -> tuple[Any, ...] | None:
    past = [recorded_at for recorded_at in versions if recorded_at <= now]
    return versions[max(past)] if past else None


def _reason(error: ValidationError, table: ImportedTable) -> tuple[str, str]:
    """Column of the first fault, and all faults in words."""
    faults = []
    for each in error.errors(include_url=False, include_input=False):
        context = each.get("ctx", {})
        column = str(each["loc"][0]) if each["loc"] else str(context.get("column", ""))
        if each["type"] == "missing":
            faults.append((column, f"empty; every row of {table.file} needs it"))
        else:
            faults.append((column, each["msg"]))
    faults.sort(key=lambda fault: table.columns.index(fault[0]) if fault[0] else -1)
    column, reason = faults[0]
    return column, "; ".join([reason, *(f"also {name}: {why}" for name, why in faults[1:])])


def _shown(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
