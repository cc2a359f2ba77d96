"""The wire form of a batch, read: InfluxDB line protocol; `line_writer` writes it.

Knows the grammar and what a legal line means for us; whether a machine exists or a time makes
sense is left to `ingest.validation`. Plain lines, ours and most of everybody's, are read together
(`ingest.telemetry.plain_lines`); every other line takes `ingest.telemetry.lines`, which reads any
legal line protocol and says what is wrong with the rest. A line break always ends a line, also
inside quotes, so that an unclosed quote can't swallow its neighbours.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from ingest.telemetry.batch import TelemetryBatch
from ingest.telemetry.lines import Sample, parse_line
from ingest.telemetry.plain_lines import PlainSamples, read_plain_lines

Precision = Literal["ns", "us", "ms", "s", "m", "h"]

NS_PER_TICK: Final[dict[Precision, int]] = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
"""Nanoseconds in one unit of each `precision`."""

_BLOCK_BYTES: Final = 500_000
"""Bodies are read in blocks of about this size, so that what is in work stays in cache. [byte]"""

_FEW_LINES: Final = 24
"""Up to so many lines one after the other are faster, about 20 us each."""

_LONG_LINE_BYTES: Final = 65_536
"""A block with a longer line is read one by one, or its table of marks would be huge. [byte]"""


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
    samples: list[_Block] = []
    rejected: list[RejectedLine] = []
    n_lines = 0
    for block in _blocks(body):
        found, refused, n_more = _read_block(block, NS_PER_TICK[precision], received_at_ns, n_lines)
        samples.append(found)
        rejected.extend(refused)
        n_lines += n_more
    if len(samples) == 1:
        batch, line_number = samples[0]
    else:
        batch = TelemetryBatch.concatenate([block for block, _ in samples])
        numbers = [number for _, number in samples]
        line_number = np.concatenate(numbers) if numbers else np.empty(0, np.int64)
    return DecodedLines(batch, tuple(rejected), line_number, body)


_Block = tuple[TelemetryBatch, npt.NDArray[np.int64]]


def _blocks(body: bytes) -> Iterator[bytes]:
    """Cut a body between lines."""
    start = 0
    while len(body) - start > _BLOCK_BYTES:
        end = body.find(b"\n", start + _BLOCK_BYTES) + 1 or len(body)
        yield body[start:end]
        start = end
    if start < len(body):
        yield body[start:]


def _read_block(
    block: bytes, ns_per_tick: int, received_at_ns: int, n_before: int
) -> tuple[_Block, list[RejectedLine], int]:
    """Read plain lines together and the others one by one, and put them in order again."""
    even = block.replace(b"\r\n", b"\n") if b"\r" in block else block
    n_lines = block.count(b"\n") + (not block.endswith(b"\n"))
    if n_lines <= _FEW_LINES or len(block) > _BLOCK_BYTES + _LONG_LINE_BYTES:
        plain = PlainSamples.none_of(n_lines)
    else:
        plain = read_plain_lines(even, ns_per_tick, received_at_ns)
    batch = TelemetryBatch(
        plain.series,
        plain.series_index.astype(np.uint32),
        plain.time_ns,
        plain.value,
        plain.quality,
    )
    others = np.flatnonzero(~plain.is_taken).tolist()
    if not others:
        return (batch, plain.line + (n_before + 1)), [], plain.is_taken.size
    samples: list[Sample] = []
    numbers: list[int] = []
    rejected: list[RejectedLine] = []
    lines = block.split(b"\n")
    for number in others:
        line = lines[number].removesuffix(b"\r").lstrip(b" \t")
        if not line or line.startswith(b"#"):
            continue
        taken, faults = parse_line(line, ns_per_tick, received_at_ns)
        samples.extend(taken)
        numbers.extend([number] * len(taken))
        rejected.extend(
            RejectedLine(n_before + number + 1, _shown(lines[number]), fault.reason, fault.remedy)
            for fault in faults
        )
    both = TelemetryBatch.concatenate([batch, _batch_of(samples)])
    line_of = np.concatenate([plain.line, np.array(numbers, dtype=np.int64)])
    order = np.argsort(line_of, kind="stable")
    return (both.take(order), line_of[order] + (n_before + 1)), rejected, plain.is_taken.size


def _batch_of(samples: list[Sample]) -> TelemetryBatch:
    row_of = {
        series: row for row, series in enumerate(dict.fromkeys(sample.series for sample in samples))
    }
    return TelemetryBatch.of(
        tuple(row_of),
        [row_of[sample.series] for sample in samples],
        [sample.time_ns for sample in samples],
        [sample.value for sample in samples],
        [sample.quality for sample in samples],
    )


def _shown(raw: bytes) -> str:
    return raw.removesuffix(b"\r").decode("utf-8", "backslashreplace")
