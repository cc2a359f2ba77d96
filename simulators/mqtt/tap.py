"""The door through which the edge agent reaches the broker; it passes bytes and counts.

It adds and removes nothing. It exists because only the bytes between broker and subscriber tell
when the agent has subscribed and which messages it has taken, and both the start of play and the
end of a replay hang on that.
"""

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from simulators.loopback import LOOPBACK, listen, port_of
from simulators.mqtt.frames import Conversation, Event, FrameError, Subscribed, Taken, does_match

logger = logging.getLogger(__name__)

_PIECE_BYTES: Final = 65536
_STOP_TIMEOUT_S: Final = 2.0
MOST_REMEMBERED: Final = 20_000
"""Messages nobody takes are forgotten past this many, oldest first."""


class Ledger:
    """Which messages were handed to the broker and not yet taken by a subscriber."""

    def __init__(self) -> None:
        self._outstanding: OrderedDict[tuple[str, bytes], None] = OrderedDict()
        self._filters: set[str] = set()

    def __len__(self) -> int:
        return len(self._outstanding)

    def expect(self, topic: str, payload: bytes) -> None:
        """Note a message that is about to be published.

        Parameters
        ----------
        topic : str
            Its topic.
        payload : bytes
            Its content.
        """
        self._outstanding[topic, payload] = None
        if len(self._outstanding) > MOST_REMEMBERED:
            self._outstanding.popitem(last=False)

    def note(self, event: Event) -> None:
        """Take one event from a conversation.

        Parameters
        ----------
        event : Event
            What happened.
        """
        match event:
            case Subscribed(topic_filter):
                self._filters.add(topic_filter)
            case Taken(topic, payload):
                self._outstanding.pop((topic, payload), None)

    def unheard(self, topics: Iterable[str]) -> list[str]:
        """Topics that nobody has subscribed to.

        Parameters
        ----------
        topics : iterable of str
            Plain topics.

        Returns
        -------
        list of str
            Those no granted subscription covers.
        """
        return [
            topic for topic in topics if not any(does_match(text, topic) for text in self._filters)
        ]


class MqttTap:
    """A listening door to a broker.

    Parameters
    ----------
    broker_port : int
        Port of 127.0.0.1 the broker listens on.
    """

    def __init__(self, broker_port: int) -> None:
        self.ledger = Ledger()
        self._broker_port = broker_port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._talks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Port of 127.0.0.1 it listens on."""
        return port_of(self._server)

    async def start(self, port: int) -> None:
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
        self._server = await listen(self._serve, port, "--mqtt-port")

    async def stop(self) -> None:
        """Close the door and every connection through it."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        if self._talks:
            await asyncio.wait(self._talks, timeout=_STOP_TIMEOUT_S)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        if talk is not None:
            self._talks.add(talk)
            talk.add_done_callback(self._talks.discard)
        try:
            broker_reader, broker_writer = await asyncio.open_connection(
                LOOPBACK, self._broker_port
            )
        except OSError:
            logger.warning("the broker on port %d does not answer", self._broker_port)
            writer.close()
            return
        heard = Conversation()
        ends = {writer, broker_writer}
        self._writers |= ends
        directions = (
            asyncio.create_task(self._pass(reader, broker_writer, heard.hear_client)),
            asyncio.create_task(self._pass(broker_reader, writer, heard.hear_broker)),
        )
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # When one side has left, the other is let go too.
            for end in ends:
                end.close()
            await asyncio.gather(*directions)
            self._writers -= ends

    async def _pass(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        hear: Callable[[bytes], list[Event]],
    ) -> None:
        """Pass one direction on until it ends.

        A piece is read before it is passed on: its answer, which may be here before the writing
        is done, must find it already noted.
        """
        with contextlib.suppress(ConnectionError):
            while piece := await source.read(_PIECE_BYTES):
                try:
                    events = hear(piece)
                except FrameError as error:
                    logger.warning("a client of the broker does not speak MQTT: %s", error)
                    return
                for event in events:
                    self.ledger.note(event)
                target.write(piece)
                await target.drain()
