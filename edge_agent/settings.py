"""Settings of the edge agent: one frozen model that knows which values make sense together.

Those of OPC UA servers stand in `edge_agent.settings_opcua`, those of MQTT brokers in
`edge_agent.settings_mqtt`, those of the store in `edge_agent.settings_uplink`, those of what the
agent tells about itself in `edge_agent.settings_status`.
How it is read is left to `edge_agent.settings_file`, how a mistake is put into words to
`edge_agent.settings_errors`, whether files exist and servers answer to `edge_agent.check`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from edge_agent.settings_errors import Remedy
from edge_agent.settings_fields import (
    Folder,
    Group,
    Name,
    milliseconds,
)
from edge_agent.settings_mqtt import MqttSettings
from edge_agent.settings_opcua import OpcuaNodeSettings, OpcuaSettings
from edge_agent.settings_reader import ReaderSettings
from edge_agent.settings_status import StatusSettings, default_agent_name
from edge_agent.settings_uplink import UplinkSettings
from ingest.telemetry import Series


class OutboxSettings(Group):
    """How samples are kept until the store has them."""

    max_bytes: Annotated[
        int,
        Field(ge=1_000_000, strict=True),
        Remedy("write how much of the disk the outbox may use in bytes, for example 2000000000"),
    ] = 2_000_000_000
    """What all files of the outbox may take; above it old raw samples go first, and are counted."""
    group_commit_ms: Annotated[float, Field(ge=0, le=10_000, strict=True), milliseconds(100)] = (
        100.0
    )
    """How long samples are gathered before one write to disk."""
    max_age_h: Annotated[
        float | None,
        Field(gt=0, le=1_000_000, strict=True),
        Remedy("write after how many hours raw samples may go, for example 720.0, or leave it out"),
    ] = None
    """Raw samples kept for longer than this are dropped and counted."""


class Settings(Group):
    """Everything that can be chosen about one agent."""

    site: Name
    """Site that all machines of this agent stand at."""
    agent: Name = Field(default_factory=default_agent_name)
    """What this agent is called among those of the site."""
    state_dir: Folder
    """Folder of the outbox and of the agent's own keys."""
    uplink: UplinkSettings
    outbox: OutboxSettings = OutboxSettings()
    status: StatusSettings = StatusSettings()
    reader: ReaderSettings = ReaderSettings()
    opcua: tuple[OpcuaSettings, ...] = ()
    mqtt: tuple[MqttSettings, ...] = ()

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if not self.opcua and not self.mqtt:
            msg = "nothing to read; add at least one [[opcua]] server or [[mqtt]] broker"
            raise ValueError(msg)
        _no_repeats((f"opcua[{n}].name", source.name) for n, source in enumerate(self.opcua))
        _no_repeats((f"mqtt[{n}].name", source.name) for n, source in enumerate(self.mqtt))
        _no_repeats(
            (f"opcua[{n}].nodes[{k}]", f"{node.machine} {node.signal}")
            for n, source in enumerate(self.opcua)
            for k, node in enumerate(source.nodes)
        )
        return self

    @property
    def outbox_path(self) -> Path:
        """File of the outbox."""
        return self.state_dir / "outbox.sqlite"

    @property
    def status_socket_path(self) -> Path:
        """Socket that `staybolt-edge status` asks at."""
        return self.state_dir / "status.sock"

    def series(self, node: OpcuaNodeSettings) -> Series:
        """Series that a node's values belong to.

        Parameters
        ----------
        node : OpcuaNodeSettings
            The node.

        Returns
        -------
        Series
            Site, machine and signal.
        """
        return Series(self.site, node.machine, node.signal)


def _no_repeats(places: Iterator[tuple[str, str]]) -> None:
    first: dict[str, str] = {}
    for place, name in places:
        if name in first:
            msg = f"{place}: {name!r} is given by {first[name]} already; give it once"
            raise ValueError(msg)
        first[name] = place
