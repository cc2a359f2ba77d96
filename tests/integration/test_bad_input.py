"""Bad input, given to the real programs as a user would.

Each case asks for the same: a message that says what, where and how to mend it; exit code 2 where
the input is at fault; no traceback; and everything good beside the bad thing is kept.
"""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

from tests.unit.api.registry.business import small_business, write_business

WITHIN_S = 60.0
MACHINE = "pump-01"
SIGNAL = "vibration_mm_s"
NS_PER_S = 1_000_000_000
CENTURY_NS = 100 * 365 * 86_400 * NS_PER_S

OK, FAILED, REFUSED, SET_ASIDE, UNHEARD = 0, 1, 2, 3, 141


def command(program: str, *words: str | Path) -> list[str]:
    """Command line of a program, as it is installed beside this Python."""
    return [str(Path(sys.executable).parent / program), *map(str, words)]


@dataclass(frozen=True)
class Ended:
    """How a program ended, and what it said."""

    code: int
    said: str

    def must(self, code: int, *parts: str) -> None:
        assert "Traceback" not in self.said, self.said
        assert self.code == code, self.said
        for part in parts:
            assert part in self.said


def run(folder: Path, program: str, *words: str | Path) -> Ended:
    done = subprocess.run(
        command(program, *words),
        cwd=folder, capture_output=True, text=True, check=False, timeout=WITHIN_S,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout + done.stderr)


@dataclass
class Server:
    """One running `staybolt serve` with a small business in it."""

    url: str
    state: Path
    token: str
    business: Path
    last_ns: int

    def now_ns(self) -> int:
        """A time that no other sample here has."""
        self.last_ns += 1000
        return self.last_ns

    def post(
        self, body: bytes, *, token: str | None = None, is_gzip: bool = False
    ) -> httpx.Response:
        headers = {"authorization": f"Token {self.token if token is None else token}"}
        if is_gzip:
            headers["content-encoding"] = "gzip"
        return httpx.post(
            f"{self.url}/api/v2/write?bucket=telemetry&precision=ns",
            headers=headers, content=body, timeout=WITHIN_S,
        )  # fmt: skip

    def n_samples(self) -> int:
        answer = httpx.get(
            f"{self.url}/v1/machines/{MACHINE}/signals/{SIGNAL}/samples", timeout=WITHIN_S
        )
        return int(answer.json()["n_samples"]) if answer.status_code == 200 else 0

    def newest_set_aside(self) -> dict[str, str]:
        file = self.state / "quarantine.sqlite"
        listed = run(
            self.state, "staybolt-ingest", "quarantine", "list", "--json", "--limit", "1",
            "--file", file,
        )  # fmt: skip
        listed.must(OK)
        return dict(json.loads(listed.said))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    state, log = folder / "state", folder / "server.log"
    business = write_business(folder / "business", small_business())
    run(folder, "staybolt", "import", business, "--state-dir", state).must(OK)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command("staybolt", "serve", "--state-dir", state, "--port", "0"),
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + WITHIN_S
        while (found := re.search(r"ready at (http://\S+)/", log.read_text())) is None:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        token = (state / "ingest_token").read_text().strip()
        yield Server(found[1], state, token, business, time.time_ns() - 3600 * NS_PER_S)
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(WITHIN_S)
    Ended(code, log.read_text()).must(OK)


def line(time_ns: int | str, *, machine: str = MACHINE, value: str = "2.5") -> str:
    return f"telemetry,site=mill-7,machine={machine},signal={SIGNAL} value={value} {time_ns}"


# --- settings ----------------------------------------------------------------------------------

INGEST = 'token_file = "token"\n[quarantine]\npath = "q.sqlite"\n[store]\n'
DUCKDB = 'kind = "duckdb"\npath = "t.duckdb"\n'
INFLUX1 = 'kind = "influx1"\nurl = "http://127.0.0.1:1"\ndatabase = "telemetry"\n'
EDGE = (
    'site = "mill-7"\nstate_dir = "edge"\n[uplink]\nurl = "http://127.0.0.1:1"\n'
    'token_file = "token"\n[[opcua]]\nname = "hall"\nendpoint = "opc.tcp://127.0.0.1:1"\n'
    'trusted_servers_dir = "trust"\n[[opcua.nodes]]\nnamespace_uri = "urn:x"\nnode_id = "s=a"\n'
    'machine = "press-04"\nsignal = "vibration_mm_s"\nunit = "mm/s"\n'
)
SERVE = ("staybolt", "serve", "--port", "0", "--state-dir", "state", "--config")
INGEST_SERVE = ("staybolt-ingest", "serve", "--config")
EDGE_CHECK = ("staybolt-edge", "check", "--config")


