"""From the bytes of OPC UA notifications to columns, thousands of values at a time.

Nearly all values of a machine lie in memory in one of a few fixed forms: which of status and times
they carry, and which type of number. A run of values of one form is one structured array, and so
are all values of one form that were picked out of a mixed notification. What has no fixed size,
such as a text, is read by `edge_agent.sources.opcua_bytes` on its own, and nothing beside it waits.

The results are those of asyncua's decoder with `edge_agent.sources.opcua_values`, which the tests
hold it to; asyncua's itself never sees these bytes, for it can be made to hang. Times are whole
microseconds, as in asyncua, so that a value read in another way has the same time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from edge_agent.sources.opcua_bytes import NUMBER_FORMATS, Cursor, MalformedError
from edge_agent.sources.opcua_values import Decoded
from ingest.telemetry import Quality, Series, TelemetryBatch

Void = npt.NDArray[np.void]

MIN_RUN: Final = 32
"""Shorter runs of one form cost more as an array of their own than picked out of a mixture."""

FIRST_LOOK: Final = 256
"""Values looked at for a run to begin with; doubled while the run goes on."""

MIXED_AT_ONCE: Final = 2048
"""Values of a mixture that are sorted by form together."""

_HAS_VALUE, _FIELD_BITS = 0x01, 0x3F
_BOOLEAN: Final = 1
_LEAST_ITEM: Final = 5
"""A handle and a mask that says "nothing follows". [byte]"""

_TICKS_PER_US: Final = 10
_US_TO_1970: Final = 11_644_473_600_000_000
_LATEST_US: Final = 9_214_646_400_000_000
"""2262-01-01; beyond it nanoseconds don't fit int64. [us since 1970-01-01 UTC]"""

# OPC UA Part 4, 7.39: bits of a status code that belongs to a data value.
_SEVERITY_SHIFT: Final = 30
_UNCERTAIN: Final = 0x4000_0000
_KIND_BITS: Final = 0xFFFF_0000
_OVERFLOW_BITS: Final = 0x0400 | 0x0080
_QUALITY_OF_SEVERITY: Final = np.array(
    [Quality.GOOD, Quality.UNCERTAIN, Quality.BAD, Quality.BAD], dtype=np.uint8
)


@dataclass(slots=True)
class _Columns:
    """What the values of a notification say, in the order they came."""

    handle: npt.NDArray[np.uint32]
    value: npt.NDArray[np.float64]
    status: npt.NDArray[np.uint32]
    source_time: npt.NDArray[np.int64]
    server_time: npt.NDArray[np.int64]
    unusable: dict[int, str] = field(default_factory=dict)
    """Type of what is no number, by place."""

    @classmethod
    def of(cls, n_items: int) -> "_Columns":
        return cls(
            np.zeros(n_items, np.uint32),
            np.full(n_items, np.nan),
            np.zeros(n_items, np.uint32),
            np.zeros(n_items, np.int64),
            np.zeros(n_items, np.int64),
        )

    def put(self, place: "slice | npt.NDArray[np.intp]", items: Void) -> None:
        """Take items of one form; what a form does not have stays as it is."""
        names = items.dtype.names or ()
        self.handle[place] = items["handle"]
        if "value" in names:
            self.value[place] = items["value"]
        elif "truth" in names:
            self.value[place] = items["truth"] != 0
        if "status" in names:
            self.status[place] = items["status"]
        if "source_time" in names:
            self.source_time[place] = items["source_time"]
        if "server_time" in names:
            self.server_time[place] = items["server_time"]


