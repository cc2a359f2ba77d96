"""Reads along with an MQTT conversation: what was subscribed, and which messages were taken.

A broker does not tell a publisher whether anybody listens, nor when a subscriber has taken a
message. Both are in the bytes between broker and subscriber. Knows MQTT 3.1.1 and 5.
"""

from dataclasses import dataclass, field
from typing import Final, TypeAlias

CONNECT: Final = 1
PUBLISH: Final = 3
PUBACK: Final = 4
SUBSCRIBE: Final = 8
SUBACK: Final = 9

MOST_FRAME_BYTES: Final = 1_000_000
_FAILED_FROM: Final = 0x80
"""Reason codes from here on mean failure (MQTT 5.0, 2.4)."""
_MQTT_5: Final = 5


class FrameError(ValueError):
    """Bytes that are not MQTT."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The broker granted a subscription.

    Parameters
    ----------
    topic_filter : str
        What was subscribed to.
    """

    topic_filter: str


@dataclass(frozen=True, slots=True)
class Taken:
    """The subscriber took a message.

    Parameters
    ----------
    topic : str
        Its topic.
    payload : bytes
        Its content.
    """

    topic: str
    payload: bytes


Event: TypeAlias = Subscribed | Taken


@dataclass(slots=True)
class FrameReader:
    """Cuts a stream of bytes into MQTT packets (MQTT 5.0, 2.1)."""

    _buffer: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take bytes as they come.

        Parameters
        ----------
        data : bytes
            The next piece, cut anywhere.

        Returns
        -------
        list of (int, bytes)
            First byte and body of each packet now complete.

        Raises
        ------
        FrameError
            If a packet claims an impossible length.
        """
        self._buffer += data
        packets: list[tuple[int, bytes]] = []
        while True:
            length, start = _packet_length(self._buffer)
            if start == 0 or len(self._buffer) < start + length:
                return packets
            packets.append((self._buffer[0], bytes(self._buffer[start : start + length])))
            del self._buffer[: start + length]


def _packet_length(buffer: bytearray) -> tuple[int, int]:
    """Length of the body and where it starts; start 0 while the header is incomplete.

    Raises
    ------
    FrameError
        If the length is one no packet can have.
    """
    length = 0
    for place, byte in enumerate(buffer[1:5]):
        length |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            if length > MOST_FRAME_BYTES:
                msg = f"a packet of {length} bytes; {MOST_FRAME_BYTES} are the most"
                raise FrameError(msg)
            return length, place + 2
    if len(buffer) > 4:
        msg = "a packet length of more than four bytes"
        raise FrameError(msg)
    return 0, 0


@dataclass(slots=True)
class Conversation:
    """One connection of a subscriber with the broker."""

    _from_client: FrameReader = field(default_factory=FrameReader)
    _from_broker: FrameReader = field(default_factory=FrameReader)
    _is_v5: bool = False
    _asked: dict[int, list[str]] = field(default_factory=dict)
    _in_flight: dict[int, Taken] = field(default_factory=dict)

    def hear_client(self, data: bytes) -> list[Event]:
        """Read what the subscriber sends.

        Parameters
        ----------
        data : bytes
            The next piece of its side.

        Returns
        -------
        list of Event
            Messages it took.

        Raises
        ------
        FrameError
            If it is not MQTT.
        """
        events: list[Event] = []
        for first, body in self._from_client.feed(data):
            kind = first >> 4
            if kind == CONNECT:
                self._is_v5 = _Cursor(body).skip_text().byte() == _MQTT_5
            elif kind == SUBSCRIBE:
                self._hear_subscribe(body)
            elif kind == PUBACK:
                taken = self._in_flight.pop(int.from_bytes(body[:2], "big"), None)
                has_failed = len(body) > 2 and body[2] >= _FAILED_FROM
                if taken is not None and not has_failed:
                    events.append(taken)
        return events

    def hear_broker(self, data: bytes) -> list[Event]:
        """Read what the broker sends.

        Parameters
        ----------
        data : bytes
            The next piece of its side.

        Returns
        -------
        list of Event
            Subscriptions it granted, and messages that need no answer.

        Raises
        ------
        FrameError
            If it is not MQTT.
        """
        events: list[Event] = []
        for first, body in self._from_broker.feed(data):
            kind = first >> 4
            if kind == SUBACK:
                events += self._hear_suback(body)
            elif kind == PUBLISH:
                events += self._hear_publish(first, body)
        return events

    def _hear_subscribe(self, body: bytes) -> None:
        cursor = _Cursor(body)
        packet = cursor.number()
        if self._is_v5:
            cursor.skip_properties()
        filters = []
        while not cursor.is_at_end:
            filters.append(cursor.text())
            cursor.byte()
        self._asked[packet] = filters

    def _hear_suback(self, body: bytes) -> list[Subscribed]:
        cursor = _Cursor(body)
        filters = self._asked.pop(cursor.number(), [])
        if self._is_v5:
            cursor.skip_properties()
        return [Subscribed(text) for text in filters if cursor.byte() < _FAILED_FROM]

    def _hear_publish(self, first: int, body: bytes) -> list[Taken]:
        cursor = _Cursor(body)
        topic = cursor.text()
        quality_of_service = (first >> 1) & 3
        packet = cursor.number() if quality_of_service else 0
        if self._is_v5:
            cursor.skip_properties()
        message = Taken(topic, cursor.rest())
        if quality_of_service == 0:
            return [message]
        self._in_flight[packet] = message
        return []


class _Cursor:
    """Walks through the body of a packet."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    @property
    def is_at_end(self) -> bool:
        return self._at >= len(self._body)

    def byte(self) -> int:
        return self._take(1)[0]

    def number(self) -> int:
        return int.from_bytes(self._take(2), "big")

    def text(self) -> str:
        return self._take(self.number()).decode("utf-8", "replace")

    def rest(self) -> bytes:
        return self._take(len(self._body) - self._at)

    def skip_text(self) -> "_Cursor":
        self._take(self.number())
        return self

    def skip_properties(self) -> None:
        length = shift = 0
        while True:
            byte = self.byte()
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        self._take(length)

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._body):
            msg = f"a packet that ends {end - len(self._body)} bytes early"
            raise FrameError(msg)
        self._at, piece = end, self._body[self._at : end]
        return piece


def does_match(topic_filter: str, topic: str) -> bool:
    """Whether a subscription covers a topic (MQTT 5.0, 4.7).

    Parameters
    ----------
    topic_filter : str
        Filter, with ``+`` and ``#``; a shared one without its group.
    topic : str
        Plain topic.

    Returns
    -------
    bool
        True if messages of the topic go to the subscription.

    Examples
    --------
    >>> does_match("plant/+/telemetry", "plant/pump-01/telemetry"), does_match("a/#", "b")
    (True, False)
    """
    if topic_filter.startswith("$share/"):
        topic_filter = topic_filter.split("/", 2)[-1]
    wanted, levels = topic_filter.split("/"), topic.split("/")
    for place, level in enumerate(wanted):
        if level == "#":
            return True
        if place >= len(levels) or level not in {"+", levels[place]}:
            return False
    return len(wanted) == len(levels)
