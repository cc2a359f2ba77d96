"""Takes the data of Sparkplug B nodes from a broker: a host application.

Nodes hear from our certificates whether we are there (`ingest.sparkplug_state`); a node that has us
as its primary host keeps its data while we are not, and sends them afterwards. We are there while
the store takes samples: when it does not, we say so and leave, and come back when it does.

What nodes may be believed is decided by `ingest.telemetry.sparkplug_reading`, what metrics are
called by `ingest.sparkplug_names`. A message is acknowledged only after the store has answered, in
the order in which they came; Sparkplug has sessions end with their connection, so what was not
answered at a crash is for the node to send again. One thread drives all of it in turns.
"""

import base64
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from paho.mqtt import client as paho

from ingest.broker_link import BrokerLink, LostError, Will
from ingest.errors import (
    IngestError,
    LineProtocolError,
    QuarantineError,
    SparkplugError,
    StoreUnavailableError,
)
from ingest.service import IngestService
from ingest.settings_mqtt import SparkplugSettings
from ingest.sparkplug_names import HostNaming, lines_of
from ingest.sparkplug_state import HostState
from ingest.telemetry import RejectedLine, is_legal_name
from ingest.telemetry.sparkplug import MAX_PAYLOAD_BYTES, rebirth_command
from ingest.telemetry.sparkplug_node import KINDS, SPARKPLUG_ROOT, Place, sparkplug_place
from ingest.telemetry.sparkplug_reading import Done, NodesReader, Told

logger = logging.getLogger(__name__)

RECONNECT_MAX_S: Final = 10.0

GATHER_S: Final = 0.02
"""A store takes many small messages as quickly as one; they are waited for this long."""

MAX_GATHERED_BYTES: Final = 4_000_000
MAX_KEPT_BYTES: Final = 100_000
"""Of a message that can't be read, in the quarantine."""

HOLD_S: Final = 10.0
"""Data that only a birth explains wait for it this long; the node has been asked. [s]"""

GOODBYE_S: Final = 2.0
"""The broker has this long to take our death certificate."""

_REMEDY: Final = (
    "mend the node's configuration, or name the metric in [[sparkplug.signals]]; the line is the "
    "topic, then the payload in base64 where nothing of it could be read"
)


@dataclass(slots=True)
class _Message:
    """One message of a node, until it is acknowledged."""

    number: int
    qos: int
    topic: str
    place: Place
    body: bytes
    is_settled: bool = False


