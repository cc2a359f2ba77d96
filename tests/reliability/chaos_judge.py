"""What a chaos run's logs and store say, read with plain SQL.

The OPC UA server's log tells each value and whether somebody was subscribed just before it. Only
those that were watched had to be kept for somebody. When the server itself is killed, what nothing
but its memory held dies with it: in each life of it that ended so, these are the values of a node
after the last one that arrived. A value that is missing before one that arrived is lost.
"""

import shutil
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from tests.reliability.mqtt_device import BASE_TIME_NS, MS
from tests.reliability.oracle import Reading

_SQL = """
SELECT
    machine || '.' || signal, source_time_ns,
    arg_max(value, write_id), arg_max(quality, write_id)
FROM samples JOIN series ON series_id = id
GROUP BY machine, signal, source_time_ns
"""
"""One value for each series and time, the one written last, which is what a reader of it gets."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the store holds."""

    readings: list[Reading]
    n_wrong: int
    """Values at a time that is not the one they were sensed at, or not good any more."""


def read_store(path: Path) -> Held:
    """Read the file of an ingest that has ended."""
    with duckdb.connect(str(path), read_only=True) as database:
        rows = database.execute(_SQL).fetchall()
    # Before its first value a node of the OPC UA server says that it has none yet.
    rows = [row for row in rows if row[2] is not None]
    n_wrong = sum(
        time_ns != BASE_TIME_NS + int(value) * MS or value != int(value) or quality != 0
        for _, time_ns, value, quality in rows
    )
    return Held([(node, int(value)) for node, _, value, _ in rows], n_wrong)


def peek_store(path: Path) -> Held | None:
    """Read a copy of the file of an ingest that runs; None if it was caught while it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        try:
            shutil.copyfile(path, copy)
            log = path.with_name(path.name + ".wal")
            if log.exists():
                shutil.copyfile(log, copy.with_name(log.name))
            return read_store(copy)
        except (duckdb.Error, OSError):
            return None


@dataclass(frozen=True, slots=True)
class OpcuaLog:
    """What the OPC UA server sensed, in order."""

    watched: list[Reading]
    unwatched: list[Reading]

    @classmethod
    def read(cls, path: Path) -> "OpcuaLog":
        watched: list[Reading] = []
        unwatched: list[Reading] = []
        for line in path.read_text().splitlines():
            node, counter, is_watched = line.split()
            (watched if is_watched == "1" else unwatched).append((node, int(counter)))
        return cls(watched, unwatched)

    @property
    def last(self) -> int:
        """The counter of the last value."""
        return max((counter for _, counter in (*self.watched, *self.unwatched)), default=0)


def only_in_killed(
    log: OpcuaLog, held: Sequence[Reading], killed_after: Sequence[int]
) -> set[Reading]:
    """Values that only a killed server's memory held.

    Parameters
    ----------
    log : OpcuaLog
        What it sensed.
    held : sequence of Reading
        What arrived.
    killed_after : sequence of int
        Counter of the last value before each kill.
    """
    last: dict[tuple[str, int], int] = defaultdict(int)
    for node, counter in held:
        last[node, _life(counter, killed_after)] = max(
            counter, last[node, _life(counter, killed_after)]
        )
    return {
        (node, counter)
        for node, counter in log.watched
        if (life := _life(counter, killed_after)) < len(killed_after) and counter > last[node, life]
    }


def _life(counter: int, killed_after: Sequence[int]) -> int:
    """In which life of the server a value was sensed; the last one was not killed."""
    return sum(counter > each for each in killed_after)
