"""The program whose writes `tests.reliability.power_cuts` takes apart: an outbox in all its uses.

Says on its standard output what it is about to keep, what was kept, and what it lets go.
"""

import json
import os
import random
import sys
import zlib
from pathlib import Path
from typing import Final

from edge_agent.outbox import Outbox
from edge_agent.records import Entry, Misfit
from ingest.telemetry import Series, TelemetryBatch

CAP_BYTES: Final = 2_000_000
"""So small that the log is written back every few commits."""

START_NS: Final = 1_790_000_000_000_000_000


def main(path: Path, seed: int, n_commits: int, synchronous: str) -> None:
    """Write, forget, set aside and take apart, as an agent does."""
    chance = random.Random(seed)  # noqa: S311 - a test's own
    next_number = 1
    with Outbox(path, CAP_BYTES, lambda: START_NS, make_id=lambda: "0123456789abcdef") as outbox:
        outbox._database.execute(f"PRAGMA synchronous = {synchronous}")
        for commit in range(n_commits):
            entries, expected = [], {}
            for priority in ("alarm", "raw") if chance.random() < 0.3 else ("raw",):
                batch, lines = random_batch(chance, next_number)
                is_columns = chance.random() < 0.8
                entries.append(
                    Entry(priority, b"", len(batch), (batch,))
                    if is_columns
                    else Entry(priority, lines, len(batch))
                )
                expected[next_number] = digest_of_batch(lines)
                next_number += 1
            _say({"about to keep": expected})
            misfits = [Misfit("mqtt", "bad", chance.randbytes(50))] * (commit % 7 == 3)
            _say({"kept": outbox.append(entries, misfits)})
            if chance.random() < 0.3:
                _let_go(outbox, chance)


def _let_go(outbox: Outbox, chance: random.Random) -> None:
    records = outbox.read_oldest(10**6, chance.randint(1, 6))
    numbers = [record.sequence for record in records]
    _say({"leaving": numbers})
    match chance.randint(0, 3):
        case 0:
            outbox.set_aside(numbers, "400 type conflict")
        case 1:
            for record in records:
                outbox.take_apart(record.sequence, [(record.body.splitlines()[0], "400")])
        case _:
            outbox.forget(numbers)
            if chance.random() < 0.5:
                outbox.tidy()


def random_batch(chance: random.Random, number: int) -> tuple[TelemetryBatch, bytes]:
    """Samples, and by other means the lines that they are."""
    n = chance.randint(1, 60)
    series = [Series("mill-7", f"press-{number % 5}", f"flow_{one}_m3_h") for one in range(3)]
    rows = sorted(chance.randrange(3) for _ in range(n))
    values = [chance.choice([chance.random(), float(chance.randint(0, 999)), 0.25]) for _ in rows]
    times = [START_NS + number * 10**9 + place * 1000 for place in range(n)]
    lines = [
        f"telemetry,site=mill-7,machine=press-{number % 5},signal=flow_{row}_m3_h"
        f" value={value!r},quality=0i {time_ns}\n"
        for row, value, time_ns in zip(rows, values, times, strict=True)
    ]
    return TelemetryBatch.of(series, rows, times, values, [0] * n), "".join(lines).encode()


def digest_of_batch(lines: bytes) -> str:
    """Say the same of the same lines in any order."""
    return f"{zlib.crc32(b''.join(sorted(lines.splitlines()))):08x}-{lines.count(b'value=')}"


def _say(word: object) -> None:
    os.write(1, json.dumps(word).encode() + b"\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
