"""The machinery under the outbox: its open file, its transactions, and what it knows by heart.

What is summed up in memory is taken back with a transaction that failed, by looking at the file
anew; after a failure of the disk the file is opened anew as well, because only what the disk really
holds counts.
"""

import contextlib
import sqlite3
import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from edge_agent.errors import (
    DiskFullError,
    FrameError,
    NoRoomError,
    OutboxDamagedError,
    OutboxError,
)
from edge_agent.outbox import numbering, quarantine, records
from edge_agent.outbox.ballast import Ballast, disk_size_bytes
from edge_agent.outbox.codec import RecordCodec
from edge_agent.outbox.file import OutboxFile, named_errors, set_file_aside
from edge_agent.outbox.records import Head
from edge_agent.outbox.room import Room, count
from edge_agent.outbox.series import SeriesNumbers
from edge_agent.records import Entry, QuarantineKind

QUARANTINE_SHARE: Final = 10
"""The quarantine may take one part in ten of the cap."""

NAMES_SHARE: Final = 16
"""Names of series may take one part in sixteen: of 2 GB a million names."""

DISK_SHARE: Final = 0.8
"""A cap above this share of the whole disk is taken as this share."""

DAMAGED: Final = "its CRC does not match: the disk changed it"

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How the cap on all files is parted.

    Parameters
    ----------
    log_bytes : int
        SQLite's log is written back into the main file when it is this long. [byte]
    ballast_bytes : int
        Given back to a disk that has become full. [byte]
    main_bytes : int
        Of the main file. [byte]
    """

    log_bytes: int
    ballast_bytes: int
    main_bytes: int

    @classmethod
    def of(cls, max_bytes: int) -> "Bounds":
        """Part a cap.

        Parameters
        ----------
        max_bytes : int
            What all files may take. [byte]

        Returns
        -------
        Bounds
            Its parts.
        """
        log_bytes = min(max(max_bytes // 16, 65_536), 4_096_000)
        # Enough for a log that grows to its bound once more, and to write it back after that.
        ballast_bytes = 2 * log_bytes
        # The log may pass its bound by one transaction, and its index takes a little.
        return cls(
            log_bytes,
            ballast_bytes,
            max(24_576, max_bytes - ballast_bytes - 2 * log_bytes - 65_536),
        )


class Engine:
    """The open file of one outbox.

    Parameters
    ----------
    path : Path
        The file, not open yet.
    max_bytes : int
        Cap on what all its files take. [byte]
    clock_ns : callable
        Wall clock. [ns since 1970-01-01 UTC]
    monotonic_s : callable
        Clock that never jumps, for the age of records. [s]
    make_id : callable
        Makes the name of a new file.
    is_owner : bool
        Whether this is the agent, which may drop records and use the ballast.
    """

    def __init__(
        self,
        path: Path,
        max_bytes: int,
        clock_ns: Callable[[], int],
        monotonic_s: Callable[[], float],
        make_id: Callable[[], str],
        *,
        is_owner: bool,
    ) -> None:
        self._bounds = Bounds.of(min(max_bytes, int(DISK_SHARE * disk_size_bytes(path.parent))))
        self.file = OutboxFile(path, self._bounds.log_bytes, make_id)
        self.ballast = Ballast(path.with_name(f"{path.name}.ballast"), self._bounds.ballast_bytes)
        self.sent: dict[int, Head] = {}
        self._max_quarantine_bytes = max_bytes // QUARANTINE_SHARE
        self._max_names_bytes = max_bytes // NAMES_SHARE
        self._clock_ns = clock_ns
        self._monotonic_s = monotonic_s
        self.is_owner = is_owner
        self.is_stale = False
        self._may_grow = True
        self._age_before_s, self._opened_s = 0.0, monotonic_s()

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
        self.file.open_as_guest(is_read_only=is_read_only)
        self.look()

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
        self.sent.clear()
        self.file.close()
        set_file_aside(self.file.path, error)
        self.open()

    def open(self) -> None:
        """Open the file; make it if it is not there.

        Raises
        ------
        OutboxError
            If that is not possible.
        """
        self.file.open()
        self.look()
        with named_errors(self.file.path):
            self._age_before_s = records.newest_kept_s(self.database)
        self._opened_s = self._monotonic_s()
        self.ballast.take()

    def shrink(self) -> None:
        """Give the disk its room back when a long backlog has been sent."""
        if not self.totals.n_records and self._numbers.n_bytes > self._max_names_bytes // 2:
            with contextlib.suppress(OutboxError):
                self.commit(self._numbers.clear)
            self.look()
        self.file.shrink(self.room.used_pages())

    @property
    def database(self) -> sqlite3.Connection:
        """The open file."""
        return self.file.database

    def look(self) -> None:
        """Learn what is in the file."""
        self.is_stale = False
        with named_errors(self.file.path):
            self._numbers = SeriesNumbers(self.database, self._max_names_bytes)
            self.codec = RecordCodec(self._numbers)
            self.totals = records.measure(self.database)
            self.room = Room(
                self.database,
                self._numbers,
                self.totals,
                self.codec.columns,
                self._clock_ns,
                self.file.page_bytes,
            )
            self._n_quarantine_bytes = quarantine.measure(self.database)

    def age_s(self) -> float:
        """Tell the outbox's own clock, which stands still while no agent runs.

        Returns
        -------
        float
            Since some moment before the oldest record. [s]
        """
        return self._age_before_s + max(0.0, self._monotonic_s() - self._opened_s)

    def oldest_waiting(self) -> int | None:
        """Find the oldest record that the store does not have.

        Returns
        -------
        int or None
            Its sequence number.
        """
        for head in records.read_heads(self.database):
            sequence = head if isinstance(head, int) else head.sequence
            if sequence not in self.sent:
                return sequence
        return None

    def _max_pages(self) -> int:
        """Pages of the main file that may be in use; fewer than the cap allows on a full disk."""
        page_bytes = self.file.page_bytes
        max_pages = self._bounds.main_bytes // page_bytes
        if not self._may_grow:
            return min(max_pages, self.file.n_pages())
        if not self.is_owner or self.ballast.take():
            return max_pages
        # Half of what is left is for the log. On a disk that is full nothing may grow, but what
        # is dropped makes room inside the file.
        free_bytes = self.ballast.disk_free_bytes() // 2 - 2 * self._bounds.log_bytes
        return min(max_pages, self.file.n_pages() + max(0, free_bytes) // page_bytes)

    def commit(self, work: Callable[[], Result]) -> Result:
        """Work in a transaction; on a full disk give up the ballast and do it once more.

        Parameters
        ----------
        work : callable
            What to do; it may be called twice.

        Returns
        -------
        Result
            What it returned.

        Raises
        ------
        OutboxError
            If nothing could be changed.
        DiskFullError
            If the disk has no room even so.
        """
        try:
            return self._transact(work)
        except DiskFullError:
            if not self.is_owner:
                raise
            self.ballast.release()
            # What the log holds for the end of the main file needs room there, before the log
            # takes all that was given back; after that neither has to grow any more.
            self.file.write_back()
            self._may_grow = False
            try:
                return self._transact(work)
            finally:
                self._may_grow = True

    def _transact(self, work: Callable[[], Result]) -> Result:
        self.refresh()
        try:
            with self.file.transaction():
                if self.file.was_changed_by_another():
                    self.look()
                sent = list(self.sent.values())
                self.delete(sent)
                result = work()
        except BaseException:
            # What was summed up on the way is taken back with the transaction.
            self.is_stale = True
            raise
        for head in sent:
            self.sent.pop(head.sequence, None)
        return result

    def refresh(self) -> None:
        """Look at the file anew if what is known by heart may be wrong."""
        if self.is_stale:
            self.file.reopen_if_failed()
            self.look()

    def delete(self, heads: Sequence[Head | int]) -> None:
        """Delete records, inside a transaction.

        Parameters
        ----------
        heads : sequence of Head or int
            Which.
        """
        records.delete(
            self.database, [head if isinstance(head, int) else head.sequence for head in heads]
        )
        for head in heads:
            if isinstance(head, Head):
                self.totals.add(head, -1)

    def move_aside(self, sequences: Sequence[int], reason: str, kind: QuarantineKind) -> None:
        """Move records to the quarantine, inside a transaction.

        Parameters
        ----------
        sequences : sequence of int
            Their sequence numbers; unknown ones are passed over.
        reason : str
            Why they can't be sent.
        kind : {"refused", "damaged"}
            Whether the store or the disk is why.
        """
        heads = records.heads_of(self.database, sequences)
        for head in heads:
            sequence, n_samples = (
                (head, 0) if isinstance(head, int) else (head.sequence, head.n_samples)
            )
            body = records.read_body(self.database, sequence)
            lines = body or b""
            if isinstance(head, Head):
                with contextlib.suppress(FrameError):
                    lines = self.codec.lines(head, body)
            self.set_aside(kind, f"record {sequence}", reason, n_samples, lines)
        self.delete(heads)
        count(self.database, f"{kind}_records", len(heads))

    def set_aside(
        self, kind: QuarantineKind, origin: str, reason: str, n_samples: int, body: bytes
    ) -> None:
        """Put something into the quarantine, inside a transaction.

        Parameters
        ----------
        kind : {"payload", "refused", "damaged"}
            Whether a source, the store or the disk is why.
        origin : str
            Where it came from.
        reason : str
            Why it can't be sent.
        n_samples : int
            Samples in it.
        body : bytes
            The thing itself.
        """
        kept = body if kind == "payload" else zlib.compress(body, 1)
        quarantine.put(
            self.database,
            quarantine.Item(
                self._clock_ns(), kind, origin, reason, n_samples, kept, kind != "payload"
            ),
        )
        self._n_quarantine_bytes += len(kept)
        surplus = self._n_quarantine_bytes - self._max_quarantine_bytes
        if surplus > 0:
            n_entries, n_lost, n_freed = quarantine.drop_oldest(self.database, surplus)
            self._n_quarantine_bytes -= n_freed
            count(self.database, "dropped_quarantined", n_entries)
            self.room.note("quarantine full", 0, n_lost, [], [], 0)

    def append_one(self, entry: Entry, protected: Collection[int]) -> int:
        """Write one record, inside a transaction.

        Parameters
        ----------
        entry : Entry
            What it is to hold.
        protected : collection of int
            Sequence numbers of records that must stay.

        Returns
        -------
        int
            Its sequence number.

        Raises
        ------
        NoRoomError
            If nothing may be dropped for it.
        """
        sequence = self.file.next_sequence()
        head, body = self.codec.encode(sequence, entry, int(self.age_s()))
        max_pages = self._max_pages()
        if self.room.make(len(body), max_pages, entry.priority, protected, may_drop=self.is_owner):
            self.totals.add(records.put(self.database, head, body))
        elif (
            self.is_owner
            and entry.priority == "raw"
            and max_pages == self._bounds.main_bytes // self.file.page_bytes
        ):
            self.room.note(
                "no room",
                1,
                head.n_samples,
                [] if head.first_ns is None else [head.first_ns],
                [] if head.last_ns is None else [head.last_ns],
                head.n_series,
            )
        else:
            msg = (
                f"outbox {self.file.path} is full, and nothing in it may be dropped; make room "
                "on the disk, or raise outbox.max_bytes"
            )
            raise NoRoomError(msg)
        numbering.count_up(self.database, sequence)
        return sequence
