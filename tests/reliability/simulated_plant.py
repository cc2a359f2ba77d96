"""Machines as the agent meets them: they keep what was not acknowledged, and deliver it again.

`Keeper` is what an MQTT broker with a persistent session and an OPC UA server with a subscription
have in common. The two differ in how many messages may be under way: a window of them, or one
after the other.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from edge_agent.errors import SourceError
from tests.reliability.chance import Chance
from tests.reliability.oracle import Oracle

POISON_NODE: Final = "poison"
"""The store never takes a value of this node."""

POISON_EVERY: Final = 5
"""It has a value only this often: what a store minds is rare, and costs several sendings."""

BASE_TIME_NS: Final = 1_700_000_000_000_000_000


@dataclass(frozen=True, slots=True)
class Value:
    """One value of one node, with the time of the machine's own clock."""

    node: str
    counter: int
    time_ns: int


@dataclass(frozen=True, slots=True)
class Message:
    """Values that are delivered and acknowledged together."""

    number: int
    values: tuple[Value, ...]


class Machine:
    """Senses values; each node counts on its own, and its clock never goes back."""

    def __init__(self, oracle: Oracle, nodes: Sequence[str], now_s: Callable[[], float]) -> None:
        self.nodes = tuple(nodes)
        self._oracle = oracle
        self._now_s = now_s
        self._counters = dict.fromkeys(nodes, 0)
        self._last_ns = 0
        self._n_times = 0

    def sense(self) -> tuple[Value, ...]:
        self._last_ns = max(self._last_ns + 1, BASE_TIME_NS + round(self._now_s() * 1e9))
        self._n_times += 1
        values = []
        for node in self.nodes:
            if node == POISON_NODE and self._n_times % POISON_EVERY:
                continue
            self._counters[node] += 1
            self._oracle.sensed(node, self._counters[node])
            values.append(Value(node, self._counters[node], self._last_ns))
        return tuple(values)


class Keeper:
    """Keeps messages until they are acknowledged.

    Parameters
    ----------
    machine : Machine
        Where values come from.
    window : int
        Messages that may be unacknowledged at a time; 1 for one after the other.
    chance : Chance
        Luck of the run.
    latency_s : callable
        Draws how long a message or an acknowledgement takes. [s]
    """

    def __init__(
        self, machine: Machine, window: int, chance: Chance, latency_s: Callable[[], float]
    ) -> None:
        self.machine = machine
        self.window = window
        self.latency_s = latency_s
        self.is_down = False
        self.kept: dict[int, Message] = {}
        self._sent: set[int] = set()
        self._chance = chance
        self._n_messages = 0
        self._line: Line | None = None

    def sense(self) -> None:
        """Let the machine measure, and keep what it did."""
        self._n_messages += 1
        self.kept[self._n_messages] = Message(self._n_messages, self.machine.sense())
        if self._line is not None:
            self._line.pump()

    def connect(self) -> "Line":
        """Let the agent in; a second connection ends the first, as brokers do it."""
        if self.is_down or self._chance.strikes("source.refuses", 0.02):
            msg = "simulated: connection refused"
            raise SourceError(msg)
        self.cut("another connection took over")
        self._line = Line(self)
        self._line.pump()
        return self._line

    def cut(self, reason: str = "cut") -> None:
        """End the connection; what is under way in it is gone."""
        if self._line is not None:
            self._line.end(reason)
            self._line = None

    def forget_sent(self) -> None:
        """What a client asks for that resumes without asking again for what was on its way."""
        for number in self._sent:
            self.kept.pop(number, None)

    def next_after(self, number: int) -> Message | None:
        """The oldest message above a number."""
        found = next((each for each in self.kept if each > number), None)
        if found is None:
            return None
        self._sent.add(found)
        return self.kept[found]

    def acknowledged(self, message: Message) -> None:
        self._chance.note("acknowledged", self.machine.nodes[0], message.number)
        self.kept.pop(message.number, None)


class Line:
    """One connection to a keeper."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._reason: str | None = None
        self._last_sent = 0
        self._n_unacknowledged = 0
        self._arrived: asyncio.Queue[Message | None] = asyncio.Queue()

    def pump(self) -> None:
        """Send what the window has room for."""
        loop = asyncio.get_running_loop()
        while self._reason is None and self._n_unacknowledged < self._keeper.window:
            message = self._keeper.next_after(self._last_sent)
            if message is None:
                return
            self._last_sent = message.number
            self._n_unacknowledged += 1
            loop.call_later(self._keeper.latency_s(), self._arrived.put_nowait, message)

    async def receive(self) -> Message:
        """Wait for the next message.

        Raises
        ------
        SourceError
            Why the connection ended.
        """
        message = await self._arrived.get()
        if message is None or self._reason is not None:
            msg = f"simulated: {self._reason}"
            raise SourceError(msg)
        return message

    def acknowledge(self, message: Message) -> None:
        """Say that a message is durable; it takes a while, and is lost if the line is cut."""
        loop = asyncio.get_running_loop()
        loop.call_later(self._keeper.latency_s(), self._acknowledged, message)

    def _acknowledged(self, message: Message) -> None:
        if self._reason is not None:
            return
        self._n_unacknowledged -= 1
        self._keeper.acknowledged(message)
        self.pump()

    def end(self, reason: str) -> None:
        if self._reason is None:
            self._reason = reason
            self._arrived.put_nowait(None)
