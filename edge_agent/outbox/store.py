"""The store-and-forward queue: what `append` has returned for survives a power cut.

SQLite in WAL mode with ``synchronous=FULL``. A record is what one group commit keeps of one
priority: its samples as packed columns (`edge_agent.outbox.frame`), or the line protocol it was
given, under a CRC over everything it is. Records come out as line protocol. Sequence numbers only
ever grow, also over restarts, after everything was sent (AUTOINCREMENT) and after a damaged file
(a new range, under a new `outbox_id`).

The cap is on what all files take. How room is made stands in `edge_agent.outbox.room`. What the
store has is deleted with the next commit, because a transaction of its own would wear the flash as
much as the append did; after a power cut it is sent once more, which the store takes as the same.

All methods belong to one thread; `edge_agent.worker` gives the outbox one of its own.
"""

import contextlib
import secrets
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from edge_agent.errors import OutboxDamagedError, OutboxError
from edge_agent.outbox import gaps, quarantine, records
from edge_agent.outbox.engine import Engine
from edge_agent.outbox.file import named_errors, set_file_aside
from edge_agent.outbox.looking import Wanted, count_all, read, read_whole
from edge_agent.outbox.records import Head
from edge_agent.outbox.room import count
from edge_agent.records import (
    Entry,
    GapEvent,
    Misfit,
    OutboxCounts,
    Priority,
    QuarantineEntry,
    QuarantineKind,
    StoredRecord,
)

MAX_SENT: Final = 64
"""Records that the store has and that still lie on the disk: sent again after a power cut."""


