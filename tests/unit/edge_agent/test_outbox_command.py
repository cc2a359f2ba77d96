"""``staybolt-edge outbox``: looking, copying out and mending, beside a running agent."""

from pathlib import Path

import pytest

from edge_agent.__main__ import main
from edge_agent.outbox import Outbox
from edge_agent.records import Entry, Misfit
from edge_agent.settings_file import SAMPLE_CONFIG

LINE = (
    b"telemetry,site=mill-7,machine=m,signal=flow_m3_h value=1.5,quality=0i 1700000000000000000\n"
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "edge.toml"
    path.write_text(SAMPLE_CONFIG.read_text().replace("/var/lib/staybolt-edge", "state"))
    return path


@pytest.fixture
def running(config: Path) -> "Outbox":
    outbox = Outbox(config.parent / "state" / "outbox.sqlite", 10**6)
    outbox.append([Entry("raw", LINE, 1), Entry("alarm", LINE, 1)])
    outbox.append([], [Misfit("mqtt hall-2", "not JSON", b"{")])
    outbox.append([Entry("raw", LINE, 1)])
    outbox.set_aside([3], "400 type conflict")
    return outbox


def run(config: Path, *arguments: str) -> int:
    return main(["outbox", "--config", str(config), *arguments])


def test_what_waits_is_copied_as_lines_and_as_a_table(
    config: Path, running: Outbox, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, table = config.parent / "lines.txt", config.parent / "table.csv"

    assert run(config, "export", "--to", str(lines)) == 0
    assert run(config, "export", "--to", str(table), "--format", "csv") == 0
    assert run(config, "export", "--to", str(lines)) != 0, "nothing is written over"

    running.close()
    assert lines.read_bytes() == 2 * LINE
    assert table.read_text().splitlines() == [
        "site,machine,signal,time_ns,value,quality,priority",
        "mill-7,m,flow_m3_h,1700000000000000000,1.5,0,raw",
        "mill-7,m,flow_m3_h,1700000000000000000,1.5,0,alarm",
    ]


def test_an_entry_is_shown_mended_and_sent_by_the_running_agent(
    config: Path, running: Outbox, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    mended = config.parent / "mended.txt"
    mended.write_bytes(LINE.replace(b"1.5", b"2.5"))

    assert run(config, "quarantine", "show", "1") == 0
    shown = capsysbinary.readouterr().out
    assert run(config, "quarantine", "retry", "1") == 2
    refused = capsysbinary.readouterr().err
    assert run(config, "quarantine", "retry", "1", "--with", str(mended)) == 0
    assert run(config, "quarantine", "retry", "2") == 0
    assert run(config, "quarantine", "retry", "2") == 1
    bodies = [record.body for record in running.read_oldest(10**6, 10)]
    running.close()

    assert shown == b"{"
    assert b"entry 1 can't be sent: line 1" in refused
    assert bodies[2:] == [mended.read_bytes(), LINE]


def test_entries_are_listed_and_dropped(
    config: Path, running: Outbox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(config, "quarantine", "list") == 0
    listed = capsys.readouterr().out
    assert run(config, "quarantine", "drop", "1", "2") == 0
    assert run(config, "inspect") == 0
    inspected = capsys.readouterr().out
    running.close()

    assert "2. " in listed
    assert "refused, record 3: 400 type conflict" in listed
    assert "given up, ever: 1 samples" in inspected
    assert "by hand: 1 samples" in inspected
    assert "set aside: 0 entries" in inspected
