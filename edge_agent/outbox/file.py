"""The file under the outbox: made, opened, and set aside when it is damaged.

Knows SQLite's settings for durability and its words for damage; what the tables mean is left to
`edge_agent.outbox`.
"""

import contextlib
import errno
import logging
import os
import re
import sqlite3
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from edge_agent.errors import DiskFullError, OutboxDamagedError, OutboxError
from edge_agent.outbox.numbering import last_sequence
from edge_agent.outbox.schema import SCHEMA_VERSION, create, migrate, read_about

logger = logging.getLogger(__name__)

SEQUENCES_PER_FILE: Final = 10**12
"""A file that replaces a damaged one begins this much higher: 30 years at 1000 records a second."""

PAGE_BYTES: Final = 1024
"""A commit touches five pages beside the samples themselves: small ones spare the flash. Files of
earlier versions keep theirs, of 4096 bytes."""

_SHRUNK_BYTES: Final = 4_194_304
_KEPT_BYTES: Final = 2_097_152
"""A file of up to 2 MiB is not worth shrinking, and copying more than 4 MiB costs too much."""

_GUEST_TIMEOUT_S: Final = 30.0
"""A running agent never keeps the file for long."""

_NOWHERE: Final = sqlite3.connect(":memory:", check_same_thread=False)
"""Stands for a file that is not open yet."""

# What SQLite says when the file, not the moment, is the problem.
_DAMAGE: Final = frozenset({
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CONSTRAINT,
})

# What it says of a damaged head or schema when it is opened: no such table, format not known.
_DAMAGE_AT_OPENING: Final = frozenset({*_DAMAGE, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_READONLY})


