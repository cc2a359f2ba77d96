"""The rules of the edge agent: events in, instructions out, no clock and no input or output.

Three small states that share nothing but the order of events: `IntakeState` gathers what sources
deliver and makes it durable, `UplinkState` empties the outbox towards the store, `SourceState`
decides when a lost source is tried again. `AgentCore` passes each event to whom it concerns.

The promise they keep together: a parcel is acknowledged to its source only after it is durable,
a record is forgotten only after the store's answer, and no record is sent twice at the same time.
"""

from dataclasses import dataclass, field
from typing import Final, assert_never

from edge_agent.messages import (
    Acknowledge,
    Commit,
    CommitAfter,
    CommitFailed,
    CommitTimerFired,
    ConnectSource,
    Event,
    Finish,
    Forget,
    ForgetFailed,
    Instruction,
    NotAllowed,
    OldestRead,
    ParcelReceived,
    ParcelsCommitted,
    ReadFailed,
    ReadOldest,
    Refused,
    RetryUplinkAfter,
    Send,
    SetAside,
    SourceAdded,
    SourceHeard,
    SourceLost,
    SourceRemoved,
    Started,
    StopRequested,
    StoreAnswered,
    Stored,
    TooLarge,
    Unavailable,
    UplinkTimerFired,
)

MAX_COMMIT_BYTES: Final = 1_000_000
"""Parcels are committed early above this, so that one record never needs many megabytes."""

COMMIT_RETRY_FIRST_S: Final = 0.5
COMMIT_RETRY_MAX_S: Final = 10.0
"""A full or failing disk is tried again at least this often: somebody may have made room."""

UPLINK_RETRY_FIRST_S: Final = 0.5
"""First pause after the store did not answer; doubles up to the setting `retry_max_s`."""

MIN_BODY_BYTES: Final = 1024
"""One line is at most about 400 bytes; a body this small that is too large holds one or two."""

MAX_RECORDS_PER_REQUEST: Final = 1000
"""Keeps the list of sequence numbers in flight short; bytes are the real bound."""

SOURCE_RETRY_FIRST_S: Final = 0.5
SOURCE_RETRY_MAX_S: Final = 5.0
"""A machine that came back is heard again within 5 s, and a server that refuses is not flooded."""


def pause_s(n_failures: int, first_s: float, max_s: float, jitter: float) -> float:
    """Pause before the next try: doubling, bounded, and spread so that agents don't march in step.

    Parameters
    ----------
    n_failures : int
        Failures in a row, from 1.
    first_s : float
        Pause after the first failure, before jitter. [s]
    max_s : float
        Longest pause. [s]
    jitter : float
        Uniform in [0, 1).

    Returns
    -------
    float
        Between half of the doubled pause and all of it, at most `max_s`. [s]

    Examples
    --------
    >>> [pause_s(n, 0.5, 5.0, jitter=1.0) for n in (1, 2, 3, 4, 5)]
    [0.5, 1.0, 2.0, 4.0, 5.0]
    """
    doubled: float = min(max_s, first_s * 2.0 ** min(n_failures - 1, 60))
    return doubled * (0.5 + 0.5 * jitter)


