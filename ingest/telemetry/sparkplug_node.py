"""What may be believed of one Sparkplug edge node: the order of its messages, births and deaths.

Pure: messages and the time come in, decisions go out. What an alias stands for is told by births;
when a message was missed, a birth may have been among it. The rule that follows from it: data
that name their metrics by alias are *doubtful* from a gap on until the next birth, which is asked
for. Nothing is thrown away because of a gap.

References
----------
.. [1] Eclipse Sparkplug Specification, version 3.0.0, 2022, chapter 5: Operational Behavior, and
   6.4.5 on sequence numbers.
"""

from dataclasses import dataclass, field
from typing import Final, Generic, Literal, NamedTuple, TypeVar, cast

SPARKPLUG_ROOT: Final = "spBv1.0"
"""First level of every Sparkplug topic."""

N_NUMBERS: Final = 256
"""Sequence numbers run from 0 to 255 and begin again."""

AHEAD: Final = N_NUMBERS // 2
"""A number less than this many ahead was sent later, otherwise earlier."""

ASK_FIRST_S: Final = 10.0
ASK_MAX_S: Final = 300.0
"""Pauses between two requests for the births of one node: a node that does not obey is left in
peace more and more."""

Kind = Literal["NBIRTH", "NDEATH", "NDATA", "DBIRTH", "DDEATH", "DDATA"]
KINDS: Final[frozenset[str]] = frozenset({"NBIRTH", "NDEATH", "NDATA", "DBIRTH", "DDEATH", "DDATA"})
"""Messages that a node sends; commands and STATE are for others."""

_OWN_NAMES: Final = ("Node Control/", "Device Control/", "Node Info/", "Properties/")

Ticket = TypeVar("Ticket")


class Place(NamedTuple):
    """What the topic of a Sparkplug message says."""

    kind: Kind
    group: str
    node: str
    device: str


class Arrived(NamedTuple, Generic[Ticket]):
    """What the rules need to know of one message."""

    kind: Kind
    seq: int | None
    bd_seq: int | None
    timestamp_ms: int | None
    ticket: Ticket


class Decided(NamedTuple, Generic[Ticket]):
    """One message that may be read now; `is_ignored` if it must not be believed at all."""

    ticket: Ticket
    is_doubtful: bool = False
    is_ignored: bool = False


