"""Settings of MQTT brokers and of what is read from them.

How each payload format is read is left to `edge_agent.sources`; here it is only said which
settings make sense together.
"""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from edge_agent.json_path import parse_path
from edge_agent.records import Priority
from edge_agent.settings_errors import Remedy
from edge_agent.settings_fields import (
    NAME_REMEDY,
    File,
    Group,
    Name,
    Text,
    is_loopback,
    user_with_password,
)
from ingest.telemetry import is_legal_name, unit_of
from ingest.telemetry.sparkplug_node import SPARKPLUG_ROOT

MACHINE_PLACE: Final = "{machine}"
"""Stands in an MQTT topic for the level that names the machine."""

SIGNAL_PLACE: Final = "{signal}"
"""Stands in an MQTT topic for the level that names the signal."""

Format = Literal["staybolt", "json", "line-protocol", "sparkplug"]
TimeUnit = Literal["s", "ms", "us", "ns", "iso8601"]

_ALLOWED: Final[dict[str, tuple[Format, ...]]] = {
    "machine": ("staybolt", "json", "line-protocol", "sparkplug"),
    "signals": ("json", "line-protocol", "sparkplug"),
    "value": ("json",),
    "samples": ("json",),
    "time": ("json",),
    "time_unit": ("json", "line-protocol"),
    "quality": ("json",),
    "quality_good": ("json",),
    "quality_uncertain": ("json",),
    "machine_tag": ("line-protocol",),
    "signal_tag": ("line-protocol",),
    "rebirth": ("sparkplug",),
    "reorder_timeout_s": ("sparkplug",),
}
"""Formats that know a setting; it must not be given with any other."""

_SPARKPLUG_MACHINES: Final = ("{group}", "{node}", "{device}")


def _known_signal(signal: str) -> str:
    if unit_of(signal) is None:
        msg = f"{signal!r} ends in no known unit"
        raise ValueError(msg)
    return signal


def _path(text: str) -> str:
    parse_path(text)
    return text


SignalName = Annotated[
    Name,
    AfterValidator(_known_signal),
    Remedy("end the name in its unit, for example oil_temperature_c, or fill_ratio for a number"),
]
JsonPathText = Annotated[
    str,
    AfterValidator(_path),
    Remedy('write keys with dots between them, for example "data.axes[0].current"'),
]


class BrokerSettings(Group):
    """How to reach and enter one MQTT broker."""

    host: Text
    """Host name or address of the broker."""
    port: Annotated[
        int, Field(ge=1, le=65535, strict=True), Remedy("write a port number, for example 8883")
    ] = 8883
    """Its port."""
    protocol: Annotated[Literal["5", "3.1.1"], Remedy('write "5" or "3.1.1", in quotes')] = "5"
    """Version of MQTT that it speaks."""
    user: Text | None = None
    """User name, with `password_file`; None for anonymous."""
    password_file: File | None = None
    """File that holds the password."""
    tls_ca_file: File | None = None
    """Certificates of the authorities that the broker's certificate may come from."""
    tls_certificate_file: File | None = None
    """Our own certificate to show the broker, with `tls_key_file`; None to show none."""
    tls_key_file: File | None = None
    """Private key of our own certificate, without a passphrase."""
    client_id: Text | None = None
    """Name of our session at the broker; None takes one from site and source."""

    @property
    def files(self) -> dict[str, Path | None]:
        """Every file the settings name, by the name of the setting."""
        names = ("password_file", "tls_ca_file", "tls_certificate_file", "tls_key_file")
        return {name: getattr(self, name) for name in names}

    @model_validator(mode="after")
    def _can_be_entered(self) -> Self:
        if self.tls_ca_file is None and not is_loopback(self.host):
            msg = (
                f"tls_ca_file: missing, but {self.host} is another machine; name the file with the "
                "certificate of the broker's authority so that the connection is encrypted"
            )
            raise ValueError(msg)
        if (self.tls_certificate_file is None) != (self.tls_key_file is None):
            given, missing = ("tls_key_file", "tls_certificate_file")
            if self.tls_key_file is None:
                given, missing = missing, given
            msg = f"{missing}: missing beside {given}; give both, or neither to show none"
            raise ValueError(msg)
        if self.tls_certificate_file is not None and self.tls_ca_file is None:
            msg = (
                "tls_ca_file: missing beside tls_certificate_file; a certificate is shown only "
                "over an encrypted connection, so name the broker's authority as well"
            )
            raise ValueError(msg)
        user_with_password(self.user, self.password_file)
        return self


