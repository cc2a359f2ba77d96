"""Connects an edge node of Sparkplug B to a broker."""

import threading
import time
from typing import Final

import paho.mqtt.client as mqtt
from paho.mqtt.reasoncodes import ReasonCode

from simulators.errors import StartError
from simulators.loopback import LOOPBACK
from simulators.mqtt.broker import Secret
from simulators.mqtt.sparkplug.node import Message, SparkplugNode
from simulators.reading import Moment

_CONNECT_TIMEOUT_S: Final = 10.0


class SparkplugSession:
    """A node on a broker: births when it connects, death as its will.

    Data go with quality of service 0, as the specification wants it: a host that misses one sees
    a gap in the sequence and asks for a rebirth.

    Parameters
    ----------
    port : int
        Port of 127.0.0.1 the broker listens on.
    secret : Secret
        Whom to log in as.
    node : SparkplugNode
        What to publish.
    """

    def __init__(self, port: int, secret: Secret, node: SparkplugNode) -> None:
        self._port, self._node = port, node
        self._born = threading.Event()
        self._refusal = ""
        # Births from the network thread and data from the play must not mix their numbers.
        self._lock = threading.Lock()
        self._client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=f"sparkplug-{node.group}-{node.node}",
            protocol=mqtt.MQTTv5,
        )
        self._client.username_pw_set(secret.user, secret.password)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message

    def connect(self) -> None:
        """Connect, and be born.

        Raises
        ------
        StartError
            If the broker does not answer or refuses the login.
        """
        will = self._node.connect()
        self._client.will_set(will.topic, will.payload, qos=1)
        try:
            self._client.connect(LOOPBACK, self._port, clean_start=True)
        except OSError as error:
            msg = f"MQTT broker on {LOOPBACK}:{self._port} can't be reached: {error}"
            raise StartError(msg) from error
        self._client.loop_start()
        if not self._born.wait(_CONNECT_TIMEOUT_S) or self._refusal:
            self.close()
            reason = self._refusal or f"no answer within {_CONNECT_TIMEOUT_S:g} s"
            msg = f"MQTT broker on {LOOPBACK}:{self._port} did not let the node in: {reason}"
            raise StartError(msg)

    def send(self, device: str, moment: Moment, *, is_historical: bool = False) -> None:
        """Tell what a device measured.

        Parameters
        ----------
        device : str
            The device.
        moment : Moment
            What it measured, and when.
        is_historical : bool
            Whether newer values have been told.
        """
        with self._lock:
            now_ns = time.time_ns()
            self._publish(self._node.data(device, moment, now_ns, is_historical=is_historical))

    def kill_device(self, device: str) -> None:
        """Let a device die; its next data bring it back.

        Parameters
        ----------
        device : str
            The device.
        """
        with self._lock:
            self._publish([self._node.device_death(device, time.time_ns())])

    def close(self) -> None:
        """Die in an orderly way: with a last message, and without the will."""
        with self._lock:
            death = self._node.will()
            if self._client.is_connected():
                self._client.publish(death.topic, death.payload, qos=1).wait_for_publish(1.0)
        self._client.disconnect()
        self._client.loop_stop()

    def _publish(self, messages: list[Message]) -> None:
        for message in messages:
            self._client.publish(message.topic, message.payload, qos=0)

    # An exception in a callback would end paho's network thread without a word.
    def _on_connect(
        self,
        client: mqtt.Client,
        _data: object,
        _flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        _properties: object,
    ) -> None:
        if reason.is_failure:
            self._refusal = str(reason)
        else:
            client.subscribe(self._node.topic("NCMD"), qos=1)
            with self._lock:
                self._publish(self._node.births(time.time_ns()))
        self._born.set()

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        with self._lock:
            births = self._node.command(message.topic, bytes(message.payload), time.time_ns())
            self._publish(births)
