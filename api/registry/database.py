"""Opens the registry's database, brings its tables up to date, and lends out sessions.

Knows SQLite and PostgreSQL, and nothing of what the tables mean.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.orm import Session

from api.registry.errors import (
    RegistryUnavailableError,
    RegistryUrlError,
    RegistryVersionError,
)

REGISTRY_FILE: Final = "registry.sqlite"
MIGRATIONS: Final = Path(__file__).parent / "migrations"

# Longer than the longest import measured, so that a reader never fails because somebody writes.
SQLITE_BUSY_TIMEOUT_MS: Final = 30_000

# Any number will do, as long as every program of ours asks PostgreSQL for the same one.
EXCLUSIVE_LOCK: Final = 5_174_001

MEND_DAMAGE: Final = (
    "The file is damaged or is none of ours: move it away and restore its backup, or import the "
    "business facts again into a new one"
)

_DAMAGE_CODES: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_WRITES: Final = "registry_writes"


def database_url(state_dir: Path, url: str | None = None) -> str:
    """Where the registry is kept: at `url` if one is given, else in the state folder.

    Parameters
    ----------
    state_dir : Path
        Folder of everything the server keeps.
    url : str, optional
        Database URL from the settings.

    Returns
    -------
    str
        URL for `open_engine`.
    """
    if url is not None:
        return url
    return URL.create("sqlite", database=str(state_dir / REGISTRY_FILE)).render_as_string()


def open_engine(url: str, *, must_exist: bool = False) -> Engine:
    """Open the registry's database; makes the SQLite file if there is none.

    SQLite keeps readers and the writer apart (WAL), waits its turn rather than fail, and is
    durable once a session has ended (``synchronous=FULL``; NORMAL loses committed rows when the
    power goes). The file is readable to its owner only: it holds names and prices.

    Parameters
    ----------
    url : str
        ``sqlite:////folder/registry.sqlite`` or ``postgresql+psycopg://user@host/database``.
        A password may be left out: psycopg reads ``PGPASSFILE`` and ``PGPASSWORD``.
    must_exist : bool, optional
        Whether a missing SQLite file is an error, as it is for someone who wants to read it.

    Returns
    -------
    Engine
        For `migrate`, `session` and `read_session`; may be shared by all threads.

    Raises
    ------
    RegistryUrlError
        If it is not a URL of one of the two databases, or SQLite's file can't be made or, where
        it must exist, is not there.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        # The text is not repeated: a URL that can't be taken apart may still hold a password.
        msg = (
            "database URL: cannot be read; write sqlite:////folder/registry.sqlite or "
            "postgresql+psycopg://user@host/database"
        )
        raise RegistryUrlError(msg) from error
    match parsed.get_backend_name():
        case "sqlite":
            return _open_sqlite(parsed, must_exist=must_exist)
        case "postgresql":
            return create_engine(
                parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, pool_size=10
            )
        case other:
            msg = f"database URL: {other} is not supported; use sqlite or postgresql+psycopg"
            raise RegistryUrlError(msg)


def _open_sqlite(url: URL, *, must_exist: bool) -> Engine:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        msg = (
            "database URL: the registry needs a SQLite file, because each connection would see a "
            "memory of its own; write sqlite:////folder/registry.sqlite"
        )
        raise RegistryUrlError(msg)
    if must_exist and not Path(url.database).exists():
        msg = (
            f"registry {url.database}: there is none; check --state-dir, or begin with "
            "`staybolt import FOLDER`"
        )
        raise RegistryUrlError(msg)
    _make_private_file(Path(url.database))
    engine = create_engine(url.set(drivername="sqlite+pysqlite"), pool_size=10)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_private_file(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        msg = f"registry {path}: {error.strerror}; choose a folder this program may write to"
        raise RegistryUrlError(msg) from error


# The driver hands over its own connection type; SQLAlchemy calls it Any as well.
def _prepare_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401
    # Python's driver would begin transactions only before INSERT, UPDATE and DELETE, so that
    # migrations would not be atomic and reads not of one moment; `_begin_sqlite` begins them all.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once if somebody wrote in between,
    # whatever the busy timeout; whoever will write says so at the start.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _wait_until_alone(connection: Connection) -> None:
    # SQLite has one writer anyway.
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(EXCLUSIVE_LOCK)))


