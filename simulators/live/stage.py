"""Everything machines need to be heard: OPC UA servers, a broker, a publisher, and their keys.

The same stage carries invented machines and replayed real ones. It starts and stops the parts,
hands samples to the right one, and knows who listens and what is still under way.
"""

import asyncio
import gc
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from simulators.faults.proxy import Proxy
from simulators.keys import make_identity, trust_clients
from simulators.loopback import free_port
from simulators.mqtt.broker import Broker
from simulators.mqtt.payloads import json_payload, line_payload
from simulators.mqtt.publisher import MqttPublisher, topic_of
from simulators.mqtt.sparkplug.node import SparkplugNode
from simulators.mqtt.sparkplug.session import SparkplugSession
from simulators.mqtt.tap import MqttTap
from simulators.opcua.server import NAMESPACE_URI, OpcUaServer
from simulators.opcua.settings import OpcuaSettings
from simulators.reading import Moment, Outlet

_MOST_MESSAGES_UNDER_WAY: Final = 2000
SPARKPLUG_GROUP: Final = "plant"
"""Group that the site's edge node belongs to in Sparkplug's topics."""


@dataclass(frozen=True, slots=True)
class StageSettings:
    """How to set the stage.

    Parameters
    ----------
    folder : Path
        Where keys and passwords are kept.
    site : str
        Site of the edge agent that will listen, part of MQTT topics.
    trusted_clients : tuple of Path
        Certificates of clients that may read over OPC UA, DER.
    opcua_port : int or None
        Port of the first OPC UA server, the next ones follow; None takes free ports.
    mqtt_port : int or None
        Port of the broker; None takes a free one.
    formats : mapping of str to str
        Form of the MQTT messages of a machine, ``json`` where it is not named.
    opcua : OpcuaSettings
        What its OPC UA servers offer.
    has_doors : bool
        Whether a proxy stands before each server, so that its network can fail.
    """

    folder: Path
    site: str
    trusted_clients: tuple[Path, ...]
    opcua_port: int | None = None
    mqtt_port: int | None = None
    formats: Mapping[str, str] = field(default_factory=dict)
    opcua: OpcuaSettings = field(default_factory=OpcuaSettings)
    has_doors: bool = False


@dataclass(frozen=True, slots=True)
class UnderWay:
    """What was handed over and not yet taken.

    Parameters
    ----------
    n_waiting : int
        Values and messages that no listener has confirmed.
    has_room : bool
        Whether more can be sent without a queue running over.
    n_lost : int
        Values that were waiting when their OPC UA subscription ended.
    """

    n_waiting: int
    has_room: bool
    n_lost: int


