"""The rules of the agent under any order of events, without clock or disk."""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.core import (
    MAX_COMMIT_BYTES,
    MIN_BODY_BYTES,
    SOURCE_RETRY_MAX_S,
    AgentCore,
    pause_s,
)
from edge_agent.messages import (
    Acknowledge,
    Answer,
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
    Record,
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


def make_core(group_commit_s: float = 0.1) -> AgentCore:
    return AgentCore(group_commit_s=group_commit_s, max_body_bytes=1_000_000, retry_max_s=60.0)


def test_parcels_gather_until_the_timer_and_are_acknowledged_only_when_durable() -> None:
    core = make_core()
    core.handle(Started(()))

    assert core.handle(ParcelReceived(1, 10)) == [CommitAfter(0.1)]
    assert core.handle(ParcelReceived(2, 10)) == []
    assert core.handle(CommitTimerFired()) == [Commit((1, 2), ())]
    assert core.handle(ParcelReceived(3, 10)) == []
    assert core.handle(ParcelsCommitted((1, 2), (Record(1, 20, 2),)))[:2] == [
        Acknowledge((1, 2)),
        CommitAfter(0.1),
    ]


def test_an_urgent_parcel_and_a_megabyte_do_not_wait_for_the_timer() -> None:
    urgent, large = make_core(), make_core()

    assert urgent.handle(ParcelReceived(1, 10, is_urgent=True)) == [Commit((1,), ())]
    assert large.handle(ParcelReceived(1, MAX_COMMIT_BYTES)) == [Commit((1,), ())]


def test_a_full_disk_keeps_parcels_in_order_and_acknowledges_none() -> None:
    core = make_core(group_commit_s=0.0)

    assert core.handle(ParcelReceived(1, 10)) == [Commit((1,), ())]
    assert core.handle(ParcelReceived(2, 10)) == []
    assert core.handle(CommitFailed((1,))) == [CommitAfter(0.5)]
    assert core.handle(ParcelReceived(3, 10, is_urgent=True)) == []
    assert core.handle(CommitTimerFired()) == [Commit((1, 2, 3), ())]
    assert core.handle(CommitFailed((1, 2, 3))) == [CommitAfter(1.0)]


def test_records_of_an_earlier_run_are_sent_first() -> None:
    core = make_core()
    old = (Record(7, 100, 5), Record(8, 100, 5))

    assert core.handle(Started(("opcua hall-1",))) == [
        ReadOldest(1_000_000, 1000),
        ConnectSource("opcua hall-1", 0.0),
    ]
    assert core.handle(OldestRead(old)) == [Send((7, 8), 1_000_000)]
    assert core.handle(StoreAnswered((7, 8), Stored())) == [
        Forget((7, 8)),
        ReadOldest(1_000_000, 1000),
    ]
    assert core.handle(OldestRead(())) == []


def in_flight(*sequences: int) -> AgentCore:
    core = make_core()
    core.handle(Started(()))
    core.handle(OldestRead(tuple(Record(sequence, 5000, 10) for sequence in sequences)))
    return core


def test_a_record_in_flight_is_protected_from_being_dropped_for_room() -> None:
    core = in_flight(4, 5)

    assert core.handle(ParcelReceived(1, 10, is_urgent=True)) == [Commit((1,), (4, 5))]


def test_a_store_that_asks_for_time_gets_it() -> None:
    core = in_flight(1)

    assert core.handle(StoreAnswered((1,), Unavailable("503", retry_after_s=7.0))) == [
        RetryUplinkAfter(7.0)
    ]
    assert core.handle(UplinkTimerFired()) == [ReadOldest(1_000_000, 1000)]


def test_a_wrong_token_is_tried_slowly() -> None:
    assert in_flight(1).handle(StoreAnswered((1,), NotAllowed("401"))) == [RetryUplinkAfter(60.0)]


def test_a_refused_record_is_found_by_halving_and_only_it_is_set_aside() -> None:
    core = in_flight(1, 2, 3, 4)
    aside: list[int] = []
    waiting, sent = [1, 2, 3, 4], 0
    steps: list[Instruction] = core.handle(StoreAnswered((1, 2, 3, 4), Refused("line 3")))
    while steps:
        step = steps.pop(0)
        match step:
            case ReadOldest(_, max_records):
                records = tuple(Record(n, 100, 1) for n in waiting[:max_records])
                steps += core.handle(OldestRead(records))
            case Send(sequences):
                sent += 1
                answer: Answer = Refused("line 3") if 3 in sequences else Stored()
                steps += core.handle(StoreAnswered(sequences, answer))
            case Forget(sequences):
                waiting = [n for n in waiting if n not in sequences]
            case SetAside(sequences, _):
                aside += sequences
                waiting = [n for n in waiting if n not in sequences]

    assert (waiting, aside) == ([], [3])
    assert sent <= 5


def test_a_body_that_is_too_large_is_halved_down_to_a_bound_and_then_set_aside() -> None:
    core, size, tries = in_flight(1), 1_000_000, 0
    while True:
        tries += 1
        steps = core.handle(StoreAnswered((1,), TooLarge(size)))
        if isinstance(steps[0], SetAside):
            break
        (sent,) = core.handle(OldestRead((Record(1, 1_000_000, 10),)))
        assert isinstance(sent, Send)
        assert sent.max_body_bytes < size
        size = sent.max_body_bytes

    assert size == MIN_BODY_BYTES
    assert tries < 15


def test_records_that_cannot_be_deleted_are_not_sent_in_a_tight_loop() -> None:
    core = in_flight(1)
    core.handle(StoreAnswered((1,), Stored()))

    assert core.handle(ForgetFailed(0.0)) == [RetryUplinkAfter(0.25)]
    assert core.handle(OldestRead((Record(1, 100, 1),))) == []
    assert core.handle(UplinkTimerFired()) == [ReadOldest(1_000_000, 1000)]


def test_a_lost_source_is_tried_within_seconds_and_sooner_after_it_delivered() -> None:
    core = make_core()
    core.handle(Started(("a",)))

    delays = []
    for _ in range(8):
        (step,) = core.handle(SourceLost("a", jitter=0.999))
        assert isinstance(step, ConnectSource)
        delays.append(step.delay_s)
    core.handle(SourceHeard("a"))
    (after,) = core.handle(SourceLost("a", jitter=0.999))

    assert all(earlier <= later for earlier, later in pairwise(delays))
    assert max(delays) <= SOURCE_RETRY_MAX_S
    assert isinstance(after, ConnectSource)
    assert after.delay_s < 1.0


def test_a_source_that_was_added_is_connected_and_one_that_was_removed_never_again() -> None:
    core = make_core()
    assert core.handle(SourceAdded("opcua hall-1")) == []
    core.handle(Started(()))

    assert core.handle(SourceAdded("mqtt hall-2")) == [ConnectSource("mqtt hall-2", 0.0)]
    assert core.handle(SourceRemoved("mqtt hall-2")) == []
    assert core.handle(SourceLost("mqtt hall-2")) == []
    assert core.handle(SourceHeard("mqtt hall-2")) == []


def test_stopping_makes_everything_durable_waits_for_the_answer_and_then_ends() -> None:
    core = in_flight(1)
    core.handle(ParcelReceived(9, 10))

    assert core.handle(StopRequested()) == [Commit((9,), (1,))]
    assert core.handle(ParcelsCommitted((9,), (Record(2, 10, 1),))) == [Acknowledge((9,))]
    assert core.handle(SourceLost("a")) == []
    assert core.handle(StoreAnswered((1,), Stored())) == [Forget((1,)), Finish()]


@pytest.mark.parametrize("n_failures", [1, 2, 10, 1000])
def test_a_pause_lies_between_half_of_its_bound_and_its_bound(n_failures: int) -> None:
    low, high = (pause_s(n_failures, 0.5, 60.0, jitter) for jitter in (0.0, 0.999999))

    assert 0.25 <= low < high <= 60.0
    assert high <= 2 * low


# --- a site under any order of events ------------------------------------------------------------


@dataclass
class Site:
    """Disk, store and sources around a core, as plain as can be."""

    core: AgentCore
    disk: dict[int, tuple[int, ...]] = field(default_factory=dict)
    store: set[int] = field(default_factory=set)
    quarantine: set[int] = field(default_factory=set)
    unacknowledged: set[int] = field(default_factory=set)
    acknowledged: set[int] = field(default_factory=set)
    disk_work: deque[Instruction] = field(default_factory=deque)
    sending: tuple[int, ...] | None = None
    commit_timer: float | None = None
    uplink_timer: float | None = None
    timers_set: list[tuple[float, str]] = field(default_factory=list)
    next_sequence: int = 1
    next_ticket: int = 1
    n_sent: int = 0
    is_finished: bool = False

    def handle(self, event: Event) -> None:
        for step in self.core.handle(event):
            match step:
                case Commit() | ReadOldest() | Forget() | SetAside():
                    self.disk_work.append(step)
                case Send(sequences):
                    assert self.sending is None, "sent while another request is under way"
                    assert len(set(sequences)) == len(sequences)
                    assert set(sequences) <= self.disk.keys()
                    self.sending, self.n_sent = sequences, self.n_sent + 1
                case Acknowledge(tickets):
                    assert set(tickets) <= self.unacknowledged
                    self.unacknowledged -= set(tickets)
                    self.acknowledged |= set(tickets)
                case CommitAfter(delay_s):
                    self.commit_timer = delay_s
                    self.timers_set.append((delay_s, "commit"))
                case RetryUplinkAfter(delay_s):
                    self.uplink_timer = delay_s
                    self.timers_set.append((delay_s, "uplink"))
                case Finish():
                    self.is_finished = True
                case ConnectSource():
                    pass

    def receive(self, *, is_urgent: bool = False) -> None:
        ticket, self.next_ticket = self.next_ticket, self.next_ticket + 1
        self.unacknowledged.add(ticket)
        self.handle(ParcelReceived(ticket, 100, is_urgent))

    def work(self, *, is_working: bool = True) -> None:
        """Let the disk do the next thing, or fail at it."""
        match self.disk_work.popleft():
            case Commit(tickets) if is_working:
                sequence, self.next_sequence = self.next_sequence, self.next_sequence + 1
                self.disk[sequence] = tickets
                self.handle(ParcelsCommitted(tickets, (Record(sequence, 100 * len(tickets), 1),)))
            case Commit(tickets):
                self.handle(CommitFailed(tickets))
            case ReadOldest(_, max_records) if is_working:
                # A dict keeps the order of insertion, which is that of the sequence numbers.
                oldest = islice(self.disk, max_records)
                self.handle(
                    OldestRead(tuple(Record(n, 100 * len(self.disk[n]), 1) for n in oldest))
                )
            case ReadOldest():
                self.handle(ReadFailed(0.5))
            case Forget(sequences) if is_working:
                for sequence in sequences:
                    self.disk.pop(sequence, None)
            case SetAside(sequences) if is_working:
                for sequence in sequences:
                    self.quarantine |= set(self.disk.pop(sequence, ()))
            case _:
                self.handle(ForgetFailed(0.5))

    def answer(self, answer: Answer) -> None:
        assert self.sending is not None
        sequences, self.sending = self.sending, None
        if isinstance(answer, Stored | Refused):
            for sequence in sequences:
                self.store |= set(self.disk[sequence])
        self.handle(StoreAnswered(sequences, answer, 0.5))

    def fire_commit_timer(self) -> None:
        self.commit_timer = None
        self.handle(CommitTimerFired())

    def fire_uplink_timer(self) -> None:
        self.uplink_timer = None
        self.handle(UplinkTimerFired())

    @property
    def kept(self) -> set[int]:
        on_disk = {ticket for tickets in self.disk.values() for ticket in tickets}
        return on_disk | self.store | self.quarantine

    def settle(self) -> None:
        """Let everything work from now on, until nothing more is to be done."""
        for _ in range(10_000):
            if self.disk_work:
                self.work()
            elif self.sending is not None:
                self.answer(Stored())
            elif self.commit_timer is not None:
                self.fire_commit_timer()
            elif self.uplink_timer is not None:
                self.fire_uplink_timer()
            else:
                return
        pytest.fail("the agent never comes to rest")


ANSWERS = st.one_of(
    st.just(Stored()),
    st.just(Refused("400")),
    st.sampled_from([200, 5000, 1_000_000]).map(TooLarge),
    st.just(NotAllowed("401")),
    st.floats(0, 100).map(lambda retry_after_s: Unavailable("503", retry_after_s)),
)


@dataclass(frozen=True)
class Chance:
    """One thing that happens: which of those that can, and how it goes."""

    what: int
    is_good: bool
    answer: Answer


CHANCES = st.builds(Chance, what=st.integers(0, 99), is_good=st.booleans(), answer=ANSWERS)


def happen(site: Site, chance: Chance) -> Site:
    """Let one of the things that are possible now happen; a crash is the rarest."""
    if chance.what == 0:
        return restarted(site)
    possible: list[Callable[[], None]] = [lambda: site.receive(is_urgent=not chance.is_good)]
    if site.disk_work:
        possible.append(lambda: site.work(is_working=chance.is_good))
    if site.sending is not None:
        possible.append(lambda: site.answer(chance.answer))
    if site.commit_timer is not None:
        possible.append(site.fire_commit_timer)
    if site.uplink_timer is not None:
        possible.append(site.fire_uplink_timer)
    possible[chance.what % len(possible)]()
    return site


def restarted(old: Site) -> Site:
    """The agent after `kill -9`: the disk has what it had, sources deliver the rest again."""
    site = Site(
        make_core(old.core.intake.group_commit_s),
        disk=old.disk,
        store=old.store,
        quarantine=old.quarantine,
        acknowledged=old.acknowledged,
        next_sequence=old.next_sequence,
        next_ticket=old.next_ticket,
    )
    site.handle(Started(()))
    for _ in old.unacknowledged:
        site.receive()
    return site


@settings(max_examples=400, deadline=None)
@given(chances=st.lists(CHANCES, max_size=80), group_commit_s=st.sampled_from([0.0, 0.1]))
def test_over_any_history_no_batch_is_forgotten_before_the_stores_answer_or_sent_twice_at_once(
    chances: list[Chance], group_commit_s: float
) -> None:
    site = Site(make_core(group_commit_s))
    site.handle(Started(()))

    for chance in chances:
        site = happen(site, chance)
        assert site.acknowledged <= site.kept, "acknowledged and then forgotten"
    site.settle()

    assert site.unacknowledged == set(), "a parcel was never acknowledged"
    assert site.disk == {}, "a record was never sent"
    assert site.acknowledged <= site.store | site.quarantine


@settings(max_examples=100, deadline=None)
@given(chances=st.lists(CHANCES, max_size=40))
def test_after_any_history_a_stop_ends_with_everything_durable(chances: list[Chance]) -> None:
    site = Site(make_core())
    site.handle(Started(()))

    for chance in chances:
        site = happen(site, chance)
    site.receive()
    site.handle(StopRequested())
    site.settle()

    assert site.is_finished
    assert site.unacknowledged == set()


def test_an_outage_of_ten_hours_is_bridged_with_few_tries_and_drained_in_order() -> None:
    site, now_s, order = Site(make_core()), 0.0, []
    outage_end_s, end_s = 36_000.0, 37_000.0
    agenda: list[tuple[float, int, str]] = [(0.0, 0, "parcel")]
    n_planned = 1

    def plan(delay_s: float, what: str) -> None:
        nonlocal n_planned
        heapq.heappush(agenda, (now_s + delay_s, n_planned, what))
        n_planned += 1

    tries_during_outage = 0
    site.handle(Started(()))
    while agenda and now_s < end_s:
        now_s, _, what = heapq.heappop(agenda)
        if what == "parcel" and now_s < end_s - 100:
            site.receive()
            plan(1.0, "parcel")
        elif what == "commit" and site.commit_timer is not None:
            site.fire_commit_timer()
        elif what == "uplink" and site.uplink_timer is not None:
            site.fire_uplink_timer()
        while site.disk_work or site.sending is not None:
            if site.disk_work:
                site.work()
            elif now_s < outage_end_s:
                tries_during_outage += 1
                site.answer(Unavailable("no route to host"))
            else:
                order += [ticket for n in site.sending or () for ticket in site.disk[n]]
                site.answer(Stored())
        for delay_s, name in site.timers_set:
            plan(delay_s, name)
        site.timers_set.clear()

    assert site.disk == {}
    assert site.unacknowledged == set()
    assert order == sorted(order)
    assert len(order) == len(site.store) >= 36_000
    assert 500 <= tries_during_outage <= 1500, "about one a minute, spread by jitter"
