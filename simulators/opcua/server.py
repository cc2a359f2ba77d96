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

from asyncua import Server, ua
from asyncua.server.internal_subscription import InternalSubscription
from cryptography import x509

from simulators.errors import StartError
from simulators.keys import Identity
from simulators.loopback import LOOPBACK
from simulators.opcua.trust import TrustedClients, validator_of
from simulators.reading import BAD, GOOD, NS_PER_S, UNCERTAIN, Moment, Outlet
from simulators.units import unit_of

logger = logging.getLogger(__name__)

NAMESPACE_URI: Final = "urn:staybolt:simulated-plant"

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
    """

    def __init__(self, name: str, outlets: Sequence[Outlet]) -> None:
        self.name = name
        self.outlets = tuple(outlets)
        self.port = 0
        self.identity: Identity | None = None
        self._server: Server | None = None
        self._nodes: dict[str, tuple[ua.NodeId, ...]] = {}
        self._waiting_by_subscription: dict[int, int] = {}
        self._n_lost = 0

    @property
    def endpoint(self) -> str:
        """Address that clients connect to."""
        return f"opc.tcp://{LOOPBACK}:{self.port}/staybolt/{self.name}"

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
        server = Server(user_manager=TrustedClients(self.name, clients))
        await server.init()
        server.set_endpoint(self.endpoint)
        server.set_server_name(f"Staybolt simulated plant, {self.name}")
        await server.set_application_uri(identity.application_uri)
        server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
        server.set_identity_tokens([ua.AnonymousIdentityToken])
        server.set_certificate_validator(await validator_of(self.name, trusted_folder))
        await server.load_certificate(identity.certificate)
        await server.load_private_key(identity.private_key)
        await self._lay_out(server, first)
        try:
            await server.start()
        except OSError as error:
            msg = (
                f"--opcua-port: {LOOPBACK}:{port} can't be listened on ({error.strerror}); choose "
                "another port, or leave the option out for a free one"
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
        if self._server is not None:
            await self._write(self._server, machine, moment)

    async def _write(self, server: Server, machine: str, moment: Moment) -> None:
        source_time = ua.DateTime.fromtimestamp(moment.time_ns / NS_PER_S, UTC)
        server_time = ua.DateTime.now(UTC)
        nodes = self._nodes[machine]
        for node, value, quality in zip(nodes, moment.values, moment.quality, strict=True):
            status = BAD if math.isnan(value) else quality
            await server.write_attribute_value(
                node,
                ua.DataValue(
                    _NOTHING if status == BAD else ua.Variant(value, ua.VariantType.Double),
                    StatusCode=_STATUS[status],
                    SourceTimestamp=source_time,
                    ServerTimestamp=server_time,
                ),
            )

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

    async def _lay_out(self, server: Server, first: Mapping[str, Moment]) -> None:
        index = await server.register_namespace(NAMESPACE_URI)
        for outlet in self.outlets:
            folder = await server.nodes.objects.add_folder(
                _node_id(outlet.machine, index), ua.QualifiedName(outlet.machine, index)
            )
            nodes = []
            for signal in outlet.signals:
                node_id = _node_id(f"{outlet.machine}.{signal}", index)
                variable = await folder.add_variable(
                    node_id, ua.QualifiedName(signal, index), 0.0, ua.VariantType.Double
                )
                await variable.add_property(
                    _node_id(f"{outlet.machine}.{signal}.EngineeringUnits", index),
                    ua.QualifiedName("EngineeringUnits", 0),
                    _engineering_units(signal),
                )
                nodes.append(node_id)
            self._nodes[outlet.machine] = tuple(nodes)
            # A server answers a new subscription with the present value; that must be a sample
            # as well, and not something that looks like one.
            await self._write(server, outlet.machine, first[outlet.machine])


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
