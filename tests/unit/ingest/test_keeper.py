"""The upkeep in the background: it runs, ends at once when asked, and outlives a failing store."""

import threading
from pathlib import Path

from ingest.adapters.duckdb_store import DuckDBStore
from ingest.errors import StoreUnavailableError
from ingest.keeper import DAY_NS, Keeper
from ingest.rollups import HOUR_NS
from ingest.telemetry import Series, TelemetryBatch

FLOW = Series("mill-7", "pump-01", "flow_m3_h")
NOW_NS = 1_700_000_000_000_000_000


class CountingStore(DuckDBStore):
    """The real store, which says when it was looked after, and fails the first time."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.rounds = 0
        self.is_done = threading.Event()

    def maintain(self, *, raw_from_ns: int | None = None) -> int:
        self.rounds += 1
        if self.rounds == 1:
            msg = "the disk is full"
            raise StoreUnavailableError(msg)
        n_settled = super().maintain(raw_from_ns=raw_from_ns)
        if n_settled == 0:
            self.is_done.set()
        return n_settled


def test_the_store_is_looked_after_until_nothing_is_left_also_after_a_failure(
    tmp_path: Path,
) -> None:
    with CountingStore(tmp_path / "telemetry.duckdb") as store:
        times_ns = [NOW_NS - 40 * DAY_NS, NOW_NS]
        store.write(TelemetryBatch.of([FLOW], [0, 0], times_ns, [1.0, 2.0], [0, 0]))

        with Keeper(store, lambda: NOW_NS, raw_days=30, round_s=0.01):
            assert store.is_done.wait(30)

        assert store.read([FLOW], 0, NOW_NS + 1).value.tolist() == [2.0]
        hours = store.read_rollups([FLOW], 0, NOW_NS + HOUR_NS, HOUR_NS)
        assert hours.last.tolist() == [1.0, 2.0]
