"""MQTT messages as samples: what can be read is kept, what can't is named."""

import json
import math
import re
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.errors import PayloadError
from edge_agent.settings_mqtt import MqttTopicSettings
from edge_agent.sources.mqtt_payload import OwnJsonReader, load_object, read_document
from edge_agent.sources.mqtt_reading import Message, topic_pattern
from ingest.telemetry import (
    Quality,
    Series,
    TelemetryBatch,
    decode_lines,
    encode_lines,
    is_legal_name,
)


class Read(NamedTuple):
    batch: TelemetryBatch
    fault: str | None


def parse_payload(payload: bytes, site: str, machine: str) -> Read:
    reader = OwnJsonReader(site, None, "raw")
    reading = reader.read(Message("t", payload, 0), {"machine": machine})
    if not reading.parts:
        return Read(TelemetryBatch.empty(), reading.fault)
    ((priority, batch),) = reading.parts
    assert priority == "raw"
    return Read(batch, reading.fault)


def parse(document: object) -> tuple[list[tuple[str, float, int]], str | None]:
    reading = parse_payload(json.dumps(document).encode(), "mill-7", "pump-01")
    batch = reading.batch
    return [
        (batch.series[row].signal, value, quality)
        for row, value, quality in zip(
            batch.series_index.tolist(), batch.value.tolist(), batch.quality.tolist(), strict=True
        )
    ], reading.fault


def test_values_become_samples_of_the_topics_machine() -> None:
    reading = parse_payload(
        b'{"time_ns": 1700000000000000001, "values": {"flow_m3_h": 2.5, "speed_rpm": 900}}',
        "mill-7",
        "pump-01",
    )

    assert reading.fault is None
    assert reading.batch.series == (
        Series("mill-7", "pump-01", "flow_m3_h"),
        Series("mill-7", "pump-01", "speed_rpm"),
    )
    assert reading.batch.value.tolist() == [2.5, 900.0]
    assert reading.batch.source_time_ns.tolist() == [1700000000000000001] * 2
    assert reading.batch.quality.tolist() == [Quality.GOOD] * 2


def test_quality_may_be_given_and_null_is_bad_without_value() -> None:
    samples, fault = parse({
        "time_ns": 1,
        "values": {"flow_m3_h": 2.0, "speed_rpm": None, "motor_power_kw": True},
        "quality": {"flow_m3_h": 1, "speed_rpm": 0},
    })

    assert fault is None
    assert samples[0] == ("flow_m3_h", 2.0, Quality.UNCERTAIN)
    assert math.isnan(samples[1][1])
    assert samples[1][2] == Quality.BAD
    assert samples[2] == ("motor_power_kw", 1.0, Quality.GOOD)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"values": {"flow_m3_h": 1, "flow": 2}}, "signal 'flow' ends in no known unit"),
        ({"values": {"flow_m3_h": 1, "a,b=c_c": 2}}, "signal 'a,b=c_c' ends in no known unit"),
        ({"values": {"flow_m3_h": 1, "speed_rpm": "fast"}}, "speed_rpm is no number"),
        ({"values": {"flow_m3_h": 1, "speed_rpm": [1]}}, "speed_rpm is no number"),
        ({"values": {"flow_m3_h": 1, "speed_rpm": 10**400}}, "speed_rpm is not finite"),
        ({"values": {"flow_m3_h": 1, "speed_rpm": math.nan}}, "speed_rpm is not finite"),
        ({"qualty": {}}, "unknown key 'qualty'"),
        ({"quality": {"speed_rpm": 1}}, "quality of 'speed_rpm', which has no value"),
    ],
)
def test_one_wrong_thing_is_named_and_the_rest_is_kept(
    changed: dict[str, object], said: str
) -> None:
    samples, fault = parse({"time_ns": 1, "values": {"flow_m3_h": 1}} | changed)

    assert samples == [("flow_m3_h", 1.0, 0)]
    assert fault is not None
    assert said in fault


def test_a_quality_that_is_none_refuses_its_sample_only() -> None:
    samples, fault = parse({
        "time_ns": 1,
        "values": {"flow_m3_h": 1, "speed_rpm": 2},
        "quality": {"speed_rpm": 9},
    })

    assert samples == [("flow_m3_h", 1.0, 0)]
    assert fault == "quality of speed_rpm is none of 0, 1, 2"


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"{", b"\xff", b"[]", b"7", b"[" * 100_000, b'{"time_ns": 1}',
        b'{"time_ns": 1, "values": {}}', b'{"time_ns": 1, "values": [1]}',
        b'{"time_ns": 1.5, "values": {"flow_m3_h": 1}}',
        b'{"time_ns": true, "values": {"flow_m3_h": 1}}',
        b'{"time_ns": -1, "values": {"flow_m3_h": 1}}',
        b'{"time_ns": 99999999999999999999, "values": {"flow_m3_h": 1}}',
        b'{"time_ns": ' + b"1" * 6000 + b', "values": {"flow_m3_h": 1}}',
        b'{"time_ns": 1, "values": {"flow_m3_h": 1}, "quality": 3}',
        b" " * 1_000_001,
    ],
)  # fmt: skip
def test_a_message_without_any_sample_is_refused_with_a_reason(payload: bytes) -> None:
    with pytest.raises(PayloadError) as caught:
        parse_payload(payload, "mill-7", "pump-01")

    assert 10 < len(str(caught.value)) < 400


def test_the_machine_comes_from_the_topic_and_must_be_a_legal_name() -> None:
    pattern = topic_pattern("plant/a.b/{machine}/telemetry")

    assert pattern.fullmatch("plant/aXb/m/telemetry") is None
    assert pattern.fullmatch("plant/a.b/m/n/telemetry") is None
    with pytest.raises(PayloadError, match="not a legal name"):
        parse_payload(b"{}", "mill-7", "x,site=other")


def test_the_filter_of_a_topic_has_a_wildcard_for_the_machine() -> None:
    assert MqttTopicSettings(topic="plant/{machine}/x").filter == "plant/+/x"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=10,
)
SIGNALS = st.sampled_from(["flow_m3_h", "speed_rpm", "bad", "x y_c", "a_c"])
MESSAGES = st.one_of(
    st.binary(max_size=200),
    JSON.map(lambda document: json.dumps(document).encode()),
    st.fixed_dictionaries(
        {"time_ns": st.integers() | JSON, "values": st.dictionaries(SIGNALS, JSON, max_size=4)},
        optional={"quality": st.dictionaries(SIGNALS, JSON, max_size=4), "more": JSON},
    ).map(lambda document: json.dumps(document).encode()),
)


@given(payload=MESSAGES, machine=st.text(max_size=10))
def test_any_message_is_read_or_refused_and_what_is_read_can_be_sent(
    payload: bytes, machine: str
) -> None:
    try:
        reading = parse_payload(payload, "mill-7", machine)
    except PayloadError:
        return

    assert is_legal_name(machine)
    decoded = decode_lines(encode_lines(reading.batch), received_at_ns=0)
    assert decoded.rejected == ()
    assert len(decoded.batch) == len(reading.batch)


@given(payload=MESSAGES)
def test_the_fast_way_reads_what_reading_value_by_value_reads(payload: bytes) -> None:
    try:
        plain, fault = read_document(load_object(payload), "mill-7", "pump-01")
    except PayloadError as error:
        with pytest.raises(PayloadError, match=re.escape(str(error))):
            parse_payload(payload, "mill-7", "pump-01")
        return

    reading = parse_payload(payload, "mill-7", "pump-01")

    assert reading.fault == fault
    assert encode_lines(reading.batch) == encode_lines(plain)
