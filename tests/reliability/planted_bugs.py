"""Mistakes that an agent could have, each as a double of one part; the harness must find them all.

A harness that finds nothing proves nothing: these are its own test.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from edge_agent.core import AgentCore
from edge_agent.messages import (
    Answer,
    Commit,
    CommitAfter,
    CommitFailed,
    ConnectSource,
    Event,
    Forget,
    Instruction,
    ParcelsCommitted,
    RecordsRead,
    Refused,
    RetryUplinkAfter,
    Send,
    SetAside,
    SourceLost,
    Stored,
    TakeApart,
    Unavailable,
)
from edge_agent.ports import Intake
from edge_agent.records import StoredRecord
from edge_agent.runtime import Runtime
from ingest.telemetry import TelemetryBatch
from tests.reliability.simulated_agent import Parts, SimulatedOutbox, SimulatedSource
from tests.reliability.simulated_plant import Value
from tests.reliability.simulated_store import SimulatedUplink
from tests.reliability.simulation import is_capped, simulate


def _altered(alter: Callable[[Event, list[Instruction]], list[Instruction]]) -> type[AgentCore]:
    """A core whose answers are altered."""

    class Altered(AgentCore):
        def handle(self, event: Event) -> list[Instruction]:
            return alter(event, super().handle(event))

    return Altered


# --- the outbox --------------------------------------------------------------------------------


class NotSynced(SimulatedOutbox):
    """Acknowledges before fsync: the log is written and not synced at each commit."""

    def __init__(self, *given: Any, **named: Any) -> None:  # noqa: ANN401
        super().__init__(*given, **named)
        self._database.execute("PRAGMA synchronous = NORMAL")
        self.syncs_each_commit = False


class NumbersReused(SimulatedOutbox):
    """Begins at 1 again once everything was sent, as a key without AUTOINCREMENT does."""

    def append(self, *given: Any, **named: Any) -> Any:  # noqa: ANN401
        self._database.execute(
            "UPDATE sqlite_sequence SET seq = (SELECT coalesce(max(sequence), 0) FROM record)"
            " WHERE name = 'record'"
        )
        return super().append(*given, **named)


class DropsUncounted(SimulatedOutbox):
    """Makes room at the cap and does not count it."""

    def append(self, *given: Any, **named: Any) -> Any:  # noqa: ANN401
        result = super().append(*given, **named)
        self._database.execute("DELETE FROM tally WHERE name = 'dropped_samples'")
        return result


class DropsOnFullDisk(SimulatedOutbox):
    """Says that it has kept what a full disk did not take."""

    def append(self, *given: Any, **named: Any) -> Any:  # noqa: ANN401
        if self._life.around.is_disk_full:
            made_up = 10**15
            return None if isinstance(given[0], bytes) else [made_up for _ in given[0]]
        return super().append(*given, **named)


class SetAsideForgets(SimulatedOutbox):
    """Deletes what the store refuses, and keeps no copy."""

    def take_apart(self, sequence: int, bad: Sequence[tuple[bytes, str]]) -> None:
        super().take_apart(sequence, ())


# --- the core ----------------------------------------------------------------------------------


def _forget_before_stored(event: Event, steps: list[Instruction]) -> list[Instruction]:
    sent = [
        Forget(step.lane, tuple(piece.sequence for piece in step.pieces))
        for step in steps
        if isinstance(step, Send)
    ]
    return [*steps, *sent]


def _forget_after_any_answer(event: Event, steps: list[Instruction]) -> list[Instruction]:
    return [_forgotten(step) for step in steps]


def _forgotten(step: Instruction) -> Instruction:
    match step:
        case SetAside(lane, sequences):
            return Forget(lane, sequences)
        case TakeApart(lane, sequence):
            return Forget(lane, (sequence,))
    return step


class AlarmsForgetRaw(SimulatedOutbox):
    """Takes the answer for the alarms of a commit for one for all of it."""

    def forget(self, sequences: Sequence[int]) -> None:
        alarms = {
            sequence
            for (sequence,) in self._database.execute(
                "SELECT sequence FROM record WHERE is_alarm = 1"
            ).fetchall()
        }
        told = [sequence for sequence in sequences if sequence in alarms]
        beside = {other for one in told for other in (one - 1, one + 1)} - alarms
        super().forget([*sequences, *sorted(beside)])


def _commit_timer_lost(event: Event, steps: list[Instruction]) -> list[Instruction]:
    if isinstance(event, CommitFailed):
        return [step for step in steps if not isinstance(step, CommitAfter)]
    return steps


def _uplink_timer_lost(event: Event, steps: list[Instruction]) -> list[Instruction]:
    return [step for step in steps if not isinstance(step, RetryUplinkAfter)]


def _source_never_again(event: Event, steps: list[Instruction]) -> list[Instruction]:
    if isinstance(event, SourceLost) and event.jitter > 0.9:
        return [step for step in steps if not isinstance(step, ConnectSource)]
    return steps


class FailedParcelsDropped(AgentCore):
    """Acknowledges what could not be written, so that the source goes on."""

    def handle(self, event: Event) -> list[Instruction]:
        if isinstance(event, CommitFailed):
            return super().handle(ParcelsCommitted(event.tickets, ()))
        return super().handle(event)


class TwoInFlight(AgentCore):
    """Reads on while a request is under way."""

    def handle(self, event: Event) -> list[Instruction]:
        if isinstance(event, RecordsRead):
            kept = self.uplink.is_sending
            steps = super().handle(event)
            return [*steps, *(step for step in steps if isinstance(step, Send) and not kept)]
        return super().handle(event)


# --- the shell ---------------------------------------------------------------------------------


class WrongTicket(Runtime):
    """Hands each source the acknowledgement of the parcel before."""

    _before: "asyncio.Future[None] | None" = None

    def submit(self, *given: Any, **named: Any) -> "asyncio.Future[None]":  # noqa: ANN401
        own = super().submit(*given, **named)
        before, self._before = self._before or own, own
        return before


class AckAtOnce(Runtime):
    """Acknowledges what is in memory."""

    def submit(self, *given: Any, **named: Any) -> "asyncio.Future[None]":  # noqa: ANN401
        _ = super().submit(*given, **named)
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        durable.set_result(None)
        return durable


class AckAfterCommitBegan(Runtime):
    """Acknowledges when the write is asked for, not when it is done."""

    def _carry_out(self, instruction: Instruction) -> None:
        if isinstance(instruction, Commit):
            for ticket in instruction.tickets:
                durable = self._parcels[ticket].durable
                if not durable.done():
                    durable.set_result(None)
        super()._carry_out(instruction)


# --- the sources and the uplink ----------------------------------------------------------------


class ResumesWithoutRepublish(SimulatedSource):
    """Goes on after the last message that was sent, whether it came or not."""

    async def serve(self, intake: Intake) -> None:
        self.keeper.forget_sent()
        await super().serve(intake)


class KeyedByWallClock(SimulatedSource):
    """Gives values the agent's own time, in milliseconds."""

    def batch(self, values: Sequence[Value]) -> TelemetryBatch:
        now_ns = self.life.around.wall_ns() // 10**6 * 10**6
        return super().batch([Value(one.node, one.counter, now_ns) for one in values])


