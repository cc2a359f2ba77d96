"""OPC UA values as samples, and notifications that are missing."""

import datetime
import math
from typing import cast

import pytest
from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.sources.opcua_sequences import Sequences
from edge_agent.sources.opcua_values import decode_notifications
from ingest.telemetry import Quality, Series

SERIES = (Series("mill-7", "press-04", "vibration_mm_s"), Series("mill-7", "press-04", "speed_rpm"))
AT = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.UTC)
AT_NS = 1767323045678901000


def item(
    value: object,
    status: int = ua.StatusCodes.Good,
    at: datetime.datetime | None = AT,
    handle: int = 1,
    server_at: datetime.datetime | None = None,
) -> ua.MonitoredItemNotification:
    data = ua.DataValue(
        ua.Variant(value),
        ua.StatusCode(ua.UInt32(status)),
        SourceTimestamp=cast("ua.DateTime | None", at),
        ServerTimestamp=cast("ua.DateTime | None", server_at),
    )
    return ua.MonitoredItemNotification(ClientHandle=handle, Value=data)


def decode_one(
    one: ua.MonitoredItemNotification, received_at_ns: int = 5
) -> tuple[float, int, int]:
    batch = decode_notifications([one], {1: 0, 2: 1}, SERIES, received_at_ns).batch
    return float(batch.value[0]), int(batch.quality[0]), int(batch.source_time_ns[0])


def test_values_keep_their_order_series_and_exact_source_time() -> None:
    later = AT + datetime.timedelta(microseconds=1)

    decoded = decode_notifications(
        [item(1.5), item(900, handle=2), item(1.5, at=later)], {1: 0, 2: 1}, SERIES, 0
    )

    assert decoded.batch.series == SERIES
    assert decoded.batch.series_index.tolist() == [0, 1, 0]
    assert decoded.batch.value.tolist() == [1.5, 900.0, 1.5]
    assert decoded.batch.source_time_ns.tolist() == [AT_NS, AT_NS, AT_NS + 1000]
    assert decoded.batch.quality.tolist() == [0, 0, 0]


@given(microseconds=st.integers(1, 9_000_000_000_000_000))
def test_a_time_is_exact_over_its_whole_range(microseconds: int) -> None:
    at = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(
        microseconds=microseconds
    )

    assert decode_one(item(1.0, at=at))[2] == microseconds * 1000


@pytest.mark.parametrize(
    ("status", "quality"),
    [
        (ua.StatusCodes.Good, Quality.GOOD),
        (ua.StatusCodes.GoodClamped, Quality.GOOD),
        (ua.StatusCodes.UncertainLastUsableValue, Quality.UNCERTAIN),
        (ua.StatusCodes.BadSensorFailure, Quality.BAD),
        (0xC0000000, Quality.BAD),
    ],
)
def test_quality_is_the_severity_of_the_status(status: int, quality: Quality) -> None:
    assert decode_one(item(2.5, status))[:2] == (2.5, quality)


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("status", [ua.StatusCodes.Good, ua.StatusCodes.BadNoCommunication])
def test_what_is_no_number_is_bad_and_without_value(value: float | None, status: int) -> None:
    got, quality, _ = decode_one(item(value, status))

    assert math.isnan(got)
    assert quality == Quality.BAD


def test_booleans_and_large_integers_become_numbers() -> None:
    assert decode_one(item(True))[0] == 1.0
    assert decode_one(item(2**63))[0] == 2.0**63


def test_text_and_arrays_are_left_out_and_named() -> None:
    decoded = decode_notifications(
        [item("running"), item([1.0, 2.0], handle=2), item(3.0)], {1: 0, 2: 1}, SERIES, 0
    )

    assert decoded.batch.value.tolist() == [3.0]
    assert decoded.unusable == {1: "String", 2: "Double array"}


@pytest.mark.parametrize(
    "useless",
    [
        None,
        datetime.datetime(1601, 1, 1, tzinfo=datetime.UTC),
        datetime.datetime(9999, 12, 31, tzinfo=datetime.UTC),
    ],
)
def test_without_source_time_the_servers_is_taken_then_ours(
    useless: datetime.datetime | None,
) -> None:
    assert decode_one(item(1.0, at=useless, server_at=AT))[2] == AT_NS
    assert decode_one(item(1.0, at=useless), received_at_ns=42)[2] == 42
    assert (
        decode_notifications([item(1.0, at=useless)], {1: 0}, SERIES, 1).n_without_source_time == 1
    )


def test_a_full_queue_at_the_server_is_counted() -> None:
    overflow = 0x00000480

    assert decode_notifications([item(1.0, overflow)], {1: 0}, SERIES, 0).n_overflows == 1


def test_the_full_status_of_what_is_not_good_is_counted_by_kind() -> None:
    statuses = [
        ua.StatusCodes.Good,
        ua.StatusCodes.BadSensorFailure,
        ua.StatusCodes.BadSensorFailure | 0x0480,
        ua.StatusCodes.UncertainInitialValue,
    ]

    decoded = decode_notifications([item(1.0, one) for one in statuses], {1: 0}, SERIES, 0)

    assert decoded.n_by_status == {
        ua.StatusCodes.BadSensorFailure: 2,
        ua.StatusCodes.UncertainInitialValue: 1,
    }


def test_the_servers_time_is_taken_when_asked_for() -> None:
    later = AT + datetime.timedelta(seconds=1)

    decoded = decode_notifications(
        [item(1.0, at=AT, server_at=later)], {1: 0}, SERIES, 0, is_server_time=True
    )

    assert decoded.batch.source_time_ns.tolist() == [AT_NS + 10**9]


def test_a_value_of_a_node_we_do_not_know_is_passed_over() -> None:
    assert len(decode_notifications([item(1.0, handle=99)], {1: 0}, SERIES, 0).batch) == 0


# --- which notifications are missing -------------------------------------------------------------


def test_nothing_is_missing_while_numbers_follow_each_other() -> None:
    sequences = Sequences()

    for number in range(1, 50):
        assert sequences.missing(number - 1, available=[number]) == []
        sequences.note(number)


def test_a_gap_and_what_the_server_still_holds_are_asked_for_once() -> None:
    sequences = Sequences()
    for number in (1, 2, 3):
        sequences.note(number)

    missing = sequences.missing(6, available=[2, 4, 5, 6, 7])
    for number in missing:
        sequences.note(number)

    assert missing == [4, 5, 6]
    assert sequences.missing(6, available=[2, 4, 5, 6, 7]) == []


@given(lost=st.sets(st.integers(1, 200)))
def test_every_lost_notification_is_asked_for_exactly_once(lost: set[int]) -> None:
    sequences, asked = Sequences(), []

    for number in range(1, 202):
        if number not in lost:
            missing = sequences.missing(number - 1, available=sorted(lost))
            for one in missing:
                sequences.note(one)
            asked += missing
            sequences.note(number)

    assert asked == sorted(lost)


def test_memory_stays_bounded_over_years() -> None:
    sequences = Sequences()

    for number in range(1, 100_000):
        sequences.note(number)

    assert len(sequences.seen) <= 20_000
    assert sequences.missing(99_999, available=[99_999]) == []
