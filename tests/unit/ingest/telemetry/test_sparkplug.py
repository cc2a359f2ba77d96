"""Sparkplug B as columns: what the plain reader of bytes says, and never more memory than that."""

import gzip
import math
import random
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import SparkplugError
from ingest.telemetry.sparkplug import (
    MAX_METRICS,
    MAX_PAYLOAD_BYTES,
    REBIRTH_METRIC,
    DataType,
    Kind,
    MetricToSend,
    Payload,
    Unusable,
    decode_payload,
    encode_payload,
    numeric_values,
    rebirth_command,
)
from ingest.telemetry.sparkplug_layout import MAX_LAYOUTS, PayloadReader
from ingest.telemetry.sparkplug_messages import PayloadMessage
from tests.naive import sparkplug as naive

NOW_MS = 1_700_000_000_000


def varint(number: int) -> bytes:
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    return bytes([*written, number])


def field(number: int, content: int | bytes) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    if number in {12, 13}:
        return varint(number << 3 | (5 if number == 12 else 1)) + content
    return varint(number << 3 | 2) + varint(len(content)) + content


UINT32, UINT64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
SMALL = st.one_of(UINT32, st.integers(0, 300), st.integers(2**32 - 300, 2**32 - 1))
LONG = st.one_of(UINT64, st.integers(0, 2**54), st.integers(2**64 - 300, 2**64 - 1))
TIMES = st.one_of(st.just(0), st.integers(1, NOW_MS * 2))
QUALITIES = st.integers(0, 600).map(
    lambda told: field(1, b"Quality") + field(2, field(1, 3) + field(3, told))
)
METRIC_FIELDS = st.one_of(
    st.tuples(st.just(1), st.binary(max_size=6)),
    st.tuples(st.just(2), UINT64),
    st.tuples(st.just(3), TIMES),
    st.tuples(st.just(4), st.integers(0, 34)),
    st.tuples(st.just(5), st.integers(0, 1)),
    st.tuples(st.just(7), st.integers(0, 1)),
    st.tuples(st.just(10), SMALL),
    st.tuples(st.just(11), LONG),
    st.tuples(st.just(12), st.floats(width=32).map(lambda value: struct.pack("<f", value))),
    st.tuples(st.just(13), st.floats().map(lambda value: struct.pack("<d", value))),
    st.tuples(st.just(14), st.integers(0, 1)),
    st.tuples(st.integers(15, 19), st.binary(max_size=6)),
)
METRICS = st.tuples(
    st.lists(METRIC_FIELDS, max_size=7), st.lists(QUALITIES.map(lambda told: (9, told)), max_size=1)
).map(lambda parts: b"".join(field(*one) for one in (*parts[0], *parts[1])))
PAYLOADS = st.tuples(
    st.lists(METRICS, max_size=6), st.none() | TIMES, st.none() | st.integers(0, 255)
).map(
    lambda parts: (
        b"".join(field(2, one) for one in parts[0])
        + (b"" if parts[1] is None else field(1, parts[1]))
        + (b"" if parts[2] is None else field(3, parts[2]))
    )
)


def read(body: bytes) -> tuple[int | None, list[naive.NaiveMetric]]:
    payload = decode_payload(body)
    metrics = payload.metrics
    values, unusable = numeric_values(metrics)
    assert np.isnan(values[unusable != 0]).all()
    told: list[float | str | None] = [
        "unusable" if why else None if math.isnan(value) else value
        for value, why in zip(values.tolist(), unusable.tolist(), strict=True)
    ]
    return payload.seq, [
        naive.NaiveMetric(*row)
        for row in zip(
            metrics.names, metrics.aliases, metrics.time_ms.tolist(), told,
            metrics.is_historical.tolist(), metrics.quality.tolist(), strict=True,
        )
    ]  # fmt: skip


@given(PAYLOADS)
def test_columns_are_what_the_bytes_say(body: bytes) -> None:
    assert read(body) == naive.read(body)


SENT = st.one_of(
    st.tuples(st.just(DataType.INT8), st.integers(-128, 127)),
    st.tuples(st.just(DataType.INT16), st.integers(-(2**15), 2**15 - 1)),
    st.tuples(st.just(DataType.INT32), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.just(DataType.INT64), st.integers(-(2**53), 2**53)),
    st.tuples(st.just(DataType.UINT8), st.integers(0, 255)),
    st.tuples(st.just(DataType.UINT16), st.integers(0, 2**16 - 1)),
    st.tuples(st.just(DataType.UINT32), st.integers(0, 2**32 - 1)),
    st.tuples(st.just(DataType.UINT64), st.integers(0, 2**53)),
    st.tuples(st.just(DataType.FLOAT), st.floats(width=32, allow_nan=False, allow_infinity=False)),
    st.tuples(st.just(DataType.DOUBLE), st.floats(allow_nan=False, allow_infinity=False)),
    st.tuples(st.just(DataType.BOOLEAN), st.booleans()),
    st.tuples(st.sampled_from(DataType).filter(lambda kind: 0 < kind <= 11), st.none()),
)


