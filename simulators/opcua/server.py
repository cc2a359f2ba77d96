"""A genuine OPC UA server for some of the plant's machines.

Offers Basic256Sha256 with signing and encryption and nothing else, listens on loopback, and
lets in trusted certificates only. Each machine is a folder, each signal a variable with the node id
``s=<machine>.<signal>``. Values carry the machine's own time and an OPC UA status.
"""

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Final

from asyncua import Node, Server, ua
from asyncua.server.internal_subscription import InternalSubscription
from cryptography import x509

from simulators.errors import ScenarioError, StartError
from simulators.keys import Identity, make_identity, take_password
from simulators.loopback import LOOPBACK
from simulators.opcua.history import RecentHistory
from simulators.opcua.settings import OpcuaSettings
from simulators.opcua.trust import TrustedClients, validator_of
from simulators.reading import BAD, GOOD, NS_PER_S, UNCERTAIN, Moment, Outlet
from simulators.units import unit_of

logger = logging.getLogger(__name__)

NAMESPACE_URI: Final = "urn:staybolt:simulated-plant"
_POLICIES: Final = {
    "Basic256Sha256": ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    "Aes128Sha256RsaOaep": ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    "Aes256Sha256RsaPss": ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
}
PLANT_READER: Final = "reader"
"""The user of servers that want one."""

_UNECE_NAMESPACE: Final = "http://www.opcfoundation.org/UA/units/un/cefact"
_STATUS: Final = {
    GOOD: ua.StatusCode(ua.UInt32(ua.StatusCodes.Good)),
    UNCERTAIN: ua.StatusCode(ua.UInt32(ua.StatusCodes.UncertainSensorNotAccurate)),
    BAD: ua.StatusCode(ua.UInt32(ua.StatusCodes.BadOutOfService)),
}
_NOTHING: Final = ua.Variant(None, ua.VariantType.Null)
_STOP_TIMEOUT_S: Final = 5.0
_MOST_UNACKNOWLEDGED: Final = 2000
"""Publish responses kept for a client that does not acknowledge; asyncua drops some at 5000."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What subscribers of a server have not yet taken.

    Parameters
    ----------
    n_waiting : int
        Values written, and not yet acknowledged by a subscriber.
    has_room : bool
        Whether more can be written without any subscription's queue running over.
    n_lost : int
        Values that were waiting when their subscription ended.
    """

    n_waiting: int
    has_room: bool
    n_lost: int


