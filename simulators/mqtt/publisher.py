"""Publishes what machines measure over MQTT 5, every message at least once.

One message carries all signals of one machine at one moment:
``{"time_ns": 1700000000000000000, "values": {"flow_m3_h": 104.2, …}, "quality": {…}}``. Quality
is left out while it is good; a value the machine did not give is ``null``.
"""

import json
import logging
import math
import threading
from collections.abc import Sequence
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.reasoncodes import ReasonCode

from simulators.errors import DeliveryError, StartError
from simulators.loopback import LOOPBACK
from simulators.mqtt.broker import Secret
from simulators.reading import BAD, GOOD, Moment

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S: Final = 10.0
_MOST_IN_FLIGHT: Final = 100


def topic_of(site: str, machine: str) -> str:
    """Name the topic of a machine's telemetry.

    Parameters
    ----------
    site : str
        Site of the edge agent, or ``{machine}`` left for a pattern.
    machine : str
        Machine.

    Returns
    -------
    str
        The topic.

    Examples
    --------
    >>> topic_of("mill-7", "pump-01")
    'plant/mill-7/pump-01/telemetry'
    """
    return f"plant/{site}/{machine}/telemetry"


def payload_of(signals: Sequence[str], moment: Moment) -> bytes:
    """Encode one moment of one machine.

    Parameters
    ----------
    signals : sequence of str
        Signal names.
    moment : Moment
        What it measured, and when.

    Returns
    -------
    bytes
        JSON.

    Examples
    --------
    >>> payload_of(["flow_m3_h"], Moment(5, (float("nan"),), (BAD,)))
    b'{"time_ns":5,"values":{"flow_m3_h":null},"quality":{"flow_m3_h":2}}'
    """
    # JSON has no nan, so a value that is not there is null, and bad whatever its moment is.
    document: dict[str, Any] = {
        "time_ns": moment.time_ns,
        "values": {
            signal: None if math.isnan(value) else value
            for signal, value in zip(signals, moment.values, strict=True)
        },
    }
    qualities = {
        signal: BAD if math.isnan(value) else quality
        for signal, value, quality in zip(signals, moment.values, moment.quality, strict=True)
        if quality != GOOD or math.isnan(value)
    }
    if qualities:
        document["quality"] = qualities
    return json.dumps(document, separators=(",", ":")).encode()


class MqttPublisher:
    """A connected publisher; publishing never blocks.

    Parameters
    ----------
    port : int
        Port of 127.0.0.1 the broker listens on.
    secret : Secret
        Whom to log in as.
    """

    def __init__(self, port: int, secret: Secret) -> None:
        self._port = port
        self._connected = threading.Event()
        self._refusal = ""
        self._client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id="staybolt-plant", protocol=mqtt.MQTTv5
        )
        self._client.username_pw_set(secret.user, secret.password)
        self._client.max_inflight_messages_set(_MOST_IN_FLIGHT)
        self._client.on_connect = self._on_connect
        self._client.on_publish = self._on_publish
        self._lock = threading.Lock()
        self._n_unacknowledged = 0

    @property
    def n_unacknowledged(self) -> int:
        """Messages the broker has not yet acknowledged."""
        with self._lock:
            return self._n_unacknowledged

    def connect(self) -> None:
        """Connect and wait for the broker's word.

        Raises
        ------
        StartError
            If the broker does not answer or refuses the login.
        """
        try:
            self._client.connect(LOOPBACK, self._port)
        except OSError as error:
            msg = f"MQTT broker on {LOOPBACK}:{self._port} can't be reached: {error}"
            raise StartError(msg) from error
        self._client.loop_start()
        if not self._connected.wait(CONNECT_TIMEOUT_S) or self._refusal:
            self.close()
            reason = self._refusal or f"no answer within {CONNECT_TIMEOUT_S:g} s"
            msg = f"MQTT broker on {LOOPBACK}:{self._port} did not let the plant in: {reason}"
            raise StartError(msg)

    def publish(self, topic: str, payload: bytes) -> None:
        """Hand a message over.

        Parameters
        ----------
        topic : str
            Its topic.
        payload : bytes
            Its content.

        Raises
        ------
        DeliveryError
            If the broker refused an earlier message, or the client won't take more.
        """
        if self._refusal:
            msg = f"MQTT broker on {LOOPBACK}:{self._port} refused a message: {self._refusal}"
            raise DeliveryError(msg)
        with self._lock:
            self._n_unacknowledged += 1
        info = self._client.publish(topic, payload, qos=1)
        # Not connected just now is no failure: the client keeps the message and sends it then.
        if info.rc not in {mqtt.MQTT_ERR_SUCCESS, mqtt.MQTT_ERR_NO_CONN}:
            msg = f"MQTT message for {topic} was not taken: {mqtt.error_string(info.rc)}"
            raise DeliveryError(msg)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    # An exception in a callback would end paho's network thread without a word, so these only
    # note what happened.
    def _on_connect(
        self,
        _client: mqtt.Client,
        _data: object,
        _flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        _properties: object,
    ) -> None:
        if reason.is_failure:
            self._refusal = str(reason)
        self._connected.set()

    def _on_publish(
        self,
        _client: mqtt.Client,
        _data: object,
        _message: int,
        reason: ReasonCode,
        _properties: object,
    ) -> None:
        with self._lock:
            self._n_unacknowledged -= 1
        if reason.is_failure:
            self._refusal = str(reason)
