"""The agent as a process, as systemd, Prometheus and a person on call see it."""

import json
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.loopback import free_port
from tests.integration.edge_fixtures import (
    SITE,
    Agent,
    StandInStore,
    agent_of,
    wait_until,
    write_config,
)

WATCHDOG_S = 0.6


class Systemd:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self.ever: list[bytes] = []

    def heard(self) -> list[bytes]:
        """Everything since it was asked last."""
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096))
            except BlockingIOError:
                self.ever += messages
                return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    systemd = Systemd(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", str(int(WATCHDOG_S * 1e6)))
    yield systemd
    systemd.close()


@pytest.fixture
def store() -> Iterator[StandInStore]:
    store = StandInStore()
    yield store
    store.close()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def agent(tmp_path: Path, store: StandInStore, port: int, systemd: Systemd) -> Iterator[Agent]:
    """An agent whose only source can't be reached."""
    config = write_config(tmp_path / "agent", store.url, mqtt_port=free_port())
    head, tail = config.read_text().split("[outbox]")
    status = f"[status]\nport = {port}\nheartbeat_s = 0.5\nsource_silent_s = 3600.0\n[outbox]"
    config.write_text(head.replace("state_dir", 'agent = "edge-1"\nstate_dir') + status + tail)
    with agent_of(config) as agent:
        agent.start()
        wait_until("ready", lambda: b"READY=1" in systemd.heard(), 60)
        yield agent


def fetch(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def status(agent: Agent, *more: str) -> tuple[int, str]:
    done = agent.run("status", "--config", str(agent.config), *more)
    return done.returncode, done.stdout + done.stderr


def test_a_hung_agent_stops_feeding_the_watchdog_and_status_says_that_it_hangs(
    agent: Agent, systemd: Systemd
) -> None:
    wait_until("fed", lambda: b"WATCHDOG=1" in systemd.heard())
    wait_until("told", lambda: bool(systemd.heard()) and b"STATUS=well" in systemd.ever)

    os.kill(agent.pid, signal.SIGSTOP)
    try:
        systemd.heard()
        time.sleep(3 * WATCHDOG_S)
        assert b"WATCHDOG=1" not in systemd.heard()
        code, said = status(agent)
    finally:
        os.kill(agent.pid, signal.SIGCONT)

    assert code == 1
    assert "it hangs or the machine is overloaded; look at `top`" in said
    wait_until("fed again", lambda: b"WATCHDOG=1" in systemd.heard())


def test_health_metrics_and_status_agree_and_a_refused_reload_makes_them_unwell(
    agent: Agent, systemd: Systemd, port: int
) -> None:
    assert fetch(port, "/healthz") == (200, "ok\n")
    assert "\nstaybolt_edge_healthy 1\n" in fetch(port, "/metrics")[1]
    assert status(agent)[0] == 0
    systemd.heard()

    agent.config.write_text(agent.config.read_text().replace("[outbox]", "[outbocks]"))
    os.kill(agent.pid, signal.SIGHUP)
    wait_until("refused", lambda: "the new settings are refused" in agent.said())

    wait_until("unwell", lambda: fetch(port, "/healthz")[0] == 503)
    code, text = fetch(port, "/healthz")
    assert "edge.toml, outbocks: unknown key; did you mean outbox?" in text
    assert "\nstaybolt_edge_settings_refused 1\n" in fetch(port, "/metrics")[1]
    code, shown = status(agent)
    assert code == 1
    assert shown.startswith(f"edge-1, site {SITE}: NOT WELL\n  reload_refused: ")
    heard = b"".join(systemd.heard())
    assert b"RELOADING=1\nMONOTONIC_USEC=" in heard
    assert heard.index(b"RELOADING=1") < heard.index(b"READY=1")


def test_the_heartbeat_arrives_at_the_store_with_the_counts_of_losses(
    agent: Agent, store: StandInStore
) -> None:
    def told() -> set[str]:
        return {signal for machine, signal, _ in store.distinct() if machine == "edge-1"}

    wait_until("a heartbeat", lambda: "dropped_samples_count" in told(), 30)

    assert {
        "received_samples_count",
        "uptime_s",
        "reasons_count",
        "lag_s",
        "faults_count",
    } <= told()
    document = json.loads(status(agent, "--json")[1])
    assert document["counters"]["heartbeats"] >= 1
    assert document["is_running"] is True


def test_a_stopped_agent_is_told_apart_from_a_hung_one(agent: Agent, systemd: Systemd) -> None:
    assert agent.stop() == 0

    code, said = status(agent)

    assert code == 3
    assert "the agent is not running: nobody answers at" in said
    assert b"STOPPING=1" in systemd.heard()
    code, said = status(agent, "--json")
    assert code == 3
    assert json.loads(said)["is_running"] is False


def test_a_port_that_is_taken_is_told_and_the_agent_runs_all_the_same(
    tmp_path: Path, store: StandInStore, systemd: Systemd
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = write_config(tmp_path / "agent", store.url, mqtt_port=free_port())
        port = taken.getsockname()[1]
        config.write_text(
            config.read_text().replace("[outbox]", f"[status]\nport = {port}\n[outbox]")
        )
        with agent_of(config) as agent:
            agent.start()
            wait_until("it answers", lambda: status(agent)[0] in {0, 1}, 60)

            assert "choose another port, or 0 for none" in agent.said()
