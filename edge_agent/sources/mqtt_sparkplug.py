"""Sparkplug B messages for the MQTT source: which metrics the settings ask for, and as what.

How messages become samples is in `ingest.telemetry.sparkplug_reading`, which ingest uses too.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from edge_agent.counters import Counters
from edge_agent.errors import PayloadError
from edge_agent.settings_mqtt import MqttSignalSettings, MqttTopicSettings
from edge_agent.sources.mqtt_reading import Message, Reading, joined, split_by_priority
from ingest.errors import SparkplugError
from ingest.telemetry import Series, is_legal_name, unit_of
from ingest.telemetry import sparkplug_reading as reading
from ingest.telemetry.sparkplug import WHY_UNUSABLE, DataType, Metrics, Unusable
from ingest.telemetry.sparkplug_births import Births, Wanted
from ingest.telemetry.sparkplug_node import Place, is_own_name, machine_of
from ingest.telemetry.sparkplug_reading import NodesReader, Told
from ingest.telemetry.sparkplug_samples import Samples

_NO_TELEMETRY: Final = frozenset(kind for kind in DataType if kind > DataType.BOOLEAN)


class Done(NamedTuple):
    """One message that has been read: its ticket, and what was in it or why nothing was."""

    ticket: Any
    reading: Reading | PayloadError


@dataclass(slots=True)
class SparkplugReader:
    """Reads the messages of Sparkplug nodes.

    Parameters
    ----------
    site : str
        Site of the machines.
    settings : MqttTopicSettings
        Of a family of topics with the format ``sparkplug``.
    folder : Path or None
        Where births are kept over a restart; None keeps none.
    counters : Counters
        Where to count what was missed.
    """

    site: str
    settings: MqttTopicSettings
    folder: Path | None
    counters: Counters
    _nodes: NodesReader = field(init=False)
    _called: dict[str, list[MqttSignalSettings]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._nodes = NodesReader(
            self,
            self.settings.reorder_timeout_s,
            self.folder,
            self._count_missed,
            self.settings.priority,
        )
        for signal in self.settings.signals:
            self._called.setdefault(signal.source, []).append(signal)

    def take(self, place: Place, message: Message, ticket: object, now_s: float) -> list[Done]:
        """Take a message; it may have to wait for others.

        Parameters
        ----------
        place : Place
            What its topic says.
        message : Message
            The message.
        ticket : object
            Comes back with the message's reading.
        now_s : float
            A clock that never jumps. [s]

        Returns
        -------
        list of Done
            What has been read by now, in order; this message may not be among it.
        """
        told = Told(message.payload, message.received_at_ns, message.is_retained)
        return self._done(self._nodes.take(place, told, ticket, now_s))

    def tick(self, now_s: float) -> list[Done]:
        """Let time pass: what waited too long is read, and births are kept on disk.

        Parameters
        ----------
        now_s : float
            A clock that never jumps. [s]

        Returns
        -------
        list of Done
            What has been read.
        """
        return self._done(self._nodes.tick(now_s))

    def disconnected(self) -> list[Done]:
        """Note that messages may be missed from now on.

        Returns
        -------
        list of Done
            What waited for others that won't come any more.
        """
        return self._done(self._nodes.disconnected())

    def to_be_asked(self, now_s: float) -> list[str]:
        """Topics to publish a rebirth command on; these nodes count as asked.

        Parameters
        ----------
        now_s : float
            A clock that never jumps. [s]

        Returns
        -------
        list of str
            One for each node of which a birth may have been missed.
        """
        return self._nodes.to_be_asked(now_s) if self.settings.rebirth else []

    def _count_missed(self, n_messages: int) -> None:
        self.counters.sparkplug_missed += n_messages

    def _done(self, done: list[reading.Done]) -> list[Done]:
        return [Done(ticket, self._reading(result)) for ticket, result in done]

    def _reading(self, result: Samples | SparkplugError) -> Reading | PayloadError:
        if isinstance(result, SparkplugError):
            return PayloadError(str(result))
        parts = split_by_priority(result.batch, self.settings.priority, result.priority_of)
        return Reading(parts, joined(result.faults))

    # --- names ---------------------------------------------------------------------------------

    def want(self, place: Place, name: str, datatype: int) -> Wanted | None:  # noqa: ARG002 - all types
        """Series that a metric's name is.

        Parameters
        ----------
        place : Place
            Where it is from.
        name : str
            Its name.
        datatype : int
            Its type.

        Returns
        -------
        Wanted or None
            None if it is not asked for or can't be named.
        """
        machine = machine_of(place, self.settings.machine)
        for called in self._called.get(name, ()):
            if called.device in {None, place.device}:
                machine = called.machine or machine
                priority = called.priority or self.settings.priority
                if not is_legal_name(machine):
                    return None
                return Wanted(Series(self.site, machine, called.signal), priority)
        if self._called or not is_legal_name(name) or unit_of(name) is None:
            return None
        if not is_legal_name(machine):
            return None
        return Wanted(Series(self.site, machine, name), self.settings.priority)

    def judge(self, place: Place, births: Births, metrics: Metrics) -> Iterator[str]:
        """Say once per birth what of it is not taken, unless the settings name what they want.

        Parameters
        ----------
        place : Place
            Whose birth.
        births : Births
            What was learned from it.
        metrics : Metrics
            What it carried.

        Yields
        ------
        str
            What is not taken, and why.
        """
        machine = machine_of(place, self.settings.machine)
        if not is_legal_name(machine):
            yield (
                f"{machine!r} is no legal name for a machine; name it by machine in the settings, "
                "or in [[mqtt.topics.signals]]"
            )
            return
        if self._called:
            return
        for name, datatype in zip(metrics.names, metrics.datatype.tolist(), strict=True):
            known = births.by_name.get(name)
            if is_own_name(name) or known is None or known.wanted is not None:
                continue
            if datatype in _NO_TELEMETRY:
                yield f"{name} {WHY_UNUSABLE[Unusable.NO_NUMBER]}"
            else:
                yield f"{name!r} ends in no known unit; name it in [[mqtt.topics.signals]]"
