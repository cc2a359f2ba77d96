"""What can't be sent, with the reason: kept to be looked at, mended and sent again, or dropped.

It has a share of the outbox's cap to itself; above that the oldest entries go. The bodies of
misfits are kept as they came; samples are kept as line protocol, compressed.
"""

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from edge_agent.records import QuarantineEntry, QuarantineKind

SCHEMA: Final = """
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ns INTEGER NOT NULL,
    kind TEXT NOT NULL,
    origin TEXT NOT NULL,
    reason TEXT NOT NULL,
    n_samples INTEGER NOT NULL,
    body BLOB NOT NULL,
    is_packed INTEGER NOT NULL DEFAULT 0
);
"""

MAX_REASON_CHARACTERS: Final = 1000

_COLUMNS: Final = "id, at_ns, kind, origin, reason, n_samples, body, is_packed"


@dataclass(frozen=True, slots=True)
class Item:
    """What is to be set aside.

    Parameters
    ----------
    at_ns : int
        When, by the wall clock. [ns since 1970-01-01 UTC]
    kind : {"payload", "refused", "damaged"}
        Whether a source, the store or the disk is why.
    origin : str
        Where it came from.
    reason : str
        Why it can't be sent.
    n_samples : int
        Samples in it.
    body : bytes
        The thing itself.
    is_packed : bool
        Whether the body is compressed.
    """

    at_ns: int
    kind: QuarantineKind
    origin: str
    reason: str
    n_samples: int
    body: bytes
    is_packed: bool = False


def put(database: sqlite3.Connection, item: Item) -> None:
    """Set something aside, inside a transaction.

    Parameters
    ----------
    database : sqlite3.Connection
        The file.
    item : Item
        What.
    """
    database.execute(
        "INSERT INTO quarantine (at_ns, kind, origin, reason, n_samples, body, is_packed)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            item.at_ns,
            item.kind,
            _storable(item.origin),
            _storable(item.reason)[:MAX_REASON_CHARACTERS],
            item.n_samples,
            item.body,
            int(item.is_packed),
        ),
    )


def measure(database: sqlite3.Connection) -> int:
    """Sum up what all entries take.

    Parameters
    ----------
    database : sqlite3.Connection
        The file.

    Returns
    -------
    int
        Of their bodies. [byte]
    """
    (n_bytes,) = database.execute("SELECT total(length(body)) FROM quarantine").fetchone()
    return int(n_bytes)


def drop_oldest(database: sqlite3.Connection, n_bytes: int) -> tuple[int, int, int]:
    """Drop the oldest entries, inside a transaction.

    Parameters
    ----------
    database : sqlite3.Connection
        The file.
    n_bytes : int
        How much is to go at least. [byte]

    Returns
    -------
    n_entries, n_samples, n_freed : int
        How much went.
    """
    entries, n_samples, n_freed = [], 0, 0
    for number, count, size in database.execute(
        "SELECT id, n_samples, length(body) FROM quarantine ORDER BY id"
    ):
        if n_freed >= n_bytes:
            break
        entries.append((number,))
        n_samples += count
        n_freed += size
    database.executemany("DELETE FROM quarantine WHERE id = ?", entries)
    return len(entries), n_samples, n_freed


def newest(database: sqlite3.Connection, limit: int) -> list[QuarantineEntry]:
    """Read entries.

    Parameters
    ----------
    database : sqlite3.Connection
        The file.
    limit : int
        Entries at most.

    Returns
    -------
    list of QuarantineEntry
        The newest first.
    """
    rows = database.execute(
        f"SELECT {_COLUMNS} FROM quarantine ORDER BY id DESC LIMIT ?",  # noqa: S608 - a constant
        (limit,),
    )
    return [_entry(row) for row in rows]


def of_numbers(database: sqlite3.Connection, numbers: Sequence[int]) -> Iterator[QuarantineEntry]:
    """Read some entries.

    Parameters
    ----------
    database : sqlite3.Connection
        The file.
    numbers : sequence of int
        Which; unknown ones are passed over.

    Yields
    ------
    QuarantineEntry
        In the order asked for.
    """
    for number in numbers:
        row = database.execute(
            f"SELECT {_COLUMNS} FROM quarantine WHERE id = ?",  # noqa: S608 - a constant
            (number,),
        ).fetchone()
        if row is not None:
            yield _entry(row)


def delete(database: sqlite3.Connection, numbers: Sequence[int]) -> int:
    """Delete entries, inside a transaction.

    Parameters
    ----------
    database : sqlite3.Connection
        The file.
    numbers : sequence of int
        Which; unknown ones are passed over.

    Returns
    -------
    int
        How many there were.
    """
    return sum(
        database.execute("DELETE FROM quarantine WHERE id = ?", (number,)).rowcount
        for number in numbers
    )


def _entry(row: tuple[int, int, str, str, str, int, bytes, int]) -> QuarantineEntry:
    number, at_ns, kind, origin, reason, n_samples, body, is_packed = row
    return QuarantineEntry(
        at_ns, kind, origin, reason, n_samples, _unpacked(body) if is_packed else body, number
    )


def _unpacked(body: bytes) -> bytes:
    try:
        return zlib.decompress(body)
    except zlib.error:
        return body


def _storable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
