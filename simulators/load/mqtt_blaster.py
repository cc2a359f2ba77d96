"""Floods MQTT subscribers: stands in for a broker, so that no broker is in the way.

It answers CONNECT, SUBSCRIBE, PINGREQ and acknowledgements as a broker does, for MQTT 3.1.1 and 5,
and sends to whoever subscribes as fast as they take it, or at a rate. With quality of service 1 it
keeps what is not acknowledged, no more than the subscriber's receive maximum, and sends it again,
marked as such, when the subscriber comes back to its session.

References
----------
.. [1] MQTT Version 5.0, OASIS Standard, 2019; MQTT Version 3.1.1, OASIS Standard, 2014.
"""

import asyncio
import contextlib
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from simulators.errors import ScenarioError
from simulators.load.mqtt_messages import Maker, PayloadForm, maker_of, topic_for
from simulators.loopback import listen, port_of
from simulators.mqtt.frames import FrameError, FrameReader, does_match

_MQTT_5: Final = 5
_MOST_IN_FLIGHT: Final = 1000
_MOST_WAITING_BYTES: Final = 4_000_000
_BURST: Final = 20
_TICK_S: Final = 0.002
_RECEIVE_MAXIMUM: Final = 0x21
_USER_PROPERTY: Final = 0x26
_PROPERTY_BYTES: Final = {0x11: 4, 0x17: 1, 0x19: 1, 0x22: 2, 0x27: 4}
"""Properties of CONNECT whose values have a fixed length."""


@dataclass(frozen=True, slots=True)
class BlastSettings:
    """What to send.

    Parameters
    ----------
    form : {"json", "line", "sparkplug"}
        Form of the messages.
    n_metrics : int
        Values in each.
    values_per_s : float or None
        Values sent in a second to each subscriber; None for as many as are taken.
    """

    form: PayloadForm = "json"
    n_metrics: int = 100
    values_per_s: float | None = None

    def __post_init__(self) -> None:
        if self.values_per_s is not None and not self.values_per_s > 0:
            msg = f"--values-per-s: {self.values_per_s:g} is not above 0; leave it out for no limit"
            raise ScenarioError(msg)


@dataclass(slots=True)
class _Session:
    """What is kept of a subscriber while it is away."""

    qos: int | None = None
    n_sent: int = 0
    in_flight: "OrderedDict[int, bytes]" = field(default_factory=OrderedDict)
    """Packets by identifier, without their first byte, until they are acknowledged."""


