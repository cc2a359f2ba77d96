"""Sparkplug B over a real broker, read by a library and a client that are not ours."""

import json
import queue
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from simulators.loopback import LOOPBACK, free_port
from simulators.mqtt.broker import Broker
from simulators.mqtt.sparkplug.node import REBIRTH, SparkplugNode
from simulators.mqtt.sparkplug.payload import Payload
from simulators.mqtt.sparkplug.session import SparkplugSession
from simulators.reading import GOOD, UNCERTAIN, Moment
from tests.servers.availability import ROOT, find_program

pytestmark = [pytest.mark.server("sparkplug-payload"), pytest.mark.timeout(60)]
NOW_NS = 1_700_000_000_000_000_000
DEVICES = {"press-01": ("oil_temperature_c", "system_pressure_bar")}


def decode(*payloads: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in foreign([payload.hex() for payload in payloads])]


def foreign(lines: list[str]) -> list[str]:
    node = find_program("node")
    assert node is not None
    answer = subprocess.run(
        [node, str(ROOT / "tests" / "servers" / "read_sparkplug.cjs")],
        input="\n".join(lines) + "\n",
        capture_output=True, text=True, check=True, cwd=ROOT, timeout=30,
    )  # fmt: skip
    return answer.stdout.splitlines()


def test_a_foreign_decoder_reads_births_data_and_deaths() -> None:
    node = SparkplugNode("plant", "mill", DEVICES)
    will = node.connect()
    node.data("press-01", Moment(NOW_NS, (48.5, 210.25), (GOOD, GOOD)), NOW_NS)
    births = node.births(NOW_NS)
    data = node.data("press-01", Moment(NOW_NS, (float("nan"), 207.0), (GOOD, UNCERTAIN)), NOW_NS)
    past = node.data(
        "press-01", Moment(NOW_NS - 10**9, (1.0, 2.0), (GOOD, GOOD)), NOW_NS, is_historical=True
    )
    death = node.device_death("press-01", NOW_NS)

    read = decode(*(message.payload for message in (will, *births, *data, *past, death)))

    told_will, told_birth, told_device, told_data, told_past, told_death = read
    assert told_will["metrics"][0]["name"] == "bdSeq"
    assert told_birth["metrics"][0]["value"] == told_will["metrics"][0]["value"]
    assert told_birth["metrics"][1]["name"] == REBIRTH
    assert [metric["name"] for metric in told_device["metrics"]] == list(DEVICES["press-01"])
    assert [metric["value"] for metric in told_device["metrics"]] == [48.5, 210.25]
    assert {metric["type"] for metric in told_device["metrics"]} == {"Double"}
    units = [metric["properties"]["engUnit"]["value"] for metric in told_device["metrics"]]
    assert units == ["°C", "bar"]
    missing, uncertain = told_data["metrics"]
    assert missing["value"] is None
    assert (uncertain["value"], uncertain["properties"]["Quality"]["value"]) == (207.0, 500)
    assert all(metric["isHistorical"] for metric in told_past["metrics"])
    assert [metric["alias"] for metric in told_data["metrics"]] == [1, 2]
    assert told_death["seq"] == told_past["seq"] + 1


def test_we_obey_a_rebirth_command_from_a_foreign_encoder() -> None:
    command = {
        "timestamp": 1,
        "metrics": [{"name": REBIRTH, "timestamp": 1, "type": "Boolean", "value": True}],
    }
    (encoded,) = foreign([f"encode {json.dumps(command)}"])

    births = SparkplugNode("plant", "mill", DEVICES).command(
        "spBv1.0/plant/NCMD/mill", bytes.fromhex(encoded), NOW_NS
    )

    assert len(births) == 2


@contextmanager
def host_on(broker: Broker) -> Iterator[tuple[mqtt.Client, "queue.Queue[mqtt.MQTTMessage]"]]:
    heard: queue.Queue[mqtt.MQTTMessage] = queue.Queue()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.username_pw_set(broker.edge.user, broker.edge.password)
    client.on_message = lambda _client, _data, message: heard.put(message)
    client.connect(LOOPBACK, broker.port)
    client.loop_start()
    client.subscribe("spBv1.0/#", qos=1)
    try:
        yield client, heard
    finally:
        client.disconnect()
        client.loop_stop()


def test_a_node_is_born_again_on_command_and_dies_in_the_open(tmp_path: Path) -> None:
    broker = Broker(tmp_path, free_port())
    broker.start()
    node = SparkplugNode("plant", "mill", DEVICES)
    session = SparkplugSession(broker.port, broker.plant, node)
    try:
        with host_on(broker) as (host, heard):
            session.connect()
            kinds = [heard.get(timeout=5).topic.split("/")[2] for _ in range(2)]
            session.send("press-01", Moment(NOW_NS, (50.0, 210.0), (GOOD, GOOD)))
            data = Payload.FromString(heard.get(timeout=5).payload)
            command = node.topic("NCMD")
            asked = Payload(timestamp=1)
            asked.metrics.add(name=REBIRTH, boolean_value=True, datatype=11, timestamp=1)
            host.publish(command, asked.SerializeToString(), qos=1)
            again: list[str] = []
            while len(again) < 2:
                kind = heard.get(timeout=5).topic.split("/")[2]
                again += [kind] if kind != "NCMD" else []
            session.close()
            death = heard.get(timeout=5).topic.split("/")[2]
    finally:
        broker.stop()

    assert kinds == again == ["NBIRTH", "DBIRTH"]
    assert [metric.double_value for metric in data.metrics] == [50.0, 210.0]
    assert death == "NDEATH"
