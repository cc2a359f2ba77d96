"""The rules of the agent under any order of events, without clock or disk."""

import heapq
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.core import SOURCE_RETRY_MAX_S
from edge_agent.core_intake import MAX_COMMIT_BYTES
from edge_agent.messages import (
    Acknowledge,
    Commit,
    CommitAfter,
    CommitFailed,
    CommitTimerFired,
    ConnectSource,
    Finish,
    Forget,
    ParcelReceived,
    ParcelsCommitted,
    Piece,
    Record,
    RecordsRead,
    SourceHeard,
    SourceLost,
    Started,
    StopRequested,
    StoreAnswered,
    Stored,
    Unavailable,
)
from edge_agent.pauses import pause_s
from tests.unit.edge_agent.core_site import (
    ANSWERS,
    UNCERTAIN_ANSWERS,
    Chance,
    Line,
    Site,
    chances,
    happen,
    make_core,
)


def test_parcels_gather_until_the_timer_and_are_acknowledged_only_when_durable() -> None:
    core = make_core()

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


def test_a_commit_waits_for_a_reading_to_end_because_what_is_read_is_not_protected_yet() -> None:
    core = make_core()
    core.handle(Started(()))

    assert core.handle(ParcelReceived(1, 10, is_urgent=True)) == []
    assert core.handle(RecordsRead("alarm", ())) == []
    steps = core.handle(RecordsRead("backlog", (Record(4, 10, 1), Record(5, 10, 1))))

    assert Commit((1,), (4, 5)) in steps


def test_a_disk_that_fails_is_not_tried_sooner_because_a_reading_ended() -> None:
    core = make_core()
    core.handle(ParcelReceived(1, 10, is_urgent=True))
    core.handle(CommitFailed((1,)))
    core.handle(Started(()))

    steps = core.handle(RecordsRead("alarm", ())) + core.handle(RecordsRead("backlog", ()))

    assert not any(isinstance(step, Commit) for step in steps)
    assert core.handle(CommitTimerFired()) == [Commit((1,), ())]


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


def test_stopping_makes_everything_durable_waits_for_the_answer_and_then_ends() -> None:
    core = make_core()
    core.handle(Started(()))
    core.handle(RecordsRead("alarm", ()))
    core.handle(RecordsRead("backlog", (Record(1, 5000, 10),)))
    core.handle(ParcelReceived(9, 10))

    assert core.handle(StopRequested()) == [Commit((9,), (1,))]
    assert core.handle(ParcelsCommitted((9,), (Record(2, 10, 1),))) == [Acknowledge((9,))]
    assert core.handle(SourceLost("a")) == []
    assert core.handle(StoreAnswered("backlog", (Piece(1),), Stored())) == [
        Forget("backlog", (1,)),
        Finish(),
    ]


@pytest.mark.parametrize("n_failures", [1, 2, 10, 1000])
def test_a_pause_lies_between_half_of_its_bound_and_its_bound(n_failures: int) -> None:
    low, high = (pause_s(n_failures, 0.5, 60.0, jitter) for jitter in (0.0, 0.999999))

    assert 0.25 <= low < high <= 60.0
    assert high <= 2 * low


# --- a site under any order of events ------------------------------------------------------------


@settings(max_examples=400)
@given(history=st.lists(chances(ANSWERS), max_size=80), group_commit_s=st.sampled_from([0.0, 0.1]))
def test_over_any_history_no_line_is_forgotten_before_the_stores_answer_or_sent_twice_at_once(
    history: list[Chance], group_commit_s: float
) -> None:
    site = Site(make_core(group_commit_s))
    site.handle(Started(()))

    for chance in history:
        site = happen(site, chance)
        acknowledged = {line for ticket in site.acknowledged for line in site.lines_of(ticket)}
        assert acknowledged <= site.kept, "acknowledged and then forgotten"
        held = {piece.sequence for step in site.sending.values() for piece in step.pieces}
        assert held <= set(site.core.uplink.held), "may be dropped for room while it is sent"
    site.settle()

    assert site.unacknowledged == set(), "a parcel was never acknowledged"
    assert site.disk == {}, "a record was never sent"


@settings(max_examples=400)
@given(
    history=st.lists(chances(st.one_of(st.none(), UNCERTAIN_ANSWERS)), max_size=80),
    bad_one_in=st.sampled_from([1, 2, 5, 20]),
)
def test_whatever_a_store_says_of_single_lines_exactly_the_bad_ones_are_set_aside(
    history: list[Chance], bad_one_in: int
) -> None:
    def is_bad(line: Line) -> bool:
        return hash(line) % bad_one_in == 0

    site = Site(make_core(), bad=is_bad)
    site.handle(Started(()))

    for chance in history:
        site = happen(site, chance)
    site.settle()

    sent = {line for ticket in site.parcels for line in site.lines_of(ticket)}
    assert site.quarantine == {line for line in sent if is_bad(line)}
    assert site.store == sent - site.quarantine


@settings(max_examples=100)
@given(history=st.lists(chances(ANSWERS), max_size=40))
def test_after_any_history_a_stop_ends_with_everything_durable(history: list[Chance]) -> None:
    site = Site(make_core())
    site.handle(Started(()))

    for chance in history:
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
        elif what == "backlog" and "backlog" in site.uplink_timers:
            site.fire_uplink_timer("backlog")
        while site.disk_work or site.sending:
            if site.disk_work:
                site.work()
            elif now_s < outage_end_s:
                tries_during_outage += 1
                site.answer("backlog", Unavailable("no route to host"))
            else:
                order += [ticket for ticket, _ in site.sent_lines("backlog")]
                site.answer("backlog", Stored())
        for delay_s, name in site.timers_set:
            plan(delay_s, name)
        site.timers_set.clear()

    assert site.disk == {}
    assert site.unacknowledged == set()
    assert order == sorted(order)
    assert len(order) == len(site.store) >= 36_000
    assert 500 <= tries_during_outage <= 1500, "about one a minute, spread by jitter"
