"""Cells: what is read, and what is said about the others."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from api.registry.cells import (
    Count,
    Currency,
    Day,
    Latitude,
    Name,
    Number,
    Ratio,
    Text,
    Time,
    TimeZone,
    Truth,
    quoted,
)


def why(kind: Any, cell: str) -> str:  # noqa: ANN401
    reader = TypeAdapter[object](kind)
    with pytest.raises(ValidationError) as caught:
        reader.validate_python(cell)
    return caught.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    ("kind", "cell", "message"),
    [
        (Time, "2026-13-02", "is not a time; write it as 2026-01-31T14:00:00Z"),
        (Time, "2026-02-30T10:00:00Z", "is not a time"),
        (Time, "1700000000", "is not a time"),
        (Time, "2026-01-31T14:00:00", "has no time zone; end it in Z for UTC"),
        (Time, "0001-01-01T00:00:00+23:00", "is not in 1900-2199; mend the year"),
        (Day, "31.01.2026", "is not a date; write it as 2026-01-31"),
        (Day, "2026-02-30", "is not a day of the calendar"),
        (Day, "2026-01-31T00:00:00Z", "is not a date"),
        (Number, "1,5", "write the decimal point as a point: 1.5"),
        (Number, "1_000", "is not a number; write digits with a decimal point"),
        (Number, "nan", "is not a number"),
        (Number, "1e999", "is too large"),
        (Number, "١٢", "is not a number"),
        (Count, "1.5", "is not a whole number"),
        (Count, "-1", "is not between 0 and 2147483647"),
        (Truth, "yes", "is neither true nor false"),
        (Name, "=1+1", "is not a key; use letters, digits and _ . - only, at most 64"),
        (Name, "a" * 65, "is not a key"),
        (Text, "tail\x00", "holds a control character"),
        (Text, "x" * 4001, "has 4001 characters; write at most 4000"),
        (Currency, "euro", "write its ISO 4217 code, as EUR"),
        (TimeZone, "Berlin", "write its IANA name, as Europe/Berlin"),
        (Latitude, "91", "91 is above 90; write degrees from -90 to 90"),
        (Ratio, "-0.1", "-0.1 is below 0; write a ratio from 0 to 1"),
    ],
)
def test_a_cell_that_cannot_be_read_says_what_to_write(
    kind: object, cell: str, message: str
) -> None:
    assert message in why(kind, cell)


def test_times_of_any_zone_become_utc() -> None:
    read = TypeAdapter(Time).validate_python("2026-01-31T14:00:00.25+05:30")

    assert read == datetime(2026, 1, 31, 8, 30, 0, 250_000, tzinfo=UTC)


@given(moment=st.datetimes(datetime(1900, 1, 2), datetime(2199, 12, 30), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_time_written_in_iso_format_reads_back_the_same(moment: datetime) -> None:
    assert TypeAdapter(Time).validate_python(moment.isoformat()) == moment


@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_python_wrote_reads_back_the_same(number: float) -> None:
    assert TypeAdapter(Number).validate_python(repr(number)) == number


@given(cell=st.text())
def test_no_cell_can_steer_a_terminal_or_break_a_line(cell: str) -> None:
    shown = quoted(cell)

    assert not any(ord(letter) < 32 or 0x7F <= ord(letter) <= 0x9F for letter in shown)
    assert len(cell) < 60 or "…" in shown
