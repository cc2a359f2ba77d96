"""A day of a thousand machines out of the embedded store into a block, while it is written."""

import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from analytics.arrays import FleetBlock
from ingest.adapters.duckdb_store import DuckDBStore
from ingest.rollups import MINUTE_NS
from ingest.telemetry import Series, TelemetryBatch
from tests.benchmarks.common import report

N_MACHINES = 1000
N_SIGNALS = 8
N_STEPS = 1440
N_REPEATS = 5
START_NS = 1_700_000_000_000_000_000 // MINUTE_NS * MINUTE_NS


def table_of(n_machines: int) -> list[Series]:
    """Series in the order of a block: all machines of a signal side by side."""
    return [
        Series("mill-7", f"press-{machine:04d}", f"signal-{signal}")
        for signal in range(N_SIGNALS)
        for machine in range(n_machines)
    ]


def minute_of(series: list[Series], minute: int) -> TelemetryBatch:
    """One sample of every series, which tells where it belongs."""
    n = len(series)
    return TelemetryBatch.of(
        series,
        np.arange(n),
        np.full(n, START_NS + minute * MINUTE_NS),
        (np.arange(n) % 977) + minute / 2048.0,
        np.zeros(n),
    )


def read_block(store: DuckDBStore, series: list[Series], n_steps: int) -> FleetBlock:
    """What a scoring round does."""
    n_machines = len(series) // N_SIGNALS
    window = store.read_steps(series, START_NS, MINUTE_NS, n_steps)
    return FleetBlock(
        np.arange(n_steps) / 60.0,
        tuple(f"signal-{signal}" for signal in range(N_SIGNALS)),
        tuple(one.machine for one in series[:n_machines]),
        window.mean.astype(np.float32).reshape(n_steps, N_SIGNALS, n_machines),
    )


def measure(folder: Path, n_machines: int, n_steps: int) -> dict[str, float]:
    """Read again and again while a writer goes on with the minutes after the window."""
    series = table_of(n_machines)
    with DuckDBStore(folder / "telemetry.duckdb", memory_limit_mib=1024) as store:
        for minute in range(n_steps):
            store.write(minute_of(series, minute))
        is_done = threading.Event()
        written = [0]

        def write_on() -> None:
            while not is_done.wait(0.05):
                store.write(minute_of(series, n_steps + written[0]))
                written[0] += 1

        writer = threading.Thread(target=write_on)
        writer.start()
        took, blocks = [], []
        try:
            for _ in range(N_REPEATS):
                started = time.perf_counter()
                blocks = [read_block(store, series, n_steps)]
                took.append(time.perf_counter() - started)
        finally:
            is_done.set()
            writer.join()
    expected = (np.arange(len(series)) % 977)[np.newaxis, :] + np.arange(n_steps)[
        :, np.newaxis
    ] / 2048
    is_right = np.array_equal(
        blocks[0].values.reshape(n_steps, -1), expected.astype(np.float32), equal_nan=False
    )
    assert is_right, "the block is not what was written"
    n_values = len(series) * n_steps
    return {
        "values_per_s": n_values / float(np.median(took)),
        "best_values_per_s": n_values / min(took),
        "values_written_meanwhile": float(written[0] * len(series)),
    }


def run(data: Path) -> dict[str, Any]:
    """Measure; needs no real data."""
    del data
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), N_MACHINES, N_STEPS)
    print(f"{N_MACHINES} machines x {N_STEPS} minutes x {N_SIGNALS} signals into a FleetBlock:")
    print(f"  {figures['values_per_s'] / 1e6:.1f} M values/s (median), "
          f"{figures['best_values_per_s'] / 1e6:.1f} M (best)")  # fmt: skip
    print(f"  {figures['values_written_meanwhile']:.0f} values written meanwhile")
    return report("ingest_window", figures, targets=[("values_per_s", ">=", 20e6)])
