"""Line protocol without quotes and other rarities, a whole body at once.

Nearly every line that machines send is plain: a head of measurement and tags, one space, numbers in
fields, one space, a whole number for the time. Here all of them are cut apart together and become
columns; each different head is read once. A line is taken only where nothing about it is in doubt:
whatever else it may be, legal or not, is left to `ingest.telemetry.lines`, which says what a line
means and what is wrong with it. Both give the same for every line that is taken here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ingest.telemetry.batch import Quality, Series
from ingest.telemetry.decimals import WIDTH, read_integers
from ingest.telemetry.field_numbers import read_numbers
from ingest.telemetry.lines import BAD_WITHOUT_VALUE, MAX_TIME_NS, parse_head, unescaped
from ingest.telemetry.spans import MAX_SPAN_BYTES, number_spans

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
BytesArray = npt.NDArray[np.uint8]

HEADS_KEPT: Final = 16_384
"""Heads whose meaning is remembered from one body to the next; about 10 MB of the longest."""

_MAX_KEY_BYTES: Final = 64
_MAX_TABLE: Final = 1_000_000
_MAX_KEYS_AS_BITS: Final = 62

_SPACE: Final = ord(" ")
_NEWLINE: Final = ord("\n")
_COMMA: Final = ord(",")
_EQUALS: Final = ord("=")

_OWN_KEYS: Final = frozenset({"value", "quality"})


@dataclass(frozen=True, slots=True, eq=False)
class PlainSamples:
    """What the plain lines of a body measured.

    Parameters
    ----------
    line : ndarray of int64, shape (n_samples,)
        Line of each sample, from 0, never decreasing.
    series : tuple of Series
        The series table.
    series_index : ndarray of int64, shape (n_samples,)
        Row of `series` of each sample.
    time_ns : ndarray of int64, shape (n_samples,)
        Its time. [ns since 1970-01-01 UTC]
    value : ndarray of float64, shape (n_samples,)
        Its value, ``nan`` where a line carries none.
    quality : ndarray of uint8, shape (n_samples,)
        Its quality.
    is_taken : ndarray of bool, shape (n_lines,)
        Which lines these are; the others have to be read one by one.
    """

    line: IntArray
    series: tuple[Series, ...]
    series_index: IntArray
    time_ns: IntArray
    value: npt.NDArray[np.float64]
    quality: npt.NDArray[np.uint8]
    is_taken: BoolArray

    @classmethod
    def none_of(cls, n_lines: int) -> "PlainSamples":
        """Take no line at all.

        Parameters
        ----------
        n_lines : int
            Lines of the body.

        Returns
        -------
        PlainSamples
            Without samples.
        """
        nothing = np.empty(0, np.int64)
        return cls(
            nothing,
            (),
            nothing,
            nothing,
            np.empty(0),
            np.empty(0, np.uint8),
            np.zeros(n_lines, np.bool_),
        )


class _Lines(NamedTuple):
    """Lines that may be plain; positions are bytes, marks are rows of the table of marks."""

    number: IntArray
    start: IntArray
    head_end: IntArray
    first_mark: IntArray
    n_fields: IntArray
    time_start: IntArray
    end: IntArray


class _Fields(NamedTuple):
    """Fields of lines that may be plain, each with the row of its line."""

    line: IntArray
    key_start: IntArray
    value_start: IntArray
    end: IntArray


def read_plain_lines(body: bytes, ns_per_tick: int, received_at_ns: int) -> PlainSamples:
    r"""Read what is plain in a body of line protocol.

    Parameters
    ----------
    body : bytes
        Lines separated by line breaks.
    ns_per_tick : int
        Length of one unit of their timestamps. [ns]
    received_at_ns : int
        Time given to a line without a timestamp. [ns since 1970-01-01 UTC]

    Returns
    -------
    PlainSamples
        Samples of all plain lines, in the order of the body.

    Examples
    --------
    >>> found = read_plain_lines(b"m,site=a,machine=b flow_m3_h=2.5 7\nodd\n", 1, 0)
    >>> found.value.tolist(), found.is_taken.tolist()
    ([2.5], [True, False])
    """
    ending = b"" if body.endswith(b"\n") or not body else b"\n"
    padded = b"".join((bytes(WIDTH), body, ending, bytes(MAX_SPAN_BYTES)))
    buffer = np.frombuffer(padded, np.uint8)
    lines, marks, n_lines = _cut_lines(
        buffer, len(body) + len(ending), has_escapes=b"\\" in body, has_quotes=b'"' in body
    )
    head, heads, is_good = _heads(buffer, padded, lines)
    lines, head = _Lines(*(column[is_good] for column in lines)), head[is_good]
    time_ns, is_good = _times(buffer, lines, ns_per_tick, received_at_ns)
    fields, is_cut = _cut_fields(buffer, lines, marks)
    is_good &= is_cut
    key, keys, value, is_read = _fields(buffer, padded, fields)
    is_good[fields.line[~is_read]] = False
    return _samples(lines, time_ns, head, heads, fields.line, key, keys, value, is_good, n_lines)


# --- cutting -------------------------------------------------------------------------------------


def _cut_lines(
    buffer: BytesArray, n_bytes: int, *, has_escapes: bool, has_quotes: bool
) -> tuple[_Lines, IntArray, int]:
    """Find the lines with one or two spaces and, after the first, a chain of fields."""
    text = buffer[WIDTH : WIDTH + n_bytes]
    is_mark = text <= _SPACE
    is_mark |= text == _COMMA
    is_mark |= text == _EQUALS
    if has_quotes:
        is_mark |= text == ord('"')
    if has_escapes:
        # In names a backslash hides the mark after it; anywhere else nothing will fit, and the
        # line is read by itself.
        is_mark[1:] &= (text[:-1] != ord("\\")) | (text[1:] == _NEWLINE)
    marks = np.flatnonzero(is_mark)
    kind = text[marks]
    marks += WIDTH
    newline = np.flatnonzero(kind == _NEWLINE)
    n_lines = newline.size
    line_of_mark = np.repeat(np.arange(n_lines), np.diff(newline, prepend=-1))
    space = np.flatnonzero(kind == _SPACE)
    n_spaces = np.bincount(line_of_mark[space], minlength=n_lines)
    is_odd = (kind != _SPACE) & (kind != _NEWLINE) & (kind != _COMMA) & (kind != _EQUALS)
    is_plain = (n_spaces == 1) | (n_spaces == 2)
    is_plain[line_of_mark[is_odd]] = False
    number = np.flatnonzero(is_plain)
    first_space = space[(np.cumsum(n_spaces) - n_spaces)[number]]
    last = newline[number]
    has_time = n_spaces[number] == 2
    fields_end = np.where(has_time, last - 1, last)
    start = marks[newline[number - 1]] + 1
    start[number == 0] = WIDTH
    end = marks[last]
    lines = _Lines(
        number,
        start,
        head_end=marks[first_space],
        first_mark=first_space + 1,
        n_fields=(fields_end - first_space) // 2,
        time_start=np.where(has_time, marks[fields_end] + 1, end),
        end=end,
    )
    head_bytes = lines.head_end - start
    is_fit = (head_bytes > 0) & (head_bytes <= MAX_SPAN_BYTES) & (buffer[start] != ord("#"))
    # After the head come "=", a comma and "=" for each further field, then the time or the end.
    is_fit &= ((fields_end - first_space) % 2 == 0) & (lines.n_fields > 0)
    is_fit &= ~has_time | (kind[fields_end] == _SPACE)
    return _Lines(*(column[is_fit] for column in lines)), marks, n_lines


def _cut_fields(buffer: BytesArray, lines: _Lines, marks: IntArray) -> tuple[_Fields, BoolArray]:
    """Cut the fields of lines apart; false for a line whose marks are no chain of fields."""
    line = np.repeat(np.arange(lines.n_fields.size), lines.n_fields)
    first = np.cumsum(lines.n_fields) - lines.n_fields
    equals = (lines.first_mark - 2 * first)[line] + 2 * np.arange(line.size)
    key_start = marks[equals - 1] + 1
    value_start = marks[equals] + 1
    end = marks[equals + 1]
    is_field = (buffer[value_start - 1] == _EQUALS) & (value_start - 1 - key_start > 0)
    is_field &= value_start - 1 - key_start <= _MAX_KEY_BYTES
    is_last = np.zeros(line.size, np.bool_)
    is_last[first + lines.n_fields - 1] = True
    is_field &= is_last | (buffer[end] == _COMMA)
    is_cut = np.ones(lines.n_fields.size, np.bool_)
    is_cut[line[~is_field]] = False
    kept = is_cut[line]
    fields = _Fields(line[kept], key_start[kept], value_start[kept], end[kept])
    return fields, is_cut


# --- reading -------------------------------------------------------------------------------------


class _Heads(NamedTuple):
    """Meaning of each different head; signal is None where each field is a signal of its own."""

    places: list[tuple[str, str, str | None]]
    is_own: BoolArray


def _heads(buffer: BytesArray, padded: bytes, lines: _Lines) -> tuple[IntArray, _Heads, BoolArray]:
    number, first = number_spans(buffer, lines.start, lines.head_end - lines.start)
    texts = [
        padded[start:end]
        for start, end in zip(
            lines.start[first].tolist(), lines.head_end[first].tolist(), strict=True
        )
    ]
    read = [_place_of(text) for text in texts]
    places = [place or ("", "", None) for place in read]
    is_known = np.array([place is not None for place in read], np.bool_)
    is_own = np.array([signal is not None for _, _, signal in places], np.bool_)
    return number, _Heads(places, is_own), is_known[number]


@lru_cache(maxsize=HEADS_KEPT)
def _place_of(head: bytes) -> tuple[str, str, str | None] | None:
    """Site, machine and signal that a head names; None if something is wrong with it."""
    try:
        return parse_head(head.decode())
    except UnicodeDecodeError:
        return None


def _times(
    buffer: BytesArray, lines: _Lines, ns_per_tick: int, received_at_ns: int
) -> tuple[IntArray, BoolArray]:
    has_time = lines.time_start < lines.end
    ticks, is_read = read_integers(buffer, lines.time_start, lines.end)
    limit = MAX_TIME_NS // ns_per_tick
    is_read &= (ticks <= limit) & (ticks >= -limit)
    time_ns = np.where(is_read, ticks, 0) * ns_per_tick
    # A second space right before the line's end is no timestamp but no fault either.
    return np.where(has_time, time_ns, received_at_ns), is_read | ~has_time


def _fields(
    buffer: BytesArray, padded: bytes, fields: _Fields
) -> tuple[IntArray, list[str | None], npt.NDArray[np.float64], BoolArray]:
    """Read keys and numbers of fields; false for a field that is not certain."""
    key, first = number_spans(buffer, fields.key_start, fields.value_start - 1 - fields.key_start)
    keys = [
        _text(padded[start : end - 1])
        for start, end in zip(
            fields.key_start[first].tolist(), fields.value_start[first].tolist(), strict=True
        )
    ]
    is_read = np.array([text is not None for text in keys], np.bool_)[key]
    value = np.empty(fields.line.size)
    last = buffer[fields.end - 1]
    is_integer = (last == ord("i")) | (last == ord("u"))
    is_digit = (fields.end - fields.value_start == 2) & is_integer
    is_digit &= buffer[fields.value_start] - np.uint8(ord("0")) <= 9
    value[is_digit] = buffer[fields.value_start[is_digit]] - np.uint8(ord("0"))
    for rows, is_whole in (
        (np.flatnonzero(~is_integer), False), (np.flatnonzero(is_integer & ~is_digit), True)
    ):  # fmt: skip
        value[rows], is_sure = read_numbers(
            buffer, padded, fields.value_start[rows], fields.end[rows], is_whole=is_whole
        )
        is_read[rows] &= is_sure
    return key, keys, value, is_read


def _text(raw: bytes) -> str | None:
    try:
        return unescaped(raw.decode())
    except UnicodeDecodeError:
        return None


# --- meaning -------------------------------------------------------------------------------------


def _samples(
    lines: _Lines,
    time_ns: IntArray,
    head: IntArray,
    heads: _Heads,
    line: IntArray,
    key: IntArray,
    keys: Sequence[str | None],
    value: npt.NDArray[np.float64],
    is_good: BoolArray,
    n_lines: int,
) -> PlainSamples:
    """Make samples of the fields of the lines that are good to the end."""
    is_quality = np.array([text == "quality" for text in keys], np.bool_)[key]
    is_foreign = np.array([text not in _OWN_KEYS for text in keys], np.bool_)[key]
    is_own = heads.is_own[head]
    n_quality = np.bincount(line[is_quality], minlength=is_good.size)
    n_other = lines.n_fields - n_quality
    is_good &= n_quality <= 1
    foreign = line[is_foreign]
    is_good[foreign[is_own[foreign]]] = False
    is_good &= np.where(is_own, n_other <= 1, n_other >= 1)
    # In a line of our own form the counts above say it already.
    if line.size and not is_own.all():
        is_good &= ~_has_repeats(lines, line, key, len(keys))

    said = np.zeros(is_good.size)
    said[line[is_quality]] = value[is_quality]
    is_good &= (said >= 0) & (said <= BAD_WITHOUT_VALUE) & (said == np.floor(said))
    has_value = said < BAD_WITHOUT_VALUE
    quality = np.where(has_value, said, Quality.BAD)

    # A line of our own form is one sample, also without a value; others are one for each field.
    taken = np.flatnonzero(~is_quality & is_good[line])
    bare = np.flatnonzero(is_good & is_own & (n_other == 0))
    row = np.concatenate([line[taken], bare])
    measured = np.concatenate([value[taken], np.full(bare.size, np.nan)])
    n_keys = max(len(keys), 1)
    code = head[row] * (n_keys + 1)
    code[: taken.size] += np.where(is_own[line[taken]], n_keys, key[taken])
    code[taken.size :] += n_keys
    if bare.size:
        order = np.argsort(row, kind="stable")
        row, measured, code = row[order], measured[order], code[order]
    series, series_index = _series(code, heads, keys, n_keys)
    is_taken = np.zeros(n_lines, np.bool_)
    is_taken[lines.number[is_good]] = True
    return PlainSamples(
        lines.number[row],
        series,
        series_index,
        time_ns[row],
        np.where(has_value[row], measured, np.nan),
        quality[row].astype(np.uint8),
        is_taken,
    )


def _has_repeats(lines: _Lines, line: IntArray, key: IntArray, n_keys: int) -> BoolArray:
    """Whether a key stands twice in a line."""
    if n_keys <= _MAX_KEYS_AS_BITS:
        bit = np.left_shift(1, key)
        first = np.flatnonzero(np.diff(line, prepend=-1))
        has_repeats = np.zeros(lines.number.size, np.bool_)
        has_repeats[line[first]] = np.add.reduceat(bit, first) != np.bitwise_or.reduceat(bit, first)
        return has_repeats
    code = np.sort(line * n_keys + key)
    repeated = code[1:][code[1:] == code[:-1]]
    return np.bincount(repeated // n_keys, minlength=lines.number.size) > 0


def _series(
    code: IntArray, heads: _Heads, keys: Sequence[str | None], n_keys: int
) -> tuple[tuple[Series, ...], IntArray]:
    """Series of each pair of head and key, numbered by first appearance."""
    pairs, index = _numbered(code, len(heads.places) * (n_keys + 1))
    row_of: dict[Series, int] = {}
    row_of_pair = []
    for pair in pairs.tolist():
        site, machine, signal = heads.places[pair // (n_keys + 1)]
        series = Series(site, machine, signal or keys[pair % (n_keys + 1)] or "")
        row_of_pair.append(row_of.setdefault(series, len(row_of)))
    return tuple(row_of), np.array(row_of_pair, np.int64)[index]


def _numbered(code: IntArray, n_codes: int) -> tuple[IntArray, IntArray]:
    """Different codes in the order of first appearance, and which of them each is."""
    if n_codes > _MAX_TABLE:
        found, first, index = np.unique(code, return_index=True, return_inverse=True)
        order = np.argsort(first)
        place = np.empty(order.size, np.int64)
        place[order] = np.arange(order.size)
        return found[order], place[index]
    first_of = np.empty(n_codes, np.int64)
    first_of[code[::-1]] = np.arange(code.size)[::-1]
    first = np.flatnonzero(first_of[code] == np.arange(code.size))
    place = np.empty(n_codes, np.int64)
    place[code[first]] = np.arange(first.size)
    return code[first], place[code]
