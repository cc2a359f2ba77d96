"""Settings of OPC UA servers and their nodes.

What a node leaves out is taken from its server; `OpcuaSettings.monitoring_of` says what holds.
"""

import math
from typing import Annotated, Final, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from edge_agent.settings_errors import Remedy
from edge_agent.settings_fields import (
    File,
    Folder,
    Group,
    Name,
    NodeIdentifier,
    Text,
    is_loopback,
    milliseconds,
    port_of,
    user_with_password,
)
from ingest.telemetry import unit_of

Trigger = Literal["status", "status-value", "status-value-timestamp"]
"""What makes a server send a value: each includes the one before."""

Security = Literal[
    "Basic256Sha256-SignAndEncrypt",
    "Aes128Sha256RsaOaep-SignAndEncrypt",
    "Aes256Sha256RsaPss-SignAndEncrypt",
    "none-on-loopback",
]

LIVE_SETTINGS: Final = frozenset({
    "nodes", "publishing_interval_ms", "sampling_interval_ms", "queue_size", "trigger",
    "deadband_percent", "timestamps", "read_history", "history_max_h",
})  # fmt: skip
"""What can change while the connection to a server stays."""

NAMESPACE_MARK: Final = "nsu="
"""Begins an element of a browse path that is in another namespace than its node."""

QUEUED_FOR_S: Final = 60.0
"""Outage that the server's queue of a node outlasts when its size is not given."""

UNKNOWN_SAMPLING_QUEUE_SIZE: Final = 1000
"""Queue of a node whose server samples as often as it can; above it sized queues don't grow."""

MAX_QUEUE_SIZE: Final = 100_000

_QUEUE_REMEDY: Final = Remedy(
    "write how many values the server keeps for each node, for example 1000"
)
_PERCENT_REMEDY: Final = Remedy("write a percentage of the node's range, for example 0.5")

Sampling = Annotated[float, Field(ge=0, le=3_600_000, strict=True), milliseconds(100)]
QueueSize = Annotated[int, Field(ge=1, le=MAX_QUEUE_SIZE, strict=True), _QUEUE_REMEDY]
Percent = Annotated[float, Field(ge=0, le=100, strict=True), _PERCENT_REMEDY]
TriggerChoice = Annotated[
    Trigger, Remedy('write "status-value" to leave out values that only have a new time')
]


class Monitoring(NamedTuple):
    """How a server is asked to watch one node; the deadbands exclude each other."""

    sampling_interval_ms: float
    queue_size: int
    trigger: Trigger
    deadband_absolute: float
    deadband_percent: float


