"""The last sequence number that was given, kept so that a flipped bit in it is noticed.

SQLite's own AUTOINCREMENT keeps it; a CRC lies beside it, because a number that went back would be
given twice.
"""

import sqlite3
import zlib


def begin_sequence(database: sqlite3.Connection, last: int) -> None:
    """Set the last sequence number that was given, with a CRC of its own beside it.

    Parameters
    ----------
    database : sqlite3.Connection
        The file; the table `record` is there.
    last : int
        That number.
    """
    database.execute("DELETE FROM sqlite_sequence WHERE name IN ('record', 'record_crc32')")
    database.executemany(
        "INSERT INTO sqlite_sequence VALUES (?, ?)",
        [("record", last), ("record_crc32", _crc32_of_number(last))],
    )


def last_sequence(database: sqlite3.Connection) -> int | None:
    """Read the last sequence number that was given.

    Parameters
    ----------
    database : sqlite3.Connection
        The file.

    Returns
    -------
    int or None
        The number; None if the disk changed it, and any number may have been used already.
    """
    found = dict(
        database.execute(
            "SELECT name, seq FROM sqlite_sequence WHERE name IN ('record', 'record_crc32')"
        ).fetchall()
    )
    last, crc32 = found.get("record"), found.get("record_crc32")
    if not isinstance(last, int) or last < 0 or crc32 != _crc32_of_number(last):
        return None
    return last


def count_up(database: sqlite3.Connection, sequence: int) -> None:
    """Note the last sequence number that was given; its page is written anyway.

    Parameters
    ----------
    database : sqlite3.Connection
        The file.
    sequence : int
        That number.
    """
    database.executemany(
        "UPDATE sqlite_sequence SET seq = ? WHERE name = ?",
        [(sequence, "record"), (_crc32_of_number(sequence), "record_crc32")],
    )


def _crc32_of_number(number: int) -> int:
    return zlib.crc32(number.to_bytes(8, "big"))
