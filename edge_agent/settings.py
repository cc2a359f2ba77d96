"""Settings of the edge agent: one frozen model that knows which values make sense together.

How it is read is left to `edge_agent.settings_file`, how a mistake is put into words to
`edge_agent.settings_errors`, whether files exist and servers answer to `edge_agent.check`.
"""

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from edge_agent.settings_errors import Remedy
from ingest.telemetry import Series, is_legal_name, unit_of

MACHINE_PLACE: Final = "{machine}"
"""Stands in an MQTT topic for the level that names the machine."""

_NAME_REMEDY: Final = "use letters, digits and _ . - , at most 64, beginning with a letter or digit"


def _legal_name(name: str) -> str:
    if not is_legal_name(name):
        msg = f"{name!r} is not a legal name"
        raise ValueError(msg)
    return name


def _node_identifier(text: str) -> str:
    kind, equals, rest = text.partition("=")
    if kind not in {"s", "i", "g", "b"} or not equals or not rest:
        msg = f"{text!r} is not a node identifier"
        raise ValueError(msg)
    return text


def _milliseconds(example: int) -> Remedy:
    return Remedy(f"write the interval in milliseconds, for example {example}")


Name = Annotated[str, AfterValidator(_legal_name), Remedy(_NAME_REMEDY)]
Text = Annotated[str, Field(min_length=1), Remedy("write it in quotes, not empty")]
File = Annotated[Path, Remedy('write the path of a file in quotes, for example "token"')]
Folder = Annotated[Path, Remedy('write the path of a folder in quotes, for example "trusted"')]
NodeIdentifier = Annotated[
    str,
    AfterValidator(_node_identifier),
    Remedy(
        'write it without its namespace index, "s=" before a text or "i=" before a number, '
        'for example "s=press-04.vibration_mm_s"'
    ),
]


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class UplinkSettings(_Group):
    """Where samples go."""

    url: Annotated[
        str, Remedy('write the address of ingest or InfluxDB, for example "https://ingest:8443"')
    ]
    """Address of ingest or InfluxDB, without the path."""
    token_file: File
    """File that holds the token to show there."""
    bucket: Text = "telemetry"
    """Bucket to write into."""
    max_batch_bytes: Annotated[
        int,
        Field(ge=4096, le=100_000_000, strict=True),
        Remedy("write the size of one request in bytes, for example 1000000"),
    ] = 1_000_000
    """Largest request body before compression."""
    retry_max_s: Annotated[
        float,
        Field(gt=0, le=3600, strict=True),
        Remedy("write the longest pause between two tries in seconds, for example 60"),
    ] = 60.0
    """Longest pause between two tries."""
    compress: Annotated[bool, Field(strict=True), Remedy("write true or false")] = False
    """Whether bodies travel as gzip; worth it on slow links only."""

    @property
    def parts(self) -> SplitResult:
        """The address, taken apart."""
        return urlsplit(self.url)

    @model_validator(mode="after")
    def _url_can_be_used(self) -> Self:
        parts = self.parts
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
            msg = (
                f"url: {self.url!r} is not an http or https address; "
                'write for example "https://ingest.example.com:8443"'
            )
            raise ValueError(msg)
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            msg = (
                f"url: {self.url!r} would send the token unencrypted over the network; "
                "write https (http is for loopback only)"
            )
            raise ValueError(msg)
        return self


class OutboxSettings(_Group):
    """How samples are kept until the store has them."""

    max_bytes: Annotated[
        int,
        Field(ge=1_000_000, strict=True),
        Remedy("write how much of the disk the outbox may use in bytes, for example 2000000000"),
    ] = 2_000_000_000
    """Bytes of records kept; above it the oldest are dropped and counted."""
    group_commit_ms: Annotated[float, Field(ge=0, le=10_000, strict=True), _milliseconds(100)] = (
        100.0
    )
    """How long samples are gathered before one write to disk."""


class OpcuaNodeSettings(_Group):
    """One variable of an OPC UA server."""

    namespace_uri: Text
    """URI of the namespace; its index may change, its URI does not."""
    node_id: NodeIdentifier
    """Identifier within the namespace."""
    machine: Name
    """Machine that the value belongs to."""
    signal: Name
    """What is measured; its name ends in its unit."""
    unit: Text
    """Unit, said once more so that a mistake in the name is noticed."""

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


