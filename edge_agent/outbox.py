"""The file that keeps samples until the store has them.

SQLite in WAL mode with ``synchronous=FULL``: when `Outbox.append` returns, its record survives a
power cut. One record is one group commit: the line protocol that will be sent, compressed, with a
CRC over its sequence number, sample count and bytes. Sequence numbers only ever grow, also over
restarts and after everything was sent (AUTOINCREMENT, and a new range after a damaged file).

Policy at the byte cap: the oldest records are dropped first, never one that is in flight, and each
dropped record and sample is counted in the table ``tally`` within the same transaction. The
quarantine has a tenth of the cap to itself, with the same policy.

All methods belong to one thread; `edge_agent.worker` gives the outbox one of its own.
"""

import contextlib
import sqlite3
import struct
import sys
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from edge_agent.errors import OutboxDamagedError
from edge_agent.outbox_file import (
    named_errors,
    open_outbox_file,
    open_outbox_file_to_look,
    set_file_aside,
)
from edge_agent.records import Misfit, OutboxCounts, QuarantineEntry, QuarantineKind, StoredRecord

COMPRESSION_LEVEL: Final = 1
"""Line protocol shrinks about sixfold at level 1; higher levels cost more than they save."""

QUARANTINE_SHARE: Final = 10
"""The quarantine may take one part in ten of the cap."""

_HEAD: Final = struct.Struct(">QI")


