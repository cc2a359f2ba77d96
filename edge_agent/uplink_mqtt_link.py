"""One connection to the broker that an uplink over MQTT sends to.

paho's own thread would end silently at the first fault in a callback, so it is driven by whoever
waits for something from it. Knows nothing of outboxes and answers but how they are addressed.
"""

import logging
import ssl
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Final

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_agent.errors import SettingsError
from edge_agent.messages import NotAllowed, Unavailable
from edge_agent.settings_file import read_secret
from edge_agent.settings_uplink import UplinkSettings
from edge_agent.uplink_tls import uplink_context
from ingest.telemetry import mqtt_contract as contract
from ingest.telemetry.mqtt_contract import Acknowledgement, AcknowledgementError, Sender

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S: Final = 10.0

KEEPALIVE_S: Final = 120
"""Nothing pings between two sendings; a broker waits one and a half times this for the next."""

SESSION_EXPIRY_S: Final = 600
"""How long the broker keeps answers for us while the connection is made anew."""

MAX_WINDOW: Final = 1000
PACKET_HEAD_BYTES: Final = 1024
"""Topic and properties of a message, at most about."""

COMPRESSION_LEVEL: Final = 1

NO_SUBSCRIBER: Final = 0x10
_NOT_ALLOWED_CODES: Final = frozenset({0x81, 0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C, 0x90, 0x95, 0x99})
"""Reason codes that a person must mend; all others may pass by themselves."""

Key = tuple[int, str | None]
"""A record, or a range of bytes of one."""


class Ended(Exception):  # noqa: N818 - carries the answer that it ends a sending with
    """The connection can't be used, or not for this.

    Parameters
    ----------
    answer : NotAllowed or Unavailable
        What that means for the records.
    """

    def __init__(self, answer: NotAllowed | Unavailable) -> None:
        super().__init__(str(answer))
        self.answer = answer


