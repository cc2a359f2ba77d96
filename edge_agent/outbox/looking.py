"""Looking at an outbox: its records in the order of a lane, and what all of it comes to."""

from copy import copy
from dataclasses import dataclass
from functools import partial

from edge_agent.errors import FrameError
from edge_agent.outbox import records
from edge_agent.outbox.engine import DAMAGED, Engine
from edge_agent.outbox.file import named_errors
from edge_agent.records import OutboxCounts, StoredRecord


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records, and how much of them.

    Parameters
    ----------
    max_bytes : int
        Lines at most, about; one record is read in any case. [byte]
    max_records : int
        Records at most.
    where : str
        Condition in SQL; a constant of this program, never made from data.
    newest_first : bool
        Whether to go from the newest to the oldest.
    """

    max_bytes: int
    max_records: int
    where: str = "TRUE"
    newest_first: bool = False


def read(engine: Engine, wanted: Wanted) -> tuple[list[StoredRecord], list[int]]:
    """Read records that the store does not have, and change nothing.

    Parameters
    ----------
    engine : Engine
        The open file.
    wanted : Wanted
        Which.

    Returns
    -------
    found : list of StoredRecord
        Those that are whole.
    damaged : list of int
        Sequence numbers of those among them that the disk has changed.
    """
    found: list[StoredRecord] = []
    damaged: list[int] = []
    total = 0
    engine.refresh()
    with named_errors(engine.file.path):
        for head in records.read_heads(
            engine.database, wanted.where, newest_first=wanted.newest_first
        ):
            if len(found) + len(damaged) >= wanted.max_records:
                break
            if isinstance(head, int):
                damaged.append(head)
                continue
            if head.sequence in engine.sent:
                continue
            total += head.n_line_bytes
            if found and total > wanted.max_bytes:
                break
            body = records.read_body(engine.database, head.sequence)
            try:
                lines = engine.codec.lines(head, body)
            except FrameError:
                damaged.append(head.sequence)
                continue
            found.append(StoredRecord(head.sequence, head.n_samples, lines, head.priority))
    return found, damaged


def read_whole(engine: Engine, wanted: Wanted) -> list[StoredRecord]:
    """Read records that the store does not have; damaged ones go to the quarantine on the way.

    Parameters
    ----------
    engine : Engine
        The open file.
    wanted : Wanted
        Which.

    Returns
    -------
    list of StoredRecord
        Empty only if there are none that are whole.
    """
    while True:
        found, damaged = read(engine, wanted)
        if damaged:
            engine.commit(partial(engine.move_aside, damaged, DAMAGED, "damaged"))
            # What a damaged row said of itself is not to be believed: all is summed up anew.
            engine.is_stale = True
        if found or not damaged:
            return found


def count_all(engine: Engine) -> OutboxCounts:
    """Count what is in the outbox.

    Parameters
    ----------
    engine : Engine
        The open file.

    Returns
    -------
    OutboxCounts
        Counts as of now.
    """
    engine.refresh()
    with named_errors(engine.file.path):
        if engine.file.was_changed_by_another():
            engine.look()
        database = engine.database
        oldest = engine.oldest_waiting()
        (newest,) = database.execute("SELECT max(sequence) FROM record").fetchone()
        (n_quarantined,) = database.execute("SELECT count(*) FROM quarantine").fetchone()
        tally = dict(database.execute("SELECT name, n FROM tally").fetchall())
        used_pages = engine.room.used_pages()
    waits = copy(engine.totals)
    for head in engine.sent.values():
        waits.add(head, -1)
    return OutboxCounts(
        n_records=waits.n_records,
        n_samples=waits.n_samples,
        n_bytes=engine.file.n_bytes() + engine.ballast.n_bytes(),
        oldest_sequence=oldest,
        newest_sequence=None if oldest is None else newest,
        n_quarantined=n_quarantined,
        n_dropped_records=tally.get("dropped_records", 0),
        n_dropped_samples=tally.get("dropped_samples", 0),
        n_dropped_quarantined=tally.get("dropped_quarantined", 0),
        n_alarm_records=waits.n_alarm_records,
        n_alarm_samples=waits.n_alarm_samples,
        n_thinned_records=waits.n_thinned_records,
        n_used_bytes=used_pages * engine.file.page_bytes,
        is_disk_full=engine.is_owner and not engine.ballast.is_held,
    )