@contextmanager
def session(engine: Engine, *, is_exclusive: bool = False) -> Iterator[Session]:
    """Lend a session that writes: kept whole when the block ends, undone if it raises.

    Parameters
    ----------
    engine : Engine
        From `open_engine`.
    is_exclusive : bool, optional
        Wait for other exclusive sessions and migrations to end first.

    Yields
    ------
    Session
        Objects stay readable after it has ended.
    """
    writer = engine.execution_options(**{_WRITES: True})
    with Session(writer, expire_on_commit=False) as lent, lent.begin():
        if is_exclusive:
            _wait_until_alone(lent.connection())
        yield lent


@contextmanager
def read_session(engine: Engine) -> Iterator[Session]:
    """Lend a session that only reads, and sees one moment of the database throughout.

    Parameters
    ----------
    engine : Engine
        From `open_engine`.

    Yields
    ------
    Session
        Whatever is changed in it is not kept. Objects stay readable after it has ended.
    """
    reader = engine
    if engine.dialect.name == "postgresql":
        reader = engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
    with Session(reader, expire_on_commit=False, autoflush=False) as lent:
        yield lent


def migrate(engine: Engine) -> None:
    """Bring the tables up to date: all of the missing migrations, or none.

    Several programs may call it at once; all but the first then find nothing to do.

    Parameters
    ----------
    engine : Engine
        From `open_engine`; the database may be empty.

    Raises
    ------
    RegistryUnavailableError
        If the database can't be reached or does not let its tables be made; nothing is changed.
    RegistryVersionError
        If its tables were made by a newer program.
    """
    name = engine.url.render_as_string(hide_password=True)
    config = migration_config()
    try:
        with engine.execution_options(**{_WRITES: True}).begin() as connection:
            _wait_until_alone(connection)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except OperationalError as error:
        msg = (
            f"registry {name}: {error.orig}; check that the database runs, may be written to and "
            "holds nothing but the registry"
        )
        raise RegistryUnavailableError(msg) from error
    except DBAPIError as error:
        if is_damage(error):
            msg = f"registry {name}: {error.orig}; nothing was changed. {MEND_DAMAGE}"
            raise RegistryUnavailableError(msg) from error
        msg = (
            f"registry {name}: its tables could not be brought up to date: {error.orig}; nothing "
            "was changed. Give the registry a database of its own"
        )
        raise RegistryUnavailableError(msg) from error
    except CommandError as error:
        msg = (
            f"registry {name}: its tables were made by a newer Staybolt ({error}); "
            "start that version, or restore the backup made before it was installed"
        )
        raise RegistryVersionError(msg) from error
    if engine.dialect.name == "sqlite" and engine.url.database:
        _sync_folder(Path(engine.url.database).parent)


def is_damage(error: DBAPIError) -> bool:
    """Whether SQLite says that its file is damaged, or is no database at all.

    Parameters
    ----------
    error : DBAPIError
        As SQLAlchemy raised it.

    Returns
    -------
    bool
        False for every error of PostgreSQL, which looks after its files itself.
    """
    code = getattr(error.orig, "sqlite_errorcode", None)
    # The low byte is the kind, the rest says which part of the file.
    return code is not None and code & 0xFF in _DAMAGE_CODES


def _sync_folder(folder: Path) -> None:
    # SQLite syncs its file but not the name of a file we made: without this, a power cut just
    # after the first start can leave a folder without the registry.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def migration_config() -> Config:
    """Alembic settings of the registry's migrations, wherever the package is installed.

    Returns
    -------
    Config
        Without a database; `migrate` adds its connection.
    """
    config = Config()
    # "%" would be taken for an interpolation in a folder's name.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
