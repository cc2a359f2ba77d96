"""One connection to an MQTT broker, driven by whoever waits for something from it.

There is no thread in here: `BrokerLink.turn` reads and writes. What comes is acknowledged only when
the owner says so. A session never outlives its connection, because what is dealt to a process that
is gone would be read by nobody.
"""

import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, NamedTuple

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from ingest.errors import IngestError, SettingsError
from ingest.secrets import read_secret
from ingest.settings_mqtt import BrokerSettings

KEEPALIVE_S: Final = 60
"""A store may take this long for one batch before the broker gives us up."""

CONNECT_TIMEOUT_S: Final = 10.0

RECEIVE_MAXIMUM: Final = 1000
"""Messages that the broker sends before it waits for our answers."""


class LostError(IngestError):
    """The connection to the broker is gone, or was never there."""


class Will(NamedTuple):
    """What the broker says for us when we are gone; QoS 1, retained."""

    topic: str
    payload: bytes


class BrokerLink:
    """A connection, not yet open.

    Parameters
    ----------
    settings : BrokerSettings
        Which broker.
    max_packet_bytes : int
        Largest message to be sent to us. [bytes]
    protocol : {"3.1.1", "5"}
        Version of MQTT.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        *,
        max_packet_bytes: int,
        protocol: Literal["3.1.1", "5"] = "5",
    ) -> None:
        self._broker = settings
        self._max_packet_bytes = max_packet_bytes
        self._is_v5 = protocol == "5"
        self._connack: ReasonCode | None = None
        self._suback: list[ReasonCode] = []
        self._lost: str | None = None
        self.client = client = paho.Client(
            CallbackAPIVersion.VERSION2,
            protocol=paho.MQTTv5 if self._is_v5 else paho.MQTTv311,
            clean_session=None if self._is_v5 else True,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = lambda _client, _data, message: self.on_message(message)

    def on_message(self, message: paho.MQTTMessage) -> None:
        """Take a message.

        Parameters
        ----------
        message : MQTTMessage
            As it came; it has to be acknowledged by ``client.ack``.
        """
        raise NotImplementedError

    def open(self, will: Will | None = None) -> None:
        """Connect.

        Parameters
        ----------
        will : Will, optional
            What to say for us when we are gone.

        Raises
        ------
        LostError
            If the broker can't be reached, or does not let us in.
        """
        settings, client = self._broker, self.client
        options: Any = None
        try:
            if settings.user is not None and settings.password_file is not None:
                client.username_pw_set(settings.user, read_secret(settings.password_file))
            if settings.tls_ca_file is not None:
                client.tls_set_context(_tls_context(settings))
            if will is not None:
                client.will_set(will.topic, will.payload, qos=1, retain=True)
            if self._is_v5:
                options = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types here
                options.SessionExpiryInterval = 0
                options.ReceiveMaximum = RECEIVE_MAXIMUM
                options.MaximumPacketSize = self._max_packet_bytes
            client.connect(
                settings.host,
                settings.port,
                KEEPALIVE_S,
                clean_start=True if self._is_v5 else paho.MQTT_CLEAN_START_FIRST_ONLY,
                properties=options,
            )
        except SettingsError as error:
            raise LostError(str(error)) from error
        except (OSError, ValueError) as error:
            msg = f"can't be reached: {getattr(error, 'strerror', None) or error}"
            raise LostError(msg) from error
        self._wait_for(lambda: self._connack is not None, "did not let us in")

    def subscribe(self, topics: Sequence[str]) -> None:
        """Ask for messages with QoS 1.

        Parameters
        ----------
        topics : sequence of str
            Filters.

        Raises
        ------
        LostError
            If the broker refuses one of them.
        """
        self._suback = []
        self.client.subscribe([(topic, 1) for topic in topics])
        self._wait_for(lambda: bool(self._suback), "did not answer our subscription")
        for topic, told in zip(topics, self._suback, strict=False):
            if told.is_failure:
                msg = f"refuses {topic}: {told}; give this user the right to read it"
                raise LostError(msg)

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool = False) -> None:
        """Send a message.

        Parameters
        ----------
        topic : str
            Its topic.
        payload : bytes
            What it says.
        qos : int
            Its quality of service.
        retain : bool
            Whether the broker keeps it for those who come later.
        """
        self.client.publish(topic, payload, qos=qos, retain=retain)

    def turn(self, timeout_s: float) -> None:
        """Read and write.

        Parameters
        ----------
        timeout_s : float
            How long to wait for something to read. [s]

        Raises
        ------
        LostError
            If the connection is lost.
        """
        code = self.client.loop(timeout_s)
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS and self._lost is None:
            self._lost = f"connection lost: {paho.error_string(code)}"
        if self._lost is not None:
            raise LostError(self._lost)

    def close(self) -> None:
        """Say goodbye, if anybody is there."""
        self.client.disconnect()

    def _wait_for(self, is_true: Callable[[], bool], failure: str) -> None:
        deadline_s = time.monotonic() + CONNECT_TIMEOUT_S
        while not is_true():
            if time.monotonic() > deadline_s:
                msg = f"{failure} within {CONNECT_TIMEOUT_S:.0f} s"
                raise LostError(msg)
            self.turn(0.1)

    # --- what the broker says ------------------------------------------------------------------

    def _on_connect(
        self, _client: paho.Client, _data: object, _flags: object, code: ReasonCode, _more: object
    ) -> None:
        self._connack = code
        if code.is_failure:
            table = self._broker.table
            self._lost = f"does not let us in: {code}; correct {table}.user or its password"

    def _on_disconnect(
        self, _client: paho.Client, _data: object, _flags: object, code: ReasonCode, _more: object
    ) -> None:
        self._lost = self._lost or f"connection lost: {code}"

    def _on_subscribe(
        self,
        _client: paho.Client,
        _data: object,
        _number: int,
        codes: Sequence[ReasonCode],
        _more: object,
    ) -> None:
        self._suback = list(codes)


def _tls_context(settings: BrokerSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca_file)
        if settings.tls_certificate_file is not None:
            context.load_cert_chain(settings.tls_certificate_file, settings.tls_key_file)
    except OSError as error:
        msg = (
            f"{settings.table}.tls_ca_file, tls_certificate_file or tls_key_file can't be used "
            f"({error}); give PEM files that this user may read, and the key that belongs to the "
            "certificate"
        )
        raise SettingsError(msg) from error
    return context
