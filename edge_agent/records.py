"""What goes into the outbox and what comes out of it."""

from dataclasses import dataclass
from typing import Final, Literal

from ingest import telemetry
from ingest.telemetry import TelemetryBatch

QuarantineKind = Literal["payload", "refused", "damaged"]

Priority = telemetry.Priority
"""Alarms go up first, newest first, and are never dropped for room while raw samples can be."""

PRIORITIES: Final[tuple[Priority, ...]] = ("alarm", "raw")
"""Every priority, the most urgent first."""

Lane = Literal["alarm", "backlog"]
"""Requests of each lane go one after the other, over a connection of its own."""

LANES: Final[tuple[Lane, ...]] = ("alarm", "backlog")
"""Every lane, the most urgent first."""


GapReason = Literal["thinned", "no room", "too old", "quarantine full", "by hand"]
"""Why samples had to be given up; `docs/outbox.md` says when that happens."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """What one group commit keeps of one priority: it becomes one record.

    Parameters
    ----------
    priority : {"alarm", "raw"}
        Of all its samples.
    lines : bytes
        Line protocol; left empty if there are `batches`.
    n_samples : int
        Samples in it.
    batches : tuple of TelemetryBatch
        The samples as columns, which take a fifth of the room that lines do: names are legal,
        values finite or ``nan``, qualities known.
    """

    priority: Priority
    lines: bytes
    n_samples: int
    batches: tuple[TelemetryBatch, ...] = ()


@dataclass(frozen=True, slots=True)
class Misfit:
    """Something that can't be kept as samples, to be set aside with its reason."""

    origin: str
    reason: str
    body: bytes


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One record, read back; `body` is line protocol."""

    sequence: int
    n_samples: int
    body: bytes
    priority: Priority = "raw"


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """One thing that was set aside; `number` names it on the command line."""

    at_ns: int
    kind: str
    origin: str
    reason: str
    n_samples: int
    body: bytes
    number: int = 0


@dataclass(frozen=True, slots=True)
class GapEvent:
    """Samples that had to be given up.

    Parameters
    ----------
    number : int
        Grows from one event to the next.
    began_at_ns, ended_at_ns : int
        When they were given up, by the wall clock. [ns since 1970-01-01 UTC]
    reason : GapReason
        Why.
    first_ns, last_ns : int or None
        Earliest and latest source time among them; None if not known. [ns since 1970-01-01 UTC]
    n_samples : int
        How many.
    n_series : int
        How many series they belong to; where events were joined, the largest number of one.
    """

    number: int
    began_at_ns: int
    ended_at_ns: int
    reason: GapReason
    first_ns: int | None
    last_ns: int | None
    n_samples: int
    n_series: int


@dataclass(frozen=True, slots=True)
class OutboxCounts:
    """What is in the outbox, and what ever had to be given up.

    Parameters
    ----------
    n_records, n_samples : int
        Waiting to be sent.
    n_bytes : int
        What all files of the outbox take on the disk. [byte]
    oldest_sequence, newest_sequence : int or None
        Of what waits; None if nothing does.
    n_quarantined : int
        Entries in the quarantine.
    n_dropped_records, n_dropped_samples : int
        Given up since the file was made; every one is in a gap event, too.
    n_dropped_quarantined : int
        Entries that the quarantine had no room for.
    n_alarm_records, n_alarm_samples : int
        Alarms among what waits.
    n_thinned_records : int
        Records among what waits of which only a part is left.
    n_used_bytes : int
        What is in use inside the files; the rest is free for what comes. [byte]
    is_disk_full : bool
        Whether the disk has less room than the cap, so that the cap is lower for now.
    """

    n_records: int
    n_samples: int
    n_bytes: int
    oldest_sequence: int | None
    newest_sequence: int | None
    n_quarantined: int
    n_dropped_records: int
    n_dropped_samples: int
    n_dropped_quarantined: int
    n_alarm_records: int = 0
    n_alarm_samples: int = 0
    n_thinned_records: int = 0
    n_used_bytes: int = 0
    is_disk_full: bool = False
