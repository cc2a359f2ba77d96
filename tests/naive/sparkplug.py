"""Sparkplug B read byte by byte, from the encoding rules of protobuf alone."""

import math
import struct
from typing import Any, NamedTuple

BITS = {1: 8, 2: 16, 3: 32, 4: 64, 5: 8, 6: 16, 7: 32, 8: 64, 9: 64, 10: 64, 11: 1}
Content = Any
"""An integer, or the bytes of anything else."""

SIGNED = {1, 2, 3, 4, 9, 10}


class NaiveMetric(NamedTuple):
    """One metric; the value is None where it is null, a word where it is no sample."""

    name: str
    alias: int
    time_ms: int
    value: float | str | None
    is_historical: bool
    quality: int


def varint(body: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = body[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at


def fields(body: bytes) -> list[tuple[int, Content]]:
    """Number and content of each field: an integer, or bytes."""
    found: list[tuple[int, Content]] = []
    at = 0
    while at < len(body):
        tag, at = varint(body, at)
        match tag & 7:
            case 0:
                content, at = varint(body, at)
                found.append((tag >> 3, content))
            case 1:
                found.append((tag >> 3, body[at : at + 8]))
                at += 8
            case 2:
                size, at = varint(body, at)
                found.append((tag >> 3, body[at : at + size]))
                at += size
            case _:
                found.append((tag >> 3, body[at : at + 4]))
                at += 4
    return found


def read(body: bytes) -> tuple[int | None, list[NaiveMetric]]:
    """Sequence number and metrics of a payload."""
    outer = fields(body)
    last = dict(outer)
    metrics = [metric(content, last.get(1, 0)) for number, content in outer if number == 2]
    return last.get(3), metrics


def metric(body: bytes, payload_ms: int) -> NaiveMetric:
    given = dict(fields(body))
    values = [(number, content) for number, content in fields(body) if number >= 10]
    time_ms = given.get(3, 0) or payload_ms or -1
    value: float | str | None = "unusable"
    if given.get(7, 0):
        value = None if given.get(4, 0) <= 11 and time_ms > 0 else "unusable"
    elif values and time_ms > 0:
        value = value_of(*values[-1], given.get(4, 0))
    return NaiveMetric(
        given.get(1, b"").decode("utf-8", "backslashreplace"),
        given.get(2, -1),
        time_ms,
        value,
        bool(given.get(5, 0)),
        quality_of(given.get(9, b"")),
    )


def value_of(number: int, content: Content, datatype: int) -> float | str:
    if datatype > 11 or number >= 15:
        return "unusable"
    if number == 12:
        (value,) = struct.unpack("<f", content)
    elif number == 13:
        (value,) = struct.unpack("<d", content)
    elif number == 14:
        value = 1.0 if content else 0.0
    else:
        return integer_of(content, datatype)
    return value if math.isfinite(value) else "unusable"


def integer_of(content: int, datatype: int) -> float | str:
    if datatype == 0:
        return "unusable"
    bits = BITS[datatype]
    allowed = range(-(2 ** (bits - 1)), 2 ** (bits - 1)) if datatype in SIGNED else range(2**bits)
    readings = [content]
    if datatype in SIGNED:
        readings = [content, content - 2**bits, content - 2**32, content - 2**64]
    for reading in readings:
        if reading in allowed:
            return float(reading) if int(float(reading)) == reading else "unusable"
    return "unusable"


def quality_of(body: bytes) -> int:
    given = fields(body)
    keys = [content for number, content in given if number == 1]
    values = [dict(fields(content)) for number, content in given if number == 2]
    for key, value in zip(keys, values, strict=False):
        if key == b"Quality":
            told = value[3]
            if told == 500 or 64 <= told < 192:
                return 1
            return 0 if 192 <= told < 256 else 2
    return 0
