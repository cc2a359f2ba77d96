"""An outbox on a disk that another program fills: what is sent, dropped and still waits."""

import contextlib
import logging
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from edge_agent.errors import OutboxError
from edge_agent.outbox import Outbox
from edge_agent.records import Entry, Priority
from ingest.telemetry import Series, TelemetryBatch, decode_lines

DISK_BYTES: Final = 6_000_000
N_SERIES: Final = 50
PER_RECORD: Final = 500
SERIES: Final = tuple(Series("mill-7", "press-04", f"flow_{n}_m3_h") for n in range(N_SERIES))


@contextlib.contextmanager
def small_disk(folder: Path, n_bytes: int = DISK_BYTES) -> Iterator[Path]:
    """A file system of its own in memory; needs root."""
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={n_bytes}", "tmpfs", str(folder)], check=True
    )
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def may_mount() -> bool:
    """Whether this user may."""
    return os.geteuid() == 0


class Filler:
    """Another program, which takes all that is left, again and again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def fill(self) -> int:
        """Take the rest of the disk. [byte]"""
        with contextlib.suppress(OSError), self._path.open("ab", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        return self._path.stat().st_size

    def free(self) -> None:
        """Give it back."""
        self._path.unlink()


@dataclass(slots=True)
class Tally:
    """Samples, counted by whoever sensed and received them."""

    sensed: int = 0
    waited: int = 0
    sent: int = 0
    n_refused_writes: int = 0


class Site:
    """Senses, keeps and sends; a group commit that fails is tried again later, as the core does."""

    def __init__(self, outbox: Outbox, seed: int = 0) -> None:
        self.outbox = outbox
        self.tally = Tally()
        self.arrived: set[tuple[str, int]] = set()
        self.alarms_sensed: set[tuple[str, int]] = set()
        self._chance = np.random.default_rng(seed)
        self._next_ns = 1_790_000_000_000_000_000
        self._waiting: list[Entry] = []

    def sense(self, priority: Priority = "raw") -> None:
        """Sense once, and try to keep it with all that waits."""
        n = PER_RECORD
        times = self._next_ns + np.arange(n) * 1_000_000
        self._next_ns = int(times[-1]) + 1_000_000
        batch = TelemetryBatch.of(
            SERIES, np.arange(n) % N_SERIES, times, self._chance.random(n), np.zeros(n)
        )
        if priority == "alarm":
            self.alarms_sensed.update(_keys(batch))
        self.tally.sensed += n
        self._waiting.append(Entry(priority, b"", n, (batch,)))
        self.keep()

    def keep(self) -> bool:
        """Try to make durable what waits in memory."""
        try:
            self.outbox.append(self._waiting)
        except OutboxError:
            self.tally.n_refused_writes += 1
        else:
            self._waiting = []
        self.tally.waited = sum(entry.n_samples for entry in self._waiting)
        return not self._waiting

    def send(self) -> int:
        """Send what waits on the disk in one request; 0 if nothing could be."""
        records = self.outbox.read_oldest(200_000, 1000)
        try:
            self.outbox.forget([record.sequence for record in records])
        except OutboxError:
            self.tally.n_refused_writes += 1
            return 0
        with contextlib.suppress(OutboxError):
            # What can't be deleted now is with the next commit; it is not read again.
            self.outbox.tidy()
        for record in records:
            batch = decode_lines(record.body, received_at_ns=0).batch
            self.arrived.update(_keys(batch))
            self.tally.sent += len(batch)
        return len(records)

    def is_exact(self) -> bool:
        """Whether sent + dropped + waiting is what was sensed, and each arrived once."""
        counts = self.outbox.counts()
        kept = self.tally.sent + counts.n_samples + counts.n_dropped_samples + self.tally.waited
        gaps = sum(gap.n_samples for gap in self.outbox.gaps())
        return (
            kept == self.tally.sensed
            and gaps == counts.n_dropped_samples
            and len(self.arrived) == self.tally.sent
        )


def _keys(batch: TelemetryBatch) -> Iterator[tuple[str, int]]:
    signals = [series.signal for series in batch.series]
    return zip(
        (signals[row] for row in batch.series_index.tolist()),
        batch.source_time_ns.tolist(),
        strict=True,
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No word about what is done on purpose."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
