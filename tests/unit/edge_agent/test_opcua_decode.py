"""Notifications as columns: what asyncua makes of them, from any bytes, in bounded time."""

import contextlib
import resource
import struct
import time
import tracemalloc

import numpy as np
import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_agent.sources.opcua_bytes import MalformedError
from edge_agent.sources.opcua_decode import MIXED_AT_ONCE, NotificationDecoder
from edge_agent.sources.opcua_envelope import (
    RefusedError,
    read_publish_answer,
    read_republish_answer,
)
from edge_agent.sources.opcua_values import Decoded
from ingest.telemetry import Series
from tests.naive import opcua_decode as slow
from tests.strategies_opcua import OTHER_VALUES, TICKS_2026, bodies, body_of, items, numbers

SERIES = tuple(Series("mill-7", f"press-{n}", "vibration_mm_s") for n in range(3))
DENSE = {1: 0, 2: 1, 3: 2}
SPARSE = {1: 2, 7: 0, 1_000_000: 1}
NOW_NS = 1_800_000_000_000_000_000


def assert_same(fast: Decoded, other: Decoded) -> None:
    for column in ("series_index", "source_time_ns", "value", "quality"):
        got, expected = getattr(fast.batch, column), getattr(other.batch, column)
        assert got.dtype == expected.dtype, column
        np.testing.assert_array_equal(got, expected, err_msg=column)
    assert fast.batch.series == other.batch.series
    assert fast.n_overflows == other.n_overflows
    assert fast.n_without_source_time == other.n_without_source_time
    assert fast.unusable == other.unusable
    assert fast.n_by_status == other.n_by_status


@settings(max_examples=400, deadline=None)
@given(body=bodies(), rows=st.sampled_from([DENSE, SPARSE, {}]), is_server_time=st.booleans())
def test_columns_are_what_asyncua_decodes(
    body: bytes, rows: dict[int, int], is_server_time: bool
) -> None:
    decoder = NotificationDecoder(SERIES, rows, is_server_time=is_server_time)

    fast = decoder.decode(body, NOW_NS)

    assert_same(fast, slow.decode(body, SERIES, rows, NOW_NS, is_server_time=is_server_time))


@pytest.mark.parametrize("mask", [0x1D, 0x3D, 0x3F, 0x18])
def test_picoseconds_lie_between_the_two_times(mask: int) -> None:
    """By the specification's table; asyncua reads them behind both."""
    value = b"\x0b" + struct.pack("<d", 2.5) if mask & 1 else b""
    status = b"\0\0\0\0" if mask & 2 else b""
    source = struct.pack("<q", 0) if mask & 4 else b""
    server = struct.pack("<q", 116_444_736_000_000_000 + 70)
    end = b"\x05\x00" if mask & 0x20 else b""
    item = b"\1\0\0\0" + bytes([mask]) + value + status + source + b"\x10\x27" + server + end
    decoder = NotificationDecoder(SERIES, DENSE)

    alone = decoder.decode(body_of([item]), NOW_NS)
    many = decoder.decode(body_of([item] * 100), NOW_NS)

    assert alone.batch.source_time_ns.tolist() == [7000]
    assert many.batch.source_time_ns.tolist() == [7000] * 100
    assert many.n_without_source_time == 100


