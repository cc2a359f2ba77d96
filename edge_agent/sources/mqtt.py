"""Reads topics of an MQTT 5 broker; a message is acknowledged after the outbox has it.

The session at the broker is persistent (QoS 1, clean start off): it keeps messages while the agent
is away, and sends again what was not acknowledged. What can't be read is set aside with its reason
and then acknowledged like any other, or it would come back for ever.
"""

import asyncio
import contextlib
import logging
import re
from dataclasses import dataclass, field
from typing import Final

from paho.mqtt import client as paho

from edge_agent.counters import Counters
from edge_agent.errors import PayloadError, SourceError
from edge_agent.ports import Intake
from edge_agent.records import Misfit
from edge_agent.settings import MqttSettings
from edge_agent.sources.mqtt_link import MqttLink
from edge_agent.sources.mqtt_payload import machine_pattern, parse_payload
from ingest.telemetry import TelemetryBatch

logger = logging.getLogger(__name__)

URGENT_UNACKNOWLEDGED: Final = 16
"""Brokers stop at a number of unacknowledged messages that they don't tell (Mosquitto's is 20);
from here on the next write to disk is not waited for."""

MAX_TOLD: Final = 100
"""Topics whose first bad message is logged; all of them are counted and set aside."""


@dataclass(slots=True)
class MqttSource:
    """One MQTT broker.

    Parameters
    ----------
    settings : MqttSettings
        Where it is and what to listen to.
    site : str
        Site of its machines.
    counters : Counters
        Where to count.
    """

    settings: MqttSettings
    site: str
    counters: Counters
    _patterns: list[re.Pattern[str]] = field(default_factory=list)
    _told: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._patterns = [machine_pattern(topic.topic) for topic in self.settings.topics]

    @property
    def name(self) -> str:
        """What it is called in logs."""
        return f"mqtt {self.settings.name}"

    async def serve(self, intake: Intake) -> None:
        """Connect, subscribe, and deliver until the connection is lost.

        Parameters
        ----------
        intake : Intake
            Where to deliver.

        Raises
        ------
        SourceError
            Why it could not connect, or why it ended.
        """
        link = MqttLink(self.settings, self.site, self.counters)
        try:
            await link.open(_Receiver(self, link, intake).received)
            link.subscribe([topic.filter for topic in self.settings.topics])
            reason = await link.wait()
        finally:
            link.close()
        msg = f"{link.place}: {reason}"
        raise SourceError(msg)

    def read(self, topic: str, payload: bytes) -> tuple[TelemetryBatch | None, list[Misfit]]:
        """Read one message.

        Parameters
        ----------
        topic : str
            Where it was published.
        payload : bytes
            What it says.

        Returns
        -------
        batch : TelemetryBatch or None
            Samples that could be read.
        misfits : list of Misfit
            The message itself, if not all of it could.
        """
        origin = f"{self.name} {topic}"
        try:
            reading = parse_payload(payload, self.site, self._machine(topic))
        except PayloadError as error:
            return None, [Misfit(origin, str(error), payload)]
        except Exception as error:
            # A message that breaks us would come again after every restart: set it aside too.
            logger.exception("%s: a message of topic %s can't be read", self.name, topic)
            self.counters.faults += 1
            return None, [Misfit(origin, repr(error), payload)]
        if reading.fault is None:
            return reading.batch, []
        return reading.batch, [Misfit(origin, reading.fault, payload)]

    def tell_misfit(self, misfit: Misfit) -> None:
        """Count a message that was set aside; log the first of each kind.

        Parameters
        ----------
        misfit : Misfit
            The message.
        """
        self.counters.misfits += 1
        if misfit.origin not in self._told and len(self._told) < MAX_TOLD:
            self._told.add(misfit.origin)
            logger.warning(
                "%s: a message was set aside: %s (`staybolt-edge outbox` lists all of them)",
                misfit.origin,
                misfit.reason,
            )

    def _machine(self, topic: str) -> str:
        for pattern in self._patterns:
            found = pattern.fullmatch(topic)
            if found is not None:
                return found[1]
        msg = "no topic of the settings fits; the broker remembers an earlier subscription"
        raise PayloadError(msg)


@dataclass(slots=True)
class _Receiver:
    """Hands messages of one connection over, and acknowledges them when they are durable."""

    source: MqttSource
    link: MqttLink
    intake: Intake
    is_proven: bool = False
    n_unacknowledged: int = 0

    def received(self, message: paho.MQTTMessage) -> None:
        """Keep one message."""
        topic = "(not UTF-8)"
        with contextlib.suppress(UnicodeDecodeError):
            topic = message.topic
        batch, misfits = self.source.read(topic, bytes(message.payload))
        for misfit in misfits:
            self.source.tell_misfit(misfit)
        if not self.is_proven:
            self.is_proven = True
            self.intake.heard(self.source.name)
        self.n_unacknowledged += 1
        is_urgent = self.n_unacknowledged >= URGENT_UNACKNOWLEDGED
        mid, qos = message.mid, message.qos

        def durable(future: asyncio.Future[None]) -> None:
            self.n_unacknowledged -= 1
            if not future.cancelled():
                self.link.acknowledge(mid, qos)

        self.intake.submit(batch, misfits, is_urgent=is_urgent).add_done_callback(durable)
