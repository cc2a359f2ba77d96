"""The production agent in virtual time: it lives, dies at any point, and starts from its disk.

`Runtime`, `AgentCore` and `Outbox` are the production ones; the outbox works on real files with
the real SQLite. What a crash leaves is a copy of the files at that instant. A power cut leaves of
the write-ahead log only what was synced, which the connection's own setting tells.
"""

import asyncio
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from edge_agent.core import AgentCore
from edge_agent.counters import Counters
from edge_agent.errors import OutboxError
from edge_agent.outbox import Outbox
from edge_agent.ports import Intake
from edge_agent.records import PRIORITIES, Lane, Priority
from edge_agent.runtime import Runtime
from ingest.telemetry import Series, TelemetryBatch
from tests.reliability.chance import Chance
from tests.reliability.simulated_plant import Keeper, Message, Value
from tests.reliability.simulated_store import Sent, SimulatedStore, SimulatedUplink
from tests.reliability.virtual_time import VirtualWorker

Result = TypeVar("Result")

SITE: Final = "mill-7"
SIGNAL: Final = "level_ratio"
URGENT_UNACKNOWLEDGED: Final = 8
GROUP_COMMIT_S: Final = 0.1
RETRY_MAX_S: Final = 60.0
MAX_BODY_BYTES: Final = 2048
"""Small, so that a few records are several bodies."""

SYNCHRONOUS_FULL: Final = 2


ALARM_NODE: Final = "press-2"
"""Its values travel as alarms, those beside them in the same message do not."""


def priority_of(value: Value) -> Priority:
    return "alarm" if value.node == ALARM_NODE else "raw"


class Surroundings(Protocol):
    """What an agent's life needs of the simulation around it."""

    chance: Chance
    keepers: dict[str, Keeper]
    store: SimulatedStore
    max_bytes: int
    is_disk_full: bool

    def wall_ns(self) -> int:
        """The agent's own clock, which may jump. [ns]"""

    def now_s(self) -> float:
        """A clock that never jumps. [s]"""

    def make_id(self) -> str:
        """The name of a new outbox file."""

    def latency_s(self) -> float:
        """How long something takes now. [s]"""

    def died(self, life: "Life", *, is_power_cut: bool) -> None:
        """Bury a life, and begin another."""


class SimulatedOutbox(Outbox):
    """The production outbox, with faults and crashes around and inside its transactions."""

    def __init__(self, path: Path, max_bytes: int, life: "Life") -> None:
        self._life = life
        self._dies_at_commit = self._is_limited = False
        around = life.around
        super().__init__(
            path, max_bytes, around.wall_ns, monotonic_s=around.now_s, make_id=around.make_id
        )
        (level,) = self._database.execute("PRAGMA synchronous").fetchone()
        self.syncs_each_commit = level >= SYNCHRONOUS_FULL

    # The signatures are the outbox's own business: these only stand before and after it.
    def append(self, *given: Any, **named: Any) -> Any:  # noqa: ANN401
        return self._faulty("append", lambda: Outbox.append(self, *given, **named))

    def take_apart(self, sequence: int, bad: Sequence[tuple[bytes, str]]) -> None:
        try:
            self._faulty("take_apart", lambda: Outbox.take_apart(self, sequence, bad))
        except OutboxError:
            # The record is then sent and parted once more.
            self._life.answered.clear()
            raise

    def read_oldest(self, *given: Any, **named: Any) -> Any:  # noqa: ANN401
        return self._faulty("read", lambda: Outbox.read_oldest(self, *given, **named))

    def set_aside(self, *given: Any, **named: Any) -> Any:  # noqa: ANN401
        return self._faulty("set_aside", lambda: Outbox.set_aside(self, *given, **named))

    def forget(self, sequences: Sequence[int]) -> None:
        try:
            self._faulty("forget", lambda: Outbox.forget(self, sequences))
        except OutboxError:
            self._life.answered -= {sent for sent in self._life.answered if sent[0] in sequences}
            raise

    def _faulty(self, what: str, work: Callable[[], Result]) -> Result:
        chance, life = self._life.around.chance, self._life
        self._limit(is_full=life.around.is_disk_full)
        life.may_die(f"{what}.before", 0.004)
        if chance.strikes(f"{what}.fails", 0.01):
            msg = f"outbox: simulated I/O error before {what}"
            raise OutboxError(msg)
        self._dies_at_commit = what != "read" and chance.strikes(f"{what}.dies_at_commit", 0.004)
        # The outbox may have opened its file anew.
        self._database.set_trace_callback(self._on_statement if self._dies_at_commit else None)
        try:
            result = work()
        except OutboxError:
            # What it knew of what was sent may be gone with the transaction.
            life.answered.clear()
            raise
        finally:
            self._dies_at_commit = False
        life.may_die(f"{what}.after", 0.01)
        if chance.strikes(f"{what}.fails_although_done", 0.005):
            msg = f"outbox: simulated I/O error, and {what} was done all the same"
            raise OutboxError(msg)
        return result

    def _on_statement(self, statement: str) -> None:
        if self._dies_at_commit and statement == "COMMIT":
            self._life.die()

    def _limit(self, *, is_full: bool) -> None:
        if is_full != self._is_limited:
            self._is_limited = is_full
            pages = "page_count" if is_full else "max_page_count = 1073741823"
            (count,) = self._database.execute(f"PRAGMA {pages}").fetchone()
            if is_full:
                self._database.execute(f"PRAGMA max_page_count = {count}")


