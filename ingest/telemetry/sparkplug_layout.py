"""The fast way to read Sparkplug B: payloads that differ from an earlier one in numbers only.

A device sends the same metrics in the same order again and again. As long as no integer takes
more or fewer bytes than before, every field has the same place each time, and only times, values
and the sequence number change. A `Layout` remembers which bits must be as they were and where the
numbers stand; a payload that fits is cut into columns at once. By its construction it says the
same as the general way: what fits has the same fields in the same places, and the changing bits
are only those of the numbers themselves.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ingest.telemetry.sparkplug import decode_payload
from ingest.telemetry.sparkplug_columns import Kind, Metrics, Payload

MIN_METRICS: Final = 4
"""Below this the general way is as fast."""

MAX_LAYOUTS: Final = 32
"""Of one device: two for each set of metrics, as sequence numbers above 127 take a byte more."""

MAX_LAYOUTS_OF_A_LENGTH: Final = 4
"""Trying many that do not fit would cost more than the general way."""

MAX_LAYOUT_BYTES: Final = 100_000
"""Larger payloads are births, which come once."""

TIME_BYTES: Final = 6
"""Of a time between the years 1971 and 2109 in milliseconds, 7 bits to a byte."""

_VALUE_BYTES: Final = {12: 4, 13: 8, 14: 1}
"""Bytes of a float, double and boolean by their field numbers; those of integers vary."""

_INTEGERS: Final = (10, 11)
_VARINTS: Final = (10, 11, 14)
# Members of an enumeration are looked up by its metaclass, which costs more than a comparison.
_INT, _LONG, _BOOLEAN = int(Kind.INT), int(Kind.LONG), int(Kind.BOOLEAN)
_FLOAT, _DOUBLE = int(Kind.FLOAT), int(Kind.DOUBLE)

_LAST_BITS: Final = 254
"""Of a byte that may be 0 or 1 only: a boolean, or the tenth byte of an integer of 64 bits."""

_WEIGHTS: Final = 128 ** np.arange(TIME_BYTES, dtype=np.int64)
_INTEGER_WEIGHTS: Final = np.uint64(128) ** np.arange(10, dtype=np.uint64)
_LONGEST_VARINT: Final = 10


class NotPlainError(Exception):
    """A payload has something that a layout can't hold; the general way reads it."""


