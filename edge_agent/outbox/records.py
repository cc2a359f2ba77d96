"""The records in the file: rows of two tables that belong together, under one CRC.

What a record holds and when one is dropped is decided elsewhere. All functions but the reading ones
are called inside a transaction.
"""

import sqlite3
import struct
import zlib
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from edge_agent.records import Priority

SCHEMA: Final = """
CREATE TABLE record (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    is_alarm INTEGER NOT NULL,
    form INTEGER NOT NULL,
    level INTEGER NOT NULL,
    n_samples INTEGER NOT NULL,
    n_series INTEGER NOT NULL,
    n_line_bytes INTEGER NOT NULL,
    n_body_bytes INTEGER NOT NULL,
    first_ns INTEGER,
    last_ns INTEGER,
    kept_s INTEGER NOT NULL,
    seal INTEGER NOT NULL,
    crc32 INTEGER NOT NULL
);
CREATE INDEX alarm ON record (sequence) WHERE is_alarm = 1;
CREATE INDEX thinned ON record (sequence) WHERE level = 1;
CREATE TABLE body (sequence INTEGER PRIMARY KEY, body BLOB NOT NULL);
"""

FULL: Final = 0
THINNED: Final = 1
"""Levels of a record: as it came, or with what `edge_agent.outbox.thinning` left of it."""

_COLUMNS: Final = (
    "sequence, is_alarm, form, level, n_samples, n_series, n_line_bytes, n_body_bytes,"
    " first_ns, last_ns, kept_s, seal, crc32"
)
_SEALED: Final = struct.Struct(">QBBBIIQIqqQI")
_NO_TIME: Final = -(2**63)


class Form(IntEnum):
    """How the body of a record is written."""

    LINES = 1
    """Line protocol, compressed."""
    COLUMNS = 2
    """A frame of `edge_agent.outbox.frame`."""


@dataclass(frozen=True, slots=True)
class Head:
    """Everything about a record but its body.

    Parameters
    ----------
    sequence : int
        Its number, which no other record of this outbox ever had.
    priority : {"alarm", "raw"}
        Of all its samples.
    form : Form
        How its body is written.
    level : int
        `FULL` or `THINNED`.
    n_samples : int
        Samples in it.
    n_series : int
        Series in it; 0 if that was not counted.
    n_line_bytes : int
        What it takes as line protocol, about. [byte]
    n_body_bytes : int
        What its body takes on the disk. [byte]
    first_ns, last_ns : int or None
        Earliest and latest source time; None if nobody looked. [ns since 1970-01-01 UTC]
    kept_s : int
        When it was written, on the outbox's own clock; see `edge_agent.outbox.store`. [s]
    seal : int
        What the names of its series come to; see `edge_agent.outbox.series`.
    crc32 : int
        As it stands in the file, to be compared with `crc32_of`.
    """

    sequence: int
    priority: Priority
    form: Form
    level: int
    n_samples: int
    n_series: int
    n_line_bytes: int
    n_body_bytes: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    kept_s: int = 0
    seal: int = 0
    crc32: int = 0


@dataclass(slots=True)
class Totals:
    """What all records together come to."""

    n_records: int = 0
    n_samples: int = 0
    n_alarm_records: int = 0
    n_alarm_samples: int = 0
    n_body_bytes: int = 0
    n_thinned_records: int = 0
    n_thinned_bytes: int = 0

    def add(self, head: Head, sign: int = 1) -> None:
        """Count a record.

        Parameters
        ----------
        head : Head
            The record.
        sign : int
            1 if it came, -1 if it went.
        """
        self.n_records += sign
        self.n_samples += sign * head.n_samples
        self.n_body_bytes += sign * head.n_body_bytes
        if head.priority == "alarm":
            self.n_alarm_records += sign
            self.n_alarm_samples += sign * head.n_samples
        if head.level == THINNED:
            self.n_thinned_records += sign
            self.n_thinned_bytes += sign * head.n_body_bytes


def measure(database: sqlite3.Connection) -> Totals:
    """Sum up all records.

    Parameters
    ----------
    database : sqlite3.Connection
        The file.

    Returns
    -------
    Totals
        As of now.
    """
    row = database.execute(
        "SELECT count(*), total(n), total(is_alarm = 1), total((is_alarm = 1) * n),"
        " total(n_body), total(level = 1), total((level = 1) * n_body) FROM ("
        # A flipped bit may have made a number something else; its record's seal tells later.
        "SELECT is_alarm, level, CAST(n_samples AS INTEGER) AS n,"
        " CAST(n_body_bytes AS INTEGER) AS n_body FROM record)"
    ).fetchone()
    return Totals(*(int(number or 0) for number in row))


def put(database: sqlite3.Connection, head: Head, body: bytes) -> Head:
    """Write a record, over the one with its sequence if there is one.

    Parameters
    ----------
    database : sqlite3.Connection
        The file.
    head : Head
        Everything but its body; `n_body_bytes` and `crc32` are set here.
    body : bytes
        The body.

    Returns
    -------
    Head
        As it was written.
    """
    head = replace(head, n_body_bytes=len(body))
    head = replace(head, crc32=crc32_of(head, body))
    database.execute(
        "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            head.sequence,
            int(head.priority == "alarm"),
            int(head.form),
            head.level,
            head.n_samples,
            head.n_series,
            head.n_line_bytes,
            head.n_body_bytes,
            head.first_ns,
            head.last_ns,
            head.kept_s,
            head.seal,
            head.crc32,
        ),
    )
    database.execute("INSERT OR REPLACE INTO body VALUES (?, ?)", (head.sequence, body))
    return head


