"""One line of any legal line protocol: its grammar, its meaning for us, and what is wrong with it.

The grammar is the one InfluxDB documents, down to its escapes: a backslash hides a following
comma, equals sign or space in names, a quote or backslash in strings, and stands for itself
everywhere else.
"""

import math
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from ingest.telemetry.batch import Quality, Series

BAD_WITHOUT_VALUE: Final = 3
"""Both severity bits set: reserved in OPC UA, to be treated as bad, and here without a value."""

MIN_TIME_NS: Final = -(2**63)
MAX_TIME_NS: Final = 2**63 - 1
"""What an int64 of nanoseconds can hold, the years 1677 to 2262."""

# Above this, not every integer has a float64 of its own.
_EXACT_INTEGER: Final = 2**53

# Possessive (++), because a way back is never of use here: keeping one for each character would
# take 120 times the memory of a long line.
_MEASUREMENT: Final = re.compile(r"(?:[^\\, ]++|\\[, ]?+)++")
_TAG: Final = re.compile(r",((?:[^\\,= ]++|\\[,= ]?+)++)=((?:[^\\,= ]++|\\[,= ]?+)++)")
_FIELD_KEY: Final = re.compile(r"((?:[^\\,= ]++|\\[,= ]?+)++)=")
_FIELD_TEXT: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"')
_FIELD_WORD: Final = re.compile(r"[^, ]+")
_BLANK: Final = re.compile(r"[ \t]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_INTEGER: Final = re.compile(r"([-+]?\d{1,20})([iu])", re.ASCII)
_TIME: Final = re.compile(r"-?\d{1,20}", re.ASCII)
_ESCAPED: Final = re.compile(r"\\([,= ])")
_ESCAPED_IN_TEXT: Final = re.compile(r'\\(["\\])')

_TRUE: Final = frozenset({"t", "T", "true", "True", "TRUE"})
_FALSE: Final = frozenset({"f", "F", "false", "False", "FALSE"})

FieldValue = float | int | bool | str


class Sample(NamedTuple):
    """One sample that a line carried."""

    series: Series
    time_ns: int
    value: float
    quality: int


class Fault(NamedTuple):
    """What is wrong with a line, and how its sender can mend it."""

    reason: str
    remedy: str


class ParsedLine(NamedTuple):
    """The parts of a legal line with escapes undone, whatever they may mean."""

    measurement: str
    tags: dict[str, str]
    fields: dict[str, FieldValue]
    ticks: int | None


class _FaultFound(Exception):  # noqa: N818 - control flow inside this module, never seen outside
    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.fault = Fault(reason, remedy)


def parse_line(
    line: bytes,
    ns_per_tick: int,
    received_at_ns: int,
    retag: Callable[[dict[str, str]], dict[str, str] | Fault] | None = None,
) -> tuple[list[Sample], list[Fault]]:
    """Read one line, neither blank nor a comment.

    Parameters
    ----------
    line : bytes
        The line without its line break.
    ns_per_tick : int
        Length of one unit of its timestamp. [ns]
    received_at_ns : int
        Time given to a line without a timestamp. [ns]
    retag : callable, optional
        Gives the tags ``site``, ``machine`` and perhaps ``signal`` for those that the line has, or
        says why it can't; None takes them as they are.

    Returns
    -------
    samples : list of Sample
        What the line measured, none if the line as a whole is wrong.
    faults : list of Fault
        What could not be taken: one for a wrong line, one for each field that is no number.
    """
    try:
        text = line.decode()
        parsed = _split_line(text)
        if retag is not None:
            tags = retag(parsed.tags)
            if isinstance(tags, Fault):
                return [], [tags]
            parsed = parsed._replace(tags=tags)
        time_ns = _time_ns(parsed.ticks, ns_per_tick, received_at_ns)
        if "signal" in parsed.tags:
            return [_own_sample(parsed, time_ns)], []
        return _wide_samples(parsed, time_ns)
    except UnicodeDecodeError as error:
        return [], [
            Fault(
                f"byte {error.start + 1} is not UTF-8",
                "send text in UTF-8; this often means that bytes were lost or mixed on the way",
            )
        ]
    except _FaultFound as found:
        return [], [found.fault]


def unescaped(name: str) -> str:
    r"""Undo the escapes of a name.

    Parameters
    ----------
    name : str
        Measurement, or key or value of a tag, or key of a field.

    Returns
    -------
    str
        The name that is meant.

    Examples
    --------
    >>> unescaped(r"hall\ 2")
    'hall 2'
    """
    return _ESCAPED.sub(r"\1", name)


def parse_head(text: str) -> tuple[str, str, str | None] | None:
    """Read what stands before the first space of a line.

    Parameters
    ----------
    text : str
        Measurement and tags.

    Returns
    -------
    tuple of (str, str, str or None) or None
        Site, machine, and the signal if one is named; None if something is wrong with the head.

    Examples
    --------
    >>> parse_head("cpu,site=mill-7,machine=press-04,host=x")
    ('mill-7', 'press-04', None)
    """
    match = _MEASUREMENT.match(text)
    if match is None:
        return None
    try:
        tags, position = _split_tags(text, match.end())
    except _FaultFound:
        return None
    if position < len(text) or "site" not in tags or "machine" not in tags:
        return None
    return tags["site"], tags["machine"], tags.get("signal")


def _split_line(text: str) -> ParsedLine:
    text = text.rstrip(" \t")
    match = _MEASUREMENT.match(text)
    if match is None:
        raise _FaultFound(
            "the measurement is missing",
            "begin the line with a measurement, for example telemetry,site=…",
        )
    tags, position = _split_tags(text, match.end())
    blank = _BLANK.match(text, position)
    if blank is None and position < len(text):
        raise _tag_fault(text, position)
    if blank is None or blank.end() == len(text):
        raise _FaultFound(
            "no fields after the measurement and tags",
            "write at least one field after a space, for example value=2.31",
        )
    fields, position = _split_fields(text, blank.end())
    return ParsedLine(unescaped(match.group()), tags, fields, _split_ticks(text, position))


def _split_tags(text: str, position: int) -> tuple[dict[str, str], int]:
    tags: dict[str, str] = {}
    while (match := _TAG.match(text, position)) is not None:
        key = unescaped(match.group(1))
        if key in tags:
            raise _FaultFound(f"tag {key} stands twice", "send each tag once")
        tags[key] = unescaped(match.group(2))
        position = match.end()
    return tags, position


def _tag_fault(text: str, position: int) -> _FaultFound:
    return _FaultFound(
        f"at column {position + 1} the tags go wrong: {_excerpt(text, position)}",
        "write tags as ,key=value without empty keys or values, and put a backslash before "
        "each comma, space or = inside them",
    )


def _split_fields(text: str, position: int) -> tuple[dict[str, FieldValue], int]:
    fields: dict[str, FieldValue] = {}
    while True:
        match = _FIELD_KEY.match(text, position)
        if match is None:
            raise _FaultFound(
                f"at column {position + 1} a field should begin: {_excerpt(text, position)}",
                "write fields as key=value, separated by commas without spaces",
            )
        key = unescaped(match.group(1))
        fields[key], position = _split_value(text, match.end(), key)
        if position == len(text) or text[position] in " \t":
            return fields, position
        if text[position] != ",":
            raise _FaultFound(
                f"field {key}: something follows the closing quote: {_excerpt(text, position)}",
                'end a text field with its quote; inside it write quotes as \\"',
            )
        position += 1


def _split_value(text: str, position: int, key: str) -> tuple[FieldValue, int]:
    if text.startswith('"', position):
        match = _FIELD_TEXT.match(text, position)
        if match is None:
            raise _FaultFound(
                f"field {key}: the quote is not closed on this line",
                "close the quote; line breaks inside text are not taken",
            )
        return _ESCAPED_IN_TEXT.sub(r"\1", match.group()[1:-1]), match.end()
    match = _FIELD_WORD.match(text, position)
    if match is None:
        raise _FaultFound(f"field {key} has no value", "write a number after the equals sign")
    return _number_of(match.group(), key), match.end()


def _number_of(word: str, key: str) -> FieldValue:
    if _FLOAT.fullmatch(word):
        value = float(word)
        if math.isinf(value):
            raise _FaultFound(
                f"field {key}: {word} is larger than a float64 can hold",
                "send only finite numbers; leave the value out and send quality=2i instead",
            )
        return value
    match = _INTEGER.fullmatch(word)
    if match is not None:
        return _integer_of(int(match.group(1)), match.group(2), key)
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    if word.lower().lstrip("+-") in {"nan", "inf", "infinity"}:
        raise _FaultFound(
            f"field {key}: {word} is no number that line protocol knows",
            "leave the value out and send quality=2i for a bad sample",
        )
    raise _FaultFound(
        f"field {key}: {_excerpt(word, 0)} is neither a number, true or false, nor quoted text",
        "write a number such as 2.31, an integer such as 3i, or quote the text",
    )


def _integer_of(number: int, kind: str, key: str) -> int:
    low, high = (-(2**63), 2**63 - 1) if kind == "i" else (0, 2**64 - 1)
    if not low <= number <= high:
        raise _FaultFound(
            f"field {key}: {number}{kind} is outside {low}..{high}",
            "send numbers this large as a float, without the letter at the end",
        )
    return number


def _split_ticks(text: str, position: int) -> int | None:
    word = text[position:].strip(" \t")
    if not word:
        return None
    if _TIME.fullmatch(word) is None:
        raise _FaultFound(
            f"the timestamp is not a whole number: {_excerpt(word, 0)}",
            "write the time as an integer in the request's precision, after the fields",
        )
    return int(word)


def _time_ns(ticks: int | None, ns_per_tick: int, received_at_ns: int) -> int:
    if ticks is None:
        return received_at_ns
    time_ns = ticks * ns_per_tick
    if not MIN_TIME_NS <= time_ns <= MAX_TIME_NS:
        raise _FaultFound(
            f"the timestamp {ticks} lies outside the years 1677 to 2262",
            "check that the precision of the request fits the timestamps",
        )
    return time_ns


def _place(parsed: ParsedLine) -> tuple[str, str]:
    for tag in ("site", "machine"):
        if tag not in parsed.tags:
            raise _FaultFound(
                f"the tag {tag} is missing",
                f"add the tag {tag}=… to every line; Telegraf does so with [global_tags] or "
                "[inputs.….tags]",
            )
    return parsed.tags["site"], parsed.tags["machine"]


def _own_sample(parsed: ParsedLine, time_ns: int) -> Sample:
    site, machine = _place(parsed)
    signal = parsed.tags["signal"]
    for key in parsed.fields:
        if key not in {"value", "quality"}:
            raise _FaultFound(
                f"field {key} is neither value nor quality",
                "with a signal tag send value and quality; leave the signal tag out to send "
                "each field as a signal of its own",
            )
    quality, has_value = _quality_of(parsed)
    value = math.nan
    if "value" in parsed.fields and has_value:
        value = _float_of(parsed.fields["value"], "value")
    return Sample(Series(site, machine, signal), time_ns, value, quality)


def _wide_samples(parsed: ParsedLine, time_ns: int) -> tuple[list[Sample], list[Fault]]:
    site, machine = _place(parsed)
    quality, has_value = _quality_of(parsed)
    samples, faults = [], []
    for key, field in parsed.fields.items():
        if key == "quality":
            continue
        try:
            value = _float_of(field, key) if has_value else math.nan
        except _FaultFound as found:
            faults.append(found.fault)
        else:
            samples.append(Sample(Series(site, machine, key), time_ns, value, quality))
    if not samples and not faults:
        raise _FaultFound(
            "the line names no signal",
            "add the tag signal=…, or send each signal as a field of its own",
        )
    return samples, faults


def _quality_of(parsed: ParsedLine) -> tuple[int, bool]:
    # The second part says whether the values of the line count.
    quality = parsed.fields.get("quality", int(Quality.GOOD))
    if quality == BAD_WITHOUT_VALUE:
        return int(Quality.BAD), False
    if not isinstance(quality, str) and quality in set(Quality):
        return int(quality), True
    raise _FaultFound(
        f"quality {quality} is none of 0i (good), 1i (uncertain), 2i (bad)",
        "send the two severity bits of the OPC UA status code",
    )


def _float_of(field: FieldValue, key: str) -> float:
    if isinstance(field, str):
        raise _FaultFound(
            f"field {key} is text, and a signal is a number",
            "send only numbers here; in Telegraf leave the field out with fieldexclude",
        )
    value = float(field)
    if isinstance(field, int) and abs(field) > _EXACT_INTEGER and int(value) != field:
        raise _FaultFound(
            f"field {key}: {field} can't be kept exactly as a float64",
            "send it rounded, as a float, or count from a later start",
        )
    return value


def _excerpt(text: str, position: int) -> str:
    rest = text[position : position + 24]
    return repr(rest + ("…" if len(text) > position + 24 else "")) if rest else "end of line"