class _Field(NamedTuple):
    number: int
    start: int
    stop: int
    is_varint: bool


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where the numbers of a payload stand, and what the rest of it is.

    Parameters
    ----------
    mask, wanted : ndarray of uint8, shape (n_bytes,)
        Bits that must be the same, and what they must be.
    payload_time_at : ndarray of int64, shape (6,) or (0,)
        Bytes of the payload's own time.
    seq_at : ndarray of int64, shape (0..2,)
        Bytes of its sequence number.
    time_at : ndarray of int64, shape (n_metrics, 6)
        Bytes of each metric's time.
    float_at, double_at, boolean_at, int_at, long_at : ndarray of int64
        Bytes of the values, a row for each metric of that kind; where an integer has fewer bytes
        than the row, the place after the payload's end, which counts as 0.
    first : Metrics
        The payload this was learned from: everything that does not change.
    """

    mask: npt.NDArray[np.uint8]
    wanted: npt.NDArray[np.uint8]
    payload_time_at: npt.NDArray[np.int64]
    seq_at: npt.NDArray[np.int64]
    time_at: npt.NDArray[np.int64]
    float_at: npt.NDArray[np.int64]
    double_at: npt.NDArray[np.int64]
    boolean_at: npt.NDArray[np.int64]
    int_at: npt.NDArray[np.int64]
    long_at: npt.NDArray[np.int64]
    first: Metrics

    def read(self, body: bytes) -> Payload | None:
        """Read a payload of the same length.

        Parameters
        ----------
        body : bytes
            What was published.

        Returns
        -------
        Payload or None
            What `decode_payload` gives; None if it is of another layout.
        """
        raw = np.frombuffer(body, dtype=np.uint8)
        if not ((raw & self.mask) == self.wanted).all():
            return None
        first, kind = self.first, self.first.kind
        time_ms = (raw[self.time_at] & 127) @ _WEIGHTS
        if time_ms.min() == 0:
            return None  # Not told, so the payload's own time counts.
        doubles = raw[self.double_at].view("<f8")[:, 0]
        integer, has_integers = first.integer, len(self.int_at) + len(self.long_at) > 0
        if len(doubles) == len(first):
            number = doubles.astype(np.float64, copy=False)
        else:
            number = np.zeros(len(first))
            number[kind == _DOUBLE] = doubles
            number[kind == _FLOAT] = raw[self.float_at].view("<f4")[:, 0]
            number[kind == _BOOLEAN] = raw[self.boolean_at][:, 0]
        if has_integers:
            integer, longer = np.zeros(len(first), dtype=np.uint64), np.append(raw, np.uint8(0))
            # Of an integer of 32 bits, protobuf drops what is sent beyond them.
            integer[kind == _INT] = _integers(longer, self.int_at) & np.uint64(2**32 - 1)
            integer[kind == _LONG] = _integers(longer, self.long_at)
        metrics = Metrics(
            first.names,
            first.aliases,
            time_ms,
            first.datatype,
            kind,
            number,
            integer,
            first.is_historical,
            first.quality,
            first.properties,
            is_plain=True,
        )
        timestamp_ms = int(
            (raw[self.payload_time_at] & 127) @ _WEIGHTS[: len(self.payload_time_at)]
        )
        seq = int((raw[self.seq_at] & 127) @ _WEIGHTS[: len(self.seq_at)])
        return Payload(timestamp_ms or None, seq if len(self.seq_at) else None, metrics)


def _integers(raw: npt.NDArray[np.uint8], at: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    numbers: npt.NDArray[np.uint64] = (raw[at] & 127) @ _INTEGER_WEIGHTS[: at.shape[1]]
    return numbers


@dataclass(slots=True)
class PayloadReader:
    """Reads the payloads of one device, and remembers their layouts."""

    _layouts: dict[int, list[Layout]] = field(default_factory=dict)
    _n_seen: dict[int, int] = field(default_factory=dict)
    _n_layouts: int = 0

    def read(self, body: bytes) -> Payload:
        """Read a payload.

        Parameters
        ----------
        body : bytes
            What was published.

        Returns
        -------
        Payload
            What `ingest.telemetry.sparkplug.decode_payload` gives, which also says what is raised.
        """
        for layout in self._layouts.get(len(body), ()):
            payload = layout.read(body)
            if payload is not None:
                return payload
        payload = decode_payload(body)
        if len(payload.metrics) >= MIN_METRICS and len(body) <= MAX_LAYOUT_BYTES:
            self._learn(body, payload)
        return payload

    def _learn(self, body: bytes, payload: Payload) -> None:
        """Learn from the second payload of a length on, and less often from those that vary."""
        if len(self._n_seen) >= 8 * MAX_LAYOUTS:
            self._n_seen.clear()
        n_seen = self._n_seen[len(body)] = self._n_seen.get(len(body), 0) + 1
        # 2, 4, 8, 16: payloads whose lengths agree by chance are soon left alone.
        if n_seen & (n_seen - 1) or not 2 <= n_seen <= 16:
            return
        try:
            layout = learn_layout(body, payload)
        except (NotPlainError, IndexError):
            return
        if self._n_layouts >= MAX_LAYOUTS:
            self._layouts.clear()
            self._n_layouts = 0
        alike = self._layouts.setdefault(len(body), [])
        if len(alike) < MAX_LAYOUTS_OF_A_LENGTH:
            alike.append(layout)
            self._n_layouts += 1


def learn_layout(body: bytes, payload: Payload) -> Layout:
    """Remember how a payload is laid out.

    Parameters
    ----------
    body : bytes
        What was published.
    payload : Payload
        What it says.

    Returns
    -------
    Layout
        For payloads that differ in times, values and sequence number only.

    Raises
    ------
    NotPlainError
        If it has something that a layout can't hold.
    """
    mask = np.full(len(body), 255, dtype=np.uint8)
    payload_time: list[int] = []
    seq: list[int] = []
    times: list[list[int]] = []
    values: dict[int, list[list[int]]] = {number: [] for number in (*_INTEGERS, *_VALUE_BYTES)}
    for one in _fields(body, 0, len(body)):
        if one.number == 2 and not one.is_varint:
            time, kind, value = _metric(body, one)
            times.append(time)
            values[kind].append(value)
        elif one.number == 1 and one.is_varint and not payload_time:
            payload_time = list(range(one.start, one.stop))
        elif one.number == 3 and one.is_varint and not seq:
            seq = list(range(one.start, one.stop))
        else:
            raise NotPlainError
    if len(payload_time) not in {0, TIME_BYTES} or len(seq) > 2:
        raise NotPlainError
    for varint in (payload_time, seq, *times):
        mask[varint] = 128
    mask[[at for value in (*values[12], *values[13]) for at in value]] = 0
    mask[[at for value in values[14] for at in value]] = _LAST_BITS
    for value in (*values[10], *values[11]):
        mask[value] = 128
        if len(value) == _LONGEST_VARINT:
            mask[value[-1]] = _LAST_BITS
    return Layout(
        mask,
        np.frombuffer(body, dtype=np.uint8) & mask,
        _places(payload_time),
        _places(seq),
        _places(times, TIME_BYTES),
        _places(values[12], 4),
        _places(values[13], 8),
        _places(values[14], 1),
        _places(_filled(values[10], len(body)), _longest(values[10])),
        _places(_filled(values[11], len(body)), _longest(values[11])),
        payload.metrics,
    )


def _metric(body: bytes, metric: _Field) -> tuple[list[int], int, list[int]]:
    # Bytes of its time, field number of its value, and bytes of that.
    found: dict[int, _Field] = {}
    for one in _fields(body, metric.start, metric.stop):
        if one.number in found or one.number not in {1, 2, 3, 4, *_INTEGERS, *_VALUE_BYTES}:
            raise NotPlainError
        found[one.number] = one
    kinds = found.keys() & {*_INTEGERS, *_VALUE_BYTES}
    if len(kinds) != 1 or 3 not in found:
        raise NotPlainError
    (kind,) = kinds
    time, value = found[3], found[kind]
    n_bytes = value.stop - value.start
    if time.stop - time.start != TIME_BYTES or n_bytes != _VALUE_BYTES.get(kind, n_bytes):
        raise NotPlainError
    if any(found[number].is_varint != (number != 1) for number in found.keys() & {1, 2, 3, 4}):
        raise NotPlainError
    if value.is_varint != (kind in _VARINTS):
        raise NotPlainError
    return list(range(time.start, time.stop)), kind, list(range(value.start, value.stop))


def _fields(body: bytes, position: int, end: int) -> list[_Field]:
    found = []
    while position < end:
        tag, position = _varint(body, position)
        if tag > 127 << 3:
            raise NotPlainError
        start = position
        match tag & 7:
            case 0:
                _, position = _varint(body, position)
            case 1:
                position += 8
            case 2:
                size, start = _varint(body, position)
                position = start + size
            case 5:
                position += 4
            case _:
                raise NotPlainError
        found.append(_Field(tag >> 3, start, position, tag & 7 == 0))
    if position != end:
        raise NotPlainError
    return found


def _varint(body: bytes, position: int) -> tuple[int, int]:
    number = 0
    for n_bytes in range(_LONGEST_VARINT):
        byte = body[position + n_bytes]
        number |= (byte & 127) << 7 * n_bytes
        if byte < 128:
            return number, position + n_bytes + 1
    raise NotPlainError


def _longest(varints: list[list[int]]) -> int:
    return max(map(len, varints), default=1)


def _filled(varints: list[list[int]], filler: int) -> list[list[int]]:
    n_columns = _longest(varints)
    return [varint + [filler] * (n_columns - len(varint)) for varint in varints]


def _places(at: object, n_columns: int = 0) -> npt.NDArray[np.int64]:
    places = np.array(at, dtype=np.int64)
    return places.reshape(-1, n_columns) if n_columns else places
