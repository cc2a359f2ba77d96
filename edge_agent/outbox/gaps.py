"""What is missing, and why: one event for each time that samples had to be given up.

Events of the same cause that follow each other within a minute become one, and of very many the
oldest two become one, so that years of a full disk can't fill it; the number of samples stays
exact.
"""

import sqlite3
from collections.abc import Callable
from typing import Final

from edge_agent.records import GapEvent, GapReason

SCHEMA: Final = """
CREATE TABLE gap (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    began_at_ns INTEGER NOT NULL,
    ended_at_ns INTEGER NOT NULL,
    reason TEXT NOT NULL,
    first_ns INTEGER,
    last_ns INTEGER,
    n_samples INTEGER NOT NULL,
    n_series INTEGER NOT NULL
);
"""

MAX_EVENTS: Final = 1000

_JOINED_WITHIN_NS: Final = 60_000_000_000


def note(
    database: sqlite3.Connection,
    now_ns: Callable[[], int],
    reason: GapReason,
    first_ns: int | None,
    last_ns: int | None,
    n_samples: int,
    n_series: int,
) -> None:
    """Write down that samples were given up, inside the transaction that does so.

    Parameters
    ----------
    database : sqlite3.Connection
        The file.
    now_ns : callable
        Wall clock. [ns since 1970-01-01 UTC]
    reason : GapReason
        Why.
    first_ns, last_ns : int or None
        Earliest and latest source time among them, None if that is not known. [ns]
    n_samples : int
        How many; nothing is written for none.
    n_series : int
        How many series they belong to; of joined events the largest number is kept.
    """
    if not n_samples:
        return
    at_ns = now_ns()
    last = database.execute(
        "SELECT id, ended_at_ns FROM gap WHERE reason = ? ORDER BY id DESC LIMIT 1", (reason,)
    ).fetchone()
    if last is not None and 0 <= at_ns - last[1] <= _JOINED_WITHIN_NS:
        database.execute(
            "UPDATE gap SET ended_at_ns = ?, first_ns = min(coalesce(first_ns, ?), coalesce(?,"
            " first_ns)), last_ns = max(coalesce(last_ns, ?), coalesce(?, last_ns)),"
            " n_samples = n_samples + ?, n_series = max(n_series, ?) WHERE id = ?",
            (at_ns, first_ns, first_ns, last_ns, last_ns, n_samples, n_series, last[0]),
        )
        return
    database.execute(
        "INSERT INTO gap (began_at_ns, ended_at_ns, reason, first_ns, last_ns, n_samples, n_series)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (at_ns, at_ns, reason, first_ns, last_ns, n_samples, n_series),
    )
    (n_events,) = database.execute("SELECT count(*) FROM gap").fetchone()
    if n_events > MAX_EVENTS:
        _join_oldest(database)


def newest(database: sqlite3.Connection, limit: int) -> list[GapEvent]:
    """Read gap events.

    Parameters
    ----------
    database : sqlite3.Connection
        The file.
    limit : int
        Events at most.

    Returns
    -------
    list of GapEvent
        The newest first.
    """
    return [
        GapEvent(*row)
        for row in database.execute(
            "SELECT id, began_at_ns, ended_at_ns, reason, first_ns, last_ns, n_samples, n_series"
            " FROM gap ORDER BY id DESC LIMIT ?",
            (limit,),
        )
    ]


def totals(database: sqlite3.Connection) -> dict[str, int]:
    """Sum up all gap events ever noted.

    Parameters
    ----------
    database : sqlite3.Connection
        The file.

    Returns
    -------
    dict of str to int
        Samples by reason.
    """
    return dict(database.execute("SELECT reason, sum(n_samples) FROM gap GROUP BY reason"))


def _join_oldest(database: sqlite3.Connection) -> None:
    """Make one of the two oldest events of one reason; there are fewer reasons than events."""
    reason, into, gone = database.execute(
        "SELECT reason, min(id), (SELECT id FROM gap AS other WHERE other.reason = gap.reason"
        " ORDER BY id LIMIT 1 OFFSET 1) AS second FROM gap GROUP BY reason"
        " HAVING count(*) > 1 ORDER BY second LIMIT 1"
    ).fetchone()
    del reason
    database.execute(
        "UPDATE gap SET (ended_at_ns, first_ns, last_ns, n_samples, n_series) ="
        " (SELECT max(ended_at_ns), min(first_ns), max(last_ns), sum(n_samples), max(n_series)"
        " FROM gap WHERE id IN (?, ?)) WHERE id = ?",
        (into, gone, into),
    )
    database.execute("DELETE FROM gap WHERE id = ?", (gone,))
