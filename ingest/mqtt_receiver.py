"""Takes edge agents' records from an MQTT 5 broker, and answers when the store has them.

Several ingest processes share one subscription. A message is acknowledged to the broker, and its
record to the agent that sent it, only after the store's answer (`ingest.telemetry.mqtt_contract`).
An ingest whose store does not answer leaves the share until it does, so that others, or the
agents' own outboxes, keep what comes meanwhile. Nothing has to survive here: what was not answered
is sent again by its agent, and a sample that comes twice is stored once.

Who sent a message is told by its topic, which the broker's access list guards. One thread drives
the connection and the store in turns, so what is held at a time is bounded: while the store works,
nothing is read.
"""

import logging
import random
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from paho.mqtt import client as paho

from ingest.bodies import decompress
from ingest.broker_link import BrokerLink, LostError
from ingest.errors import IngestError, QuarantineError, StoreUnavailableError
from ingest.service import IngestService
from ingest.settings_mqtt import MqttReceiverSettings
from ingest.telemetry import mqtt_contract as contract
from ingest.telemetry.mqtt_contract import Acknowledgement, Sender, ranges_of, sender_of

logger = logging.getLogger(__name__)

RECONNECT_MAX_S: Final = 10.0
STORE_RETRY_S: Final = 1.0

MAX_GATHERED_BYTES: Final = 4_000_000
"""Lines gathered before the store is called: about 40,000 samples. [bytes]"""

GATHER_S: Final = 0.02
"""A store takes many small messages as quickly as one; they are waited for this long."""

MAX_SEQUENCE: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class _Record:
    """One message, opened."""

    number: int
    qos: int
    sender: Sender
    outbox: str | None
    sequence: int
    part: str | None
    lines: bytes
    reason: str | None = None
    """Why it can't be taken, if it can't."""


