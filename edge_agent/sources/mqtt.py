"""Reads topics of an MQTT broker; a message is acknowledged after the outbox has it.

The session at the broker is persistent (QoS 1): it keeps messages while the agent is away, and
sends again what was not acknowledged. What can't be read is set aside with its reason and then
acknowledged like any other, or it would come back for ever. When the disk can't keep up, nothing
is dropped: messages are not acknowledged, and at last not read, until the broker has to wait.
"""

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from paho.mqtt import client as paho

from edge_agent.counters import Counters
from edge_agent.errors import SourceError
from edge_agent.ports import Intake
from edge_agent.records import Misfit
from edge_agent.settings_mqtt import MqttSettings
from edge_agent.sources.mqtt_families import Families
from edge_agent.sources.mqtt_link import MqttLink
from edge_agent.sources.mqtt_reading import Message, Reading
from edge_agent.sources.mqtt_sparkplug import Done
from edge_agent.sources.mqtt_subscriptions import SubscriptionFile
from edge_agent.sources.mqtt_words import SESSION_TAKEN_OVER, refused_topic_words
from ingest.telemetry.sparkplug import rebirth_command

logger = logging.getLogger(__name__)

URGENT_UNACKNOWLEDGED: Final = 16
"""Brokers stop at a number of unacknowledged messages that they don't tell (Mosquitto's is 20);
from here on the next write to disk is not waited for."""

PAUSE_MESSAGES: Final = 2000
PAUSE_BYTES: Final = 16_000_000
"""Messages and bytes on their way to the disk, from which on nothing more is read. A broker that
keeps to `RECEIVE_MAXIMUM` stops by itself; QoS 0 and some MQTT 3.1.1 brokers do not."""

TAKEN_OVER_PAUSE_S: Final = 30.0
"""Two clients of one name throw each other out at each connect; wait, so that a person sees it."""

MAX_TOLD: Final = 100
"""Topics whose first bad message is logged; all of them are counted and set aside."""