def delete(database: sqlite3.Connection, sequences: Iterable[int]) -> None:
    """Delete records.

    Parameters
    ----------
    database : sqlite3.Connection
        The file.
    sequences : iterable of int
        Their sequence numbers; unknown ones are passed over.
    """
    keys = [(sequence,) for sequence in sequences]
    database.executemany("DELETE FROM record WHERE sequence = ?", keys)
    database.executemany("DELETE FROM body WHERE sequence = ?", keys)


def read_heads(
    database: sqlite3.Connection, where: str = "TRUE", *, newest_first: bool = False
) -> Iterator[Head | int]:
    """Read records without their bodies, as long as the caller goes on.

    Parameters
    ----------
    database : sqlite3.Connection
        The file.
    where : str
        Condition in SQL; a constant of this program, never made from data.
    newest_first : bool
        Whether to go from the newest to the oldest.

    Yields
    ------
    Head or int
        The record; only its sequence number if the disk changed something in it.
    """
    order = "DESC" if newest_first else "ASC"
    for row in database.execute(
        f"SELECT {_COLUMNS} FROM record WHERE {where} ORDER BY sequence {order}"  # noqa: S608 - see above
    ):
        yield _head_of(row) or int(row[0])


def newest_kept_s(database: sqlite3.Connection) -> float:
    """Read when the newest record came, by the outbox's own clock.

    Parameters
    ----------
    database : sqlite3.Connection
        The file.

    Returns
    -------
    float
        Of the newest record that the disk did not change; 0 without one. [s]
    """
    heads = read_heads(database, newest_first=True)
    return next((float(head.kept_s) for head in heads if isinstance(head, Head)), 0.0)


def read_body(database: sqlite3.Connection, sequence: int) -> bytes | None:
    """Read the body of a record.

    Parameters
    ----------
    database : sqlite3.Connection
        The file.
    sequence : int
        Its number.

    Returns
    -------
    bytes or None
        None if there is none, because the disk lost it.
    """
    row = database.execute("SELECT body FROM body WHERE sequence = ?", (sequence,)).fetchone()
    return row[0] if row is not None and isinstance(row[0], bytes) else None


def heads_of(database: sqlite3.Connection, sequences: Collection[int]) -> Sequence[Head | int]:
    """Read the heads of some records.

    Parameters
    ----------
    database : sqlite3.Connection
        The file.
    sequences : collection of int
        Their numbers; unknown ones are passed over.

    Returns
    -------
    sequence of Head or int
        As `read_heads` gives them.
    """
    heads: list[Head | int] = []
    for sequence in sequences:
        row = database.execute(
            f"SELECT {_COLUMNS} FROM record WHERE sequence = ?",  # noqa: S608 - a constant
            (sequence,),
        ).fetchone()
        if row is not None:
            heads.append(_head_of(row) or sequence)
    return heads


def crc32_of(head: Head, body: bytes) -> int:
    """CRC over everything that a record is.

    Parameters
    ----------
    head : Head
        Everything but its body.
    body : bytes
        Its body.

    Returns
    -------
    int
        Of 32 bits.
    """
    sealed = _SEALED.pack(
        head.sequence,
        head.priority == "alarm",
        head.form,
        head.level,
        head.n_samples,
        head.n_series,
        head.n_line_bytes,
        head.n_body_bytes,
        _NO_TIME if head.first_ns is None else head.first_ns,
        _NO_TIME if head.last_ns is None else head.last_ns,
        head.kept_s,
        head.seal,
    )
    return zlib.crc32(body, zlib.crc32(sealed))


def _head_of(row: tuple[object, ...]) -> Head | None:
    numbers = [number for number in row if isinstance(number, int)]
    first_ns, last_ns = row[8:10]
    if len(numbers) + (first_ns is None) + (last_ns is None) != len(row):
        return None
    sequence, is_alarm, form, level, n_samples, n_series, n_lines, n_body = numbers[:8]
    kept, seal, crc32 = numbers[-3:]
    is_plain = (
        is_alarm in {0, 1}
        and form in {1, 2}
        and level in {FULL, THINNED}
        and all(0 <= n < 2**32 for n in (n_samples, n_series, n_body, seal))
        and n_lines >= 0
        and kept >= 0
        and sequence >= 0
    )
    if not is_plain:
        return None
    return Head(
        sequence,
        "alarm" if is_alarm else "raw",
        Form(form),
        level,
        n_samples,
        n_series,
        n_lines,
        n_body,
        first_ns if isinstance(first_ns, int) else None,
        last_ns if isinstance(last_ns, int) else None,
        kept,
        seal,
        crc32,
    )


def oldest_ns(database: sqlite3.Connection, sent: Container[int], *, is_alarm: bool) -> int | None:
    """Find the earliest source time in the oldest record of one kind that the store does not have.

    Parameters
    ----------
    database : sqlite3.Connection
        The file.
    sent : container of int
        Sequence numbers that the store has, and that are not deleted yet.
    is_alarm : bool
        Of alarms, or of all others.

    Returns
    -------
    int or None
        None if none waits, or its times are not known. [ns since 1970-01-01 UTC]
    """
    rows = database.execute(
        "SELECT sequence, first_ns FROM record WHERE is_alarm = ? ORDER BY sequence", (is_alarm,)
    )
    return next((first_ns for sequence, first_ns in rows if sequence not in sent), None)