@pytest.mark.parametrize(
    ("words", "settings", "parts"),
    [
        pytest.param(
            SERVE, "prot = 8080\n", ["bad.toml, prot: unknown key", "sample-config"],
            id="the server meets an unknown key",
        ),
        pytest.param(
            SERVE, "update_interval_ms = 500\n", ["bad.toml, update_interval_ms: unknown key"],
            id="the server meets a wrong unit",
        ),
        pytest.param(
            SERVE, "[telemetry]\n" + INFLUX1,
            ["telemetry: http://127.0.0.1:1", "did not answer", "check that it runs"],
            id="the server's store is unreachable",
        ),
        pytest.param(
            INGEST_SERVE, "prot = 8080\n" + INGEST + DUCKDB, ["bad.toml, prot", "mean port?"],
            id="ingest meets an unknown key",
        ),
        pytest.param(
            INGEST_SERVE, "max_future_ms = 5\n" + INGEST + DUCKDB,
            ["bad.toml, max_future_ms", "mean max_future_s?"],
            id="ingest meets a wrong unit",
        ),
        pytest.param(
            INGEST_SERVE, "port = 0\n" + INGEST + INFLUX1,
            ["bad.toml, store: http://127.0.0.1:1", "did not answer", "check that it runs"],
            id="ingest's store is unreachable",
        ),
        pytest.param(
            EDGE_CHECK, "prot = 1\n" + EDGE, ["bad.toml, prot: unknown key; known keys are"],
            id="the edge agent meets an unknown key",
        ),
        pytest.param(
            EDGE_CHECK, EDGE.replace("mm/s", "m/s"),
            ["bad.toml, opcua[0].nodes[0].unit", "write unit = 'mm/s'"],
            id="the edge agent meets a wrong unit",
        ),
        pytest.param(
            ("staybolt-edge", "check", "--connect", "--config"), EDGE,
            ["bad.toml, uplink: http://127.0.0.1:1 can't be reached"],
            id="the edge agent's uplink is unreachable",
        ),
    ],
)  # fmt: skip
def test_settings_are_refused_with_what_where_and_remedy(
    tmp_path: Path, words: Sequence[str], settings: str, parts: Sequence[str]
) -> None:
    (tmp_path / "bad.toml").write_text(settings)
    (tmp_path / "token").write_text("0123456789abcdef0123456789\n")
    (tmp_path / "token").chmod(0o600)

    ended = run(tmp_path, *words, "bad.toml")

    ended.must(REFUSED, *parts)


# --- samples -----------------------------------------------------------------------------------

