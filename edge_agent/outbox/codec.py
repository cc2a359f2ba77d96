"""From what is handed in to a record's body, and from there to the lines that are sent."""

import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np

from edge_agent.errors import FrameError
from edge_agent.outbox.frame import Columns, pack, sorted_by_series, unpack
from edge_agent.outbox.records import FULL, Form, Head, crc32_of
from edge_agent.outbox.series import SeriesNumbers
from edge_agent.records import Entry
from ingest.errors import LineProtocolError
from ingest.telemetry import TelemetryBatch, decode_lines, encode_lines, is_legal_name

LINES_COMPRESSION_LEVEL: Final = 1
"""Line protocol shrinks about sixfold at level 1; higher levels cost more than they save."""

LINE_BYTES: Final = 110
"""A line of ours is about this long, for the size of a request before it is made."""


class RecordCodec:
    """Writes and reads the bodies of one file.

    Parameters
    ----------
    numbers : SeriesNumbers
        Its series.
    """

    def __init__(self, numbers: SeriesNumbers) -> None:
        self._numbers = numbers

    def encode(self, sequence: int, entry: Entry, kept_s: int) -> tuple[Head, bytes]:
        """Make a record, inside a transaction.

        Parameters
        ----------
        sequence : int
            Its number.
        entry : Entry
            What it is to hold.
        kept_s : int
            When, on the outbox's own clock. [s]

        Returns
        -------
        head : Head
            Everything but its body.
        body : bytes
            The body.
        """
        lines = entry.lines
        if entry.batches and self._is_beyond_names(entry.batches):
            lines = b"".join(encode_lines(batch) for batch in entry.batches)
        if lines or not entry.batches:
            body = zlib.compress(lines, LINES_COMPRESSION_LEVEL)
            head = Head(
                sequence,
                entry.priority,
                Form.LINES,
                FULL,
                entry.n_samples,
                0,
                len(lines),
                len(body),
                kept_s=kept_s,
            )
            return head, body
        columns = sorted_by_series(self._numbers.columns(entry.batches))
        body = pack(columns)
        has_any = len(columns) > 0
        head = Head(
            sequence,
            entry.priority,
            Form.COLUMNS,
            FULL,
            len(columns),
            int(np.count_nonzero(np.diff(columns.series, prepend=np.uint32(0)))),
            LINE_BYTES * len(columns),
            len(body),
            int(columns.time_ns.min()) if has_any else None,
            int(columns.time_ns.max()) if has_any else None,
            kept_s,
            self._numbers.seal(columns),
        )
        return head, body

    def lines(self, head: Head, body: bytes | None) -> bytes:
        """Read a record as line protocol.

        Parameters
        ----------
        head : Head
            Everything but its body.
        body : bytes or None
            Its body; None if the disk lost it.

        Returns
        -------
        bytes
            One line for each sample.

        Raises
        ------
        FrameError
            If the disk changed anything in it.
        """
        if head.form is Form.LINES:
            return _inflate(_whole(head, body))
        try:
            return encode_lines(self._numbers.batch(self.columns(head, body)))
        except LineProtocolError as error:
            msg = f"record {head.sequence} can't be written as lines: {error}"
            raise FrameError(msg) from error

    def columns(self, head: Head, body: bytes | None) -> Columns:
        """Read a record as columns.

        Parameters
        ----------
        head : Head
            Everything but its body.
        body : bytes or None
            Its body; None if the disk lost it.

        Returns
        -------
        Columns
            Its samples, sorted by series.

        Raises
        ------
        FrameError
            If the disk changed anything in it, or its lines are not all ours.
        """
        whole = _whole(head, body)
        if head.form is Form.LINES:
            return self._columns_of_lines(head, _inflate(whole))
        columns = unpack(whole)
        if len(columns) != head.n_samples or self._numbers.seal(columns) != head.seal:
            msg = f"record {head.sequence}: the names of its series are not what they were"
            raise FrameError(msg)
        return columns

    def _columns_of_lines(self, head: Head, lines: bytes) -> Columns:
        decoded = decode_lines(lines, received_at_ns=0)
        names = {name for series in decoded.batch.series for name in series}
        if (
            decoded.rejected
            or len(decoded.batch) != head.n_samples
            or not all(map(is_legal_name, names))
        ):
            msg = f"record {head.sequence} holds lines that are no samples of ours"
            raise FrameError(msg)
        if self._is_beyond_names([decoded.batch]):
            msg = f"record {head.sequence}: there is no room for the names of its series"
            raise FrameError(msg)
        return sorted_by_series(self._numbers.columns([decoded.batch]))

    def _is_beyond_names(self, batches: Sequence[TelemetryBatch]) -> bool:
        """Whether names are new and the share of names is used up, as by a source gone wild."""
        numbers = self._numbers
        return numbers.n_bytes > numbers.max_bytes and not numbers.knows(batches)


def _whole(head: Head, body: bytes | None) -> bytes:
    if body is None or crc32_of(head, body) != head.crc32:
        msg = f"record {head.sequence}: its CRC does not match"
        raise FrameError(msg)
    return body


def _inflate(body: bytes) -> bytes:
    try:
        return zlib.decompress(body)
    except zlib.error as error:
        msg = f"a record's lines can't be inflated: {error}"
        raise FrameError(msg) from error
