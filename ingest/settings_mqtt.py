"""Settings of brokers: which one to listen at, how to be let in, and what to take from it."""

from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from ingest.loopback import is_loopback
from ingest.telemetry import NAME_PATTERN, is_legal_name


def from_folder(path: Path, info: ValidationInfo) -> Path:
    """Take a relative path from the folder of the settings file.

    Parameters
    ----------
    path : Path
        As it is written.
    info : ValidationInfo
        Knows the folder.

    Returns
    -------
    Path
        Absolute, if the folder is known.
    """
    folder: Path | None = (info.context or {}).get("folder")
    return path if folder is None else folder / path


File = Annotated[Path, AfterValidator(from_folder)]
"""A path; a relative one is meant from the folder of the settings file."""


class BrokerSettings(BaseModel):
    """A broker, and how it lets us in."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    table: ClassVar[str]
    """What its table in the settings file is called."""

    host: str = Field(min_length=1)
    """Host name or address of the broker."""
    port: int = Field(default=8883, ge=1, le=65535)
    """Its port."""
    user: str | None = None
    """User name at the broker; None for anonymous."""
    password_file: File | None = None
    """File that holds the password of that user."""
    tls_ca_file: File | None = None
    """Certificates of the authorities that the broker's certificate may come from."""
    tls_certificate_file: File | None = None
    """Our own certificate to show the broker, with `tls_key_file`."""
    tls_key_file: File | None = None
    """Private key of our own certificate, without a passphrase."""

    @model_validator(mode="after")
    def _can_be_entered(self) -> Self:
        pairs = (("user", "password_file"), ("tls_certificate_file", "tls_key_file"))
        for pair in pairs:
            missing = [name for name in pair if getattr(self, name) is None]
            if len(missing) == 1:
                given = next(name for name in pair if name not in missing)
                msg = f"{self.table}.{missing[0]}: missing beside {given}; give both, or neither"
                raise ValueError(msg)
        if self.tls_ca_file is None and not is_loopback(self.host):
            msg = (
                f"{self.table}.tls_ca_file: missing, but {self.host} is another machine; name the "
                "file with the certificate of the broker's authority so that the connection is "
                "encrypted"
            )
            raise ValueError(msg)
        return self


class MqttReceiverSettings(BrokerSettings):
    """A broker that edge agents send their records to; it must speak MQTT 5."""

    table: ClassVar[str] = "mqtt"
    share: str = Field(default="ingest", pattern=f"^{NAME_PATTERN}$")
    """Name of the share: ingest processes with the same one divide the messages among them."""


ANY_GROUP: Final = "+"
"""Stands for every Sparkplug group."""


def _topic_level(level: str) -> str:
    """See that something can be one level of a topic.

    Raises
    ------
    ValueError
        If it can't.
    """
    if not level or any(each in "+#/" or not each.isprintable() for each in level):
        msg = "write one level of a topic, without / + # and control characters"
        raise ValueError(msg)
    return level


def _group(group: str) -> str:
    return group if group == ANY_GROUP else _topic_level(group)


def _machine_pattern(pattern: str) -> str:
    """See that a pattern can become a legal name.

    Raises
    ------
    ValueError
        If it can't.
    """
    shown = pattern
    for place in ("{group}", "{node}", "{device}"):
        shown = shown.replace(place, "a")
    if not is_legal_name(shown) or shown == pattern:
        msg = 'write a name with {group}, {node} or {device} in it, for example "{node}-{device}"'
        raise ValueError(msg)
    return pattern


Level = Annotated[str, AfterValidator(_topic_level)]
Name = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]


class SparkplugSignalSettings(BaseModel):
    """What a metric is called by us."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(min_length=1)
    """Name of the metric."""
    signal: Name
    """Name of the signal; its end tells the unit."""
    device: str | None = None
    """Only of this device; "" is the node itself. None means of all."""
    machine: Name | None = None
    """Machine, if it is not the one that the topic names."""


class SparkplugSettings(BrokerSettings):
    """A broker with Sparkplug B nodes, where ingest is a host application."""

    table: ClassVar[str] = "sparkplug"
    protocol: Literal["3.1.1", "5"] = "5"
    """Version of MQTT that the broker speaks."""
    host_id: Level
    """Our name among host applications; nodes wait for it as their primary host."""
    groups: tuple[Annotated[str, AfterValidator(_group)], ...] = Field(
        default=(ANY_GROUP,), min_length=1
    )
    """Groups to listen to; "+" is every group."""
    sites: dict[str, Name] = Field(default_factory=dict)
    """Site of each group; one that is not named here is its own site."""
    machine: Annotated[str, AfterValidator(_machine_pattern)] | None = None
    """How machines are named after the topic; None takes the device, else the node."""
    reorder_timeout_s: float = Field(default=2.0, ge=0, le=60)
    """How long a message may be late before the node is asked for its births. [s]"""
    signals: tuple[SparkplugSignalSettings, ...] = ()
    """Metrics that are called otherwise by us; all others keep their names."""
