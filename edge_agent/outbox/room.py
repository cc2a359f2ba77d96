"""How room is made in an outbox that is at its cap, and what may be dropped for what.

Raw samples go before alarms, the oldest first. Old raw records are thinned (see
`edge_agent.outbox.thinning`) before any is dropped whole, until thinned ones take half of the cap:
one half then holds the latest time in full, the other a much longer time before it in outline. A
raw record that comes when nothing but alarms is left is dropped itself; alarms are dropped, the
oldest first, only for other alarms. Whatever is in flight stays. Each sample given up is counted,
and noted as a gap event, in the transaction that gives it up.
"""

import sqlite3
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from edge_agent.errors import FrameError
from edge_agent.outbox import gaps, records
from edge_agent.outbox.frame import Columns, pack
from edge_agent.outbox.records import FULL, THINNED, Form, Head, Totals
from edge_agent.outbox.series import SeriesNumbers
from edge_agent.outbox.thinning import survivors
from edge_agent.records import GapReason, Priority

THINNED_SHARE: Final = 0.5
"""Of the cap, for records in outline."""

MAX_THINNED_AT_ONCE: Final = 65_536
"""Samples thinned in one go, a minute at 1,000 a second; takes about 50 ms."""

_THINNED_AT_ONCE_SHARE: Final = 32
"""Nor more at once than this part of the cap: the log must have room for what is rewritten."""

_WORTH_THINNING: Final = 0.75
"""Where more than this share of the samples would stay, thinning is no way to make room."""

_PAGE_OVERHEAD_BYTES: Final = 40

_SPARE_PAGES: Final = 6
"""What a write may need beyond the body: a page of each table, and one for each tree to grow."""

DecodeRecord = Callable[[Head, bytes | None], Columns]


@dataclass(slots=True)
class Losses:
    """What was given up since the file was opened or the transaction began."""

    n_records: int = 0
    n_samples: int = 0


