"""One connection to an MQTT broker, driven by our own event loop.

paho's client would run in a thread of its own, where an exception in a callback ends the thread
silently while the client still calls itself connected, and where an acknowledgement could meet a
connection that is already another. Its interface for external event loops has neither trap.
Knows nothing of payloads; whoever reads from a broker or sends to one may use it.
"""

import asyncio
import contextlib
import logging
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_agent.counters import Counters
from edge_agent.errors import SourceError
from edge_agent.settings_file import read_secret
from edge_agent.settings_mqtt import BrokerSettings
from edge_agent.sources.mqtt_security import tls_context
from edge_agent.sources.mqtt_words import (
    disconnected_words,
    failure_words,
    lost_words,
    refused_connection_words,
    shorter_words,
    weaker_words,
)

logger = logging.getLogger(__name__)

KEEPALIVE_S: Final = 15
"""A dead connection is noticed within twice this; paho counts in whole seconds."""

CONNECT_TIMEOUT_S: Final = 5.0
ANSWER_TIMEOUT_S: Final = 10.0
"""A broker that does not answer a subscription by then is given up."""

SESSION_EXPIRY_S: Final = 7 * 24 * 3600
"""How long the broker keeps messages for an agent that is away: a week, as a device in repair."""

RECEIVE_MAXIMUM: Final = 1000
"""Messages without acknowledgement at a time; beyond it an MQTT 5 broker waits: our brake."""

MAX_PACKET_BYTES: Final = 5_000_000
"""An MQTT 5 broker drops what is larger; above what a message may be, so that those are told."""

MISC_INTERVAL_S: Final = 0.5
MAX_READS_AT_ONCE: Final = 50

OnMessage = Callable[[paho.MQTTMessage], None]


