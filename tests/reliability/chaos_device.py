"""A device that publishes over MQTT among broker failures, and keeps what is not known to be kept.

It writes down what it senses first. What the broker has not acknowledged, or has acknowledged with
"no matching subscribers", it publishes again; after the broker was killed also what was
acknowledged in the last moments before, which the broker may not have written yet.
"""

import json
import time
from collections import deque
from dataclasses import dataclass

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from tests.reliability.mqtt_device import BASE_TIME_NS, MS
from tests.reliability.oracle import Oracle

NO_MATCHING_SUBSCRIBERS = 0x10
DOUBTFUL_S = 2.0
"""Mosquitto writes its file in the loop turn after a change; two seconds are ample."""

STILL_THE_OLD_S = 0.25
"""A killed broker is started again later than this."""


@dataclass(slots=True)
class _Sent:
    topic: str
    payload: bytes
    acknowledged_at_s: float = 0.0


class ChaosDevice:
    """Publishes one value of each machine again and again."""

    def __init__(self, port: int, prefix: str, n_machines: int, oracle: Oracle) -> None:
        self.n_repeated = 0
        self._oracle = oracle
        self._prefix = prefix
        self._machines = [f"pump-{number}" for number in range(n_machines)]
        self._counter = 0
        # The network's thread only ever appends: a lock of ours would meet paho's own.
        self._answers: deque[tuple[int, ReasonCode, float]] = deque()
        self._by_mid: dict[int, _Sent] = {}
        self._done: list[_Sent] = []
        self._again: list[_Sent] = []
        self._killed_at_s = -1e9
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="device", protocol=paho.MQTTv5
        )
        self._client.max_queued_messages_set(0)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_publish = self._published
        self._client.connect(host="127.0.0.1", port=port, keepalive=5)
        self._client.loop_start()

    def say(self) -> None:
        """One value of each machine."""
        self._counter += 1
        time_ns = BASE_TIME_NS + self._counter * MS
        for machine in self._machines:
            self._oracle.sensed(f"{machine}.flow_m3_h", self._counter)
            document = {"time_ns": time_ns, "values": {"flow_m3_h": self._counter}}
            sent = _Sent(f"{self._prefix}/{machine}/telemetry", json.dumps(document).encode())
            self._publish(sent)
        self._repeat()

    def is_done(self) -> bool:
        """Whether the broker has everything; what it had no subscriber for is published again."""
        self._repeat()
        return not self._by_mid and not self._again

    def broker_was_killed(self) -> None:
        """Publish again what the broker acknowledged last."""
        self._killed_at_s = time.monotonic()
        self._take_answers()
        since_s = self._killed_at_s - DOUBTFUL_S
        self._again += [sent for sent in self._done if sent.acknowledged_at_s > since_s]
        self._done = [sent for sent in self._done if sent.acknowledged_at_s <= since_s]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _repeat(self) -> None:
        self._take_answers()
        again, self._again = self._again, []
        self.n_repeated += len(again)
        for sent in again:
            self._publish(sent)

    def _publish(self, sent: _Sent) -> None:
        self._by_mid[self._client.publish(sent.topic, sent.payload, qos=1).mid] = sent

    def _take_answers(self) -> None:
        while self._answers:
            mid, code, at_s = self._answers.popleft()
            sent = self._by_mid.pop(mid, None)
            if sent is None:
                continue
            # An answer that was still in the socket when its broker died promises nothing.
            is_late = self._killed_at_s <= at_s < self._killed_at_s + STILL_THE_OLD_S
            if is_late or code.value == NO_MATCHING_SUBSCRIBERS or code.is_failure:
                self._again.append(sent)
            else:
                sent.acknowledged_at_s = at_s
                self._done.append(sent)

    def _published(
        self, _client: object, _data: object, mid: int, code: ReasonCode, _properties: object
    ) -> None:
        self._answers.append((mid, code, time.monotonic()))
