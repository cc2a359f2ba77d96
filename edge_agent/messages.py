"""What the core of the agent hears (events) and what it asks for (instructions).

Plain values, so that a test can write down any history of a site. Times are durations; the core
has no clock. A `ticket` stands for one parcel that a source has handed over and the shell holds.
"""

from dataclasses import dataclass

from edge_agent.records import Lane, Priority

# --- what a store can answer -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stored:
    """2xx: every line is durable in the store."""


@dataclass(frozen=True, slots=True)
class Refused:
    """400: the store will not take all of it; what it took beside the bad lines is not certain.

    Parameters
    ----------
    reason : str
        Its own words.
    named : tuple of (int, str)
        Lines that it complains of, by their place in the request (from 0), each with its reason.
    is_all : bool
        Whether it says that it took none of the lines.
    is_rest_stored : bool
        Whether it promises that every line but the named ones is durable.
    """

    reason: str
    named: tuple[tuple[int, str], ...] = ()
    is_all: bool = False
    is_rest_stored: bool = False


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


@dataclass(frozen=True, slots=True)
class Settled:
    """An answer for each record by itself, as acknowledgements over MQTT are.

    Parameters
    ----------
    stored : tuple of int
        Sequences that are durable in the store.
    refused : tuple of (int, str)
        Sequences that it will never take, each with its reason.
    rest : NotAllowed, Unavailable, TooLarge or None
        What became of the others; None if there are none.
    """

    stored: tuple[int, ...]
    refused: tuple[tuple[int, str], ...]
    rest: NotAllowed | Unavailable | TooLarge | None


Answer = Stored | Refused | TooLarge | NotAllowed | Unavailable | Settled


@dataclass(frozen=True, slots=True)
class Record:
    """What one group commit kept of one priority, without its bytes."""

    sequence: int
    n_bytes: int
    n_samples: int
    priority: Priority = "raw"
    n_lines: int = 1


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines of one record by their places in it, from 0; None for all of them."""

    sequence: int
    lines: tuple[int, ...] | None = None


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
class RecordsRead:
    """These records are what `ReadRecords` asked for, in the order in which to send them."""

    lane: Lane
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class ReadFailed:
    """A lane's records could not be read; `jitter` is uniform in [0, 1)."""

    lane: Lane
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class ForgetFailed:
    """Records could not be deleted or moved, and are still there; `jitter` is in [0, 1)."""

    lane: Lane
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class StoreAnswered:
    """The request with these pieces was answered; `jitter` is uniform in [0, 1)."""

    lane: Lane
    pieces: tuple[Piece, ...]
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

    lane: Lane


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Sources are closed; what is in memory must become durable, then the agent ends."""


Event = (
    Started
    | ParcelReceived
    | ParcelsCommitted
    | CommitFailed
    | RecordsRead
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
class ReadRecords:
    """Read a lane's records: at least one if there is any, then as many as fit both bounds.

    The lane ``alarm`` is for the newest records of priority ``alarm``, newest first; the lane
    ``backlog`` for the oldest of any priority, oldest first.
    """

    lane: Lane
    max_bytes: int
    max_records: int


@dataclass(frozen=True, slots=True)
class Send:
    """Send these pieces of records the lane has read, in bodies of at most this size."""

    lane: Lane
    pieces: tuple[Piece, ...]
    max_body_bytes: int


@dataclass(frozen=True, slots=True)
class Forget:
    """The store has these records: delete them."""

    lane: Lane
    sequences: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SetAside:
    """The store will never take these records: move them to the quarantine."""

    lane: Lane
    sequences: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class TakeApart:
    """The store has all of this record but the bad lines: those go to the quarantine.

    `bad` gives the place of each line in the record, from 0, and the store's reason.
    """

    lane: Lane
    sequence: int
    bad: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class RetryUplinkAfter:
    """Send `UplinkTimerFired` after this pause; there is one such timer for each lane."""

    lane: Lane
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
    | ReadRecords
    | Send
    | Forget
    | SetAside
    | TakeApart
    | RetryUplinkAfter
    | ConnectSource
    | Finish
)