class OpcuaNodeSettings(Group):
    """One variable of an OPC UA server."""

    namespace_uri: Text
    """URI of the namespace; its index may change, its URI does not."""
    node_id: NodeIdentifier | None = None
    """Identifier within the namespace; or `browse_path`."""
    browse_path: (
        Annotated[
            tuple[Text, ...],
            Field(min_length=1),
            Remedy(
                "write the browse names from the Objects folder to the variable as a list, "
                'for example ["press-04", "vibration_mm_s"]'
            ),
        ]
        | None
    ) = None
    """Browse names from the Objects folder; ``nsu=URI;name`` for one of another namespace."""
    machine: Name
    """Machine that the value belongs to."""
    signal: Name
    """What is measured; its name ends in its unit."""
    unit: Text
    """Unit, said once more so that a mistake in the name is noticed."""
    sampling_interval_ms: Sampling | None = None
    """How often the server looks at this value; None as the server's setting."""
    queue_size: QueueSize | None = None
    """Values of this node the server keeps; None as the server's setting."""
    trigger: TriggerChoice | None = None
    """What makes the server send a value; None as the server's setting."""
    deadband_absolute: (
        Annotated[
            float,
            Field(ge=0, strict=True),
            Remedy("write the least change that matters, in the signal's unit, for example 0.1"),
        ]
        | None
    ) = None
    """Least change that is sent, in the signal's unit."""
    deadband_percent: Percent | None = None
    """Least change that is sent, in percent of the node's EURange."""
    priority: Annotated[Literal["raw", "alarm"], Remedy('write "alarm" for what must go first')] = (
        "raw"
    )
    """``alarm`` for values that are sent before others and never dropped for room."""

    @model_validator(mode="after")
    def _unit_is_the_signals(self) -> Self:
        known = unit_of(self.signal)
        if known is None:
            msg = (
                f"signal: {self.signal!r} ends in no known unit; end it in one, for example "
                f"{self.signal}_c for °C or {self.signal}_ratio for a bare number"
            )
            raise ValueError(msg)
        if self.unit != known:
            msg = (
                f"unit: {self.unit!r} is not the unit of {self.signal!r}, which is {known!r}; "
                f"write unit = {known!r} or correct the signal's name"
            )
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        if (self.node_id is None) == (self.browse_path is None):
            msg = (
                "node_id: missing; give it, or browse_path"
                if self.node_id is None
                else "browse_path: given beside node_id; give one of the two"
            )
            raise ValueError(msg)
        if self.deadband_absolute is not None and self.deadband_percent is not None:
            msg = "deadband_percent: given beside deadband_absolute; give one of the two"
            raise ValueError(msg)
        return self

    @property
    def place(self) -> str:
        """Where it is on its server, for messages."""
        return self.node_id or "/".join(self.browse_path or ())

    @property
    def qualified_path(self) -> tuple[tuple[str, str], ...]:
        """Namespace URI and name of each element of the browse path."""
        return tuple(self._qualified(element) for element in self.browse_path or ())

    def _qualified(self, element: str) -> tuple[str, str]:
        if not element.startswith(NAMESPACE_MARK):
            return self.namespace_uri, element
        uri, _, name = element.removeprefix(NAMESPACE_MARK).partition(";")
        return uri, name


class OpcuaSettings(Group):
    """One OPC UA server."""

    name: Name
    """What it is called in logs."""
    endpoint: Annotated[
        str, Remedy('write the address of the server, for example "opc.tcp://10.0.0.5:4840"')
    ]
    """Its address, ``opc.tcp://host:port``."""
    trusted_servers_dir: Folder
    """Folder with the certificates of servers that may be connected to."""
    publishing_interval_ms: Annotated[
        float, Field(gt=0, le=60_000, strict=True), milliseconds(500)
    ] = 250.0
    """How often the server sends what has changed."""
    sampling_interval_ms: Sampling = 0.0
    """How often the server looks at a value; 0 is as often as it can."""
    queue_size: QueueSize | None = None
    """Values of one node that the server keeps; None sizes it from the intervals."""
    trigger: TriggerChoice = "status-value-timestamp"
    """What makes the server send a value."""
    deadband_percent: Percent = 0.0
    """Least change that is sent, in percent of each node's EURange; 0 for every change."""
    timestamps: Annotated[
        Literal["source", "server"], Remedy('write "server" only if the sources have no clock')
    ] = "source"
    """Whose time a sample carries."""
    read_history: Annotated[bool, Field(strict=True), Remedy("write true or false")] = True
    """Whether gaps are filled from the server's history where it keeps one."""
    history_max_h: Annotated[
        float,
        Field(gt=0, le=8760, strict=True),
        Remedy("write how far back a gap is filled in hours, for example 24"),
    ] = 24.0
    """How far back a gap is filled."""
    user: Text | None = None
    """User name, with `password_file`; None for anonymous."""
    password_file: File | None = None
    """File that holds the password."""
    user_certificate_file: File | None = None
    """Certificate that we are a user with, instead of a name; with `user_key_file`."""
    user_key_file: File | None = None
    """File that holds the certificate's private key."""
    security: Annotated[Security, Remedy("leave the line out for the secure default")] = (
        "Basic256Sha256-SignAndEncrypt"
    )
    """How the connection is protected."""
    nodes: Annotated[
        tuple[OpcuaNodeSettings, ...],
        Field(min_length=1),
        Remedy("add at least one [[opcua.nodes]] below the server"),
    ]
    """Variables to read."""

    @property
    def host(self) -> str:
        """Host part of the address."""
        return urlsplit(self.endpoint).hostname or ""

    def monitoring_of(self, node: OpcuaNodeSettings) -> Monitoring:
        """Say how the server is asked to watch a node.

        Parameters
        ----------
        node : OpcuaNodeSettings
            The node.

        Returns
        -------
        Monitoring
            What the node says, else what holds for the server, else what follows from both.
        """
        sampling_ms = node.sampling_interval_ms
        if sampling_ms is None:
            sampling_ms = self.sampling_interval_ms
        percent = node.deadband_percent
        if percent is None:
            percent = 0.0 if node.deadband_absolute is not None else self.deadband_percent
        return Monitoring(
            sampling_ms,
            node.queue_size
            or self.queue_size
            or sized_queue(self.publishing_interval_ms, sampling_ms),
            node.trigger or self.trigger,
            node.deadband_absolute or 0.0,
            percent,
        )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        parts = urlsplit(self.endpoint)
        if parts.scheme != "opc.tcp" or not parts.hostname or not port_of(parts):
            msg = (
                f"endpoint: {self.endpoint!r} is not an OPC UA address; "
                'write host and port, for example "opc.tcp://10.0.0.5:4840"'
            )
            raise ValueError(msg)
        if parts.username:
            msg = "endpoint: holds a user name; write it as user, and the password in password_file"
            raise ValueError(msg)
        if self.security == "none-on-loopback" and not is_loopback(parts.hostname):
            msg = (
                f"security: none-on-loopback, but {parts.hostname} is another machine; "
                "leave the line out for the secure default"
            )
            raise ValueError(msg)
        user_with_password(self.user, self.password_file)
        return self

    @model_validator(mode="after")
    def _is_one_user(self) -> Self:
        given = {
            name
            for name in ("user_certificate_file", "user_key_file")
            if getattr(self, name) is not None
        }
        if len(given) == 1:
            (missing,) = {"user_certificate_file", "user_key_file"} - given
            msg = f"{missing}: missing beside {given.pop()}; give both, or neither"
            raise ValueError(msg)
        if given and self.user is not None:
            msg = "user: given beside user_certificate_file; give one of the two"
            raise ValueError(msg)
        return self


