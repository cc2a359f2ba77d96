"""What goes into the outbox and what comes out of it."""

from dataclasses import dataclass
from typing import Literal

QuarantineKind = Literal["payload", "refused", "damaged"]


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