class MqttLink:
    """A connection to one broker.

    Parameters
    ----------
    broker : BrokerSettings
        Where the broker is, and how to enter it.
    name : str
        What it is called in messages.
    client_id : str
        Name of our session there.
    counters : Counters
        Where to count faults.
    is_trial : bool
        Use a name and session of its own, which ends with it, so that an agent that is running is
        not disturbed.
    """

    def __init__(
        self,
        broker: BrokerSettings,
        name: str,
        client_id: str,
        counters: Counters,
        *,
        is_trial: bool = False,
    ) -> None:
        self.broker = broker
        self.is_up = False
        self.ended_code: int | None = None
        """Reason code the broker ended the connection with, if it did and gave one."""
        self._name = name
        self._counters = counters
        self._is_trial = is_trial
        self._is_paused = False
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._accepted: asyncio.Future[bool] = self._loop.create_future()
        self._ended: asyncio.Future[str] = self._loop.create_future()
        self._asked: dict[int, asyncio.Future[Sequence[ReasonCode]]] = {}
        self._is_v5 = broker.protocol == "5"
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{client_id}-check" if is_trial else client_id,
            clean_session=None if self._is_v5 else is_trial,
            protocol=paho.MQTTv5 if self._is_v5 else paho.MQTTv311,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        self._client.connect_timeout = CONNECT_TIMEOUT_S
        self._wire()

    @property
    def place(self) -> str:
        """Which broker, for messages."""
        return f"mqtt {self._name}, {self.broker.host}:{self.broker.port}"

    async def open(self, on_message: OnMessage | None = None) -> bool:
        """Connect, and wait until the broker has let us in.

        Parameters
        ----------
        on_message : callable, optional
            Takes each message; `acknowledge` says that it is durable. A broker that kept messages
            for us sends them at once, before anything is subscribed, so it must be known by now.

        Returns
        -------
        bool
            Whether the broker still had our session, with its subscriptions and messages.

        Raises
        ------
        SourceError
            If it can't be reached or does not let us in.
        """
        if on_message is not None:
            self._client.on_message = lambda _client, _data, message: on_message(message)
        broker, client = self.broker, self._client
        if broker.user is not None and broker.password_file is not None:
            client.username_pw_set(broker.user, read_secret(broker.password_file))
        context = tls_context(broker)
        if context is not None:
            client.tls_set_context(context)
        options: dict[str, Any] = {}
        if self._is_v5:
            options["clean_start"] = self._is_trial
            options["properties"] = _connect_properties(0 if self._is_trial else SESSION_EXPIRY_S)
        try:
            await asyncio.to_thread(
                client.connect, broker.host, broker.port, KEEPALIVE_S, **options
            )
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._first_of(self._accepted)
        except (OSError, ValueError) as error:
            msg = f"{self.place}: {failure_words(error)}"
            raise SourceError(msg) from error
        if not self._accepted.done():
            msg = f"{self.place}: {self._ended.result()}"
            raise SourceError(msg)
        return self._accepted.result()

    async def subscribe(self, topics: Sequence[str]) -> Mapping[str, ReasonCode]:
        """Ask for topics.

        Parameters
        ----------
        topics : sequence of str
            Topic filters.

        Returns
        -------
        mapping of str to ReasonCode
            Those that the broker refuses, with its reason; the others are not disturbed by them.

        Raises
        ------
        SourceError
            If the connection ends before the answer.
        """
        # Retained messages come once, with a new subscription: a bad one can't return each time.
        options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
        if self._is_v5:
            codes = await self._answer(self._client.subscribe([(t, options) for t in topics]))
        else:
            codes = await self._answer(self._client.subscribe([(topic, 1) for topic in topics]))
        answers = list(zip(topics, codes, strict=False))
        weaker = [topic for topic, code in answers if code.value == 0]
        if weaker:
            logger.warning("%s: %s", self.place, weaker_words(weaker))
        return {topic: code for topic, code in answers if code.is_failure}

    async def unsubscribe(self, topics: Sequence[str]) -> None:
        """Ask for topics no longer.

        Parameters
        ----------
        topics : sequence of str
            Topic filters.

        Raises
        ------
        SourceError
            If the connection ends before the answer.
        """
        await self._answer(self._client.unsubscribe(list(topics)))

    def send(self, topic: str, payload: bytes, *, qos: int = 0) -> None:
        """Publish a message.

        Parameters
        ----------
        topic : str
            Where.
        payload : bytes
            What.
        qos : int
            Quality of service.
        """
        self._client.publish(topic, payload, qos=qos)

    def acknowledge(self, mid: int, qos: int) -> None:
        """Tell the broker that a message is durable.

        Parameters
        ----------
        mid, qos : int
            Packet number and quality of service of the message.
        """
        # A packet number means another message in another connection: only this one is told.
        if self.is_up:
            self._client.ack(mid, qos)

    def pause(self) -> None:
        """Read nothing more until `resume`, so that the broker has to wait.

        While the pause lasts, the broker's own signs of life are not read either: after two
        keep-alives the connection ends, and on the next one the broker sends again what was not
        acknowledged.
        """
        sock = self._client.socket()
        if not self._is_paused and sock is not None and sock.fileno() >= 0:
            self._is_paused = True
            self._loop.remove_reader(sock)

    def resume(self) -> None:
        """Read on."""
        sock = self._client.socket()
        if self._is_paused and sock is not None and sock.fileno() >= 0:
            self._loop.add_reader(sock, self._guarded, self._read)
            # What TLS has decrypted already makes no noise at the socket.
            self._loop.call_soon(self._guarded, self._read)
        self._is_paused = False

    async def wait(self, tick: Callable[[], None] | None = None) -> str:
        """Keep the connection alive until it ends.

        Parameters
        ----------
        tick : callable, optional
            Called about twice a second.

        Returns
        -------
        str
            Why it ended.
        """
        while not self._ended.done():
            await asyncio.wait({self._ended}, timeout=MISC_INTERVAL_S)
            self._client.loop_misc()
            if tick is not None and not self._ended.done():
                tick()
        return self._ended.result()

    def close(self) -> None:
        """Say goodbye if that is possible at once, and close the socket in any case.

        The session stays at the broker and collects what comes meanwhile.
        """
        self.is_up = False
        sock = self._client.socket()
        with contextlib.suppress(OSError, ValueError):
            self._client.disconnect()
            self._client.loop_write()
        if sock is not None:
            self._unwatch(sock)
            sock.close()
        self._end("closed")

    # --- what paho calls -----------------------------------------------------------------------

    def _wire(self) -> None:
        """Let the event loop drive paho."""
        client = self._client
        client.on_connect, client.on_disconnect = self._connected, self._disconnected
        client.on_subscribe = lambda _c, _d, mid, codes, _p: self._answered(mid, codes)
        client.on_unsubscribe = lambda _c, _d, mid, codes, _p: self._answered(mid, codes)
        client.on_socket_open = lambda _c, _d, sock: self._soon(
            sock, lambda: self._loop.add_reader(sock, self._guarded, self._read)
        )
        client.on_socket_close = lambda _c, _d, sock: self._unwatch(sock)
        client.on_socket_register_write = lambda _c, _d, sock: self._soon(
            sock, lambda: self._loop.add_writer(sock, self._guarded, client.loop_write)
        )
        client.on_socket_unregister_write = lambda _c, _d, sock: self._soon(
            sock, lambda: self._loop.remove_writer(sock)
        )

    def _soon(self, sock: Any, step: Callable[[], object]) -> None:  # noqa: ANN401 - paho's type
        """Watch a socket from the loop's thread; the first calls come from the connecting one."""

        def unless_closed() -> None:
            if sock.fileno() >= 0:
                step()

        if threading.get_ident() == self._loop_thread:
            unless_closed()
        else:
            self._loop.call_soon_threadsafe(unless_closed)

    def _unwatch(self, sock: Any) -> None:  # noqa: ANN401 - paho's own type
        """Stop watching; at once, for the socket is closed next and its number used again."""
        if sock.fileno() >= 0:
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)

    def _guarded(self, step: Callable[[], object]) -> None:
        # The top of paho's loop: whatever fails here ends this connection, in the log and
        # counted, and what was not acknowledged comes again on the next.
        try:
            step()
        except Exception as error:
            logger.exception("%s: fault in the connection", self.place)
            self._counters.faults += 1
            self._end(f"fault: {error!r}")

    def _read(self) -> None:
        for _ in range(MAX_READS_AT_ONCE):
            if self._is_paused or self._client.loop_read() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return
            # Decrypted bytes that wait inside the TLS layer are invisible to the event loop.
            sock = self._client.socket()
            if not isinstance(sock, ssl.SSLSocket) or sock.pending() == 0:
                return
        self._loop.call_soon(self._guarded, self._read)

    def _connected(
        self,
        _c: object,
        _d: object,
        flags: paho.ConnectFlags,
        code: ReasonCode,
        told: Properties | None,
    ) -> None:
        if code.is_failure:
            self._end(refused_connection_words(code))
        elif not self._accepted.done():
            self.is_up = True
            self._accepted.set_result(flags.session_present)
            kept_s = getattr(told, "SessionExpiryInterval", SESSION_EXPIRY_S)
            if kept_s < SESSION_EXPIRY_S and not self._is_trial:
                logger.warning("%s: %s", self.place, shorter_words(kept_s))

    def _disconnected(
        self, _c: object, _d: object, flags: paho.DisconnectFlags, code: ReasonCode, _p: object
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self.ended_code = code.value
            self._end(disconnected_words(code))
            return
        shows = self.broker.tls_certificate_file is not None
        self._end(lost_words(code, shows_certificate=shows, was_accepted=self._accepted.done()))

    def _end(self, reason: str) -> None:
        self.is_up = False
        if not self._ended.done():
            self._ended.set_result(reason)

    def _answered(self, mid: int, codes: Sequence[ReasonCode]) -> None:
        asked = self._asked.pop(mid, None)
        if asked is not None and not asked.done():
            asked.set_result(codes)

    async def _first_of(self, wanted: "asyncio.Future[Any]") -> None:
        """Wait for something, or for the end of the connection."""
        await asyncio.wait({wanted, self._ended}, return_when=asyncio.FIRST_COMPLETED)

    async def _answer(self, sent: tuple[MQTTErrorCode, int | None]) -> Sequence[ReasonCode]:
        code, mid = sent
        if code == MQTTErrorCode.MQTT_ERR_SUCCESS and mid is not None:
            asked: asyncio.Future[Sequence[ReasonCode]] = self._loop.create_future()
            self._asked[mid] = asked
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    await self._first_of(asked)
            if asked.done():
                return asked.result()
        reason = self._ended.result() if self._ended.done() else "no answer to a subscription"
        msg = f"{self.place}: {reason}"
        raise SourceError(msg)


def _connect_properties(expiry_s: int) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's own
    properties.SessionExpiryInterval = expiry_s
    properties.ReceiveMaximum = RECEIVE_MAXIMUM
    properties.MaximumPacketSize = MAX_PACKET_BYTES
    return properties
