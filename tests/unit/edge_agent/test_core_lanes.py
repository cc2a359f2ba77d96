"""The rules of the uplink: alarms first, one request for each lane, pauses, sizes."""

import pytest

from edge_agent.core import AgentCore
from edge_agent.core_lanes import ALARM_RETRY_MAX_S, MIN_BODY_BYTES, MIN_REQUEST_BYTES
from edge_agent.messages import (
    Answer,
    Commit,
    Forget,
    ForgetFailed,
    NotAllowed,
    ParcelReceived,
    ParcelsCommitted,
    Piece,
    ReadRecords,
    Record,
    RecordsRead,
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
from edge_agent.records import Lane, Priority
from tests.unit.edge_agent.core_site import Kept, Site, make_core


def started(*sequences: int) -> AgentCore:
    """An agent that found these records in its outbox, and sends them in the backlog lane."""
    core = make_core()
    core.handle(Started(()))
    core.handle(RecordsRead("alarm", ()))
    core.handle(RecordsRead("backlog", tuple(Record(n, 5000, 10, n_lines=10) for n in sequences)))
    return core


def disk_of(*priorities: Priority) -> dict[int, Kept]:
    """Records of one line each that an earlier run has left."""
    return {n: Kept(priority, ((n, 0),)) for n, priority in enumerate(priorities, start=1)}


def answer(core: AgentCore, said: Answer, *sequences: int, jitter: float = 0.0) -> list[object]:
    pieces = tuple(Piece(n) for n in sequences)
    return list(core.handle(StoreAnswered("backlog", pieces, said, jitter)))


def test_records_of_an_earlier_run_are_sent_in_both_lanes() -> None:
    core = make_core()

    assert core.handle(Started(())) == [
        ReadRecords("alarm", 100_000, 100),
        ReadRecords("backlog", 1_000_000, 1000),
    ]
    assert core.handle(RecordsRead("alarm", (Record(9, 50, 1), Record(7, 50, 1)))) == [
        Send("alarm", (Piece(9), Piece(7)), 100_000)
    ]
    assert core.handle(RecordsRead("backlog", tuple(Record(n, 50, 1) for n in (6, 7, 8, 9)))) == [
        Send("backlog", (Piece(6), Piece(8)), 1_000_000)
    ]
    assert core.handle(StoreAnswered("alarm", (Piece(9), Piece(7)), Stored())) == [
        Forget("alarm", (9, 7)),
        ReadRecords("alarm", 100_100, 102),
    ]


def test_the_other_lanes_records_do_not_hide_those_behind_them() -> None:
    site = Site(make_core(), disk=disk_of(*("alarm",) * 2000, *("raw",) * 5))
    site.handle(Started(()))

    site.settle(hanging=frozenset({"alarm"}))

    on_disk = {kept.priority for kept in site.disk.values()}
    assert on_disk == {"alarm"}
    assert len(site.disk) > 50
    assert len(site.disk) == len(site.sending["alarm"].pieces)


def test_a_commit_that_waits_for_a_reading_is_not_overtaken_by_the_next_reading() -> None:
    core = started(1)
    core.handle(ParcelsCommitted((), (Record(2, 50, 1, "alarm"),)))
    assert core.handle(ParcelReceived(1, 10, is_urgent=True)) == []

    after_answer = answer(core, Stored(), 1)
    after_reading = core.handle(RecordsRead("alarm", ()))

    assert after_answer == [Forget("backlog", (1,))]
    assert after_reading[:2] == [Commit((1,), ()), ReadRecords("backlog", 1_000_000, 1000)]


def test_a_record_in_flight_is_protected_from_being_dropped_for_room() -> None:
    core = started(4, 5)

    assert core.handle(ParcelReceived(1, 10, is_urgent=True)) == [Commit((1,), (4, 5))]


def test_alarms_are_stored_while_a_request_of_the_backlog_hangs() -> None:
    site = Site(make_core())
    site.handle(Started(()))
    site.receive(n_lines=8, is_urgent=True)
    while site.disk_work:
        site.work()
    assert "backlog" in site.sending

    ticket = site.receive(priority="alarm", is_urgent=True)
    site.settle(hanging=frozenset({"backlog"}))

    assert set(site.lines_of(ticket)) <= site.store
    assert "backlog" in site.sending


def test_the_newest_alarm_goes_first_and_the_backlog_in_its_order() -> None:
    site = Site(make_core(), disk=disk_of(*("alarm", "raw") * 500))
    site.handle(Started(()))
    first: dict[Lane, list[int]] = {"alarm": [], "backlog": []}
    while site.disk_work or site.sending:
        if site.disk_work:
            site.work()
            continue
        for lane in list(site.sending):
            first[lane] += [piece.sequence for piece in site.sending[lane].pieces]
            site.answer(lane, Stored())

    assert first["alarm"] == sorted(first["alarm"], reverse=True)
    assert first["backlog"] == sorted(first["backlog"])
    assert first["alarm"][0] == 999
    assert site.disk == {}


def test_a_store_that_asks_for_time_gets_it_from_both_lanes() -> None:
    core = started(1)

    assert answer(core, Unavailable("503", retry_after_s=7.0), 1) == [
        RetryUplinkAfter("backlog", 7.0),
        RetryUplinkAfter("alarm", 7.0),
    ]
    assert core.handle(UplinkTimerFired("backlog")) == [ReadRecords("backlog", 1_000_000, 1000)]


def test_agents_that_were_told_the_same_time_do_not_come_back_at_the_same_moment() -> None:
    (step, _) = answer(started(1), Unavailable("503", retry_after_s=60.0), 1, jitter=0.5)

    assert isinstance(step, RetryUplinkAfter)
    assert step.delay_s == pytest.approx(63.0)


def test_a_wrong_token_is_tried_slowly_in_both_lanes() -> None:
    assert answer(started(1), NotAllowed("401"), 1) == [
        RetryUplinkAfter("backlog", 60.0),
        RetryUplinkAfter("alarm", 60.0),
    ]


def test_an_alarm_is_tried_at_least_every_five_seconds_and_its_success_wakes_the_backlog() -> None:
    site = Site(make_core())
    site.handle(Started(()))
    site.receive(is_urgent=True)
    site.receive(priority="alarm", is_urgent=True)
    for _ in range(12):
        while site.disk_work:
            site.work()
        for lane in list(site.sending):
            site.answer(lane, Unavailable("no route to host"))
        for lane, delay_s in list(site.uplink_timers.items()):
            assert lane != "alarm" or delay_s <= ALARM_RETRY_MAX_S
            if lane == "alarm" or delay_s < 30:
                site.fire_uplink_timer(lane)
    assert site.uplink_timers["backlog"] >= 30

    while site.disk_work:
        site.work()
    site.answer("alarm", Stored())
    while site.disk_work:
        site.work()

    assert "backlog" in site.sending, "it sleeps on although the store is known to be well"


def test_a_lane_that_fails_alone_is_not_hurried_by_the_other() -> None:
    site = Site(make_core())
    site.handle(Started(()))
    site.receive(is_urgent=True)
    while site.disk_work:
        site.work()
    site.answer("backlog", Unavailable("reset"))

    site.receive(priority="alarm", is_urgent=True)
    while site.disk_work or "alarm" in site.sending:
        if site.disk_work:
            site.work()
        else:
            site.answer("alarm", Stored())

    assert "backlog" not in site.sending
    assert "backlog" in site.uplink_timers


def test_requests_get_smaller_while_none_gets_through_and_grow_again() -> None:
    core, sizes = started(1), []
    for _ in range(12):
        answer(core, Unavailable("reset"), 1)
        (read,) = core.handle(UplinkTimerFired("backlog"))
        assert isinstance(read, ReadRecords)
        sizes.append(read.max_bytes)
        core.handle(RecordsRead("backlog", (Record(1, 5000, 10, n_lines=10),)))
    steps = answer(core, Stored(), 1)

    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == MIN_REQUEST_BYTES
    assert steps[-1] == ReadRecords("backlog", 2 * MIN_REQUEST_BYTES, 1000)


def test_a_body_that_is_too_large_is_halved_down_to_a_bound_and_then_only_what_is_minded() -> None:
    site = Site(make_core())
    site.handle(Started(()))
    good, huge = site.receive(), site.receive()
    site.fire_commit_timer()
    n_sent = 0
    while site.disk_work or site.sending:
        if site.disk_work:
            site.work()
            continue
        n_sent += 1
        body_bytes = site.sending["backlog"].max_body_bytes
        is_huge = (huge, 0) in site.sent_lines("backlog")
        site.answer("backlog", TooLarge(body_bytes) if is_huge else Stored())

    assert site.store == set(site.lines_of(good))
    assert site.quarantine == set(site.lines_of(huge))
    assert site.core.uplink.max_body_bytes == MIN_BODY_BYTES
    assert n_sent < 20


def test_records_that_cannot_be_deleted_are_not_sent_in_a_tight_loop() -> None:
    core = started(1)
    answer(core, Stored(), 1)

    assert core.handle(ForgetFailed("backlog", 0.0)) == [RetryUplinkAfter("backlog", 0.25)]
    assert core.handle(RecordsRead("backlog", (Record(1, 100, 1),))) == []
    assert core.handle(UplinkTimerFired("backlog")) == [ReadRecords("backlog", 1_000_000, 1000)]


def test_what_was_read_before_it_was_forgotten_is_not_sent_again() -> None:
    site = Site(make_core())
    site.receive(priority="alarm", is_urgent=True)
    site.work()
    site.handle(Started(()))
    site.work()
    assert [piece.sequence for piece in site.sending["alarm"].pieces] == [1]

    site.answer("alarm", Stored())
    site.work()

    assert "backlog" not in site.sending


def test_each_record_of_a_settled_answer_goes_its_own_way() -> None:
    core = started(1, 2, 3, 4)
    said = Settled((1, 3), ((2, "can't be read"),), Unavailable("no answer in time"))

    assert answer(core, said, 1, 2, 3, 4) == [
        Forget("backlog", (1, 3)),
        SetAside("backlog", (2,), "can't be read"),
        RetryUplinkAfter("backlog", 0.25),
    ]
    assert core.uplink.held == ()


def test_a_search_keeps_what_it_found_over_an_outage() -> None:
    site = Site(make_core(), bad=lambda line: line == (1, 37))
    site.handle(Started(()))
    site.receive(n_lines=64, is_urgent=True)
    steps: list[object] = []
    for turn in range(200):
        if site.disk_work:
            steps += site.disk_work
            site.work()
        elif site.sending:
            is_out = turn % 3 == 0
            site.answer("backlog", Unavailable("reset") if is_out else site.judge("backlog"))
        elif site.uplink_timers:
            site.fire_uplink_timer("backlog")

    assert site.quarantine == {(1, 37)}
    assert site.store == set(site.lines_of(1)) - {(1, 37)}
    assert site.n_sent < 40
    assert any(isinstance(step, TakeApart) for step in steps)
