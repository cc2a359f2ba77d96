"""A store as the agent meets it: it takes lines, refuses some, answers late, or not at all.

It keeps one value for each series and time, as every store does, and an append-only list of all
that ever arrived. It reads lines with a reader of its own.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from edge_agent.messages import Answer, NotAllowed, Refused, Stored, TooLarge, Unavailable
from edge_agent.records import StoredRecord
from tests.reliability.chance import Chance
from tests.reliability.oracle import Reading
from tests.reliability.simulated_plant import POISON_NODE


def read_line(line: bytes) -> tuple[str, int, int]:
    """Node, counter and time of a line of the agent's own form."""
    tags, fields, time_ns = line.rsplit(b" ", 2)
    node = tags.split(b",machine=", 1)[1].split(b",", 1)[0].decode()
    value = fields.split(b"value=", 1)[1].split(b",", 1)[0]
    return node, int(float(value)), int(time_ns)


Sent = tuple[int, int]
"""A record's number, and a checksum: a part of a refused record is sent under the same number."""


def sent_of(record: StoredRecord) -> Sent:
    """What identifies a sending."""
    return record.sequence, zlib.crc32(record.body)


@dataclass(slots=True)
class SimulatedStore:
    """Holds one value for each series and time.

    Parameters
    ----------
    chance : Chance
        Luck of the run.
    """

    chance: Chance
    is_down: bool = False
    largest_body: int = 10_000_000
    arrived: list[Reading] = field(default_factory=list)
    held: dict[tuple[str, int], int] = field(default_factory=dict)
    late_acks: set[Sent] = field(default_factory=set)
    """Records whose acknowledgement was under way when the request was given up."""
    needless: list[Sent] = field(default_factory=list)
    """Records that one connection was given again after it had answered that they are stored."""

    def readings(self) -> Iterator[Reading]:
        for (node, _), counter in self.held.items():
            yield node, counter

    def take(self, lines: Sequence[bytes]) -> Answer:
        """Keep what can be kept."""
        refused = 0
        for line in lines:
            node, counter, time_ns = read_line(line)
            if node == POISON_NODE:
                refused += 1
                continue
            self.arrived.append((node, counter))
            self.held[node, time_ns] = counter
        self.chance.note("taken", len(lines), refused, len(self.held))
        return Refused(f"400 partial write: {refused} refused") if refused else Stored()


class SimulatedUplink:
    """The agent's connection to the store.

    Parameters
    ----------
    store : SimulatedStore
        The other side.
    chance : Chance
        Luck of the run.
    answered : set of Sent
        Records that this agent was told are stored, and has not failed to forget.
    is_alive : callable
        Whether the agent still runs.
    crash : callable
        Kills it at a point with a probability; the rest of the call is then a ghost's.
    """

    place = "the simulated store"

    def __init__(
        self,
        store: SimulatedStore,
        chance: Chance,
        answered: set[Sent],
        is_alive: Callable[[], bool],
        crash: Callable[[str, float], None],
    ) -> None:
        self._store = store
        self._chance = chance
        self._is_alive = is_alive
        self._crash = crash
        self._answered = answered

    def close(self) -> None:
        """Nothing is open."""

    def send(self, records: Sequence[StoredRecord], max_body_bytes: int) -> Answer:
        """Send records; see `edge_agent.ports.Uplink`."""
        self._crash("send.before", 0.01)
        if not self._is_alive():
            return Unavailable("dead")
        sequences = {sent_of(record) for record in records}
        if sequences <= self._store.late_acks:
            self._chance.note("late acknowledgement", len(sequences))
            self._answered |= sequences
            return Stored()
        self._store.needless += sorted(sequences & self._answered)
        answer = self._answer(records, max_body_bytes, sequences)
        if isinstance(answer, Stored):
            self._answered |= sequences
        self._crash("send.after", 0.02)
        return answer

    def _answer(
        self, records: Sequence[StoredRecord], max_body_bytes: int, sequences: set[Sent]
    ) -> Answer:
        chance, store = self._chance, self._store
        body = b"".join(record.body for record in records)
        lines = body.splitlines()
        if store.is_down:
            return Unavailable("503 down")
        if min(len(body), max_body_bytes) > store.largest_body:
            return TooLarge(min(len(body), max_body_bytes))
        if chance.strikes("store.busy", 0.02):
            return Unavailable("429 too many requests", retry_after_s=chance.random.uniform(1, 20))
        if chance.strikes("store.not_allowed", 0.003):
            return NotAllowed("401 the token was changed")
        if chance.strikes("store.partial", 0.02):
            store.take(lines[: len(lines) // 2])
            return Unavailable("503 in the middle of it")
        answer = store.take(lines)
        if chance.strikes("store.answer_lost", 0.04):
            if isinstance(answer, Stored) and chance.strikes("store.answer_late", 0.5):
                store.late_acks |= sequences
            return Unavailable("no answer in time")
        return answer