class BrokerConnection:
    """One connection to the broker, not opened yet.

    Parameters
    ----------
    settings : UplinkSettings
        Where the broker is, and how to enter it.
    sender : Sender
        Whose topics are used.
    client_id : str
        Name of our session.
    on_ack : callable
        Takes each answer of ingest.
    """

    def __init__(
        self,
        settings: UplinkSettings,
        sender: Sender,
        client_id: str,
        on_ack: Callable[[Acknowledgement], None],
    ) -> None:
        self._settings = settings
        self._sender = sender
        self._on_ack = on_ack
        self._connack: tuple[ReasonCode, Properties | None] | None = None
        self._suback: ReasonCode | None = None
        self._lost: str | None = None
        self._refused: NotAllowed | Unavailable | None = None
        self._under_way: set[int] = set()
        self._window = MAX_WINDOW
        self.max_packet_bytes = 2**28
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
        )
        self._client.connect_timeout = CONNECT_TIMEOUT_S
        self._client.max_inflight_messages_set(0)  # the window is kept here
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._disconnected
        self._client.on_subscribe = self._subscribed
        self._client.on_publish = self._published
        self._client.on_message = self._message

    @property
    def is_lost(self) -> bool:
        """Whether it can no longer be used."""
        return self._lost is not None

    @property
    def has_room(self) -> bool:
        """Whether the broker takes another message now."""
        return len(self._under_way) < self._window

    def open(self) -> None:
        """Connect, and ask for the answers to us.

        Raises
        ------
        Ended
            If the broker can't be reached or does not let us.
        """
        settings, client = self._settings, self._client
        try:
            if settings.user is not None and settings.password_file is not None:
                client.username_pw_set(settings.user, read_secret(settings.password_file))
            if settings.is_encrypted:
                client.tls_set_context(uplink_context(settings))
        except SettingsError as error:
            raise Ended(NotAllowed(str(error))) from error
        options: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types here
        options.SessionExpiryInterval = SESSION_EXPIRY_S
        try:
            client.connect(
                settings.parts.hostname or "",
                settings.port,
                KEEPALIVE_S,
                clean_start=False,
                properties=options,
            )
        except (OSError, ValueError) as error:
            msg = f"{settings.url} can't be reached: {_words(error)}"
            raise Ended(Unavailable(msg)) from error
        self._wait_for(lambda: self._connack is not None, "did not let us in")
        self._take_limits()
        client.subscribe(self._sender.ack_topic, qos=1)
        self._wait_for(lambda: self._suback is not None, "did not answer our subscription")
        if self._suback is not None and self._suback.is_failure:
            raise Ended(
                NotAllowed(
                    f"the broker refuses our answer topic {self._sender.ack_topic}: "
                    f"{self._suback}; give {settings.user or 'us'} the right to read it"
                )
            )

    def close(self) -> None:
        """Say goodbye, if anybody is there."""
        self._client.disconnect()

    def publish(self, outbox: str, key: Key, body: bytes) -> None:
        """Send one message.

        Parameters
        ----------
        outbox : str
            Where it comes from.
        key : Key
            Which record, or part of one.
        body : bytes
            Its lines.
        """
        sequence, part = key
        options: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types here
        options.ResponseTopic = self._sender.ack_topic
        told = [(contract.OUTBOX, outbox), (contract.SEQUENCE, str(sequence))]
        if part is not None:
            told.append((contract.PART, part))
        if self._settings.compress:
            told.append((contract.ENCODING, contract.ZLIB))
            body = zlib.compress(body, COMPRESSION_LEVEL)
        options.UserProperty = told
        info = self._client.publish(self._sender.telemetry_topic, body, qos=1, properties=options)
        self._under_way.add(info.mid)

    def turn(self, timeout_s: float) -> None:
        """Write and read what can be, waiting at most so long.

        Raises
        ------
        Ended
            If the connection is lost, or the broker refused a message.
        """
        code = self._client.loop(timeout_s)
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS and self._lost is None:
            self._lost = paho.error_string(code)
        if self._refused is not None:
            raise Ended(self._refused)
        if self._lost is not None:
            raise Ended(Unavailable(f"connection to {self._settings.url} lost: {self._lost}"))

    def _wait_for(self, is_true: Callable[[], bool], failure: str) -> None:
        deadline_s = time.monotonic() + CONNECT_TIMEOUT_S
        while not is_true():
            if time.monotonic() > deadline_s:
                msg = f"{self._settings.url} {failure} within {CONNECT_TIMEOUT_S:.0f} s"
                raise Ended(Unavailable(msg))
            self.turn(0.1)

    def _take_limits(self) -> None:
        if self._connack is None:
            return
        options: Any = self._connack[1]
        self._window = min(MAX_WINDOW, getattr(options, "ReceiveMaximum", MAX_WINDOW))
        self.max_packet_bytes = getattr(options, "MaximumPacketSize", self.max_packet_bytes)
        if self.max_packet_bytes < 4 * PACKET_HEAD_BYTES:
            msg = (
                f"the broker takes messages of {self.max_packet_bytes} bytes only; raise its limit "
                f"(max_packet_size) to {self._settings.max_batch_bytes + PACKET_HEAD_BYTES}"
            )
            raise Ended(NotAllowed(msg))

    # --- what the broker says ------------------------------------------------------------------

    def _connected(
        self,
        _client: paho.Client,
        _data: object,
        _flags: object,
        code: ReasonCode,
        options: Properties | None,
    ) -> None:
        self._connack = code, options
        if code.is_failure:
            words = f"the broker does not let us in: {code}"
            if code.value in _NOT_ALLOWED_CODES:
                self._refused = NotAllowed(
                    f"{words}; correct uplink.user, password_file or tls_certificate_file"
                )
            else:
                self._refused = Unavailable(words)

    def _disconnected(
        self,
        _client: paho.Client,
        _data: object,
        _flags: object,
        code: ReasonCode,
        _options: Properties | None,
    ) -> None:
        self._lost = str(code)

    def _subscribed(
        self,
        _client: paho.Client,
        _data: object,
        _mid: int,
        codes: Sequence[ReasonCode],
        _options: Properties | None,
    ) -> None:
        self._suback = codes[0]

    def _published(
        self,
        _client: paho.Client,
        _data: object,
        mid: int,
        code: ReasonCode,
        _options: Properties | None,
    ) -> None:
        self._under_way.discard(mid)
        if code.value == NO_SUBSCRIBER:
            self._refused = Unavailable(
                "nobody listens to our topic; start staybolt-ingest with [mqtt], and see that the "
                "broker lets it read staybolt/v1/+/+/telemetry"
            )
        elif code.is_failure and code.value in _NOT_ALLOWED_CODES:
            self._refused = NotAllowed(
                f"the broker refuses {self._sender.telemetry_topic}: {code}; give "
                f"{self._settings.user or 'us'} the right to write there"
            )
        elif code.is_failure:
            self._refused = Unavailable(f"the broker refuses a message: {code}")

    def _message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        try:
            self._on_ack(Acknowledgement.from_bytes(bytes(message.payload)))
        except AcknowledgementError as error:
            logger.warning("%s: %s", self._sender.ack_topic, error)


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
