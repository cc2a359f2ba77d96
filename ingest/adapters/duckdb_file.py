"""The DuckDB file under the embedded store: opened, brought up to date, asked and written.

Knows DuckDB and its words for what went wrong; what the tables mean is left to
`ingest.adapters.duckdb_store` and `ingest.adapters.duckdb_upkeep`.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb
import numpy as np

from ingest.durability import sync_folder
from ingest.errors import StoreRejectedError, StoreUnavailableError
from ingest.rollups import HOUR_NS
from ingest.telemetry import Series

N_THREADS: Final = 2
_MIN_NS: Final = -(2**63)

# The database must not fetch extensions, and no SQL of ours reads other files.
_SETTINGS: Final[dict[str, str | bool | int | float | list[str]]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "enable_external_access": False,
}

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS series (
    id UINTEGER PRIMARY KEY,
    site VARCHAR NOT NULL,
    machine VARCHAR NOT NULL,
    signal VARCHAR NOT NULL
);
CREATE TABLE IF NOT EXISTS samples (
    series_id UINTEGER NOT NULL,
    source_time_ns BIGINT NOT NULL,
    value DOUBLE,
    quality UTINYINT NOT NULL,
    write_id BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS writes (
    write_id BIGINT NOT NULL,
    received_at_ns BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS rollups (
    step_ns BIGINT NOT NULL,
    series_id UINTEGER NOT NULL,
    start_ns BIGINT NOT NULL,
    count BIGINT NOT NULL,
    n_other BIGINT NOT NULL,
    minimum DOUBLE,
    maximum DOUBLE,
    last DOUBLE,
    total DOUBLE NOT NULL
);
CREATE TABLE IF NOT EXISTS dropped (
    before_ns BIGINT NOT NULL
);
"""

_UNSETTLED: Final = """
CREATE TABLE unsettled (
    hour BIGINT NOT NULL,
    write_id BIGINT NOT NULL
);
"""


class DuckDBFile:
    """One open file.

    Parameters
    ----------
    path : Path
        The file; made, with its folder, if it is not there.
    memory_limit_mib : int
        Memory the database may use. [MiB]

    Raises
    ------
    StoreUnavailableError
        If the file can't be opened, for example because another process has it open.
    """

    def __init__(self, path: Path, memory_limit_mib: int) -> None:
        self.path = path
        self.write_lock = threading.Lock()
        """Held while writing; whoever writes long holds it for a moment at a time."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = duckdb.connect(
                str(path),
                config=_SETTINGS | {"memory_limit": f"{memory_limit_mib}MiB", "threads": N_THREADS},
            )
            self._bring_up_to_date()
            found = self._connection.execute("SELECT max(write_id) FROM samples").fetchone()
            dropped = self._connection.execute("SELECT max(before_ns) FROM dropped").fetchone()
        except (OSError, duckdb.Error) as error:
            msg = (
                f"{path}: the telemetry file can't be opened ({_first_line(error)}); "
                "check the path and that no other staybolt process is using it; if the file is "
                "damaged, move it away and restore its backup, or start with a new one"
            )
            raise StoreUnavailableError(msg) from error
        self.last_write_id = int(found[0]) if found and found[0] is not None else 0
        self.kept_from_ns = int(dropped[0]) if dropped and dropped[0] is not None else _MIN_NS
        """Samples before this have been dropped; only their roll-ups are there. [ns]"""

    def _bring_up_to_date(self) -> None:
        self._connection.execute(_SCHEMA)
        tables = {name for (name,) in self._connection.execute("SHOW TABLES").fetchall()}
        if "unsettled" not in tables:
            # A file of a version without roll-ups: every hour that it holds is to be rolled up.
            with self.cursor() as cursor:
                cursor.begin()
                cursor.execute(_UNSETTLED)
                times: dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]] = cursor.execute(
                    "SELECT DISTINCT source_time_ns AS time_ns FROM samples"
                ).fetchnumpy()
                hours = np.unique(times["time_ns"] // HOUR_NS)
                if hours.size:
                    cursor.register("hours", {"hour": hours})
                    cursor.execute("INSERT INTO unsettled SELECT hour, 0 FROM hours")
                cursor.commit()

    def all_series(self) -> dict[Series, int]:
        """Every series with its id.

        Returns
        -------
        dict of Series to int
            In no particular order.
        """
        with self.cursor() as cursor:
            rows = cursor.execute("SELECT id, site, machine, signal FROM series").fetchall()
        return {
            Series(site, machine, signal): int(series_id)
            for series_id, site, machine, signal in rows
        }

    def sync_folder(self) -> None:
        """Make the name of DuckDB's log as durable as its contents.

        The log is made anew after each checkpoint, and DuckDB syncs only what is in it: without
        its name in the folder a power cut takes all of it (0.06 ms of 1.8 ms).

        Raises
        ------
        StoreUnavailableError
            If the disk does not answer.
        """
        try:
            sync_folder(self.path.parent)
        except OSError as error:
            msg = (
                f"{self.path.parent}: the folder of the telemetry file can't be synced "
                f"({error.strerror}); check the disk"
            )
            raise StoreUnavailableError(msg) from error

    def close(self) -> None:
        """Write everything into the file and release it."""
        with self.write_lock:
            self._connection.close()

    @contextmanager
    def cursor(self) -> Iterator["duckdb.DuckDBPyConnection"]:
        """Open a connection for one call: what it has not committed at the end is undone.

        Yields
        ------
        duckdb.DuckDBPyConnection
            Sees the file as it was when its transaction began.

        Raises
        ------
        StoreRejectedError
            If the database will never take what it is given.
        StoreUnavailableError
            If it does not answer.
        """
        try:
            with self._connection.cursor() as cursor:
                yield cursor
        except (duckdb.DataError, duckdb.IntegrityError) as error:
            msg = f"{self.path}: the telemetry file refuses this data ({_first_line(error)})"
            raise StoreRejectedError(msg) from error
        except duckdb.Error as error:
            msg = (
                f"{self.path}: the telemetry file did not answer ({_first_line(error)}); "
                "check that the disk has room, then restart if it goes on"
            )
            raise StoreUnavailableError(msg) from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