class SparkplugHost:
    """Listens at one broker until it is stopped.

    Parameters
    ----------
    service : IngestService
        What takes the samples.
    settings : SparkplugSettings
        Which broker, and who we are there.
    births : Path
        Folder where births are kept over a restart.
    clock_ns : callable
        The present. [ns since 1970-01-01 UTC]
    """

    def __init__(
        self,
        service: IngestService,
        settings: SparkplugSettings,
        births: Path,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._service = service
        self._settings = settings
        self._clock_ns = clock_ns
        self._naming = HostNaming(settings)
        self._reader = NodesReader(
            self._naming, settings.reorder_timeout_s, births, self._count_missed, hold_s=HOLD_S
        )
        self._state = HostState(settings.host_id)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sparkplug host", daemon=True)
        self._read: list[Done] = []
        self._said: str | None = None
        self.n_missed = 0

    def __enter__(self) -> "SparkplugHost":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self.n_missed:
            logger.info("%d Sparkplug messages never came", self.n_missed)

    def _count_missed(self, n_messages: int) -> None:
        self.n_missed += n_messages

    def _run(self) -> None:
        self._reader.recall()
        failures = 0
        while not self._stop.is_set():
            try:
                # What the last connection has left comes first: while the store does not take it,
                # nodes are not told that we are there.
                self._store()
                self._serve_once()
            except LostError as error:
                self._tell(str(error))
            except (StoreUnavailableError, QuarantineError) as error:
                self._tell(f"left until the store takes samples again: {error}")
            except Exception:
                # The top of the host application.
                logger.exception("fault in the Sparkplug host application; it connects anew")
            failures = 0 if self._said is None else failures + 1
            longest_s = min(RECONNECT_MAX_S, 0.25 * 2.0 ** min(failures, 10))
            self._stop.wait(longest_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        try:
            self._store()
        except IngestError as error:
            logger.warning("%d Sparkplug messages are lost: %s", len(self._read), error)

    def _tell(self, trouble: str | None) -> None:
        """Log what is wrong when it begins, and that it is over."""
        broker = f"{self._settings.host}:{self._settings.port}"
        if trouble is not None and trouble != self._said:
            logger.warning("Sparkplug broker %s: %s; trying again until it works", broker, trouble)
        elif trouble is None:
            logger.info("Sparkplug host %s is online at %s", self._settings.host_id, broker)
        self._said = trouble

    def _serve_once(self) -> None:
        """Be there until told to stop, the connection is lost, or the store fails."""
        link = _Link(self._settings, self._state, self._clock_ns)
        try:
            link.arrive()
            self._tell(None)
            while not self._stop.is_set():
                for message in link.gather(self._stop):
                    self._hear(message)
                self._read += self._reader.tick(time.monotonic())
                self._store()
                link.acknowledge()
                self._ask(link)
        finally:
            link.leave()
            for message in link.taken():
                self._hear(message)
            self._read += self._reader.disconnected()

    def _hear(self, message: _Message) -> None:
        told = Told(message.body, self._clock_ns())
        try:
            self._read += self._reader.take(message.place, told, message, time.monotonic())
        except Exception as error:
            # A message that breaks us would do so again; it is kept with what happened.
            logger.exception("a message of topic %s can't be read", ascii(message.topic))
            self._read.append(Done(message, SparkplugError(repr(error))))

    def _store(self) -> None:
        """Store what was read, what belongs together at once.

        Raises
        ------
        StoreUnavailableError, QuarantineError
            If not all could be kept; what is left is still there.
        """
        of_sender: dict[tuple[str, str | None], list[Done]] = {}
        for done in self._read:
            of_sender.setdefault(self._sender_of(done), []).append(done)
        try:
            for (device, site), own in of_sender.items():
                written = [self._written(done) for done in own]
                lines = b"".join(lines for lines, _ in written)
                if lines:
                    self._service.ingest(lines, precision="ns", device=device, site=site)
                rejected = [each for _, rejected in written for each in rejected]
                if rejected:
                    self._service.set_aside(rejected, device=device, site=site)
                for done in own:
                    done.ticket.is_settled = True
        finally:
            self._read = [done for done in self._read if not done.ticket.is_settled]
        announced = self._naming.announced()
        if announced:
            self._service.announce(announced)

    def _sender_of(self, done: Done) -> tuple[str, str | None]:
        place: Place = done.ticket.place
        site = self._naming.site_of(place)
        device = ascii(f"{place.group}/{place.node}")[1:-1]
        return device, site if is_legal_name(site) else None

    def _written(self, done: Done) -> tuple[bytes, list[RejectedLine]]:
        message: _Message = done.ticket
        topic = ascii(message.topic)[1:-1]
        if isinstance(done.result, SparkplugError):
            body = base64.b64encode(message.body[:MAX_KEPT_BYTES]).decode()
            return b"", [RejectedLine(1, f"{topic} {body}", str(done.result), _REMEDY)]
        try:
            lines, rejected = lines_of(done.result.batch)
        except LineProtocolError as error:
            return b"", [RejectedLine(1, topic, str(error), _REMEDY)]
        if done.result.faults:
            shown = "; ".join(done.result.faults[:20])
            more = len(done.result.faults) - 20
            reason = shown + (f"; and {more} more" if more > 0 else "")
            rejected = [*rejected, RejectedLine(1, topic, reason, _REMEDY)]
        return lines, rejected

    def _ask(self, link: "_Link") -> None:
        for topic in self._reader.to_be_asked(time.monotonic()):
            logger.info("messages of a node may be missing; asking on %s for births", ascii(topic))
            link.publish(topic, rebirth_command(self._clock_ns() // 1_000_000), qos=0)


class _Link(BrokerLink):
    """One connection, from CONNECT with our will to our goodbye."""

    def __init__(
        self, settings: SparkplugSettings, state: HostState, clock_ns: Callable[[], int]
    ) -> None:
        super().__init__(
            settings, max_packet_bytes=MAX_PAYLOAD_BYTES + 10_000, protocol=settings.protocol
        )
        self._groups = settings.groups
        self._state = state
        self._clock_ns = clock_ns
        self._gathered: list[_Message] = []
        self._n_bytes = 0
        self._unanswered: deque[_Message] = deque()
        self._has_arrived = False

    def arrive(self) -> None:
        """Connect, subscribe, and tell that we are there, in this order."""
        self.open(Will(self._state.topic, self._state.will(self._clock_ns() // 1_000_000)))
        # Named by kind, so that no group is a name for our own STATE, which would come twice.
        kinds = [f"{SPARKPLUG_ROOT}/{group}/{kind}/#" for group in self._groups for kind in KINDS]
        self.subscribe([self._state.topic, *kinds])
        self._publish_state(self._state.birth())
        self._has_arrived = True

    def leave(self) -> None:
        """Tell that we are not there any more, and disconnect."""
        if self._has_arrived:
            told = self._publish_state(self._state.death(self._clock_ns() // 1_000_000))
            deadline_s = time.monotonic() + GOODBYE_S
            try:
                while not told.is_published() and time.monotonic() < deadline_s:
                    self.turn(0.1)
            except (LostError, ValueError, RuntimeError):
                # The connection is gone: our will says it.
                pass
        self.close()

    def gather(self, stop: threading.Event) -> list[_Message]:
        """Wait a little for messages; give those that came together.

        Raises
        ------
        LostError
            If the connection is.
        """
        if not self._gathered and not stop.is_set():
            self.turn(0.2)
        end_s = time.monotonic() + GATHER_S
        while (
            self._gathered
            and self._n_bytes < MAX_GATHERED_BYTES
            and (left_s := end_s - time.monotonic()) > 0
        ):
            self.turn(left_s)
        return self.taken()

    def taken(self) -> list[_Message]:
        """Give the messages that have come."""
        gathered, self._gathered, self._n_bytes = self._gathered, [], 0
        return gathered

    def acknowledge(self) -> None:
        """Tell the broker of what is settled, in the order in which it came."""
        while self._unanswered and self._unanswered[0].is_settled:
            message = self._unanswered.popleft()
            if message.qos:
                self.client.ack(message.number, message.qos)

    def on_message(self, message: paho.MQTTMessage) -> None:
        """Take a message; that of a node is acknowledged later."""
        place = sparkplug_place(message.topic)
        if message.topic == self._state.topic:
            again = self._state.heard(bytes(message.payload))
            if again is not None:
                self._publish_state(again)
        if place is None or message.retain:
            # Commands and certificates are for others, and data are never retained.
            self._unanswered.append(
                _Message(message.mid, message.qos, "", Place("NDATA", "", "", ""), b"", True)
            )
            return
        taken = _Message(message.mid, message.qos, message.topic, place, bytes(message.payload))
        self._unanswered.append(taken)
        self._gathered.append(taken)
        self._n_bytes += len(taken.body)

    def _publish_state(self, certificate: bytes) -> paho.MQTTMessageInfo:
        return self.client.publish(self._state.topic, certificate, qos=1, retain=True)
