"""One connection to an MQTT 5 broker, driven by our own event loop.

paho's client would run in a thread of its own, where an exception in a callback ends the thread
silently while the client still calls itself connected, and where an acknowledgement could meet a
connection that is already another. Its interface for external event loops has neither trap.
"""

import asyncio
import contextlib
import logging
import ssl
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_agent.counters import Counters
from edge_agent.errors import SourceError
from edge_agent.settings import MqttSettings
from edge_agent.settings_fields import is_loopback
from edge_agent.settings_file import read_secret

logger = logging.getLogger(__name__)

KEEPALIVE_S: Final = 15
"""A dead connection is noticed within twice this; paho counts in whole seconds."""

CONNECT_TIMEOUT_S: Final = 5.0
SESSION_EXPIRY_S: Final = 7 * 24 * 3600
"""How long the broker keeps messages for an agent that is away: a week, as a device in repair."""

RECEIVE_MAXIMUM: Final = 1000
"""Messages without acknowledgement at a time; beyond it the broker waits, which is our brake."""

MAX_PACKET_BYTES: Final = 4_000_000
"""The broker drops what is larger; far above what a message may be, so that those are explained."""

MISC_INTERVAL_S: Final = 1.0
MAX_READS_AT_ONCE: Final = 50

OnMessage = Callable[[paho.MQTTMessage], None]


class MqttLink:
    """A connection to one broker.

    Parameters
    ----------
    settings : MqttSettings
        Where the broker is.
    site : str
        Site of the agent, part of its session's default name.
    counters : Counters
        Where to count faults.
    is_trial : bool
        Use a name and session of its own, which ends with it, so that an agent that is running is
        not disturbed.
    """

    def __init__(
        self, settings: MqttSettings, site: str, counters: Counters, *, is_trial: bool = False
    ) -> None:
        self.settings = settings
        self.is_up = False
        self._counters = counters
        self._is_trial = is_trial
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._accepted: asyncio.Future[str] = self._loop.create_future()
        self._ended: asyncio.Future[str] = self._loop.create_future()
        name = settings.client_id or f"staybolt-edge-{site}-{settings.name}"
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{name}-check" if is_trial else name,
            protocol=paho.MQTTv5,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        self._client.connect_timeout = CONNECT_TIMEOUT_S
        self._wire()

    @property
    def place(self) -> str:
        """Which broker, for messages."""
        return f"mqtt {self.settings.name}, {self.settings.host}:{self.settings.port}"

    async def open(self, on_message: OnMessage | None = None) -> None:
        """Connect, and wait until the broker has let us in.

        Parameters
        ----------
        on_message : callable, optional
            Takes each message; `acknowledge` says that it is durable. A broker that kept messages
            for us sends them at once, before anything is subscribed, so it must be known by now.

        Raises
        ------
        SourceError
            If it can't be reached or does not let us in.
        """
        self._secure()
        if on_message is not None:
            self._client.on_message = lambda _client, _data, message: on_message(message)
        try:
            await asyncio.to_thread(
                self._client.connect,
                self.settings.host,
                self.settings.port,
                KEEPALIVE_S,
                clean_start=self._is_trial,
                properties=_connect_properties(0 if self._is_trial else SESSION_EXPIRY_S),
            )
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await asyncio.wait(
                    {self._accepted, self._ended}, return_when=asyncio.FIRST_COMPLETED
                )
        except (OSError, ValueError) as error:
            msg = f"{self.place}: {_words(error)}"
            raise SourceError(msg) from error
        if not self._accepted.done():
            msg = f"{self.place}: {self._ended.result()}"
            raise SourceError(msg)

    def subscribe(self, filters: Sequence[str]) -> None:
        """Ask for topics; what the broker refuses is logged.

        Parameters
        ----------
        filters : sequence of str
            Topic filters.
        """
        client = self._client

        def answered(
            _c: object, _d: object, _m: int, codes: Sequence[ReasonCode], _p: object
        ) -> None:
            refused = [
                (topic, code)
                for topic, code in zip(filters, codes, strict=False)
                if code.is_failure
            ]
            for topic, code in refused:
                logger.warning(
                    "%s: the broker refuses topic %s: %s; give this user the right to read it",
                    self.place,
                    topic,
                    code,
                )
            if len(refused) == len(codes):
                self._end("the broker refuses every topic")
                return
            logger.info(
                "%s: connected, %d of %d topics subscribed",
                self.place,
                len(codes) - len(refused),
                len(codes),
            )

        client.on_subscribe = answered
        # Retained messages come once, with a new subscription: a bad one can't return each time.
        options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
        client.subscribe([(topic, options) for topic in filters])

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

    async def wait(self) -> str:
        """Keep the connection alive until it ends.

        Returns
        -------
        str
            Why it ended.
        """
        while not self._ended.done():
            await asyncio.wait({self._ended}, timeout=MISC_INTERVAL_S)
            self._client.loop_misc()
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

    # --- setting up ----------------------------------------------------------------------------

    def _secure(self) -> None:
        settings = self.settings
        if settings.user is not None and settings.password_file is not None:
            self._client.username_pw_set(settings.user, read_secret(settings.password_file))
        if settings.tls_ca_file is not None:
            try:
                context = ssl.create_default_context(cafile=str(settings.tls_ca_file))
            except (OSError, ssl.SSLError) as error:
                msg = (
                    f"{self.place}: tls_ca_file {settings.tls_ca_file} can't be used: "
                    f"{error.strerror or error}; give the authority's certificate in PEM"
                )
                raise SourceError(msg) from error
            self._client.tls_set_context(context)
        elif not is_loopback(settings.host):
            msg = f"{self.place}: without tls_ca_file only a broker on this machine is used"
            raise SourceError(msg)

    def _wire(self) -> None:
        """Let the event loop drive paho."""
        client = self._client
        client.on_connect, client.on_disconnect = self._connected, self._disconnected
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

    # --- what paho calls -----------------------------------------------------------------------

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
            if self._client.loop_read() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return
            # Decrypted bytes that wait inside the TLS layer are invisible to the event loop.
            sock = self._client.socket()
            if not isinstance(sock, ssl.SSLSocket) or sock.pending() == 0:
                return

    def _connected(
        self, _c: object, _d: object, flags: paho.ConnectFlags, code: ReasonCode, _p: object
    ) -> None:
        if code.is_failure:
            self._end(f"the broker answered {code}; correct user, password_file or client_id")
        elif not self._accepted.done():
            self.is_up = True
            self._accepted.set_result("")
            if not flags.session_present and not self._is_trial:
                logger.info("%s: the broker begins a new session for us", self.place)

    def _disconnected(
        self, _c: object, _d: object, flags: paho.DisconnectFlags, code: ReasonCode, _p: object
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self._end(f"the broker ended the connection: {code}")
        else:
            self._end(f"the connection was lost: {code}")

    def _end(self, reason: str) -> None:
        if not self._ended.done():
            self._ended.set_result(reason)


def _connect_properties(expiry_s: int) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's own
    properties.SessionExpiryInterval = expiry_s
    properties.ReceiveMaximum = RECEIVE_MAXIMUM
    properties.MaximumPacketSize = MAX_PACKET_BYTES
    return properties


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not accepted ({error.verify_message}); correct tls_ca_file, or "
            "write host as it stands in the certificate"
        )
    if isinstance(error, TimeoutError):
        return "no answer in time; see that the broker runs and the network lets us through"
    if isinstance(error, OSError) and error.strerror:
        return f"can't be reached: {error.strerror}; see that the broker runs at this address"
    return str(error)
