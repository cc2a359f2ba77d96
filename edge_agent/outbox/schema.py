"""The tables of the outbox, and how an older file is brought to their form.

A record is a row of `record`, which is small, so that all of them are summed up in a moment, and a
row of `body`. Files of schema 1 held both in one row, as line protocol; they are taken over a few
hundred records at a time, each step a transaction of its own, so that a power cut in the middle
costs nothing and no disk needs room for two copies.
"""

import sqlite3
import zlib
from typing import Final

from edge_agent.outbox import gaps, numbering, quarantine, records, series

SCHEMA_VERSION: Final = 2

_TALLY: Final = """
CREATE TABLE tally (name TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;
"""
_ABOUT: Final = """
CREATE TABLE about (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
"""

_RECORDS_PER_STEP: Final = 500


def create(database: sqlite3.Connection, first_sequence: int, outbox_id: str) -> None:
    """Make the tables of a new file, inside a transaction.

    Parameters
    ----------
    database : sqlite3.Connection
        An empty file.
    first_sequence : int
        The sequence number before the first.
    outbox_id : str
        What this file is called.
    """
    for script in (records.SCHEMA, series.SCHEMA, quarantine.SCHEMA, gaps.SCHEMA, _TALLY, _ABOUT):
        _execute(database, script)
    _begin(database, first_sequence, outbox_id)


def migrate(database: sqlite3.Connection, outbox_id: str) -> None:
    """Bring a file of schema 1 to the present one; may be broken off and called again.

    Parameters
    ----------
    database : sqlite3.Connection
        A file of schema 1, or one whose migration was broken off.
    outbox_id : str
        What the file will be called if it has no name yet.
    """
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version == 1:
        database.execute("BEGIN IMMEDIATE")
        (last,) = database.execute(
            "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'record'"
        ).fetchone()
        database.execute("ALTER TABLE record RENAME TO record_1")
        database.execute("ALTER TABLE quarantine ADD COLUMN is_packed INTEGER NOT NULL DEFAULT 0")
        database.execute("UPDATE quarantine SET is_packed = kind <> 'payload'")
        for script in (records.SCHEMA, series.SCHEMA, gaps.SCHEMA, _ABOUT):
            _execute(database, script)
        _begin(database, last, outbox_id)
        database.execute("COMMIT")
    while _has_old_records(database):
        _move_some(database)


def read_about(database: sqlite3.Connection) -> dict[str, str]:
    """Read what the file says about itself.

    Parameters
    ----------
    database : sqlite3.Connection
        The file.

    Returns
    -------
    dict of str to str
        ``outbox_id`` and ``schema``; empty if the file says nothing.
    """
    return dict(database.execute("SELECT name, text FROM about").fetchall())


def _begin(database: sqlite3.Connection, last: int, outbox_id: str) -> None:
    numbering.begin_sequence(database, last)
    database.executemany(
        "INSERT INTO about VALUES (?, ?)",
        [("outbox_id", outbox_id), ("schema", str(SCHEMA_VERSION))],
    )
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _execute(database: sqlite3.Connection, script: str) -> None:
    # `executescript` would commit first.
    for statement in filter(str.strip, script.split(";")):
        database.execute(statement)


def _has_old_records(database: sqlite3.Connection) -> bool:
    found = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'record_1'").fetchone()
    return found is not None


def _move_some(database: sqlite3.Connection) -> None:
    database.execute("BEGIN IMMEDIATE")
    rows = database.execute(
        "SELECT sequence, n_samples, n_bytes, crc32, body FROM record_1 ORDER BY sequence LIMIT ?",
        (_RECORDS_PER_STEP,),
    ).fetchall()
    for sequence, n_samples, n_bytes, crc32, body in rows:
        if crc32 == _crc32_of_schema_1(sequence, n_samples, body):
            head = records.Head(sequence, "raw", records.Form.LINES, 0, n_samples, 0, n_bytes)
            records.put(database, head, body)
        else:
            quarantine.put(
                database,
                quarantine.Item(
                    0,
                    "damaged",
                    f"record {sequence}",
                    "its CRC did not match when it was taken over from an older version",
                    n_samples,
                    body,
                    is_packed=True,
                ),
            )
    database.executemany("DELETE FROM record_1 WHERE sequence = ?", [row[:1] for row in rows])
    if not rows:
        database.execute("DROP TABLE record_1")
    database.execute("COMMIT")


def _crc32_of_schema_1(sequence: int, n_samples: int, body: bytes) -> int:
    head = sequence.to_bytes(8, "big") + n_samples.to_bytes(4, "big")
    return zlib.crc32(body, zlib.crc32(head))
