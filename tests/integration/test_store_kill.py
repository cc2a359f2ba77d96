"""What the store has acknowledged survives `kill -9`, once.

The oracle is an append-only log of its own that the writer syncs after each answer, and plain
SQL on the file; neither shares code with the store's reading.
"""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

from ingest.adapters.duckdb_store import DuckDBStore
from tests.integration.store_writer import BATCH, SERIES

ROUNDS = 20
START_S = 20.0


def acknowledged(log: Path) -> list[int]:
    """First numbers of the batches that were answered; a torn last line is no answer."""
    text = log.read_text() if log.exists() else ""
    return [int(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def test_nothing_acknowledged_is_lost_or_doubled_by_kill_9(
    tmp_path: Path, show: Callable[[str], None]
) -> None:
    path, log, chance = tmp_path / "telemetry.duckdb", tmp_path / "answers.log", random.Random(7)  # noqa: S311
    for round_ in range(ROUNDS):
        before = acknowledged(log)
        # From the last answered batch on, so that batches come twice as after a lost answer.
        first = before[-1] if before else 0
        with subprocess.Popen([
            sys.executable,
            "-m",
            "tests.integration.store_writer",
            path,
            log,
            str(first),
        ]) as writer:
            deadline = time.monotonic() + START_S
            while len(acknowledged(log)) < len(before) + 5:
                assert writer.poll() is None, f"the writer ended in round {round_}"
                assert time.monotonic() < deadline, "the writer does not get going"
                time.sleep(0.01)
            time.sleep(chance.uniform(0.0, 0.3))
            writer.kill()

    firsts = set(acknowledged(log))
    promised = {number for first in firsts for number in range(first, first + BATCH)}
    with DuckDBStore(path) as store:
        read = store.read([SERIES], 0, 2**62)
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute("SELECT source_time_ns, value FROM samples").fetchall()
    times = read.source_time_ns.tolist()

    show(f"store kill: {ROUNDS} kills, {len(promised)} acknowledged samples, all there once")
    assert promised - {time_ns for time_ns, _ in rows} == set(), "acknowledged samples are gone"
    assert len(times) == len(set(times)), "reading gives a sample twice"
    assert promised <= set(times)
    assert [time_ns for time_ns, value in rows if time_ns != value] == []
    assert read.value.tolist() == [float(time_ns) for time_ns in times]