BAD_LINES = [
    pytest.param("telemetry,site=mill-7 2.31", "field", id="malformed"),
    pytest.param(line("{now}", value="NaN"), "NaN", id="not a number"),
    pytest.param(line("{now}", machine="nobody"), "unknown machine nobody", id="unknown machine"),
    pytest.param(line("{future}"), "in the future", id="far future"),
    pytest.param(line("9" * 30), "time", id="a time no clock can show"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD_LINES)
def test_a_bad_line_is_set_aside_and_its_neighbours_are_stored(
    server: Server, bad: str, reason: str
) -> None:
    bad = bad.format(now=server.now_ns(), future=server.now_ns() + CENTURY_NS)
    before = server.n_samples()

    answer = server.post(f"{line(server.now_ns())}\n{bad}\n{line(server.now_ns())}\n".encode())

    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid"
    message = answer.json()["message"]
    assert message.startswith("partial write: line 2: ")
    assert reason in message
    assert message.endswith("dropped=1")
    assert server.n_samples() == before + 2
    kept = server.newest_set_aside()
    assert kept["line"] == bad
    assert kept["reason"] in message
    assert kept["remedy"] in message


def test_a_bad_line_is_told_to_influxdb_s_own_client(server: Server) -> None:
    before = server.n_samples()
    good, bad = line(server.now_ns()), line(server.now_ns(), machine="nobody")

    with (
        InfluxDBClient(server.url, token=server.token, org="-") as client,
        client.write_api(write_options=SYNCHRONOUS) as writer,
        pytest.raises(ApiException) as refused,
    ):
        writer.write("telemetry", record=[good, bad])

    assert refused.value.status == 400
    assert "line 2: unknown machine nobody" in str(refused.value.message)
    assert server.n_samples() == before + 1


@pytest.mark.parametrize(
    ("body", "is_gzip", "token", "status", "part"),
    [
        pytest.param(b"\xff\xfe\x80" * 99, False, None, 400, "UTF-8", id="binary"),
        pytest.param(b"\xff\xfe" * 99, True, None, 400, "is not gzip", id="no gzip"),
        pytest.param(gzip.compress(b"x" * 99)[:-9], True, None, 400, "cut short", id="cut short"),
        pytest.param(b"x" * 10_000_001, False, None, 413, "send fewer lines", id="huge"),
        pytest.param(gzip.compress(bytes(50_000_000)), True, None, 413, "fewer lines", id="bomb"),
        pytest.param(b"x", False, "wrong", 401, "Authorization: Token", id="wrong token"),
    ],
)
def test_a_body_that_can_not_be_read_harms_nothing(
    server: Server, body: bytes, is_gzip: bool, token: str | None, status: int, part: str
) -> None:
    before = server.n_samples()

    answer = server.post(body, is_gzip=is_gzip, token=token)
    after = server.post(line(server.now_ns()).encode())

    assert answer.status_code == status
    assert part in answer.json()["message"]
    assert after.status_code == 204
    assert server.n_samples() == before + 1


def test_a_line_with_a_flood_of_new_signals_does_not_hold_up_others(server: Server) -> None:
    before = server.n_samples()
    fields = ",".join(f"s{number}_mm_s=1" for number in range(20_000))
    began_s = time.monotonic()

    server.post(f"telemetry,site=mill-7,machine=pump-03 {fields}\n".encode())
    after = server.post(line(server.now_ns()).encode())

    assert after.status_code == 204
    assert server.n_samples() == before + 1
    # One insert for each series took 8 s where this takes 0.3 s.
    assert time.monotonic() - began_s < 5.0


# --- business facts ----------------------------------------------------------------------------


def test_a_missing_column_refuses_the_folder_and_a_bad_date_only_its_row(tmp_path: Path) -> None:
    tables = small_business()
    for row in tables["visits"]:
        del row["work_order_key"]
    write_business(tmp_path / "business", tables)

    refused = run(tmp_path, "staybolt", "import", "business", "--state-dir", "state")

    refused.must(
        REFUSED, "visits.csv, line 1, work_order_key: this column is missing; add it",
        "Nothing was imported",
    )  # fmt: skip

    tables = small_business()
    tables["visits"][0]["arrived_at"] = "31.02.2026"
    write_business(tmp_path / "business", tables)

    mended = run(tmp_path, "staybolt", "import", "business", "--state-dir", "state")
    listed = run(tmp_path, "staybolt", "set-aside", "list", "--state-dir", "state")

    where = 'visits.csv, line 2, arrived_at: "31.02.2026" is not a time; write it as 2026-01-31T'
    mended.must(SET_ASIDE, "16 rows written", "1 set aside", where)
    listed.must(OK, where)


def test_an_import_into_a_running_server_keeps_its_old_facts(server: Server) -> None:
    run(server.state, "staybolt", "import", server.business, "--state-dir", server.state).must(
        OK, "Nothing new: 17 rows known already"
    )


# --- command lines -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "parts"),
    [
        (("staybolt", "import", "nowhere"), REFUSED, ["nowhere: ", "give a folder with"]),
        (("staybolt", "import", "."), REFUSED, ["nothing to import; put in"]),
        (
            ("staybolt", "set-aside", "list", "--state-dir", "nowhere"),
            REFUSED,
            ["nowhere/registry.sqlite: there is none", "check --state-dir"],
        ),
        (("staybolt", "imports", "undo", "9" * 30), REFUSED, ["is not a number from 1 to"]),
        (("staybolt", "serve", "--state-dir", "a-file"), REFUSED, ["a-file", "another folder"]),
        (("staybolt", "fit-health-model", "--table", "no.csv"), REFUSED, ["no.csv", "give a CSV"]),
        (("staybolt", "demo", "--check", "--dir", "a-file"), REFUSED, ["a-file", "--dir"]),
        (("staybolt", "demo", "--port", "70000"), REFUSED, ["70000 is no port"]),
        (("staybolt", "demo", "--turbofans", "no"), REFUSED, ["no train_FD001.txt; name the"]),
        (
            ("staybolt-ingest", "quarantine", "list", "--file", "no.sqlite"),
            FAILED,
            ["no.sqlite: there is no quarantine here", "mend the path"],
        ),
        (
            ("staybolt-sim", "replay", "cmapss", "--data", "no", "--subset", "FD001",
             "--units", "1", "--dir", "plant", "--trust-client", "no.der"),
            REFUSED,
            ["--data: no holds no C-MAPSS data", "name the folder"],
        ),
        (
            ("staybolt-sim", "run", "--dir", "plant", "--trust-client", "no.der"),
            REFUSED,
            ["no.der can't be read", "staybolt-edge keys"],
        ),
    ],
)  # fmt: skip
def test_a_command_that_can_not_work_says_how_it_can(
    tmp_path: Path, words: Sequence[str], code: int, parts: Sequence[str]
) -> None:
    (tmp_path / "a-file").write_text("not a folder")

    ended = run(tmp_path, *words)

    ended.must(code, *parts)
    assert not (tmp_path / "nowhere").exists()


