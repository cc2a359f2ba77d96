"""What an edge agent and ingest say to each other over MQTT 5.

A message on ``staybolt/v1/<site>/<agent>/telemetry`` is line protocol. Its user properties name
the ``outbox`` it comes from and its sequence there, ``seq``; ``encoding`` is ``zlib`` if it is
compressed; ``part`` names a range of bytes if a record had to be cut in several messages. The
answer comes on ``staybolt/v1/<site>/<agent>/ack`` when the store has answered, never before: a
broker's PUBACK says only that the broker has it.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

from ingest.telemetry.names import is_legal_name

ROOT: Final = "staybolt/v1"
ANY_SENDER: Final = f"{ROOT}/+/+/telemetry"
"""What ingest subscribes to, within a share of its own."""

OUTBOX: Final = "outbox"
SEQUENCE: Final = "seq"
PART: Final = "part"
ENCODING: Final = "encoding"
ZLIB: Final = "zlib"

MAX_OUTBOX_CHARACTERS: Final = 64
MAX_PART_CHARACTERS: Final = 64
_N_LEVELS: Final = 5


@dataclass(frozen=True, slots=True)
class Sender:
    """Whom a topic belongs to; a broker's access list keeps others from it."""

    site: str
    agent: str

    @property
    def telemetry_topic(self) -> str:
        """Topic of its records."""
        return f"{ROOT}/{self.site}/{self.agent}/telemetry"

    @property
    def ack_topic(self) -> str:
        """Topic of the answers to it."""
        return f"{ROOT}/{self.site}/{self.agent}/ack"


def sender_of(topic: str) -> Sender | None:
    """Read who sent a message from its topic.

    Parameters
    ----------
    topic : str
        The topic.

    Returns
    -------
    Sender or None
        None if it is not a telemetry topic with legal names.

    Examples
    --------
    >>> sender_of("staybolt/v1/mill-7/edge-1/telemetry")
    Sender(site='mill-7', agent='edge-1')
    """
    levels = topic.split("/")
    if len(levels) != _N_LEVELS or not topic.startswith(f"{ROOT}/") or levels[-1] != "telemetry":
        return None
    site, agent = levels[2], levels[3]
    return Sender(site, agent) if is_legal_name(site) and is_legal_name(agent) else None


class AcknowledgementError(ValueError):
    """A message on an answer topic is no acknowledgement."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What became of records of one outbox.

    Parameters
    ----------
    outbox : str
        The outbox that the sequences belong to.
    stored : tuple of (int, int)
        First and last sequence of each range that is durable in the store.
    refused : tuple of (int, str)
        Sequences that will never be taken, each with the reason.
    parts : tuple of (int, str)
        Sequences of which one part is durable, and which part.
    """

    outbox: str
    stored: tuple[tuple[int, int], ...] = ()
    refused: tuple[tuple[int, str], ...] = ()
    parts: tuple[tuple[int, str], ...] = ()

    def to_bytes(self) -> bytes:
        """Write it as it is sent.

        Returns
        -------
        bytes
            JSON.
        """
        document: dict[str, Any] = {"outbox": self.outbox, "stored": [list(r) for r in self.stored]}
        document["refused"] = [{"seq": n, "reason": reason} for n, reason in self.refused]
        if self.parts:
            document["parts"] = [{"seq": n, "part": part} for n, part in self.parts]
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Read one.

        Parameters
        ----------
        payload : bytes
            JSON.

        Returns
        -------
        Acknowledgement
            What it says; keys it does not know are passed over.

        Raises
        ------
        AcknowledgementError
            If it is none.
        """
        try:
            document = json.loads(payload)
            return cls(
                str(document["outbox"]),
                tuple((int(first), int(last)) for first, last in document.get("stored", ())),
                tuple((int(r["seq"]), str(r["reason"])) for r in document.get("refused", ())),
                tuple((int(p["seq"]), str(p["part"])) for p in document.get("parts", ())),
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            msg = f"not an acknowledgement: {error!r}"
            raise AcknowledgementError(msg) from error


def ranges_of(sequences: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Join sequence numbers that follow each other.

    Parameters
    ----------
    sequences : iterable of int
        In any order; repeats are passed over.

    Yields
    ------
    tuple of (int, int)
        First and last of each range, ascending.

    Examples
    --------
    >>> list(ranges_of([3, 1, 2, 7, 2]))
    [(1, 3), (7, 7)]
    """
    ordered = sorted(set(sequences))
    start = 0
    for end in range(1, len(ordered) + 1):
        if end == len(ordered) or ordered[end] != ordered[end - 1] + 1:
            yield ordered[start], ordered[end - 1]
            start = end