@given(st.lists(st.tuples(SENT, st.integers(0, 2**64 - 1), st.booleans()), max_size=8))
def test_what_is_encoded_is_decoded(
    sent: list[tuple[tuple[DataType, float | None], int, bool]],
) -> None:
    metrics = [
        MetricToSend(kind, value, alias=alias, time_ms=NOW_MS, is_historical=was)
        for (kind, value), alias, was in sent
    ]

    payload = decode_payload(encode_payload(metrics, timestamp_ms=NOW_MS, seq=9))

    values, unusable = numeric_values(payload.metrics)
    assert (payload.seq, payload.timestamp_ms) == (9, NOW_MS)
    assert not unusable.any()
    assert [None if math.isnan(value) else value for value in values.tolist()] == [
        None if one.value is None else float(one.value) for one in metrics
    ]
    assert payload.metrics.aliases == tuple(one.alias for one in metrics)
    assert payload.metrics.is_historical.tolist() == [one.is_historical for one in metrics]


def test_an_integer_without_a_type_takes_the_one_of_its_birth() -> None:
    body = field(2, field(2, 1) + field(3, NOW_MS) + field(10, 2**32 - 5))

    metrics = decode_payload(body).metrics

    assert numeric_values(metrics)[1].tolist() == [Unusable.NO_TYPE]
    born = np.array([DataType.INT32], dtype=np.uint8)
    assert numeric_values(metrics, born)[0].tolist() == [-5.0]


def test_properties_are_read_and_quality_is_understood() -> None:
    sent = MetricToSend(
        DataType.DOUBLE, 2.5, name="Oil", time_ms=NOW_MS,
        properties={"engUnit": "°C", "engHigh": 90.0, "Quality": 500, "bias": -3, "is": True},
    )  # fmt: skip

    metrics = decode_payload(encode_payload([sent], timestamp_ms=NOW_MS)).metrics

    assert metrics.properties[0] == sent.properties
    assert metrics.quality.tolist() == [1]


def test_a_rebirth_command_is_what_the_specification_says() -> None:
    payload = PayloadMessage.FromString(rebirth_command(NOW_MS))

    (metric,) = payload.metrics
    assert metric.name.decode() == REBIRTH_METRIC == "Node Control/Rebirth"
    assert (metric.datatype, metric.boolean_value) == (11, True)
    assert not payload.HasField("seq")


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_compressed_payload_is_unpacked_but_not_without_end(
    pack: Callable[[bytes], bytes],
) -> None:
    plain = encode_payload(
        [MetricToSend(DataType.DOUBLE, 1.5, alias=1)], timestamp_ms=NOW_MS, seq=3
    )
    bomb = pack(b"\0" * 50_000_000)

    def wrapped(body: bytes) -> bytes:
        return field(4, b"SPBV1.0_COMPRESSED") + field(5, body)

    assert decode_payload(wrapped(pack(plain))).metrics.number.tolist() == [1.5]
    for wrong in (bomb, b"no zip", pack(plain)[:-6], pack(wrapped(pack(plain)))):
        with pytest.raises(SparkplugError):
            decode_payload(wrapped(wrong))


def test_bombs_are_refused_before_they_are_opened() -> None:
    nested = b"\x12\x00"
    for _ in range(2000):
        nested = field(18, field(2, nested))
    deep = decode_payload(field(2, field(3, NOW_MS) + nested))

    assert deep.metrics.kind.tolist() == [Kind.TEMPLATE]
    with pytest.raises(SparkplugError, match=f"at most {MAX_METRICS}"):
        decode_payload(b"\x12\x00" * (MAX_METRICS + 1))
    with pytest.raises(SparkplugError, match="send smaller payloads"):
        decode_payload(b"\0" * (MAX_PAYLOAD_BYTES + 1))


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        (DataType.DOUBLE, "x"),
        (DataType.INT8, 1.5),
        (DataType.UINT8, -1),
        (DataType.FLOAT, math.inf),
    ],
)
def test_a_value_that_its_type_can_not_hold_is_not_sent(
    datatype: DataType, value: float | str
) -> None:
    with pytest.raises(SparkplugError):
        encode_payload([MetricToSend(datatype, value)], timestamp_ms=NOW_MS)


def test_any_bytes_are_read_or_refused() -> None:
    chance = random.Random(4)  # noqa: S311 - repeatable, no secret
    whole = encode_payload(
        [
            MetricToSend(DataType.DOUBLE, 1.5, name="a", time_ms=NOW_MS, properties={"Quality": 1}),
            MetricToSend(DataType.INT64, -7, alias=300, time_ms=NOW_MS),
            MetricToSend(DataType.STRING, "text", name="b"),
        ],
        timestamp_ms=NOW_MS,
        seq=1,
    )
    for _ in range(5000):
        body = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            body[chance.randrange(len(body))] = chance.randrange(256)
        try:
            metrics = decode_payload(bytes(body[: chance.randint(0, len(body))])).metrics
        except SparkplugError:
            continue
        values, unusable = numeric_values(metrics)
        assert np.isfinite(values[(unusable == 0) & (metrics.kind != Kind.NULL)]).all()


