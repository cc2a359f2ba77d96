"""The server as a program: started, written to over HTTP, followed live, stopped by SIGTERM."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from ingest.telemetry import TelemetryBatch, encode_lines
from tests.unit.api import fleet

WITHIN_S = 30.0


@dataclass
class Server:
    """One running server."""

    process: subprocess.Popen[str]
    url: str
    state: Path
    said: list[str] = field(default_factory=list)

    @property
    def token(self) -> str:
        return (self.state / "ingest_token").read_text().split()[-1]

    def get(self, path: str) -> Any:  # noqa: ANN401  # JSON
        answer = httpx.get(self.url + path, timeout=10.0)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def write(self, batch: TelemetryBatch) -> httpx.Response:
        return httpx.post(
            f"{self.url}/api/v2/write?bucket=telemetry&precision=ns",
            headers={"authorization": f"Token {self.token}"},
            content=encode_lines(batch),
            timeout=10.0,
        )

    def wait(self, what: str, found: Callable[[], Any]) -> Any:  # noqa: ANN401  # whatever is found
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline:
            if answer := found():
                return answer
            time.sleep(0.05)
        pytest.fail(f"{what} did not come within {WITHIN_S:.0f} s; the server said: {self.said}")


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "api", *map(str, arguments)]


def run_to_failure_table(path: Path) -> Path:
    rng = np.random.default_rng(5)
    lines = [",".join(["unit", "time_h", *fleet.SIGNALS])]
    for unit in range(8):
        life_h = 700.0 + 60.0 * unit
        age_h = np.arange(0.0, life_h, 2.0)
        values = fleet.readings(fleet.wear_at(age_h, life_h), rng)
        lines += [
            ",".join([f"u{unit}", f"{age:g}", *(f"{value:.6g}" for value in row)])
            for age, row in zip(age_h, values, strict=True)
        ]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    state = folder / "state"
    table = run_to_failure_table(folder / "test-press.csv")
    fitted = subprocess.run(
        command("fit-health-model", "--kind", fleet.KIND, "--table", table, "--state-dir", state),
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert fitted.returncode == 0, fitted.stderr
    assert "coverage_ratio" in fitted.stdout
    with fleet.open_context(state, fleet.Clock(datetime.now(UTC))) as context:
        fleet.record(context, fleet.business_facts(datetime.now(UTC) - timedelta(seconds=1)))
    (state / "staybolt.toml").write_text("update_interval_s = 0.2\n")
    with subprocess.Popen(
        command("serve", "--state-dir", state, "--port", "0"),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        first = process.stdout.readline()
        found = re.search(r"ready at (http://127\.0\.0\.1:\d+)/", first)
        if found is None:
            process.kill()
            pytest.fail(first + process.stdout.read())
        running = Server(process, found[1], state)
        lines = process.stdout
        reader = threading.Thread(target=lambda: running.said.extend(lines), daemon=True)
        reader.start()
        running.wait("the first answer", lambda: _answers(running.url))
        yield running
        process.send_signal(signal.SIGTERM)
        assert process.wait(15.0) == 0, running.said
        reader.join(5.0)
    assert not [line for line in running.said if "Traceback" in line], running.said


def _answers(url: str) -> bool:
    try:
        return httpx.get(url + "/healthz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def events(server: Server) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Live events, as a browser would follow them."""
    followed: list[tuple[str, dict[str, Any]]] = []
    has_begun, is_over = threading.Event(), threading.Event()

    def follow() -> None:
        with httpx.stream("GET", server.url + "/v1/events", timeout=30.0) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            kind = ""
            for line in answer.iter_lines():
                has_begun.set()
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    followed.append((kind, json.loads(line.removeprefix("data: "))))
                if is_over.is_set():
                    return

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    assert has_begun.wait(10.0)
    yield followed
    is_over.set()


