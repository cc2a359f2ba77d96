"""Moving samples from one store to another: all of them, once, also when it was interrupted."""

from pathlib import Path

import numpy as np
import pytest

from ingest.adapters.duckdb_store import DuckDBStore
from ingest.adapters.influx1 import Influx1Store
from ingest.copying import Copied, copy_samples
from ingest.errors import CopyError
from ingest.telemetry import Quality, Series, TelemetryBatch
from tests.servers.launch import HttpServer
from tests.strategies import rows_of

DAY_NS = 86_400_000_000_000
NOW_NS = 1_700_000_000_000_000_000
START_NS = NOW_NS - 3000 * DAY_NS
SERIES = [Series("mill-7", f"pump-{number:03d}", "flow_m3_h") for number in range(250)]


def history(seed: int) -> TelemetryBatch:
    """Samples of 250 series, spread over years with long silences, some bad and without value."""
    rng = np.random.default_rng(seed)
    n = 4000
    days = rng.choice([0, 1, 2, 700, 701, 2999], n)
    quality = rng.choice([Quality.GOOD, Quality.GOOD, Quality.UNCERTAIN, Quality.BAD], n)
    value = np.where(quality == Quality.BAD, np.nan, rng.normal(50.0, 9.0, n))
    times_ns = START_NS + days * DAY_NS + rng.integers(0, DAY_NS, n)
    return TelemetryBatch.of(SERIES, rng.integers(0, 250, n), times_ns, value, quality)


def all_of(store: "DuckDBStore | Influx1Store") -> list[tuple[Series, int, str, int]]:
    return rows_of(store.read(SERIES, START_NS, NOW_NS))


def test_every_sample_arrives_and_the_digest_tells_equal_data(tmp_path: Path) -> None:
    with DuckDBStore(tmp_path / "a.duckdb") as a, DuckDBStore(tmp_path / "b.duckdb") as b:
        a.write(history(1))

        there = copy_samples(a, b, tmp_path / "notes", start_ns=0, end_ns=NOW_NS)

        assert all_of(b) == all_of(a)
        assert there.n_samples == len(all_of(a))


@pytest.mark.server("influxd")
def test_there_and_back_through_influxdb_nothing_changes(
    tmp_path: Path, influxdb1_server: HttpServer
) -> None:
    with (
        DuckDBStore(tmp_path / "a.duckdb") as a,
        Influx1Store(influxdb1_server.url, "copying") as influx,
        DuckDBStore(tmp_path / "b.duckdb") as b,
    ):
        influx.setup()
        a.write(history(2))

        there = copy_samples(a, influx, tmp_path / "there", start_ns=START_NS, end_ns=NOW_NS)
        back = copy_samples(influx, b, tmp_path / "back", start_ns=START_NS, end_ns=NOW_NS)

        assert all_of(b) == all_of(a)
        assert (there.n_samples, there.digest) == (back.n_samples, back.digest)


def test_a_copy_that_was_interrupted_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    class Interrupted(Exception):  # noqa: N818 - a test's own
        pass

    def interrupt(state: Copied) -> None:
        if state.upto_ns > START_NS + 100 * DAY_NS:
            raise Interrupted

    notes = tmp_path / "notes"
    with DuckDBStore(tmp_path / "a.duckdb") as a, DuckDBStore(tmp_path / "b.duckdb") as b:
        a.write(history(3))
        whole = copy_samples(
            a, DuckDBStore(tmp_path / "c.duckdb"), tmp_path / "c", start_ns=0, end_ns=NOW_NS
        )
        with pytest.raises(Interrupted):
            copy_samples(a, b, notes, start_ns=0, end_ns=NOW_NS, watch=interrupt)
        n_done = len(notes.read_text().splitlines())
        # The machine stopped in the middle of a line.
        notes.write_bytes(notes.read_bytes() + b'["abc", 17, ')

        end = copy_samples(a, b, notes, start_ns=0, end_ns=NOW_NS)

        assert end == whole
        assert all_of(b) == all_of(a)
        assert len(notes.read_text().splitlines()) > n_done


def test_a_target_with_other_samples_of_the_series_is_told(tmp_path: Path) -> None:
    with DuckDBStore(tmp_path / "a.duckdb") as a, DuckDBStore(tmp_path / "b.duckdb") as b:
        a.write(history(4))
        b.write(TelemetryBatch.of(SERIES, [3], [START_NS + 5], [1.0], [0]))

        with pytest.raises(CopyError, match=r"store that holds no other samples"):
            copy_samples(a, b, tmp_path / "notes", start_ns=START_NS, end_ns=NOW_NS)


def test_notes_of_another_copy_are_not_gone_on_with(tmp_path: Path) -> None:
    with DuckDBStore(tmp_path / "a.duckdb") as a, DuckDBStore(tmp_path / "b.duckdb") as b:
        a.write(history(5))
        copy_samples(a, b, tmp_path / "notes", start_ns=START_NS, end_ns=NOW_NS)

        with pytest.raises(CopyError, match=r"another copy|other series or times"):
            copy_samples(a, b, tmp_path / "notes", start_ns=START_NS + 1, end_ns=NOW_NS)