class SimulatedSource:
    """Reads a keeper; acknowledges what is durable, one after the other or as it comes."""

    def __init__(self, name: str, life: "Life") -> None:
        self.name = name
        self.life = life
        self.keeper = life.around.keepers[name]
        self._n_unacknowledged = 0

    async def serve(self, intake: Intake) -> None:
        """Deliver until the line is cut; see `edge_agent.ports.Source`."""
        await asyncio.sleep(self.life.around.latency_s())
        line = self.keeper.connect()
        self._n_unacknowledged = 0
        is_proven = False
        while True:
            message = await line.receive()
            if not is_proven:
                is_proven = True
                intake.heard(self.name)
            self.life.may_die("submit.before", 0.002)
            durable = self.submit(intake, message)
            self.life.may_die("submit.after", 0.004)

            def acknowledge(_: object, message: Message = message) -> None:
                self._n_unacknowledged -= 1
                self.life.may_die("acknowledge.before", 0.005)
                if self.life.is_alive:
                    line.acknowledge(message)
                    self.life.may_die("acknowledge.after", 0.005)

            durable.add_done_callback(acknowledge)
            if self.keeper.window == 1:
                await asyncio.shield(durable)

    def submit(self, intake: Intake, message: Message) -> "asyncio.Future[Any]":
        """Hand a message over."""
        self._n_unacknowledged += 1
        is_urgent = self._n_unacknowledged >= URGENT_UNACKNOWLEDGED
        parts = {
            priority: [value for value in message.values if priority_of(value) == priority]
            for priority in PRIORITIES
        }
        futures = [
            intake.submit(self.batch(values), is_urgent=is_urgent, priority=priority)
            for priority, values in parts.items()
            if values
        ]
        return futures[0] if len(futures) == 1 else asyncio.gather(*futures)

    def batch(self, values: Sequence[Value]) -> TelemetryBatch:
        """Values as columns; the time is the machine's."""
        return TelemetryBatch.of(
            [Series(SITE, value.node, SIGNAL) for value in values],
            range(len(values)),
            [value.time_ns for value in values],
            [float(value.counter) for value in values],
            [0] * len(values),
        )


@dataclass(frozen=True, slots=True)
class Parts:
    """What an agent is made of; planted bugs stand in here."""

    core: type[AgentCore] = AgentCore
    runtime: type[Runtime] = Runtime
    outbox: type[SimulatedOutbox] = SimulatedOutbox
    source: type[SimulatedSource] = SimulatedSource
    uplink: type[SimulatedUplink] = SimulatedUplink


class Life:
    """One process of the agent, from start to death.

    Parameters
    ----------
    around : Surroundings
        The simulation.
    folder : Path
        Its disk.
    parts : Parts
        What it is made of.
    """

    def __init__(self, around: Surroundings, folder: Path, parts: Parts) -> None:
        self.around = around
        self.folder = folder
        self.is_alive = True
        self._parts = parts
        self.stop = asyncio.Event()
        self.counters = Counters()
        self.answered: set[Sent] = set()
        self.outbox = parts.outbox(folder / "outbox.sqlite", around.max_bytes, self)
        core = parts.core(
            group_commit_s=GROUP_COMMIT_S, max_body_bytes=MAX_BODY_BYTES, retry_max_s=RETRY_MAX_S
        )
        runtime = parts.runtime(
            core,
            self.outbox,
            self._make_uplink,
            [parts.source(name, self) for name in around.keepers],
            self.counters,
            jitter=around.chance.random.random,
            make_worker=self._make_worker,
        )
        self.task = asyncio.create_task(runtime.run(self.stop))

    def may_die(self, point: str, probability: float) -> None:
        """Die at a point with a probability; what runs on then is a ghost that can do nothing."""
        if self.is_alive and self.around.chance.strikes(f"crash.{point}", probability):
            self.die()

    def die(self) -> None:
        """End here and now, with what the disk holds at this instant."""
        if self.is_alive:
            self.is_alive = False
            self.around.died(self, is_power_cut=self.around.chance.random.random() < 0.5)

    def leave_disk(self, heir: Path, *, is_power_cut: bool) -> None:
        """Copy what the disk holds now, which the ghost can't change any more."""
        heir.mkdir()
        for path in self.folder.iterdir():
            is_synced = self.outbox.syncs_each_commit or not path.name.endswith("-wal")
            if path.name.endswith(".ballast"):
                # Only its size matters, and nobody writes to it.
                os.link(path, heir / path.name)
            elif not path.name.endswith(("-shm", ".sock")) and (is_synced or not is_power_cut):
                shutil.copyfile(path, heir / path.name)

    def bury(self) -> None:
        """Close the ghost's files and remove its disk."""
        self.outbox.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make_uplink(self, lane: Lane) -> SimulatedUplink:
        # What a request that was given up may still do is not known, so it counts as unanswered.
        self.answered.clear()
        return self._parts.uplink(
            self.around.store,
            self.around.chance,
            self.answered,
            lambda: self.is_alive,
            self.may_die,
        )

    def _make_worker(self, name: str) -> VirtualWorker:
        def delay_s() -> float:
            if name == "uplink" and self.around.chance.strikes("uplink.hangs", 0.0005):
                return 650.0
            return self.around.latency_s()

        return VirtualWorker(delay_s, lambda: self.is_alive)
