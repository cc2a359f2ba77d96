"""The embedded store's upkeep: roll-ups, doubles, retention, and files of an earlier version."""

import threading
from pathlib import Path

import duckdb
import numpy as np
import pytest

from ingest.adapters.duckdb_store import DuckDBStore
from ingest.errors import StoreRejectedError
from ingest.rollups import HOUR_NS, MINUTE_NS
from ingest.telemetry import Series, TelemetryBatch

FLOW = Series("mill-7", "pump-01", "flow_m3_h")
POWER = Series("mill-7", "pump-01", "motor_power_kw")
NOON_NS = 1_700_000_000_000_000_000 // HOUR_NS * HOUR_NS


def at(series: Series, minutes: list[float], values: list[float]) -> TelemetryBatch:
    times_ns = [NOON_NS + round(minute * MINUTE_NS) for minute in minutes]
    return TelemetryBatch.of([series], [0] * len(minutes), times_ns, values, [0] * len(minutes))


def n_rows(store: DuckDBStore, table: str) -> int:
    with store._file.cursor() as cursor:
        (found,) = cursor.execute(f"SELECT count(*) FROM {table}").fetchall()  # noqa: S608 - a test's own words
    return int(found[0])


def settle(store: DuckDBStore, *, raw_from_ns: int | None = None) -> None:
    while store.maintain(raw_from_ns=raw_from_ns):
        pass


def test_a_settled_hour_is_read_from_its_roll_ups_until_something_late_comes(
    tmp_path: Path,
) -> None:
    with DuckDBStore(tmp_path / "telemetry.duckdb") as store:
        store.write(at(FLOW, [0, 0.5, 7], [1.0, 3.0, 5.0]))
        settle(store)
        assert n_rows(store, "unsettled") == 0

        store.write(at(FLOW, [0.25], [100.0]))

        hour = store.read_rollups([FLOW], NOON_NS, NOON_NS + HOUR_NS, HOUR_NS)
        assert (hour.maximum.tolist(), hour.count.tolist()) == ([100.0], [4])
        assert hour.mean.tolist() == [109.0 / 4]
        settle(store)
        again = store.read_rollups([FLOW], NOON_NS, NOON_NS + HOUR_NS, HOUR_NS)
        assert again.total.tobytes() == hour.total.tobytes()


def test_doubles_are_removed_and_the_newest_write_stays(tmp_path: Path) -> None:
    with DuckDBStore(tmp_path / "telemetry.duckdb") as store:
        for value in (1.0, 2.0, 3.0):
            store.write(at(FLOW, [1, 2], [value, value]))
        assert n_rows(store, "samples") == 6

        settle(store)

        assert n_rows(store, "samples") == 2
        assert store.read([FLOW], NOON_NS, NOON_NS + HOUR_NS).value.tolist() == [3.0, 3.0]


def test_old_samples_go_and_their_roll_ups_stay(tmp_path: Path) -> None:
    with DuckDBStore(tmp_path / "telemetry.duckdb") as store:
        store.write(at(FLOW, [-120, -119, 10], [1.0, 3.0, 5.0]))

        settle(store, raw_from_ns=NOON_NS)

        assert store.read([FLOW], NOON_NS - 9 * HOUR_NS, NOON_NS + HOUR_NS).value.tolist() == [5.0]
        hours = store.read_rollups([FLOW], NOON_NS - 9 * HOUR_NS, NOON_NS + HOUR_NS, HOUR_NS)
        assert hours.mean.tolist() == [2.0, 5.0]


def test_a_file_without_roll_ups_gets_them(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.duckdb"
    with DuckDBStore(path) as store:
        store.write(at(FLOW, [0, 1], [1.0, 2.0]))
        store.write(at(POWER, [-1], [7.0]))
    with duckdb.connect(str(path)) as older:
        for table in ("rollups", "unsettled", "writes"):
            older.execute(f"DROP TABLE {table}")

    with DuckDBStore(path) as store:
        settle(store)

        minutes = store.read_rollups([FLOW, POWER], NOON_NS - HOUR_NS, NOON_NS + HOUR_NS, MINUTE_NS)
        assert minutes.last.tolist() == [1.0, 2.0, 7.0]
        assert n_rows(store, "rollups") == 5


def test_writing_goes_on_while_hours_are_settled_and_nothing_is_missed(tmp_path: Path) -> None:
    with DuckDBStore(tmp_path / "telemetry.duckdb") as store:
        done = threading.Event()

        def keep_settling() -> None:
            while not done.is_set():
                store.maintain()

        keeper = threading.Thread(target=keep_settling)
        keeper.start()
        try:
            for number in range(150):
                store.write(at(FLOW, [number % 50, 70 + number % 7], [float(number), 1.0]))
        finally:
            done.set()
            keeper.join()
        settle(store)

        hour = store.read_rollups([FLOW], NOON_NS, NOON_NS + HOUR_NS, HOUR_NS)
        assert hour.count.tolist() == [50]
        assert hour.total.tolist() == [float(np.arange(100, 150).sum())]
        assert n_rows(store, "samples") == 57


def test_the_newest_sample_follows_writes_also_late_and_corrected_ones(tmp_path: Path) -> None:
    with DuckDBStore(tmp_path / "telemetry.duckdb") as store:
        store.write(at(FLOW, [5], [5.0]))
        assert store.latest([POWER, FLOW]).value.tolist() == [5.0]

        store.write(at(FLOW, [1, 9], [1.0, 9.0]))
        store.write(at(FLOW, [2], [2.0]))
        store.write(at(FLOW, [9], [9.5]))
        store.write(at(POWER, [0], [0.5]))

        newest = store.latest([POWER, FLOW])
        assert newest.value.tolist() == [0.5, 9.5]
        assert [newest.series[row] for row in newest.series_index] == [POWER, FLOW]


def test_what_is_older_than_is_kept_is_refused_also_after_opening_again(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.duckdb"
    with DuckDBStore(path) as store:
        store.write(at(FLOW, [-120, 10], [1.0, 5.0]))
        settle(store, raw_from_ns=NOON_NS)

    with DuckDBStore(path) as store:
        with pytest.raises(StoreRejectedError, match=r"no longer taken.* raise raw_days"):
            store.write(at(FLOW, [-119, 11], [9.0, 9.0]))

        hours = store.read_rollups([FLOW], NOON_NS - 9 * HOUR_NS, NOON_NS + HOUR_NS, HOUR_NS)
        assert hours.mean.tolist() == [1.0, 5.0]
