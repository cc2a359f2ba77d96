"""Publishes what machines measure over MQTT 5, every message at least once."""

import logging
import threading
from typing import Final

import paho.mqtt.client as mqtt
from paho.mqtt.reasoncodes import ReasonCode

from simulators.errors import DeliveryError, StartError
from simulators.loopback import LOOPBACK
from simulators.mqtt.broker import Secret

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S: Final = 10.0
_MOST_IN_FLIGHT: Final = 100


def topic_of(site: str, machine: str, form: str = "json") -> str:
    """Name the topic of a machine's telemetry.

    Parameters
    ----------
    site : str
        Site of the edge agent.
    machine : str
        Machine, or ``{machine}`` left for a pattern.
    form : {"json", "line"}
        Form of its messages; each has topics of its own.

    Returns
    -------
    str
        The topic.

    Examples
    --------
    >>> topic_of("mill-7", "pump-01")
    'plant/mill-7/pump-01/telemetry'
    """
    return f"plant/{site}/{machine}/{'lines' if form == 'line' else 'telemetry'}"


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
