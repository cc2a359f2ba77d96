"""What sources have handed over and the disk does not have yet.

A parcel is a batch found fit to be written as line protocol. It stays columns: they take a fifth of
the room on the disk, and lines are written once, when they are sent. When parcels are made durable
is decided in `edge_agent.core`.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from edge_agent.counters import Counters
from edge_agent.records import PRIORITIES, Entry, Misfit, Priority
from ingest.errors import LineProtocolError
from ingest.telemetry import Quality, Series, TelemetryBatch, encode_lines, is_legal_name

logger = logging.getLogger(__name__)

LINE_BYTES: Final = 110
"""A line of ours is about this long."""


@dataclass(slots=True)
class Parcel:
    """What a source handed over, until it is durable."""

    priority: Priority
    batch: TelemetryBatch | None
    misfits: Sequence[Misfit]
    durable: "asyncio.Future[None]"

    @property
    def n_samples(self) -> int:
        """Samples in it."""
        return 0 if self.batch is None else len(self.batch)

    @property
    def n_bytes(self) -> int:
        """What it takes as line protocol, about, in bytes."""
        return LINE_BYTES * self.n_samples


def pack(
    batch: TelemetryBatch | None,
    misfits: Sequence[Misfit],
    priority: Priority,
    counters: Counters,
) -> Parcel:
    """Look whether a batch can be written as line protocol.

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
        To be made durable; one without samples and misfits is durable already.
    """
    durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    if batch is not None and len(batch):
        counters.received += len(batch)
        fault = _fault_in(batch)
        if fault is None:
            batch = _without_strange_names(batch)
        else:
            logger.error("samples can't be written as lines: %s", fault)
            counters.faults += 1
            misfits = [*misfits, Misfit("edge agent", fault, repr(batch).encode())]
            batch = None
    else:
        batch = None
    if batch is None and not misfits:
        durable.set_result(None)
    return Parcel(priority, batch, misfits, durable)


def entries_of(parcels: Sequence[Parcel]) -> list[Entry]:
    """Join what is to be kept into one entry for each priority, in the order of the parcels.

    Parameters
    ----------
    parcels : sequence of Parcel
        What is to be written in one transaction.

    Returns
    -------
    list of Entry
        At most one for each priority, none without samples.
    """
    entries = []
    for priority in PRIORITIES:
        batches = tuple(
            parcel.batch
            for parcel in parcels
            if parcel.priority == priority and parcel.batch is not None
        )
        if batches:
            entries.append(Entry(priority, b"", sum(map(len, batches)), batches))
    return entries


_LEGAL_KEPT: Final = 256
_legal: dict[int, tuple[Series, ...]] = {}
"""Series tables that were found legal, by identity: a source uses the same one for long."""


def _fault_in(batch: TelemetryBatch) -> str | None:
    """Say what in a batch has no place in line protocol, None if all of it has."""
    if id(batch.series) not in _legal:
        if not all(is_legal_name(name) for series in batch.series for name in series):
            return _fault_of_lines(batch)
        if len(_legal) >= _LEGAL_KEPT:
            _legal.clear()
        _legal[id(batch.series)] = batch.series
    # Two comparisons of whole columns instead of a look at each sample.
    is_plain = int(batch.quality.max()) <= Quality.BAD and not np.isinf(batch.value).any()
    return None if is_plain else _fault_of_lines(batch)


def _fault_of_lines(batch: TelemetryBatch) -> str | None:
    try:
        encode_lines(batch)
    except LineProtocolError as error:
        return str(error)
    return None


def _without_strange_names(batch: TelemetryBatch) -> TelemetryBatch:
    """Leave series out that no sample belongs to, if their names are why the table is not legal."""
    if id(batch.series) in _legal:
        return batch
    used, index = np.unique(batch.series_index, return_inverse=True)
    return TelemetryBatch(
        tuple(batch.series[row] for row in used.tolist()),
        index.astype(np.uint32),
        batch.source_time_ns,
        batch.value,
        batch.quality,
        batch.sequence,
    )