class OutboxFile:
    """The database file: opened, kept durable, and kept small.

    Parameters
    ----------
    path : Path
        Where it is.
    log_bytes : int
        SQLite's log is written back into the main file when it is this long. [byte]
    make_id : callable
        Makes the name of a new file.
    """

    def __init__(self, path: Path, log_bytes: int, make_id: Callable[[], str]) -> None:
        self.path = path
        self._log_bytes = log_bytes
        self.page_bytes = PAGE_BYTES
        self._make_id = make_id
        self._seen_version = 0
        self._has_failed = False
        self.database = _NOWHERE
        self.outbox_id = ""

    def open(self) -> None:
        """Open the file for reading and writing; make it if it is not there.

        Raises
        ------
        OutboxDamagedError
            If it is no longer the database that it was.
        OutboxError
            If it can't be opened or made.
        """
        self.database = self._connect()
        self.was_changed_by_another()

    def open_as_guest(self, *, is_read_only: bool) -> None:
        """Open a file that an agent may be using.

        Parameters
        ----------
        is_read_only : bool
            Refuse every change.

        Raises
        ------
        OutboxError
            If it can't be opened, or is of an older form.
        """
        with named_errors(self.path):
            mode = "ro" if is_read_only else "rw"
            address = f"file:{urllib.parse.quote(str(self.path))}?mode={mode}"
            database = sqlite3.connect(
                address, isolation_level=None, uri=True, timeout=_GUEST_TIMEOUT_S
            )
            try:
                if not is_read_only:
                    database.execute("PRAGMA synchronous = FULL")
                if _version(database, self.path) != SCHEMA_VERSION:
                    msg = (
                        f"{self.path} is of an older form; start this version of the agent once, "
                        "which takes it over"
                    )
                    raise OutboxError(msg)
                self.outbox_id = read_about(database)["outbox_id"]
                self.page_bytes = _page_bytes(database)
            except BaseException:
                database.close()
                raise
            self.database = database

    def close(self) -> None:
        """Close the file."""
        self.database.close()

    def reopen_if_failed(self) -> None:
        """Begin anew with the file after the disk failed: what it really holds counts, no memory.

        Raises
        ------
        OutboxError
            If it can't be opened.
        """
        if self._has_failed:
            self.database.close()
            self.open()
            self._has_failed = False

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what the block does durable, or undo it.

        Yields
        ------
        None
            For the block.

        Raises
        ------
        OutboxError
            If that is not possible; then nothing is changed.
        """
        with named_errors(self.path):
            try:
                self.database.execute("BEGIN IMMEDIATE")
                yield
                self.database.execute("COMMIT")
            except BaseException as error:
                self._has_failed = self._has_failed or (
                    isinstance(error, sqlite3.Error) and _code(error) == sqlite3.SQLITE_IOERR
                )
                if self.database.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        self.database.execute("ROLLBACK")
                raise

    def was_changed_by_another(self) -> bool:
        """Whether another program has written to the file since the last call.

        Returns
        -------
        bool
            As of now.
        """
        (version,) = self.database.execute("PRAGMA data_version").fetchone()
        before, self._seen_version = self._seen_version, version
        return before not in {0, version}

    def next_sequence(self) -> int:
        """Give the next number, inside a transaction that writes it down.

        Returns
        -------
        int
            A number that was never given before.

        Raises
        ------
        OutboxDamagedError
            If the file no longer says for certain which numbers were given.
        """
        last = last_sequence(self.database)
        if last is None:
            msg = f"outbox {self.path} is damaged: which numbers it gave can't be told"
            raise OutboxDamagedError(msg)
        return last + 1

    def n_pages(self) -> int:
        """Count the pages of the main file, free ones too.

        Returns
        -------
        int
            As of now.
        """
        (n_pages,) = self.database.execute("PRAGMA page_count").fetchone()
        return int(n_pages)

    def n_bytes(self) -> int:
        """Measure what the file and SQLite's files beside it take on the disk.

        Returns
        -------
        int
            In blocks of the disk. [byte]
        """
        total = 0
        for ending in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                total += self.path.with_name(self.path.name + ending).stat().st_blocks * 512
        return total

    def write_back(self) -> None:
        """Write the log back into the main file, as far as the disk lets us."""
        with contextlib.suppress(sqlite3.Error):
            self.database.execute("PRAGMA wal_checkpoint(RESTART)")

    def shrink(self, used_pages: int) -> None:
        """Give the disk its room back when a long backlog has been sent.

        Parameters
        ----------
        used_pages : int
            Pages that hold something; few, or nothing is done.
        """
        used_bytes = used_pages * self.page_bytes
        if (
            used_bytes <= _SHRUNK_BYTES
            and self.n_pages() * self.page_bytes > 4 * used_bytes + _KEPT_BYTES
        ):
            # Copies what is left, at most 4 MiB, in one transaction like any other.
            with contextlib.suppress(sqlite3.Error):
                self.database.execute("VACUUM")

    def _connect(self) -> sqlite3.Connection:
        path = self.path
        with named_errors(path, is_opening=True):
            # SQLite gives its helper files the rights of the main file.
            path.touch(mode=0o600)
            database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(database)
            except BaseException:
                database.close()
                raise
        self._seen_version = 0
        return database

    def _prepare(self, database: sqlite3.Connection) -> None:
        path = self.path
        database.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA secure_delete = OFF")
        database.execute("PRAGMA temp_store = MEMORY")
        self.page_bytes = _page_bytes(database)
        database.execute(f"PRAGMA wal_autocheckpoint = {self._log_bytes // self.page_bytes}")
        version = _version(database, path)
        if version == 0:
            database.execute("BEGIN IMMEDIATE")
            first = SEQUENCES_PER_FILE * len(_damaged_files(path))
            create(database, first, self._make_id())
            database.execute("COMMIT")
            _sync_folder(path.parent)
        else:
            migrate(database, self._make_id())
        about = read_about(database)
        if last_sequence(database) is None or set(about) != {"outbox_id", "schema"}:
            msg = f"outbox {path} is damaged: its name or its last number can't be read"
            raise OutboxDamagedError(msg)
        self.outbox_id = about["outbox_id"]


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
def named_errors(path: Path, *, is_opening: bool = False) -> Iterator[None]:
    """Turn what SQLite and the disk say into words about the outbox.

    Parameters
    ----------
    path : Path
        File that the block works on.
    is_opening : bool
        Whether the block opens it, when tables that are not there are damage, too.

    Yields
    ------
    None
        For the block.

    Raises
    ------
    OutboxDamagedError
        If the file, not the moment, is the problem.
    DiskFullError
        If the disk has no room.
    OutboxError
        For everything else that SQLite or the disk says.
    """
    try:
        yield
    except UnicodeDecodeError as error:
        # A name in the schema, or SQLite's words about it, that a flipped bit has made no text.
        msg = f"outbox {path} is damaged: {error}"
        raise OutboxDamagedError(msg) from error
    except sqlite3.Error as error:
        code = _code(error)
        if code in _DAMAGE or (is_opening and code in _DAMAGE_AT_OPENING and _may_be_written(path)):
            msg = f"outbox {path} is damaged: {error}"
            raise OutboxDamagedError(msg) from error
        kind = DiskFullError if code == sqlite3.SQLITE_FULL else OutboxError
        msg = (
            f"outbox {path}: {error}; see that the disk has room and that this user may write there"
        )
        raise kind(msg) from error
    except OSError as error:
        kind = DiskFullError if error.errno in {errno.ENOSPC, errno.EDQUOT} else OutboxError
        msg = f"outbox {path}: {error.strerror or error}; see that this user may write there"
        raise kind(msg) from error


def _code(error: sqlite3.Error) -> int | None:
    """SQLite's primary result code; its text that is no UTF-8 has none and is damage."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return sqlite3.SQLITE_CORRUPT if "UTF-8" in str(error) else None
    if code == sqlite3.SQLITE_IOERR_SHMSIZE:
        # The index of the log could not grow.
        return sqlite3.SQLITE_FULL
    if code == sqlite3.SQLITE_ERROR and "no such" in str(error):
        # All our statements are constants: what they name can only be missing by damage.
        return sqlite3.SQLITE_CORRUPT
    return code & 0xFF


def _may_be_written(path: Path) -> bool:
    """Whether the disk itself lets us write the file, so that a refusal is SQLite's own."""
    try:
        os.close(os.open(path, os.O_RDWR))
    except OSError:
        return False
    return True


def _page_bytes(database: sqlite3.Connection) -> int:
    (page_bytes,) = database.execute("PRAGMA page_size").fetchone()
    return int(page_bytes)


def _version(database: sqlite3.Connection, path: Path) -> int:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version in {0, 1, SCHEMA_VERSION}:
        has_tables = database.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None
        if has_tables == (version > 0):
            return int(version)
    try:
        form = read_about(database)["schema"]
    except (sqlite3.Error, KeyError):
        form = str(version)
    if form == str(SCHEMA_VERSION) or version == 0:
        # Our own tables under another number, or under none.
        msg = f"outbox {path} is damaged: its head is not what it was"
        raise OutboxDamagedError(msg)
    msg = (
        f"{path} was written by another version of the agent (form {form}, this one knows "
        f"{SCHEMA_VERSION}); run that version until the outbox is empty, or give another "
        "state_dir"
    )
    raise OutboxError(msg)


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
