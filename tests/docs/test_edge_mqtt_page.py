"""Every example of the page on MQTT is what the agent makes of it."""

import json
import math
import re
import tomllib
from datetime import UTC, datetime
from typing import NamedTuple

import pytest

from edge_agent.counters import Counters
from edge_agent.settings_mqtt import MqttSettings, MqttTopicSettings
from edge_agent.sources.mqtt_families import Families
from edge_agent.sources.mqtt_reading import Message, Reading
from ingest.telemetry.sparkplug import DataType, MetricToSend, encode_payload
from tests.servers.availability import ROOT

PAGE = (ROOT / "docs" / "edge-mqtt.md").read_text()
EXAMPLE = re.compile(
    r"```toml\n(\[\[mqtt\.topics\]\].*?)```\s+A message on `([^`]+)`\s+```\w+\n(.*?)```\s+"
    r"becomes\s+```text\n(.*?)```",
    re.DOTALL,
)
QUALITIES = ("good", "uncertain", "bad")


class Example(NamedTuple):
    settings: str
    topic: str
    payload: str
    samples: str


EXAMPLES = [Example(*found) for found in EXAMPLE.findall(PAGE)]


def payload_of(example: Example) -> bytes:
    if not example.topic.startswith("spBv1.0"):
        return example.payload.strip().encode()
    metrics = [
        MetricToSend(
            DataType[one["type"]], one["value"], one["name"], one["alias"], time_ms=one["ms"]
        )
        for one in json.loads(example.payload)
    ]
    return encode_payload(metrics, timestamp_ms=1_700_000_000_000, seq=1)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.topic)
def test_an_example_is_read_as_the_page_says(example: Example) -> None:
    (topic,) = tomllib.loads(example.settings)["mqtt"]["topics"]
    families = Families("mill-7", None, Counters(), [MqttTopicSettings.model_validate(topic)])

    ((_, reading),) = families.read(Message(example.topic, payload_of(example), 0), None, 0.0)

    assert isinstance(reading, Reading)
    assert reading.fault is None
    lines = []
    for priority, batch in reading.parts:
        for row in range(len(batch)):
            series, value = batch.series[int(batch.series_index[row])], float(batch.value[row])
            at = datetime.fromtimestamp(int(batch.source_time_ns[row]) / 1e9, UTC)
            lines.append(
                f"{series.machine} {series.signal} {'-' if math.isnan(value) else value} "
                f"{QUALITIES[int(batch.quality[row])]} {at.replace(tzinfo=None).isoformat()} "
                f"{priority}"
            )
    assert lines == example.samples.strip().splitlines()


def test_there_is_an_example_of_every_format() -> None:
    formats = [
        MqttTopicSettings.model_validate(tomllib.loads(one.settings)["mqtt"]["topics"][0]).format
        for one in EXAMPLES
    ]

    assert set(formats) == {"staybolt", "json", "line-protocol", "sparkplug"}
    assert len(EXAMPLES) == PAGE.count("A message on `")


def test_the_connection_on_the_page_is_legal() -> None:
    (connection,) = re.findall(r"```toml\n(\[\[mqtt\]\]\n.*?)```", PAGE, re.DOTALL)

    settings = tomllib.loads(connection)["mqtt"][0]

    topics = [{"topic": "{machine}"}]
    assert MqttSettings.model_validate({**settings, "topics": topics}).port == 8883