MAX_RETAINED: Final = 1000
"""Bad retained messages that are remembered, so that each is set aside once, not per connect."""


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
    state_dir : Path or None
        State folder of the agent; None remembers nothing over a restart.
    """

    settings: MqttSettings
    site: str
    counters: Counters
    state_dir: Path | None = None
    families: Families = field(init=False)
    _file: SubscriptionFile = field(init=False)
    _receiver: "_Receiver | None" = None
    _told: set[str] = field(default_factory=set)
    _retained: OrderedDict[bytes, None] = field(default_factory=OrderedDict)
    _had_session: bool = False

    def __post_init__(self) -> None:
        folder = None if self.state_dir is None else self.state_dir / "mqtt" / self.settings.name
        births = None if folder is None else folder / "births"
        self.families = Families(self.site, births, self.counters, self.settings.topics)
        path = None if folder is None else folder / "subscriptions.json"
        session = f"{self.settings.host}:{self.settings.port} {self.client_id}"
        self._file = SubscriptionFile(path, session)

    @property
    def name(self) -> str:
        """What it is called in logs."""
        return f"mqtt {self.settings.name}"

    @property
    def client_id(self) -> str:
        """Name of our session at the broker."""
        return self.settings.client_id or f"staybolt-edge-{self.site}-{self.settings.name}"

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
        link = MqttLink(self.settings, self.settings.name, self.client_id, self.counters)
        receiver = _Receiver(self, link, intake)
        try:
            has_session = await link.open(receiver.received)
            self._tell_session(link, is_kept=has_session)
            self._receiver = receiver
            await receiver.subscribe(self._file.left_over(self.families.filters))
            reason = await link.wait(receiver.tick)
        finally:
            self._receiver = None
            receiver.done(self.families.disconnected())
            link.close()
        if link.ended_code == SESSION_TAKEN_OVER:
            logger.warning("%s: %s; tried again in a while", link.place, reason)
            await asyncio.sleep(TAKEN_OVER_PAUSE_S)
        msg = f"{link.place}: {reason}"
        raise SourceError(msg)

    async def apply(self, settings: MqttSettings) -> bool:
        """Take changed settings without disturbing what did not change.

        Parameters
        ----------
        settings : MqttSettings
            The new settings of the same broker.

        Returns
        -------
        bool
            False if only a new connection can take them; nothing was changed then.
        """
        if settings.model_copy(update={"topics": ()}) != self.settings.model_copy(
            update={"topics": ()}
        ):
            return False
        before = set(self.families.filters)
        self.settings = settings
        left_over = self.families.set(settings.topics)
        receiver = self._receiver
        if receiver is None:
            return True
        receiver.done(left_over)
        now = self.families.filters
        try:
            await receiver.subscribe(
                sorted(before - set(now)), [one for one in now if one not in before]
            )
        except SourceError as error:
            # The connection ended meanwhile; the next one subscribes to everything.
            logger.info("%s", error)
        return True

    def is_repeated(self, message: Message) -> bool:
        """Whether a bad retained message has been set aside before; it counts as so from now on.

        Parameters
        ----------
        message : Message
            A message that can't be read.

        Returns
        -------
        bool
            Always False for messages that are not retained.
        """
        if not message.is_retained:
            return False
        key = hashlib.sha256(message.topic.encode() + b"\0" + message.payload).digest()
        if key in self._retained:
            return True
        self._retained[key] = None
        while len(self._retained) > MAX_RETAINED:
            self._retained.popitem(last=False)
        return False

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

    def remember(self, filters: Sequence[str]) -> None:
        """Keep what the broker's session has of us, over a restart with other settings.

        Parameters
        ----------
        filters : sequence of str
            Topic filters that are subscribed to.
        """
        self._file.save(filters)

    def _tell_session(self, link: MqttLink, *, is_kept: bool) -> None:
        if is_kept:
            self._had_session = True
            return
        if self._had_session or self._file.left_over(()):
            self.counters.sessions_lost += 1
            logger.warning(
                "%s: the broker has forgotten our session; what was published while we were away "
                "is lost unless it is retained: let it keep sessions (persistence, expiry)",
                link.place,
            )
        else:
            logger.info("%s: the broker begins a new session for us", link.place)
        self._had_session = True


@dataclass(slots=True)
class _Receiver:
    """Hands messages of one connection over, and acknowledges them when they are durable."""

    source: MqttSource
    link: MqttLink
    intake: Intake
    is_proven: bool = False
    n_unacknowledged: int = 0
    n_bytes: int = 0

    async def subscribe(
        self, left_over: Sequence[str], topics: Sequence[str] | None = None
    ) -> None:
        """Ask for topics, by default all of the settings, and no longer for those left over.

        Parameters
        ----------
        left_over : sequence of str
            Filters that the broker may still have of us.
        topics : sequence of str, optional
            Filters to ask for.

        Raises
        ------
        SourceError
            If the broker refuses all of them, or the connection ends.
        """
        if left_over:
            await self.link.unsubscribe(left_over)
            logger.info("%s: no longer subscribed to %s", self.link.place, ", ".join(left_over))
        families = self.source.families
        wanted = families.filters if topics is None else topics
        refused = await self.link.subscribe(wanted) if wanted else {}
        for topic, code in refused.items():
            logger.warning(
                "%s: the broker refuses %s", self.link.place, refused_topic_words(topic, code)
            )
        self.source.remember(families.filters)
        if topics is None and len(refused) == len(wanted):
            msg = f"{self.link.place}: the broker refuses every topic"
            raise SourceError(msg)
        if wanted:
            logger.info(
                "%s: %s, %d of %d topics subscribed",
                self.link.place,
                "connected" if topics is None else "changed",
                len(wanted) - len(refused),
                len(wanted),
            )

    def received(self, message: paho.MQTTMessage) -> None:
        """Take one message from the broker.

        Parameters
        ----------
        message : MQTTMessage
            As paho gives it.
        """
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = "(not UTF-8)"
        taken = Message(topic, bytes(message.payload), time.time_ns(), message.retain)
        self.n_unacknowledged += 1
        self.n_bytes += len(taken.payload)
        if self.n_unacknowledged >= PAUSE_MESSAGES or self.n_bytes >= PAUSE_BYTES:
            self.link.pause()
        ticket = _Ticket(taken, message.mid, message.qos)
        now_s = time.monotonic()
        self.done(self.source.families.read(taken, ticket, now_s))
        self._ask_for_births(now_s)

    def tick(self) -> None:
        """Let time pass: about twice a second."""
        now_s = time.monotonic()
        self.done(self.source.families.tick(now_s))
        self._ask_for_births(now_s)

    def done(self, read: Sequence[Done]) -> None:
        """Deliver messages that have been read.

        Parameters
        ----------
        read : sequence of Done
            In their order.
        """
        for ticket, reading in read:
            self._deliver(ticket, reading)

    def _deliver(self, ticket: "_Ticket", reading: Reading | Exception) -> None:
        fault = reading.fault if isinstance(reading, Reading) else str(reading)
        parts = reading.parts if isinstance(reading, Reading) else ()
        misfits: list[Misfit] = []
        message = ticket.message
        if fault is not None and not self.source.is_repeated(message):
            misfits.append(Misfit(f"{self.source.name} {message.topic}", fault, message.payload))
            self.source.tell_misfit(misfits[0])
        if not self.is_proven:
            self.is_proven = True
            self.intake.heard(self.source.name)
        is_urgent = self.n_unacknowledged >= URGENT_UNACKNOWLEDGED
        written = [
            self.intake.submit(batch, is_urgent=is_urgent, priority=priority)
            for priority, batch in parts
        ]
        if misfits or not written:
            written.append(self.intake.submit(None, misfits, is_urgent=is_urgent))
        waiting = len(written)

        def durable(future: asyncio.Future[None]) -> None:
            nonlocal waiting
            waiting -= 1
            ticket.is_lost = ticket.is_lost or future.cancelled()
            if waiting == 0:
                self._acknowledge(ticket)

        for future in written:
            future.add_done_callback(durable)

    def _acknowledge(self, ticket: "_Ticket") -> None:
        self.n_unacknowledged -= 1
        self.n_bytes -= len(ticket.message.payload)
        if not ticket.is_lost:
            self.link.acknowledge(ticket.mid, ticket.qos)
        if 2 * self.n_unacknowledged < PAUSE_MESSAGES and 2 * self.n_bytes < PAUSE_BYTES:
            self.link.resume()

    def _ask_for_births(self, now_s: float) -> None:
        # The only thing that is ever published: Sparkplug demands it of whoever reads a node.
        for topic in self.source.families.to_be_asked(now_s) if self.link.is_up else ():
            self.source.counters.rebirths_asked += 1
            logger.info("%s: asking for births on %s", self.link.place, topic)
            self.link.send(topic, rebirth_command(time.time_ns() // 1_000_000))


@dataclass(slots=True)
class _Ticket:
    """One message on its way to the disk."""

    message: Message
    mid: int
    qos: int
    is_lost: bool = False