class Room:
    """Makes room, inside transactions.

    Parameters
    ----------
    database : sqlite3.Connection
        The file.
    numbers : SeriesNumbers
        Its series.
    totals : Totals
        What is in it; kept up to date here.
    decode : callable
        Gives the samples of a record; raises `FrameError` if its CRC or form is wrong.
    now_ns : callable
        Wall clock. [ns since 1970-01-01 UTC]
    page_bytes : int
        Size of its pages. [byte]
    """

    def __init__(
        self,
        database: sqlite3.Connection,
        numbers: SeriesNumbers,
        totals: Totals,
        decode: DecodeRecord,
        now_ns: Callable[[], int],
        page_bytes: int,
    ) -> None:
        self._page_bytes = page_bytes
        self._database = database
        self._numbers = numbers
        self._totals = totals
        self._decode = decode
        self._now_ns = now_ns
        self._tried_to = 0

    def used_pages(self) -> int:
        """Count the pages that hold something.

        Returns
        -------
        int
            As of now.
        """
        (n_pages,) = self._database.execute("PRAGMA page_count").fetchone()
        (n_free,) = self._database.execute("PRAGMA freelist_count").fetchone()
        return int(n_pages - n_free)

    def make(
        self,
        n_bytes: int,
        max_pages: int,
        priority: Priority,
        protected: Collection[int],
        *,
        may_drop: bool = True,
    ) -> bool:
        """Make room for a body.

        Parameters
        ----------
        n_bytes : int
            Its size. [byte]
        max_pages : int
            Pages that may be in use after it was written.
        priority : {"raw", "alarm"}
            Of the body.
        protected : collection of int
            Sequence numbers of records that must stay.
        may_drop : bool
            Whether anything may be dropped at all.

        Returns
        -------
        bool
            False if there is no room for it, and nothing that may be dropped for it.
        """
        needed = n_bytes // (self._page_bytes - _PAGE_OVERHEAD_BYTES) + _SPARE_PAGES
        while (lacking := self.used_pages() + needed - max_pages) > 0:
            if not may_drop:
                return False
            lacking_bytes = lacking * self._page_bytes
            is_half_thin = (
                self._totals.n_thinned_bytes > THINNED_SHARE * max_pages * self._page_bytes
            )
            if not is_half_thin and self._thin_oldest(max_pages, protected):
                continue
            if self._drop_oldest("raw", lacking_bytes, protected):
                continue
            if priority == "alarm" and self._drop_oldest("alarm", lacking_bytes, protected):
                continue
            return False
        return True

    def drop(self, heads: Collection[Head], reason: GapReason) -> None:
        """Give records up whole.

        Parameters
        ----------
        heads : collection of Head
            Which.
        reason : GapReason
            Why.
        """
        records.delete(self._database, [head.sequence for head in heads])
        for head in heads:
            self._totals.add(head, -1)
        self.note(
            reason,
            len(heads),
            sum(head.n_samples for head in heads),
            [head.first_ns for head in heads if head.first_ns is not None],
            [head.last_ns for head in heads if head.last_ns is not None],
            max((head.n_series for head in heads), default=0),
        )

    def drop_old(self, kept_before_s: int, protected: Collection[int]) -> None:
        """Give raw records up that were kept for too long.

        Parameters
        ----------
        kept_before_s : int
            Records written earlier than this go, by the outbox's own clock. [s]
        protected : collection of int
            Sequence numbers of records that must stay.
        """
        old: list[Head] = []
        for head in records.read_heads(self._database, "is_alarm = 0"):
            if isinstance(head, int):
                continue
            if head.kept_s >= kept_before_s:
                break
            if head.sequence not in protected:
                old.append(head)
        if old:
            self.drop(old, "too old")

    def note(
        self,
        reason: GapReason,
        n_records: int,
        n_samples: int,
        first_ns: Collection[int],
        last_ns: Collection[int],
        n_series: int,
    ) -> None:
        """Count samples that are given up, and note the gap.

        Parameters
        ----------
        reason : GapReason
            Why.
        n_records : int
            Records that go with them.
        n_samples : int
            How many.
        first_ns, last_ns : collection of int
            Source times between which they lie, empty if not known. [ns since 1970-01-01 UTC]
        n_series : int
            How many series they belong to.
        """
        count(self._database, "dropped_records", n_records)
        count(self._database, "dropped_samples", n_samples)
        gaps.note(
            self._database,
            self._now_ns,
            reason,
            min(first_ns, default=None),
            max(last_ns, default=None),
            n_samples,
            n_series,
        )

    def _drop_oldest(
        self, priority: Priority, n_bytes: int, protected: Collection[int]
    ) -> list[Head]:
        heads: list[Head] = []
        freed = 0
        where = "is_alarm = 1" if priority == "alarm" else "is_alarm = 0"
        for head in records.read_heads(self._database, where):
            if freed >= n_bytes:
                break
            if isinstance(head, Head) and head.sequence not in protected:
                heads.append(head)
                freed += head.n_body_bytes
        if heads:
            self.drop(heads, "no room")
        return heads

    def _thin_oldest(self, max_pages: int, protected: Collection[int]) -> bool:
        """Thin the oldest records that are still full; say whether that made room."""
        heads: list[Head] = []
        parts: list[Columns] = []
        n_samples = 0
        candidates = self._oldest_full(
            max_pages * self._page_bytes // _THINNED_AT_ONCE_SHARE, protected
        )
        if candidates:
            # Where thinning makes no room now, it is not tried again and again.
            self._tried_to = candidates[-1].sequence
        for head in candidates:
            body = records.read_body(self._database, head.sequence)
            try:
                part = self._decode(head, body)
            except FrameError:
                # Left for whoever reads it next, who sets it aside.
                continue
            heads.append(head)
            parts.append(part)
            n_samples += len(part)
        if not heads:
            return False
        stays = survivors(
            Columns(
                np.concatenate([part.series for part in parts]),
                np.concatenate([part.time_ns for part in parts]),
                np.concatenate([part.value for part in parts]),
                np.concatenate([part.quality for part in parts]),
            )
        )
        if np.count_nonzero(stays) > _WORTH_THINNING * n_samples:
            return False
        start = 0
        gone: list[Columns] = []
        for head, part in zip(heads, parts, strict=True):
            mine = stays[start : start + len(part)]
            start += len(part)
            gone.append(part.take(~mine))
            self._rewrite(head, part.take(mine))
        times = np.concatenate([part.time_ns for part in gone])
        series = np.concatenate([part.series for part in gone])
        n_emptied = sum(len(part) == len(left) for part, left in zip(parts, gone, strict=True))
        self.note(
            "thinned",
            n_emptied,
            times.size,
            [int(times.min())],
            [int(times.max())],
            int(np.unique(series).size),
        )
        return True

    def _oldest_full(self, max_bytes: int, protected: Collection[int]) -> "list[Head]":
        """List the oldest records that may be thinned, about as many as are thinned at once."""
        (thinned_to,) = self._database.execute(
            "SELECT coalesce(max(sequence), 0) FROM record WHERE level = 1"
        ).fetchone()
        begin = max(int(thinned_to), self._tried_to)
        heads: list[Head] = []
        n_samples = n_bytes = 0
        # What was in flight when its neighbours were thinned is dropped whole one day.
        for head in records.read_heads(self._database, f"is_alarm = 0 AND sequence > {begin}"):
            if n_samples >= MAX_THINNED_AT_ONCE or n_bytes >= max_bytes:
                break
            if isinstance(head, Head) and head.level == FULL and head.sequence not in protected:
                heads.append(head)
                n_samples += head.n_samples
                n_bytes += head.n_body_bytes
        return heads

    def _rewrite(self, head: Head, left: Columns) -> None:
        self._totals.add(head, -1)
        # Deleted first: a row that only shrinks would keep its page, and nothing would be won.
        records.delete(self._database, [head.sequence])
        if not len(left):
            return
        thinned = replace(
            head,
            form=Form.COLUMNS,
            level=THINNED,
            n_samples=len(left),
            n_series=int(np.unique(left.series).size),
            n_line_bytes=head.n_line_bytes * len(left) // max(head.n_samples, 1),
            first_ns=int(left.time_ns.min()),
            last_ns=int(left.time_ns.max()),
            seal=self._numbers.seal(left),
        )
        self._totals.add(records.put(self._database, thinned, pack(left)))


def count(database: sqlite3.Connection, name: str, n: int) -> None:
    """Add to a number that only ever grows, inside a transaction.

    Parameters
    ----------
    database : sqlite3.Connection
        The file.
    name : str
        Its name.
    n : int
        How much.
    """
    if n:
        database.execute(
            "INSERT INTO tally VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET n = n + excluded.n",
            (name, n),
        )
