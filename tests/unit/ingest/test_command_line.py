"""``staybolt-ingest``: starts, takes, stops, and tells plainly what is wrong."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from ingest.__main__ import main
from ingest.adapters.duckdb_store import DuckDBStore
from ingest.quarantine import Quarantine
from ingest.telemetry import RejectedLine, Series, TelemetryBatch

TOKEN = "6f1c" * 8
START_TIMEOUT_S = 30.0

CONFIG = """
port = 0
token_file = "tokens"
machines_file = "machines.csv"
[store]
kind = "duckdb"
path = "telemetry.duckdb"
[quarantine]
path = "quarantine.sqlite"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "tokens").write_text(f"mill-7 {TOKEN}\n")
    (tmp_path / "machines.csv").write_text("machine\npump-01\n")
    path = tmp_path / "ingest.toml"
    path.write_text(CONFIG)
    return path


@contextlib.contextmanager
def running(config: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    command = [sys.executable, "-m", "ingest", "serve", "--config", str(config)]
    with (
        (config.parent / "log").open("w+") as log,
        subprocess.Popen(command, stderr=log, text=True) as process,
    ):
        try:
            yield process, address_in(config.parent / "log", process)
        finally:
            process.kill()


def address_in(log: Path, process: "subprocess.Popen[str]") -> str:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"taking telemetry at (http\S+)", log.read_text())
        if found is not None:
            return found.group(1)
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def post(url: str, body: str) -> int:
    with urllib3.PoolManager() as pool:
        return pool.request(
            "POST",
            f"{url}/api/v2/write?bucket=telemetry",
            body=body,
            headers={"Authorization": f"Token {TOKEN}"},
        ).status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_takes_telemetry_until_it_is_stopped_and_keeps_it(
    config: Path, number: signal.Signals
) -> None:
    good = "telemetry,site=mill-7,machine=pump-01,signal=flow_m3_h value=1.5"

    with running(config) as (process, url):
        assert post(url, good) == 204
        assert post(url, f"{good}\n{good.replace('pump-01', 'pump-02')}") == 400
        process.send_signal(number)
        assert process.wait(20) == 0

    with DuckDBStore(config.parent / "telemetry.duckdb") as store:
        assert store.series() == (Series("mill-7", "pump-01", "flow_m3_h"),)
    assert "mill-7: 2 samples stored, 1 lines set aside" in (config.parent / "log").read_text()
    assert main(["quarantine", "list", "--config", str(config)]) == 0


def test_what_was_acknowledged_is_there_after_a_kill(config: Path) -> None:
    with running(config) as (process, url):
        good = "telemetry,site=a,machine=pump-01,signal=flow_m3_h value=1.5"
        assert post(url, f"{good}\nx") == 400
        process.kill()

    with DuckDBStore(config.parent / "telemetry.duckdb") as store:
        assert store.latest(store.series()).value.tolist() == [1.5]
    with Quarantine(config.parent / "quarantine.sqlite") as quarantine:
        assert [line.line for line in quarantine.lines()] == ["x"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("port = 0", "prot = 0", "ingest.toml, prot: unknown key; did you mean port?"),
        ('"tokens"', '"nowhere"', "nowhere can't be read: No such file"),
        ('"machines.csv"', '"tokens"', "tokens: no column machine"),
        ('path = "telemetry.duckdb"', 'path = "."', "ingest.toml, store: "),
        ('kind = "duckdb"\npath = "telemetry.duckdb"',
         'kind = "influx1"\nurl = "http://127.0.0.1:1"\ndatabase = "x"',
         "ingest.toml, store: http://127.0.0.1:1: InfluxDB did not answer"),
        ('kind = "duckdb"\npath = "telemetry.duckdb"',
         'kind = "influx2"\nurl = "http://x"\norg = "o"\nbucket = "b"\ntoken_file = "nowhere"',
         "nowhere can't be read"),
        ("port = 0", 'host = "192.0.2.1"\nallow_plain_http = true',
         "ingest.toml, host and port: 192.0.2.1 port 8090 can't be had"),
    ],
)  # fmt: skip
def test_settings_that_can_not_work_end_with_2_and_a_plain_message(
    config: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, told: str
) -> None:
    config.write_text(CONFIG.replace(old, new))

    assert main(["serve", "--config", str(config)]) == 2

    errors = capsys.readouterr().err
    assert told in errors
    assert "Traceback" not in errors


def test_a_port_that_is_taken_is_told(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        config.write_text(CONFIG.replace("port = 0", f"port = {port}"))

        assert main(["serve", "--config", str(config)]) == 2

    assert f"127.0.0.1 port {port} can't be had" in capsys.readouterr().err


def test_lines_set_aside_are_listed_and_shown_without_steering_the_terminal(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Quarantine(config.parent / "quarantine.sqlite") as quarantine:
        hostile = RejectedLine(1, "a\x1b[2Jb" + "x" * 200, "no fields", "write one")
        quarantine.set_aside([hostile] * 3, device="mill-7", received_at_ns=1_700_000_000 * 10**9)

    assert main(["quarantine", "list", "--config", str(config), "--limit", "1"]) == 0
    listed = capsys.readouterr().out
    assert listed.startswith("3  2023-11-14 22:13:20 UTC  mill-7  no fields\n    a\\x1b[2Jbxxx")
    assert listed.endswith("…\n3 lines are set aside\n")

    assert main(["quarantine", "list", "--config", str(config), "--before", "3", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["id"] for line in lines] == [2, 1]
    assert lines[0]["line"] == hostile.line

    assert main(["quarantine", "show", "2", "--config", str(config)]) == 0
    shown = capsys.readouterr().out
    assert "x" * 200 in shown
    assert "\x1b" not in shown
    assert "remedy    write one" in shown


def test_a_line_that_is_not_there_is_told(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quarantine", "list", "--config", str(config)]) == 1
    assert "there is no quarantine here" in capsys.readouterr().err

    Quarantine(config.parent / "quarantine.sqlite").close()
    assert main(["quarantine", "show", "7", "--config", str(config)]) == 2
    assert "there is no line 7" in capsys.readouterr().err


def test_the_sample_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample-config"]) == 0
    assert capsys.readouterr().out.startswith("# Settings of `staybolt-ingest`.")


def test_help_teaches_where_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])

    assert ended.value.code == 0
    assert "Begin with `staybolt-ingest" in capsys.readouterr().out


def test_samples_are_copied_from_one_settings_file_to_another_and_compared(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = config.with_name("other.toml")
    other.write_text(CONFIG.replace("telemetry.duckdb", "other.duckdb"))
    flow = Series("mill-7", "pump-01", "flow_m3_h")
    batch = TelemetryBatch.of([flow], [0, 0, 0], [10**18, 2 * 10**18, 5], [1.0, 2.0, 3.0], [0] * 3)
    with DuckDBStore(config.parent / "telemetry.duckdb") as store:
        store.write(batch)
    command = ["copy", "--config", str(config), "--to", str(other)]
    notes = ["--notes", str(config.parent / "notes")]

    code = main([*command, *notes, "--since", "1970-01-02"])

    assert code == 0
    assert "2 samples are in both stores" in capsys.readouterr().out
    with DuckDBStore(config.parent / "other.duckdb") as store:
        assert store.read([flow], 0, 3 * 10**18).value.tolist() == [1.0, 2.0]
    assert main([*command, *notes]) == 1
    assert "belongs to a copy of other series or times" in capsys.readouterr().err
