"""SIGHUP on the agent as a process, with a thousand nodes: who did not change misses nothing."""

import json
import re
import shutil
import signal
import threading
from collections.abc import Iterator
from os import kill
from pathlib import Path

import psutil
import pytest

from simulators.loopback import free_port
from tests.integration.edge_fixtures import (
    Agent,
    OpcuaPeer,
    StandInStore,
    agent_of,
    wait_until,
    write_config,
)

N_NODES = 1000
ROUND_INTERVAL_S = 0.3
MEMORY_MAX_BYTES = 400_000_000
"""What the systemd unit grants the agent and its readers on a device of 512 MB."""


@pytest.fixture
def store() -> Iterator[StandInStore]:
    store = StandInStore()
    yield store
    store.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "agent"
    folder.mkdir()
    done = Agent(folder / "none").run("keys", "--state-dir", str(folder / "state"))
    assert done.returncode == 0, done.stderr
    (tmp_path / "clients").mkdir()
    shutil.copy(done.stdout.strip(), tmp_path / "clients")
    return folder


@pytest.fixture
def press(tmp_path: Path, folder: Path) -> Iterator[OpcuaPeer]:
    """A server with one node more than the agent reads at first."""
    peer = OpcuaPeer(tmp_path / "server", N_NODES + 1, tmp_path / "clients", free_port())
    peer.start()
    (folder / "trusted").mkdir()
    shutil.copy(peer.certificate, folder / "trusted")
    yield peer
    peer.stop()


class Talk:
    """Lets every node of a server say something, again and again, until told to stop."""

    def __init__(self, press: OpcuaPeer) -> None:
        self._press = press
        self._stop = threading.Event()
        self.n_rounds = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(ROUND_INTERVAL_S):
            self._press.say()
            self.n_rounds += 1

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def wait_rounds(self, n: int) -> None:
        upto = self.n_rounds + n
        wait_until(f"{n} rounds more", lambda: self.n_rounds >= upto, 120)


def without_node(text: str, machine: str) -> str:
    """The settings without one node."""
    shorter = re.sub(
        rf'\n\[\[opcua\.nodes\]\]\n(?:[^\n]+\n)*?machine = "{machine}"\n(?:[^\n]+\n)*', "\n", text
    )
    assert shorter.count("[[opcua.nodes]]") == text.count("[[opcua.nodes]]") - 1
    return shorter


def status(agent: Agent) -> tuple[int, dict[str, object]]:
    done = agent.run("status", "--config", str(agent.config), "--json")
    return done.returncode, json.loads(done.stdout)


def test_one_node_of_a_thousand_comes_and_one_goes_and_the_others_miss_nothing(
    press: OpcuaPeer, store: StandInStore, folder: Path
) -> None:
    last, extra = press.signal(N_NODES - 1)[0], press.signal(N_NODES)[0]
    config = write_config(folder, store.url, opcua=press)
    everything = config.read_text()
    config.write_text(without_node(everything, extra))
    with agent_of(config) as agent:
        agent.start()
        wait_until(
            "subscribed", lambda: f"{N_NODES} of {N_NODES} nodes subscribed" in agent.said(), 120
        )
        talk = Talk(press)
        try:
            talk.wait_rounds(3)
            config.write_text(without_node(everything, last))
            kill(agent.pid, signal.SIGHUP)
            wait_until("taken", lambda: "without a new connection" in agent.said(), 60)
            talk.wait_rounds(2)
            config.write_text("nonsense = 1\n" + everything)
            kill(agent.pid, signal.SIGHUP)
            wait_until("refused", lambda: "the new settings are refused" in agent.said(), 60)
            code, told = status(agent)
            talk.wait_rounds(2)
        finally:
            talk.stop()
        expected = {
            key: value
            for key, value in press.said.distinct().items()
            if key[0] not in {last, extra}
        }
        wait_until("all in the store", lambda: expected.keys() <= store.distinct().keys(), 120)
        tree = [psutil.Process(agent.pid), *psutil.Process(agent.pid).children(recursive=True)]
        memory_bytes = sum(process.memory_info().rss for process in tree)
        log = agent.said()
        assert agent.stop() == 0

    arrived = store.distinct()
    assert {key: arrived[key] for key in expected} == expected
    assert len(expected) == (N_NODES - 1) * (talk.n_rounds)
    rounds_of = {name: sum(key[0] == name for key in arrived) for name in (last, extra)}
    assert 0 < rounds_of[last] < talk.n_rounds
    assert 0 < rounds_of[extra] <= talk.n_rounds
    assert log.count("nodes subscribed") == 1, "it was connected anew"
    assert code == 1
    assert told["reload"]["outcome"] == "refused"  # type: ignore[index]  # JSON
    assert "edge.toml, nonsense: unknown key" in str(told["reasons"])
    print(f"agent with {N_NODES} nodes, {len(tree)} processes: {memory_bytes / 1e6:.0f} MB")
    assert memory_bytes < MEMORY_MAX_BYTES
