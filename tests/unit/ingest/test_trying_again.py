"""Lines of the quarantine tried again: stored and gone, or kept with what is wrong now."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.__main__ import main
from ingest.adapters.duckdb_store import DuckDBStore
from ingest.catalogue import FileCatalogue
from ingest.errors import StoreUnavailableError
from ingest.quarantine import Quarantine
from ingest.service import IngestService
from ingest.telemetry import Series, TelemetryBatch
from ingest.tokens import TokenTable
from ingest.trying_again import TryingAgain

NOW_NS = 1_700_000_000_000_000_000
FLOW = Series("mill-7", "pump-01", "flow_m3_h")
GOOD = f"telemetry,site=mill-7,machine=pump-01,signal=flow_m3_h value=2 {NOW_NS // 10**6}"
UNKNOWN = GOOD.replace("pump-01", "pump-02")
WRONG = GOOD.replace("value=2", "value=two")


class Site:
    """Ingest with its files, without a network."""

    def __init__(self, folder: Path) -> None:
        self.machines = folder / "machines.csv"
        self.machines.write_text("machine\npump-01\n")
        self.store = DuckDBStore(folder / "telemetry.duckdb")
        self.path = folder / "quarantine.sqlite"
        self.quarantine = Quarantine(self.path)
        self.service = IngestService(
            self.store,
            self.quarantine,
            FileCatalogue(self.machines),
            lambda: NOW_NS,
            TokenTable({}),
        )
        self.again = TryingAgain(self.service, self.quarantine)

    def send(self, *lines: str) -> None:
        self.service.ingest("\n".join(lines).encode(), precision="ms", device="mill-7")

    def ask(self, *words: str) -> int:
        return main(["quarantine", words[0], "--file", str(self.path), *words[1:]])

    def stored(self, *series: Series) -> list[tuple[int, float]]:
        batch = self.store.read(series, 0, 2 * NOW_NS)
        return list(zip(batch.source_time_ns.tolist(), batch.value.tolist(), strict=True))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    one = Site(tmp_path)
    yield one
    one.quarantine.close()
    one.store.close()


def test_a_line_is_stored_once_its_machine_is_known_in_the_precision_it_came_with(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.send(GOOD, UNKNOWN)
    site.machines.write_text("machine\npump-01\npump-02\n")
    site.service._catalogue = FileCatalogue(site.machines)

    assert site.ask("retry", "--reason", "unknown machine") == 0
    assert "1 lines are to be tried again" in capsys.readouterr().out
    assert site.again.step() == 1
    assert site.again.step() == 0

    assert site.stored(FLOW._replace(machine="pump-02")) == [(NOW_NS, 2.0)]
    assert site.quarantine.count().n_kept == 0


def test_what_was_mended_is_stored_in_the_place_of_the_line(site: Site) -> None:
    site.send(WRONG)
    (line,) = site.quarantine.lines()

    assert site.ask("mend", str(line.id), GOOD) == 0
    site.again.step()

    assert site.stored(FLOW) == [(NOW_NS, 2.0)]
    assert site.quarantine.lines() == []


def test_a_line_that_is_still_wrong_stays_with_its_reason_of_now(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.send(WRONG)
    (line,) = site.quarantine.lines()

    site.ask("mend", str(line.id), UNKNOWN)
    site.again.step()

    (after,) = site.quarantine.lines()
    assert (after.line, after.mended) == (WRONG, UNKNOWN)
    assert after.reason == "unknown machine pump-02"
    assert site.ask("show", str(line.id)) == 0
    assert f"mended    {UNKNOWN}" in capsys.readouterr().out
    assert site.again.step() == 0


def test_a_mended_line_without_a_sample_is_no_success(site: Site) -> None:
    site.send(WRONG)

    site.ask("mend", "1", "# nothing")
    site.again.step()

    assert site.quarantine.lines()[0].reason == "there is no sample in it"


def test_while_the_store_is_away_the_line_waits(site: Site) -> None:
    site.send(WRONG)
    site.ask("mend", "1", GOOD)
    site.store.close()

    with pytest.raises(StoreUnavailableError):
        site.again.step()

    assert [line.id for line in site.quarantine.wanted(10)] == [1]


def test_dropped_lines_are_gone_and_missing_ones_told(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.send(WRONG, UNKNOWN)

    assert site.ask("drop", "1", "7") == 2

    said = capsys.readouterr()
    assert "1 lines are removed" in said.out
    assert "1 lines are not there" in said.err
    assert [line.id for line in site.quarantine.lines()] == [2]
    assert site.quarantine.count().n_kept == 1


def test_retry_wants_numbers_or_a_reason(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.ask("retry") == 2
    assert site.ask("retry", "1", "--reason", "x") == 2
    assert "and not both" in capsys.readouterr().err


def test_a_quarantine_of_an_earlier_version_can_be_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "quarantine.sqlite"
    with sqlite3.connect(path) as older:
        older.executescript("""
            CREATE TABLE set_aside (
                id INTEGER PRIMARY KEY AUTOINCREMENT, received_at_ns INTEGER NOT NULL,
                device TEXT NOT NULL, line TEXT NOT NULL, reason TEXT NOT NULL,
                remedy TEXT NOT NULL, n_bytes INTEGER NOT NULL
            );
            INSERT INTO set_aside VALUES (1, 7, 'mill-7', 'x', 'why', 'how', 20);
        """)
    older.close()

    with Quarantine(path) as quarantine:
        assert quarantine.want([1]) == 1
        (line,) = quarantine.wanted(10)

    assert (line.precision, line.site, line.mended) == ("ns", None, None)


def test_a_sample_in_the_future_of_its_receipt_is_judged_by_the_clock_of_now(site: Site) -> None:
    later = GOOD.replace(str(NOW_NS // 10**6), str(NOW_NS // 10**6 + 3_600_000))
    site.send(later)
    assert site.quarantine.count().n_kept == 1
    site.service._clock_ns = lambda: NOW_NS + 3600 * 10**9

    site.ask("retry", "1")
    site.again.step()

    assert isinstance(site.store.latest([FLOW]), TelemetryBatch)
    assert site.stored(FLOW) == [(NOW_NS + 3600 * 10**9, 2.0)]