class PartialIsWhole(SimulatedUplink):
    """Takes a request that broke off in the middle as stored."""

    def send(self, records: Sequence[StoredRecord], max_body_bytes: int) -> Answer:
        answer = super().send(records, max_body_bytes)
        is_partial = isinstance(answer, Unavailable) and "middle" in answer.reason
        return Stored() if is_partial else answer


class RefusedIsStored(SimulatedUplink):
    """Takes "400 partial write" as stored."""

    def send(self, records: Sequence[StoredRecord], max_body_bytes: int) -> Answer:
        answer = super().send(records, max_body_bytes)
        return Stored() if isinstance(answer, Refused) else answer


class SilenceIsStored(SimulatedUplink):
    """Takes a request that was sent and not answered as stored."""

    def send(self, records: Sequence[StoredRecord], max_body_bytes: int) -> Answer:
        answer = super().send(records, max_body_bytes)
        is_silent = isinstance(answer, Unavailable) and "503" in answer.reason
        return Stored() if is_silent else answer


PLANTED: Final[dict[str, Parts]] = {
    "acknowledges before fsync": Parts(outbox=NotSynced),
    "acknowledges what is in memory": Parts(runtime=AckAtOnce),
    "acknowledges when the write begins": Parts(runtime=AckAfterCommitBegan),
    "acknowledges the wrong ticket": Parts(runtime=WrongTicket),
    "acknowledges what could not be written": Parts(core=FailedParcelsDropped),
    "forgets before stored": Parts(core=_altered(_forget_before_stored)),
    "forgets a whole batch after a partial write": Parts(uplink=PartialIsWhole),
    "forgets what was refused": Parts(uplink=RefusedIsStored),
    "deletes instead of setting aside": Parts(outbox=SetAsideForgets),
    "takes a failure for an answer": Parts(uplink=SilenceIsStored),
    "keys by wall clock": Parts(source=KeyedByWallClock),
    "reuses sequence numbers after a drain": Parts(outbox=NumbersReused),
    "drops at the cap without counting": Parts(outbox=DropsUncounted),
    "drops on a full disk without counting": Parts(outbox=DropsOnFullDisk),
    "resumes without republish": Parts(source=ResumesWithoutRepublish),
    "two requests in flight": Parts(core=TwoInFlight),
    "forgets raw values with the alarms beside them": Parts(outbox=AlarmsForgetRaw),
    "loses the timer after a failed commit": Parts(core=_altered(_commit_timer_lost)),
    "loses the timer after a failed request": Parts(core=_altered(_uplink_timer_lost)),
    "silently stops after a reconnect": Parts(core=_altered(_source_never_again)),
}
"""Each mistake by its name."""


def first_seed_that_finds(name: str, *, n_seeds: int, hours: float) -> tuple[int, str]:
    """Try seeds in order; which one shows the mistake, and how ("" if none does)."""
    for seed in range(n_seeds):
        outcome = simulate(seed, PLANTED[name], hours=hours, is_capped=is_capped(seed))
        if outcome.problem:
            return seed, outcome.problem
    return n_seeds, ""
