"""The rules of the edge agent: events in, instructions out, no clock and no input or output.

Small states that share little but the order of events: `IntakeState` gathers what sources deliver
and makes it durable, `UplinkState` empties the outbox towards the store in two lanes, `SourceState`
decides when a lost source is tried again. `AgentCore` passes each event to whom it concerns.

The promise they keep together: a parcel is acknowledged to its source only after it is durable,
a record is forgotten only after the store's answer, and no record is sent twice at the same time.
"""

from dataclasses import dataclass
from typing import Final, assert_never

from edge_agent.core_intake import IntakeState
from edge_agent.core_lanes import UplinkState
from edge_agent.messages import (
    Commit,
    CommitFailed,
    CommitTimerFired,
    ConnectSource,
    Event,
    Finish,
    ForgetFailed,
    Instruction,
    ParcelReceived,
    ParcelsCommitted,
    ReadFailed,
    RecordsRead,
    SourceAdded,
    SourceHeard,
    SourceLost,
    SourceRemoved,
    Started,
    StopRequested,
    StoreAnswered,
    UplinkTimerFired,
)
from edge_agent.pauses import pause_s

SOURCE_RETRY_FIRST_S: Final = 0.5
SOURCE_RETRY_MAX_S: Final = 5.0
"""A machine that came back is heard again within 5 s, and a server that refuses is not flooded."""


@dataclass(slots=True)
class SourceState:
    """How often a source has failed since it last delivered anything."""

    name: str
    failures: int = 0

    def heard(self) -> None:
        """Forget earlier failures: only a delivery proves that the source works."""
        self.failures = 0

    def lost(self, jitter: float) -> list[Instruction]:
        """Connect again, sooner after the first loss than after the tenth."""
        self.failures += 1
        delay_s = pause_s(self.failures, SOURCE_RETRY_FIRST_S, SOURCE_RETRY_MAX_S, jitter)
        return [ConnectSource(self.name, delay_s)]


class AgentCore:
    """All rules of one agent.

    Parameters
    ----------
    group_commit_s : float
        How long parcels gather before one write. [s]
    max_body_bytes : int
        Largest request body to begin with. [byte]
    retry_max_s : float
        Longest pause of the uplink. [s]
    """

    def __init__(self, *, group_commit_s: float, max_body_bytes: int, retry_max_s: float) -> None:
        self.intake = IntakeState(group_commit_s)
        self.uplink = UplinkState(max_body_bytes, retry_max_s)
        self.sources: dict[str, SourceState] = {}
        self.is_started = self.is_stopping = False

    def handle(self, event: Event) -> list[Instruction]:
        """Take one event; say what the runtime should now do, in this order.

        Parameters
        ----------
        event : Event
            What happened.

        Returns
        -------
        list of Instruction
            What to do.
        """
        # What is being read is held by no lane yet, so a commit could drop it for room: a commit
        # waits for a reading to end, and no other reading begins before that commit.
        self.intake.is_held_up = self.uplink.is_reading
        self.uplink.is_yielding = self.intake.is_due
        instructions = self._rule(event)
        if self.intake.is_due and not self.uplink.is_reading:
            self.uplink.is_yielding = False
            instructions += [*self.intake.release(), *self.uplink.look()]
        if self.is_stopping and self.intake.is_empty and not self.uplink.is_sending:
            instructions.append(Finish())
        return [
            Commit(step.tickets, self.uplink.held) if isinstance(step, Commit) else step
            for step in instructions
        ]

    def _rule(self, event: Event) -> list[Instruction]:  # noqa: C901 - one line for each event
        match event:
            case Started(names):
                self.is_started = True
                self.sources = {name: SourceState(name) for name in names}
                return [*self.uplink.look(), *(ConnectSource(name, 0.0) for name in names)]
            case ParcelReceived():
                return self.intake.receive(event)
            case ParcelsCommitted():
                return [*self.intake.committed(event), *self.uplink.committed(event.records)]
            case CommitFailed():
                return self.intake.failed(event)
            case CommitTimerFired():
                return self.intake.timer_fired()
            case RecordsRead():
                return self.uplink.read(event)
            case ReadFailed() | ForgetFailed():
                return self.uplink.disk_failed(event)
            case StoreAnswered():
                return self.uplink.answered(event)
            case UplinkTimerFired(lane):
                return self.uplink.timer_fired(lane)
            case SourceAdded(name):
                self.sources[name] = SourceState(name)
                is_running = self.is_started and not self.is_stopping
                return [ConnectSource(name, 0.0)] if is_running else []
            case SourceRemoved(name):
                self.sources.pop(name, None)
                return []
            case SourceHeard(name):
                if name in self.sources:
                    self.sources[name].heard()
                return []
            case SourceLost(name, jitter):
                if self.is_stopping or name not in self.sources:
                    return []
                return self.sources[name].lost(jitter)
            case StopRequested():
                self.is_stopping = self.uplink.is_closed = True
                return self.intake.flush()
        assert_never(event)