class OpcuaSettings(_Group):
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
        float, Field(gt=0, le=60_000, strict=True), _milliseconds(500)
    ] = 250.0
    """How often the server sends what has changed."""
    sampling_interval_ms: Annotated[
        float, Field(ge=0, le=60_000, strict=True), _milliseconds(100)
    ] = 0.0
    """How often the server looks at a value; 0 is as often as it can."""
    queue_size: Annotated[
        int,
        Field(ge=1, le=100_000, strict=True),
        Remedy("write how many values the server keeps for each node, for example 1000"),
    ] = 1000
    """Values of one node that the server keeps between two sendings."""
    user: Text | None = None
    """User name, with `password_file`; None for anonymous."""
    password_file: File | None = None
    """File that holds the password."""
    security: Annotated[
        Literal["Basic256Sha256-SignAndEncrypt", "none-on-loopback"],
        Remedy("leave the line out for the secure default"),
    ] = "Basic256Sha256-SignAndEncrypt"
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

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        parts = urlsplit(self.endpoint)
        if parts.scheme != "opc.tcp" or not parts.hostname or not _port_of(parts):
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
        _user_with_password(self.user, self.password_file)
        return self


class MqttTopicSettings(_Group):
    """One family of topics."""

    topic: Annotated[
        str,
        Remedy('write {machine} for the level that names it, "plant/mill-7/{machine}/telemetry"'),
    ]
    """Topic with ``{machine}`` in place of the machine's name."""

    @model_validator(mode="after")
    def _names_the_machine(self) -> Self:
        levels = self.topic.split("/")
        if levels.count(MACHINE_PLACE) != 1 or any(
            set(level) & set("{}+#\0") for level in levels if level != MACHINE_PLACE
        ):
            msg = (
                f"topic: {self.topic!r} does not have {MACHINE_PLACE} as exactly one of its levels "
                "and plain text as the others; write for example plant/mill-7/{machine}/telemetry"
            )
            raise ValueError(msg)
        return self

    @property
    def filter(self) -> str:
        """What to subscribe to."""
        return self.topic.replace(MACHINE_PLACE, "+")


class MqttSettings(_Group):
    """One MQTT broker."""

    name: Name
    """What it is called in logs."""
    host: Text
    """Host name or address of the broker."""
    port: Annotated[
        int, Field(ge=1, le=65535, strict=True), Remedy("write a port number, for example 8883")
    ] = 8883
    """Its port."""
    user: Text | None = None
    """User name, with `password_file`; None for anonymous."""
    password_file: File | None = None
    """File that holds the password."""
    tls_ca_file: File | None = None
    """Certificates of the authorities that the broker's certificate may come from."""
    client_id: Text | None = None
    """Name of our session at the broker; None takes one from site and source."""
    topics: Annotated[
        tuple[MqttTopicSettings, ...],
        Field(min_length=1),
        Remedy("add at least one [[mqtt.topics]] below the broker"),
    ]
    """What to listen to."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.tls_ca_file is None and not is_loopback(self.host):
            msg = (
                f"tls_ca_file: missing, but {self.host} is another machine; name the file with the "
                "certificate of the broker's authority so that the connection is encrypted"
            )
            raise ValueError(msg)
        _user_with_password(self.user, self.password_file)
        return self


class Settings(_Group):
    """Everything that can be chosen about one agent."""

    site: Name
    """Site that all machines of this agent stand at."""
    state_dir: Folder
    """Folder of the outbox and of the agent's own keys."""
    uplink: UplinkSettings
    outbox: OutboxSettings = OutboxSettings()
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


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself.

    Parameters
    ----------
    host : str
        Host name or address.

    Returns
    -------
    bool
        True for ``localhost`` and loopback addresses.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("10.0.0.5")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _port_of(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        return None


def _user_with_password(user: str | None, password_file: Path | None) -> None:
    if (user is None) != (password_file is None):
        given, missing = ("password_file", "user") if user is None else ("user", "password_file")
        msg = f"{missing}: missing beside {given}; give both, or neither for anonymous"
        raise ValueError(msg)


def _no_repeats(places: Iterator[tuple[str, str]]) -> None:
    first: dict[str, str] = {}
    for place, name in places:
        if name in first:
            msg = f"{place}: {name!r} is given by {first[name]} already; give it once"
            raise ValueError(msg)
        first[name] = place