class Stage:
    """All servers of a set of machines.

    Parameters
    ----------
    settings : StageSettings
        How to set it.
    first : mapping of Outlet to Moment
        The machines, each with what it shows from the beginning.
    """

    def __init__(self, settings: StageSettings, first: Mapping[Outlet, Moment]) -> None:
        self.settings = settings
        self.outlets = tuple(first)
        self._first = {outlet.machine: moment for outlet, moment in first.items()}
        over_opcua = [outlet for outlet in self.outlets if outlet.protocol == "opcua"]
        over_mqtt = [outlet for outlet in self.outlets if outlet.protocol == "mqtt"]
        self.servers = tuple(
            OpcUaServer(name, tuple(group), settings.opcua)
            for name, group in itertools.groupby(over_opcua, key=lambda outlet: outlet.server)
        )
        self._server_of = {
            outlet.machine: server for server in self.servers for outlet in server.outlets
        }
        self._topic_of = {
            outlet.machine: topic_of(settings.site, outlet.machine, self.format_of(outlet))
            for outlet in over_mqtt
            if self.format_of(outlet) != "sparkplug"
        }
        devices = {
            outlet.machine: outlet.signals
            for outlet in over_mqtt
            if self.format_of(outlet) == "sparkplug"
        }
        self.sparkplug = SparkplugNode(SPARKPLUG_GROUP, settings.site, devices) if devices else None
        self._session: SparkplugSession | None = None
        self.broker: Broker | None = None
        self.tap: MqttTap | None = None
        self._publisher: MqttPublisher | None = None
        self.doors: dict[str, Proxy] = {}
        """The proxies before its servers, by name; ``mqtt`` is the broker's."""

    @property
    def trusted_servers_folder(self) -> Path:
        """Folder with the servers' certificates, for clients to trust."""
        return self.settings.folder / "pki" / "trusted_servers"

    @property
    def n_channels(self) -> int:
        """OPC UA nodes and MQTT topics together."""
        return len(self._topic_of) + sum(
            len(outlet.signals) for server in self.servers for outlet in server.outlets
        )

    async def start(self) -> None:
        """Start every server; on return all of them listen."""
        # asyncua lays out six thousand standard nodes a server. Looking for garbage meanwhile
        # finds none and takes three times as long, and so would looking through them later.
        gc.disable()
        try:
            await self._start()
        finally:
            gc.freeze()
            gc.enable()

    async def _start(self) -> None:
        pki = self.settings.folder / "pki"
        pki.mkdir(parents=True, exist_ok=True, mode=0o700)
        clients = trust_clients(pki / "trusted_clients", self.settings.trusted_clients)
        self.trusted_servers_folder.mkdir(exist_ok=True)
        for number, server in enumerate(self.servers):
            first = self.settings.opcua_port
            port = free_port() if first is None else first + number
            identity = make_identity(pki / server.name, f"{NAMESPACE_URI}:{server.name}")
            own_port = free_port() if self.settings.has_doors else port
            await server.start(identity, clients, pki / "trusted_clients", own_port, self._first)
            self.show_certificate(server)
            if self.settings.has_doors:
                server.advertised_port = await self._open_door(server.name, own_port, port)
        if self._topic_of or self.sparkplug is not None:
            await self._start_mqtt()

    def show_certificate(self, server: OpcUaServer) -> None:
        """Put a server's certificate where clients look for those to trust.

        Parameters
        ----------
        server : OpcUaServer
            The server, started.
        """
        if server.identity is not None:
            copy = self.trusted_servers_folder / f"{server.name}.der"
            copy.write_bytes(server.identity.certificate.read_bytes())

    async def _open_door(self, name: str, target_port: int, port: int) -> int:
        door = self.doors[name] = Proxy(target_port)
        await door.start(port)
        return door.port

    @property
    def mqtt_port(self) -> int:
        """Port of 127.0.0.1 where subscribers reach the broker."""
        if "mqtt" in self.doors:
            return self.doors["mqtt"].port
        return 0 if self.tap is None else self.tap.port

    async def stop(self) -> None:
        """Stop every server; harmless when some never started."""
        for door in self.doors.values():
            await door.stop()
        for client in (self._session, self._publisher):
            if client is not None:
                await asyncio.to_thread(client.close)
        if self.tap is not None:
            await self.tap.stop()
        if self.broker is not None:
            await asyncio.to_thread(self.broker.stop)
        for server in self.servers:
            await server.stop()

    async def send(self, outlet: Outlet, moment: Moment) -> None:
        """Hand over what one machine measured at one moment.

        Parameters
        ----------
        outlet : Outlet
            The machine.
        moment : Moment
            What it measured, and when.
        """
        if outlet.protocol == "opcua":
            server = self._server_of[outlet.machine]
            await server.write(outlet.machine, moment)
        elif self._session is not None and self.format_of(outlet) == "sparkplug":
            self._session.send(outlet.machine, moment)
        elif self._publisher is not None and self.tap is not None:
            topic = self._topic_of[outlet.machine]
            if self.format_of(outlet) == "line":
                site = self.settings.site
                payload = line_payload(site, outlet.machine, outlet.signals, moment)
            else:
                payload = json_payload(outlet.signals, moment)
            self.tap.ledger.expect(topic, payload)
            self._publisher.publish(topic, payload)

    def publish(self, machine: str, name: str, payload: bytes) -> None:
        """Publish something of a machine that is no sample, such as a raw snapshot.

        Parameters
        ----------
        machine : str
            Whose it is.
        name : str
            Last level of the topic.
        payload : bytes
            What to publish.
        """
        if self._publisher is not None:
            topic = topic_of(self.settings.site, machine).rsplit("/", 1)[0]
            self._publisher.publish(f"{topic}/{name}", payload)

    def format_of(self, outlet: Outlet) -> str:
        """Say in what form a machine's MQTT messages are.

        Parameters
        ----------
        outlet : Outlet
            The machine.

        Returns
        -------
        str
            ``json``, ``line`` or ``sparkplug``.
        """
        return self.settings.formats.get(outlet.machine, "json")

    def unheard(self) -> list[str]:
        """Name the channels that nobody listens to yet.

        Returns
        -------
        list of str
            OPC UA nodes and MQTT topics.
        """
        nodes = [node for server in self.servers for node in server.unheard()]
        if self.tap is not None:
            nodes += self.tap.ledger.unheard(self._topic_of.values())
        return nodes

    def under_way(self) -> UnderWay:
        """Count what was handed over and not yet taken.

        Returns
        -------
        UnderWay
            Over all servers.
        """
        backlogs = [server.backlog() for server in self.servers]
        n_messages = 0
        if self.tap is not None and self._publisher is not None:
            n_messages = max(len(self.tap.ledger), self._publisher.n_unacknowledged)
        return UnderWay(
            n_waiting=n_messages + sum(backlog.n_waiting for backlog in backlogs),
            has_room=n_messages < _MOST_MESSAGES_UNDER_WAY
            and all(backlog.has_room for backlog in backlogs),
            n_lost=sum(backlog.n_lost for backlog in backlogs),
        )

    async def _start_mqtt(self) -> None:
        self.broker = Broker(self.settings.folder / "mqtt", free_port())
        await asyncio.to_thread(self.broker.start)
        self.tap = MqttTap(self.broker.port)
        port = self.settings.mqtt_port or 0
        await self.tap.start(0 if self.settings.has_doors else port)
        if self.settings.has_doors:
            await self._open_door("mqtt", self.tap.port, port)
        self._publisher = MqttPublisher(self.broker.port, self.broker.plant)
        await asyncio.to_thread(self._publisher.connect)
        if self.sparkplug is not None:
            self._session = SparkplugSession(self.broker.port, self.broker.plant, self.sparkplug)
            await asyncio.to_thread(self._session.connect)
