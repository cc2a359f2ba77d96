"""How the cells of an imported file are read, each kind as a type for pydantic.

What a cell may not be is said with its remedy, because a person will read it beside the line
number. Reading is narrower than Python's own: ``1e400``, ``nan``, ``1_000``, ``yes`` or a time
without a zone are more often mistakes than meant.
"""

import json
import math
import re
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from ingest.telemetry.names import is_legal_name

LONGEST_TEXT: Final = 4_000
LARGEST_COUNT: Final = 2**31 - 1
"""PostgreSQL's INTEGER ends here."""
EARLIEST_YEAR: Final = 1900
LATEST_YEAR: Final = 2199

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_WHOLE_NUMBER = re.compile(r"[+-]?\d{1,10}", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LONGEST_QUOTE: Final = 60


def quoted(cell: str) -> str:
    r"""Show a cell within a message: shortened, on one line, harmless to a terminal.

    Parameters
    ----------
    cell : str
        Any text.

    Returns
    -------
    str
        In double quotes.

    Examples
    --------
    >>> print(quoted("press\x1b[2J"))
    "press\u001b[2J"
    """
    short = cell if len(cell) <= _LONGEST_QUOTE else cell[: _LONGEST_QUOTE - 1] + "…"
    # C1 controls also steer terminals, and JSON leaves them as they are.
    return "".join(
        f"\\u{ord(letter):04x}" if "\x7f" <= letter <= "\x9f" else letter
        for letter in json.dumps(short, ensure_ascii=False)
    )


def wrong_cell(why: str, column: str | None = None) -> PydanticCustomError:
    """Make the error a row's validator raises.

    Parameters
    ----------
    why : str
        What is wrong and what to write instead.
    column : str, optional
        Where, for a check of the whole row.

    Returns
    -------
    PydanticCustomError
        Carries the words as they are, whatever braces are in them.
    """
    return PydanticCustomError("cell", "{why}", {"why": why, "column": column})


def _parse_name(cell: str) -> str:
    if not is_legal_name(cell):
        msg = f"{quoted(cell)} is not a key; use letters, digits and _ . - only, at most 64"
        raise wrong_cell(msg)
    return cell


def _parse_text(cell: str) -> str:
    if _CONTROL.search(cell):
        msg = f"{quoted(cell)} holds a control character; write plain text"
        raise wrong_cell(msg)
    if len(cell) > LONGEST_TEXT:
        msg = f"{quoted(cell)} has {len(cell)} characters; write at most {LONGEST_TEXT}"
        raise wrong_cell(msg)
    return cell


def _parse_time(cell: str) -> datetime:
    example = "write it as 2026-01-31T14:00:00Z"
    if not _TIME.fullmatch(cell):
        msg = f"{quoted(cell)} is not a time; {example}"
        raise wrong_cell(msg)
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError:
        msg = f"{quoted(cell)} is not a time; {example}"
        raise wrong_cell(msg) from None
    if moment.tzinfo is None:
        msg = f"{quoted(cell)} has no time zone; end it in Z for UTC, or in +01:00"
        raise wrong_cell(msg)
    if not EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
        msg = f"{quoted(cell)} is not in {EARLIEST_YEAR}-{LATEST_YEAR}; mend the year"
        raise wrong_cell(msg)
    return moment.astimezone(UTC)


def _parse_day(cell: str) -> date:
    if not _DAY.fullmatch(cell):
        msg = f"{quoted(cell)} is not a date; write it as 2026-01-31"
        raise wrong_cell(msg)
    try:
        day = date.fromisoformat(cell)
    except ValueError:
        msg = f"{quoted(cell)} is not a day of the calendar; write it as 2026-01-31"
        raise wrong_cell(msg) from None
    if not EARLIEST_YEAR <= day.year <= LATEST_YEAR:
        msg = f"{quoted(cell)} is not in {EARLIEST_YEAR}-{LATEST_YEAR}; mend the year"
        raise wrong_cell(msg)
    return day


def _parse_number(cell: str) -> float:
    if not _NUMBER.fullmatch(cell):
        hint = "write digits with a decimal point, as 1234.5"
        if _NUMBER.fullmatch(cell.replace(",", ".", 1)):
            hint = f"write the decimal point as a point: {cell.replace(',', '.', 1)}"
        msg = f"{quoted(cell)} is not a number; {hint}"
        raise wrong_cell(msg)
    number = float(cell)
    if not math.isfinite(number):
        msg = f"{quoted(cell)} is too large; write a number below 1e308"
        raise wrong_cell(msg)
    return number


def _parse_count(cell: str) -> int:
    if not _WHOLE_NUMBER.fullmatch(cell):
        msg = f"{quoted(cell)} is not a whole number; write digits only, as 12"
        raise wrong_cell(msg)
    count = int(cell)
    if not 0 <= count <= LARGEST_COUNT:
        msg = f"{quoted(cell)} is not between 0 and {LARGEST_COUNT}; write how many"
        raise wrong_cell(msg)
    return count


def _parse_truth(cell: str) -> bool:
    match cell.lower():
        case "true":
            return True
        case "false":
            return False
        case _:
            msg = f"{quoted(cell)} is neither true nor false; write one of the two"
            raise wrong_cell(msg)


def _parse_currency(cell: str) -> str:
    if not re.fullmatch(r"[A-Z]{3}", cell):
        msg = f"{quoted(cell)} is not a currency; write its ISO 4217 code, as EUR"
        raise wrong_cell(msg)
    return cell


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _parse_time_zone(cell: str) -> str:
    # A slim container may have no time zone database at all; then the shape must do.
    is_zone = cell in _time_zones() if _time_zones() else re.fullmatch(r"[\w+-]+(/[\w+-]+)*", cell)
    if not is_zone:
        msg = f"{quoted(cell)} is not a time zone; write its IANA name, as Europe/Berlin"
        raise wrong_cell(msg)
    return cell


def one_of(*choices: str) -> BeforeValidator:
    """Allow a few words only.

    Parameters
    ----------
    *choices : str
        The words.

    Returns
    -------
    BeforeValidator
        For ``Annotated[str, one_of(...)]``.
    """

    def parse(cell: str) -> str:
        if cell not in choices:
            msg = f"{quoted(cell)} is not one of {', '.join(choices)}; write one of these"
            raise wrong_cell(msg)
        return cell

    return BeforeValidator(parse)


def between(low: float, high: float, remedy: str) -> AfterValidator:
    """Allow numbers of a range only.

    Parameters
    ----------
    low, high : float
        Ends of the range, both allowed.
    remedy : str
        What to write instead, with its unit.

    Returns
    -------
    AfterValidator
        For ``Annotated[Number, between(...)]``.
    """

    def check(number: float | None) -> float | None:
        if number is not None and not low <= number <= high:
            span = f"below {low:g}" if number < low else f"above {high:g}"
            msg = f"{number:g} is {span}; write {remedy}"
            raise wrong_cell(msg)
        return number

    return AfterValidator(check)


def not_before(earlier: str, *, is_same_allowed: bool = True) -> AfterValidator:
    """Allow only moments or days that do not lie before another column of the row.

    Parameters
    ----------
    earlier : str
        The other column, which must stand above this one in the row's class.
    is_same_allowed : bool, optional
        Whether both may be the same.

    Returns
    -------
    AfterValidator
        For ``Annotated[Time, not_before(...)]``.
    """

    def check(later: date | None, info: ValidationInfo) -> date | None:
        start = info.data.get(earlier)
        if later is None or start is None:
            return later
        if later < start or (later == start and not is_same_allowed):
            relation = "before" if later < start else "the same as"
            shown = later.isoformat().replace("+00:00", "Z")
            start_shown = start.isoformat().replace("+00:00", "Z")
            msg = f"{shown} is {relation} {earlier}, {start_shown}; mend one of the two"
            raise wrong_cell(msg)
        return later

    return AfterValidator(check)


@dataclass(frozen=True, slots=True)
class Refers:
    """Marks a column that names a fact of another file by its key."""

    file: str


Name = Annotated[str, BeforeValidator(_parse_name)]
Text = Annotated[str, BeforeValidator(_parse_text)]
OptionalText = Annotated[str | None, BeforeValidator(_parse_text)]
OptionalName = Annotated[str | None, BeforeValidator(_parse_name)]
Time = Annotated[datetime, BeforeValidator(_parse_time)]
OptionalTime = Annotated[datetime | None, BeforeValidator(_parse_time)]
Day = Annotated[date, BeforeValidator(_parse_day)]
OptionalDay = Annotated[date | None, BeforeValidator(_parse_day)]
Truth = Annotated[bool, BeforeValidator(_parse_truth)]
Count = Annotated[int, BeforeValidator(_parse_count)]
Number = Annotated[float, BeforeValidator(_parse_number)]
OptionalNumber = Annotated[float | None, BeforeValidator(_parse_number)]
Money = Annotated[Number, between(0, math.inf, "an amount of 0 or more")]
Hours = Annotated[Number, between(0, math.inf, "hours, 0 or more")]
Latitude = Annotated[Number, between(-90, 90, "degrees from -90 to 90")]
Longitude = Annotated[Number, between(-180, 180, "degrees from -180 to 180")]
Ratio = Annotated[Number, between(0, 1, "a ratio from 0 to 1, as 0.98")]
OptionalRatio = Annotated[OptionalNumber, between(0, 1, "a ratio from 0 to 1, as 0.98")]
Currency = Annotated[str, BeforeValidator(_parse_currency)]
TimeZone = Annotated[str, BeforeValidator(_parse_time_zone)]
