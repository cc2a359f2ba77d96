"""What a reader process says is taken whole or refused, and its counts are added once."""

import asyncio
import contextlib
import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.counters import Counters
from edge_agent.reader.counts import ReaderCounts
from edge_agent.reader.frames import (
    MAX_FRAME_BYTES,
    FrameError,
    Kind,
    Submission,
    frame,
    read_durable,
    read_frame,
    read_json,
    read_series,
    read_submission,
    submit_frame,
)
from edge_agent.reader.intake import RemoteIntake
from edge_agent.records import PRIORITIES, Misfit
from ingest.telemetry import Series, TelemetryBatch
from tests.strategies import batches, rows_of

HEAD_BYTES = 8


def read_all(data: bytes) -> list[tuple[Kind, bytes]]:
    async def read() -> list[tuple[Kind, bytes]]:
        stream = asyncio.StreamReader()
        stream.feed_data(data)
        stream.feed_eof()
        frames = []
        while (said := await read_frame(stream)) is not None:
            frames.append(said)
        return frames

    return asyncio.run(read())


def misfits() -> st.SearchStrategy[Misfit]:
    return st.builds(Misfit, st.text(max_size=9), st.text(max_size=9), st.binary(max_size=9))


@given(
    batch=batches(),
    misfits=st.lists(misfits(), max_size=3),
    ticket=st.integers(0, 2**64 - 1),
    is_urgent=st.booleans(),
    priority=st.sampled_from(PRIORITIES),
)
def test_a_submission_arrives_as_it_was_made(
    batch: TelemetryBatch, misfits: list[Misfit], ticket: int, is_urgent: bool, priority: str
) -> None:
    sent = Submission(ticket, batch, tuple(misfits), is_urgent, priority)  # type: ignore[arg-type]  # of the sampled

    ((kind, body),) = read_all(submit_frame(sent))
    got = read_submission(body, batch.series)

    assert kind is Kind.SUBMIT
    assert (got.ticket, got.is_urgent, got.priority) == (ticket, is_urgent, priority)
    assert rows_of(got.batch or TelemetryBatch.empty()) == rows_of(batch)
    assert [misfit.body for misfit in got.misfits] == [misfit.body for misfit in misfits]


@settings(max_examples=1500, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 10**6),
)
def test_a_broken_submission_is_read_or_refused(changes: list[tuple[int, int]], cut: int) -> None:
    series = tuple(Series("mill-7", f"press-{n}", "speed_rpm") for n in range(3))
    batch = TelemetryBatch.of(series, [0, 2, 1], [1, 2, 3], [1.0, np.nan, 2.5], [0, 2, 1])
    misfit = Misfit("opcua hall-1", "why", b"what")
    body = bytearray(submit_frame(Submission(1, batch, (misfit,), False, "raw"))[HEAD_BYTES:])
    for place, byte in changes:
        body[place % len(body)] = byte
    with contextlib.suppress(FrameError):
        got = read_submission(bytes(body[: cut % (len(body) + 1) or None]), batch.series)

        assert got.batch is None or int(got.batch.series_index.max()) < len(batch.series)


def test_a_row_outside_the_series_table_is_refused() -> None:
    series = (Series("mill-7", "press-04", "vibration_mm_s"),)
    batch = TelemetryBatch.of([*series, *series], [1], [1], [1.0], [0])
    ((_, body),) = read_all(submit_frame(Submission(1, batch, (), False, "raw")))

    with pytest.raises(FrameError, match="can't be read"):
        read_submission(body, series)


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<IB3x", MAX_FRAME_BYTES + 1, Kind.BEAT),
        struct.pack("<IB3x", 0, 99),
    ],
)
def test_a_frame_that_can_not_be_is_refused(data: bytes) -> None:
    with pytest.raises(FrameError):
        read_all(data)


def test_a_frame_that_ends_early_is_the_end() -> None:
    whole = frame(Kind.BEAT, b"{}")

    assert read_all(whole + whole[:-1]) == [(Kind.BEAT, b"{}")]
    assert read_all(whole + whole[:3]) == [(Kind.BEAT, b"{}")]


