"""Records to a central MQTT 5 broker, acknowledged by ingest when its store has them.

A broker's PUBACK says that the broker has a message, which is not what an outbox may forget it
for; it only makes room in the window of messages that the broker takes at a time. A record is
stored when ingest says so on the answer topic (`ingest.telemetry.mqtt_contract`), whichever
sending of it that answers. Records that are not answered in time are given back, to be sent again.

One thread calls this, and nothing runs between two calls: the connection is driven while `send`
waits.
"""

import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal

from edge_agent.messages import Answer, NotAllowed, Settled, Stored, Unavailable
from edge_agent.records import Lane, StoredRecord
from edge_agent.settings_uplink import UplinkSettings
from edge_agent.uplink_http import split_body
from edge_agent.uplink_mqtt_link import PACKET_HEAD_BYTES, BrokerConnection, Ended, Key
from edge_agent.uplink_tls import Stamp, stamp_of
from ingest.telemetry.mqtt_contract import Acknowledgement, Sender

logger = logging.getLogger(__name__)

ACK_TIMEOUT_S: Final = 10.0
"""Without any answer for so long, what is left is given back and the connection made anew."""

MAX_REMEMBERED: Final = 20_000
"""Answers kept for records that are not being sent at the moment."""


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
        self._connection: BrokerConnection | None = None
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
        except Ended as ended:
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
        except Ended as ended:
            self.close()
            keys, rest = {(record.sequence, None) for record in records}, ended.answer
        return self._settled(outbox, records, keys, rest)

    def _exchange(
        self,
        connection: "BrokerConnection",
        outbox: str,
        messages: "deque[tuple[Key, bytes]]",
        keys: set[Key],
    ) -> NotAllowed | Unavailable | None:
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
        except Ended as ended:
            self.close()
            return ended.answer
        return None

    def _settled(
        self,
        outbox: str,
        records: Sequence[StoredRecord],
        keys: set[Key],
        rest: NotAllowed | Unavailable | None,
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

    def _connected(self) -> "BrokerConnection":
        """Give the connection, made anew if it was lost or a file for TLS has changed.

        Raises
        ------
        Ended
            If it can't be made.
        """
        stamp = stamp_of(self._settings)
        if self._connection is not None and (self._connection.is_lost or stamp != self._stamp):
            self.close()
        if self._connection is None:
            self._stamp = stamp
            connection = BrokerConnection(
                self._settings, self._sender, self._client_id, self._remember
            )
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