# --- the fast way --------------------------------------------------------------------------------


def same(one: Payload, other: Payload) -> bool:
    """Whether two payloads say the same, bit by bit."""
    columns = ("time_ms", "datatype", "kind", "number", "integer", "is_historical", "quality")
    return (
        (one.timestamp_ms, one.seq) == (other.timestamp_ms, other.seq)
        and one.metrics.names == other.metrics.names
        and one.metrics.aliases == other.metrics.aliases
        and one.metrics.properties == other.metrics.properties
        and all(
            getattr(one.metrics, name).tobytes() == getattr(other.metrics, name).tobytes()
            for name in columns
        )
    )


PLAIN = st.lists(
    st.tuples(
        st.sampled_from([10, 11, 12, 13, 14]),
        st.integers(0, 300),
        st.booleans(),
        st.sampled_from([0, 2, 9]),
    ),
    min_size=4,
    max_size=12,
)
CHANGES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=4)


def plain_payload(shape: list[tuple[int, int, bool, int]], chance: random.Random) -> bytes:
    metrics = []
    for kind, alias, is_named, datatype in shape:
        value: int | bytes = chance.randint(0, 1)
        if kind < 12:
            # As long each time: of five bytes, or of the ten of a negative number.
            value = chance.randint(2**31, 2**32 - 1) if kind == 10 else 2**64 - chance.randint(1, 9)
        elif kind != 14:
            value = struct.pack("<f" if kind == 12 else "<d", chance.uniform(-9, 9))
        parts = [
            field(1, b"name") if is_named else b"", field(2, alias),
            field(3, NOW_MS + chance.randint(0, 10**9)), field(4, datatype), field(kind, value),
        ]  # fmt: skip
        metrics.append(field(2, b"".join(parts)))
    return b"".join([
        field(1, NOW_MS + chance.randint(0, 10**9)),
        *metrics,
        field(3, chance.randint(0, 127)),
    ])


@given(PLAIN, st.integers(0, 2**32), CHANGES)
def test_the_fast_way_says_what_the_general_way_says(
    shape: list[tuple[int, int, bool, int]], seed: int, changes: list[tuple[float, int]]
) -> None:
    chance, reader = random.Random(seed), PayloadReader()  # noqa: S311 - repeatable
    for _ in range(3):
        body = plain_payload(shape, chance)
        assert same(reader.read(body), decode_payload(body))
    assert reader._n_layouts == 1, "none was learned, so nothing is shown"
    changed = bytearray(plain_payload(shape, chance))
    for where, byte in changes:
        changed[int(where * (len(changed) - 1))] = byte
    try:
        expected = decode_payload(bytes(changed))
    except SparkplugError:
        with pytest.raises(SparkplugError):
            reader.read(bytes(changed))
        return

    assert same(reader.read(bytes(changed)), expected)


@given(st.lists(PAYLOADS, min_size=1, max_size=6))
def test_whatever_was_read_before_the_fast_way_says_what_the_general_way_says(
    bodies: list[bytes],
) -> None:
    reader = PayloadReader()

    for body in [*bodies, *bodies, *bodies]:
        assert same(reader.read(body), decode_payload(body))


def test_a_time_of_zero_written_long_is_no_time_either_way() -> None:
    chance, reader = random.Random(6), PayloadReader()  # noqa: S311 - repeatable
    shape = [(13, alias, False, 10) for alias in range(5)]
    bodies = [plain_payload(shape, chance) for _ in range(3)]
    now = varint(NOW_MS)
    assert len(now) == 6
    changed = bodies[2]
    place = changed.index(b"\x18") + 1
    changed = changed[:place] + b"\x80\x80\x80\x80\x80\x00" + changed[place + 6 :]

    for body in (bodies[0], bodies[1], changed):
        assert same(reader.read(body), decode_payload(body))


def test_layouts_are_bounded_whatever_is_sent() -> None:
    chance, reader = random.Random(5), PayloadReader()  # noqa: S311 - repeatable

    n_most = 0
    for n in range(400):
        shape = [(13, chance.randint(0, 127), False, 10)] * (4 + n // 2)
        reader.read(plain_payload(shape, chance))
        n_most = max(n_most, reader._n_layouts)

    assert n_most == MAX_LAYOUTS, "the bound was never reached"
    assert reader._n_layouts <= MAX_LAYOUTS
    assert len(reader._n_seen) <= 8 * MAX_LAYOUTS
