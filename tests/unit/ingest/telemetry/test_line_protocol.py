"""Line protocol: our own form both ways, anyone's legal form, and a reason for the rest."""

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from influxdb_client.client.write.point import Point
from influxdb_client.domain.write_precision import WritePrecision

from ingest.errors import LineProtocolError
from ingest.telemetry import Quality, Series, TelemetryBatch, decode_lines, encode_lines
from ingest.telemetry.line_protocol import Precision
from tests.naive import line_protocol as naive
from tests.strategies import INT64_MAX, INT64_MIN, batches, names, rows_of, values

NOW_NS = 1_700_000_000_000_000_000
PRESS = Series("mill-7", "press-04", "vibration_mm_s")
new_point: Any = Point
HEAD = "telemetry,site=mill-7,machine=press-04,signal=vibration_mm_s"


def rows(body: str | bytes, precision: Precision = "ns") -> list[tuple[Series, int, str, int]]:
    decoded = decode_lines(
        body.encode() if isinstance(body, str) else body,
        precision=precision,
        received_at_ns=NOW_NS,
    )
    assert decoded.rejected == ()
    return rows_of(decoded.batch)


def reason(line: str | bytes) -> str:
    body = line.encode() if isinstance(line, str) else line
    decoded = decode_lines(body, received_at_ns=NOW_NS)
    assert len(decoded.batch) == 0
    (rejected,) = decoded.rejected
    assert rejected.line_number == 1
    assert rejected.remedy
    return rejected.reason


# --- our own form --------------------------------------------------------------------------------


@given(batches())
def test_what_is_encoded_decodes_to_the_same_samples_in_the_same_order(
    batch: TelemetryBatch,
) -> None:
    decoded = decode_lines(encode_lines(batch), received_at_ns=0)

    assert decoded.rejected == ()
    assert rows_of(decoded.batch) == rows_of(batch)
    assert decoded.line_number.tolist() == list(range(1, len(batch) + 1))


@given(batches())
def test_the_fast_forms_equal_the_plain_ones(batch: TelemetryBatch) -> None:
    body = encode_lines(batch)
    plain = [(series, t, repr(value), q) for series, t, value, q in naive.decode_lines(body)]

    assert body == naive.encode_lines(batch)
    assert rows_of(decode_lines(body, received_at_ns=0).batch) == plain


@given(batch=batches(), n_repeats=st.integers(8, 300))
def test_a_large_batch_is_written_as_the_plain_form_writes_it(
    batch: TelemetryBatch, n_repeats: int
) -> None:
    many = batch.take(np.tile(np.arange(len(batch)), n_repeats))

    assert encode_lines(many) == naive.encode_lines(batch) * n_repeats


@given(batches(max_samples=8), st.sampled_from([b"", b"# a comment\n", b"\r\n", b" \n"]))
def test_other_lines_in_between_change_nothing(batch: TelemetryBatch, between: bytes) -> None:
    # A line of somebody else's makes the whole body take the general way.
    other = b"cpu,site=a,machine=m load_pct=1 5\n"
    lines = encode_lines(batch).splitlines(keepends=True)

    decoded = decode_lines(other + between.join([b"", *lines, b""]), received_at_ns=0)

    assert decoded.rejected == ()
    assert rows_of(decoded.batch)[1:] == rows_of(batch)


def test_a_body_without_lines_holds_no_samples() -> None:
    assert rows(b"") == []
    assert rows(b"\n\r\n \n# note\n") == []


def test_a_bad_sample_is_sent_without_its_value() -> None:
    batch = TelemetryBatch.of([PRESS], [0], [7], [math.nan], [Quality.BAD])

    assert encode_lines(batch) == f"{HEAD} quality=2i 7\n".encode()


@pytest.mark.parametrize("text", ["0.1", "-0.0", "5e-324", "1.7976931348623157e+308", "1e+16"])
def test_a_float_is_written_with_the_fewest_digits_that_read_back_exactly(text: str) -> None:
    batch = TelemetryBatch.of([PRESS], [0], [7], [float(text)], [0])

    assert encode_lines(batch) == f"{HEAD} value={text},quality=0i 7\n".encode()


