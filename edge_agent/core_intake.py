"""Rules of the intake: when what sources deliver is written, and when it is acknowledged."""

from dataclasses import dataclass, field
from typing import Final

from edge_agent.messages import (
    Acknowledge,
    Commit,
    CommitAfter,
    CommitFailed,
    Instruction,
    ParcelReceived,
    ParcelsCommitted,
)
from edge_agent.pauses import pause_s

MAX_COMMIT_BYTES: Final = 1_000_000
"""Parcels are committed early above this, so that one record never needs many megabytes."""

COMMIT_RETRY_FIRST_S: Final = 0.5
COMMIT_RETRY_MAX_S: Final = 10.0
"""A full or failing disk is tried again at least this often: somebody may have made room."""


@dataclass(slots=True)
class IntakeState:
    """Parcels on their way from a source to the disk."""

    group_commit_s: float
    waiting: list[int] = field(default_factory=list)
    waiting_bytes: int = 0
    wants_commit: bool = False
    is_committing: bool = False
    is_held_up: bool = False
    """While records are being read: a commit might drop, for room, what is about to be sent."""
    is_due: bool = False
    """Whether a commit is held up."""
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

    def release(self) -> list[Instruction]:
        """Write what waited for a read to end."""
        self.is_held_up, self.is_due = False, False
        return self._next(is_retry_due=True)

    def flush(self) -> list[Instruction]:
        """Commit whatever waits, now."""
        self.wants_commit = bool(self.waiting)
        return self._next(is_retry_due=True)

    def _next(self, *, is_retry_due: bool = False) -> list[Instruction]:
        if self.is_committing or not self.waiting:
            return []
        if self.failures and not is_retry_due:
            return [] if self.is_timer_set else self._set_timer(COMMIT_RETRY_FIRST_S)
        if not self.wants_commit and self.group_commit_s > 0:
            return [] if self.is_timer_set else self._set_timer(self.group_commit_s)
        if self.is_held_up:
            self.is_due = True
            return []
        tickets = tuple(self.waiting)
        self.waiting.clear()
        self.waiting_bytes, self.wants_commit, self.is_committing = 0, False, True
        return [Commit(tickets, protected=())]

    def _set_timer(self, delay_s: float) -> list[Instruction]:
        self.is_timer_set = True
        return [CommitAfter(delay_s)]
