"""Machines announce themselves, wait for a word, and lose nothing while they wait."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest import announced as module
from ingest.__main__ import main
from ingest.adapters.duckdb_store import DuckDBStore
from ingest.announced import AnnouncedMachines, Announcement, Confirmed
from ingest.catalogue import FileCatalogue, append_machines, read_machines
from ingest.errors import AnnouncedError, SettingsError
from ingest.quarantine import Quarantine
from ingest.service import IngestService
from ingest.telemetry import Series
from ingest.telemetry.names import NAME_PATTERN
from ingest.tokens import TokenTable
from ingest.trying_again import TryingAgain

NOW_NS = 1_700_000_000_000_000_000
FLOW = Series("mill-7", "pump-02", "flow_m3_h")


def line(machine: str, n: int = 0, signal: str = "flow_m3_h", site: str = "mill-7") -> str:
    return f"telemetry,site={site},machine={machine},signal={signal} value={n} {NOW_NS - n}"


class Site:
    """Ingest with its files, without a network; `work` is a round of the keeper."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.machines = folder / "machines.csv"
        self.machines.write_text("site,machine\nmill-7,pump-01")
        self.config = folder / "ingest.toml"
        self.config.write_text(
            'token_file = "tokens"\nmachines_file = "machines.csv"\n[store]\nkind = "duckdb"\n'
            'path = "telemetry.duckdb"\n[quarantine]\npath = "quarantine.sqlite"\n'
        )
        self.store = DuckDBStore(folder / "telemetry.duckdb")
        self.quarantine = Quarantine(folder / "quarantine.sqlite")
        self.announced = AnnouncedMachines.beside(folder / "quarantine.sqlite")
        catalogue = FileCatalogue(self.machines)
        self.service = IngestService(
            self.store, self.quarantine, catalogue, lambda: NOW_NS, TokenTable({}),
            announced=self.announced,
        )  # fmt: skip
        self.chores = [
            Confirmed(self.quarantine, catalogue).step,
            TryingAgain(self.service, self.quarantine).step,
        ]

    def send(self, *lines: str, site: str | None = None) -> None:
        self.service.ingest("\n".join(lines).encode(), precision="ns", device="a", site=site)

    def work(self) -> None:
        for chore in self.chores:
            while chore():
                pass

    def ask(self, *words: str) -> int:
        return main(["machines", words[0], "--config", str(self.config), *words[1:]])

    def stored(self, *series: Series) -> list[float]:
        return sorted(self.store.read(series, 0, 2 * NOW_NS).value.tolist())

    def listed(self) -> list[tuple[str, str, int]]:
        return [(one.machine, one.signal, one.n_set_aside) for one in self.announced.signals("new")]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    one = Site(tmp_path)
    yield one
    one.announced.close()
    one.quarantine.close()
    one.store.close()