@pytest.mark.parametrize("name", ["", "a,b", "a b", "a=b", "a\nb", "ä", "-a", "x" * 65])
def test_a_name_that_could_break_a_line_is_not_written(name: str) -> None:
    batch = TelemetryBatch.of([Series("mill-7", name, "flow_m3_h")], [0], [7], [1.0], [0])

    with pytest.raises(LineProtocolError, match=r"machine .* can't be written"):
        encode_lines(batch)


def test_a_bad_name_that_no_sample_uses_does_no_harm() -> None:
    batch = TelemetryBatch.of([Series("a", "b\nc", "d"), PRESS], [1], [7], [1.0], [0])

    assert encode_lines(batch) == f"{HEAD} value=1.0,quality=0i 7\n".encode()


def test_an_infinite_value_is_not_written() -> None:
    batch = TelemetryBatch.of([PRESS], [0, 0], [7, 8], [1.0, math.inf], [0, 0])

    with pytest.raises(LineProtocolError, match=r"sample 1 .* no way to write inf"):
        encode_lines(batch)


def test_a_quality_that_is_none_is_not_written() -> None:
    batch = TelemetryBatch.of([PRESS], [0], [7], [1.0], [3])

    with pytest.raises(LineProtocolError, match="quality 3"):
        encode_lines(batch)


# --- anyone's form -------------------------------------------------------------------------------


def test_order_of_tags_other_tags_and_line_ends_do_not_matter() -> None:
    line = "telemetry,host=x,signal=vibration_mm_s,machine=press-04,site=mill-7 value=2 7"

    assert rows(line + "\r\n" + line) == [(PRESS, 7, "2.0", 0)] * 2


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2.31", 2.31), ("+2.5", 2.5), ("-.5", -0.5), ("5.", 5.0), ("1E3", 1000.0),
        ("3i", 3.0), ("-3i", -3.0), ("3u", 3.0), ("t", 1.0), ("True", 1.0), ("F", 0.0),
        ("false", 0.0), ("9007199254740992i", 2.0**53), ("18446744073709549568u", 2.0**64 - 2048),
    ],
)  # fmt: skip
def test_every_kind_of_number_is_read(text: str, value: float) -> None:
    assert rows(f"{HEAD} value={text} 7") == [(PRESS, 7, repr(value), 0)]


@pytest.mark.parametrize("fields", ["quality=3i", "value=5,quality=3i"])
def test_the_reserved_fourth_quality_is_bad_and_its_value_does_not_count(fields: str) -> None:
    assert rows(f"{HEAD} {fields} 7") == [(PRESS, 7, "nan", Quality.BAD)]


def test_a_missing_timestamp_becomes_the_time_of_receipt() -> None:
    assert rows(f"{HEAD} value=1") == [(PRESS, NOW_NS, "1.0", 0)]
    assert rows(f"{HEAD} value=1 ") == [(PRESS, NOW_NS, "1.0", 0)]


@pytest.mark.parametrize(
    ("precision", "length_ns"),
    [("ns", 1), ("us", 10**3), ("ms", 10**6), ("s", 10**9), ("m", 60 * 10**9), ("h", 3600 * 10**9)],
)
def test_timestamps_are_read_in_the_precision_of_the_request(
    precision: Precision, length_ns: int
) -> None:
    own = f"{HEAD} value=1.0,quality=0i -2\n"
    other = "cpu,site=mill-7,machine=press-04 vibration_mm_s=1 -2\n"

    expected = (PRESS, -2 * length_ns, "1.0", 0)
    assert rows(own, precision=precision) == [expected]
    assert rows(own + other, precision=precision) == [expected] * 2


def test_a_line_of_telegraf_carries_one_signal_in_each_field() -> None:
    body = "pump,site=a,machine=m,host=h flow_m3_h=1.5,starts_count=7i,quality=1i 9"

    assert rows(body) == [
        (Series("a", "m", "flow_m3_h"), 9, "1.5", 1),
        (Series("a", "m", "starts_count"), 9, "7.0", 1),
    ]


def test_text_in_a_line_of_telegraf_is_set_aside_and_its_numbers_kept() -> None:
    body = rb'pump,site=a,machine=m state="on, \"fast\" = x",flow_m3_h=1.5 9'

    decoded = decode_lines(body, received_at_ns=0)

    assert rows_of(decoded.batch) == [(Series("a", "m", "flow_m3_h"), 9, "1.5", 0)]
    (rejected,) = decoded.rejected
    assert rejected.reason == "field state is text, and a signal is a number"
    assert rejected.line == body.decode()


