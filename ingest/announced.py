"""Machines and signals that have announced themselves, until somebody confirms or rejects them.

A first line or a Sparkplug birth is enough: site, machine, signal, unit and range where they are
told, since when, and how many samples were set aside meanwhile. It is a list to decide by; the
samples of machines that nobody has confirmed are in the quarantine, and are tried again by
themselves once their machine is known (`Confirmed`), however it became so.

SQLite beside the quarantine. Losing this file loses no sample, so that a fault here never holds up
what is stored; it is logged, and noted with the next line.
"""

import logging
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple, Self

from ingest.durability import sync_folder
from ingest.errors import AnnouncedError
from ingest.ports import MachineCatalogue
from ingest.quarantine import Quarantine
from ingest.telemetry import Series, unit_of
from ingest.validation import UNKNOWN_MACHINE

logger = logging.getLogger(__name__)

State = Literal["new", "confirmed", "rejected"]

MAX_SIGNALS: Final = 100_000
"""Whoever invents names must not fill the disk; what is beyond is only in the quarantine."""

_BUSY_TIMEOUT_S: Final = 10.0

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS announced (
    site TEXT NOT NULL,
    machine TEXT NOT NULL,
    signal TEXT NOT NULL,
    unit TEXT,
    lowest REAL,
    highest REAL,
    first_seen_ns INTEGER NOT NULL,
    last_seen_ns INTEGER NOT NULL,
    n_set_aside INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'new',
    PRIMARY KEY (machine, site, signal)
) WITHOUT ROWID;
"""

# A birth says more than a first line: what is told once is kept until it is told otherwise.
_NOTE: Final = """
INSERT INTO announced (site, machine, signal, unit, lowest, highest, first_seen_ns, last_seen_ns,
                       n_set_aside)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8 WHERE (SELECT count(*) FROM announced) < ?9
    OR EXISTS (SELECT 1 FROM announced WHERE machine = ?2 AND site = ?1 AND signal = ?3)
ON CONFLICT DO UPDATE SET
    unit = coalesce(excluded.unit, unit),
    lowest = coalesce(excluded.lowest, lowest),
    highest = coalesce(excluded.highest, highest),
    last_seen_ns = max(last_seen_ns, excluded.last_seen_ns),
    n_set_aside = n_set_aside + excluded.n_set_aside
