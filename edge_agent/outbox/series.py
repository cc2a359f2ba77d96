"""Names of series as numbers, so that a record of a thousand samples carries no thousand names.

Each name is kept twice, in two tables and so on two pages, each with a CRC over number and text: a
flipped bit in one of them costs nothing. Should a name be lost in both, no record can come out
under another name: what `SeriesNumbers.seal` says of the names goes into the CRC of each record.
"""

import sqlite3
import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from edge_agent.errors import FrameError
from edge_agent.outbox.frame import Columns
from ingest.telemetry import Series, TelemetryBatch

SCHEMA: Final = """
CREATE TABLE series (number INTEGER PRIMARY KEY, text TEXT NOT NULL, crc32 INTEGER NOT NULL);
CREATE TABLE series_copy (number INTEGER PRIMARY KEY, text TEXT NOT NULL, crc32 INTEGER NOT NULL);
"""

_ROW_BYTES: Final = 20
"""What a row takes beside its text, about."""

_TABLES_KEPT: Final = 256
"""Series tables of batches that are recognised by identity: sources use the same one for long."""

_MAX_NUMBER: Final = 2**24
"""Far more series than one site has; a number above it is a flipped bit."""


class SeriesNumbers:
    """Numbers of the series in one outbox file.

    Parameters
    ----------
    database : sqlite3.Connection
        The file.
    max_bytes : int
        What all names may take; series that come later stay with their records as text. [byte]
    """

    def __init__(self, database: sqlite3.Connection, max_bytes: int) -> None:
        self._database = database
        self.max_bytes = max_bytes
        self._number_of: dict[Series, int] = {}
        self._series_of: dict[int, Series] = {}
        self._tables: dict[int, tuple[tuple[Series, ...], npt.NDArray[np.uint32]]] = {}
        self._names_of: dict[bytes, tuple[Series, ...]] = {}
        self._crc32 = np.zeros(0, dtype=np.uint32)
        self._top = 0
        self.n_bytes = 0
        self.load()

    def load(self) -> None:
        """Read all names anew, also after a transaction that was taken back."""
        self._number_of.clear()
        self._series_of.clear()
        self._tables.clear()
        self._names_of.clear()
        self._crc32 = np.zeros(64, dtype=np.uint32)
        self._top = 0
        self.n_bytes = 0
        for table in ("series", "series_copy"):
            for number, octets, crc32 in self._database.execute(
                # As bytes: a flipped bit may have made it no UTF-8, which must not stop the rest.
                f"SELECT number, CAST(text AS BLOB), crc32 FROM {table}"  # noqa: S608 - two constants
            ):
                if number not in self._series_of and _is_whole(number, octets, crc32):
                    self._learn(number, Series(*octets.decode().split(",")), crc32)

    def knows(self, batches: Sequence[TelemetryBatch]) -> bool:
        """Whether all series of some batches have numbers.

        Parameters
        ----------
        batches : sequence of TelemetryBatch
            The batches.

        Returns
        -------
        bool
            As of now.
        """
        return all(
            id(batch.series) in self._tables or all(one in self._number_of for one in batch.series)
            for batch in batches
        )

    def clear(self) -> None:
        """Forget all names, inside a transaction; no record may be left."""
        self._database.execute("DELETE FROM series")
        self._database.execute("DELETE FROM series_copy")

    def columns(self, batches: Sequence[TelemetryBatch]) -> Columns:
        """Join batches, numbering series that are new.

        Parameters
        ----------
        batches : sequence of TelemetryBatch
            At least one; names are legal.

        Returns
        -------
        Columns
            All samples in the order given.
        """
        series = [self._numbers(batch.series)[batch.series_index] for batch in batches]
        if len(batches) == 1:
            (batch,) = batches
            return Columns(series[0], batch.source_time_ns, batch.value, batch.quality)
        return Columns(
            np.concatenate(series),
            np.concatenate([batch.source_time_ns for batch in batches]),
            np.concatenate([batch.value for batch in batches]),
            np.concatenate([batch.quality for batch in batches]),
        )

    def batch(self, columns: Columns) -> TelemetryBatch:
        """Give the samples their names back.

        Parameters
        ----------
        columns : Columns
            Samples, sorted by series.

        Returns
        -------
        TelemetryBatch
            The same samples.

        Raises
        ------
        FrameError
            If a number has no name: the file is damaged.
        """
        if not len(columns):
            return TelemetryBatch.empty()
        begins = np.flatnonzero(np.diff(columns.series, prepend=np.uint32(0)))
        numbers = columns.series[begins]
        try:
            series = self._names(numbers)
        except KeyError as error:
            msg = f"series {error.args[0]} has no name in this file"
            raise FrameError(msg) from error
        index = np.repeat(
            np.arange(numbers.size, dtype=np.uint32), np.diff(begins, append=len(columns))
        )
        return TelemetryBatch(series, index, columns.time_ns, columns.value, columns.quality)

    def seal(self, columns: Columns) -> int:
        """Sum up the names that samples stand under, whatever their order.

        Parameters
        ----------
        columns : Columns
            Samples, sorted by series.

        Returns
        -------
        int
            Of 32 bits; another one, but for a chance of 2 ** -32, if any name were another.

        Raises
        ------
        FrameError
            If a number has no name: the file is damaged.
        """
        if not len(columns):
            return 0
        numbers = columns.series[np.diff(columns.series, prepend=np.uint32(0)) != 0]
        if int(numbers[-1]) >= self._crc32.size:
            msg = f"series {int(numbers[-1])} has no name in this file"
            raise FrameError(msg)
        return int(np.bitwise_xor.reduce(self._crc32[numbers]))

    def _names(self, numbers: npt.NDArray[np.uint32]) -> tuple[Series, ...]:
        """Give the same tuple for the same numbers, so that who writes lines knows it again."""
        key = numbers.tobytes()
        if key not in self._names_of:
            if len(self._names_of) >= _TABLES_KEPT:
                self._names_of.clear()
            self._names_of[key] = tuple(self._series_of[number] for number in numbers.tolist())
        return self._names_of[key]

    def _numbers(self, series: tuple[Series, ...]) -> npt.NDArray[np.uint32]:
        known = self._tables.get(id(series))
        if known is not None:
            return known[1]
        numbers = np.array([self._number(one) for one in series], dtype=np.uint32)
        if len(self._tables) >= _TABLES_KEPT:
            self._tables.clear()
        # The tuple is kept beside its numbers, so that its identity can't become another's.
        self._tables[id(series)] = series, numbers
        return numbers

    def _number(self, series: Series) -> int:
        number = self._number_of.get(series)
        if number is None:
            number, text = self._top + 1, ",".join(series)
            row = (number, text, _crc32(number, text.encode()))
            # A row above the last whole one can only be a damaged one.
            self._database.execute("INSERT OR REPLACE INTO series VALUES (?, ?, ?)", row)
            self._database.execute("INSERT OR REPLACE INTO series_copy VALUES (?, ?, ?)", row)
            self._learn(number, series, row[2])
        return number

    def _learn(self, number: int, series: Series, crc32: int) -> None:
        self._number_of[series], self._series_of[number] = number, series
        self._top = max(self._top, number)
        self.n_bytes += 2 * (sum(map(len, series)) + _ROW_BYTES)
        if number >= self._crc32.size:
            self._crc32.resize(2 * number + 64, refcheck=False)
        self._crc32[number] = crc32


def _crc32(number: int, text: bytes) -> int:
    return zlib.crc32(text, zlib.crc32(number.to_bytes(8, "big")))


def _is_whole(number: object, octets: object, crc32: object) -> bool:
    return (
        isinstance(number, int)
        and 0 < number <= _MAX_NUMBER
        and isinstance(octets, bytes)
        and octets.count(b",") == len(Series._fields) - 1
        and crc32 == _crc32(number, octets)
    )