@pytest.mark.parametrize("body", [b"", b"\xff", b"[1]", b"[" * 100_000])
def test_json_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(FrameError):
        read_json(body)


def test_the_future_of_a_submission_is_done_when_the_agent_says_so() -> None:
    class Wire:
        def __init__(self) -> None:
            self.said: list[bytes] = []

        def write(self, data: bytes) -> None:
            self.said.append(data)

    async def submit() -> tuple[list[bool], list[bytes]]:
        series = tuple(Series("mill-7", f"press-{n}", "speed_rpm") for n in range(3))
        wire = Wire()
        intake = RemoteIntake(wire, series)  # type: ignore[arg-type]  # all it needs of a stream
        other_order = TelemetryBatch.of(series[::-1], [0, 2], [1, 2], [1.0, 2.0], [0, 0])
        first, second = intake.submit(other_order), intake.submit(None)
        intake.durable(2)
        states = [first.done(), second.done()]
        intake.durable(1)
        intake.durable(77)
        return [*states, first.done()], wire.said

    states, said = asyncio.run(submit())

    assert states == [False, True, True]
    ((_, body),) = read_all(said[0])
    table = tuple(Series("mill-7", f"press-{n}", "speed_rpm") for n in range(3))
    batch = read_submission(body, table).batch
    assert batch is not None
    assert batch.series_index.tolist() == [2, 0]
    assert read_durable(struct.pack("<Q", 5)) == 5
    assert np.array_equal(batch.value, [1.0, 2.0])


def test_a_series_that_is_new_is_told_before_its_samples() -> None:
    class Wire:
        def __init__(self) -> None:
            self.said = b""

        def write(self, data: bytes) -> None:
            self.said += data

    async def submit() -> bytes:
        wire = Wire()
        a, b, c = (Series("mill-7", f"press-{n}", "speed_rpm") for n in range(3))
        intake = RemoteIntake(wire, (a, b))  # type: ignore[arg-type]  # all it needs of a stream
        for series in ((c, b), (a, b)):
            for number in (1, 2):
                batch = TelemetryBatch.of(series, [0, 1], [number, number], [0.0, 1.0], [0, 0])
                _ = intake.submit(batch)
        return wire.said

    table = tuple(Series("mill-7", f"press-{n}", "speed_rpm") for n in range(2))
    got = []
    for kind, body in read_all(asyncio.run(submit())):
        if kind is Kind.SERIES:
            table += read_series(body, "mill-7")
        else:
            batch = read_submission(body, table).batch
            assert batch is not None
            got.append([batch.series[row].machine for row in batch.series_index])

    assert got == [["press-2", "press-1"]] * 2 + [["press-0", "press-1"]] * 2


@pytest.mark.parametrize(
    "series",
    [
        [["other", "press-1", "speed_rpm"]],
        [["mill-7", "press 1", "speed_rpm"]],
        [["mill-7", "press-1"]],
        [["mill-7", 1, "speed_rpm"]],
        [3],
        7,
    ],
)
def test_series_of_another_site_or_without_legal_names_are_refused(series: object) -> None:
    with pytest.raises(FrameError):
        read_series(json.dumps({"series": series}).encode(), "mill-7")


def test_counts_of_a_process_are_added_once_and_its_levels_go_with_it() -> None:
    counters = Counters(bad_nodes=2, overflows=5)
    counts = ReaderCounts(counters)

    counts.take({"bad_nodes": 3, "overflows": 4, "opcua_status": {"Bad": 2}, "nonsense": 7})
    counts.take({"bad_nodes": 1, "overflows": 6, "opcua_status": {"Bad": 5, "BadTimeout": 1}})
    counts.take({"overflows": "many", "opcua_status": [1], "missed": -4, "faults": True})
    assert (counters.bad_nodes, counters.overflows, counters.missed) == (3, 11, 0)
    assert counters.opcua_status == {"Bad": 5, "BadTimeout": 1}
    counts.forget()

    assert (counters.bad_nodes, counters.overflows) == (2, 11)
