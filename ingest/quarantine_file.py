"""The file under the quarantine: made, opened, and brought up to date."""

import sqlite3
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
INSERT OR IGNORE INTO totals VALUES (1, 0, 0, 0, 0);
"""

# A file of an earlier version lacks these.
_LATER_COLUMNS: Final = {
    "precision": "TEXT NOT NULL DEFAULT 'ns'",
    "site": "TEXT",
    "mended": "TEXT",
    "is_wanted": "INTEGER NOT NULL DEFAULT 0",
}


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
