"""What sources have handed over and the disk does not have yet.

A parcel is a batch already written as line protocol, so that the bytes that become durable are the
bytes that are sent. When parcels are written is decided in `edge_agent.core`.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent.counters import Counters
from edge_agent.records import PRIORITIES, Entry, Misfit, Priority
from ingest.errors import LineProtocolError
from ingest.telemetry import TelemetryBatch, encode_lines

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Parcel:
    """What a source handed over, until it is durable."""

    priority: Priority
    lines: bytes
    n_samples: int
    misfits: Sequence[Misfit]
    durable: "asyncio.Future[None]"


def pack(
    batch: TelemetryBatch | None,
    misfits: Sequence[Misfit],
    priority: Priority,
    counters: Counters,
) -> Parcel:
    """Write a batch as line protocol.

    Parameters
    ----------
    batch : TelemetryBatch or None
        Samples.
    misfits : sequence of Misfit
        What came with them and could not be read.
    priority : {"raw", "alarm"}
        Of all samples of the batch.
    counters : Counters
        Where samples and faults are counted.

    Returns
    -------
    Parcel
        To be made durable; one without lines and misfits is durable already.
    """
    durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    lines, n_samples = b"", 0
    if batch is not None and len(batch):
        counters.received += len(batch)
        try:
            lines, n_samples = encode_lines(batch), len(batch)
        except LineProtocolError as error:
            logger.exception("samples can't be written as lines")
            counters.faults += 1
            misfits = [*misfits, Misfit("edge agent", str(error), repr(batch).encode())]
    if not lines and not misfits:
        durable.set_result(None)
    return Parcel(priority, lines, n_samples, misfits, durable)


def entries_of(parcels: Sequence[Parcel]) -> list[Entry]:
    """Join what is to be kept into one entry for each priority, in the order of the parcels.

    Parameters
    ----------
    parcels : sequence of Parcel
        What is to be written in one transaction.

    Returns
    -------
    list of Entry
        At most one for each priority, none without lines.
    """
    entries = []
    for priority in PRIORITIES:
        alike = [parcel for parcel in parcels if parcel.priority == priority and parcel.lines]
        if alike:
            lines = b"".join(parcel.lines for parcel in alike)
            entries.append(Entry(priority, lines, sum(parcel.n_samples for parcel in alike)))
    return entries
