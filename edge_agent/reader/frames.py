"""What the agent and a reader process say to each other over a pair of sockets.

A frame is a length, a kind and a body; every length is checked before anything is built, and
nothing is ever unpickled: a reader that hostile bytes have taken over can say wrong numbers of
series of its own site, and no more. Columns travel as they lie in memory, everything else as JSON.
"""

import asyncio
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np

from edge_agent.errors import EdgeError
from edge_agent.records import PRIORITIES, Misfit, Priority
from ingest.errors import BatchError
from ingest.telemetry import Series, TelemetryBatch, is_legal_name

MAX_FRAME_BYTES: Final = 64_000_000
"""A hundred times the largest notification of a usual server."""

MAX_NEW_SERIES: Final = 100_000
"""Series in one frame; more than any server's nodes in one settings file."""

STREAM_LIMIT_BYTES: Final = 1_000_000
"""So much is read ahead; beyond it the other side waits."""

_HEAD: Final = struct.Struct("<IB3x")
_SUBMIT: Final = struct.Struct("<QIIBB6x")
_MISFIT: Final = struct.Struct("<III")
_TICKET: Final = struct.Struct("<Q")
_SAMPLE_BYTES: Final = 8 + 8 + 4 + 1


class Kind(IntEnum):
    """What a frame says."""

    BEGIN = 1
    """To the reader: what to read, as JSON."""
    SERVE = 2
    """To the reader: connect, and deliver until the connection is lost."""
    STOP = 3
    """To the reader: say goodbye to the server and end."""
    APPLY = 4
    """To the reader: changed settings, as JSON."""
    DURABLE = 5
    """To the reader: a ticket whose samples survive a power cut."""
    BEAT = 6
    """Both ways: still here; from the reader with its counters, as JSON."""
    SUBMIT = 7
    """To the agent: samples and misfits with a ticket."""
    HEARD = 8
    """To the agent: the source delivers."""
    ENDED = 9
    """To the agent: the connection is lost, and why, as JSON."""
    APPLIED = 10
    """To the agent: whether the changed settings could be taken, as JSON."""
    SERIES = 11
    """To the agent: series that are new at the end of the series table, as JSON."""


class FrameError(EdgeError):
    """The other side said something that can't be."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What a reader hands over.

    Parameters
    ----------
    ticket : int
        Its number, for `Kind.DURABLE`.
    batch : TelemetryBatch or None
        Samples.
    misfits : tuple of Misfit
        What could not be read.
    is_urgent : bool
        Whether the source can't go on before these are durable.
    priority : {"raw", "alarm"}
        Of all samples.
    """

    ticket: int
    batch: TelemetryBatch | None
    misfits: tuple[Misfit, ...]
    is_urgent: bool
    priority: Priority


async def read_frame(stream: asyncio.StreamReader) -> tuple[Kind, bytes] | None:
    """Wait for the next frame.

    Parameters
    ----------
    stream : StreamReader
        Where it comes from.

    Returns
    -------
    tuple of (Kind, bytes) or None
        What it says; None if the other side has ended.

    Raises
    ------
    FrameError
        If it is no frame.
    """
    try:
        n_bytes, number = _HEAD.unpack(await stream.readexactly(_HEAD.size))
        if n_bytes > MAX_FRAME_BYTES:
            msg = f"a frame of {n_bytes} bytes; {MAX_FRAME_BYTES} is the most"
            raise FrameError(msg)
        body = await stream.readexactly(n_bytes)
    except (asyncio.IncompleteReadError, OSError):
        return None
    try:
        return Kind(number), body
    except ValueError as error:
        msg = f"a frame of unknown kind {number}"
        raise FrameError(msg) from error


def frame(kind: Kind, *parts: bytes) -> bytes:
    r"""Make a frame.

    Parameters
    ----------
    kind : Kind
        What it says.
    *parts : bytes
        Its body.

    Returns
    -------
    bytes
        What to send.

    Examples
    --------
    >>> frame(Kind.DURABLE, b"12345678")
    b'\x08\x00\x00\x00\x05\x00\x00\x0012345678'
    """
    return b"".join((_HEAD.pack(sum(map(len, parts)), kind), *parts))


def json_frame(kind: Kind, document: object) -> bytes:
    """Make a frame that holds JSON.

    Parameters
    ----------
    kind : Kind
        What it says.
    document : object
        Anything that JSON can hold.

    Returns
    -------
    bytes
        What to send.
    """
    return frame(kind, json.dumps(document).encode())