class Outbox:
    """Durable queue of encoded batches.

    Parameters
    ----------
    path : Path
        File of the outbox; made if it is not there.
    max_bytes : int
        Bytes of records to keep at most. [byte]
    clock_ns : callable
        Wall clock, for the quarantine's times. [ns since 1970-01-01 UTC]
    is_read_only : bool
        Only look into a file that a running agent may be using.

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
    ) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self._clock_ns = clock_ns
        self._n_bytes = 0
        self._n_quarantine_bytes = 0
        if is_read_only:
            self._database = open_outbox_file_to_look(path)
            self._measure()
            return
        with named_errors(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._open()
        except OutboxDamagedError as error:
            set_file_aside(path, error)
            self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; every record stays."""
        self._database.close()

    def append(
        self,
        lines: bytes,
        n_samples: int,
        misfits: Sequence[Misfit] = (),
        protected: Collection[int] = (),
    ) -> int | None:
        """Make one group commit durable.

        Parameters
        ----------
        lines : bytes
            Line protocol; may be empty if there are only misfits.
        n_samples : int
            Samples in it.
        misfits : sequence of Misfit
            Goes to the quarantine in the same transaction.
        protected : collection of int
            Sequence numbers that may not be dropped to make room.

        Returns
        -------
        int or None
            Sequence number of the record, None without lines.

        Raises
        ------
        OutboxError
            If it could not be written; then nothing of it is kept.
        """
        with self._transaction() as database:
            for misfit in misfits:
                self._quarantine("payload", misfit.origin, misfit.reason, 0, misfit.body)
            if not lines:
                return None
            body = zlib.compress(lines, COMPRESSION_LEVEL)
            self._make_room(len(body), protected)
            sequence = self._next_sequence()
            database.execute(
                "INSERT INTO record VALUES (?, ?, ?, ?, ?)",
                (sequence, n_samples, len(lines), _crc32(sequence, n_samples, body), body),
            )
            self._n_bytes += len(body)
            return sequence

    def read_oldest(self, max_bytes: int, max_records: int) -> list[StoredRecord]:
        """Read the oldest records; damaged ones go to the quarantine on the way.

        Parameters
        ----------
        max_bytes : int
            Lines to read at most, before compression; one record is read in any case. [byte]
        max_records : int
            Records to read at most.

        Returns
        -------
        list of StoredRecord
            In the order of their sequence numbers; empty if the outbox is.

        Raises
        ------
        OutboxError
            If the file can't be read.
        """
        while True:
            found, damaged = self._read(max_bytes, max_records)
            if damaged:
                self.set_aside(damaged, "its CRC does not match: the disk changed it", "damaged")
            if found or not damaged:
                return found

    def peek_oldest(self, max_records: int) -> list[StoredRecord]:
        """Read the oldest records and change nothing, not even what is damaged.

        Parameters
        ----------
        max_records : int
            Records to read at most.

        Returns
        -------
        list of StoredRecord
            Those that are whole, in the order of their sequence numbers.

        Raises
        ------
        OutboxError
            If the file can't be read.
        """
        found, _ = self._read(sys.maxsize, max_records)
        return found

    def forget(self, sequences: Sequence[int]) -> None:
        """Delete records that the store has.

        Parameters
        ----------
        sequences : sequence of int
            Their sequence numbers; unknown ones are passed over.

        Raises
        ------
        OutboxError
            If the file can't be written; then they are all still there.
        """
        with self._transaction():
            self._delete(sequences)

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
        with self._transaction() as database:
            for sequence in sequences:
                row = database.execute(
                    "SELECT n_samples, body FROM record WHERE sequence = ?", (sequence,)
                ).fetchone()
                if row is not None:
                    n_samples, body = row
                    self._quarantine(kind, f"record {sequence}", reason, n_samples, body)
            self._delete(sequences)
            self._count(f"{kind}_records", len(sequences))

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
        with named_errors(self.path):
            records = self._database.execute(
                "SELECT count(*), coalesce(sum(n_samples), 0), min(sequence), max(sequence)"
                " FROM record"
            ).fetchone()
            (n_quarantined,) = self._database.execute("SELECT count(*) FROM quarantine").fetchone()
            tally = dict(self._database.execute("SELECT name, n FROM tally").fetchall())
        return OutboxCounts(
            n_records=records[0],
            n_samples=records[1],
            n_bytes=self._n_bytes,
            oldest_sequence=records[2],
            newest_sequence=records[3],
            n_quarantined=n_quarantined,
            n_dropped_records=tally.get("dropped_records", 0),
            n_dropped_samples=tally.get("dropped_samples", 0),
            n_dropped_quarantined=tally.get("dropped_quarantined", 0),
        )

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
            rows = self._database.execute(
                "SELECT at_ns, kind, origin, reason, n_samples, body FROM quarantine"
                " ORDER BY id DESC LIMIT ?",
                (limit,),
            ).fetchall()
        return [
            QuarantineEntry(at_ns, kind, origin, reason, n_samples, _readable(kind, body))
            for at_ns, kind, origin, reason, n_samples, body in rows
        ]

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
        self._database.close()
        set_file_aside(self.path, error)
        self._open()

    def _open(self) -> None:
        self._database = open_outbox_file(self.path)
        self._measure()

    def _measure(self) -> None:
        sizes = "SELECT coalesce(sum(length(body)), 0) FROM "
        with named_errors(self.path):
            (self._n_bytes,) = self._database.execute(sizes + "record").fetchone()
            (self._n_quarantine_bytes,) = self._database.execute(sizes + "quarantine").fetchone()

    # --- inside a transaction ------------------------------------------------------------------

    def _make_room(self, n_bytes: int, protected: Collection[int]) -> None:
        if self._n_bytes + n_bytes <= self.max_bytes:
            return
        surplus = self._n_bytes + n_bytes - self.max_bytes
        drop, n_samples = [], 0
        for sequence, count, size in self._database.execute(
            "SELECT sequence, n_samples, length(body) FROM record ORDER BY sequence"
        ):
            if surplus <= 0:
                break
            if sequence not in protected:
                drop.append(sequence)
                n_samples += count
                surplus -= size
        self._delete(drop)
        self._count("dropped_records", len(drop))
        self._count("dropped_samples", n_samples)

    def _quarantine(
        self, kind: QuarantineKind, origin: str, reason: str, n_samples: int, body: bytes
    ) -> None:
        self._database.execute(
            "INSERT INTO quarantine (at_ns, kind, origin, reason, n_samples, body)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (self._clock_ns(), kind, _storable(origin), _storable(reason), n_samples, body),
        )
        self._n_quarantine_bytes += len(body)
        surplus = self._n_quarantine_bytes - self.max_bytes // QUARANTINE_SHARE
        dropped = []
        if surplus > 0:
            for entry, size in self._database.execute(
                "SELECT id, length(body) FROM quarantine ORDER BY id"
            ):
                if surplus <= 0:
                    break
                dropped.append((entry,))
                surplus -= size
                self._n_quarantine_bytes -= size
        self._database.executemany("DELETE FROM quarantine WHERE id = ?", dropped)
        self._count("dropped_quarantined", len(dropped))

    def _delete(self, sequences: Sequence[int]) -> None:
        for sequence in sequences:
            row = self._database.execute(
                "DELETE FROM record WHERE sequence = ? RETURNING length(body)", (sequence,)
            ).fetchone()
            if row is not None:
                self._n_bytes -= row[0]

    def _count(self, name: str, n: int) -> None:
        if n:
            self._database.execute(
                "INSERT INTO tally VALUES (?, ?)"
                " ON CONFLICT (name) DO UPDATE SET n = n + excluded.n",
                (name, n),
            )

    def _next_sequence(self) -> int:
        row = self._database.execute(
            "SELECT seq FROM sqlite_sequence WHERE name = 'record'"
        ).fetchone()
        return int(row[0]) + 1

    def _read(self, max_bytes: int, max_records: int) -> tuple[list[StoredRecord], list[int]]:
        found: list[StoredRecord] = []
        damaged: list[int] = []
        total = 0
        with named_errors(self.path):
            for sequence, n_samples, n_bytes, crc32, body in self._database.execute(
                "SELECT sequence, n_samples, n_bytes, crc32, body FROM record"
                " ORDER BY sequence LIMIT ?",
                (max_records,),
            ):
                if crc32 != _crc32(sequence, n_samples, body):
                    damaged.append(sequence)
                    continue
                total += n_bytes
                if found and total > max_bytes:
                    break
                found.append(StoredRecord(sequence, n_samples, zlib.decompress(body)))
        return found, damaged

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        sizes = self._n_bytes, self._n_quarantine_bytes
        with named_errors(self.path):
            try:
                self._database.execute("BEGIN IMMEDIATE")
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                self._n_bytes, self._n_quarantine_bytes = sizes
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise


def _crc32(sequence: int, n_samples: int, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(_HEAD.pack(sequence, n_samples)))


def _storable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _readable(kind: str, body: bytes) -> bytes:
    if kind == "payload":
        return body
    try:
        return zlib.decompress(body)
    except zlib.error:
        return body