@dataclass(slots=True)
class IntakeState:
    """Parcels on their way from a source to the disk."""

    group_commit_s: float
    waiting: list[int] = field(default_factory=list)
    waiting_bytes: int = 0
    wants_commit: bool = False
    is_committing: bool = False
    is_timer_set: bool = False
    failures: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether everything received is durable."""
        return not self.waiting and not self.is_committing

    def receive(self, event: ParcelReceived) -> list[Instruction]:
        """Take a parcel; commit at once if it is urgent or much has gathered."""
        self.waiting.append(event.ticket)
        self.waiting_bytes += event.n_bytes
        if event.is_urgent or self.waiting_bytes >= MAX_COMMIT_BYTES:
            self.wants_commit = True
        return self._next()

    def timer_fired(self) -> list[Instruction]:
        """Commit what has gathered."""
        self.is_timer_set, self.wants_commit = False, bool(self.waiting)
        return self._next(is_retry_due=True)

    def committed(self, event: ParcelsCommitted) -> list[Instruction]:
        """Acknowledge what is durable now."""
        self.is_committing, self.failures = False, 0
        return [Acknowledge(event.tickets), *self._next()]

    def failed(self, event: CommitFailed) -> list[Instruction]:
        """Keep what could not be written, in its order, and try again after a pause."""
        self.is_committing = False
        self.waiting[:0] = event.tickets
        self.failures, self.wants_commit = self.failures + 1, True
        return self._set_timer(
            pause_s(self.failures, COMMIT_RETRY_FIRST_S, COMMIT_RETRY_MAX_S, jitter=1.0)
        )

    def flush(self) -> list[Instruction]:
        """Commit whatever waits, now."""
        self.wants_commit = bool(self.waiting)
        return self._next(is_retry_due=True)

    def _next(self, *, is_retry_due: bool = False) -> list[Instruction]:
        if self.is_committing or not self.waiting:
            return []
        if self.failures and not is_retry_due:
            return [] if self.is_timer_set else self._set_timer(COMMIT_RETRY_FIRST_S)
        if self.wants_commit or self.group_commit_s == 0:
            tickets = tuple(self.waiting)
            self.waiting.clear()
            self.waiting_bytes, self.wants_commit, self.is_committing = 0, False, True
            return [Commit(tickets, protected=())]
        return [] if self.is_timer_set else self._set_timer(self.group_commit_s)

    def _set_timer(self, delay_s: float) -> list[Instruction]:
        self.is_timer_set = True
        return [CommitAfter(delay_s)]


@dataclass(slots=True)
class UplinkState:
    """Records on their way from the disk to the store, one request at a time."""

    max_body_bytes: int
    retry_max_s: float
    in_flight: tuple[int, ...] = ()
    is_reading: bool = False
    is_paused: bool = False
    is_closed: bool = False
    failures: int = 0
    max_records: int = MAX_RECORDS_PER_REQUEST

    def look(self) -> list[Instruction]:
        """Read the next records unless something is under way or a pause is kept."""
        if self.in_flight or self.is_reading or self.is_paused or self.is_closed:
            return []
        self.is_reading = True
        return [ReadOldest(self.max_body_bytes, self.max_records)]

    def read(self, event: OldestRead) -> list[Instruction]:
        """Send what was read; with nothing to send, rest until the next commit."""
        self.is_reading = False
        if not event.records or self.is_paused or self.is_closed:
            return []
        self.in_flight = tuple(record.sequence for record in event.records)
        return [Send(self.in_flight, self.max_body_bytes)]

    def disk_failed(self, event: ReadFailed | ForgetFailed) -> list[Instruction]:
        """Leave the disk alone for a while, or the same records would be sent in a tight loop."""
        if isinstance(event, ReadFailed):
            self.is_reading = False
        return self._pause(Unavailable("the outbox can't be used"), event.jitter)

    def timer_fired(self) -> list[Instruction]:
        """Try again."""
        self.is_paused = False
        return self.look()

    def answered(self, event: StoreAnswered) -> list[Instruction]:
        """Draw the consequence of the store's answer for the records in flight."""
        if event.sequences != self.in_flight:
            return []
        sequences, self.in_flight = self.in_flight, ()
        match event.answer:
            case Stored():
                self.failures = 0
                self.max_records = min(2 * self.max_records, MAX_RECORDS_PER_REQUEST)
                return [Forget(sequences), *self.look()]
            case Refused(reason):
                self.failures = 0
                if len(sequences) == 1:
                    return [SetAside(sequences, reason), *self.look()]
                # Only the store knows which record it minds: halve until it stands alone. What
                # it took already is simply written once more.
                self.max_records = len(sequences) // 2
                return self.look()
            case TooLarge(n_bytes):
                if min(n_bytes, self.max_body_bytes) <= MIN_BODY_BYTES:
                    reason = f"the store refuses even {n_bytes} bytes as too large"
                    return [SetAside(sequences, reason), *self.look()]
                self.max_body_bytes = max(MIN_BODY_BYTES, min(n_bytes, self.max_body_bytes) // 2)
                return self.look()
            case NotAllowed() | Unavailable():
                return self._pause(event.answer, event.jitter)
        assert_never(event.answer)

    def _pause(self, answer: NotAllowed | Unavailable, jitter: float) -> list[Instruction]:
        self.failures += 1
        self.is_paused = True
        if isinstance(answer, NotAllowed):
            return [RetryUplinkAfter(self.retry_max_s)]
        own_s = pause_s(self.failures, UPLINK_RETRY_FIRST_S, self.retry_max_s, jitter)
        return [RetryUplinkAfter(max(own_s, answer.retry_after_s))]


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
        instructions = self._rule(event)
        if self.is_stopping and self.intake.is_empty and not self.uplink.in_flight:
            instructions.append(Finish())
        return [
            Commit(step.tickets, self.uplink.in_flight) if isinstance(step, Commit) else step
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
                return [*self.intake.committed(event), *self.uplink.look()]
            case CommitFailed():
                return self.intake.failed(event)
            case CommitTimerFired():
                return self.intake.timer_fired()
            case OldestRead():
                return self.uplink.read(event)
            case ReadFailed() | ForgetFailed():
                return self.uplink.disk_failed(event)
            case StoreAnswered():
                return self.uplink.answered(event)
            case UplinkTimerFired():
                return self.uplink.timer_fired()
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