def test_a_port_that_is_taken_is_said_to_be_taken(server: Server, tmp_path: Path) -> None:
    port = server.url.rpartition(":")[2]

    run(tmp_path, "staybolt", "serve", "--state-dir", "other", "--port", port).must(
        REFUSED, f"port {port}", "choose another with --port"
    )
    run(tmp_path, "staybolt", "demo", "--no-browser", "--port", port).must(
        REFUSED, f"port {port} is taken", "give another one with --port"
    )
    assert not (tmp_path / ".demo").exists()


def test_a_second_server_on_one_state_folder_leaves_the_first_alone(server: Server) -> None:
    second = run(server.state, "staybolt", "serve", "--port", "0", "--state-dir", server.state)

    second.must(FAILED, "telemetry.duckdb", "no other staybolt process is using it")
    assert server.post(line(server.now_ns()).encode()).status_code == 204


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("registry.sqlite", "move it away and restore its backup"),
        ("telemetry.duckdb", "move it away and restore its backup"),
        ("quarantine.sqlite", "move it away and restart"),
        ("ingest_token", "put the token there"),
    ],
)
def test_a_damaged_state_file_is_named_and_left_as_it_is(
    tmp_path: Path, name: str, remedy: str
) -> None:
    damaged = b"\xffno longer what it was" * 500
    (tmp_path / name).write_bytes(damaged)

    ended = run(tmp_path, "staybolt", "serve", "--port", "0", "--state-dir", ".")

    ended.must(REFUSED if name == "ingest_token" else FAILED, name, remedy)
    assert (tmp_path / name).read_bytes() == damaged


# --- output ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("staybolt", "imports", "list"), UNHEARD),
        (("staybolt-sim", "generate", "run-to-failure", "--dir", "lives"), UNHEARD),
        (("staybolt-ingest", "quarantine", "list", "--file", "quarantine.sqlite"), OK),
    ],
)
def test_output_that_nobody_reads_any_more_ends_a_program_quietly(
    server: Server, words: Sequence[str], code: int
) -> None:
    where = ("--state-dir", ".") if words[0] == "staybolt" else ()
    reading, writing = os.pipe()
    os.close(reading)

    with os.fdopen(writing, "wb") as unheard:
        done = subprocess.run(
            command(*words, *where), cwd=server.state, stdout=unheard, stderr=subprocess.PIPE,
            text=True, check=False, timeout=WITHIN_S,
        )  # fmt: skip

    assert (done.returncode, done.stderr) == (code, "")


@pytest.mark.parametrize(
    "words",
    [
        ("staybolt", "imports", "list", "--state-dir", "."),
        ("staybolt-sim", "generate", "run-to-failure", "--dir", "lives", "--units-per-kind", "1"),
        ("staybolt-ingest", "quarantine", "list", "--file", "quarantine.sqlite"),
    ],
)
def test_output_to_a_full_disk_is_told(server: Server, words: Sequence[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command(*words), cwd=server.state, stdout=full, stderr=subprocess.PIPE, text=True,
            check=False, timeout=WITHIN_S,
        )  # fmt: skip

    Ended(done.returncode, done.stderr).must(FAILED, "No space left", "check that the disk has")
    assert "Exception ignored" not in done.stderr