class Outbox:
    """Durable queue of encoded batches.

    Parameters
    ----------
    path : Path
        File of the outbox; made if it is not there.
    max_bytes : int
        What all its files may take. [byte]
    clock_ns : callable
        Wall clock, for the times of the quarantine and of gaps. [ns since 1970-01-01 UTC]
    is_read_only : bool
        Only look into a file that a running agent may be using.
    max_age_h : float or None
        Raw records older than this are dropped; None keeps them as long as there is room. Age is
        time that agents ran, so that no jump of the clock drops anything. [h]
    monotonic_s : callable
        Clock that never jumps, for the age. [s]
    make_id : callable
        Makes the name of a new file, of 16 hexadecimal digits.

    Raises
    ------
    OutboxError
        If the file can't be opened or made.
    """

    def __init__(
        self,
        path: Path,
        max_bytes: int,
        clock_ns: Callable[[], int] = time.time_ns,
        *,
        is_read_only: bool = False,
        max_age_h: float | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
        make_id: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self._max_age_h = max_age_h
        if not is_read_only:
            with named_errors(path):
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._engine = Engine(
            path, max_bytes, clock_ns, monotonic_s, make_id, is_owner=not is_read_only
        )
        if is_read_only:
            self._engine.open_as_guest(is_read_only=True)
            return
        try:
            self._engine.open()
        except OutboxDamagedError as error:
            set_file_aside(path, error)
            self._engine.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def outbox_id(self) -> str:
        """Name of the file, made with it; no number is given twice under the same name."""
        return self._engine.file.outbox_id

    def close(self) -> None:
        """Close the file; every record that the store does not have stays."""
        # What can't be deleted now is sent again; the disk has told its trouble already.
        with contextlib.suppress(OutboxError):
            self.tidy()
        self._engine.sent.clear()
        self._engine.file.close()

    # --- what goes in --------------------------------------------------------------------------

    def append(
        self,
        entries: Sequence[Entry],
        misfits: Sequence[Misfit] = (),
        protected: Collection[int] = (),
    ) -> list[int]:
        """Make one group commit durable, in one transaction.

        Parameters
        ----------
        entries : sequence of Entry
            One record each.
        misfits : sequence of Misfit
            Goes to the quarantine in the same transaction.
        protected : collection of int
            Sequence numbers that may not be dropped to make room.

        Returns
        -------
        list of int
            The sequence number of each entry. A raw entry for which alarms would have had to go
            is dropped, counted and noted like any other, and has its number all the same.

        Raises
        ------
        OutboxError
            If it could not be written; then nothing of it is kept.
        """
        return self._engine.commit(lambda: self._append(entries, misfits, protected))

    def _append(
        self, entries: Sequence[Entry], misfits: Sequence[Misfit], protected: Collection[int]
    ) -> list[int]:
        for misfit in misfits:
            self._engine.set_aside("payload", misfit.origin, misfit.reason, 0, misfit.body)
        if self._max_age_h is not None:
            self._engine.room.drop_old(
                int(self._engine.age_s() - self._max_age_h * 3600), protected
            )
        return [self._engine.append_one(entry, protected) for entry in entries]

    # --- what comes out ------------------------------------------------------------------------

    def read_oldest(self, max_bytes: int, max_records: int) -> list[StoredRecord]:
        """Read the oldest records; damaged ones go to the quarantine on the way.

        Parameters
        ----------
        max_bytes : int
            Lines to read at most, about; one record is read in any case. [byte]
        max_records : int
            Records to read at most.

        Returns
        -------
        list of StoredRecord
            Of both priorities, in the order of their sequence numbers; empty if the outbox is.

        Raises
        ------
        OutboxError
            If the file can't be read.
        """
        return read_whole(self._engine, Wanted(max_bytes, max_records))

    def read_newest_alarms(self, max_bytes: int, max_records: int) -> list[StoredRecord]:
        """Read the newest alarms; damaged ones go to the quarantine on the way.

        Parameters
        ----------
        max_bytes : int
            Lines to read at most, about; one record is read in any case. [byte]
        max_records : int
            Records to read at most.

        Returns
        -------
        list of StoredRecord
            The newest first; empty if no alarm waits.

        Raises
        ------
        OutboxError
            If the file can't be read.
        """
        return read_whole(
            self._engine, Wanted(max_bytes, max_records, "is_alarm = 1", newest_first=True)
        )

    def peek_oldest(self, max_records: int, after: int = 0) -> list[StoredRecord]:
        """Read the oldest records and change nothing, not even what is damaged.

        Parameters
        ----------
        max_records : int
            Records to read at most.
        after : int
            Only those with a higher sequence number.

        Returns
        -------
        list of StoredRecord
            Those that are whole, in the order of their sequence numbers.

        Raises
        ------
        OutboxError
            If the file can't be read.
        """
        wanted = Wanted(2**62, max_records, f"sequence > {int(after)}")
        found, _ = read(self._engine, wanted)
        return found

    # --- what leaves ---------------------------------------------------------------------------

    def forget(self, sequences: Sequence[int]) -> None:
        """Let go of records that the store has; they are deleted with the next commit.

        Parameters
        ----------
        sequences : sequence of int
            Their sequence numbers; unknown ones are passed over.

        Raises
        ------
        OutboxError
            If the file can't be written; then they will be read again.
        """
        with named_errors(self.path):
            for head in records.heads_of(self._engine.database, sequences):
                if isinstance(head, Head):
                    self._engine.sent[head.sequence] = head
        if len(self._engine.sent) > MAX_SENT:
            try:
                self._engine.commit(lambda: None)
            except BaseException:
                for sequence in sequences:
                    self._engine.sent.pop(sequence, None)
                raise
            self._engine.shrink()

    def set_aside(
        self, sequences: Sequence[int], reason: str, kind: QuarantineKind = "refused"
    ) -> None:
        """Move records to the quarantine.

        Parameters
        ----------
        sequences : sequence of int
            Their sequence numbers.
        reason : str
            Why they can't be sent.
        kind : {"refused", "damaged"}
            Whether the store or the disk is why.

        Raises
        ------
        OutboxError
            If the file can't be written; then they are all still there.
        """
        self._engine.commit(lambda: self._engine.move_aside(sequences, reason, kind))
        if kind == "damaged":
            # What a damaged row said of itself is not to be believed, so all is summed up anew.
            self._engine.is_stale = True

    def take_apart(self, sequence: int, bad: Sequence[tuple[bytes, str]]) -> None:
        """End a record of which the store has all lines but some.

        Parameters
        ----------
        sequence : int
            Its number.
        bad : sequence of (bytes, str)
            Lines that the store will not take, each with its reason; they go to the quarantine
            in the transaction that deletes the record.

        Raises
        ------
        OutboxError
            If the file can't be written; then the record is still there.
        """
        lines_of: dict[str, list[bytes]] = {}
        for line, reason in bad:
            lines_of.setdefault(reason, []).append(line.removesuffix(b"\n") + b"\n")

        def work() -> None:
            heads = records.heads_of(self._engine.database, [sequence])
            if not heads:
                return
            for reason, lines in lines_of.items():
                self._engine.set_aside(
                    "refused", f"record {sequence}", reason, len(lines), b"".join(lines)
                )
            self._engine.delete(heads)
            count(self._engine.database, "refused_records", 1)

        self._engine.commit(work)

    # --- what is known about it ----------------------------------------------------------------

    def counts(self) -> OutboxCounts:
        """Count what is in the outbox.

        Returns
        -------
        OutboxCounts
            Counts as of now.

        Raises
        ------
        OutboxError
            If the file can't be read.
        """
        return count_all(self._engine)

    def oldest_ns(self, priority: Priority) -> int | None:
        """Find the earliest source time in the oldest record of a priority that waits.

        Parameters
        ----------
        priority : {"alarm", "raw"}
            The priority.

        Returns
        -------
        int or None
            None if none waits, or its times are not known. [ns since 1970-01-01 UTC]
        """
        engine, is_alarm = self._engine, priority == "alarm"
        with named_errors(self.path):
            return records.oldest_ns(engine.database, engine.sent, is_alarm=is_alarm)

    def gaps(self, limit: int = 1000) -> list[GapEvent]:
        """Show what had to be given up, newest first.

        Parameters
        ----------
        limit : int
            Events at most.

        Returns
        -------
        list of GapEvent
            Their samples add up to the count of dropped samples.

        Raises
        ------
        OutboxError
            If the file can't be read.
        """
        with named_errors(self.path):
            return gaps.newest(self._engine.database, limit)

    def quarantine(self, limit: int = 1000) -> list[QuarantineEntry]:
        """Show what was set aside, newest first.

        Parameters
        ----------
        limit : int
            Entries at most.

        Returns
        -------
        list of QuarantineEntry
            Records are given as line protocol where they can be read, else as they are.

        Raises
        ------
        OutboxError
            If the file can't be read.
        """
        with named_errors(self.path):
            return quarantine.newest(self._engine.database, limit)

    # --- housekeeping --------------------------------------------------------------------------

    def tidy(self) -> None:
        """Delete now what the store has, if no commit has come along to do it.

        Raises
        ------
        OutboxError
            If the file can't be written; then it is tried again.
        """
        if self._engine.sent:
            self._engine.commit(lambda: None)
            self._engine.shrink()

    def begin_anew(self, error: OutboxDamagedError) -> None:
        """Set a file that turned out to be damaged aside and begin a new one.

        Parameters
        ----------
        error : OutboxDamagedError
            What was found.

        Raises
        ------
        OutboxError
            If the disk does not let us.
        """
        self._engine.begin_anew(error)

    @property
    def _database(self) -> sqlite3.Connection:
        return self._engine.database
