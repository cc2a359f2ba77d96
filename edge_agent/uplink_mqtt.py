"""Records to a central MQTT 5 broker, acknowledged by ingest when its store has them.

A broker's PUBACK says that the broker has a message, which is not what an outbox may forget it
for; it only makes room in the window of messages that the broker takes at a time. A record is
stored when ingest says so on the answer topic (`ingest.telemetry.mqtt_contract`), whichever
sending of it that answers. Records that are not answered in time are given back, to be sent again.

One thread calls this, and nothing runs between two calls: the connection is driven while `send`
waits, as paho's own thread would end silently at the first fault in a callback.
"""

import logging
import ssl
import time
import zlib
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Literal

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_agent.errors import SettingsError
from edge_agent.messages import Answer, NotAllowed, Settled, Stored, TooLarge, Unavailable
from edge_agent.records import Lane, StoredRecord
from edge_agent.settings_file import read_secret
from edge_agent.settings_uplink import UplinkSettings
from edge_agent.uplink_http import split_body
from edge_agent.uplink_tls import Stamp, stamp_of, uplink_context
from ingest.telemetry import mqtt_contract as contract
from ingest.telemetry.mqtt_contract import Acknowledgement, AcknowledgementError, Sender

logger = logging.getLogger(__name__)

KEEPALIVE_S: Final = 120
"""Nothing pings between two sendings; a broker waits one and a half times this for the next."""

CONNECT_TIMEOUT_S: Final = 10.0
ACK_TIMEOUT_S: Final = 10.0
"""Without any answer for so long, what is left is given back and the connection made anew."""

SESSION_EXPIRY_S: Final = 600
"""How long the broker keeps answers for us while the connection is made anew."""

MAX_WINDOW: Final = 1000
PACKET_HEAD_BYTES: Final = 1024
"""Topic and properties of a message, at most about."""

MAX_REMEMBERED: Final = 20_000
"""Answers kept for records that are not being sent at the moment."""

COMPRESSION_LEVEL: Final = 1

NO_SUBSCRIBER: Final = 0x10
_NOT_ALLOWED_CODES: Final = frozenset({0x81, 0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C, 0x90, 0x95, 0x99})
"""Reason codes that a person must mend; all others may pass by themselves."""

Key = tuple[int, str | None]
"""A record, or a range of bytes of one."""


class _Ended(Exception):  # noqa: N818 - carries the answer that it ends a sending with
    def __init__(self, answer: NotAllowed | Unavailable | TooLarge) -> None:
        super().__init__(str(answer))
        self.answer = answer