def is_live_change(now: OpcuaSettings, then: OpcuaSettings) -> bool:
    """Whether settings can be taken without connecting anew.

    Parameters
    ----------
    now, then : OpcuaSettings
        Of the same server, before and after.

    Returns
    -------
    bool
        True if they differ in nothing but `LIVE_SETTINGS`.
    """
    before, after = now.model_dump(), then.model_dump()
    return all(before[name] == after[name] for name in before if name not in LIVE_SETTINGS)


def sized_queue(publishing_interval_ms: float, sampling_interval_ms: float) -> int:
    """Size of a node's queue when none is given.

    Parameters
    ----------
    publishing_interval_ms : float
        How often the server sends. [ms]
    sampling_interval_ms : float
        How often it looks at the value; 0 is as often as it can. [ms]

    Returns
    -------
    int
        Room for an outage of `QUEUED_FOR_S`, within bounds, and never less than what is sampled
        during two publishing intervals, so that one late answer drops nothing.

    Examples
    --------
    >>> sized_queue(250.0, 100.0), sized_queue(250.0, 0.0), sized_queue(60_000.0, 10.0)
    (600, 1000, 12000)
    >>> sized_queue(250.0, 60_000.0)
    2
    """
    if sampling_interval_ms == 0.0:
        return UNKNOWN_SAMPLING_QUEUE_SIZE
    # Below a microsecond the quotient may not even be a number; no server samples that fast.
    sampling_ms = max(sampling_interval_ms, 1e-3)
    outage = math.ceil(QUEUED_FOR_S * 1000.0 / sampling_ms)
    while_sending = 2 * max(1, math.ceil(publishing_interval_ms / sampling_ms))
    return min(MAX_QUEUE_SIZE, max(while_sending, min(outage, UNKNOWN_SAMPLING_QUEUE_SIZE)))