"""


class Announcement(NamedTuple):
    """What is told of a signal, and how many of its samples were set aside by that message."""

    series: Series
    n_set_aside: int = 0
    unit: str | None = None
    lowest: float | None = None
    highest: float | None = None


@dataclass(frozen=True, slots=True)
class AnnouncedSignal:
    """A signal on the list.

    Parameters
    ----------
    site, machine, signal : str
        Which one.
    unit : str or None
        As its birth or the end of its name tells it.
    lowest, highest : float or None
        Range as its birth tells it, in that unit.
    first_seen_ns, last_seen_ns : int
        When it was first and last announced. [ns since 1970-01-01 UTC]
    n_set_aside : int
        Samples that went to the quarantine because nobody had confirmed the machine.
    state : {"new", "confirmed", "rejected"}
        What was decided of its machine.
    """

    site: str
    machine: str
    signal: str
    unit: str | None
    lowest: float | None
    highest: float | None
    first_seen_ns: int
    last_seen_ns: int
    n_set_aside: int
    state: State


class AnnouncedMachines:
    """The list. Its methods may be called from any thread.

    Parameters
    ----------
    path : Path
        Its file; made, with its folder, if it is not there.
    must_exist : bool
        Whether a missing file is an error, as it is for someone who wants to read it.

    Raises
    ------
    AnnouncedError
        If the file can't be opened or made.
    """

    def __init__(self, path: Path, *, must_exist: bool = False) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._noted: set[Series] = set()
        self._has_failed = False
        if must_exist and not path.is_file():
            msg = f"{path}: no machine has announced itself yet; or mend the path"
            raise AnnouncedError(msg)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = FULL")
                self._connection.executescript(_SCHEMA)
            except sqlite3.Error:
                self._connection.close()
                raise
            sync_folder(path.parent)
        except (OSError, sqlite3.Error) as error:
            msg = (
                f"{path}: the list of announced machines can't be opened ({error}); check the path "
                "and its rights; a damaged file may be moved away, a new one is made"
            )
            raise AnnouncedError(msg) from error

    @classmethod
    def beside(cls, quarantine: Path, *, must_exist: bool = False) -> Self:
        """Open the list that belongs to a quarantine.

        Parameters
        ----------
        quarantine : Path
            File of the quarantine.
        must_exist : bool
            As for the list itself.

        Returns
        -------
        AnnouncedMachines
            ``announced.sqlite`` in the same folder.
        """
        return cls(quarantine.with_name("announced.sqlite"), must_exist=must_exist)

    def note(self, announcements: Iterable[Announcement], *, at_ns: int) -> None:
        """Put signals on the list, or add to what is known of them; durable on return.

        Parameters
        ----------
        announcements : iterable of Announcement
            What was told.
        at_ns : int
            The present. [ns since 1970-01-01 UTC]
        """
        rows = [
            (
                *told.series,
                told.unit or unit_of(told.series.signal),
                told.lowest,
                told.highest,
                at_ns,
                told.n_set_aside,
                MAX_SIGNALS,
            )
            for told in announcements
        ]
        if not rows:
            return
        try:
            with self._transaction() as connection:
                connection.executemany(_NOTE, rows)
            self._has_failed = False
        except AnnouncedError as error:
            if not self._has_failed:
                logger.warning("%s; what is stored and set aside is not touched by it", error)
            self._has_failed = True

    def note_once(self, series: Sequence[Series], *, at_ns: int) -> None:
        """Put the signals of known machines on the list when they are first seen.

        Parameters
        ----------
        series : sequence of Series
            What has been stored.
        at_ns : int
            The present. [ns since 1970-01-01 UTC]
        """
        new = [one for one in series if one not in self._noted]
        if not new or len(self._noted) >= MAX_SIGNALS:
            return
        self.note(map(Announcement, new), at_ns=at_ns)
        if not self._has_failed:
            self._noted.update(new)

    def signals(self, *states: State) -> list[AnnouncedSignal]:
        """List what has announced itself.

        Parameters
        ----------
        *states : {"new", "confirmed", "rejected"}
            Which of them.

        Returns
        -------
        list of AnnouncedSignal
            By machine, site and signal.

        Raises
        ------
        AnnouncedError
            If the file can't be read.
        """
        with self._lock:
            try:
                found = self._connection.execute(
                    "SELECT site, machine, signal, unit, lowest, highest, first_seen_ns, "
                    "last_seen_ns, n_set_aside, state FROM announced "
                    "ORDER BY machine, site, signal"
                ).fetchall()
            except sqlite3.Error as error:
                msg = f"{self._path}: announced machines can't be read ({error}); check the file"
                raise AnnouncedError(msg) from error
        return [one for one in (AnnouncedSignal(*row) for row in found) if one.state in states]

    def settle(self, machines: Iterable[str], state: State) -> None:
        """Decide of machines, with all their signals.

        Parameters
        ----------
        machines : iterable of str
            Their names.
        state : {"new", "confirmed", "rejected"}
            What was decided.

        Raises
        ------
        AnnouncedError
            If it can't be written.
        """
        with self._transaction() as connection:
            connection.executemany(
                "UPDATE announced SET state = ? WHERE machine = ?",
                [(state, machine) for machine in machines],
            )

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                except BaseException:
                    with suppress(sqlite3.Error):
                        self._connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                msg = (
                    f"{self._path}: announced machines can't be noted ({error}); make room on the "
                    "disk or check the file's rights"
                )
                raise AnnouncedError(msg) from error


class Confirmed:
    """Has the lines of machines tried again that have become known since they were set aside.

    Parameters
    ----------
    quarantine : Quarantine
        Where their lines are.
    catalogue : MachineCatalogue
        Which machines may send.
    """

    def __init__(self, quarantine: Quarantine, catalogue: MachineCatalogue) -> None:
        self._quarantine = quarantine
        self._catalogue = catalogue

    def step(self) -> int:
        """Ask for their lines.

        Returns
        -------
        int
            How many lines are to be tried again now.

        Raises
        ------
        QuarantineError
            If the quarantine can't be read or written.
        """
        n_lines = self._quarantine.want_where(
            UNKNOWN_MACHINE,
            lambda reason: self._catalogue.is_known(reason.removeprefix(UNKNOWN_MACHINE)),
        )
        if n_lines:
            logger.info("%d lines of machines that are known now are tried again", n_lines)
        return n_lines