def test_first_lines_of_unknown_machines_are_listed_with_unit_and_count(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.send(line("pump-01"), line("pump-02", 1), line("pump-02", 2), line("press-04", 3, "note"))
    site.send(line("pump-02", 4))

    assert site.ask("list") == 0
    assert site.ask("list", "--json") == 0

    shown = capsys.readouterr().out
    assert "press-04  site mill-7  since 2023-11-14 22:13:20 UTC  1 samples set aside" in shown
    assert "    note  [unit not told]" in shown
    assert "pump-02  site mill-7  since 2023-11-14 22:13:20 UTC  3 samples set aside" in shown
    assert "    flow_m3_h  [m³/h]" in shown
    assert "pump-01" not in shown
    assert "2 machines;" in shown
    documents = [json.loads(text) for text in shown.splitlines() if text.startswith("{")]
    assert [(one["machine"], one["unit"], one["n_set_aside"]) for one in documents] == [
        ("press-04", None, 1), ("pump-02", "m³/h", 3)
    ]  # fmt: skip


def test_what_a_machine_sent_before_it_was_confirmed_is_stored_afterwards(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.send(*(line("pump-02", n) for n in range(300)), line("press-04"))
    site.work()
    assert site.stored(FLOW) == []

    assert site.ask("confirm", "pump-02") == 0
    site.work()

    assert "1 machines added to machines.csv; 300 lines" in capsys.readouterr().out
    assert site.machines.read_text() == "site,machine\nmill-7,pump-01\n,pump-02\n"
    assert site.stored(FLOW) == [float(n) for n in range(300)]
    assert site.quarantine.count().n_kept == 1
    assert site.listed() == [("press-04", "flow_m3_h", 1)]
    site.send(line("pump-02", 300))
    assert len(site.stored(FLOW)) == 301


def test_lines_are_tried_again_however_the_machine_became_known(site: Site) -> None:
    site.send(line("pump-02", 1))
    site.work()
    assert site.quarantine.count().n_kept == 1

    site.machines.write_text("machine\npump-01\npump-02\n")
    site.work()

    assert site.stored(FLOW) == [1.0]
    assert site.quarantine.count().n_kept == 0


def test_a_line_that_is_wrong_otherwise_too_stays_with_that_reason(site: Site) -> None:
    site.send(line("pump-02").replace(str(NOW_NS), "17"))
    append_machines(site.machines, ["pump-02"])

    site.work()
    site.work()

    (kept,) = site.quarantine.lines()
    assert kept.reason.endswith("days in the past")


def test_a_rejected_machine_is_listed_no_longer_and_can_be_confirmed_later(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.send(line("pump-02", 1))

    assert site.ask("reject", "pump-02") == 0
    site.send(line("pump-02", 2))
    assert site.listed() == []
    assert site.ask("list", "--rejected") == 0
    assert "2 samples set aside, rejected" in capsys.readouterr().out

    assert site.ask("confirm", "pump-02") == 0
    site.work()
    assert site.stored(FLOW) == [1.0, 2.0]


def test_only_machines_that_announced_themselves_can_be_decided_on(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.send(line("pump-02"))

    assert site.ask("confirm", "pump-02", "pump-20") == 2
    assert site.ask("reject", "pump-20") == 2

    assert "'pump-20' has not announced itself, and nothing was changed" in capsys.readouterr().err
    assert read_machines(site.machines) == {"pump-01"}


def test_where_every_machine_may_send_there_is_nothing_to_confirm(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.config.write_text(site.config.read_text().replace('machines_file = "machines.csv"\n', ""))

    assert site.ask("list") == 2

    assert "machines_file: missing, so every machine may send" in capsys.readouterr().err


def test_new_signals_of_known_machines_are_listed_on_request(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        site.send(line("pump-01", 0, "head_bar"))

    assert site.ask("list") == 0
    assert "0 machines;" in capsys.readouterr().out
    assert site.ask("list", "--signals") == 0
    assert "pump-01  site mill-7" in (shown := capsys.readouterr().out)
    assert "known, with new signals" in shown
    assert "    head_bar  [bar]" in shown


def test_nobody_is_announced_under_a_site_that_is_not_the_senders(site: Site) -> None:
    site.send(line("pump-02", site="mill-8"), line("pump-03"), line("a/b"), site="mill-7")

    assert site.listed() == [("pump-03", "flow_m3_h", 1)]
    assert site.quarantine.count().n_kept == 3


def test_what_a_birth_tells_is_kept_when_lines_follow_and_over_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "announced.sqlite"
    with AnnouncedMachines(path) as announced:
        announced.note([Announcement(FLOW, 0, "l/min", 0.0, 50.0)], at_ns=1)
        announced.note([Announcement(FLOW, 7, highest=60.0)], at_ns=5)

    with AnnouncedMachines(path, must_exist=True) as announced:
        (one,) = announced.signals("new")

    assert (one.first_seen_ns, one.last_seen_ns, one.n_set_aside) == (1, 5, 7)
    assert (one.lowest, one.highest) == (0.0, 60.0)


def test_invented_names_do_not_fill_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_SIGNALS", 5)
    with AnnouncedMachines(tmp_path / "a") as announced:
        for n in range(20):
            announced.note([Announcement(Series("s", f"m-{n}", "a"), 1)], at_ns=n)
            announced.note([Announcement(Series("s", "m-0", "a"), 1)], at_ns=n)

        found = announced.signals("new")

    assert [one.machine for one in found] == ["m-0", "m-1", "m-2", "m-3", "m-4"]
    assert found[0].n_set_aside == 21


def test_a_list_that_can_not_be_written_holds_up_nothing(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    with sqlite3.connect(site.folder / "announced.sqlite") as other:
        other.execute("DROP TABLE announced")
    other.close()

    site.send(line("pump-01", 1), line("pump-02", 2))
    site.send(line("pump-02", 3))

    assert site.stored(FLOW._replace(machine="pump-01")) == [1.0]
    assert site.quarantine.count().n_kept == 2
    assert len(caplog.records) == 1


def test_a_list_that_is_not_there_or_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(AnnouncedError, match="no machine has announced itself yet"):
        AnnouncedMachines(tmp_path / "none", must_exist=True)
    (tmp_path / "text").write_text("not a database, but long enough to be looked at as one" * 50)
    with pytest.raises(AnnouncedError, match="can't be opened"):
        AnnouncedMachines(tmp_path / "text")


@given(
    head=st.sampled_from(["machine\n", "\ufeffsite,machine,note\r\n", 'note,machine\n"a,b",x\n']),
    end=st.sampled_from(["", "\n"]),
    names=st.lists(st.from_regex(NAME_PATTERN, fullmatch=True), max_size=4),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_machines_are_added_and_nothing_else_changes(
    tmp_path: Path, head: str, end: str, names: list[str]
) -> None:
    path = tmp_path / "machines.csv"
    path.write_bytes((head.rstrip("\n") + end).encode())
    before, known = path.read_bytes(), read_machines(path)

    added = append_machines(path, names)

    assert read_machines(path) == known | set(names)
    assert path.read_bytes().startswith(before)
    assert added == [name for name in dict.fromkeys(names) if name not in known]
    assert append_machines(path, names) == []
    assert [one.name for one in tmp_path.iterdir()] == ["machines.csv"]


def test_a_name_that_is_not_legal_adds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "machines.csv"
    path.write_text("machine\n")

    with pytest.raises(SettingsError, match="not a legal name"):
        append_machines(path, ["good", "a,b"])

    assert path.read_text() == "machine\n"
