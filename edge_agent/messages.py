"""What the core of the agent hears (events) and what it asks for (instructions).

Plain values, so that a test can write down any history of a site. Times are durations; the core
has no clock. A `ticket` stands for one parcel that a source has handed over and the shell holds.
"""

from dataclasses import dataclass

from edge_agent.records import Priority

# --- what a store can answer -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stored:
    """2xx: every line is durable in the store."""


@dataclass(frozen=True, slots=True)
class Refused:
    """400: the store will not take all of it; it took the lines that were good."""

    reason: str


@dataclass(frozen=True, slots=True)
class TooLarge:
    """413: a body of this size is too large for the store."""

    n_bytes: int


@dataclass(frozen=True, slots=True)
class NotAllowed:
    """401, 403, 404 and others that a person must mend: a wrong token, bucket or address."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """429, 5xx, or no answer at all: the same request may succeed later."""

    reason: str
    retry_after_s: float = 0.0


Answer = Stored | Refused | TooLarge | NotAllowed | Unavailable


@dataclass(frozen=True, slots=True)
class Record:
    """What one group commit kept of one priority, without its bytes."""

    sequence: int
    n_bytes: int
    n_samples: int
    priority: Priority = "raw"


# --- events ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """The outbox is open; it may hold records of an earlier run."""

    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ParcelReceived:
    """A source handed over samples; `is_urgent` if it can't go on before they are durable."""

    ticket: int
    n_bytes: int
    is_urgent: bool = False


@dataclass(frozen=True, slots=True)
class ParcelsCommitted:
    """These parcels are durable, as at most one record of each priority (none if only misfits)."""

    tickets: tuple[int, ...]
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class CommitFailed:
    """These parcels could not be written; none of them is durable."""

    tickets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OldestRead:
    """These are the oldest records of the outbox that may be sent, in order."""

    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class ReadFailed:
    """The oldest records could not be read; `jitter` is uniform in [0, 1)."""

    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class ForgetFailed:
    """Records could not be deleted or moved, and are still there; `jitter` is in [0, 1)."""

    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class StoreAnswered:
    """The request with these records was answered; `jitter` is uniform in [0, 1)."""

    sequences: tuple[int, ...]
    answer: Answer
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class SourceAdded:
    """The settings name a source that was not there before."""

    source: str


@dataclass(frozen=True, slots=True)
class SourceRemoved:
    """The settings no longer name this source; it must not be connected again."""

    source: str


@dataclass(frozen=True, slots=True)
class SourceHeard:
    """A source delivered for the first time since it was connected."""

    source: str


@dataclass(frozen=True, slots=True)
class SourceLost:
    """A source could not be connected, or its connection ended; `jitter` is in [0, 1)."""

    source: str
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class CommitTimerFired:
    """The pause asked for by `CommitAfter` is over."""


@dataclass(frozen=True, slots=True)
class UplinkTimerFired:
    """The pause asked for by `RetryUplinkAfter` is over."""


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Sources are closed; what is in memory must become durable, then the agent ends."""


Event = (
    Started
    | ParcelReceived
    | ParcelsCommitted
    | CommitFailed
    | OldestRead
    | ReadFailed
    | ForgetFailed
    | StoreAnswered
    | SourceAdded
    | SourceRemoved
    | SourceHeard
    | SourceLost
    | CommitTimerFired
    | UplinkTimerFired
    | StopRequested
)

# --- instructions ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CommitAfter:
    """Send `CommitTimerFired` after this pause; there is one such timer."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class Commit:
    """Make these parcels durable in one transaction with one record for each of their priorities.

    The `protected` sequences must not be dropped to make room.
    """

    tickets: tuple[int, ...]
    protected: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Tell the sources of these parcels that they are durable."""

    tickets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReadOldest:
    """Read the oldest records: at least one, then as many as fit both bounds."""

    max_bytes: int
    max_records: int


@dataclass(frozen=True, slots=True)
class Send:
    """Send these records, which were just read, in bodies of at most this size."""

    sequences: tuple[int, ...]
    max_body_bytes: int


@dataclass(frozen=True, slots=True)
class Forget:
    """The store has these records: delete them."""

    sequences: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SetAside:
    """The store will never take these records: move them to the quarantine."""

    sequences: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class RetryUplinkAfter:
    """Send `UplinkTimerFired` after this pause; there is one such timer."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class ConnectSource:
    """Connect this source after a pause."""

    source: str
    delay_s: float


@dataclass(frozen=True, slots=True)
class Finish:
    """Everything that was received is durable: the agent may end."""


Instruction = (
    CommitAfter
    | Commit
    | Acknowledge
    | ReadOldest
    | Send
    | Forget
    | SetAside
    | RetryUplinkAfter
    | ConnectSource
    | Finish
)
