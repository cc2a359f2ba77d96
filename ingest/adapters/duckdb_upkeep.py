"""Roll-ups of the embedded store, kept right under late data; doubles and old samples removed.

Each write notes, in its own transaction, the hours it touched. Those hours are unsettled: readers
roll them up from the samples themselves, until the upkeep has written their roll-ups and taken the
note away in one transaction. A write that comes between leaves a note of its own. So a roll-up is
right whenever it is read, and nothing of this is needed in memory.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ingest.adapters.columns import one_of_each
from ingest.adapters.duckdb_file import DuckDBFile
from ingest.rollups import HOUR_NS, MINUTE_NS, Rollups, roll_up, roll_up_further, select_steps
from ingest.telemetry import Series, TelemetryBatch

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

HOURS_AT_ONCE: Final = 24
"""Hours settled by one call, so that it ends in seconds also after a large import."""

_MIN_NS: Final = -(2**63)
_MAX_NS: Final = 2**63 - 1

_SAMPLES: Final = """
SELECT series_id, source_time_ns, value, quality
FROM samples WHERE source_time_ns >= ? AND source_time_ns < ?
ORDER BY series_id, source_time_ns, write_id
"""

_SAMPLES_OF: Final = """
SELECT wanted.row AS series_id, source_time_ns, value, quality
FROM samples JOIN wanted ON samples.series_id = wanted.id
WHERE source_time_ns >= ? AND source_time_ns < ?
ORDER BY series_id, source_time_ns, write_id
"""

_ROLLUPS_OF: Final = """
SELECT wanted.row AS row, start_ns, count, n_other, minimum, maximum, last, total
FROM rollups JOIN wanted ON rollups.series_id = wanted.id
WHERE step_ns = ? AND start_ns >= ? AND start_ns < ?
ORDER BY row, start_ns
"""

_DOUBLES: Final = """
DELETE FROM samples WHERE rowid IN (
    SELECT rowid FROM (
        SELECT rowid, row_number() OVER (
            PARTITION BY series_id, source_time_ns ORDER BY write_id DESC, rowid DESC
        ) AS place
        FROM samples WHERE source_time_ns >= ? AND source_time_ns < ? AND write_id <= ?
    ) WHERE place > 1
)
"""


class DuckDBUpkeep:
    """Keeps the roll-ups of one file.

    Parameters
    ----------
    file : DuckDBFile
        The file.
    """

    def __init__(self, file: DuckDBFile) -> None:
        self._file = file

    def read(
        self,
        series: tuple[Series, ...],
        wanted: Mapping[Series, int],
        start_ns: int,
        end_ns: int,
        step_ns: int,
    ) -> Rollups:
        """Read roll-ups: settled hours as they are kept, the others from their samples.

        Parameters
        ----------
        series : tuple of Series
            This becomes the series table.
        wanted : mapping of Series to int
            Ids of those that have samples.
        start_ns, end_ns : int
            Steps that begin in this half-open window. [ns]
        step_ns : int
            Length of a step: a minute or an hour. [ns]

        Returns
        -------
        Rollups
            Sorted by series and time.

        Raises
        ------
        ValueError
            If there are no roll-ups of this length.
        """
        if step_ns not in {MINUTE_NS, HOUR_NS}:
            msg = f"step_ns: {step_ns} is neither a minute ({MINUTE_NS}) nor an hour ({HOUR_NS})"
            raise ValueError(msg)
        if not wanted:
            return _none_of(series)
        row_of = {each: row for row, each in enumerate(series)}
        table = {
            "row": np.array([row_of[each] for each in wanted], dtype=np.uint32),
            "id": np.array(list(wanted.values()), dtype=np.uint32),
        }
        with self._file.cursor() as cursor:
            cursor.begin()  # all of it from one moment
            cursor.register("wanted", table)
            hours = _unsettled_hours(cursor, start_ns, end_ns)
            kept = _kept(cursor, series, step_ns, start_ns, end_ns)
            parts = [_without_hours(kept, hours)]
            for hour in hours:
                batch, _ = _hour(cursor, _SAMPLES_OF, series, hour)
                minutes = roll_up(batch)
                steps = minutes if step_ns == MINUTE_NS else roll_up_further(minutes)
                parts.append(
                    select_steps(steps, (steps.start_ns >= start_ns) & (steps.start_ns < end_ns))
                )
        return _joined(series, parts)

    def maintain(self, raw_from_ns: int | None) -> int:
        """Settle the oldest unsettled hours; see `DuckDBStore.maintain`.

        Parameters
        ----------
        raw_from_ns : int or None
            Samples before this are dropped once they are rolled up. [ns]

        Returns
        -------
        int
            Hours that were settled.
        """
        with self._file.cursor() as cursor:
            hours = _unsettled_hours(cursor, _MIN_NS, _MAX_NS)[:HOURS_AT_ONCE]
        for hour in hours:
            self._settle(hour)
        if raw_from_ns is not None and not hours:
            self._drop_samples(raw_from_ns // HOUR_NS * HOUR_NS)
        return len(hours)

    def _settle(self, hour: int) -> None:
        # The long part, reading and computing, leaves writers alone; what they write meanwhile
        # has a higher number, and their note of the hour stays.
        with self._file.cursor() as cursor:
            cursor.begin()
            found = cursor.execute(
                "SELECT max(write_id) FROM unsettled WHERE hour = ?", [hour]
            ).fetchone()
            names = cursor.execute(
                "SELECT site, machine, signal FROM series ORDER BY id"
            ).fetchall()
            upto = int(found[0]) if found and found[0] is not None else -1
            batch, n_rows = _hour(cursor, _SAMPLES, tuple(Series(*name) for name in names), hour)
        minutes = roll_up(batch)
        start_ns, end_ns = _bounds(hour)
        with self._file.write_lock, self._file.cursor() as cursor:
            cursor.begin()
            cursor.execute(
                "DELETE FROM rollups WHERE start_ns >= ? AND start_ns < ?", [start_ns, end_ns]
            )
            _insert(cursor, minutes, MINUTE_NS)
            _insert(cursor, roll_up_further(minutes), HOUR_NS)
            if n_rows > len(batch):
                cursor.execute(_DOUBLES, [start_ns, end_ns, upto])
            cursor.execute("DELETE FROM unsettled WHERE hour = ? AND write_id <= ?", [hour, upto])
            cursor.commit()
            self._file.sync_folder()

    def _drop_samples(self, before_ns: int) -> None:
        with self._file.write_lock, self._file.cursor() as cursor:
            cursor.begin()
            # Late data may have come since; those hours are dropped the next time.
            first = cursor.execute("SELECT min(hour) FROM unsettled").fetchone()
            if first and first[0] is not None:
                before_ns = min(before_ns, int(first[0]) * HOUR_NS)
            if before_ns <= self._file.kept_from_ns:
                return
            cursor.execute("DELETE FROM samples WHERE source_time_ns < ?", [before_ns])
            cursor.execute("DELETE FROM dropped")
            cursor.execute("INSERT INTO dropped VALUES (?)", [before_ns])
            cursor.commit()
            self._file.kept_from_ns = before_ns
            self._file.sync_folder()


def _unsettled_hours(cursor: "DuckDBPyConnection", start_ns: int, end_ns: int) -> list[int]:
    rows = cursor.execute(
        "SELECT DISTINCT hour FROM unsettled WHERE hour >= ? AND hour <= ? ORDER BY hour",
        [start_ns // HOUR_NS, (end_ns - 1) // HOUR_NS],
    ).fetchall()
    return [int(hour) for (hour,) in rows]


def _bounds(hour: int) -> tuple[int, int]:
    return max(_MIN_NS, hour * HOUR_NS), min(_MAX_NS, (hour + 1) * HOUR_NS)


def _hour(
    cursor: "DuckDBPyConnection", query: str, table: tuple[Series, ...], hour: int
) -> tuple[TelemetryBatch, int]:
    """Read the samples of an hour, each once, and count its rows."""
    found: dict[str, Any] = cursor.execute(query, list(_bounds(hour))).fetchnumpy()
    batch = TelemetryBatch.of(
        table,
        found["series_id"],
        found["source_time_ns"],
        np.ma.filled(found["value"], np.nan),
        found["quality"],
    )
    return one_of_each(batch), len(batch)


def _insert(cursor: "DuckDBPyConnection", steps: Rollups, step_ns: int) -> None:
    if not len(steps):
        return
    columns = {
        "series_id": steps.series_index,
        "start_ns": steps.start_ns,
        "count": steps.count,
        "n_other": steps.n_other,
        "minimum": steps.minimum,
        "maximum": steps.maximum,
        "last": steps.last,
        "total": steps.total,
    }
    cursor.register("steps", columns)
    cursor.execute("INSERT INTO rollups SELECT ?, * FROM steps", [step_ns])


def _kept(
    cursor: "DuckDBPyConnection",
    series: tuple[Series, ...],
    step_ns: int,
    start_ns: int,
    end_ns: int,
) -> Rollups:
    found: dict[str, Any] = cursor.execute(_ROLLUPS_OF, [step_ns, start_ns, end_ns]).fetchnumpy()
    return Rollups(
        series,
        np.asarray(found["row"], np.uint32),
        np.asarray(found["start_ns"], np.int64),
        np.asarray(found["count"], np.int64),
        np.asarray(found["n_other"], np.int64),
        np.ma.filled(found["minimum"], np.nan),
        np.ma.filled(found["maximum"], np.nan),
        np.ma.filled(found["last"], np.nan),
        np.asarray(found["total"], np.float64),
    )


def _without_hours(steps: Rollups, hours: list[int]) -> Rollups:
    return select_steps(steps, ~np.isin(steps.start_ns // HOUR_NS, np.array(hours, dtype=np.int64)))


def _joined(series: tuple[Series, ...], parts: list[Rollups]) -> Rollups:
    if len(parts) == 1:
        return parts[0]
    joined = Rollups(
        series,
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in (
                "series_index", "start_ns", "count", "n_other", "minimum", "maximum", "last",
                "total",
            )
        ),
    )  # fmt: skip
    return select_steps(joined, np.lexsort((joined.start_ns, joined.series_index)))


def _none_of(series: tuple[Series, ...]) -> Rollups:
    return roll_up(TelemetryBatch.empty(series))
