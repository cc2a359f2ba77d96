"""Copies samples from one store to another: window by window, read back and compared, resumable.

Each window of each group of series is read from the source, written to the target, read back from
there and compared sample by sample through a hash. Only then is it noted as done, so a copy that
was interrupted goes on where it was, and one that ends has been compared from end to end.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ingest.errors import CopyError
from ingest.ports import TelemetryStore
from ingest.telemetry import Series, TelemetryBatch

SERIES_AT_ONCE: Final = 200
FIRST_WINDOW_NS: Final = 86_400_000_000_000
MIN_WINDOW_NS: Final = 60_000_000_000
MAX_WINDOW_NS: Final = 2048 * FIRST_WINDOW_NS
"""Empty time is crossed in ever larger steps, up to five years."""

FULL_WINDOW: Final = 500_000
"""With more samples than this the next window is half as long."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What has been copied and compared so far.

    Parameters
    ----------
    n_samples : int
        Samples that both stores have.
    group, n_groups : int
        Group of series that is being copied, from 0, and how many there are.
    upto_ns : int
        To where in this group. [ns since 1970-01-01 UTC]
    digest : str
        Hash of everything, in the order of series and time; equal for equal data.
    """

    n_samples: int
    group: int
    n_groups: int
    upto_ns: int
    digest: str


def copy_samples(
    source: TelemetryStore,
    target: TelemetryStore,
    notes: Path,
    *,
    start_ns: int,
    end_ns: int,
    watch: Callable[[Copied], None] = lambda _: None,
) -> Copied:
    """Copy all series.

    Parameters
    ----------
    source, target : TelemetryStore
        From where and to where.
    notes : Path
        File that remembers what is done; made if it is not there, and kept.
    start_ns, end_ns : int
        Half-open window of source time. [ns since 1970-01-01 UTC]
    watch : callable
        Told after each window.

    Returns
    -------
    Copied
        The end.

    Raises
    ------
    CopyError
        If the target does not give back what was written, or the notes are of another copy.
    StoreUnavailableError
        If a store can't be reached; call again to go on.
    StoreRejectedError
        If the target will not take the samples.
    """
    series = source.series()
    groups = [
        series[begin : begin + SERIES_AT_ONCE] for begin in range(0, len(series), SERIES_AT_ONCE)
    ]
    copied = _Notes(notes, _name_of(series, start_ns, end_ns))
    state = copied.read() or Copied(0, 0, len(groups), start_ns, "")
    for group in range(state.group, len(groups)):
        begin_ns = state.upto_ns if group == state.group else start_ns
        for batch, upto_ns in _windows(source, groups[group], begin_ns, end_ns):
            if len(batch):
                target.write(batch)
                _compare(batch, target.read(groups[group], begin_ns, upto_ns), begin_ns, upto_ns)
            begin_ns = upto_ns
            state = Copied(
                state.n_samples + len(batch),
                group,
                len(groups),
                upto_ns,
                _chained(state.digest, batch),
            )
            copied.write(state)
            watch(state)
    return state


def _windows(
    source: TelemetryStore, series: Sequence[Series], start_ns: int, end_ns: int
) -> Iterator[tuple[TelemetryBatch, int]]:
    width_ns = FIRST_WINDOW_NS
    while start_ns < end_ns:
        upto_ns = min(start_ns + width_ns, end_ns)
        batch = source.read(series, start_ns, upto_ns)
        yield batch, upto_ns
        start_ns = upto_ns
        if len(batch) > FULL_WINDOW:
            width_ns = max(width_ns // 2, MIN_WINDOW_NS)
        elif not len(batch):
            width_ns = min(width_ns * 2, MAX_WINDOW_NS)
        elif len(batch) < FULL_WINDOW // 4:
            width_ns = min(width_ns * 2, FIRST_WINDOW_NS)
        else:
            width_ns = min(width_ns, FIRST_WINDOW_NS)


def _compare(sent: TelemetryBatch, found: TelemetryBatch, start_ns: int, end_ns: int) -> None:
    if len(found) != len(sent):
        msg = (
            f"the target has {len(found)} samples where {len(sent)} were written (times {start_ns} "
            f"to {end_ns} ns); copy into a store that holds no other samples of these series"
        )
        raise CopyError(msg)
    if _chained("", found) != _chained("", sent):
        msg = (
            f"the target gives back other samples than were written (times {start_ns} to {end_ns} "
            "ns); is somebody else writing the same series there? stop that and copy again"
        )
        raise CopyError(msg)


def _chained(before: str, batch: TelemetryBatch) -> str:
    """Hash of what came before and of these samples; the sign of a zero does not count."""
    digest = hashlib.sha256(before.encode())
    for row in np.unique(batch.series_index).tolist():
        rows = batch.series_index == row
        digest.update("\n".join(batch.series[row]).encode())
        for column in (batch.source_time_ns, batch.value + 0.0, batch.quality):
            digest.update(np.ascontiguousarray(column[rows]).tobytes())
    return digest.hexdigest() if len(batch) else before


def _name_of(series: Sequence[Series], start_ns: int, end_ns: int) -> str:
    text = "\n".join(["\t".join(one) for one in series] + [str(start_ns), str(end_ns)])
    return hashlib.sha256(text.encode()).hexdigest()


class _Notes:
    """A file of one line for each window that is done; the last whole line counts."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name

    def read(self) -> Copied | None:
        if not self._path.exists():
            return None
        state = None
        whole = self._path.read_bytes()
        if not whole.endswith(b"\n"):
            # The machine stopped while it wrote the last line: that window is copied once more.
            whole = whole[: whole.rfind(b"\n") + 1]
            os.truncate(self._path, len(whole))
        for line in whole.splitlines():
            try:
                name, *fields = json.loads(line)
            except ValueError:
                name, fields = "", []
            if name != self._name:
                msg = (
                    f"{self._path} belongs to a copy of other series or times; give another file, "
                    "or remove it to begin anew"
                )
                raise CopyError(msg)
            state = Copied(*fields)
        return state

    def write(self, state: Copied) -> None:
        fields = [state.n_samples, state.group, state.n_groups, state.upto_ns, state.digest]
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([self._name, *fields]) + "\n")
            file.flush()
            os.fsync(file.fileno())
