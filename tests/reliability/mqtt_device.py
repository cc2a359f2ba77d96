"""A broker that is not ours and a device that publishes to it and writes down what it sensed."""

import contextlib
import json
import secrets
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from simulators.loopback import free_port
from tests.reliability.oracle import Oracle, Reading
from tests.servers.availability import find_program
from tests.servers.launch import Address, running

BASE_TIME_NS = 1_700_000_000_000_000_000
MS = 1_000_000
TIMEOUT_S = 30.0


@contextlib.contextmanager
def narrow_broker(folder: Path, *, in_flight: int) -> Iterator[Address]:
    """Mosquitto that has only so many messages on their way to a subscriber at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
        f"max_queued_messages 0\nmax_inflight_messages {in_flight}\nset_tcp_nodelay true\n"
    )
    with running([find_program("mosquitto") or "mosquitto", "-c", config], port, folder):
        yield Address("127.0.0.1", port)


def begin_session(broker: Address, client_id: str, topic_filter: str) -> None:
    """Subscribe in the agent's name and leave, so that the broker keeps what comes from now on."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv5)
    subscribed = threading.Event()
    client.on_subscribe = lambda *_: subscribed.set()
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's own
    properties.SessionExpiryInterval = 86_400
    client.connect(broker.host, broker.port, clean_start=False, properties=properties)
    client.loop_start()
    client.subscribe(topic_filter, qos=1)
    assert subscribed.wait(TIMEOUT_S), "the broker does not answer a subscription"
    client.disconnect()
    client.loop_stop()


@dataclass(frozen=True, slots=True)
class Message:
    """One publication, and what was sensed for it."""

    topic: str
    payload: bytes
    readings: tuple[Reading, ...]


class Device:
    """Publishes values with QoS 1; each carries the counter of its node, a machine's signal."""

    def __init__(self, broker: Address, prefix: str, oracle: Oracle) -> None:
        self._oracle = oracle
        self._prefix = prefix
        self._counters: dict[str, int] = {}
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.max_inflight_messages_set(1000)
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()

    def sense(self, machine: str, signal: str = "flow_m3_h") -> Message:
        """Measure once."""
        node = f"{machine}.{signal}"
        counter = self._counters[node] = self._counters.get(node, 0) + 1
        self._oracle.sensed(node, counter)
        document = {"time_ns": BASE_TIME_NS + counter * MS, "values": {signal: counter}}
        return self._message(machine, document, ((node, counter),))

    def sense_many(self, machine: str, signals: Sequence[str]) -> Message:
        """Measure each of many signals for the first time, with digits that no packing shortens."""
        readings = tuple((f"{machine}.{signal}", 1) for signal in signals)
        for node, counter in readings:
            self._oracle.sensed(node, counter)
        values = {signal: 1.0 + secrets.randbelow(10**12) / 10**12 for signal in signals}
        return self._message(machine, {"time_ns": BASE_TIME_NS, "values": values}, readings)

    def spoil(self, machine: str, number: int) -> Message:
        """A message that nobody can read."""
        topic = f"{self._prefix}/{machine}/telemetry"
        return Message(topic, f"{{spoilt {number} ".encode(), ())

    def publish(self, messages: Sequence[Message]) -> None:
        """Publish messages, and wait until the broker has them."""
        told = [self._client.publish(each.topic, each.payload, qos=1) for each in messages]
        for each in told:
            each.wait_for_publish(TIMEOUT_S)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _message(self, machine: str, document: object, readings: tuple[Reading, ...]) -> Message:
        topic = f"{self._prefix}/{machine}/telemetry"
        return Message(topic, json.dumps(document).encode(), readings)
