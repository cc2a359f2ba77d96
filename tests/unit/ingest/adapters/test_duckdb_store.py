"""What the embedded store promises beyond every store: durable, one process, plain errors."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ingest.adapters.duckdb_store import DuckDBStore
from ingest.errors import StoreUnavailableError
from ingest.telemetry import Series, TelemetryBatch

FLOW = Series("mill-7", "pump-01", "flow_m3_h")
POWER = Series("mill-7", "pump-01", "motor_power_kw")


def one(series: Series, time_ns: int, value: float) -> TelemetryBatch:
    return TelemetryBatch.of([series], [0], [time_ns], [value], [0])


def in_another_process(program: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.duckdb"
    program = f"""
import os, signal
from pathlib import Path
from ingest.adapters.duckdb_store import DuckDBStore
from ingest.telemetry import Series, TelemetryBatch
store = DuckDBStore(Path({str(path)!r}))
for k in range(20):
    store.write(TelemetryBatch.of([Series("mill-7", "pump-01", "flow_m3_h")], [0], [k], [k], [0]))
os.kill(os.getpid(), signal.SIGKILL)
"""

    in_another_process(program)

    with DuckDBStore(path) as store:
        assert store.read([FLOW], 0, 100).value.tolist() == list(range(20))


def test_a_file_in_use_elsewhere_is_told_plainly(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.duckdb"
    program = f"""
from pathlib import Path
from ingest.adapters.duckdb_store import DuckDBStore
DuckDBStore(Path({str(path)!r}))
"""

    with DuckDBStore(path):
        ended = in_another_process(program)

    assert "no other staybolt process is using it" in ended.stderr


def test_a_file_that_is_no_database_is_told_plainly(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.duckdb"
    path.write_text("something else entirely " * 1000)

    with pytest.raises(StoreUnavailableError, match=r"can't be opened"):
        DuckDBStore(path)


def test_a_closed_store_says_so_and_what_failed_is_not_half_there(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.duckdb"
    store = DuckDBStore(path)
    store.write(one(FLOW, 1, 1.0))
    store.close()

    with pytest.raises(StoreUnavailableError, match=r"did not answer"):
        store.write(one(POWER, 1, 1.0))

    with DuckDBStore(path) as store:
        assert store.series() == (FLOW,)


def test_later_writes_win_also_after_opening_again(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.duckdb"
    for value in (1.0, 2.0, 3.0):
        with DuckDBStore(path) as store:
            store.write(one(FLOW, 1, value))

    with DuckDBStore(path) as store:
        assert store.read([FLOW], 0, 2).value.tolist() == [3.0]
        assert store.latest([FLOW]).value.tolist() == [3.0]


def test_the_database_may_neither_read_other_files_nor_fetch_extensions(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with (
        DuckDBStore(tmp_path / "telemetry.duckdb") as store,
        pytest.raises(StoreUnavailableError, match=r"Permission"),
        store._file.cursor() as cursor,
    ):
        cursor.execute("SELECT * FROM read_csv(?)", [str(tmp_path / "secret.csv")])


def test_a_new_log_has_its_name_on_the_disk_before_its_first_write_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    fsync = os.fsync

    def remember(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    with DuckDBStore(tmp_path / "telemetry.duckdb") as store:
        store.write(one(FLOW, 1, 1.0))
    with DuckDBStore(tmp_path / "telemetry.duckdb") as store:
        monkeypatch.setattr(os, "fsync", remember)
        store.write(one(FLOW, 2, 2.0))

    assert tmp_path.stat().st_ino in synced


def test_a_folder_that_can_not_be_synced_acknowledges_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with DuckDBStore(tmp_path / "telemetry.duckdb") as store:
        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(StoreUnavailableError, match="check the disk"):
            store.write(one(FLOW, 1, 1.0))
        monkeypatch.undo()
        store.write(one(FLOW, 1, 3.0))

        assert store.read([FLOW], 0, 10).value.tolist() == [3.0]


def test_many_new_series_are_written_at_once(tmp_path: Path) -> None:
    series = tuple(Series("mill-7", "pump-02", f"s{number}_mm_s") for number in range(20_000))
    row = np.arange(len(series), dtype=np.uint32)
    batch = TelemetryBatch.of(series, row, row.astype(np.int64), row * 0.5, row * 0)

    with DuckDBStore(tmp_path / "telemetry.duckdb") as store:
        began_s = time.monotonic()
        store.write(batch)
        took_s = time.monotonic() - began_s

        assert store.latest(series[-1:]).value.tolist() == [(len(series) - 1) * 0.5]
    # One insert for each took 8 s; all at once takes 0.1 s.
    assert took_s < 4.0
    with DuckDBStore(tmp_path / "telemetry.duckdb") as store:
        assert len(store.series()) == len(series)