@dataclass(slots=True)
class EdgeNode(Generic[Ticket]):
    """What is known of one edge node.

    Parameters
    ----------
    reorder_timeout_s : float
        How long a message may be late. [s]
    is_doubtful : bool
        Whether a birth may have been missed since the last one known.
    """

    reorder_timeout_s: float
    is_doubtful: bool = True
    bd_seq: int | None = None
    n_missed: int = 0
    _is_alive: bool | None = None
    _expected: int | None = None
    _newest_ms: int = 0
    _waiting: dict[int, Arrived[Ticket]] = field(default_factory=dict)
    _deadline_s: float | None = None
    _asked_at_s: float | None = None
    _ask_pause_s: float = ASK_FIRST_S

    def arrived(self, message: Arrived[Ticket], now_s: float) -> list[Decided[Ticket]]:
        """Take a message.

        Parameters
        ----------
        message : Arrived
            The message.
        now_s : float
            A clock that never jumps. [s]

        Returns
        -------
        list of Decided
            What may be read now, in order: this message, others that waited for it, or nothing.
        """
        match message.kind:
            case "NBIRTH":
                return self._born(message)
            case "NDEATH":
                return self._died(message)
        if self._is_alive is False:
            # A node that has died speaks again: its birth was missed.
            self.is_doubtful = True
        seq, expected = message.seq, self._expected
        if seq is None or expected is None:
            # Without a number, or before any birth: order is not known and not needed.
            return [self._read(message)]
        ahead = (seq - expected) % N_NUMBERS
        if ahead == 0:
            return self._in_order(message, now_s)
        if (message.timestamp_ms or 0) <= self._newest_ms and ahead >= AHEAD:
            # Sent again after a lost connection, or overtaken for longer than we waited.
            return [Decided(message.ticket, self.is_doubtful)]
        if ahead >= AHEAD:
            # Newer, but its number is behind: the node has begun anew, and we missed its birth.
            decided = self._give_up_waiting()
            self._missed(1)
            return [*decided, self._read(message)]
        if seq in self._waiting:
            # The same number twice while one waits: nobody can tell which of them is right.
            return [Decided(message.ticket, is_doubtful=True)]
        self._waiting[seq] = message
        if self._deadline_s is None:
            self._deadline_s = now_s + self.reorder_timeout_s
        return self.tick(now_s)

    def tick(self, now_s: float) -> list[Decided[Ticket]]:
        """Let time pass.

        Parameters
        ----------
        now_s : float
            A clock that never jumps. [s]

        Returns
        -------
        list of Decided
            What has waited long enough.
        """
        if self._deadline_s is None or now_s < self._deadline_s:
            return []
        return self._give_up_waiting()

    def disconnected(self) -> list[Decided[Ticket]]:
        """Note that we may miss messages from now on.

        Returns
        -------
        list of Decided
            What waited, so that it is not lost with the connection.
        """
        decided = self._give_up_waiting()
        self.is_doubtful = True
        self._asked_at_s, self._ask_pause_s = None, ASK_FIRST_S
        return decided

    def is_to_be_asked(self, now_s: float) -> bool:
        """Whether to ask the node for its births now; it counts as asked if so.

        Parameters
        ----------
        now_s : float
            A clock that never jumps. [s]

        Returns
        -------
        bool
            True if something is in doubt and the node was not asked just before.
        """
        if not self.is_doubtful:
            return False
        if self._asked_at_s is not None:
            if now_s < self._asked_at_s + self._ask_pause_s:
                return False
            self._ask_pause_s = min(2 * self._ask_pause_s, ASK_MAX_S)
        self._asked_at_s = now_s
        return True

    def _born(self, message: Arrived[Ticket]) -> list[Decided[Ticket]]:
        decided = self._give_up_waiting()
        self._is_alive, self.is_doubtful, self.bd_seq = True, False, message.bd_seq
        self._asked_at_s, self._ask_pause_s = None, ASK_FIRST_S
        self._newest_ms = 0
        # 0 by the specification; some nodes go on counting.
        self._expected = message.seq
        return [*decided, self._read(message)]

    def _died(self, message: Arrived[Ticket]) -> list[Decided[Ticket]]:
        is_old = None not in {self.bd_seq, message.bd_seq} and self.bd_seq != message.bd_seq
        if is_old or self._is_alive is False:
            # The will of a connection before this one, or said twice.
            return [Decided(message.ticket, is_ignored=True)]
        decided = self._give_up_waiting()
        self._is_alive, self._expected = False, None
        return [*decided, Decided(message.ticket)]

    def _in_order(self, message: Arrived[Ticket], now_s: float) -> list[Decided[Ticket]]:
        decided = [self._read(message)]
        while self._expected is not None and self._expected in self._waiting:
            decided.append(self._read(self._waiting.pop(self._expected)))
        self._deadline_s = now_s + self.reorder_timeout_s if self._waiting else None
        return decided

    def _read(self, message: Arrived[Ticket]) -> Decided[Ticket]:
        if message.seq is not None:
            if self._is_alive:
                self._expected = (message.seq + 1) % N_NUMBERS
            self._newest_ms = max(self._newest_ms, message.timestamp_ms or 0)
        return Decided(message.ticket, self.is_doubtful)

    def _give_up_waiting(self) -> list[Decided[Ticket]]:
        self._deadline_s = None
        if not self._waiting or self._expected is None:
            return []
        first = self._expected
        order = sorted(self._waiting, key=lambda seq: (seq - first) % N_NUMBERS)
        self._missed((order[-1] - first) % N_NUMBERS + 1 - len(order))
        decided = [self._read(self._waiting[seq]) for seq in order]
        self._waiting.clear()
        return decided

    def _missed(self, n_messages: int) -> None:
        self.n_missed += n_messages
        self.is_doubtful = True


def sparkplug_place(topic: str) -> Place | None:
    """Read a topic of Sparkplug B.

    Parameters
    ----------
    topic : str
        Topic of a message.

    Returns
    -------
    Place or None
        None for commands, for STATE, and for topics that are none of Sparkplug's.

    Examples
    --------
    >>> sparkplug_place("spBv1.0/plant/DDATA/line-2/press-04")
    Place(kind='DDATA', group='plant', node='line-2', device='press-04')
    """
    levels = topic.split("/")
    if len(levels) not in {4, 5} or levels[0] != SPARKPLUG_ROOT or levels[2] not in KINDS:
        return None
    device = levels[4] if len(levels) == 5 else ""
    if (levels[2][0] == "D") != bool(device) or not levels[1] or not levels[3]:
        return None
    return Place(cast("Kind", levels[2]), levels[1], levels[3], device)


def is_own_name(name: str) -> bool:
    """Whether a metric belongs to the protocol and not to a machine.

    Parameters
    ----------
    name : str
        Its name.

    Returns
    -------
    bool
        True for ``bdSeq``, ``Node Control/…`` and their like.
    """
    return name == "bdSeq" or name.startswith(_OWN_NAMES)


def machine_of(place: Place, pattern: str | None) -> str:
    """Name the machine that a topic is of.

    Parameters
    ----------
    place : Place
        What the topic says.
    pattern : str or None
        With ``{group}``, ``{node}`` and ``{device}``; None takes the device, or the node where
        there is none.

    Returns
    -------
    str
        The name; whether it is a legal one is for the caller to see.

    Examples
    --------
    >>> machine_of(Place("DDATA", "plant", "line-2", "press-04"), "{node}-{device}")
    'line-2-press-04'
    >>> machine_of(Place("NDATA", "plant", "line-2", ""), "{node}-{device}")
    'line-2'
    """
    if pattern is None:
        return place.device or place.node
    # What is of the node itself has no device to be named by.
    if not place.device:
        pattern = pattern.replace("-{device}", "").replace("{device}", "{node}")
    return (
        pattern
        .replace("{group}", place.group)
        .replace("{node}", place.node)
        .replace("{device}", place.device)
    )