@settings(max_examples=50, deadline=None)
@given(data=st.data(), n_items=st.sampled_from([MIXED_AT_ONCE - 1, MIXED_AT_ONCE + 5, 5000]))
def test_long_mixtures_are_whole(data: st.DataObject, n_items: int) -> None:
    some = data.draw(
        st.lists(
            items(st.sampled_from([1, 2, 3]), st.integers(0, 7), numbers()), min_size=2, max_size=7
        )
    )
    body = body_of((some * (n_items // len(some) + 1))[:n_items])

    fast = NotificationDecoder(SERIES, DENSE).decode(body, NOW_NS)

    assert_same(fast, slow.decode(body, SERIES, DENSE, NOW_NS))


# --- hostile bytes -------------------------------------------------------------------------------


def try_to_decode(body: bytes) -> Decoded | None:
    try:
        return NotificationDecoder(SERIES, DENSE).decode(body, NOW_NS)
    except MalformedError:
        return None


@settings(max_examples=1500, deadline=None)
@given(body=st.binary(max_size=400))
@example(b"\xff\xff\xff\x7f" + b"\x00" * 100)
@example(b"\x01\0\0\0\x01\0\0\0\x01\x80\xff\xff\xff\x7f\xff\xff\xff\xff")
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try_to_decode(body)


@settings(max_examples=200, deadline=None)
@given(
    body=bodies(),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.integers(0, 10**6),
)
def test_flipped_and_cut_notifications_are_read_or_refused(
    body: bytes, changes: list[tuple[int, int]], cut: int
) -> None:
    changed = bytearray(body)
    for place, byte in changes:
        changed[place % len(changed)] = byte
    decoded = try_to_decode(bytes(changed[: cut % (len(changed) + 1) or None]))

    assert decoded is None or len(decoded.batch) <= len(body)


def mutated(chance: np.random.Generator, seeds: list[bytes]) -> bytes:
    """One of the seeds with some of its bytes, lengths and order changed."""
    body = bytearray(seeds[chance.integers(len(seeds))])
    for _ in range(chance.integers(1, 5)):
        place = int(chance.integers(len(body)))
        match chance.integers(5):
            case 0:
                body[place] = int(chance.integers(256))
            case 1:
                body[place] ^= 1 << int(chance.integers(8))
            case 2:
                odd = chance.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF])
                body[place : place + 4] = struct.pack("<I", int(odd))
            case 3:
                other = seeds[chance.integers(len(seeds))]
                body[place:] = other[int(chance.integers(len(other))) :]
            case _:
                body[place : place + int(chance.integers(1, 40))] = b""
        if not body:
            break
    return bytes(body)


def test_twenty_thousand_mutations_are_read_or_refused_in_little_memory() -> None:
    """The fuzz of DataValues; what is found by it becomes a case of HOSTILE."""
    chance = np.random.default_rng(4)
    value = struct.pack("<d", 2.5)
    kinds = [b"\x0b" + value, b"\x06\1\0\0\0", b"\x01\1", b"\x00", *OTHER_VALUES]
    items_of = [
        struct.pack("<IB", 1 + n % 3, 0x0F)
        + kind
        + b"\0" * 4
        + struct.pack("<qq", TICKS_2026, TICKS_2026)
        for n, kind in enumerate(kinds)
    ]
    seeds = [body_of([one] * 3) for one in items_of] + [
        body_of(items_of),
        body_of(items_of[:2] * 40),
    ]
    n_read = 0
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    for _ in range(20_000):
        n_read += try_to_decode(mutated(chance, seeds)) is not None
    after_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    assert 2_000 < n_read < 18_000
    assert after_kib - before_kib < 20_000


HOSTILE = {
    "more items than bytes": struct.pack("<i", 2**31 - 1) + b"\0" * 1000,
    "an array of two thousand million nulls": body_of([b"\1\0\0\0\1\x80" + b"\xff\xff\xff\x7f"]),
    "the same in a matrix": body_of([b"\1\0\0\0\1\xc0" + b"\xff\xff\xff\x7f" + b"\0\0\0\0"]),
    "variants in variants": body_of([b"\1\0\0\0\1" + b"\x18" * 100_000 + b"\0"]),
    "arrays in arrays": body_of([b"\1\0\0\0\1" + b"\x98\1\0\0\0" * 50_000 + b"\0"]),
    "values in values": body_of([b"\1\0\0\0\1" + b"\x17\x01" * 50_000 + b"\0"]),
    "diagnostics in diagnostics": body_of([], b"\1\0\0\0" + b"\x40" * 100_000),
    "a matrix of many dimensions": body_of([
        b"\1\0\0\0\1\xcb\1\0\0\0" + b"\0" * 8 + b"\x50\xc3\0\0" + b"\xff\xff\xff\x7f" * 50_000
    ]),
    "a text longer than all": body_of([b"\1\0\0\0\1\x0c" + b"\xff\xff\xff\x7f"]),
    "a text of negative length": body_of([b"\1\0\0\0\1\x0c" + b"\xf0\xff\xff\xff"]),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_are_refused_quickly_and_in_little_memory(name: str) -> None:
    body = HOSTILE[name]
    tracemalloc.start()
    began_s = time.process_time()

    decoded = try_to_decode(body)
    took_s = time.process_time() - began_s
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert decoded is None
    assert took_s < 2.0
    assert peak_bytes < 2_000_000 + 20 * len(body)


def test_runs_that_just_fail_to_be_runs_take_no_more_time() -> None:
    """A form that changes every 33rd value is the worst case; time stays linear."""
    long = b"\1\0\0\0\x01\x0b" + b"\0" * 8
    other = b"\1\0\0\0\x01\x06" + b"\0" * 4
    decoder = NotificationDecoder(SERIES, DENSE)
    seconds = {}
    for n_groups in (100, 3200):
        body = body_of(([long] * 33 + [other]) * n_groups)
        began_s = time.process_time()
        assert len(decoder.decode(body, NOW_NS).batch) == 34 * n_groups
        seconds[n_groups] = time.process_time() - began_s

    assert seconds[3200] < 32 * 8 * max(seconds[100], 0.002)


# --- what stands around the values ---------------------------------------------------------------


def publish_response(
    parts: list[object], available: list[int], sequence: int = 9, subscription: int = 4
) -> bytes:
    response = ua.PublishResponse()
    response.Parameters.SubscriptionId = ua.IntegerId(subscription)
    response.Parameters.AvailableSequenceNumbers = [ua.Counter(number) for number in available]
    response.Parameters.NotificationMessage.SequenceNumber = ua.Counter(sequence)
    response.Parameters.NotificationMessage.NotificationData = parts
    response.Parameters.Results = [ua.StatusCode(ua.UInt32(0))]
    return struct_to_binary(response)


def change(value: float) -> ua.DataChangeNotification:
    item = ua.MonitoredItemNotification(ua.IntegerId(1), ua.DataValue(ua.Variant(value)))
    return ua.DataChangeNotification(MonitoredItems=[item])


@given(
    values=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3),
    ended=st.none() | st.sampled_from([0x800A0000, 0x80280000]),
    available=st.lists(st.integers(0, 2**32 - 1), max_size=5),
    sequence=st.integers(0, 2**32 - 1),
)
def test_an_answer_is_read_as_asyncua_reads_it(
    values: list[float], ended: int | None, available: list[int], sequence: int
) -> None:
    parts: list[object] = [change(value) for value in values]
    if ended is not None:
        parts.append(ua.StatusChangeNotification(Status=ua.StatusCode(ua.UInt32(ended))))
    message = publish_response(parts, available, sequence)

    answer = read_publish_answer(message)

    subscription, held, number, changes, end = slow.read_publish_answer(message)
    assert (answer.subscription_id, answer.available) == (subscription, held)
    assert (answer.notification.sequence, answer.notification.ended) == (number, end)
    assert answer.notification.has_content == bool(parts)
    decoder = NotificationDecoder(SERIES, DENSE)
    decoded = [
        decoder.decode(body, NOW_NS).batch.value[0] for body in answer.notification.data_changes
    ]
    assert decoded == [one.MonitoredItems[0].Value.Value.Value for one in changes]


def test_a_republished_notification_is_read() -> None:
    response = ua.RepublishResponse()
    response.NotificationMessage.SequenceNumber = ua.Counter(17)
    response.NotificationMessage.NotificationData = [change(2.5)]

    notification = read_republish_answer(struct_to_binary(response))

    assert notification.sequence == 17
    (body,) = notification.data_changes
    assert NotificationDecoder(SERIES, DENSE).decode(body, 0).batch.value.tolist() == [2.5]


def test_a_refusal_is_told_with_its_status() -> None:
    response = ua.PublishResponse()
    response.ResponseHeader.ServiceResult = ua.StatusCode(
        ua.UInt32(ua.StatusCodes.BadNoSubscription)
    )

    with pytest.raises(RefusedError) as caught:
        read_publish_answer(struct_to_binary(response))

    assert caught.value.status == ua.StatusCodes.BadNoSubscription


@settings(max_examples=400, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 10**6),
)
def test_any_answer_is_read_or_refused(changes: list[tuple[int, int]], cut: int) -> None:
    message = bytearray(publish_response([change(1.0), change(2.0)], [1, 2, 3]))
    for place, byte in changes:
        message[place % len(message)] = byte
    with contextlib.suppress(MalformedError, RefusedError):
        read_publish_answer(bytes(message[: cut % (len(message) + 1) or None]))
