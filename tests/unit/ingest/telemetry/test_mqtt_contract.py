"""What agent and ingest say to each other over MQTT is read back as it was written."""

import contextlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.telemetry.mqtt_contract import (
    Acknowledgement,
    AcknowledgementError,
    Sender,
    ranges_of,
    sender_of,
)
from tests.strategies import names

SEQUENCES = st.integers(0, 2**63 - 1)


@given(site=names(), agent=names())
def test_a_sender_is_read_back_from_its_topic(site: str, agent: str) -> None:
    sender = Sender(site, agent)

    assert sender_of(sender.telemetry_topic) == sender
    assert sender_of(sender.ack_topic) is None


@pytest.mark.parametrize(
    "topic",
    [
        "", "staybolt/v1/mill-7/edge-1", "staybolt/v1/mill-7/edge-1/telemetry/more",
        "staybolt/v2/mill-7/edge-1/telemetry", "staybolt/v1/mill 7/edge-1/telemetry",
        "staybolt/v1//edge-1/telemetry", "staybolt/v1/mill-7/\n/telemetry",
    ],
)  # fmt: skip
def test_any_other_topic_belongs_to_nobody(topic: str) -> None:
    assert sender_of(topic) is None


@given(
    ack=st.builds(
        Acknowledgement,
        st.text(max_size=20),
        st.lists(st.tuples(SEQUENCES, SEQUENCES), max_size=3).map(tuple),
        st.lists(st.tuples(SEQUENCES, st.text(max_size=20)), max_size=3).map(tuple),
        st.lists(st.tuples(SEQUENCES, st.text(max_size=20)), max_size=3).map(tuple),
    )
)
def test_an_acknowledgement_is_read_back(ack: Acknowledgement) -> None:
    assert Acknowledgement.from_bytes(ack.to_bytes()) == ack


@given(payload=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_nothing_else_breaks_the_reader(payload: bytes) -> None:
    read = None
    with contextlib.suppress(AcknowledgementError):
        read = Acknowledgement.from_bytes(payload)

    assert read is None or Acknowledgement.from_bytes(read.to_bytes()) == read


@pytest.mark.parametrize(
    "payload", [b"7", b"[]", b'{"stored": []}', b'{"outbox": "a", "stored": 7}',
                b'{"outbox": "a", "refused": [{"seq": 1}]}', b"[" * 100_000],
)  # fmt: skip
def test_a_broken_acknowledgement_is_refused(payload: bytes) -> None:
    with pytest.raises(AcknowledgementError):
        Acknowledgement.from_bytes(payload)


@given(sequences=st.lists(st.integers(0, 50)))
def test_ranges_hold_exactly_the_sequences(sequences: list[int]) -> None:
    ranges = list(ranges_of(sequences))

    held = [n for first, last in ranges for n in range(first, last + 1)]
    assert held == sorted(set(sequences))
    assert all(later[0] > earlier[1] + 1 for earlier, later in pairwise(ranges))
