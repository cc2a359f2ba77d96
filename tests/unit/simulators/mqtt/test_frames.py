"""Reading along with MQTT finds what was granted and taken, and nothing else."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.mqtt.frames import (
    MOST_FRAME_BYTES,
    Conversation,
    FrameError,
    FrameReader,
    Subscribed,
    Taken,
    does_match,
)
from simulators.mqtt.tap import MOST_REMEMBERED, Ledger


def text(words: str) -> bytes:
    return struct.pack(">H", len(words.encode())) + words.encode()


def packet(first: int, body: bytes) -> bytes:
    length, digits = len(body), bytearray()
    while True:
        length, digit = divmod(length, 128)
        digits.append(digit | (0x80 if length else 0))
        if not length:
            return bytes([first]) + bytes(digits) + body


def connect(version: int) -> bytes:
    properties = b"\x05\x11\x00\x00\x0e\x10" if version == 5 else b""
    return packet(
        0x10, text("MQTT") + bytes([version, 2]) + b"\x00\x3c" + properties + text("edge")
    )


def subscribe(version: int, number: int, topic_filter: str) -> bytes:
    properties = b"\x00" if version == 5 else b""
    return packet(0x82, struct.pack(">H", number) + properties + text(topic_filter) + b"\x01")


def suback(version: int, number: int, code: int) -> bytes:
    properties = b"\x00" if version == 5 else b""
    return packet(0x90, struct.pack(">H", number) + properties + bytes([code]))


def publish(version: int, number: int, topic: str, payload: bytes) -> bytes:
    # A user property in version 5, so that properties must be stepped over.
    properties = packet(0, b"\x26" + text("a") + text("b"))[1:] if version == 5 else b""
    return packet(0x32, text(topic) + struct.pack(">H", number) + properties + payload)


def puback(number: int, code: int | None = None) -> bytes:
    return packet(0x40, struct.pack(">H", number) + (b"" if code is None else bytes([code])))


@pytest.mark.parametrize("version", [4, 5])
def test_a_message_is_taken_when_it_is_acknowledged_and_not_before(version: int) -> None:
    talk = Conversation()

    assert talk.hear_client(connect(version)) == []
    assert talk.hear_client(subscribe(version, 1, "plant/+/telemetry")) == []
    assert talk.hear_broker(suback(version, 1, 1)) == [Subscribed("plant/+/telemetry")]
    assert talk.hear_broker(publish(version, 9, "plant/a/telemetry", b"{}")) == []
    assert talk.hear_client(puback(8)) == []
    assert talk.hear_client(puback(9)) == [Taken("plant/a/telemetry", b"{}")]
    assert talk.hear_client(puback(9)) == []


def test_a_refused_subscription_and_a_refused_message_do_not_count() -> None:
    talk = Conversation()
    talk.hear_client(connect(5) + subscribe(5, 1, "a"))
    talk.hear_broker(publish(5, 2, "a", b"x"))

    assert talk.hear_broker(suback(5, 1, 0x87)) == []
    assert talk.hear_client(puback(2, 0x97)) == []


def test_a_message_of_quality_zero_is_taken_as_it_passes() -> None:
    talk = Conversation()
    talk.hear_client(connect(5))

    assert talk.hear_broker(packet(0x30, text("a") + b"\x00" + b"x")) == [Taken("a", b"x")]


@given(st.data())
def test_where_the_bytes_are_cut_makes_no_difference(data: st.DataObject) -> None:
    payloads = data.draw(st.lists(st.binary(max_size=300), min_size=1, max_size=5))
    stream = b"".join(publish(5, n, "t", each) for n, each in enumerate(payloads, 1))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    talk = Conversation()
    talk.hear_client(connect(5))

    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        talk.hear_broker(stream[start:end])
    taken = [event for n in range(1, len(payloads) + 1) for event in talk.hear_client(puback(n))]

    assert taken == [Taken("t", each) for each in payloads]


@pytest.mark.parametrize(
    "junk",
    [
        b"\x30\xff\xff\xff\xff\x01",
        b"\x30\xff\xff\xff\x7f",
        packet(0x32, b"\x00\x09short"),
        packet(0x30, text("a") + b"\xff\xff"),
    ],
)
def test_what_is_not_mqtt_is_named_so(junk: bytes) -> None:
    talk = Conversation()
    talk.hear_client(connect(5))

    with pytest.raises(FrameError):
        talk.hear_broker(junk)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader_in_any_other_way(junk: bytes) -> None:
    for hear in (Conversation().hear_client, Conversation().hear_broker):
        with contextlib.suppress(FrameError):
            hear(junk)


def test_the_reader_waits_for_the_rest_of_a_packet() -> None:
    reader = FrameReader()
    whole = packet(0x30, b"x" * 20_000)
    assert len(whole) < MOST_FRAME_BYTES

    assert reader.feed(whole[:2]) == []
    assert reader.feed(whole[2:-1]) == []
    assert reader.feed(whole[-1:]) == [(0x30, b"x" * 20_000)]


@pytest.mark.parametrize(
    ("topic_filter", "topic", "does"),
    [
        ("plant/+/telemetry", "plant/pump-01/telemetry", True),
        ("plant/+/telemetry", "plant/a/b/telemetry", False),
        ("plant/#", "plant/a/b", True),
        ("plant/#", "plant", True),
        ("#", "anything/at/all", True),
        ("$share/group/plant/+", "plant/a", True),
        ("plant", "plant/a", False),
        ("plant/a/b", "plant/a", False),
    ],
)
def test_filters_match_as_the_standard_says(topic_filter: str, topic: str, does: bool) -> None:
    assert does_match(topic_filter, topic) is does


def test_the_ledger_holds_what_was_sent_and_not_taken() -> None:
    ledger = Ledger()
    ledger.expect("a", b"1")
    ledger.expect("a", b"2")
    ledger.note(Taken("a", b"1"))
    ledger.note(Taken("a", b"1"))
    ledger.note(Subscribed("a"))

    assert len(ledger) == 1
    assert ledger.unheard(["a", "b"]) == ["b"]


def test_the_ledger_does_not_grow_for_ever() -> None:
    ledger = Ledger()

    for number in range(MOST_REMEMBERED + 10):
        ledger.expect("a", b"%d" % number)

    assert len(ledger) == MOST_REMEMBERED