def test_escapes_in_names_are_undone() -> None:
    body = r"m\ x\,y,site=a\ b,machine=c\,d,k\=e=f\\g sig\=na\,l=1 9"

    assert rows(body) == [(Series("a b", "c,d", "sig=na,l"), 9, "1.0", 0)]


@pytest.mark.filterwarnings("ignore:.*start with '#':SyntaxWarning")
@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\n\r\t\\"), min_size=1),
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\r\t\\"), min_size=1),
             min_size=2, max_size=2),
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters="\n\r\t\\"), min_size=1).filter(
            lambda key: key != "quality"
        ),
        values() | st.integers(-(2**53), 2**53) | st.booleans(),
        min_size=1,
        max_size=4,
    ),
    st.integers(INT64_MIN, INT64_MAX),
)  # fmt: skip
def test_lines_of_the_influxdb_client_are_read_as_it_meant_them(
    measurement: str, place: list[str], fields: dict[str, float], time_ns: int
) -> None:
    point = new_point(measurement).tag("site", place[0]).tag("machine", place[1])
    for key, value in fields.items():
        point.field(key, value)
    line = point.time(time_ns, WritePrecision.NS).to_line_protocol()
    if measurement.startswith("#"):
        # The client writes what its own server takes for a comment.
        assert rows(line) == []
        return

    found = rows(line)

    assert sorted(found) == sorted(
        (Series(place[0], place[1], key), time_ns, repr(float(value)), 0)
        for key, value in fields.items()
    )


@given(names(), names(), names(), values(), st.sampled_from(Quality), st.integers(0, INT64_MAX))
def test_our_form_written_by_the_influxdb_client_is_our_form(
    site: str, machine: str, signal: str, value: float, quality: Quality, time_ns: int
) -> None:
    point = new_point("telemetry").tag("site", site).tag("machine", machine).tag("signal", signal)
    point.field("value", value).field("quality", int(quality)).time(time_ns, WritePrecision.NS)

    assert rows(point.to_line_protocol()) == [
        (Series(site, machine, signal), time_ns, repr(value), int(quality))
    ]


# --- what is wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (",site=a value=1", "the measurement is missing"),
        ("telemetry", "no fields after the measurement and tags"),
        ("telemetry,site=a,machine=m,signal=s ", "no fields after the measurement and tags"),
        ("telemetry,site= value=1", "at column 10 the tags go wrong: ',site= value=1'"),
        ("telemetry,site value=1", "at column 10 the tags go wrong: ',site value=1'"),
        ("telemetry,site=a,site=b value=1", "tag site stands twice"),
        ("telemetry,site=a,machine=m value 1", "at column 28 a field should begin: 'value 1'"),
        (f"{HEAD} value=", "field value has no value"),
        (f"{HEAD} value=,quality=0i", "field value has no value"),
        (f"{HEAD} value=1, 7", "at column 70 a field should begin: ' 7'"),
        (f"{HEAD} value=NaN 7", "field value: NaN is no number that line protocol knows"),
        (f"{HEAD} value=-inf 7", "field value: -inf is no number that line protocol knows"),
        (f"{HEAD} value=1e999 7", "field value: 1e999 is larger than a float64 can hold"),
        (f"{HEAD} value=1e999,quality=0i 7",
         "field value: 1e999 is larger than a float64 can hold"),
        (f"{HEAD} value=1,5 7", "at column 70 a field should begin: '5 7'"),
        (f"{HEAD} value=0x10 7",
         "field value: '0x10' is neither a number, true or false, nor quoted text"),
        (f"{HEAD} value=١ 7",
         "field value: '١' is neither a number, true or false, nor quoted text"),
        (f'{HEAD} value="fast" 7', "field value is text, and a signal is a number"),
        (f'{HEAD} value="fast 7', "field value: the quote is not closed on this line"),
        (f'{HEAD} value="a"b 7', "field value: something follows the closing quote: 'b 7'"),
        (f"{HEAD} value=9223372036854775808i 7",
         "field value: 9223372036854775808i is outside -9223372036854775808..9223372036854775807"),
        (f"{HEAD} value=-1u 7", "field value: -1u is outside 0..18446744073709551615"),
        (f"{HEAD} value=9007199254740993i 7",
         "field value: 9007199254740993 can't be kept exactly as a float64"),
        (f"{HEAD} value=1 soon", "the timestamp is not a whole number: 'soon'"),
        (f"{HEAD} value=1 7 8", "the timestamp is not a whole number: '7 8'"),
        (f"{HEAD} value=1 1.5", "the timestamp is not a whole number: '1.5'"),
        (f"{HEAD} value=1 9223372036854775808",
         "the timestamp 9223372036854775808 lies outside the years 1677 to 2262"),
        (f"{HEAD} value=1.0,quality=0i 9223372036854775808",
         "the timestamp 9223372036854775808 lies outside the years 1677 to 2262"),
        ("telemetry,machine=m,signal=s value=1", "the tag site is missing"),
        ("cpu,site=a load_pct=1", "the tag machine is missing"),
        ("cpu,site=a,machine=m quality=0i", "the line names no signal"),
        (f"{HEAD} value=1,other=2 7", "field other is neither value nor quality"),
        (f"{HEAD} value=1,quality=4i 7",
         "quality 4 is none of 0i (good), 1i (uncertain), 2i (bad)"),
        (f'{HEAD} value=1,quality="ok" 7',
         "quality ok is none of 0i (good), 1i (uncertain), 2i (bad)"),
    ],
)  # fmt: skip
def test_a_wrong_line_is_told_its_reason(line: str, expected: str) -> None:
    assert reason(line) == expected