class MqttUplink:
    """Sends records to a broker, and waits for what ingest says of them.

    Parameters
    ----------
    settings : UplinkSettings
        Where to and how, of kind ``mqtt``.
    sender : Sender
        Our own site and name, which our topics are made of.
    lane : {"alarm", "backlog", "check"}
        Whose connection it is; each has a session of its own.
    outbox_id : callable
        Gives the identity of the outbox that the records come from.
    """

    def __init__(
        self,
        settings: UplinkSettings,
        sender: Sender,
        lane: Lane | Literal["check"],
        outbox_id: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._sender = sender
        self._client_id = f"staybolt-edge-{sender.site}-{sender.agent}-{lane}"
        self._outbox_id = outbox_id
        self._connection: _Connection | None = None
        self._stamp: Stamp = ()
        self._answers: OrderedDict[tuple[str, int, str | None], str | None] = OrderedDict()

    @property
    def place(self) -> str:
        """Where samples go, for messages."""
        return self._settings.url

    def close(self) -> None:
        """Say goodbye to the broker."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def check(self) -> Answer:
        """Connect, and ask for the answer topic, as before sending.

        Returns
        -------
        Answer
            `Stored` if both are allowed.
        """
        try:
            self._connected()
        except _Ended as ended:
            return ended.answer
        return Stored()

    def send(self, records: Sequence[StoredRecord], max_body_bytes: int) -> Answer:
        """Send records and wait for ingest's answer to each.

        Parameters
        ----------
        records : sequence of StoredRecord
            What to send.
        max_body_bytes : int
            Largest message before compression; a larger record is sent in parts. [byte]

        Returns
        -------
        Answer
            `Stored` if all are, else `Settled` with what is known of each.
        """
        outbox = self._outbox_id()
        try:
            connection = self._connected()
            limit = min(max_body_bytes, connection.max_packet_bytes - PACKET_HEAD_BYTES)
            messages = deque(_messages(records, limit))
            keys = {key for key, _ in messages}
            rest = self._exchange(connection, outbox, messages, keys)
        except _Ended as ended:
            self.close()
            keys, rest = {(record.sequence, None) for record in records}, ended.answer
        return self._settled(outbox, records, keys, rest)

    def _exchange(
        self,
        connection: "_Connection",
        outbox: str,
        messages: "deque[tuple[Key, bytes]]",
        keys: set[Key],
    ) -> NotAllowed | Unavailable | TooLarge | None:
        """Send what has no answer yet and take answers; give what ended it, None for the last."""
        heard_at_s = time.monotonic()
        n_open = len(keys)
        try:
            connection.turn(0.0)
            while open_keys := [key for key in keys if not self._is_answered(outbox, key)]:
                if len(open_keys) < n_open:
                    n_open, heard_at_s = len(open_keys), time.monotonic()
                while messages and connection.has_room:
                    key, body = messages.popleft()
                    if not self._is_answered(outbox, key):
                        connection.publish(outbox, key, body)
                connection.turn(0.1)
                if time.monotonic() - heard_at_s > ACK_TIMEOUT_S:
                    self.close()
                    return Unavailable(
                        f"ingest did not answer for {n_open} records in {ACK_TIMEOUT_S:.0f} s; "
                        "is it running, and may it read our topic?"
                    )
        except _Ended as ended:
            self.close()
            return ended.answer
        return None

    def _settled(
        self,
        outbox: str,
        records: Sequence[StoredRecord],
        keys: set[Key],
        rest: NotAllowed | Unavailable | TooLarge | None,
    ) -> Answer:
        keys_of: dict[int, list[Key]] = {record.sequence: [] for record in records}
        for key in keys:
            keys_of[key[0]].append(key)
        stored: list[int] = []
        refused: list[tuple[int, str]] = []
        for sequence, own in keys_of.items():
            reason = self._answers.get((outbox, sequence, None))
            if reason is not None:
                refused.append((sequence, reason))
            elif all(self._is_answered(outbox, key) for key in own):
                stored.append(sequence)
        if rest is None and not refused:
            return Stored()
        if not stored and not refused and rest is not None:
            return rest
        return Settled(tuple(stored), tuple(refused), rest)

    def _is_answered(self, outbox: str, key: Key) -> bool:
        """Whether a part is stored, or its record as a whole is stored or refused."""
        return (outbox, *key) in self._answers or (outbox, key[0], None) in self._answers

    def _connected(self) -> "_Connection":
        """Give the connection, made anew if it was lost or a file for TLS has changed.

        Raises
        ------
        _Ended
            If it can't be made.
        """
        stamp = stamp_of(self._settings)
        if self._connection is not None and (self._connection.is_lost or stamp != self._stamp):
            self.close()
        if self._connection is None:
            self._stamp = stamp
            connection = _Connection(self._settings, self._sender, self._client_id, self._remember)
            try:
                connection.open()
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _remember(self, ack: Acknowledgement) -> None:
        """Keep what was answered, also for records that were sent earlier or by the other lane."""
        for first, last in ack.stored:
            for sequence in range(first, min(last, first + MAX_REMEMBERED) + 1):
                self._answers[ack.outbox, sequence, None] = None
        for sequence, part in ack.parts:
            self._answers[ack.outbox, sequence, part] = None
        for sequence, reason in ack.refused:
            self._answers[ack.outbox, sequence, None] = reason or "refused"
        while len(self._answers) > MAX_REMEMBERED:
            self._answers.popitem(last=False)


class _Connection:
    """One connection to the broker, driven by whoever waits for something from it."""

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
        _Ended
            If the broker can't be reached or does not let us.
        """
        settings, client = self._settings, self._client
        try:
            if settings.user is not None and settings.password_file is not None:
                client.username_pw_set(settings.user, read_secret(settings.password_file))
            if settings.is_encrypted:
                client.tls_set_context(uplink_context(settings))
        except SettingsError as error:
            raise _Ended(NotAllowed(str(error))) from error
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
            raise _Ended(Unavailable(msg)) from error
        self._wait_for(lambda: self._connack is not None, "did not let us in")
        self._take_limits()
        client.subscribe(self._sender.ack_topic, qos=1)
        self._wait_for(lambda: self._suback is not None, "did not answer our subscription")
        if self._suback is not None and self._suback.is_failure:
            raise _Ended(
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
        _Ended
            If the connection is lost, or the broker refused a message.
        """
        code = self._client.loop(timeout_s)
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS and self._lost is None:
            self._lost = paho.error_string(code)
        if self._refused is not None:
            raise _Ended(self._refused)
        if self._lost is not None:
            raise _Ended(Unavailable(f"connection to {self._settings.url} lost: {self._lost}"))

    def _wait_for(self, is_true: Callable[[], bool], failure: str) -> None:
        deadline_s = time.monotonic() + CONNECT_TIMEOUT_S
        while not is_true():
            if time.monotonic() > deadline_s:
                msg = f"{self._settings.url} {failure} within {CONNECT_TIMEOUT_S:.0f} s"
                raise _Ended(Unavailable(msg))
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
            raise _Ended(NotAllowed(msg))

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


def _messages(records: Sequence[StoredRecord], limit: int) -> Iterator[tuple[Key, bytes]]:
    """Cut records that are too large for one message."""
    for record in records:
        if len(record.body) <= limit:
            yield (record.sequence, None), record.body
            continue
        start = 0
        for part in split_body(record.body, limit):
            yield (record.sequence, f"{start}-{start + len(part)}"), part
            start += len(part)


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
