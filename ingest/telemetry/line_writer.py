"""Writes a batch as InfluxDB line protocol: our own form, byte for byte.

A large batch is one table of bytes: a row for each sample, a fixed place in it for each part of the
line, NUL where a part is shorter than its place. Taking out the NULs gives the lines.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from ingest.errors import LineProtocolError
from ingest.telemetry.batch import Quality, Series, TelemetryBatch
from ingest.telemetry.names import is_legal_name
from ingest.telemetry.number_text import (
    INTEGER_WIDTH,
    decimal_texts,
    integer_texts,
)

Bytes = npt.NDArray[np.uint8]

MEASUREMENT: Final = "telemetry"
"""Measurement that our own lines are written under."""

FEW: Final = 128
"""Up to so many samples one line after the other is faster."""

BLOCK: Final = 2048
"""Samples in one table, which so stays in the processor's cache."""

_QUALITY_TEXT: Final = tuple(f"quality={int(quality)}i " for quality in Quality)
_VALUE: Final[Bytes] = np.frombuffer(b"value=", np.uint8)
_COMMA, _LINE_BREAK = np.uint8(ord(",")), np.uint8(ord("\n"))
_QUALITY_BYTES: Final[Bytes] = (
    np
    .array([text.encode() for text in _QUALITY_TEXT])
    .view(np.uint8)
    .reshape(len(_QUALITY_TEXT), -1)
)


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
    >>> from ingest.telemetry import Series
    >>> batch = TelemetryBatch.of(
    ...     [Series("mill-7", "press-04", "vibration_mm_s")], [0], [1700000000], [2.31], [0]
    ... )
    >>> print(encode_lines(batch).decode(), end="")
    telemetry,site=mill-7,machine=press-04,signal=vibration_mm_s value=2.31,quality=0i 1700000000
    """
    check_writable(batch)
    if len(batch) <= FEW:
        return _few_lines(batch)
    heads = _heads_of(batch.series)
    return b"".join(
        _block_of_lines(batch, slice(begin, begin + BLOCK), heads)
        for begin in range(0, len(batch), BLOCK)
    )


def check_writable(batch: TelemetryBatch) -> None:
    """See that a batch can be written as line protocol.

    Parameters
    ----------
    batch : TelemetryBatch
        The batch.

    Raises
    ------
    LineProtocolError
        If a name that is used is not legal, a value is infinite, or a quality is not a `Quality`.
    """
    fault = _unwritable(batch, _heads_of(batch.series))
    if fault is not None:
        raise LineProtocolError(fault)


def head_of(series: Series) -> str:
    """Write what stands before the fields of a line.

    Parameters
    ----------
    series : Series
        With legal names.

    Returns
    -------
    str
        Measurement, tags and a space.
    """
    return f"{MEASUREMENT},site={series.site},machine={series.machine},signal={series.signal} "


@dataclass(frozen=True, slots=True, eq=False)
class _Heads:
    """Beginnings of lines, and what is wrong with the names in them.

    Parameters
    ----------
    texts : ndarray of uint8, shape (n_series, width)
        Everything before the fields.
    faults : dict of int to str
        What is wrong with a row.
    """

    texts: Bytes
    faults: dict[int, str]


@lru_cache(maxsize=32)
def _heads_of(series: tuple[Series, ...]) -> _Heads:
    faults = {}
    for row, one in enumerate(series):
        for part, name in one._asdict().items():
            if not is_legal_name(name):
                faults[row] = (
                    f"series {row}: {part} {name!r} can't be written; use letters, digits and "
                    f"_ . - , at most 64, beginning with a letter or digit"
                )
                break
    texts = [b"" if row in faults else head_of(one).encode() for row, one in enumerate(series)]
    width = max(map(len, texts), default=0)
    table = np.array(texts, dtype=f"S{max(width, 1)}")
    return _Heads(table.view(np.uint8).reshape(len(texts), max(width, 1)), faults)


def _few_lines(batch: TelemetryBatch) -> bytes:
    columns = zip(
        batch.series_index.tolist(),
        batch.value.tolist(),
        batch.quality.tolist(),
        batch.source_time_ns.tolist(),
        strict=True,
    )
    heads = {row: head_of(batch.series[row]) for row in set(batch.series_index.tolist())}
    lines = [
        f"{heads[row]}value={value!r},{_QUALITY_TEXT[quality]}{time_ns}\n"
        if value == value  # false for nan only, and the cheapest such test
        else f"{heads[row]}{_QUALITY_TEXT[quality]}{time_ns}\n"
        for row, value, quality, time_ns in columns
    ]
    return "".join(lines).encode()


def _block_of_lines(batch: TelemetryBatch, rows: slice, heads: _Heads) -> bytes:
    value, quality = batch.value[rows], batch.quality[rows]
    is_nan = np.isnan(value)
    has_nan = bool(is_nan.any())
    spelled = decimal_texts(np.where(is_nan, 0.0, value) if has_nan else value)
    # Most values are short: columns that no row uses are left out.
    n_value = int(np.flatnonzero(spelled.any(axis=0))[-1]) + 1
    n_head, n_quality = heads.texts.shape[1], _QUALITY_BYTES.shape[1]
    at_value = n_head + len(_VALUE)
    at_quality = at_value + n_value + 1
    at_time = at_quality + n_quality
    table = np.empty((value.size, at_time + INTEGER_WIDTH + 1), np.uint8)
    table[:, :n_head] = np.take(heads.texts, batch.series_index[rows], axis=0)
    table[:, n_head:at_value] = _VALUE
    table[:, at_value : at_quality - 1] = spelled[:, :n_value]
    table[:, at_quality - 1] = _COMMA
    if has_nan:
        table[is_nan, n_head:at_quality] = 0
    table[:, at_quality:at_time] = _QUALITY_BYTES[quality]
    table[:, at_time:-1] = integer_texts(batch.source_time_ns[rows])
    table[:, -1] = _LINE_BREAK
    return table.tobytes().translate(None, b"\0")


def _unwritable(batch: TelemetryBatch, heads: _Heads) -> str | None:
    """Say what in the batch has no place in line protocol, None if all of it has."""
    if heads.faults:
        for row in np.unique(batch.series_index).tolist():
            if row in heads.faults:
                return heads.faults[row]
    is_infinite = np.isinf(batch.value)
    if is_infinite.any():
        row = int(np.flatnonzero(is_infinite)[0])
        return (
            f"sample {row} of {batch.series[int(batch.series_index[row])]}: line protocol has no "
            f"way to write {batch.value[row]}; send nan with bad quality instead"
        )
    if batch.quality.size and int(batch.quality.max()) > Quality.BAD:
        return f"quality {int(batch.quality.max())} is none of 0 (good), 1 (uncertain), 2 (bad)"
    return None
