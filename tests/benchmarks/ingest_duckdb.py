"""Durable writing into the embedded store, with a commit each second of data."""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from ingest.adapters.duckdb_store import DuckDBStore
from ingest.keeper import Keeper
from ingest.telemetry import Series, TelemetryBatch
from tests.benchmarks.common import report

VALUES_PER_S = 300_000
N_SECONDS = 60
N_SERIES = 8_000
START_NS = 1_700_000_000_000_000_000


def second_of(series: list[Series], second: int, rng: np.random.Generator) -> TelemetryBatch:
    """A second of `VALUES_PER_S` samples."""
    index = np.arange(VALUES_PER_S)
    return TelemetryBatch.of(
        series,
        index % N_SERIES,
        START_NS + second * 1_000_000_000 + index // N_SERIES * 20_000_000,
        np.round(rng.normal(50.0, 10.0, VALUES_PER_S), 3),
        np.zeros(VALUES_PER_S),
    )


def run(data: Path) -> dict[str, Any]:
    """A commit each second for a minute, at the pace of the clock, with the upkeep running."""
    del data
    rng = np.random.default_rng(7)
    series = [Series("mill-7", f"press-{n // 8:04d}", f"signal-{n % 8}") for n in range(N_SERIES)]
    took = []
    with (
        tempfile.TemporaryDirectory() as folder,
        DuckDBStore(Path(folder) / "telemetry.duckdb") as store,
        Keeper(store, time.time_ns, round_s=10.0),
    ):
        began = time.perf_counter()
        for second in range(N_SECONDS):
            batch = second_of(series, second, rng)
            time.sleep(max(0.0, began + second - time.perf_counter()))
            started = time.perf_counter()
            store.write(batch)
            took.append(time.perf_counter() - started)
        n_stored = sum(
            len(store.read(series, START_NS + k * 10**9, START_NS + (k + 10) * 10**9))
            for k in range(0, N_SECONDS, 10)
        )
    assert n_stored == VALUES_PER_S * N_SECONDS, n_stored
    figures = {
        "values_per_s": VALUES_PER_S / float(np.mean(took)),
        "sustained_values_per_s": VALUES_PER_S * N_SECONDS / (sum(took) + N_SECONDS - sum(took)),
        "p99_commit_ms": 1000.0 * float(np.quantile(took, 0.99)),
        "median_commit_ms": 1000.0 * float(np.median(took)),
    }
    print(f"{N_SECONDS} commits of {VALUES_PER_S} values, one each second, all of them read back:")
    print(
        f"  commit {figures['median_commit_ms']:.0f} ms median, "
        f"{figures['p99_commit_ms']:.0f} ms p99"
    )
    print(f"  {figures['values_per_s'] / 1e6:.2f} M values/s while writing")
    return report(
        "ingest_duckdb",
        figures,
        targets=[("sustained_values_per_s", ">=", 300_000), ("p99_commit_ms", "<=", 250)],
    )
