"""Plain lines read together: the same as one by one, whatever stands in a body."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.telemetry import decode_lines, line_protocol
from ingest.telemetry.line_protocol import NS_PER_TICK, Precision
from ingest.telemetry.plain_lines import read_plain_lines
from tests.naive import line_protocol as naive

NOW_NS = 1_700_000_000_000_000_000

HEADS = st.sampled_from([
    "telemetry,site=a,machine=m,signal=s", "telemetry,site=a,machine=m", "cpu,machine=m,site=a",
    "cpu,host=h,site=a,machine=m", "telemetry,signal=s,machine=m,site=a", "m,site=a", "m",
    "m,site=ä,machine=m", r"m,site=a\ b,machine=m", "m,site=a,machine=m,site=b",
    "#m,site=a,machine=m", "m,,site=a", "m,site=a,machine=m,signal=",
])  # fmt: skip
KEYS = st.sampled_from(["value", "quality", "flow", "ö", "k" * 64, "k" * 65, "", "value value"])
NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(-1e6, 1e6).map(lambda number: repr(round(number, 3))),
    st.integers(-(10**20), 10**20).map(str),
    st.integers(-(10**20), 10**20).map(lambda number: f"{number}i"),
    st.integers(-3, 10**20).map(lambda number: f"{number}u"),
    st.integers(-1, 5).map(lambda number: f"{number}i"),
    st.sampled_from([
        "t",
        "F",
        "true",
        "tRue",
        '"text"',
        "1e5",
        "1e999",
        ".5",
        "5.",
        "-.5",
        "+2",
        ".",
    ]),
    st.sampled_from(["", "-", "1.2.3", "0x1", "1_0", "nan", "inf", "١", "3.0", "1i.", "0" * 30]),
)
FIELDS = st.lists(st.tuples(KEYS, NUMBERS), max_size=4).map(
    lambda pairs: ",".join(f"{key}={number}" for key, number in pairs)
)
TIMES = st.one_of(
    st.integers(-(2**64), 2**64).map(lambda ticks: f" {ticks}"),
    st.sampled_from(["", " ", "  7", " 7 ", " 1.5", " -0", " 007", " 7 8", "\t7", " 7\r", " +7"]),
)
LINES = st.one_of(
    st.builds(lambda head, fields, time: f"{head} {fields}{time}", HEADS, FIELDS, TIMES),
    st.text(st.sampled_from('msite=a, ,machine="\\1.5i#\t\r'), max_size=30),
)


@pytest.fixture(autouse=True, scope="module")
def however_few() -> Iterator[None]:
    """Also a few lines are read together here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_protocol, "_FEW_LINES", 0)
        yield


def as_found(body: bytes, precision: Precision) -> object:
    decoded = decode_lines(body, precision=precision, received_at_ns=NOW_NS)
    batch = decoded.batch
    columns = (
        decoded.line_number,
        batch.series_index,
        batch.source_time_ns,
        batch.value,
        batch.quality,
    )
    samples = [
        (number, batch.series[row], time_ns, repr(value), quality)
        for number, row, time_ns, value, quality in zip(
            *(column.tolist() for column in columns), strict=True
        )
    ]
    return samples, [(rejected.line_number, rejected.reason) for rejected in decoded.rejected]


@given(st.lists(LINES, max_size=12), st.sampled_from(["ns", "ms", "h"]), st.booleans())
@settings(max_examples=1500)
def test_lines_read_together_say_what_they_say_one_by_one(
    lines: list[str], precision: Precision, is_ended: bool
) -> None:
    body = "\n".join([*lines, ""] if is_ended else lines).encode()

    assert as_found(body, precision) == naive.decode_one_by_one(
        body, NS_PER_TICK[precision], NOW_NS
    )


def test_blocks_of_a_long_body_are_joined_in_order() -> None:
    lines = [
        f"telemetry,site=a,machine=m{number % 7},signal=s value={number / 8},quality=0i {number}"
        if number % 500
        else f'odd,site=a,machine=m state="on",x={number} {number}'
        for number in range(12_000)
    ]
    body = "\n".join(lines).encode()

    assert as_found(body, "ns") == naive.decode_one_by_one(body, 1, NOW_NS)


def test_ordinary_lines_are_all_taken_together() -> None:
    body = (
        b"telemetry,site=a,machine=m,signal=s value=1.25,quality=0i 7\n"
        b"telemetry,site=a,machine=m,signal=s quality=2i 8\n"
        b"cpu,host=h,site=a,machine=m load_pct=7,starts_count=3i,up_ratio=true 9\n"
    )

    found = read_plain_lines(body, 1, NOW_NS)

    assert found.is_taken.tolist() == [True, True, True]
    assert found.line.tolist() == [0, 1, 2, 2, 2]
    np.testing.assert_array_equal(found.value, [1.25, np.nan, 7.0, 3.0, 1.0])


@pytest.mark.parametrize("body", [b"", b"\n", b"\n\n", b" ", b"=", b",", b" =,\n", b"\\"])
def test_a_body_of_nothing_takes_no_line(body: bytes) -> None:
    found = read_plain_lines(body, 1, NOW_NS)

    assert not found.is_taken.any()
    assert found.line.size == 0