def test_bytes_that_are_no_text_are_told_their_place_and_shown_as_escapes() -> None:
    body = b"telemetry,site=\xff value=1"

    decoded = decode_lines(body, received_at_ns=0)

    assert decoded.rejected[0].reason == "byte 16 is not UTF-8"
    assert decoded.rejected[0].line == r"telemetry,site=\xff value=1"


@given(
    batches(max_samples=10),
    st.lists(st.tuples(st.integers(0, 10), st.binary(max_size=60)), max_size=4),
)
@settings(max_examples=300)
def test_no_line_whatever_is_in_it_disturbs_its_neighbours(
    batch: TelemetryBatch, poisons: list[tuple[int, bytes]]
) -> None:
    lines = encode_lines(batch).splitlines()
    for place, poison in poisons:
        lines.insert(place, b"\xff" + poison.replace(b"\n", b""))

    decoded = decode_lines(b"\n".join(lines), received_at_ns=0)

    assert rows_of(decoded.batch) == rows_of(batch)
    assert len(decoded.rejected) == len(poisons)
    for rejected in decoded.rejected:
        assert rejected.line in decoded.lines([rejected.line_number])


@given(st.lists(st.text(st.sampled_from('telemetry,site=achin gl "\\12.i#é\x00\r'), max_size=40)))
@settings(max_examples=300)
def test_every_line_is_a_sample_or_a_reason_or_nothing_at_all(lines: list[str]) -> None:
    decoded = decode_lines("\n".join(lines).encode(), received_at_ns=0)

    told = {rejected.line_number for rejected in decoded.rejected}
    told |= set(decoded.line_number.tolist())
    for number, line in enumerate(lines, start=1):
        text = line.removesuffix("\r").lstrip(" \t")
        assert (number in told) == (text != "" and not text.startswith("#"))
    assert len(decoded.line_number) == len(decoded.batch)
    assert np.isfinite(decoded.batch.value[decoded.batch.quality == Quality.GOOD]).all()


@pytest.mark.parametrize("line", [b"{}", b"t,{}", b"t,k={} v=1", b"t {}=1", b't v="{}"', b"t v={}"])
@pytest.mark.parametrize("filling", [b"x", b"\\\\", b"\\,"])
def test_a_very_long_line_takes_no_more_memory_than_a_few_copies(
    line: bytes, filling: bytes
) -> None:
    body = line.replace(b"{}", filling * (1_000_000 // len(filling)))
    tracemalloc.start()

    try:
        decode_lines(body, received_at_ns=0)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak_bytes < 20 * len(body)
