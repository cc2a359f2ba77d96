"""From OPC UA notifications to columns: times, qualities and what can't be a sample.

Plain functions of what asyncua has decoded; nothing here knows of connections.
"""

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from asyncua import ua

from ingest.telemetry import Quality, Series, TelemetryBatch

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_LATEST: Final = datetime.datetime(2262, 1, 1, tzinfo=datetime.UTC)
"""Beyond it nanoseconds don't fit int64."""

# OPC UA Part 4, 7.39: bits of a status code that belongs to a data value.
_SEVERITY_SHIFT: Final = 30
_KIND_BITS: Final = 0xFFFF_0000
_OVERFLOW_BITS: Final = 0x0400 | 0x0080

_QUALITY_OF_SEVERITY: Final = (Quality.GOOD, Quality.UNCERTAIN, Quality.BAD, Quality.BAD)


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """What a notification held.

    Parameters
    ----------
    batch : TelemetryBatch
        The samples, in the order they came.
    n_overflows : int
        Values before which the server says it dropped others.
    n_without_source_time : int
        Values that carried no usable source time and got the server's or ours.
    unusable : dict of int to str
        Client handle and type of values that are no number, which are left out.
    n_by_status : dict of int to int
        How many values had each status that was not Good: its upper 16 bits, which say what is
        wrong, with the lower ones zero.
    """

    batch: TelemetryBatch
    n_overflows: int
    n_without_source_time: int
    unusable: dict[int, str]
    n_by_status: dict[int, int] = field(default_factory=dict)


def decode_notifications(
    items: Sequence[ua.MonitoredItemNotification],
    row_of_handle: Mapping[int, int],
    series: Sequence[Series],
    received_at_ns: int,
    *,
    is_server_time: bool = False,
) -> Decoded:
    """Turn the values of one notification into columns.

    Parameters
    ----------
    items : sequence of MonitoredItemNotification
        Values as asyncua decoded them.
    row_of_handle : mapping of int to int
        Row of `series` for each client handle; others are passed over.
    series : sequence of Series
        The series table.
    received_at_ns : int
        Time for values that carry none. [ns since 1970-01-01 UTC]
    is_server_time : bool
        Whether the server's time is taken instead of the source's.

    Returns
    -------
    Decoded
        Samples and counts. A bad value without number is ``nan``; so is a good one that is not
        finite or missing, which then counts as bad.
    """
    rows: list[int] = []
    times: list[int] = []
    values: list[float] = []
    qualities: list[int] = []
    unusable: dict[int, str] = {}
    n_by_status: dict[int, int] = {}
    n_overflows = n_without_time = 0
    for item in items:
        row = row_of_handle.get(item.ClientHandle)
        if row is None:
            continue
        data = item.Value
        code = 0 if data.StatusCode is None else int(data.StatusCode.value)
        if code & _OVERFLOW_BITS == _OVERFLOW_BITS:
            n_overflows += 1
        if code >> _SEVERITY_SHIFT:
            kind = code & _KIND_BITS
            n_by_status[kind] = n_by_status.get(kind, 0) + 1
        value = _number(data.Value)
        if value is None:
            unusable[item.ClientHandle] = _type_name(data.Value)
            continue
        quality = _QUALITY_OF_SEVERITY[code >> _SEVERITY_SHIFT]
        if not math.isfinite(value):
            value, quality = math.nan, Quality.BAD
        time_ns = _time_ns(data.ServerTimestamp if is_server_time else data.SourceTimestamp)
        if time_ns is None:
            n_without_time += 1
            time_ns = _time_ns(data.ServerTimestamp) or received_at_ns
        rows.append(row)
        times.append(time_ns)
        values.append(value)
        qualities.append(quality)
    batch = TelemetryBatch.of(series, rows, times, values, qualities)
    return Decoded(batch, n_overflows, n_without_time, unusable, n_by_status)


def _number(variant: ua.Variant | None) -> float | None:
    """Value as a number, nan if there is none, None if it is something else."""
    value = None if variant is None else variant.Value
    if type(value) is float:
        return value
    if isinstance(value, int | float):
        # Booleans and every integer type; beyond 2**53 the nearest float64 is taken.
        return float(value)
    return math.nan if value is None else None


def _type_name(variant: ua.Variant | None) -> str:
    if variant is None:
        return "nothing"
    name = getattr(variant.VariantType, "name", str(variant.VariantType))
    return f"{name} array" if isinstance(variant.Value, list) else str(name)


def _time_ns(time: datetime.datetime | None) -> int | None:
    """Nanoseconds, exact; None outside 1970 to 2262, where servers put "no time"."""
    if time is None or not _EPOCH < time < _LATEST:
        return None
    since = time - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000