class MqttReceiver:
    """Listens at one broker until it is stopped.

    Parameters
    ----------
    service : IngestService
        What takes the lines.
    settings : MqttReceiverSettings
        Which broker.
    max_body_bytes : int
        Largest message, also once opened. [bytes]
    """

    def __init__(
        self, service: IngestService, settings: MqttReceiverSettings, *, max_body_bytes: int
    ) -> None:
        self._service = service
        self._settings = settings
        self._max_body_bytes = max_body_bytes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mqtt receiver", daemon=True)
        self._owed: list[tuple[Sender, Acknowledgement]] = []
        self._said: str | None = None

    def __enter__(self) -> "MqttReceiver":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                with _Link(self._settings, self._max_body_bytes) as link:
                    failures = 0
                    self._tell(None)
                    self._serve(link)
            except LostError as error:
                self._tell(str(error))
            except Exception:
                # The top of the receiver: whatever this is, unanswered records are sent again.
                logger.exception("fault in the MQTT receiver; it connects anew")
            failures += 1
            longest_s = min(RECONNECT_MAX_S, 0.25 * 2.0 ** min(failures, 10))
            self._stop.wait(longest_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads replicas

    def _tell(self, trouble: str | None) -> None:
        """Log what is wrong when it begins, and that it is over."""
        broker = f"{self._settings.host}:{self._settings.port}"
        if trouble is not None and trouble != self._said:
            logger.warning("broker %s: %s; trying again until it works", broker, trouble)
        elif trouble is None:
            logger.info("taking telemetry from the broker at %s", broker)
        self._said = trouble

    def _serve(self, link: "_Link") -> None:
        self._pay(link)
        while not self._stop.is_set():
            records = link.gather(self._stop)
            if not records:
                continue
            of_sender: dict[Sender, list[_Record]] = {}
            for record in records:
                of_sender.setdefault(record.sender, []).append(record)
            try:
                self._take(of_sender)
            except (StoreUnavailableError, QuarantineError) as error:
                logger.warning("leaving the broker until the store takes samples again: %s", error)
                link.close()
                self._wait_for_store(of_sender)
                return
            self._pay(link)
            link.acknowledge(records)

    def _take(self, of_sender: dict[Sender, list[_Record]]) -> None:
        """Store what was gathered; answers to what was stored are owed, and it is taken out.

        Raises
        ------
        StoreUnavailableError, QuarantineError
            If not all could be kept; what is left is still there.
        """
        while of_sender:
            sender, own = next(iter(of_sender.items()))
            lines = b"".join(record.lines for record in own if record.reason is None)
            if lines:
                device = f"{sender.site}/{sender.agent}"
                self._service.ingest(lines, precision="ns", device=device, site=sender.site)
            self._owed += [(sender, answer) for answer in _answers(own)]
            del of_sender[sender]

    def _pay(self, link: "_Link") -> None:
        """Send the answers that are owed."""
        for sender, answer in self._owed:
            link.answer(sender, answer)
        self._owed.clear()

    def _wait_for_store(self, of_sender: dict[Sender, list[_Record]]) -> None:
        while not self._stop.wait(STORE_RETRY_S):
            try:
                self._take(of_sender)
            except (StoreUnavailableError, QuarantineError):
                continue
            return


def _answers(records: Iterable[_Record]) -> list[Acknowledgement]:
    """Say of each outbox which of its records are stored."""
    of_outbox: dict[str, list[_Record]] = {}
    for record in records:
        if record.outbox is not None:
            of_outbox.setdefault(record.outbox, []).append(record)
    return [
        Acknowledgement(
            outbox,
            tuple(ranges_of(r.sequence for r in own if r.reason is None and r.part is None)),
            tuple((r.sequence, r.reason) for r in own if r.reason is not None),
            tuple((r.sequence, r.part) for r in own if r.reason is None and r.part is not None),
        )
        for outbox, own in of_outbox.items()
    ]


def read_message(message: paho.MQTTMessage, sender: Sender, max_bytes: int) -> _Record:
    """Open a message.

    Parameters
    ----------
    message : MQTTMessage
        As it came.
    sender : Sender
        Whom its topic belongs to.
    max_bytes : int
        Most that may come out of it. [bytes]

    Returns
    -------
    _Record
        With the reason if it can't be taken. A message without sequence, as Telegraf's, is taken
        and not answered.
    """
    told: dict[str, str] = dict(getattr(message.properties, "UserProperty", None) or ())
    outbox, part = told.get(contract.OUTBOX), told.get(contract.PART)
    number = told.get(contract.SEQUENCE, "")
    sequence = int(number) if number.isascii() and number.isdecimal() and len(number) < 20 else -1
    if outbox is not None and (
        not 0 < len(outbox) <= contract.MAX_OUTBOX_CHARACTERS
        or not 0 <= sequence <= MAX_SEQUENCE
        or (part is not None and len(part) > contract.MAX_PART_CHARACTERS)
    ):
        outbox = None
    lines, reason = bytes(message.payload), None
    encoding = told.get(contract.ENCODING)
    try:
        if encoding == contract.ZLIB:
            lines = decompress(lines, max_bytes, "zlib")
        elif encoding is not None:
            reason = f"encoding {encoding[:20]!r} is not known; send zlib or none"
    except IngestError as error:
        reason = str(error)
    if not lines.endswith(b"\n"):
        lines += b"\n"
    return _Record(message.mid, message.qos, sender, outbox, sequence, part, lines, reason)


class _Link(BrokerLink):
    """One connection to the broker that edge agents send to."""

    def __init__(self, settings: MqttReceiverSettings, max_body_bytes: int) -> None:
        super().__init__(settings, max_packet_bytes=max_body_bytes + 10_000)
        self._max_body_bytes = max_body_bytes
        self._gathered: list[_Record] = []
        self._n_bytes = 0
        self._topic = f"$share/{settings.share}/{contract.ANY_SENDER}"

    def __enter__(self) -> "_Link":
        try:
            self.open()
            self.subscribe([self._topic])
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def gather(self, stop: threading.Event) -> list[_Record]:
        """Wait for messages; give those that came together.

        Raises
        ------
        LostError
            If the connection is.
        """
        while not self._gathered and not stop.is_set():
            self.turn(0.2)
        end_s = time.monotonic() + GATHER_S
        while self._n_bytes < MAX_GATHERED_BYTES and (left_s := end_s - time.monotonic()) > 0:
            self.turn(left_s)
        gathered, self._gathered, self._n_bytes = self._gathered, [], 0
        return gathered

    def answer(self, sender: Sender, answer: Acknowledgement) -> None:
        """Tell an agent what became of its records."""
        self.publish(sender.ack_topic, answer.to_bytes(), qos=1)

    def acknowledge(self, records: Iterable[_Record]) -> None:
        """Tell the broker that it may forget these messages."""
        for record in records:
            self.client.ack(record.number, record.qos)
        self.turn(0.0)

    def on_message(self, message: paho.MQTTMessage) -> None:
        """Take a message; it is acknowledged later."""
        sender = sender_of(message.topic)
        if sender is None:
            logger.warning("message on %r set aside: no legal site and agent", message.topic[:80])
            self.client.ack(message.mid, message.qos)
            return
        record = read_message(message, sender, self._max_body_bytes)
        if record.reason is not None:
            logger.warning("record %d of %s refused: %s", record.sequence, sender, record.reason)
        self._gathered.append(record)
        self._n_bytes += len(record.lines)