class OpcUaServer:
    """One server with the nodes of its machines.

    Parameters
    ----------
    name : str
        What it is called.
    outlets : sequence of Outlet
        Machines it carries.
    settings : OpcuaSettings
        What it offers.
    """

    def __init__(
        self, name: str, outlets: Sequence[Outlet], settings: OpcuaSettings | None = None
    ) -> None:
        self.name = name
        self.outlets = tuple(outlets)
        self.settings = settings or OpcuaSettings()
        self.port = 0
        self.advertised_port: int | None = None
        """Port that clients are told, where a proxy stands before the server."""
        self.users: dict[str, str] = {}
        self._history: RecentHistory | None = None
        self._newest: dict[str, Moment] = {}
        self._vanished: set[ua.NodeId] = set()
        self._clients: Sequence[x509.Certificate] = ()
        self._trusted_folder = Path()
        self.identity: Identity | None = None
        self._server: Server | None = None
        self._nodes: dict[str, tuple[ua.NodeId, ...]] = {}
        self._waiting_by_subscription: dict[int, int] = {}
        self._n_lost = 0

    @property
    def endpoint(self) -> str:
        """Address that clients connect to."""
        port = self.advertised_port or self.port
        return f"opc.tcp://{LOOPBACK}:{port}/staybolt/{self.name}"

    async def start(
        self,
        identity: Identity,
        clients: Sequence[x509.Certificate],
        trusted_folder: Path,
        port: int,
        first: Mapping[str, Moment],
    ) -> None:
        """Lay out the nodes and begin to listen.

        Parameters
        ----------
        identity : Identity
            The server's own certificate.
        clients : sequence of x509.Certificate
            Clients that may connect.
        trusted_folder : Path
            Folder that holds their certificates.
        port : int
            Port of 127.0.0.1 to listen on.
        first : mapping of str to Moment
            What each machine shows from the beginning.

        Raises
        ------
        StartError
            If the port is in use.
        """
        self.port, self.identity = port, identity
        self._clients, self._trusted_folder = clients, trusted_folder
        self._newest = dict(first)
        if self.settings.has_users:
            self.users = {PLANT_READER: take_password(identity.certificate.parent, PLANT_READER)}
        if self.settings.history_values:
            self._history = RecentHistory(self.settings.history_values)
        await self._listen()

    async def restart(self, down_s: float) -> None:
        """Stop, and begin to listen again on the same port: every session is gone.

        Parameters
        ----------
        down_s : float
            How long nobody listens. [s]
        """
        await self.stop()
        await asyncio.sleep(down_s)
        await self._listen()

    async def renew_certificate(self, *, is_expired: bool = False) -> None:
        """Begin again with a new key and certificate.

        Parameters
        ----------
        is_expired : bool
            Whether the new certificate has expired already.
        """
        if self.identity is None:
            return
        await self.stop()
        uri, folder = self.identity.application_uri, self.identity.certificate.parent
        # Two thousand bits take a while to find.
        self.identity = await asyncio.to_thread(
            make_identity, folder, uri, is_new=True, is_expired=is_expired
        )
        await self._listen()

    async def vanish(self, machine: str, signal: str) -> None:
        """Delete a node, as when a controller is programmed anew.

        Parameters
        ----------
        machine, signal : str
            Which node.
        """
        node = self._node_of(machine, signal)
        if self._server is not None and node not in self._vanished:
            self._vanished.add(node)
            # With its unit, or it could not be made again.
            await self._server.get_node(node).delete(recursive=True)

    async def bring_back(self, machine: str, signal: str) -> None:
        """Make a node that had vanished once more.

        Parameters
        ----------
        machine, signal : str
            Which node.
        """
        node = self._node_of(machine, signal)
        if self._server is None or node not in self._vanished:
            return
        self._vanished.discard(node)
        folder = self._server.get_node(_node_id(machine, node.NamespaceIndex))
        await self._add_variable(folder, node, machine, signal)
        await self._write(self._server, machine, self._newest[machine])

    def _node_of(self, machine: str, signal: str) -> ua.NodeId:
        for outlet in self.outlets:
            if outlet.machine == machine and signal in outlet.signals:
                return self._nodes[machine][outlet.signals.index(signal)]
        msg = f"OPC UA server {self.name} has no node {machine}.{signal}"
        raise ScenarioError(msg)

    async def _listen(self) -> None:
        """Start a server with what is known.

        Raises
        ------
        StartError
            If the port is in use.
        """
        assert self.identity is not None  # noqa: S101 - set before
        identity = self.identity
        server = Server(user_manager=TrustedClients(self.name, self._clients, self.users))
        await server.init()
        # A proxy may stand before this port; clients are then told the proxy's.
        server.set_endpoint(f"opc.tcp://{LOOPBACK}:{self.port}/staybolt/{self.name}")
        server.set_server_name(f"Staybolt simulated plant, {self.name}")
        await server.set_application_uri(identity.application_uri)
        server.set_security_policy([_POLICIES[name] for name in self.settings.policies])
        token = ua.UserNameIdentityToken if self.users else ua.AnonymousIdentityToken
        server.set_identity_tokens([token])
        server.set_certificate_validator(await validator_of(self.name, self._trusted_folder))
        await server.load_certificate(identity.certificate)
        await server.load_private_key(identity.private_key)
        if self._history is not None:
            server.iserver.history_manager.set_storage(self._history)
        await self._lay_out(server)
        try:
            await server.start()
        except OSError as error:
            msg = (
                f"--opcua-port: {LOOPBACK}:{self.port} can't be listened on ({error.strerror}); "
                "choose another port, or leave the option out for a free one"
            )
            raise StartError(msg) from error
        self._server = server

    async def stop(self) -> None:
        """Close every session and stop listening."""
        server, self._server = self._server, None
        if server is None:
            return
        try:
            await asyncio.wait_for(server.stop(), _STOP_TIMEOUT_S)
        except TimeoutError:
            logger.warning("OPC UA server %s did not stop within %g s", self.name, _STOP_TIMEOUT_S)

    async def write(self, machine: str, moment: Moment) -> None:
        """Show what a machine measures.

        Parameters
        ----------
        machine : str
            Its name.
        moment : Moment
            What it measured, and when.
        """
        self._newest[machine] = moment
        if self._server is not None:
            await self._write(self._server, machine, moment)

    async def _write(self, server: Server, machine: str, moment: Moment) -> None:
        source_time = ua.DateTime.fromtimestamp(moment.time_ns / NS_PER_S, UTC)
        server_time = ua.DateTime.now(UTC)
        nodes = self._nodes[machine]
        for node, value, quality in zip(nodes, moment.values, moment.quality, strict=True):
            if node in self._vanished:
                continue
            # What is not a number though its status is good is a fault that is shown as it is.
            is_nothing = quality == BAD and math.isnan(value)
            told = ua.DataValue(
                _NOTHING if is_nothing else ua.Variant(value, ua.VariantType.Double),
                StatusCode=_STATUS[quality],
                SourceTimestamp=source_time,
                ServerTimestamp=server_time,
            )
            await server.write_attribute_value(node, told)
            if self._history is not None:
                await self._history.save_node_value(node, told)

    def unheard(self) -> list[str]:
        """Nodes that nobody has subscribed to.

        Returns
        -------
        list of str
            ``<machine>.<signal>`` of each.
        """
        if self._server is None:
            return []
        space = self._server.iserver.aspace
        return [
            str(node.Identifier)
            for nodes in self._nodes.values()
            for node in nodes
            if not space[node].attributes[ua.AttributeIds.Value].datachange_callbacks
        ]

    def backlog(self) -> Backlog:
        """Count what subscribers have not yet taken.

        Returns
        -------
        Backlog
            Summed over all subscriptions.
        """
        # asyncua tells nobody what its subscriptions hold, so this looks into them.
        if self._server is None:
            return Backlog(0, has_room=True, n_lost=self._n_lost)
        live = self._server.iserver.subscription_service.subscriptions
        waiting = {number: _n_waiting(subscription) for number, subscription in live.items()}
        for number, n_values in self._waiting_by_subscription.items():
            if number not in waiting:
                self._n_lost += n_values
        self._waiting_by_subscription = waiting
        return Backlog(
            sum(waiting.values()), all(_has_room(each) for each in live.values()), self._n_lost
        )

    async def _lay_out(self, server: Server) -> None:
        index = await server.register_namespace(NAMESPACE_URI)
        for outlet in self.outlets:
            folder = await server.nodes.objects.add_folder(
                _node_id(outlet.machine, index), ua.QualifiedName(outlet.machine, index)
            )
            nodes = []
            for signal in outlet.signals:
                node_id = _node_id(f"{outlet.machine}.{signal}", index)
                if node_id not in self._vanished:
                    await self._add_variable(folder, node_id, outlet.machine, signal)
                nodes.append(node_id)
            self._nodes[outlet.machine] = tuple(nodes)
            # A server answers a new subscription with the present value; that must be a sample
            # as well, and not something that looks like one.
            await self._write(server, outlet.machine, self._newest[outlet.machine])

    async def _add_variable(
        self, folder: Node, node_id: ua.NodeId, machine: str, signal: str
    ) -> None:
        index = node_id.NamespaceIndex
        variable = await folder.add_variable(
            node_id, ua.QualifiedName(signal, index), 0.0, ua.VariantType.Double
        )
        await variable.add_property(
            _node_id(f"{machine}.{signal}.EngineeringUnits", index),
            ua.QualifiedName("EngineeringUnits", 0),
            _engineering_units(signal),
        )
        if self._history is not None:
            await variable.set_attr_bit(ua.AttributeIds.AccessLevel, ua.AccessLevel.HistoryRead)
            await variable.set_attr_bit(ua.AttributeIds.UserAccessLevel, ua.AccessLevel.HistoryRead)
            await self._history.new_historized_node(node_id, None)


def _node_id(text: str, index: int) -> ua.NodeId:
    return ua.NodeId(ua.String(text), ua.Int16(index))


def _engineering_units(signal: str) -> ua.EUInformation:
    unit = unit_of(signal)
    return ua.EUInformation(
        NamespaceUri=_UNECE_NAMESPACE,
        UnitId=ua.Int32(unit.unece_number),
        DisplayName=ua.LocalizedText(unit.text),
        Description=ua.LocalizedText(unit.text),
    )


def _n_waiting(subscription: InternalSubscription) -> int:
    queued = sum(len(queue) for queue in subscription._triggered_datachanges.values())
    unacknowledged = sum(
        len(data.MonitoredItems)
        for result in subscription._not_acknowledged_results.values()
        for data in result.NotificationMessage.NotificationData
        if isinstance(data, ua.DataChangeNotification)
    )
    return queued + unacknowledged


def _has_room(subscription: InternalSubscription) -> bool:
    if len(subscription._not_acknowledged_results) >= _MOST_UNACKNOWLEDGED:
        return False
    items = subscription.monitored_item_srv._monitored_items
    return all(
        len(queue) < max(1, items[item].queue_size // 2)
        for item, queue in subscription._triggered_datachanges.items()
        if item in items
    )
