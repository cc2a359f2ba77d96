"""An edge node of Sparkplug B as a state machine: what it publishes, and when.

It reads no clock and opens no socket. The machines of a site are the devices of one node. Times on
the wire are whole milliseconds, as the specification has them; what machines measure here lies on
whole seconds.

References
----------
.. [1] Eclipse Sparkplug Specification, version 3.0.0, 2022, chapters 4 to 6.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.message import DecodeError

from simulators.errors import ScenarioError
from simulators.mqtt.sparkplug.payload import (
    DataType,
    Payload,
    Proto,
    SparkplugQuality,
    add_metric,
    add_property,
)
from simulators.reading import GOOD, UNCERTAIN, Moment
from simulators.units import unit_of

NAMESPACE: Final = "spBv1.0"
REBIRTH: Final = "Node Control/Rebirth"
_NS_PER_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Message:
    """Something to publish.

    Parameters
    ----------
    topic : str
        Where.
    payload : bytes
        What.
    """

    topic: str
    payload: bytes


@dataclass(slots=True)
class SparkplugNode:
    """One edge node with its devices.

    Parameters
    ----------
    group, node : str
        Its place in the topic namespace.
    devices : mapping of str to sequence of str
        Signals of each device.
    bd_seq : int
        Number of its birth, 0 to 255; each connection has its own.
    """

    group: str
    node: str
    devices: Mapping[str, Sequence[str]]
    bd_seq: int = 0
    _seq: int = 0
    _aliases: dict[tuple[str, str], int] = field(default_factory=dict)
    _newest: dict[str, Moment] = field(default_factory=dict)
    _dead: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for name in (self.group, self.node, *self.devices):
            if not name or set(name) & set("/+#"):
                msg = f"sparkplug: {name!r} can't be part of a topic; leave out /, + and #"
                raise ScenarioError(msg)
        # Alias 0 is the node's own rebirth command.
        for device, signals in self.devices.items():
            for signal in signals:
                self._aliases[device, signal] = len(self._aliases) + 1

    def topic(self, kind: str, device: str = "") -> str:
        """Name a topic of this node.

        Parameters
        ----------
        kind : str
            ``NBIRTH``, ``DDATA`` and so on.
        device : str
            The device, for those that have one.

        Returns
        -------
        str
            The topic.
        """
        parts = [NAMESPACE, self.group, kind, self.node, *([device] if device else [])]
        return "/".join(parts)

    def connect(self) -> Message:
        """Begin a new connection.

        Returns
        -------
        Message
            The will that announces the node's death.
        """
        self.bd_seq = (self.bd_seq + 1) % 256
        return self.will()

    def will(self) -> Message:
        """Write the node's death.

        Returns
        -------
        Message
            Without a sequence number: it may come at any time.
        """
        payload = Payload(timestamp=0)
        self._add_bd_seq(payload, 0)
        return Message(self.topic("NDEATH"), payload.SerializeToString())

    def births(self, now_ns: int) -> list[Message]:
        """Announce the node and all living devices.

        Parameters
        ----------
        now_ns : int
            When. [ns since 1970-01-01 UTC]

        Returns
        -------
        list of Message
            NBIRTH, then a DBIRTH for each device.
        """
        time_ms = now_ns // _NS_PER_MS
        self._seq = 0
        payload = Payload(timestamp=time_ms, seq=0)
        self._add_bd_seq(payload, time_ms)
        add_metric(
            payload, time_ms=time_ms, datatype=DataType.BOOLEAN, value=False, name=REBIRTH, alias=0
        )
        node = Message(self.topic("NBIRTH"), payload.SerializeToString())
        living = [device for device in self.devices if device not in self._dead]
        return [node, *(self.device_birth(device, now_ns) for device in living)]

    def device_birth(self, device: str, now_ns: int) -> Message:
        """Announce a device with all it measures.

        Parameters
        ----------
        device : str
            The device.
        now_ns : int
            When. [ns since 1970-01-01 UTC]

        Returns
        -------
        Message
            DBIRTH with names, aliases, types, units and present values.
        """
        self._dead.discard(device)
        payload = Payload(timestamp=now_ns // _NS_PER_MS, seq=self._next_seq())
        newest = self._newest.get(device)
        for number, signal in enumerate(self.devices[device]):
            metric = self._add_value(payload, device, signal, number, newest, now_ns)
            metric.name = signal
            add_property(metric, "engUnit", unit_of(signal).text)
        return Message(self.topic("DBIRTH", device), payload.SerializeToString())

    def device_death(self, device: str, now_ns: int) -> Message:
        """Say that a device can't be reached any more.

        Parameters
        ----------
        device : str
            The device.
        now_ns : int
            When. [ns since 1970-01-01 UTC]

        Returns
        -------
        Message
            DDEATH.
        """
        self._dead.add(device)
        payload = Payload(timestamp=now_ns // _NS_PER_MS, seq=self._next_seq())
        return Message(self.topic("DDEATH", device), payload.SerializeToString())

    def data(
        self, device: str, moment: Moment, now_ns: int, *, is_historical: bool = False
    ) -> list[Message]:
        """Tell what a device measured.

        Parameters
        ----------
        device : str
            The device.
        moment : Moment
            What it measured, and when.
        now_ns : int
            When it is told. [ns since 1970-01-01 UTC]
        is_historical : bool
            Whether it was kept back, and newer values have been told.

        Returns
        -------
        list of Message
            DDATA with aliases alone; a DBIRTH before it if the device was dead.
        """
        messages = [self.device_birth(device, now_ns)] if device in self._dead else []
        if not is_historical:
            self._newest[device] = moment
        payload = Payload(timestamp=now_ns // _NS_PER_MS, seq=self._next_seq())
        for number, signal in enumerate(self.devices[device]):
            metric = self._add_value(payload, device, signal, number, moment, now_ns)
            if is_historical:
                metric.is_historical = True
        return [*messages, Message(self.topic("DDATA", device), payload.SerializeToString())]

    def command(self, topic: str, payload: bytes, now_ns: int) -> list[Message]:
        """Take what a host application asks for.

        Parameters
        ----------
        topic : str
            Where it was published.
        payload : bytes
            What it says; anything.
        now_ns : int
            When. [ns since 1970-01-01 UTC]

        Returns
        -------
        list of Message
            All births again if it asks for a rebirth, else nothing.
        """
        if topic != self.topic("NCMD"):
            return []
        try:
            asked = Payload.FromString(payload)
        except DecodeError:
            return []
        is_rebirth = any(
            metric.boolean_value and (metric.name == REBIRTH or self._is_rebirth_alias(metric))
            for metric in asked.metrics
        )
        return self.births(now_ns) if is_rebirth else []

    @staticmethod
    def _is_rebirth_alias(metric: Proto) -> bool:
        return bool(metric.HasField("alias") and metric.alias == 0)

    def _add_value(
        self,
        payload: Proto,
        device: str,
        signal: str,
        number: int,
        moment: Moment | None,
        now_ns: int,
    ) -> Proto:
        value = math.nan if moment is None else moment.values[number]
        metric = add_metric(
            payload,
            time_ms=(now_ns if moment is None else moment.time_ns) // _NS_PER_MS,
            datatype=DataType.DOUBLE,
            value=None if math.isnan(value) else value,
            alias=self._aliases[device, signal],
        )
        quality = GOOD if moment is None else moment.quality[number]
        if math.isnan(value):
            add_property(metric, "Quality", int(SparkplugQuality.BAD))
        elif quality != GOOD:
            # The specification knows no uncertain values; stale is what is not quite trusted.
            word = SparkplugQuality.STALE if quality == UNCERTAIN else SparkplugQuality.BAD
            add_property(metric, "Quality", int(word))
        return metric

    def _add_bd_seq(self, payload: Proto, time_ms: int) -> None:
        add_metric(
            payload, time_ms=time_ms, datatype=DataType.INT64, value=self.bd_seq, name="bdSeq"
        )

    def _next_seq(self) -> int:
        self._seq = (self._seq + 1) % 256
        return self._seq
