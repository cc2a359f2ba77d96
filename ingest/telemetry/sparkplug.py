"""Sparkplug B payloads as columns, and back.

Knows the bytes and the types of one payload. What an alias means, whether a message is missing
and who has died is told by the messages together, and left to whoever keeps an account of a node.

References
----------
.. [1] Eclipse Sparkplug Specification, version 3.0.0, 2022, chapter 6: Payloads.
"""

import math
import operator
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from ingest.errors import SparkplugError
from ingest.telemetry.batch import Quality
from ingest.telemetry.sparkplug_columns import (
    WHY_UNUSABLE,
    Kind,
    Metrics,
    Payload,
    PropertyValue,
    Unusable,
    integers,
    numeric_values,
)
from ingest.telemetry.sparkplug_messages import DataType, OutlineMessage, PayloadMessage, Proto

__all__ = [
    "MAX_METRICS",
    "MAX_PAYLOAD_BYTES",
    "REBIRTH_METRIC",
    "WHY_UNUSABLE",
    "DataType",
    "Kind",
    "MetricToSend",
    "Metrics",
    "Payload",
    "Unusable",
    "decode_payload",
    "encode_payload",
    "numeric_values",
    "rebirth_command",
]

MAX_PAYLOAD_BYTES: Final = 4_000_000
"""A birth of 20,000 metrics with names and properties; larger ones are a mistake or an attack."""

MAX_METRICS: Final = 50_000
"""An empty metric is two bytes on the wire and a hundred in memory."""

MAX_TIME_MS: Final = (2**63 - 1) // 1_000_000
"""The last millisecond that has nanoseconds in an int64: in the year 2262."""

REBIRTH_METRIC: Final = "Node Control/Rebirth"
"""Written as true to a node, it asks for its births (tck-id-payloads-nbirth-rebirth-req)."""

COMPRESSED_UUID: Final = b"SPBV1.0_COMPRESSED"
"""Marks a payload whose body is another payload, compressed, as Tahu writes it."""

_WINDOW_BITS: Final = 32 + zlib.MAX_WBITS
"""Makes zlib tell gzip from deflate by itself."""


_KIND_OF_FIELD: Final[dict[str | None, Kind]] = {
    None: Kind.NONE,
    "int_value": Kind.INT,
    "long_value": Kind.LONG,
    "float_value": Kind.FLOAT,
    "double_value": Kind.DOUBLE,
    "boolean_value": Kind.BOOLEAN,
    "string_value": Kind.STRING,
    "bytes_value": Kind.BYTES,
    "dataset_value": Kind.DATASET,
    "template_value": Kind.TEMPLATE,
    "extension_value": Kind.EXTENSION,
}
_INTEGER_FIELDS: Final = ("int_value", "long_value")
_NUMBER_FIELDS: Final = ("float_value", "double_value", "boolean_value")


def _wrapped(n_bits: int, n_sent: int) -> Callable[[Any], int]:
    """Two's complement of a signed integer, in a field that is wider than it."""

    def to_sent(value: Any) -> int:  # noqa: ANN401 - refused here if it is no integer
        number = operator.index(value)
        if not -(2 ** (n_bits - 1)) <= number < 2 ** (n_bits - 1):
            msg = f"it has more than {n_bits} bits"
            raise ValueError(msg)
        return int(number % 2**n_sent)

    return to_sent


_FIELD_OF_TYPE: Final[dict[DataType, tuple[str, Callable[[Any], object]]]] = {
    DataType.INT8: ("int_value", _wrapped(8, 32)),
    DataType.INT16: ("int_value", _wrapped(16, 32)),
    DataType.INT32: ("int_value", _wrapped(32, 32)),
    DataType.INT64: ("long_value", _wrapped(64, 64)),
    DataType.UINT8: ("int_value", operator.index),
    DataType.UINT16: ("int_value", operator.index),
    DataType.UINT32: ("int_value", operator.index),
    DataType.UINT64: ("long_value", operator.index),
    DataType.FLOAT: ("float_value", lambda value: value),
    DataType.DOUBLE: ("double_value", lambda value: value),
    DataType.BOOLEAN: ("boolean_value", bool),
    DataType.STRING: ("string_value", lambda value: value.encode()),
    DataType.DATETIME: ("long_value", operator.index),
    DataType.TEXT: ("string_value", lambda value: value.encode()),
    DataType.UUID: ("string_value", lambda value: value.encode()),
}
"""Where a value of each type that we write goes, and as what."""


@dataclass(frozen=True, slots=True)
class MetricToSend:
    """One metric to be encoded; None for `value` is sent as null."""

    datatype: DataType
    value: float | int | bool | str | None
    name: str | None = None
    alias: int | None = None
    time_ms: int | None = None
    is_historical: bool = False
    properties: Mapping[str, PropertyValue] = field(default_factory=dict)


