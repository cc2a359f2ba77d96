"""Line protocol in MQTT messages, its tags mapped to machines and signals.

The site is always the agent's own. The machine is the topic's or the settings' where they name
one; else it is the tag's, for a gateway that speaks for many machines on one topic.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from edge_agent.errors import PayloadError
from edge_agent.records import Priority
from edge_agent.settings_mqtt import MqttSignalSettings, MqttTopicSettings
from edge_agent.sources.mqtt_reading import (
    Message,
    Reading,
    check_size,
    joined,
    machine_named,
    split_by_priority,
)
from ingest.telemetry import Series, TelemetryBatch, is_legal_name, unit_of
from ingest.telemetry.lines import Fault, Sample, parse_line

NS_PER_UNIT: Final = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


@dataclass(slots=True)
class LinesReader:
    """Reads line protocol.

    Parameters
    ----------
    site : str
        Site of the machines.
    settings : MqttTopicSettings
        Of a family of topics with the format ``line-protocol``.
    """

    site: str
    settings: MqttTopicSettings
    _called: dict[str, MqttSignalSettings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._called = {signal.source: signal for signal in self.settings.signals}

    def read(self, message: Message, places: Mapping[str, str]) -> Reading:
        """Read one message; see `edge_agent.sources.mqtt_reading.Reader`.

        Parameters
        ----------
        message : Message
            The message.
        places : mapping of str to str
            What the topic says.

        Returns
        -------
        Reading
            Its samples, and what is wrong with the rest.

        Raises
        ------
        PayloadError
            If nothing of it can be read.
        """
        check_size(message.payload)
        machine = None
        if "machine" in places or self.settings.machine is not None:
            machine = machine_named(places, self.settings.machine)
        ns_per_tick = NS_PER_UNIT[self.settings.time_unit or "ns"]
        samples: list[Sample] = []
        faults: list[str] = []
        n_lines = n_unwanted = 0
        # A time of its own is never below zero in a plant; this one marks lines without any.
        untimed_ns = -1 if message.is_retained else message.received_at_ns
        for number, raw in enumerate(message.payload.split(b"\n"), start=1):
            line = raw.removesuffix(b"\r").lstrip(b" \t")
            if not line or line.startswith(b"#"):
                continue
            n_lines += 1
            taken, wrong = parse_line(
                line, ns_per_tick, untimed_ns, lambda tags: self._retag(tags, machine)
            )
            faults += [f"line {number}: {fault.reason}; {fault.remedy}" for fault in wrong]
            for sample in taken:
                named = self._named(sample)
                if isinstance(named, str):
                    faults.append(f"line {number}: {named}")
                elif named is None:
                    n_unwanted += 1
                elif named.time_ns >= 0:
                    samples.append(named)
                elif not message.is_retained:
                    faults.append(f"line {number}: its time is before 1970; see time_unit")
        if not samples and (faults or not n_lines) and not n_unwanted:
            raise PayloadError(joined(faults) or "no line in it")
        priority_of = self._priorities({sample.series for sample in samples})
        parts = split_by_priority(_batch(samples), self.settings.priority, priority_of)
        return Reading(parts, joined(faults))

    def _retag(self, tags: dict[str, str], machine: str | None) -> dict[str, str] | Fault:
        settings = self.settings
        if tags.get("site", self.site) != self.site:
            return Fault(
                f"it is of site {tags['site']!r}, and this agent's is {self.site}",
                "let the agent of that site read it",
            )
        found = machine or tags.get(settings.machine_tag)
        if found is None:
            return Fault(
                f"the tag {settings.machine_tag} is missing",
                "add it to every line, or name the machine by machine in the settings",
            )
        if not is_legal_name(found):
            return Fault(
                f"the machine {found!r} has no legal name",
                "use letters, digits and _ . - , at most 64",
            )
        place = {"site": self.site, "machine": found}
        signal = tags.get(settings.signal_tag)
        return place if signal is None else {**place, "signal": signal}

    def _named(self, sample: Sample) -> Sample | str | None:
        """Give a sample our names; None if it is not asked for, text if it can't be named."""
        called = self._called.get(sample.series.signal)
        machine, signal = sample.series.machine, sample.series.signal
        if called is not None:
            machine, signal = called.machine or machine, called.signal
        elif self._called:
            return None
        elif not is_legal_name(signal) or unit_of(signal) is None:
            return f"signal {signal!r} ends in no known unit; name it in [[mqtt.topics.signals]]"
        return sample._replace(series=Series(self.site, machine, signal))

    def _priorities(self, used: set[Series]) -> dict[Series, Priority]:
        told: dict[str, Priority] = {
            signal.signal: signal.priority
            for signal in self.settings.signals
            if signal.priority is not None
        }
        return {series: told[series.signal] for series in used if series.signal in told}


def _batch(samples: list[Sample]) -> TelemetryBatch:
    row_of: dict[Series, int] = {}
    index = [row_of.setdefault(sample.series, len(row_of)) for sample in samples]
    return TelemetryBatch.of(
        tuple(row_of),
        index,
        [sample.time_ns for sample in samples],
        [sample.value for sample in samples],
        [sample.quality for sample in samples],
    )
