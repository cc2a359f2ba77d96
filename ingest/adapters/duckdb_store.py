"""Telemetry in one DuckDB file, inside this process.

Samples are only ever appended, each under the number of the write that brought it; reading keeps
the newest write of every (series, time). An index that would refuse doubles on the way in costs a
tenth of the speed and six times the space, and makes a write slower the more is stored. Roll-ups,
retention and the removal of doubles are the upkeep's (`ingest.adapters.duckdb_upkeep`).
One process at a time may have the file open.
"""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from ingest.adapters.columns import one_of_each, step_means
from ingest.adapters.duckdb_file import DuckDBFile
from ingest.adapters.duckdb_upkeep import DuckDBUpkeep
from ingest.adapters.newest import NewestSamples
from ingest.errors import StoreRejectedError
from ingest.ports import StepMeans
from ingest.rollups import HOUR_NS, Rollups
from ingest.telemetry import Series, TelemetryBatch

MEMORY_LIMIT_MIB: Final = 512
"""Leaves room on a machine of 2 GiB; DuckDB spills to disk beyond it. [MiB]"""

_READ: Final = """
SELECT wanted.row AS row, source_time_ns, value, quality
FROM samples JOIN wanted ON samples.series_id = wanted.id
WHERE source_time_ns >= ? AND source_time_ns < ?
ORDER BY row, source_time_ns, write_id
"""

_READ_STEPS: Final = """
SELECT wanted.row AS row, CAST((source_time_ns - ?) // ? AS INTEGER) AS step,
    CASE WHEN quality = 0 THEN value END AS value
FROM samples JOIN wanted ON samples.series_id = wanted.id
WHERE source_time_ns >= ? AND source_time_ns < ?
"""

_NEWEST: Final = """
SELECT series_id, newest.source_time_ns, newest.value, newest.quality
FROM (
    SELECT series_id, arg_max(
        {'source_time_ns': source_time_ns, 'value': value, 'quality': quality},
        (source_time_ns, write_id)
    ) AS newest
    FROM samples
    GROUP BY series_id
)
"""