def test_samples_over_http_become_a_risk_that_leads_back_to_them(
    server: Server, events: list[tuple[str, dict[str, Any]]]
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)

    answer = server.write(fleet.worn("acme-press-1", now, age_h=700.0))

    assert answer.status_code == 204
    machine = server.wait(
        "a judgement",
        lambda: (m := server.get("/v1/machines/acme-press-1"))["health"] and m,
    )
    assert machine["state"] == "alarm"
    proposal = server.wait(
        "a proposal",
        lambda: [p for p in server.get("/v1/proposals?is_open=true")["items"]
                 if p["machine_key"] == "acme-press-1"],
    )[0]  # fmt: skip
    assert proposal["customer_key"] == "acme"
    driver = server.wait(
        "the machine as a driver",
        lambda: [d for d in server.get("/v1/customers/acme/risk")["drivers"]
                 if d["machine_key"] == "acme-press-1"],
    )[0]  # fmt: skip
    root = server.get(driver["evidence_url"])
    (health,) = [child for child in root["children"] if child["kind"] == "health"]
    assert health["children"][0]["samples"]["n_samples"] == 3 * 351
    server.wait(
        "events of every link",
        lambda: (
            {"samples", "health", "alarm", "proposal", "risk", "update"}
            <= {kind for kind, _ in events}
        ),
    )


def test_a_new_value_reaches_a_live_reader_at_once(
    server: Server, events: list[tuple[str, dict[str, Any]]]
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    began_s = time.monotonic()

    server.write(fleet.batch("calm-press-2", now, np.array([[2.5, 56.0, 31.0]])))

    server.wait(
        "the value",
        lambda: (
            [
                data["machines"]["calm-press-2"]["latest"]["vibration_mm_s"][1]
                for kind, data in list(events)
                if kind == "samples" and "calm-press-2" in data["machines"]
            ]
            == [2.5]
        ),
    )
    assert time.monotonic() - began_s < 1.0


def test_bad_lines_are_refused_and_the_good_ones_beside_them_kept(server: Server) -> None:
    now_ns = time.time_ns()
    body = (
        f"telemetry,site=a,machine=calm-press-1,signal=vibration_mm_s value=2.25 {now_ns}\n"
        f"telemetry,site=a,machine=stranger,signal=vibration_mm_s value=2.0 {now_ns}\n"
        "nonsense\n"
    )

    answer = httpx.post(
        f"{server.url}/api/v2/write?bucket=telemetry&precision=ns",
        headers={"authorization": f"Token {server.token}"},
        content=body.encode(),
    )

    assert answer.status_code == 400
    assert "dropped=2" in answer.json()["message"]
    samples = server.get("/v1/machines/calm-press-1/signals/vibration_mm_s/samples")
    assert samples["value"] == [2.25]


def test_the_ingest_token_is_readable_to_its_owner_only(server: Server) -> None:
    assert (server.state / "ingest_token").stat().st_mode & 0o077 == 0
    assert httpx.post(f"{server.url}/api/v2/write?bucket=telemetry").status_code == 401


def test_openapi_describes_every_endpoint(server: Server) -> None:
    paths = server.get("/openapi.json")["paths"]

    assert {
        "/v1/machines", "/v1/machines/{key}", "/v1/machines/{key}/signals/{signal}/samples",
        "/v1/machines/{key}/health", "/v1/alarms", "/v1/proposals", "/v1/customers",
        "/v1/customers/{key}", "/v1/customers/{key}/risk", "/v1/metrics/first-time-fix",
        "/v1/metrics/downtime-exposure", "/v1/evidence/{kind}/{id}", "/v1/events", "/healthz",
    } <= set(paths)  # fmt: skip


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, timeout=60
    )


def test_a_second_server_on_the_same_state_says_why_it_can_not_start(server: Server) -> None:
    done = run("serve", "--state-dir", server.state, "--port", "0")

    assert done.returncode == 1
    assert "no other staybolt process is using it" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_said_to_be_taken(server: Server, tmp_path: Path) -> None:
    port = server.url.rsplit(":", 1)[1]

    done = run("serve", "--state-dir", tmp_path, "--port", port)

    assert done.returncode == 2
    assert "choose another with --port" in done.stderr