def decode_payload(body: bytes) -> Payload:
    """Read a payload.

    Parameters
    ----------
    body : bytes
        What was published.

    Returns
    -------
    Payload
        Its metrics as columns.

    Raises
    ------
    SparkplugError
        If it is no payload, or larger than one may be.

    Examples
    --------
    >>> sent = [MetricToSend(DataType.INT16, -3, alias=7, time_ms=1_700_000_000_000)]
    >>> payload = decode_payload(encode_payload(sent, timestamp_ms=1_700_000_000_001, seq=4))
    >>> payload.seq, payload.metrics.aliases, numeric_values(payload.metrics)[0].tolist()
    (4, (7,), [-3.0])
    """
    return _payload_of(_parsed(body), may_be_compressed=True)


def encode_payload(
    metrics: Sequence[MetricToSend], *, timestamp_ms: int, seq: int | None = None
) -> bytes:
    """Write a payload.

    Parameters
    ----------
    metrics : sequence of MetricToSend
        What it carries, in this order.
    timestamp_ms : int
        When it is sent. [ms since 1970-01-01 UTC]
    seq : int, optional
        Its number, 0 to 255; commands and deaths by will have none.

    Returns
    -------
    bytes
        The payload.

    Raises
    ------
    SparkplugError
        If a value does not fit its data type.
    """
    payload = PayloadMessage(timestamp=timestamp_ms)
    if seq is not None:
        payload.seq = seq
    for sent in metrics:
        metric = payload.metrics.add(datatype=int(sent.datatype))
        if sent.name is not None:
            metric.name = sent.name.encode()
        if sent.alias is not None:
            metric.alias = sent.alias
        if sent.time_ms is not None:
            metric.timestamp = sent.time_ms
        if sent.is_historical:
            metric.is_historical = True
        _put_value(metric, sent.datatype, sent.value)
        for key, value in sent.properties.items():
            metric.properties.keys.append(key.encode())
            put, kind = metric.properties.values.add(), _property_type(value)
            put.type = int(kind)
            _put_value(put, kind, value)
    written: bytes = payload.SerializeToString()
    return written


def rebirth_command(timestamp_ms: int) -> bytes:
    """Payload that asks a node for its births.

    Parameters
    ----------
    timestamp_ms : int
        When it is sent. [ms since 1970-01-01 UTC]

    Returns
    -------
    bytes
        To be published on the node's NCMD topic.
    """
    asked = MetricToSend(DataType.BOOLEAN, True, name=REBIRTH_METRIC, time_ms=timestamp_ms)
    return encode_payload([asked], timestamp_ms=timestamp_ms)


# --- reading -----------------------------------------------------------------------------------


def _parsed(body: bytes) -> Proto:
    if len(body) > MAX_PAYLOAD_BYTES:
        msg = f"{len(body)} bytes, at most {MAX_PAYLOAD_BYTES} are taken; send smaller payloads"
        raise SparkplugError(msg)
    try:
        # Shorter ones can't hold too many: a metric is two bytes at least.
        if len(body) > 2 * MAX_METRICS:
            n_metrics = len(OutlineMessage.FromString(body).metrics)
            if n_metrics > MAX_METRICS:
                msg = f"{n_metrics} metrics, at most {MAX_METRICS} are taken; send smaller payloads"
                raise SparkplugError(msg)
        return PayloadMessage.FromString(body)
    except DecodeError as error:
        msg = "not a Sparkplug B payload: its protobuf bytes can't be read"
        raise SparkplugError(msg) from error


def _payload_of(message: Proto, *, may_be_compressed: bool) -> Payload:
    if message.uuid == COMPRESSED_UUID and message.HasField("body"):
        if not may_be_compressed:
            msg = "a compressed payload inside a compressed payload; send it compressed once"
            raise SparkplugError(msg)
        return _payload_of(_parsed(_decompressed(message.body)), may_be_compressed=False)
    timestamp_ms = message.timestamp if 0 < message.timestamp <= MAX_TIME_MS else None
    seq = message.seq if message.HasField("seq") else None
    return Payload(timestamp_ms, seq, _columns(list(message.metrics), timestamp_ms))


def _decompressed(body: bytes) -> bytes:
    engine = zlib.decompressobj(_WINDOW_BITS)
    try:
        plain = engine.decompress(body, MAX_PAYLOAD_BYTES)
    except zlib.error as error:
        msg = f"its compressed body can't be read: {error}"
        raise SparkplugError(msg) from error
    if engine.unconsumed_tail or not engine.eof:
        msg = f"its body is cut off, or larger than {MAX_PAYLOAD_BYTES} bytes when unpacked"
        raise SparkplugError(msg)
    return plain


