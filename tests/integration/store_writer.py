"""Writes numbered samples into a DuckDB file until it is killed; the kill test's victim.

Usage: python -m tests.integration.store_writer FILE LOG FIRST. Each number is written with
itself as time and value, and appended to LOG, synced, only after the store has answered.
"""

import os
import sys
from pathlib import Path

import numpy as np

from ingest.adapters.duckdb_store import DuckDBStore
from ingest.telemetry import Series, TelemetryBatch

SERIES = Series("mill-7", "press-01", "stroke_count")
BATCH = 50


def main() -> None:
    path, log, first = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    with DuckDBStore(path) as store, log.open("ab", buffering=0) as acknowledged:
        while True:
            numbers = np.arange(first, first + BATCH)
            zeros = np.zeros(BATCH)
            store.write(TelemetryBatch.of([SERIES], zeros, numbers, numbers, zeros))
            acknowledged.write(f"{first}\n".encode())
            os.fsync(acknowledged.fileno())
            first += BATCH


if __name__ == "__main__":
    main()