class NotificationDecoder:
    """Decodes notifications whose values belong to the same series.

    Parameters
    ----------
    series : sequence of Series
        The series table.
    row_of_handle : mapping of int to int
        Row of `series` for each client handle; values of others are passed over.
    is_server_time : bool
        Whether the server's time is taken instead of the source's.
    """

    def __init__(
        self,
        series: Sequence[Series],
        row_of_handle: Mapping[int, int],
        *,
        is_server_time: bool = False,
    ) -> None:
        self.series = tuple(series)
        self._is_server_time = is_server_time
        order = sorted(row_of_handle)
        self._handles = np.array(order or [0], dtype=np.uint32)
        self._rows = np.array([row_of_handle[handle] for handle in order] or [-1], dtype=np.int64)
        # Handles are mostly 1, 2, 3, ...: then their row is looked up, not searched.
        self._is_dense = bool(order) and order[-1] - order[0] == len(order) - 1

    def decode(self, body: bytes, received_at_ns: int) -> Decoded:
        """Decode the body of one DataChangeNotification.

        Parameters
        ----------
        body : bytes
            Items and diagnostics.
        received_at_ns : int
            Time for values that carry none. [ns since 1970-01-01 UTC]

        Returns
        -------
        Decoded
            Samples and counts, see `edge_agent.sources.opcua_values.decode_notifications`.

        Raises
        ------
        MalformedError
            If the bytes are no such notification. Nothing else is ever raised, and time and memory
            stay in proportion to the bytes.
        """
        cursor = Cursor(body, 0, len(body))
        n_items = max(cursor.length(_LEAST_ITEM), 0)
        columns = _Columns.of(n_items)
        done = 0
        while done < n_items:
            n_taken = _take_run(cursor, columns, done)
            done += n_taken or _take_mixture(cursor, columns, done)
        cursor.diagnostic_infos()
        return self._samples(columns, received_at_ns)

    def _samples(self, columns: _Columns, received_at_ns: int) -> Decoded:
        row = self._row_of(columns.handle)
        is_ours = row >= 0
        overflow = (columns.status & _OVERFLOW_BITS) == _OVERFLOW_BITS
        n_overflows = int(np.count_nonzero(overflow & is_ours)) if overflow.any() else 0
        n_by_status = _n_by_status(columns.status, is_ours)
        unusable = {
            int(columns.handle[place]): kind
            for place, kind in columns.unusable.items()
            if is_ours[place]
        }
        is_ours[list(columns.unusable)] = False
        if not is_ours.all():
            row, columns = row[is_ours], _kept(columns, is_ours)
        quality = _QUALITY_OF_SEVERITY[columns.status >> _SEVERITY_SHIFT]
        is_finite = np.isfinite(columns.value)
        if not is_finite.all():
            columns.value[~is_finite] = np.nan
            quality[~is_finite] = Quality.BAD
        time_ns, is_known = _time_ns(
            columns.server_time if self._is_server_time else columns.source_time
        )
        n_without_time = 0
        if not is_known.all():
            server_ns, is_servers = _time_ns(columns.server_time)
            other_ns = np.where(is_servers, server_ns, received_at_ns)
            time_ns = np.where(is_known, time_ns, other_ns)
            n_without_time = int(np.count_nonzero(~is_known))
        batch = TelemetryBatch(self.series, row.astype(np.uint32), time_ns, columns.value, quality)
        return Decoded(batch, n_overflows, n_without_time, unusable, n_by_status)

    def _row_of(self, handle: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
        """Row of each handle, -1 for those we don't know."""
        if self._is_dense:
            place = handle.astype(np.int64) - int(self._handles[0])
            is_known = (place >= 0) & (place < self._rows.size)
            if not is_known.all():
                return np.where(is_known, self._rows[np.where(is_known, place, 0)], -1)
            return self._rows[place]
        found = np.minimum(np.searchsorted(self._handles, handle), self._handles.size - 1)
        return np.where(self._handles[found] == handle, self._rows[found], -1)


def _kept(columns: _Columns, is_kept: npt.NDArray[np.bool_]) -> _Columns:
    return _Columns(
        columns.handle[is_kept],
        columns.value[is_kept],
        columns.status[is_kept],
        columns.source_time[is_kept],
        columns.server_time[is_kept],
    )


def _n_by_status(status: npt.NDArray[np.uint32], is_ours: npt.NDArray[np.bool_]) -> dict[int, int]:
    """Count values that are not Good by the part of their status that says what is wrong."""
    is_told = status >= _UNCERTAIN
    if not is_told.any():
        return {}
    kinds, counts = np.unique(status[is_told & is_ours] & _KIND_BITS, return_counts=True)
    return dict(zip(kinds.tolist(), counts.tolist(), strict=True))


def _time_ns(
    ticks: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Nanoseconds, and whether they are a time: servers put "no time" outside 1970 to 2262."""
    us = ticks // _TICKS_PER_US - _US_TO_1970
    return us * 1000, (us > 0) & (us < _LATEST_US)


# --- items of a fixed form ---------------------------------------------------------------------


@cache
def _form(mask: int, kind: int) -> np.dtype[np.void]:
    """How an item lies in memory, byte for byte; mask and kind of value tell."""
    fields = [("handle", "<u4"), ("mask", "u1")]
    if mask & _HAS_VALUE:
        fields.append(("kind", "u1"))
        if kind == _BOOLEAN:
            fields.append(("truth", "u1"))
        elif kind:
            fields.append(("value", NUMBER_FORMATS[kind]))
    if mask & 0x02:
        fields.append(("status", "<u4"))
    if mask & 0x04:
        fields.append(("source_time", "<i8"))
    if mask & 0x10:
        fields.append(("source_picoseconds", "<u2"))
    if mask & 0x08:
        fields.append(("server_time", "<i8"))
    if mask & 0x20:
        fields.append(("server_picoseconds", "<u2"))
    return np.dtype(fields)


def _has_fixed_size(mask: int, kind: int) -> bool:
    if mask > _FIELD_BITS:
        return False
    return not mask & _HAS_VALUE or kind == 0 or kind in NUMBER_FORMATS


_SIZES: Final = bytes(
    _form(mask, kind if mask & _HAS_VALUE else 0).itemsize if _has_fixed_size(mask, kind) else 0
    for mask in range(256)
    for kind in range(256)
)
"""Size of an item by its mask and the byte after it; 0 if that does not tell. [byte]"""


def _take_run(cursor: Cursor, columns: _Columns, done: int) -> int:
    """Take the values of one form that come next; 0 if they are too few to be worth it."""
    data, n_taken, look = cursor.data, 0, FIRST_LOOK
    head = data[cursor.at + 4 : cursor.at + 6]
    if len(head) < 2:
        return 0
    mask, kind = head
    size = _SIZES[mask << 8 | kind]
    if size == 0:
        return 0
    form = _form(mask, kind if mask & _HAS_VALUE else 0)
    while True:
        n_left = columns.handle.size - done - n_taken
        n_seen = min(look, n_left, (cursor.end - cursor.at) // size)
        items: Void = np.frombuffer(data, form, n_seen, cursor.at)
        is_same = items["mask"] == mask
        if mask & _HAS_VALUE:
            is_same &= items["kind"] == kind
        n_same = n_seen if is_same.all() else int(is_same.argmin())
        if n_taken == 0 and n_same < min(MIN_RUN, n_left):
            return 0
        place = done + n_taken
        columns.put(slice(place, place + n_same), items[:n_same])
        cursor.at += n_same * size
        n_taken += n_same
        if n_same < n_seen or n_taken + done == columns.handle.size or n_seen < look:
            return n_taken
        look *= 2


def _take_mixture(cursor: Cursor, columns: _Columns, done: int) -> int:
    """Take values of different forms: sort them by form first, then take each form at once.

    Raises
    ------
    MalformedError
        If not all of them are there.
    """
    data, at = cursor.data, cursor.at
    n_items = min(MIXED_AT_ONCE, columns.handle.size - done)
    last = cursor.end - 1
    starts: dict[int, tuple[list[int], list[int]]] = {}
    for place in range(done, done + n_items):
        if at + 5 > last:
            at = _take_one(cursor, columns, place, at)
            continue
        head = data[at + 4] << 8 | data[at + 5]
        size = _SIZES[head]
        if size == 0:
            at = _take_one(cursor, columns, place, at)
            continue
        if not data[at + 4] & _HAS_VALUE:
            head &= 0xFF00
        if head in starts:
            places, begins = starts[head]
            places.append(place)
            begins.append(at)
        else:
            starts[head] = [place], [at]
        at += size
    if at > cursor.end:
        msg = f"{columns.handle.size} values are announced, and not all are there"
        raise MalformedError(msg)
    raw = np.frombuffer(data, np.uint8)
    for head, (places, begins) in starts.items():
        form = _form(head >> 8, head & 0xFF)
        picked = raw[np.array(begins)[:, np.newaxis] + np.arange(form.itemsize)]
        columns.put(np.array(places), picked.view(form)[:, 0])
    cursor.at = at
    return n_items


def _take_one(cursor: Cursor, columns: _Columns, place: int, at: int) -> int:
    """Take one value that is of no fixed form; where it ends."""
    cursor.at = at
    columns.handle[place] = cursor.whole(4)
    value, status, source_time, server_time = cursor.data_value()
    columns.status[place] = status
    columns.source_time[place] = source_time
    columns.server_time[place] = server_time
    if value.number is not None:
        columns.value[place] = value.number
    elif not value.is_null:
        columns.unusable[place] = value.kind
    return cursor.at
