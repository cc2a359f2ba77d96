"""Where lines go that were not taken: a durable file with the reason and remedy of each.

SQLite with a write-ahead log and ``synchronous=FULL``, so that a line which the sender was told
is set aside survives a power cut. The file has a cap; the oldest lines make room first, and an
exact counter, kept in the same transaction, says how many that were.

A line may be asked to be tried again, also mended, by anybody who has the file; whoever keeps the
store (`ingest.trying_again`) tries it, and only what is stored by then leaves the quarantine.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Self

from ingest.errors import QuarantineError
from ingest.quarantine_file import QuarantineCount, QuarantinedLine, open_quarantine_file
from ingest.telemetry import RejectedLine

__all__ = ["MAX_BYTES", "MAX_ROWS", "Quarantine", "QuarantineCount", "QuarantinedLine"]

MAX_ROWS: Final = 100_000
"""Enough for a day of one machine at one sample a second; nobody reads more."""

MAX_BYTES: Final = 64 * 1024 * 1024
"""Text kept at most. [bytes]"""

_COLUMNS: Final = "id, received_at_ns, device, line, reason, remedy, precision, site, mended"


class Quarantine:
    """The file of lines set aside. Its methods may be called from any thread.

    Parameters
    ----------
    path : Path
        The file; made, with its folder, if it is not there.
    max_rows : int
        Lines kept at most.
    max_bytes : int
        Text kept at most. [bytes]
    must_exist : bool
        Whether a missing file is an error, as it is for someone who wants to read it.

    Raises
    ------
    QuarantineError
        If the file can't be opened or made.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_rows: int = MAX_ROWS,
        max_bytes: int = MAX_BYTES,
        must_exist: bool = False,
    ) -> None:
        self._path = path
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        if must_exist and not path.is_file():
            msg = (
                f"{path}: there is no quarantine here; nothing was set aside yet, or mend the path"
            )
            raise QuarantineError(msg)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = open_quarantine_file(path)
        except (OSError, sqlite3.Error) as error:
            msg = (
                f"{path}: the quarantine can't be opened ({error}); check the path and its rights; "
                "if the file is damaged, move it away and restart, a new one is made"
            )
            raise QuarantineError(msg) from error

    def set_aside(
        self,
        lines: Sequence[RejectedLine],
        *,
        device: str,
        received_at_ns: int,
        precision: str = "ns",
        site: str | None = None,
    ) -> None:
        """Keep lines that were not taken; on return they are durable.

        Parameters
        ----------
        lines : sequence of RejectedLine
            The lines, each with its reason and remedy.
        device : str
            Name of the credential they came with.
        received_at_ns : int
            When they came. [ns since 1970-01-01 UTC]
        precision : str
            Unit of their timestamps.
        site : str, optional
            Site that their sender belongs to, where that is known.

        Raises
        ------
        QuarantineError
            If they can't be written, for example because the disk is full.
        """
        if not lines:
            return
        rows = [
            (
                received_at_ns,
                device,
                each.line,
                each.reason,
                each.remedy,
                sum(len(text.encode()) for text in (device, each.line, each.reason, each.remedy)),
                precision,
                site,
            )
            for each in lines
        ]
        with self._transaction() as connection:
            connection.executemany(
                "INSERT INTO set_aside (received_at_ns, device, line, reason, remedy, n_bytes, "
                "precision, site) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            connection.execute(
                "UPDATE totals SET n_kept = n_kept + ?, n_kept_bytes = n_kept_bytes + ?",
                (len(rows), sum(row[5] for row in rows)),
            )
            self._make_room(connection)

    def lines(self, *, limit: int = 100, before_id: int | None = None) -> list[QuarantinedLine]:
        """List what was set aside, newest first.

        Parameters
        ----------
        limit : int
            Lines to give at most.
        before_id : int, optional
            Give only lines with a smaller number, to go on from an earlier list.

        Returns
        -------
        list of QuarantinedLine
            The lines.

        Raises
        ------
        QuarantineError
            If the file can't be read.
        """
        with self._reading() as connection:
            found = connection.execute(
                f"SELECT {_COLUMNS} FROM set_aside "  # noqa: S608 - our own names
                "WHERE ? IS NULL OR id < ? ORDER BY id DESC LIMIT ?",
                (before_id, before_id, limit),
            ).fetchall()
        return [QuarantinedLine(*row) for row in found]

    def show(self, line_id: int) -> QuarantinedLine | None:
        """Give one line.

        Parameters
        ----------
        line_id : int
            Its number.

        Returns
        -------
        QuarantinedLine or None
            The line, None if it was never there or had to make room.

        Raises
        ------
        QuarantineError
            If the file can't be read.
        """
        with self._reading() as connection:
            row = connection.execute(
                f"SELECT {_COLUMNS} FROM set_aside WHERE id = ?",  # noqa: S608 - our own names
                (line_id,),
            ).fetchone()
        return None if row is None else QuarantinedLine(*row)

    def want(self, ids: Sequence[int], *, mended: str | None = None) -> int:
        """Ask for lines to be tried again; whoever keeps the store does so within a minute.

        Parameters
        ----------
        ids : sequence of int
            Their numbers.
        mended : str, optional
            What to try in place of the line; None tries what was tried last.

        Returns
        -------
        int
            How many of them are there.

        Raises
        ------
        QuarantineError
            If the file can't be written.
        """
        with self._transaction() as connection:
            return sum(
                connection.execute(
                    "UPDATE set_aside SET is_wanted = 1, mended = coalesce(?, mended) WHERE id = ?",
                    (mended, line_id),
                ).rowcount
                for line_id in ids
            )

    def want_where(self, beginning: str, is_over: Callable[[str], bool]) -> int:
        """Ask for the lines to be tried again whose reason holds no longer.

        Parameters
        ----------
        beginning : str
            What such reasons begin with.
        is_over : callable
            Says of a reason whether it holds no longer; asked once for each reason.

        Returns
        -------
        int
            How many lines were asked for.

        Raises
        ------
        QuarantineError
            If the file can't be read or written.
        """
        with self._reading() as connection:
            found = connection.execute(
                "SELECT DISTINCT reason FROM set_aside "
                "WHERE reason >= ?1 AND reason < ?1 || char(1114111) AND is_wanted = 0",
                (beginning,),
            ).fetchall()
        over = [reason for reason in found if is_over(reason[0])]
        if not over:
            return 0
        with self._transaction() as connection:
            return sum(
                connection.execute(
                    "UPDATE set_aside SET is_wanted = 1 WHERE reason = ? AND is_wanted = 0", reason
                ).rowcount
                for reason in over
            )

    def wanted(self, limit: int) -> list[QuarantinedLine]:
        """List the lines that are to be tried again, oldest first.

        Parameters
        ----------
        limit : int
            Lines to give at most.

        Returns
        -------
        list of QuarantinedLine
            The lines.

        Raises
        ------
        QuarantineError
            If the file can't be read.
        """
        with self._reading() as connection:
            found = connection.execute(
                f"SELECT {_COLUMNS} FROM set_aside "  # noqa: S608 - our own names
                "WHERE is_wanted = 1 ORDER BY id LIMIT ?",
                (limit,),
            ).fetchall()
        return [QuarantinedLine(*row) for row in found]

    def refuse_again(self, line_id: int, rejected: RejectedLine) -> None:
        """Keep a line that was tried again in vain, with what is wrong with it now.

        Parameters
        ----------
        line_id : int
            Its number.
        rejected : RejectedLine
            The reason and remedy.

        Raises
        ------
        QuarantineError
            If the file can't be written.
        """
        with self._transaction() as connection:
            connection.execute(
                "UPDATE set_aside SET is_wanted = 0, reason = ?, remedy = ? WHERE id = ?",
                (rejected.reason, rejected.remedy, line_id),
            )

    def let_go(self, ids: Sequence[int]) -> int:
        """Remove lines: the store has them, or nobody wants them.

        Parameters
        ----------
        ids : sequence of int
            Their numbers.

        Returns
        -------
        int
            How many of them were there.

        Raises
        ------
        QuarantineError
            If the file can't be written.
        """
        n_gone = 0
        with self._transaction() as connection:
            for line_id in ids:
                row = connection.execute(
                    "DELETE FROM set_aside WHERE id = ? RETURNING n_bytes", (line_id,)
                ).fetchone()
                if row is not None:
                    n_gone += 1
                    connection.execute(
                        "UPDATE totals SET n_kept = n_kept - 1, n_kept_bytes = n_kept_bytes - ?",
                        row,
                    )
        return n_gone

    def count(self) -> QuarantineCount:
        """Say how much is set aside, and what the cap has dropped.

        Returns
        -------
        QuarantineCount
            Exact, also after a crash.

        Raises
        ------
        QuarantineError
            If the file can't be read.
        """
        with self._reading() as connection:
            row = connection.execute(
                "SELECT n_kept, n_kept_bytes, n_dropped, n_dropped_bytes FROM totals"
            ).fetchone()
        return QuarantineCount(*row)

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make_room(self, connection: sqlite3.Connection) -> None:
        n_kept, n_kept_bytes = connection.execute(
            "SELECT n_kept, n_kept_bytes FROM totals"
        ).fetchone()
        last_id, n_dropped, n_dropped_bytes = None, 0, 0
        for line_id, n_bytes in connection.execute("SELECT id, n_bytes FROM set_aside ORDER BY id"):
            if (
                n_kept - n_dropped <= self._max_rows
                and n_kept_bytes - n_dropped_bytes <= self._max_bytes
            ):
                break
            last_id = line_id
            n_dropped += 1
            n_dropped_bytes += n_bytes
        if last_id is None:
            return
        connection.execute("DELETE FROM set_aside WHERE id <= ?", (last_id,))
        connection.execute(
            "UPDATE totals SET n_kept = n_kept - ?1, n_kept_bytes = n_kept_bytes - ?2, "
            "n_dropped = n_dropped + ?1, n_dropped_bytes = n_dropped_bytes + ?2",
            (n_dropped, n_dropped_bytes),
        )

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._connection
            except sqlite3.Error as error:
                msg = f"{self._path}: the quarantine can't be read ({error}); check the file"
                raise QuarantineError(msg) from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                except BaseException:
                    # SQLite may have rolled back by itself already, as it does on a full disk.
                    with suppress(sqlite3.Error):
                        self._connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                msg = (
                    f"{self._path}: lines could not be set aside ({error}); "
                    "make room on the disk or check the file's rights"
                )
                raise QuarantineError(msg) from error
