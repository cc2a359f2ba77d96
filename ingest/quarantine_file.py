"""The file under the quarantine: made, opened, and brought up to date; what its rows are."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ingest.durability import sync_folder

# Another process may be listing while the receiver writes; its read takes far less than this.
_BUSY_TIMEOUT_S: Final = 10.0

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS set_aside (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    received_at_ns INTEGER NOT NULL,
    device TEXT NOT NULL,
    line TEXT NOT NULL,
    reason TEXT NOT NULL,
    remedy TEXT NOT NULL,
    n_bytes INTEGER NOT NULL,
    precision TEXT NOT NULL DEFAULT 'ns',
    site TEXT,
    mended TEXT,
    is_wanted INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS totals (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    n_kept INTEGER NOT NULL,
    n_kept_bytes INTEGER NOT NULL,
    n_dropped INTEGER NOT NULL,
    n_dropped_bytes INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS set_aside_reason ON set_aside (reason);
INSERT OR IGNORE INTO totals VALUES (1, 0, 0, 0, 0);
"""

# A file of an earlier version lacks these.
_LATER_COLUMNS: Final = {
    "precision": "TEXT NOT NULL DEFAULT 'ns'",
    "site": "TEXT",
    "mended": "TEXT",
    "is_wanted": "INTEGER NOT NULL DEFAULT 0",
}


@dataclass(frozen=True, slots=True)
class QuarantinedLine:
    """A line that was set aside.

    Parameters
    ----------
    id : int
        Its number, never used again.
    received_at_ns : int
        When it came. [ns since 1970-01-01 UTC]
    device : str
        Name of the credential it came with.
    line : str
        The line as it came.
    reason, remedy : str
        What is wrong with it, and how the sender can mend it.
    precision : str
        Unit of its timestamp.
    site : str or None
        Site that its sender belongs to, where that is known.
    mended : str or None
        What to try in its place.
    """

    id: int
    received_at_ns: int
    device: str
    line: str
    reason: str
    remedy: str
    precision: str = "ns"
    site: str | None = None
    mended: str | None = None


@dataclass(frozen=True, slots=True)
class QuarantineCount:
    """How much is set aside, and what the cap has dropped so far.

    Parameters
    ----------
    n_kept, n_kept_bytes : int
        Lines in the file and the length of their text. [bytes]
    n_dropped, n_dropped_bytes : int
        Lines that had to make room since the file was made, exactly. [bytes]
    """

    n_kept: int
    n_kept_bytes: int
    n_dropped: int
    n_dropped_bytes: int


def open_quarantine_file(path: Path) -> sqlite3.Connection:
    """Open the file; make it if it is not there.

    Parameters
    ----------
    path : Path
        Where it is; its folder must be there.

    Returns
    -------
    sqlite3.Connection
        In autocommit mode; a transaction that was committed survives a power cut.

    Raises
    ------
    sqlite3.Error
        If it can't be opened.
    """
    connection = sqlite3.connect(
        path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(_SCHEMA)
        known = {row[1] for row in connection.execute("PRAGMA table_info(set_aside)")}
        for name, kind in _LATER_COLUMNS.items():
            if name not in known:
                connection.execute(f"ALTER TABLE set_aside ADD COLUMN {name} {kind}")
    except sqlite3.Error:
        connection.close()
        raise
    # A new file is only there after a power cut if its folder's entry is on the disk too.
    sync_folder(path.parent)
    return connection
