"""The wire form of a batch: InfluxDB line protocol, written and read.

Knows the grammar and what a legal line means for us; whether a machine exists or a time makes
sense is left to `ingest.validation`. Our own lines take the fast way (one regular expression over
the whole body, columns built at once); every other line takes `ingest.telemetry.lines`, which
reads any legal line protocol and says what is wrong with the rest. A line break always ends a
line, also inside quotes, so that an unclosed quote can't swallow its neighbours.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import starmap
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from ingest.errors import LineProtocolError
from ingest.telemetry.batch import Quality, Series, TelemetryBatch
from ingest.telemetry.lines import MAX_TIME_NS, MIN_TIME_NS, Sample, parse_line
from ingest.telemetry.names import NAME_PATTERN, is_legal_name

Precision = Literal["ns", "us", "ms", "s", "m", "h"]

MEASUREMENT: Final = "telemetry"
"""Measurement that our own lines are written under."""

NS_PER_TICK: Final[dict[Precision, int]] = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
"""Nanoseconds in one unit of each `precision`."""

# Exactly what `encode_lines` writes, and no other spelling of it: the series text is the key of
# the series table, so it must be free of escapes. 19 digits reach past int64; checked later.
_OWN_LINE: Final = re.compile(
    (
        rf"^{MEASUREMENT},(site={NAME_PATTERN},machine={NAME_PATTERN},signal={NAME_PATTERN}) "
        r"(?:value=(-?\d+(?:\.\d+)?(?:e[-+]\d+)?),)?quality=([012])i (-?\d{1,19})\r?$"
    ).encode(),
    re.MULTILINE,
)

_QUALITY_TEXT: Final = tuple(f"quality={int(quality)}i " for quality in Quality)


@dataclass(frozen=True, slots=True)
class RejectedLine:
    r"""A line that was not taken, and what to do about it.

    Parameters
    ----------
    line_number : int
        Place in the body, from 1.
    line : str
        The line as it came; bytes that are not UTF-8 are shown as ``\xff``.
    reason : str
        What is wrong with it.
    remedy : str
        How the sender can mend it.
    """

    line_number: int
    line: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True, eq=False)
class DecodedLines:
    """What a body of line protocol said.

    Parameters
    ----------
    batch : TelemetryBatch
        Every sample that could be read, in the order of the body.
    rejected : tuple of RejectedLine
        Every line, or field of a line, that could not, in the order of the body.
    line_number : ndarray of int64, shape (n_samples,)
        Line that each sample of `batch` came from, from 1.
    body : bytes
        The body itself, so that a line can be set aside as it came.
    """

    batch: TelemetryBatch
    rejected: tuple[RejectedLine, ...]
    line_number: npt.NDArray[np.int64]
    body: bytes

    def lines(self, line_numbers: Iterable[int]) -> list[str]:
        """Give lines of the body as they came.

        Parameters
        ----------
        line_numbers : iterable of int
            Places in the body, from 1.

        Returns
        -------
        list of str
            One line each, without its line break.
        """
        texts = self.body.split(b"\n")
        return [_shown(texts[number - 1]) for number in line_numbers]


def encode_lines(batch: TelemetryBatch) -> bytes:
    """Write a batch as line protocol.

    Parameters
    ----------
    batch : TelemetryBatch
        Samples to write; ``nan`` values are left out, so that only the quality is sent.

    Returns
    -------
    bytes
        One line for each sample in the order given, each ended by a line break. Values are
        written with the fewest digits that read back to the same float64.

    Raises
    ------
    LineProtocolError
        If a name that is used is not legal, a value is infinite, or a quality is not a `Quality`.

    Examples
    --------
    >>> batch = TelemetryBatch.of(
    ...     [Series("mill-7", "press-04", "vibration_mm_s")], [0], [1700000000], [2.31], [0]
    ... )
    >>> print(encode_lines(batch).decode(), end="")
    telemetry,site=mill-7,machine=press-04,signal=vibration_mm_s value=2.31,quality=0i 1700000000
    """
    fault = _unwritable(batch)
    if fault is not None:
        raise LineProtocolError(fault)
    heads = [
        f"{MEASUREMENT},site={series.site},machine={series.machine},signal={series.signal} "
        for series in batch.series
    ]
    value_heads = [f"{head}value=" for head in heads]
    columns = zip(
        batch.series_index.tolist(),
        batch.value.tolist(),
        batch.quality.tolist(),
        batch.source_time_ns.tolist(),
        strict=True,
    )
    if np.isnan(batch.value).any():
        lines = [
            f"{value_heads[row]}{value!r},{_QUALITY_TEXT[quality]}{time_ns}\n"
            if value == value  # false for nan only, and the cheapest such test
            else f"{heads[row]}{_QUALITY_TEXT[quality]}{time_ns}\n"
            for row, value, quality, time_ns in columns
        ]
    else:
        lines = [
            f"{value_heads[row]}{value!r},{_QUALITY_TEXT[quality]}{time_ns}\n"
            for row, value, quality, time_ns in columns
        ]
    return "".join(lines).encode()


def _unwritable(batch: TelemetryBatch) -> str | None:
    """Say what in the batch has no place in line protocol, None if all of it has."""
    for row in np.unique(batch.series_index).tolist():
        for part, name in batch.series[row]._asdict().items():
            if not is_legal_name(name):
                return (
                    f"series {row}: {part} {name!r} can't be written; use letters, digits and "
                    f"_ . - , at most 64, beginning with a letter or digit"
                )
    if np.isinf(batch.value).any():
        row = int(np.flatnonzero(np.isinf(batch.value))[0])
        return (
            f"sample {row} of {batch.series[int(batch.series_index[row])]}: line protocol has no "
            f"way to write {batch.value[row]}; send nan with bad quality instead"
        )
    if batch.quality.size and int(batch.quality.max()) > Quality.BAD:
        return f"quality {int(batch.quality.max())} is none of 0 (good), 1 (uncertain), 2 (bad)"
    return None


def decode_lines(body: bytes, *, precision: Precision = "ns", received_at_ns: int) -> DecodedLines:
    r"""Read line protocol: ours, Telegraf's, or any other that is legal.

    Lines with a ``signal`` tag carry one sample in the fields ``value`` and ``quality``. Lines
    without one carry one sample in each numeric field, the field's key being the signal; a
    ``quality`` field then holds for all of them. Both need the tags ``site`` and ``machine``; other
    tags are not looked at. Booleans count as 1 and 0, missing quality as good.

    Parameters
    ----------
    body : bytes
        Lines separated by line breaks (LF or CRLF). Comments (``#``) and blank lines are passed
        over.
    precision : {"ns", "us", "ms", "s", "m", "h"}
        Unit of the timestamps in the body.
    received_at_ns : int
        Time given to lines without a timestamp. [ns since 1970-01-01 UTC]

    Returns
    -------
    DecodedLines
        Samples in the order of the body, and every bad line with its reason. A bad line never
        disturbs another.

    Examples
    --------
    >>> body = b"telemetry,site=a,machine=m,signal=flow_m3_h value=2.5 7\nnonsense\n"
    >>> decoded = decode_lines(body, received_at_ns=0)
    >>> decoded.batch.value.tolist(), decoded.rejected[0].reason
    ([2.5], 'no fields after the measurement and tags')
    """
    found = _OWN_LINE.findall(body)
    n_lines = body.count(b"\n") + (not body.endswith(b"\n") and body != b"")
    if len(found) == n_lines:
        decoded = _columns(found, np.arange(1, n_lines + 1), body, NS_PER_TICK[precision])
        if decoded is not None:
            return decoded
    return _decode_mixed(body, NS_PER_TICK[precision], received_at_ns)


def _columns(
    found: list[tuple[bytes, bytes, bytes, bytes]],
    line_number: npt.NDArray[np.int64],
    body: bytes,
    ns_per_tick: int,
) -> DecodedLines | None:
    """Build columns from lines of our own form; None if a number among them is out of range."""
    if not found:
        return DecodedLines(TelemetryBatch.empty(), (), line_number, body)
    series_texts, value_texts, quality_texts, time_texts = zip(*found, strict=True)
    value = np.array([float(text) if text else np.nan for text in value_texts])
    if np.isinf(value).any():
        return None
    try:
        ticks = np.array([int(text) for text in time_texts], dtype=np.int64)
    except OverflowError:
        return None
    if int(ticks.max()) > MAX_TIME_NS // ns_per_tick or int(ticks.min()) < -(
        MAX_TIME_NS // ns_per_tick
    ):
        return None
    row_of = {text: row for row, text in enumerate(dict.fromkeys(series_texts))}
    batch = TelemetryBatch(
        tuple(starmap(Series, map(_names_in, row_of))),
        np.array([row_of[text] for text in series_texts], dtype=np.uint32),
        ticks * ns_per_tick,
        value,
        np.frombuffer(b"".join(quality_texts), dtype=np.uint8) - np.uint8(ord("0")),
    )
    return DecodedLines(batch, (), line_number, body)


def _names_in(series_text: bytes) -> tuple[str, str, str]:
    site, machine, signal = (part.partition("=")[2] for part in series_text.decode().split(","))
    return site, machine, signal


def _decode_mixed(body: bytes, ns_per_tick: int, received_at_ns: int) -> DecodedLines:
    """Read line by line; our own form still takes its short cut."""
    samples: list[Sample] = []
    numbers: list[int] = []
    rejected: list[RejectedLine] = []
    for number, raw in enumerate(body.split(b"\n"), start=1):
        own = _OWN_LINE.fullmatch(raw)
        sample = None if own is None else _own_sample(own, ns_per_tick)
        if sample is not None:
            samples.append(sample)
            numbers.append(number)
            continue
        line = raw.removesuffix(b"\r").lstrip(b" \t")
        if not line or line.startswith(b"#"):
            continue
        taken, faults = parse_line(line, ns_per_tick, received_at_ns)
        samples.extend(taken)
        numbers.extend([number] * len(taken))
        rejected.extend(
            RejectedLine(number, _shown(raw), fault.reason, fault.remedy) for fault in faults
        )
    row_of = {
        series: row for row, series in enumerate(dict.fromkeys(sample.series for sample in samples))
    }
    batch = TelemetryBatch.of(
        tuple(row_of),
        [row_of[sample.series] for sample in samples],
        [sample.time_ns for sample in samples],
        [sample.value for sample in samples],
        [sample.quality for sample in samples],
    )
    return DecodedLines(batch, tuple(rejected), np.array(numbers, dtype=np.int64), body)


def _own_sample(own: re.Match[bytes], ns_per_tick: int) -> Sample | None:
    """Take a line of our own form; None if a number in it is out of range."""
    series_text, value_text, quality_text, time_text = own.groups()
    value = float(value_text) if value_text else math.nan
    time_ns = int(time_text) * ns_per_tick
    if math.isinf(value) or not MIN_TIME_NS <= time_ns <= MAX_TIME_NS:
        return None
    return Sample(Series(*_names_in(series_text)), time_ns, value, int(quality_text))


def _shown(raw: bytes) -> str:
    return raw.removesuffix(b"\r").decode("utf-8", "backslashreplace")
