"""Which reader a message goes to: families of topics, in the order of the settings."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_agent.counters import Counters
from edge_agent.errors import PayloadError
from edge_agent.settings_mqtt import MqttTopicSettings
from edge_agent.sources.mqtt_json import MappedJsonReader
from edge_agent.sources.mqtt_lines import LinesReader
from edge_agent.sources.mqtt_payload import OwnJsonReader
from edge_agent.sources.mqtt_reading import Message, Reader, Reading, topic_pattern
from edge_agent.sources.mqtt_sparkplug import Done, SparkplugReader
from ingest.telemetry.sparkplug_node import sparkplug_place

logger = logging.getLogger(__name__)

_NOTHING: Final = Reading(())


@dataclass(slots=True)
class Family:
    """One family of topics, and who reads it."""

    settings: MqttTopicSettings
    pattern: re.Pattern[str]
    reader: Reader | SparkplugReader


class Families:
    """All families of topics of one broker.

    Parameters
    ----------
    site : str
        Site of the machines.
    folder : Path or None
        Where Sparkplug births are kept over a restart.
    counters : Counters
        What is counted in.
    topics : sequence of MqttTopicSettings
        The settings.
    """

    def __init__(
        self,
        site: str,
        folder: Path | None,
        counters: Counters,
        topics: Sequence[MqttTopicSettings],
    ) -> None:
        self._site, self._folder, self._counters = site, folder, counters
        self._families: list[Family] = []
        self.set(topics)

    @property
    def filters(self) -> list[str]:
        """What to subscribe to."""
        return [family.settings.filter for family in self._families]

    def set(self, topics: Sequence[MqttTopicSettings]) -> list[Done]:
        """Read these families from now on; what did not change keeps what it has learned.

        Parameters
        ----------
        topics : sequence of MqttTopicSettings
            The settings.

        Returns
        -------
        list of Done
            Messages that waited in a family that is no more, or is read otherwise.
        """
        known = {family.settings: family for family in self._families}
        self._families = [
            known.pop(topic) if topic in known else self._make(topic) for topic in topics
        ]
        return [
            done
            for family in known.values()
            if isinstance(family.reader, SparkplugReader)
            for done in family.reader.disconnected()
        ]

    def read(self, message: Message, ticket: object, now_s: float) -> list[Done]:
        """Read a message.

        Parameters
        ----------
        message : Message
            The message.
        ticket : object
            Comes back with its reading.
        now_s : float
            A clock that never jumps. [s]

        Returns
        -------
        list of Done
            What has been read by now: this message, or others before it, or nothing yet.
        """
        for family in self._families:
            found = family.pattern.fullmatch(message.topic)
            if found is not None:
                return self._read_in(family.reader, found.groupdict(), message, ticket, now_s)
        msg = "no topic of the settings fits; the broker remembers an earlier subscription"
        return [Done(ticket, PayloadError(msg))]

    def tick(self, now_s: float) -> list[Done]:
        """Let time pass.

        Parameters
        ----------
        now_s : float
            A clock that never jumps. [s]

        Returns
        -------
        list of Done
            What waited long enough.
        """
        return [done for reader in self._sparkplug() for done in reader.tick(now_s)]

    def disconnected(self) -> list[Done]:
        """Note that messages may be missed from now on.

        Returns
        -------
        list of Done
            What waited.
        """
        return [done for reader in self._sparkplug() for done in reader.disconnected()]

    def to_be_asked(self, now_s: float) -> list[str]:
        """Topics to publish a Sparkplug rebirth command on.

        Parameters
        ----------
        now_s : float
            A clock that never jumps. [s]

        Returns
        -------
        list of str
            They count as asked.
        """
        return [topic for reader in self._sparkplug() for topic in reader.to_be_asked(now_s)]

    def _sparkplug(self) -> list[SparkplugReader]:
        readers = [family.reader for family in self._families]
        return [reader for reader in readers if isinstance(reader, SparkplugReader)]

    def _read_in(
        self,
        reader: Reader | SparkplugReader,
        places: Mapping[str, str],
        message: Message,
        ticket: object,
        now_s: float,
    ) -> list[Done]:
        try:
            if not isinstance(reader, SparkplugReader):
                return [Done(ticket, reader.read(message, places))]
            place = sparkplug_place(message.topic)
            if place is None:
                # Commands and STATE are for others.
                return [Done(ticket, _NOTHING)]
            return reader.take(place, message, ticket, now_s)
        except PayloadError as error:
            return [Done(ticket, error)]
        except Exception as error:
            # A message that breaks us would come again after every restart: set it aside too.
            logger.exception("a message of topic %s can't be read", message.topic)
            self._counters.faults += 1
            return [Done(ticket, PayloadError(repr(error)))]

    def _make(self, topic: MqttTopicSettings) -> Family:
        reader: Reader | SparkplugReader
        match topic.format:
            case "staybolt":
                reader = OwnJsonReader(self._site, topic.machine, topic.priority)
            case "json":
                reader = MappedJsonReader(self._site, topic)
            case "line-protocol":
                reader = LinesReader(self._site, topic)
            case "sparkplug":
                reader = SparkplugReader(self._site, topic, self._folder, self._counters)
        pattern = topic.filter if topic.format == "sparkplug" else topic.topic
        return Family(topic, topic_pattern(pattern), reader)
