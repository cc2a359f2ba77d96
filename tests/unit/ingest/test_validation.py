"""Which samples are taken, and what is said about the others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.catalogue import OpenCatalogue
from ingest.telemetry import Quality, Series, TelemetryBatch, decode_lines, encode_lines
from ingest.telemetry.line_protocol import DecodedLines
from ingest.validation import ValidatedLines, ValidationLimits, validate_lines
from tests.strategies import batches, rows_of

NOW_NS = 1_700_000_000_000_000_000
S_NS = 10**9
DAY_NS = 86_400 * S_NS
HEAD = "telemetry,site=mill-7,machine=press-04,signal=vibration_mm_s"


class Known:
    def __init__(self, *machines: str) -> None:
        self.machines = machines

    def is_known(self, machine: str) -> bool:
        return machine in self.machines


def validated(body: str, *machines: str) -> ValidatedLines:
    decoded = decode_lines(body.encode(), received_at_ns=NOW_NS)
    return validate_lines(decoded, Known(*machines), ValidationLimits(), now_ns=NOW_NS)


def test_a_sample_of_a_known_machine_at_a_possible_time_is_taken() -> None:
    found = validated(f"{HEAD} value=2.31 {NOW_NS}", "press-04")

    assert len(found.accepted) == 1
    assert found.set_aside == ()


@pytest.mark.parametrize(
    ("line", "reason", "remedy"),
    [
        (
            f"{HEAD.replace('press-04', 'press-05')} value=1 {NOW_NS}",
            "unknown machine press-05", "add the machine to the registry",
        ),
        (
            f"{HEAD.replace('press-04', 'a/../b')} value=1 {NOW_NS}",
            "machine 'a/../b' is not a legal name", "letters, digits",
        ),
        (
            f"{HEAD.replace('mill-7', 'é')} value=1 {NOW_NS}",
            "site 'é' is not a legal name", "letters, digits",
        ),
        (
            f"pump,site=mill-7,machine=press-04 flow\\ m3_h=1 {NOW_NS}",
            "signal 'flow m3_h' is not a legal name", "letters, digits",
        ),
        (
            f"{HEAD} quality=0i {NOW_NS}",
            "no value, yet quality 0 says it can be trusted", "quality=2i",
        ),
        (
            f"{HEAD} value=1 {NOW_NS + 601 * S_NS}",
            "time is 601 s in the future", "at most 600 s are allowed (max_future_s)",
        ),
        (
            f"{HEAD} value=1 {NOW_NS - 3653 * DAY_NS}",
            "time is 3653 days in the past", "precision",
        ),
        (f"{HEAD} value=1 1700000000", "time is 19676 days in the past", "precision"),
        (f"{HEAD} value=NaN {NOW_NS}", "field value: NaN is no number", "quality=2i"),
    ],
)  # fmt: skip
def test_a_sample_that_can_not_be_true_is_set_aside_with_reason_and_remedy(
    line: str, reason: str, remedy: str
) -> None:
    good = f"{HEAD} value=1 {NOW_NS}"

    found = validated(f"{good}\n{line}\n{good}", "press-04")

    (rejected,) = found.set_aside
    assert reason in rejected.reason
    assert remedy in rejected.remedy
    assert (rejected.line_number, rejected.line) == (2, line)
    assert len(found.accepted) == 2
    assert found.line_number.tolist() == [1, 3]


@pytest.mark.parametrize("distance_ns", [600 * S_NS, -3652 * DAY_NS])
def test_a_time_at_the_limit_is_taken(distance_ns: int) -> None:
    found = validated(f"{HEAD} value=1 {NOW_NS + distance_ns}", "press-04")

    assert len(found.accepted) == 1


@pytest.mark.parametrize("time_ns", [-(2**63), 2**63 - 1])
def test_times_at_the_ends_of_the_scale_are_told_without_overflow(time_ns: int) -> None:
    found = validated(f"{HEAD} value=1 {time_ns}", "press-04")

    assert len(found.accepted) == 0
    assert "time is" in found.set_aside[0].reason


def test_an_infinite_value_from_another_source_is_set_aside() -> None:
    body = b"one\n"
    batch = TelemetryBatch.of([Series("a", "m", "x_count")], [0], [NOW_NS], [np.inf], [0])
    decoded = DecodedLines(batch, (), np.array([1]), body)

    found = validate_lines(decoded, OpenCatalogue(), ValidationLimits(), now_ns=NOW_NS)

    assert found.set_aside[0].reason == "value inf is not finite"
    assert found.set_aside[0].line == "one"


def test_a_line_with_many_signals_of_an_unknown_machine_is_set_aside_once() -> None:
    line = f"pump,site=a,machine=nobody flow_m3_h=1,speed_rpm=2,quality=0i {NOW_NS}"

    found = validated(line, "press-04")

    assert [rejected.reason for rejected in found.set_aside] == ["unknown machine nobody"]


def test_a_line_with_many_signals_loses_only_the_one_at_fault() -> None:
    line = f"pump,site=a,machine=m flow_m3_h=1,sp\\ eed=2 {NOW_NS}"

    found = validated(line, "m")

    assert found.accepted.series == (Series("a", "m", "flow_m3_h"),)
    assert [rejected.reason for rejected in found.set_aside] == [
        "signal 'sp eed' is not a legal name"
    ]


def test_lines_set_aside_stand_in_the_order_of_the_body() -> None:
    lines = ["junk", f"{HEAD} value=1 5", "junk", f"{HEAD.replace('press', 'x')} value=1 {NOW_NS}"]

    found = validated("\n".join(lines), "press-04")

    assert [rejected.line_number for rejected in found.set_aside] == [1, 2, 3, 4]


@given(batches(times_ns=st.integers(NOW_NS - 4000 * DAY_NS, NOW_NS + 1200 * S_NS)))
def test_every_sample_is_either_accepted_or_set_aside(batch: TelemetryBatch) -> None:
    decoded = decode_lines(encode_lines(batch), received_at_ns=0)
    known = Known(*(series.machine for series in batch.series[::2]))

    found = validate_lines(decoded, known, ValidationLimits(), now_ns=NOW_NS)

    assert len(found.accepted) + len(found.set_aside) == len(batch)
    assert rows_of(found.accepted) == [
        row
        for row in rows_of(batch)
        if known.is_known(row[0].machine)
        and NOW_NS - 3652.5 * DAY_NS <= row[1] <= NOW_NS + 600 * S_NS
    ]
    if found.set_aside:
        used = {row[0] for row in rows_of(found.accepted)}
        assert set(found.accepted.series) == used
    assert (found.accepted.quality <= Quality.BAD).all()