def read_json(body: bytes) -> dict[str, Any]:
    """Read the body of a frame that holds JSON.

    Parameters
    ----------
    body : bytes
        Body of a frame.

    Returns
    -------
    dict
        What it holds.

    Raises
    ------
    FrameError
        If it holds none.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        msg = f"a frame that is not JSON: {error}"
        raise FrameError(msg) from error
    if not isinstance(document, dict):
        msg = "a frame whose JSON is not an object"
        raise FrameError(msg)
    return document


def read_series(body: bytes, site: str) -> tuple[Series, ...]:
    """Read series that are new.

    Parameters
    ----------
    body : bytes
        Body of a frame.
    site : str
        Site that all of them must be of.

    Returns
    -------
    tuple of Series
        The series, with legal names.

    Raises
    ------
    FrameError
        If they are no such series.
    """
    said = read_json(body).get("series")
    if not isinstance(said, list) or len(said) > MAX_NEW_SERIES:
        msg = "series that are no list, or too long a one"
        raise FrameError(msg)
    for names in said:
        if (
            not isinstance(names, list)
            or len(names) != len(Series._fields)
            or not all(isinstance(name, str) and is_legal_name(name) for name in names)
            or names[0] != site
        ):
            msg = f"a series that is not of site {site} or has no legal names"
            raise FrameError(msg)
    return tuple(Series(*names) for names in said)


def durable_frame(ticket: int) -> bytes:
    """Say that what was handed over with this ticket is durable.

    Parameters
    ----------
    ticket : int
        The ticket.

    Returns
    -------
    bytes
        What to send.
    """
    return frame(Kind.DURABLE, _TICKET.pack(ticket))


def read_durable(body: bytes) -> int:
    """Read the ticket that is durable.

    Parameters
    ----------
    body : bytes
        Body of a frame.

    Returns
    -------
    int
        The ticket.
    """
    (ticket,) = _TICKET.unpack(body)
    return int(ticket)


def submit_frame(submission: Submission) -> bytes:
    """Hand over samples.

    Parameters
    ----------
    submission : Submission
        The rows of its batch are those of a series table that both sides know.

    Returns
    -------
    bytes
        What to send.
    """
    batch = submission.batch
    n_samples = 0 if batch is None else len(batch)
    parts = [
        _SUBMIT.pack(
            submission.ticket,
            n_samples,
            len(submission.misfits),
            submission.is_urgent,
            PRIORITIES.index(submission.priority),
        )
    ]
    if batch is not None:
        # The widest columns first, so that each begins where its type may lie in memory.
        parts += [
            np.ascontiguousarray(batch.source_time_ns).tobytes(),
            np.ascontiguousarray(batch.value).tobytes(),
            np.ascontiguousarray(batch.series_index).tobytes(),
            np.ascontiguousarray(batch.quality).tobytes(),
        ]
    for misfit in submission.misfits:
        texts = [
            misfit.origin.encode("utf-8", "backslashreplace"),
            misfit.reason.encode("utf-8", "backslashreplace"),
            misfit.body,
        ]
        parts += [_MISFIT.pack(*map(len, texts)), *texts]
    return frame(Kind.SUBMIT, *parts)


def read_submission(body: bytes, series: Sequence[Series]) -> Submission:
    """Read what a reader hands over.

    Parameters
    ----------
    body : bytes
        Body of a frame.
    series : sequence of Series
        The series table.

    Returns
    -------
    Submission
        Its samples are all of that table.

    Raises
    ------
    FrameError
        If anything about it can't be.
    """
    try:
        ticket, n_samples, n_misfits, is_urgent, priority = _SUBMIT.unpack_from(body)
        at = _SUBMIT.size
        if n_samples * _SAMPLE_BYTES > len(body) - at or priority >= len(PRIORITIES):
            msg = f"a submission of {n_samples} samples in {len(body)} bytes"
            raise FrameError(msg)
        batch = None
        if n_samples:
            time_ns = np.frombuffer(body, np.int64, n_samples, at)
            value = np.frombuffer(body, np.float64, n_samples, at + 8 * n_samples)
            row = np.frombuffer(body, np.uint32, n_samples, at + 16 * n_samples)
            quality = np.frombuffer(body, np.uint8, n_samples, at + 20 * n_samples)
            batch = TelemetryBatch(tuple(series), row, time_ns, value, quality)
            at += _SAMPLE_BYTES * n_samples
        misfits = []
        for _ in range(n_misfits):
            sizes = _MISFIT.unpack_from(body, at)
            at += _MISFIT.size
            texts = []
            for size in sizes:
                if size > len(body) - at:
                    msg = f"a misfit of {size} bytes, {len(body) - at} are left"
                    raise FrameError(msg)
                texts.append(body[at : at + size])
                at += size
            misfits.append(Misfit(texts[0].decode(), texts[1].decode(), texts[2]))
    except (struct.error, ValueError, BatchError) as error:
        msg = f"a submission that can't be read: {error}"
        raise FrameError(msg) from error
    return Submission(ticket, batch, tuple(misfits), bool(is_urgent), PRIORITIES[priority])