class DuckDBStore:
    """A `TelemetryStore` in one file. Its methods may be called from any thread.

    Parameters
    ----------
    path : Path
        The file; made, with its folder, if it is not there.
    memory_limit_mib : int
        Memory the database may use. [MiB]
    clock_ns : callable
        Wall clock, for when samples were received. [ns since 1970-01-01 UTC]

    Raises
    ------
    StoreUnavailableError
        If the file can't be opened, for example because another process has it open.
    """

    def __init__(
        self,
        path: Path,
        *,
        memory_limit_mib: int = MEMORY_LIMIT_MIB,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._file = DuckDBFile(path, memory_limit_mib)
        self._clock_ns = clock_ns
        self._id_of = self._file.all_series()
        self._upkeep = DuckDBUpkeep(self._file)
        self._newest: NewestSamples | None = None
        self._newest_lock = threading.Lock()

    def write(self, batch: TelemetryBatch) -> None:
        """Keep every sample of the batch; on return they are in the committed log on disk.

        Parameters
        ----------
        batch : TelemetryBatch
            Validated samples.

        Raises
        ------
        StoreUnavailableError
            If the file can't be written, for example because the disk is full.
        StoreRejectedError
            If the database will never take it.
        """
        if not len(batch):
            return
        batch = one_of_each(batch)
        hours = np.unique(batch.source_time_ns // HOUR_NS)
        with self._file.write_lock:
            if int(batch.source_time_ns.min()) < self._file.kept_from_ns:
                # Rolled up again without the samples that are gone, their hour would be wrong.
                msg = (
                    f"{self._file.path}: samples from before {self._file.kept_from_ns} ns since "
                    "1970 are no longer taken, because those of their time have been dropped; "
                    "raise raw_days to keep samples longer"
                )
                raise StoreRejectedError(msg)
            write_id = self._file.last_write_id + 1
            used = [batch.series[row] for row in np.unique(batch.series_index).tolist()]
            fresh = [series for series in used if series not in self._id_of]
            new = {series: len(self._id_of) + place for place, series in enumerate(fresh)}
            id_of = self._id_of | new if new else self._id_of
            ids = np.array([id_of.get(series, 0) for series in batch.series], dtype=np.uint32)
            with self._file.cursor() as cursor:
                cursor.begin()
                if new:
                    # All at once: one statement each would let a single line with a hundred
                    # thousand new signals hold up every other sender for minutes.
                    site, machine, signal = zip(*new, strict=True)
                    cursor.execute(
                        "INSERT INTO series SELECT unnest(?::UINTEGER[]), unnest(?::VARCHAR[]), "
                        "unnest(?::VARCHAR[]), unnest(?::VARCHAR[])",
                        [list(new.values()), list(site), list(machine), list(signal)],
                    )
                incoming = {
                    "series_id": ids[batch.series_index],
                    "source_time_ns": batch.source_time_ns,
                    "value": batch.value,
                    "quality": batch.quality,
                }
                cursor.register("incoming", incoming)
                cursor.execute("INSERT INTO samples SELECT *, ? FROM incoming", [write_id])
                cursor.execute("INSERT INTO writes VALUES (?, ?)", [write_id, self._clock_ns()])
                cursor.execute(
                    "INSERT INTO unsettled SELECT unnest(?::BIGINT[]), ?",
                    [hours.tolist(), write_id],
                )
                cursor.commit()
            self._id_of = id_of
            self._file.last_write_id = write_id
            self._file.sync_folder()
            if self._newest is not None:
                self._newest.note(ids[batch.series_index], batch)

    def read(self, series: Sequence[Series], start_ns: int, end_ns: int) -> TelemetryBatch:
        """Read a window as columns.

        Parameters
        ----------
        series : sequence of Series
            What to read; this becomes the series table, in this order.
        start_ns, end_ns : int
            Half-open window ``start <= source time < end``. [ns]

        Returns
        -------
        TelemetryBatch
            Samples sorted by series, then by source time, each exactly once.

        Raises
        ------
        StoreUnavailableError
            If the file can't be read.
        """
        series = tuple(dict.fromkeys(series))
        found = self._select(series, _READ, [start_ns, end_ns])
        if found is None:
            return TelemetryBatch.empty(series)
        return one_of_each(
            TelemetryBatch.of(
                series,
                found["row"],
                found["source_time_ns"],
                # DuckDB keeps nan from numpy as NULL, and gives NULL back as a masked entry.
                np.ma.filled(found["value"], np.nan),
                found["quality"],
            )
        )

    def read_steps(
        self, series: Sequence[Series], start_ns: int, step_ns: int, n_steps: int
    ) -> StepMeans:
        """Read a window as means of good samples on an even grid.

        Parameters
        ----------
        series : sequence of Series
            What to read, in this order and without repeats.
        start_ns : int
            Where the grid begins. [ns]
        step_ns : int
            Length of a step. [ns]
        n_steps : int
            How many steps there are.

        Returns
        -------
        StepMeans
            Means of the good samples of each step.

        Raises
        ------
        StoreUnavailableError
            If the file can't be read.
        """
        end_ns = start_ns + n_steps * step_ns
        found = self._select(tuple(series), _READ_STEPS, [start_ns, step_ns, start_ns, end_ns])
        shape = (n_steps, len(series))
        mean = np.full(shape, np.nan)
        if found is None:
            return StepMeans(mean, np.zeros(shape, np.uint32))
        whole = np.int32 if mean.size < 2**31 else np.int64
        cell = found["step"].astype(whole) * len(series) + found["row"].astype(whole)
        is_there = np.zeros(shape, np.bool_)
        is_there.ravel()[cell] = True
        if np.count_nonzero(is_there) < cell.size:
            # Several samples in a step, or a sample twice: in the order of time, each once.
            return step_means(self.read(series, start_ns, end_ns), start_ns, step_ns, n_steps)
        mean.ravel()[cell] = np.ma.filled(found["value"], np.nan)
        return StepMeans(mean, (~np.isnan(mean)).astype(np.uint32))

    def latest(self, series: Sequence[Series]) -> TelemetryBatch:
        """Newest sample of each series, kept in memory once it was asked for.

        Parameters
        ----------
        series : sequence of Series
            What to read; this becomes the series table.

        Returns
        -------
        TelemetryBatch
            At most one sample for each series, in the order given.

        Raises
        ------
        StoreUnavailableError
            If the file can't be read.
        """
        series = tuple(dict.fromkeys(series))
        newest = self._known_newest()
        ids = np.array([self._id_of.get(each, -1) for each in series], dtype=np.int64)
        return newest.of(series, ids)

    def read_rollups(
        self, series: Sequence[Series], start_ns: int, end_ns: int, step_ns: int
    ) -> Rollups:
        """Read roll-ups, right also for what came late a moment ago.

        Parameters
        ----------
        series : sequence of Series
            What to read; this becomes the series table, in this order.
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
        StoreUnavailableError
            If the file can't be read.
        """
        wanted = {each: self._id_of[each] for each in series if each in self._id_of}
        return self._upkeep.read(tuple(dict.fromkeys(series)), wanted, start_ns, end_ns, step_ns)

    def maintain(self, *, raw_from_ns: int | None = None) -> int:
        """Roll up what has changed, remove doubles, and drop samples that are older than is kept.

        Parameters
        ----------
        raw_from_ns : int, optional
            Samples before this are dropped once they are rolled up; None keeps all. [ns]

        Returns
        -------
        int
            Hours that were rolled up; 0 when there is nothing left to do.

        Raises
        ------
        StoreUnavailableError
            If the file can't be read or written; what was begun is undone.
        """
        return self._upkeep.maintain(raw_from_ns)

    def series(self) -> tuple[Series, ...]:
        """Every series ever written, sorted.

        Returns
        -------
        tuple of Series
            Without repeats.
        """
        return tuple(sorted(self._id_of))

    def close(self) -> None:
        """Write everything into the file and release it."""
        with self._newest_lock:
            self._newest = None
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _select(
        self, series: tuple[Series, ...], query: str, parameters: list[int]
    ) -> dict[str, Any] | None:
        id_of = self._id_of
        rows = [row for row, each in enumerate(series) if each in id_of]
        if not rows:
            return None
        wanted = {
            "row": np.array(rows, dtype=np.uint32),
            "id": np.array([id_of[series[row]] for row in rows], dtype=np.uint32),
        }
        with self._file.cursor() as cursor:
            cursor.register("wanted", wanted)
            found: dict[str, Any] = cursor.execute(query, parameters).fetchnumpy()
        return found

    def _known_newest(self) -> NewestSamples:
        with self._newest_lock:
            if self._newest is None:
                # Nothing may be written between the reading and the noting of what is written.
                with self._file.write_lock, self._file.cursor() as cursor:
                    found: dict[str, Any] = cursor.execute(_NEWEST).fetchnumpy()
                    self._newest = NewestSamples(
                        found["series_id"],
                        found["source_time_ns"],
                        np.ma.filled(found["value"], np.nan),
                        found["quality"],
                    )
            return self._newest
