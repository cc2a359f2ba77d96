"""The file under the outbox: made, opened, and set aside when it is damaged.

Knows SQLite's settings for durability and its words for damage; what the tables mean is left to
`edge_agent.outbox`.
"""

import contextlib
import logging
import os
import re
import sqlite3
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge_agent.errors import OutboxDamagedError, OutboxError

logger = logging.getLogger(__name__)

SCHEMA_VERSION: Final = 1
SEQUENCES_PER_FILE: Final = 10**12
"""A file that replaces a damaged one begins this much higher: 30 years at 1000 records a second."""

_SCHEMA: Final = """
CREATE TABLE record (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    n_samples INTEGER NOT NULL,
    n_bytes INTEGER NOT NULL,
    crc32 INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ns INTEGER NOT NULL,
    kind TEXT NOT NULL,
    origin TEXT NOT NULL,
    reason TEXT NOT NULL,
    n_samples INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE TABLE tally (name TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;
"""

# What SQLite says when the file, not the moment, is the problem.
_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def open_outbox_file(path: Path) -> sqlite3.Connection:
    """Open the file for reading and writing; make it if it is not there.

    Parameters
    ----------
    path : Path
        Where it is.

    Returns
    -------
    sqlite3.Connection
        In autocommit mode; a transaction that was committed survives a power cut.

    Raises
    ------
    OutboxDamagedError
        If it is no longer a database.
    OutboxError
        If it can't be opened or made.
    """
    with named_errors(path):
        # SQLite gives its helper files the rights of the main file.
        path.touch(mode=0o600)
        database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            if _version(database, path) == 0:
                _create(database, path)
        except BaseException:
            database.close()
            raise
    return database


def open_outbox_file_to_look(path: Path) -> sqlite3.Connection:
    """Open the file for reading only, also while an agent uses it.

    Parameters
    ----------
    path : Path
        Where it is.

    Returns
    -------
    sqlite3.Connection
        Refuses every change.

    Raises
    ------
    OutboxError
        If it can't be opened.
    """
    with named_errors(path):
        address = f"file:{urllib.parse.quote(str(path))}?mode=ro"
        database = sqlite3.connect(address, isolation_level=None, uri=True)
        try:
            _version(database, path)
        except BaseException:
            database.close()
            raise
    return database


def set_file_aside(path: Path, damage: OutboxDamagedError) -> None:
    """Rename a damaged file, so that a new one can take its place and nothing is deleted.

    Parameters
    ----------
    path : Path
        Where it is; it must be closed.
    damage : OutboxDamagedError
        What was found.

    Raises
    ------
    OutboxError
        If the disk does not let us.
    """
    aside = path.with_name(f"{path.name}.damaged-{len(_damaged_files(path)) + 1}")
    with named_errors(path):
        path.rename(aside)
        for ending in ("-wal", "-shm"):
            helper = path.with_name(path.name + ending)
            if helper.exists():
                helper.rename(aside.with_name(aside.name + ending))
        _sync_folder(path.parent)
    logger.error(
        "%s; kept as %s, a new outbox is begun; samples in it were not sent: keep the file "
        "and look at the disk",
        damage,
        aside.name,
    )


@contextlib.contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite and the disk say into words about the outbox.

    Parameters
    ----------
    path : Path
        File that the block works on.

    Yields
    ------
    None
        For the block.

    Raises
    ------
    OutboxDamagedError
        If the file, not the moment, is the problem.
    OutboxError
        For everything else that SQLite or the disk says.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None and code & 0xFF in _DAMAGE:
            msg = f"outbox {path} is damaged: {error}"
            raise OutboxDamagedError(msg) from error
        msg = (
            f"outbox {path}: {error}; see that the disk has room and that this user may write there"
        )
        raise OutboxError(msg) from error
    except OSError as error:
        msg = f"outbox {path}: {error.strerror or error}; see that this user may write there"
        raise OutboxError(msg) from error


def _version(database: sqlite3.Connection, path: Path) -> int:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version not in {0, SCHEMA_VERSION}:
        msg = (
            f"{path} was written by another version of the agent (form {version}, this one knows "
            f"{SCHEMA_VERSION}); run that version until the outbox is empty, or give another "
            "state_dir"
        )
        raise OutboxError(msg)
    return int(version)


def _create(database: sqlite3.Connection, path: Path) -> None:
    first = SEQUENCES_PER_FILE * len(_damaged_files(path))
    database.executescript(f"BEGIN; {_SCHEMA}")
    database.execute("INSERT INTO sqlite_sequence VALUES ('record', ?)", (first,))
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    database.execute("COMMIT")
    _sync_folder(path.parent)


def _damaged_files(path: Path) -> list[Path]:
    pattern = re.compile(re.escape(path.name) + r"\.damaged-\d+")
    return [beside for beside in path.parent.iterdir() if pattern.fullmatch(beside.name)]


def _sync_folder(folder: Path) -> None:
    """Make the names of files as durable as their contents."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