def _columns(found: list[Proto], payload_time_ms: int | None) -> Metrics:
    n = len(found)
    fields = [metric.WhichOneof("value") for metric in found]
    number, integer = np.zeros(n), np.zeros(n, dtype=np.uint64)
    distinct = set(fields)
    if distinct == {"double_value"}:
        number[:] = [metric.double_value for metric in found]
        kind = np.full(n, Kind.DOUBLE, dtype=np.uint8)
    else:
        kind = np.array([_KIND_OF_FIELD[name] for name in fields], dtype=np.uint8)
        for name in distinct.intersection(_NUMBER_FIELDS):
            rows = np.flatnonzero(kind == _KIND_OF_FIELD[name])
            number[rows] = [getattr(found[row], name) for row in rows.tolist()]
        for name in distinct.intersection(_INTEGER_FIELDS):
            rows = np.flatnonzero(kind == _KIND_OF_FIELD[name])
            integer[rows] = [getattr(found[row], name) for row in rows.tolist()]
    null = [metric.is_null for metric in found]
    if any(null):
        kind[null], number[null], integer[null] = Kind.NULL, 0.0, 0
    names = [metric.name for metric in found]
    types = np.array([metric.datatype for metric in found], dtype=np.uint32)
    types[types > 255] = 0
    quality = np.zeros(n, dtype=np.uint8)
    properties: dict[int, dict[str, PropertyValue | None]] = {}
    for row, metric in enumerate(found):
        if metric.HasField("properties"):
            properties[row] = known = _properties(metric.properties)
            quality[row] = _quality_of(known.get("Quality"))
    return Metrics(
        tuple([name.decode("utf-8", "backslashreplace") if name else "" for name in names]),
        # An alias of 0 is one, too.
        tuple([metric.alias or (0 if metric.HasField("alias") else -1) for metric in found]),
        _times(found, payload_time_ms),
        types.astype(np.uint8),
        kind,
        number,
        integer,
        np.array([metric.is_historical for metric in found], dtype=bool),
        quality,
        properties,
    )


def _times(found: list[Proto], payload_time_ms: int | None) -> npt.NDArray[np.int64]:
    sent = np.array([metric.timestamp for metric in found], dtype=np.uint64)
    times = sent.astype(np.int64)
    times[sent > MAX_TIME_MS] = -1
    times[sent == 0] = -1 if payload_time_ms is None else payload_time_ms
    return times


def _properties(sent: Proto) -> dict[str, PropertyValue | None]:
    known: dict[str, PropertyValue | None] = {}
    for key, value in zip(sent.keys, sent.values, strict=False):
        name = value.WhichOneof("value")
        told: Any = None if name is None or value.is_null else getattr(value, name)
        if name in _INTEGER_FIELDS and told is not None:
            numbers, unusable = integers(
                np.array([told], dtype=np.uint64), np.array([value.type & 255], dtype=np.uint8)
            )
            told = int(numbers[0]) if unusable[0] == 0 else told
        elif isinstance(told, bytes):
            told = told.decode("utf-8", "backslashreplace") if name == "string_value" else None
        known[key.decode("utf-8", "backslashreplace")] = told
    return known


def _quality_of(told: PropertyValue | None) -> int:
    """Trust from the property ``Quality``: 0 bad, 192 good, 500 stale (section 6.4.14).

    What lies between is the quality byte of OPC that these come from: its two highest bits.
    """
    if told is None or isinstance(told, str):
        return int(Quality.GOOD)
    if told == 500 or 64 <= told < 192:
        return int(Quality.UNCERTAIN)
    return int(Quality.GOOD if 192 <= told < 256 else Quality.BAD)


# --- writing -----------------------------------------------------------------------------------


def _property_type(value: PropertyValue) -> DataType:
    if isinstance(value, bool):
        return DataType.BOOLEAN
    if isinstance(value, int):
        return DataType.INT32
    return DataType.DOUBLE if isinstance(value, float) else DataType.STRING


def _put_value(message: Proto, datatype: DataType, value: PropertyValue | None) -> None:
    if value is None:
        message.is_null = True
        return
    try:
        field_name, to_sent = _FIELD_OF_TYPE[datatype]
        setattr(message, field_name, to_sent(value))
    except (KeyError, TypeError, AttributeError) as error:
        msg = f"{value!r} can't be sent as {datatype.name}; give a value of that type"
        raise SparkplugError(msg) from error
    except (ValueError, OverflowError) as error:
        msg = f"{value!r} does not fit {datatype.name}: {error}"
        raise SparkplugError(msg) from error
    if isinstance(value, float) and not math.isfinite(value):
        msg = f"{value!r} is not finite; send None, which becomes is_null"
        raise SparkplugError(msg)