class MqttBlaster:
    """One flooding broker.

    Parameters
    ----------
    settings : BlastSettings
        What to send.
    """

    def __init__(self, settings: BlastSettings) -> None:
        self.settings = settings
        self.topic = topic_for(settings.form)
        self.n_values_sent = 0
        self._make: Maker = maker_of(settings.form, settings.n_metrics)
        self._server: asyncio.Server | None = None
        self._sessions: dict[str, _Session] = {}
        self._talks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Port of 127.0.0.1 it listens on."""
        return port_of(self._server)

    async def start(self, port: int = 0) -> None:
        """Begin to listen.

        Parameters
        ----------
        port : int
            Port of 127.0.0.1, 0 for any free one.

        Raises
        ------
        StartError
            If the port is in use.
        """
        self._server = await listen(self._serve, port, "--port")

    async def stop(self) -> None:
        """Cut every connection and stop listening."""
        if self._server is not None:
            self._server.close()
        for talk in list(self._talks):
            talk.cancel()
        if self._talks:
            await asyncio.wait(self._talks, timeout=2.0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        if talk is not None:
            self._talks.add(talk)
            talk.add_done_callback(self._talks.discard)
        subscriber = _Subscriber(self, writer)
        flooding = asyncio.create_task(subscriber.flood())
        frames = FrameReader()
        try:
            while piece := await reader.read(65_536):
                for first, body in frames.feed(piece):
                    if not subscriber.hear(first, body):
                        return
        except (ConnectionError, FrameError, IndexError, UnicodeDecodeError):
            # Whoever does not speak MQTT is hung up on, as a broker does.
            return
        except asyncio.CancelledError:
            return
        finally:
            flooding.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await flooding
            writer.transport.abort()

    def session_of(self, client_id: str, *, is_clean: bool) -> tuple[_Session, bool]:
        """Find or begin a subscriber's session.

        Parameters
        ----------
        client_id : str
            Its identifier.
        is_clean : bool
            Whether it wants a new one.

        Returns
        -------
        session : _Session
            The session.
        is_present : bool
            Whether it was there before.
        """
        is_present = not is_clean and client_id in self._sessions
        if not is_present:
            self._sessions[client_id] = _Session()
        return self._sessions[client_id], is_present

    def payload(self, number: int) -> bytes:
        """Make a message.

        Parameters
        ----------
        number : int
            How many went before.

        Returns
        -------
        bytes
            Its payload.
        """
        return self._make(number, time.time_ns())


class _Subscriber:
    """One connection."""

    def __init__(self, blaster: MqttBlaster, writer: asyncio.StreamWriter) -> None:
        self._blaster, self._writer = blaster, writer
        self._session = _Session()
        self._version = 4
        self._window = _MOST_IN_FLIGHT
        self._is_subscribed = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()

    def hear(self, first: int, body: bytes) -> bool:
        """Take a packet; say whether to go on."""
        match first >> 4:
            case 1:
                self._connect(body)
            case 8:
                self._subscribe(body)
            case 4:
                self._session.in_flight.pop(int.from_bytes(body[:2], "big"), None)
                self._has_room.set()
            case 10:
                self._session.qos = None
                self._is_subscribed.clear()
                reasons = b"\x00\x00" if self._version == _MQTT_5 else b""
                self._write(0xB0, body[:2] + reasons)
            case 12:
                self._write(0xD0, b"")
            case 14:
                return False
        return True

    def _connect(self, body: bytes) -> None:
        self._version = body[6]
        at, properties = 10, b""
        if self._version == _MQTT_5:
            length, at = _number(body, at)
            properties, at = body[at : at + length], at + length
        n = int.from_bytes(body[at : at + 2], "big")
        client_id = body[at + 2 : at + 2 + n].decode()
        self._window = min(_MOST_IN_FLIGHT, _receive_maximum(properties))
        self._session, is_present = self._blaster.session_of(
            client_id, is_clean=bool(body[7] & 0x02)
        )
        self._write(0x20, bytes([is_present, 0]) + (b"\x00" if self._version == _MQTT_5 else b""))
        for packet in self._session.in_flight.values():
            self._write(0x3A, packet)
        if self._session.qos is not None:
            self._is_subscribed.set()

    def _subscribe(self, body: bytes) -> None:
        at = 2
        if self._version == _MQTT_5:
            length, at = _number(body, at)
            at += length
        granted = []
        while at < len(body):
            n = int.from_bytes(body[at : at + 2], "big")
            topic_filter = body[at + 2 : at + 2 + n].decode()
            qos = min(body[at + 2 + n] & 0x03, 1)
            granted.append(qos)
            at += 3 + n
            if does_match(topic_filter, self._blaster.topic):
                self._session.qos = qos
                self._is_subscribed.set()
        empty = b"\x00" if self._version == _MQTT_5 else b""
        self._write(0x90, body[:2] + empty + bytes(granted))

    async def flood(self) -> None:
        """Send until the connection ends."""
        blaster = self._blaster
        await self._is_subscribed.wait()
        began_s, began_at = time.monotonic(), self._session.n_sent
        rate = blaster.settings.values_per_s
        while True:
            await self._is_subscribed.wait()
            for _ in range(_BURST):
                if not self._is_due(rate, began_s, began_at):
                    break
                self._publish()
            if self._session.qos and len(self._session.in_flight) >= self._window:
                self._has_room.clear()
                await self._has_room.wait()
            elif self._writer.transport.get_write_buffer_size() > _MOST_WAITING_BYTES:
                await self._writer.drain()
            else:
                is_due = self._is_due(rate, began_s, began_at)
                await asyncio.sleep(0 if is_due else _TICK_S)

    def _is_due(self, rate: float | None, began_s: float, began_at: int) -> bool:
        session, n_metrics = self._session, self._blaster.settings.n_metrics
        if session.qos is None or (session.qos and len(session.in_flight) >= self._window):
            return False
        if self._writer.transport.get_write_buffer_size() > _MOST_WAITING_BYTES:
            return False
        allowed = None if rate is None else rate * (time.monotonic() - began_s)
        return allowed is None or (session.n_sent - began_at + 1) * n_metrics <= allowed

    def _publish(self) -> None:
        session, topic = self._session, self._blaster.topic.encode()
        empty = b"\x00" if self._version == _MQTT_5 else b""
        number = session.n_sent % 65_535 + 1
        identifier = number.to_bytes(2, "big") if session.qos else b""
        payload = self._blaster.payload(session.n_sent)
        packet = b"".join((len(topic).to_bytes(2, "big"), topic, identifier, empty, payload))
        if session.qos:
            session.in_flight[number] = packet
        session.n_sent += 1
        self._blaster.n_values_sent += self._blaster.settings.n_metrics
        self._write(0x30 | (session.qos or 0) << 1, packet)

    def _write(self, first: int, body: bytes) -> None:
        if not self._writer.transport.is_closing():
            self._writer.write(bytes([first]) + _length(len(body)) + body)


def _length(n_bytes: int) -> bytes:
    """Write the remaining length of a packet (MQTT 5.0, 1.5.5)."""
    digits = bytearray()
    while True:
        n_bytes, digit = divmod(n_bytes, 128)
        digits.append(digit | (0x80 if n_bytes else 0))
        if not n_bytes:
            return bytes(digits)


def _number(body: bytes, at: int) -> tuple[int, int]:
    """Read a variable byte integer; give it and where it ends."""
    value = shift = 0
    while True:
        value |= (body[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if body[at - 1] < 0x80:
            return value, at


def _receive_maximum(properties: bytes) -> int:
    """Read how many unacknowledged messages a subscriber takes (MQTT 5.0, 3.1.2.11)."""
    at = 0
    while at < len(properties):
        name, at = properties[at], at + 1
        if name == _RECEIVE_MAXIMUM:
            return int.from_bytes(properties[at : at + 2], "big") or 1
        if name in _PROPERTY_BYTES:
            at += _PROPERTY_BYTES[name]
        else:
            # Texts with their length before them: one, or two for a user property.
            for _ in range(2 if name == _USER_PROPERTY else 1):
                at += 2 + int.from_bytes(properties[at : at + 2], "big")
    return _MOST_IN_FLIGHT
