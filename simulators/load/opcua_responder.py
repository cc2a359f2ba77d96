"""An OPC UA server that answers every Publish request with thousands of values at once.

Sessions, channels, security, nodes and subscriptions are asyncua's; only the notifications are
laid out here, so that a core of this machine can deliver what its readers would call a flood. It
sends as fast as readers ask, or at a rate: a reader that does not ask is not sent anything, and one
that does not acknowledge is sent no more than the server may keep for it.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from asyncua import Server, ua
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.monitored_item_service import MonitoredItemData
from cryptography import x509

from simulators.errors import ScenarioError, StartError
from simulators.keys import Identity
from simulators.load.notifications import NotificationBuilder
from simulators.loopback import LOOPBACK
from simulators.opcua.trust import TrustedClients, validator_of

logger = logging.getLogger(__name__)

NAMESPACE_URI: Final = "urn:staybolt:load"
_DATA_CHANGE: Final = ua.NodeId(
    ua.Int32(ua.ObjectIds.DataChangeNotification_Encoding_DefaultBinary)
)
_MOST_WAITING_BYTES: Final = 4_000_000
_TICK_S: Final = 0.005
_MOST_UNACKNOWLEDGED: Final = 200


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """How much to send.

    Parameters
    ----------
    n_nodes : int
        Nodes of the server.
    values_per_notification : int
        Values in one notification, about; at least one of each watched node.
    values_per_s : float or None
        Values sent in a second over all subscriptions; None for as many as are taken.
    step_ns : int
        Source time between two values of a node. [ns]
    """

    n_nodes: int = 1000
    values_per_notification: int = 5000
    values_per_s: float | None = None
    step_ns: int = 1_000_000

    def __post_init__(self) -> None:
        if not 1 <= self.n_nodes <= 1_000_000:
            msg = f"--nodes: {self.n_nodes} is not between 1 and 1000000"
            raise ScenarioError(msg)
        if self.values_per_s is not None and not self.values_per_s > 0:
            msg = f"--values-per-s: {self.values_per_s:g} is not above 0; leave it out for no limit"
            raise ScenarioError(msg)


@dataclass(slots=True)
class _Flood:
    """What goes to one subscription."""

    subscription: InternalSubscription
    builder: NotificationBuilder | None = None
    n_items: int = 0
    n_notifications: int = 0
    n_rounds: int = 0
    """Values of each node sent so far; nodes that come late begin with the present one."""
    is_sending: bool = field(default=False)


class OpcuaResponder:
    """One flooding server.

    Parameters
    ----------
    settings : LoadSettings
        How much to send.
    """

    def __init__(self, settings: LoadSettings) -> None:
        self.settings = settings
        self.port = 0
        self.n_values_sent = 0
        self._server: Server | None = None
        self._floods: dict[int, _Flood] = {}
        self._pacing: asyncio.Task[None] | None = None
        self._began_s = 0.0

    @property
    def endpoint(self) -> str:
        """Address that clients connect to."""
        return f"opc.tcp://{LOOPBACK}:{self.port}/staybolt/load"

    async def start(
        self,
        port: int,
        identity: Identity | None = None,
        clients: Sequence[x509.Certificate] = (),
        trusted_folder: Path | None = None,
    ) -> None:
        """Lay out the nodes and begin to listen.

        Parameters
        ----------
        port : int
            Port of 127.0.0.1.
        identity : Identity, optional
            The server's own certificate: Basic256Sha256 with signing and encryption, for trusted
            clients only. Without it, anybody on this computer may read without security.
        clients : sequence of x509.Certificate
            Clients that may connect.
        trusted_folder : Path, optional
            Folder that holds their certificates.

        Raises
        ------
        StartError
            If the port is in use.
        """
        self.port = port
        if identity is None or trusted_folder is None:
            server = Server()
            await server.init()
            server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        else:
            server = Server(user_manager=TrustedClients("load", clients))
            await server.init()
            await server.set_application_uri(identity.application_uri)
            server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
            server.set_certificate_validator(await validator_of("load", trusted_folder))
            await server.load_certificate(identity.certificate)
            await server.load_private_key(identity.private_key)
        server.set_endpoint(self.endpoint)
        server.set_server_name("Staybolt load")
        server.set_identity_tokens([ua.AnonymousIdentityToken])
        index = await server.register_namespace(NAMESPACE_URI)
        folder = await server.nodes.objects.add_folder(
            ua.NodeId(ua.String("load"), ua.Int16(index)), ua.QualifiedName("load", index)
        )
        for number in range(self.settings.n_nodes):
            node = ua.NodeId(ua.Int32(number + 1), ua.Int16(index))
            name = ua.QualifiedName(f"node-{number}", index)
            await folder.add_variable(node, name, 0.0, ua.VariantType.Double)
        try:
            await server.start()
        except OSError as error:
            msg = f"--port: {LOOPBACK}:{port} can't be listened on ({error.strerror})"
            raise StartError(msg) from error
        self._server = server
        self._pacing = asyncio.create_task(self._pace())

    async def stop(self) -> None:
        """Close every session and stop listening."""
        if self._pacing is not None:
            self._pacing.cancel()
        server, self._server = self._server, None
        if server is not None:
            await server.stop()

    async def _pace(self) -> None:
        """Take over new subscriptions, and send what has come due."""
        while self._server is not None:
            live = self._server.iserver.subscription_service.subscriptions
            for number, subscription in list(live.items()):
                if number not in self._floods:
                    self._take_over(number, subscription)
            for number in set(self._floods) - set(live):
                del self._floods[number]
            for flood in list(self._floods.values()):
                await self._send(flood, None)
            await asyncio.sleep(_TICK_S)

    def _take_over(self, number: int, subscription: InternalSubscription) -> None:
        """Answer this subscription's Publish requests ourselves.

        asyncua calls `publish_results` of a subscription when a request comes for it and at each
        publishing interval; it is the one place where its own, slow notifications are made.
        """
        flood = self._floods[number] = _Flood(subscription)

        async def publish(request: Any = None) -> bool:  # noqa: ANN401 - asyncua's own, untyped
            return await self._send(flood, request)

        subscription.publish_results = publish  # type: ignore[assignment, method-assign]  # its door

    async def _send(self, flood: _Flood, request: Any) -> bool:  # noqa: ANN401 - asyncua's own
        """Send notifications while readers ask for them and there is something to send."""
        if flood.is_sending:
            return False
        flood.is_sending = True
        try:
            return await self._send_due(flood, request)
        finally:
            flood.is_sending = False

    async def _send_due(self, flood: _Flood, request: Any) -> bool:  # noqa: ANN401 - asyncua's own
        subscription = flood.subscription
        ask = subscription.pub_request_callback
        assert ask is not None  # noqa: S101 - only subscriptions of clients are kept there
        has_sent = False
        while True:
            builder = self._builder_of(flood)
            if builder is None or not self._is_due(flood, builder):
                # Whoever brought a request that was not used keeps it.
                return has_sent
            request = request or ask(subscription.data.SubscriptionId)
            if request is None:
                return has_sent
            result = self._result(flood, builder)
            # A notification is forgotten when its reader acknowledges it, and asked for again
            # until then, as asyncua has it.
            await subscription.pub_result_callback(result, request)
            self.n_values_sent += builder.n_values
            request, has_sent = None, True

    def _builder_of(self, flood: _Flood) -> NotificationBuilder | None:
        items = flood.subscription.monitored_item_srv._monitored_items
        if len(items) != flood.n_items:
            flood.n_items = len(items)
            flood.builder = None
        if flood.builder is None and items:
            now_s = time.time_ns() // 1_000_000_000
            watched = list(items.values())
            handles = [item.client_handle or 0 for item in watched]
            nodes = [_number_of(item) for item in watched]
            flood.builder = NotificationBuilder(
                handles,
                nodes,
                n_rounds=max(1, self.settings.values_per_notification // len(handles)),
                step_ns=self.settings.step_ns,
                start_ns=now_s * 1_000_000_000,
            )
            self._began_s = self._began_s or time.monotonic()
        return flood.builder

    def _is_due(self, flood: _Flood, builder: NotificationBuilder) -> bool:
        subscription = flood.subscription
        if not subscription._publishing_enabled:
            return False
        if len(subscription._not_acknowledged_results) >= _MOST_UNACKNOWLEDGED:
            return False
        processor = subscription.pub_result_callback.__self__  # type: ignore[attr-defined]  # bound
        if processor._transport.get_write_buffer_size() > _MOST_WAITING_BYTES:
            return False
        rate = self.settings.values_per_s
        if rate is None:
            return True
        allowed = rate * (time.monotonic() - self._began_s)
        return self.n_values_sent + builder.n_values <= allowed

    @staticmethod
    def _result(flood: _Flood, builder: NotificationBuilder) -> ua.PublishResult:
        subscription = flood.subscription
        kept = subscription._not_acknowledged_results
        # What asyncua has gathered itself, first values, is not part of the count.
        subscription._triggered_datachanges.clear()
        sequence = flood.n_notifications + 1
        result = ua.PublishResult()
        result.SubscriptionId = subscription.data.SubscriptionId
        result.NotificationMessage.SequenceNumber = ua.Counter(sequence)
        encoded = ua.ExtensionObject(_DATA_CHANGE, ua.ByteString(builder.body(flood.n_rounds)))
        result.NotificationMessage.NotificationData = [encoded]
        kept[sequence] = result
        result.AvailableSequenceNumbers = list(kept)
        flood.n_notifications += 1
        flood.n_rounds += builder.n_rounds
        return result


def _number_of(item: MonitoredItemData) -> int:
    """Find the number of the node that an item watches; others count as the first."""
    node = None if item.read_value_id is None else item.read_value_id.NodeId
    return int(node.Identifier) - 1 if node is not None and isinstance(node.Identifier, int) else 0
