"""Sparkplug B messages as samples: names and aliases from births, machines from the settings.

Who may be believed when is decided by `edge_agent.sources.sparkplug_node`, what an alias stands
for is known to `edge_agent.sources.sparkplug_births`; here the two are put to work.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from edge_agent.counters import Counters
from edge_agent.errors import PayloadError
from edge_agent.settings_mqtt import SPARKPLUG_ROOT, MqttSignalSettings, MqttTopicSettings
from edge_agent.sources.mqtt_reading import Message, Reading, joined, split_by_priority
from edge_agent.sources.sparkplug_births import BirthFiles, Births, Wanted
from edge_agent.sources.sparkplug_node import Arrived, Decided, EdgeNode, Place
from ingest.errors import SparkplugError
from ingest.telemetry import (
    UNIT_BY_SUFFIX,
    Quality,
    Series,
    TelemetryBatch,
    is_legal_name,
    unit_of,
)
from ingest.telemetry.sparkplug import (
    WHY_UNUSABLE,
    DataType,
    Metrics,
    Payload,
    Unusable,
    numeric_values,
)

logger = logging.getLogger(__name__)

MAX_NODES: Final = 1000
MAX_DEVICES: Final = 10_000
"""Of one node; whoever invents names must not fill our memory."""

_NS_PER_MS: Final = 1_000_000
_OWN_NAMES: Final = ("Node Control/", "Device Control/", "Node Info/", "Properties/")
_UNITS: Final = frozenset(UNIT_BY_SUFFIX.values()) - {"1"}
_NO_TELEMETRY: Final = frozenset(kind for kind in DataType if kind > DataType.BOOLEAN)


class Done(NamedTuple):
    """One message that has been read: its ticket, and what was in it or why nothing was."""

    ticket: Any
    reading: Reading | PayloadError


class _Told(NamedTuple):
    """A message on its way through the rules of its node."""

    place: Place
    message: Message
    payload: Payload
    ticket: Any


@dataclass(slots=True)
class _Known:
    """One edge node: whether to believe it, and what its births told."""

    node: EdgeNode[_Told]
    births: dict[str, Births] = field(default_factory=dict)
    is_to_be_saved: bool = False
    n_told: int = 0


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
    _files: BirthFiles = field(init=False)
    _nodes: dict[tuple[str, str], _Known] = field(default_factory=dict)
    _called: dict[str, list[MqttSignalSettings]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._files = BirthFiles(self.folder)
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
        if message.is_retained:
            # Births and data are never retained (tck-id-…-retain): whose time this was is unknown.
            return [Done(ticket, Reading(()))]
        try:
            known = self._known(place)
            payload = self._births(known, place).reader.read(message.payload)
        except (SparkplugError, PayloadError) as error:
            return [Done(ticket, PayloadError(str(error)))]
        bd_seq = payload.metrics.integer_of("bdSeq") if place.kind[0] == "N" else None
        arrived = Arrived(
            place.kind,
            payload.seq,
            bd_seq,
            payload.timestamp_ms,
            _Told(place, message, payload, ticket),
        )
        return self._all_read(known, known.node.arrived(arrived, now_s))

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
        self.save()
        done: list[Done] = []
        for known in self._nodes.values():
            done += self._all_read(known, known.node.tick(now_s))
        return done

    def disconnected(self) -> list[Done]:
        """Note that messages may be missed from now on.

        Returns
        -------
        list of Done
            What waited for others that won't come any more.
        """
        self.save()
        done: list[Done] = []
        for known in self._nodes.values():
            done += self._all_read(known, known.node.disconnected())
        return done

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
        if not self.settings.rebirth:
            return []
        return [
            f"{SPARKPLUG_ROOT}/{group}/NCMD/{node}"
            for (group, node), known in self._nodes.items()
            if known.node.is_to_be_asked(now_s)
        ]

    def save(self) -> None:
        """Keep on disk what births have told since the last time."""
        for (group, node), known in self._nodes.items():
            if known.is_to_be_saved:
                known.is_to_be_saved = False
                told = {device: births.told() for device, births in known.births.items()}
                self._files.save(group, node, told)

    # --- births and names ----------------------------------------------------------------------

    def _known(self, place: Place) -> _Known:
        key = place.group, place.node
        known = self._nodes.get(key)
        if known is None:
            if len(self._nodes) >= MAX_NODES:
                msg = f"more than {MAX_NODES} nodes; name the one you want in topic"
                raise PayloadError(msg)
            known = self._nodes[key] = _Known(EdgeNode(self.settings.reorder_timeout_s))
            for device, told in self._files.load(*key).items():
                self._births(known, place._replace(device=device)).learn(told)
        if len(known.births) >= MAX_DEVICES and place.device not in known.births:
            msg = f"more than {MAX_DEVICES} devices of one node"
            raise PayloadError(msg)
        return known

    def _births(self, known: _Known, place: Place) -> Births:
        births = known.births.get(place.device)
        if births is None:
            births = known.births[place.device] = Births(
                lambda name: self._want(place, name), self.settings.priority
            )
        return births

    def _want(self, place: Place, name: str) -> Wanted | None:
        """Series that a metric's name is; None if it is not asked for or can't be named."""
        if name == "bdSeq" or name.startswith(_OWN_NAMES):
            return None
        machine = self._machine(place)
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

    def _machine(self, place: Place) -> str:
        if self.settings.machine is None:
            return place.device or place.node
        # What is of the node itself has no device to be named by.
        made = self.settings.machine
        if not place.device:
            made = made.replace("-{device}", "").replace("{device}", "{node}")
        return (
            made
            .replace("{group}", place.group)
            .replace("{node}", place.node)
            .replace("{device}", place.device)
        )

    # --- reading -------------------------------------------------------------------------------

    def _all_read(self, known: _Known, decided: list[Decided[_Told]]) -> list[Done]:
        missed = known.node.n_missed - known.n_told
        if missed:
            known.n_told = known.node.n_missed
            self.counters.sparkplug_missed += missed
        return [Done(one.ticket.ticket, self._read(known, one)) for one in decided]

    def _read(self, known: _Known, decided: Decided[_Told]) -> Reading | PayloadError:
        place, message, payload, _ = decided.ticket
        if decided.is_ignored:
            return Reading(())
        match place.kind:
            case "NDEATH":
                return self._death(list(known.births.values()), message.received_at_ns)
            case "DDEATH":
                at_ns = (payload.timestamp_ms or 0) * _NS_PER_MS or message.received_at_ns
                return self._death([self._births(known, place)], at_ns)
            case "NBIRTH" | "DBIRTH":
                return self._birth(known, place, payload)
            case _:
                return self._data(known, place, payload, is_doubtful=decided.is_doubtful)

    def _birth(self, known: _Known, place: Place, payload: Payload) -> Reading | PayloadError:
        metrics = payload.metrics
        if place.kind == "NBIRTH":
            known.births.clear()
        births = self._births(known, place)
        births.learn(
            list(zip(metrics.names, metrics.aliases, metrics.datatype.tolist(), strict=True))
        )
        known.is_to_be_saved = True
        faults = [*self._not_taken(place, metrics), *self._wrong_units(births, metrics)]
        batch, priority_of, wrong = self._samples(births, metrics, is_doubtful=False)
        parts = split_by_priority(batch, self.settings.priority, priority_of)
        return Reading(parts, joined([*faults, *wrong]))

    def _not_taken(self, place: Place, metrics: Metrics) -> Iterator[str]:
        """Say once per birth what of it is not taken, unless the settings name what they want."""
        machine = self._machine(place)
        if not is_legal_name(machine):
            yield (
                f"{machine!r} is no legal name for a machine; name it by machine in the settings, "
                "or in [[mqtt.topics.signals]]"
            )
            return
        if self._called:
            return
        for name, datatype in zip(metrics.names, metrics.datatype.tolist(), strict=True):
            if name == "bdSeq" or name.startswith(_OWN_NAMES) or self._want(place, name):
                continue
            if datatype in _NO_TELEMETRY:
                yield f"{name} {WHY_UNUSABLE[Unusable.NO_NUMBER]}"
            else:
                yield f"{name!r} ends in no known unit; name it in [[mqtt.topics.signals]]"

    def _wrong_units(self, births: Births, metrics: Metrics) -> Iterator[str]:
        """Say where a birth tells another unit than the signal's name."""
        for row, told in metrics.properties.items():
            metric, unit = births.by_name.get(metrics.names[row]), told.get("engUnit")
            if metric is None or metric.wanted is None or unit not in _UNITS:
                continue
            signal = metric.wanted.series.signal
            if unit != unit_of(signal):
                yield (
                    f"{metric.name} is in {unit}, and {signal} in {unit_of(signal)}; correct the "
                    "signal's name (its values are kept)"
                )

    def _data(
        self, known: _Known, place: Place, payload: Payload, *, is_doubtful: bool
    ) -> Reading | PayloadError:
        births = self._births(known, place)
        shape = births.shape(payload.metrics)
        faults = []
        if shape.unknown:
            known.node.is_doubtful = True
            aliases = ", ".join(str(alias) for alias in shape.unknown[:5])
            faults.append(f"alias {aliases} is in no birth that was heard")
        batch, priority_of, wrong = self._samples(births, payload.metrics, is_doubtful=is_doubtful)
        fault = joined([*faults, *wrong])
        if not len(batch) and fault is not None:
            return PayloadError(fault)
        return Reading(split_by_priority(batch, self.settings.priority, priority_of), fault)

    def _samples(
        self, births: Births, metrics: Metrics, *, is_doubtful: bool
    ) -> tuple[TelemetryBatch, "dict[Series, Any]", list[str]]:
        shape = births.shape(metrics)
        value, unusable = numeric_values(metrics, shape.datatype)
        time_ns, quality = metrics.time_ms * _NS_PER_MS, metrics.quality
        index, by_alias = shape.series_index, shape.is_by_alias
        if not shape.is_all:
            value, unusable = value[shape.rows], unusable[shape.rows]
            time_ns, quality = time_ns[shape.rows], quality[shape.rows]
        faults: list[str] = []
        if unusable.any():
            kept = unusable == 0
            faults = [
                f"{shape.series[row].signal} {WHY_UNUSABLE[Unusable(why)]}"
                for row, why in zip(index[~kept].tolist(), unusable[~kept].tolist(), strict=True)
            ]
            value, time_ns, quality = value[kept], time_ns[kept], quality[kept]
            index, by_alias = index[kept], by_alias[kept]
        if not metrics.is_plain and (is_null := np.isnan(value)).any():
            quality = np.where(is_null, np.uint8(Quality.BAD), quality)
        if is_doubtful:
            doubted = np.maximum(quality, np.uint8(Quality.UNCERTAIN))
            quality = np.where(by_alias, doubted, quality)
        batch = TelemetryBatch(shape.series, index, time_ns, value, quality)
        return batch, shape.priority_of, faults

    def _death(self, dead: list[Births], at_ns: int) -> Reading:
        """Say of every series that nothing is known any more."""
        series = tuple(dict.fromkeys(one for births in dead for one in births.series()))
        n = len(series)
        batch = TelemetryBatch.of(
            series, range(n), [at_ns] * n, [np.nan] * n, [int(Quality.BAD)] * n
        )
        priority_of = {
            metric.wanted.series: metric.wanted.priority
            for births in dead
            for metric in births.by_name.values()
            if metric.wanted is not None
        }
        return Reading(split_by_priority(batch, self.settings.priority, priority_of))
