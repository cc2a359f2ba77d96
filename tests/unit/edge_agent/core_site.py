"""Disk, store and sources around a core, as plain as can be, and anything that may happen there.

A line is a pair (ticket, place in its parcel), which the core never sees. The disk and the store
work only when they are told to, so a test can write down any order of events.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from hypothesis import strategies as st

from edge_agent.core import AgentCore
from edge_agent.core_lanes import MAX_RECORDS
from edge_agent.messages import (
    Acknowledge,
    Answer,
    Commit,
    CommitAfter,
    CommitFailed,
    CommitTimerFired,
    Event,
    Finish,
    Forget,
    ForgetFailed,
    Instruction,
    NotAllowed,
    ParcelReceived,
    ParcelsCommitted,
    Piece,
    ReadFailed,
    ReadRecords,
    Record,
    RecordsRead,
    Refused,
    RetryUplinkAfter,
    Send,
    SetAside,
    Settled,
    Started,
    StoreAnswered,
    Stored,
    TakeApart,
    TooLarge,
    Unavailable,
    UplinkTimerFired,
)
from edge_agent.records import PRIORITIES, Lane, Priority

Line = tuple[int, int]

LINE_BYTES = 100


def make_core(group_commit_s: float = 0.1) -> AgentCore:
    return AgentCore(group_commit_s=group_commit_s, max_body_bytes=1_000_000, retry_max_s=60.0)


@dataclass(frozen=True)
class Kept:
    """A record on the disk."""

    priority: Priority
    lines: tuple[Line, ...]


@dataclass
class Site:
    """Disk, store and sources around a core."""

    core: AgentCore
    bad: Callable[[Line], bool] = lambda _line: False
    disk: dict[int, Kept] = field(default_factory=dict)
    store: set[Line] = field(default_factory=set)
    quarantine: set[Line] = field(default_factory=set)
    parcels: dict[int, tuple[Priority, int]] = field(default_factory=dict)
    unacknowledged: set[int] = field(default_factory=set)
    acknowledged: set[int] = field(default_factory=set)
    disk_work: deque[Instruction] = field(default_factory=deque)
    sending: dict[Lane, Send] = field(default_factory=dict)
    commit_timer: float | None = None
    uplink_timers: dict[Lane, float] = field(default_factory=dict)
    timers_set: list[tuple[float, str]] = field(default_factory=list)
    next_sequence: int = 1
    n_sent: int = 0
    is_finished: bool = False

    def handle(self, event: Event) -> None:
        for step in self.core.handle(event):
            match step:
                case Commit() | ReadRecords() | Forget() | SetAside() | TakeApart():
                    self.disk_work.append(step)
                case Send(lane, pieces):
                    self._begin_sending(lane, pieces)
                    self.sending[lane], self.n_sent = step, self.n_sent + 1
                case Acknowledge(tickets):
                    assert set(tickets) <= self.unacknowledged
                    self.unacknowledged -= set(tickets)
                    self.acknowledged |= set(tickets)
                case CommitAfter(delay_s):
                    self.commit_timer = delay_s
                    self.timers_set.append((delay_s, "commit"))
                case RetryUplinkAfter(lane, delay_s):
                    self.uplink_timers[lane] = delay_s
                    self.timers_set.append((delay_s, lane))
                case Finish():
                    self.is_finished = True

    def _begin_sending(self, lane: Lane, pieces: Sequence[Piece]) -> None:
        assert lane not in self.sending, "sent while another request of the lane is under way"
        sequences = [piece.sequence for piece in pieces]
        assert pieces
        assert len(set(sequences)) == len(sequences)
        elsewhere = {p.sequence for other in self.sending.values() for p in other.pieces}
        assert not elsewhere & set(sequences), "sent twice at the same time"
        assert len(pieces) <= MAX_RECORDS[lane]

    def receive(
        self, *, n_lines: int = 1, priority: Priority = "raw", is_urgent: bool = False
    ) -> int:
        ticket = len(self.parcels) + 1
        self.parcels[ticket] = priority, n_lines
        self.unacknowledged.add(ticket)
        self.handle(ParcelReceived(ticket, LINE_BYTES * n_lines, is_urgent))
        return ticket

    def lines_of(self, ticket: int) -> tuple[Line, ...]:
        return tuple((ticket, place) for place in range(self.parcels[ticket][1]))

    # --- the disk ------------------------------------------------------------------------------

    def work(self, *, is_working: bool = True) -> None:  # noqa: C901 - one case for each call
        """Let the disk do the next thing, or fail at it."""
        match self.disk_work.popleft():
            case Commit(tickets, protected) if is_working:
                assert not any(isinstance(step, Commit) for step in self.disk_work)
                self.last_protected = protected
                records = tuple(self._keep(tickets))
                self.handle(ParcelsCommitted(tickets, records))
            case Commit(tickets):
                self.handle(CommitFailed(tickets))
            case ReadRecords(lane, max_bytes, max_records) if is_working:
                self.handle(RecordsRead(lane, self._read(lane, max_bytes, max_records)))
            case ReadRecords(lane):
                self.handle(ReadFailed(lane, 0.5))
            case Forget(_, sequences) if is_working:
                for sequence in sequences:
                    self.disk.pop(sequence, None)
            case SetAside(_, sequences) if is_working:
                for sequence in sequences:
                    if sequence in self.disk:
                        self.quarantine |= set(self.disk.pop(sequence).lines)
            case TakeApart(_, sequence, bad) if is_working:
                if sequence in self.disk:
                    kept = self.disk.pop(sequence)
                    self.quarantine |= {kept.lines[place] for place, _ in bad}
            case Forget(lane) | SetAside(lane) | TakeApart(lane):
                self.handle(ForgetFailed(lane, 0.5))

    def _keep(self, tickets: Sequence[int]) -> list[Record]:
        records = []
        for priority in PRIORITIES:
            lines = tuple(
                line
                for ticket in tickets
                if self.parcels[ticket][0] == priority
                for line in self.lines_of(ticket)
            )
            if lines:
                sequence, self.next_sequence = self.next_sequence, self.next_sequence + 1
                self.disk[sequence] = Kept(priority, lines)
                records.append(self._record(sequence))
        return records

    def _record(self, sequence: int) -> Record:
        kept = self.disk[sequence]
        n_lines = len(kept.lines)
        return Record(sequence, LINE_BYTES * n_lines, n_lines, kept.priority, n_lines)

    def _read(self, lane: Lane, max_bytes: int, max_records: int) -> tuple[Record, ...]:
        # A dict keeps the order of insertion, which is that of the sequence numbers.
        candidates = list(self.disk)
        if lane == "alarm":
            candidates = [n for n in reversed(candidates) if self.disk[n].priority == "alarm"]
        found: list[Record] = []
        for sequence in candidates[:max_records]:
            record = self._record(sequence)
            if found and sum(each.n_bytes for each in found) + record.n_bytes > max_bytes:
                break
            found.append(record)
        return tuple(found)

    # --- the store -----------------------------------------------------------------------------

    def sent_lines(self, lane: Lane) -> list[Line]:
        """Give the lines of the request under way, in its order; a forgotten record has none."""
        lines: list[Line] = []
        for piece in self.sending[lane].pieces:
            if piece.sequence in self.disk:
                kept = self.disk[piece.sequence].lines
                places = range(len(kept)) if piece.lines is None else piece.lines
                lines += [kept[place] for place in places]
        return lines

    def answer(self, lane: Lane, answer: Answer) -> None:
        """Let the store answer; what it takes, it has."""
        lines = self.sent_lines(lane)
        step = self.sending.pop(lane)
        match answer:
            case Stored():
                self.store |= set(lines)
            case Settled(stored):
                for sequence in stored:
                    if sequence in self.disk:
                        self.store |= set(self.disk[sequence].lines)
        self.handle(StoreAnswered(lane, step.pieces, answer, 0.5))

    def judge(self, lane: Lane, hints: Sequence[int] = (), *, is_honest: bool = True) -> Answer:
        """Give the answer of a store that takes good lines only, and all of them or none."""
        lines = self.sent_lines(lane)
        bad = [place for place, line in enumerate(lines) if self.bad(line)]
        if not bad:
            return Stored()
        named = [place for place in hints if place < len(lines)]
        if is_honest:
            named = [place for place in named if place in bad]
        return Refused("400", tuple((place, f"line {place} is bad") for place in named))

    # --- time ----------------------------------------------------------------------------------

    def fire_commit_timer(self) -> None:
        self.commit_timer = None
        self.handle(CommitTimerFired())

    def fire_uplink_timer(self, lane: Lane) -> None:
        del self.uplink_timers[lane]
        self.handle(UplinkTimerFired(lane))

    @property
    def kept(self) -> set[Line]:
        on_disk = {line for kept in self.disk.values() for line in kept.lines}
        return on_disk | self.store | self.quarantine

    def settle(self, *, hanging: frozenset[Lane] = frozenset()) -> int:
        """Let everything work from now on, but for hanging lanes; give the number of requests."""
        n_sent = self.n_sent
        for _ in range(20_000):
            answerable = [lane for lane in self.sending if lane not in hanging]
            if self.disk_work:
                self.work()
            elif answerable:
                self.answer(answerable[0], self.judge(answerable[0]))
            elif self.commit_timer is not None:
                self.fire_commit_timer()
            elif timers := [lane for lane in self.uplink_timers if lane not in hanging]:
                self.fire_uplink_timer(timers[0])
            else:
                return self.n_sent - n_sent
        msg = "the agent never comes to rest"
        raise AssertionError(msg)


UNCERTAIN_ANSWERS = st.one_of(
    st.just(NotAllowed("401")),
    st.floats(0, 100).map(lambda retry_after_s: Unavailable("503", retry_after_s)),
)

ANSWERS = st.one_of(
    st.just(Stored()),
    st.builds(
        Refused,
        st.just("400"),
        st.lists(st.tuples(st.integers(0, 5), st.just("bad")), max_size=3).map(tuple),
        st.booleans(),
    ),
    st.sampled_from([200, 5000, 1_000_000]).map(TooLarge),
    UNCERTAIN_ANSWERS,
)


@dataclass(frozen=True)
class Chance:
    """One thing that happens: which of those that can, and how it goes."""

    what: int
    is_good: bool
    answer: Answer | None
    n_lines: int
    hints: tuple[int, ...]


def chances(answers: st.SearchStrategy[Answer | None]) -> st.SearchStrategy[Chance]:
    """Everything that can happen at a site; None lets the store judge the lines."""
    return st.builds(
        Chance,
        what=st.integers(0, 199),
        is_good=st.booleans(),
        answer=answers,
        n_lines=st.integers(1, 8),
        hints=st.lists(st.integers(0, 10), max_size=3, unique=True).map(tuple),
    )


def happen(site: Site, chance: Chance) -> Site:
    """Let one of the things that are possible now happen; a crash is the rarest."""
    if chance.what == 0:
        return restarted(site)
    priority: Priority = "alarm" if chance.what % 3 == 0 else "raw"
    possible: list[Callable[[], object]] = [
        lambda: site.receive(
            n_lines=chance.n_lines, priority=priority, is_urgent=not chance.is_good
        )
    ]
    if site.disk_work:
        possible.append(lambda: site.work(is_working=chance.is_good))
    possible += [partial(_answer, site, lane, chance) for lane in site.sending]
    if site.commit_timer is not None:
        possible.append(site.fire_commit_timer)
    possible += [partial(site.fire_uplink_timer, lane) for lane in site.uplink_timers]
    possible[chance.what % len(possible)]()
    return site


def _answer(site: Site, lane: Lane, chance: Chance) -> None:
    said = chance.answer
    if said is None:
        said = site.judge(lane, chance.hints, is_honest=chance.is_good)
    site.answer(lane, said)


def restarted(old: Site) -> Site:
    """The agent after `kill -9`: the disk has what it had, sources deliver the rest again."""
    site = Site(
        make_core(old.core.intake.group_commit_s),
        bad=old.bad,
        disk=old.disk,
        store=old.store,
        quarantine=old.quarantine,
        parcels=dict(old.parcels),
        acknowledged=old.acknowledged,
        next_sequence=old.next_sequence,
    )
    site.handle(Started(()))
    for ticket in sorted(old.unacknowledged):
        site.unacknowledged.add(ticket)
        site.handle(ParcelReceived(ticket, LINE_BYTES * old.parcels[ticket][1]))
    return site
