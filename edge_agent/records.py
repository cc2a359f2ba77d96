"""What goes into the outbox and what comes out of it."""

from dataclasses import dataclass
from typing import Final, Literal

QuarantineKind = Literal["payload", "refused", "damaged"]

Priority = Literal["alarm", "raw"]
"""Alarms go up first, newest first, and are never dropped for room while raw samples can be."""

PRIORITIES: Final[tuple[Priority, ...]] = ("alarm", "raw")
"""Every priority, the most urgent first."""

Lane = Literal["alarm", "backlog"]
"""Requests of each lane go one after the other, over a connection of its own."""

LANES: Final[tuple[Lane, ...]] = ("alarm", "backlog")
"""Every lane, the most urgent first."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one group commit keeps of one priority: it becomes one record."""

    priority: Priority
    lines: bytes
    n_samples: int


@dataclass(frozen=True, slots=True)
class Misfit:
    """Something that can't be kept as samples, to be set aside with its reason."""

    origin: str
    reason: str
    body: bytes


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One group commit, read back."""

    sequence: int
    n_samples: int
    body: bytes


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """One thing that was set aside."""

    at_ns: int
    kind: str
    origin: str
    reason: str
    n_samples: int
    body: bytes


@dataclass(frozen=True, slots=True)
class OutboxCounts:
    """What is in the outbox, and what ever had to be dropped."""

    n_records: int
    n_samples: int
    n_bytes: int
    oldest_sequence: int | None
    newest_sequence: int | None
    n_quarantined: int
    n_dropped_records: int
    n_dropped_samples: int
    n_dropped_quarantined: int