class MqttSignalSettings(Group):
    """One value of a payload, and what it is called with us."""

    source: Text
    """JSON path, name of a Sparkplug metric, or line protocol's signal or field."""
    signal: SignalName
    """What is measured; its name ends in its unit."""
    machine: Name | None = None
    """Machine that it belongs to; None for the one of the topic."""
    device: Text | None = None
    """Sparkplug device that it is taken from; None for any."""
    quality: JsonPathText | None = None
    """JSON path of its own quality; None for that of the topic."""
    priority: Annotated[Priority | None, Remedy('write "alarm" or "raw"')] = None
    """Whether it goes up first and is never dropped before raw values; None for the topic's."""


class MqttTopicSettings(Group):
    """One family of topics."""

    topic: Annotated[
        str,
        Remedy('write {machine} for the level that names it, "plant/mill-7/{machine}/telemetry"'),
    ]
    """Topic with ``{machine}`` in place of the machine's name."""
    format: Annotated[
        Format, Remedy('write "staybolt", "json", "line-protocol" or "sparkplug"')
    ] = "staybolt"
    """How its payloads are written."""
    priority: Annotated[Priority, Remedy('write "alarm" or "raw"')] = "raw"
    """Whether its values go up first and are never dropped before raw ones."""
    machine: Text | None = None
    """Machine, where the topic does not name it; for Sparkplug made of node and device."""
    value: JsonPathText | None = None
    """JSON path of the value, where the topic names the signal; None for the whole payload."""
    samples: JsonPathText | None = None
    """JSON path of the list of samples; None if a payload is one sample."""
    time: JsonPathText | None = None
    """JSON path of the time; None takes the time of reception."""
    time_unit: Annotated[
        TimeUnit | None, Remedy('write "s", "ms", "us", "ns", or "iso8601" for text with a zone')
    ] = None
    """Unit of the time: by default milliseconds in JSON and nanoseconds in line protocol."""
    quality: JsonPathText | None = None
    """JSON path of the quality; None if all values are good."""
    quality_good: tuple[str | int | bool, ...] = (0, "good", "Good", "GOOD")
    """What the quality says where a value can be trusted."""
    quality_uncertain: tuple[str | int | bool, ...] = (1, "uncertain", "Uncertain", "UNCERTAIN")
    """What it says where trust is limited; everything else is bad."""
    machine_tag: Text = "machine"
    """Tag of a line that names the machine, where neither topic nor settings do."""
    signal_tag: Text = "signal"
    """Tag of a line that names the signal; without it each field is one."""
    rebirth: Annotated[bool, Field(strict=True), Remedy("write true or false")] = True
    """Whether a Sparkplug node is asked for its births when something of it was missed."""
    reorder_timeout_s: Annotated[
        float,
        Field(ge=0, le=60, strict=True),
        Remedy("write how long to wait for a message that was overtaken, for example 2.0"),
    ] = 2.0
    """How long a Sparkplug message may be late before it counts as missed."""
    signals: tuple[MqttSignalSettings, ...] = ()
    """Values to take from a payload, and what they are called with us."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        for name in sorted(self.model_fields_set & _ALLOWED.keys()):
            if self.format not in _ALLOWED[name]:
                msg = (
                    f"{name}: is for format {' or '.join(_ALLOWED[name])}, and this is "
                    f"{self.format}; leave it out or change format"
                )
                raise ValueError(msg)
        if self.format == "sparkplug":
            self._check_sparkplug()
        else:
            self._check_topic()
        self._check_signals()
        return self

    def _check_sparkplug(self) -> None:
        levels = self.topic.split("/")
        if (
            levels[0] != SPARKPLUG_ROOT
            or not 2 <= len(levels) <= 3
            or any(not level or (set(level) & set("{}#\0+") and level != "+") for level in levels)
        ):
            msg = (
                f"topic: {self.topic!r} names no group of Sparkplug B; write the group, "
                f'"{SPARKPLUG_ROOT}/plant", and if need be one node of it, "{SPARKPLUG_ROOT}/plant/'
                'line-2"'
            )
            raise ValueError(msg)
        machine = self.machine
        for place in _SPARKPLUG_MACHINES:
            machine = None if machine is None else machine.replace(place, "")
        if machine is not None and set(machine) & set("{}"):
            msg = (
                f"machine: {self.machine!r} has another place than {', '.join(_SPARKPLUG_MACHINES)}"
                '; write for example "{node}-{device}"'
            )
            raise ValueError(msg)

    def _check_topic(self) -> None:
        levels = self.topic.split("/")
        places = {MACHINE_PLACE} | ({SIGNAL_PLACE} if self.format == "json" else set())
        is_legal = all(
            level in places | {"+"}
            or (level == "#" and position == len(levels) - 1)
            or not set(level) & set("{}+#\0")
            for position, level in enumerate(levels)
        )
        if not self.topic or not is_legal or any(levels.count(place) > 1 for place in places):
            msg = (
                f"topic: {self.topic!r} has something else than {' or '.join(sorted(places))} once,"
                " + or plain text as its levels; write for example plant/mill-7/{machine}/telemetry"
            )
            raise ValueError(msg)
        names_machine = MACHINE_PLACE in levels
        if self.machine is not None:
            if names_machine:
                msg = f"machine: {self.machine!r}, but the topic names it; leave one of them out"
                raise ValueError(msg)
            if not is_legal_name(self.machine):
                msg = f"machine: {self.machine!r} is not a legal name; {NAME_REMEDY}"
                raise ValueError(msg)
        elif not names_machine and self.format == "staybolt":
            msg = (
                f"topic: {self.topic!r} names no machine; write {MACHINE_PLACE} for the level that "
                "names it, or give machine"
            )
            raise ValueError(msg)
        elif not names_machine and self.format == "json":
            without = [signal for signal in self.signals if signal.machine is None]
            if without or not self.signals:
                msg = (
                    "machine: missing; write {machine} in the topic, give machine, or give one for "
                    "every signal (a payload can't say which machine it is of)"
                )
                raise ValueError(msg)

    def _check_signals(self) -> None:
        if self.format == "json":
            if (SIGNAL_PLACE in self.topic.split("/")) == bool(self.signals):
                msg = (
                    f"signals: name the values by [[mqtt.topics.signals]], or by {SIGNAL_PLACE} in "
                    "the topic; one of the two"
                )
                raise ValueError(msg)
            if self.signals and self.value is not None:
                msg = f"value: is for topics with {SIGNAL_PLACE}; give source in the signals"
                raise ValueError(msg)
            if self.time is None and self.time_unit is not None:
                msg = "time_unit: without time; give the JSON path of the time as well"
                raise ValueError(msg)
        if self.format == "line-protocol" and self.time_unit == "iso8601":
            msg = "time_unit: line protocol writes times as numbers; write s, ms, us or ns"
            raise ValueError(msg)
        for position, signal in enumerate(self.signals):
            self._check_signal(signal, f"signals[{position}]")

    def _check_signal(self, signal: MqttSignalSettings, place: str) -> None:
        if self.format == "json":
            try:
                parse_path(signal.source)
            except ValueError as error:
                msg = f"{place}.source: {error}; write for example data.axes[0].current"
                raise ValueError(msg) from error
        elif signal.quality is not None:
            msg = f"{place}.quality: is for format json; leave it out"
            raise ValueError(msg)
        if signal.device is not None and self.format != "sparkplug":
            msg = f"{place}.device: is for format sparkplug; leave it out"
            raise ValueError(msg)

    @property
    def filter(self) -> str:
        """What to subscribe to."""
        if self.format == "sparkplug":
            _, group, node = [*self.topic.split("/"), "+"][:3]
            return f"{SPARKPLUG_ROOT}/{group}/+/{node}/#"
        return self.topic.replace(MACHINE_PLACE, "+").replace(SIGNAL_PLACE, "+")


class MqttSettings(BrokerSettings):
    """One MQTT broker."""

    name: Name
    """What it is called in logs."""
    topics: Annotated[
        tuple[MqttTopicSettings, ...],
        Field(min_length=1),
        Remedy("add at least one [[mqtt.topics]] below the broker"),
    ]
    """What to listen to."""

    @model_validator(mode="after")
    def _topics_differ(self) -> Self:
        first: dict[str, int] = {}
        for position, topic in enumerate(self.topics):
            if topic.filter in first:
                msg = (
                    f"topics[{position}].topic: {topic.topic!r} is the same as topics"
                    f"[{first[topic.filter]}]; give it once"
                )
                raise ValueError(msg)
            first[topic.filter] = position
        return self
