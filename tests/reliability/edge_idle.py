"""Memory of the whole agent, all its processes, while it reads a thousand nodes once a second."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from edge_agent.keys import ensure_keys
from tests.reliability.edge_path import NODE, SIGNAL, SITE, ask, machine, n_stored
from tests.servers.launch import influxd

CONFIG = """
site = "{site}"
state_dir = "state"
[uplink]
url = "{url}"
write_api = "influxdb1"
bucket = "idle"
[status]
port = 0
[[opcua]]
name = "load"
endpoint = "{endpoint}"
trusted_servers_dir = "trusted"
"""


@contextlib.contextmanager
def slow_server(folder: Path, n_nodes: int) -> Iterator[dict[str, str]]:
    """A server that signs and encrypts, with one new value of each node a second."""
    keys, _ = ensure_keys(folder / "state")
    command = [sys.executable, "-m", "simulators", "load", "opcua", "--nodes", str(n_nodes)]
    command += ["--values-per-s", str(n_nodes), "--trust-client", str(keys.certificate_path)]
    program = subprocess.Popen(
        [*command, "--dir", str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        path = folder / "load.json"
        while not path.exists():
            assert program.poll() is None
            time.sleep(0.05)
        time.sleep(0.1)
        yield json.loads(path.read_text())
    finally:
        program.terminate()
        program.wait(20)


def processes_of(pid: int) -> list[int]:
    """A process and all that it started, from the kernel."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += processes_of(int(child))
    return found


def memory_bytes(pid: int, *, name: str = "VmRSS") -> int:
    """Memory of one process as the kernel counts it; 0 if it has ended. [byte]"""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0


def idle(n_nodes: int, seconds: float) -> dict[str, float]:
    """Run the agent; the most that all its processes had together, and each at the end. [byte]"""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "store").mkdir()
        (folder / "trusted").mkdir()
        with influxd(folder / "store") as store, slow_server(folder, n_nodes) as where:
            ask(store.url, q="CREATE DATABASE idle")
            (folder / "trusted" / "load.der").write_bytes(
                Path(where["server_certificate"]).read_bytes()
            )
            text = CONFIG.format(site=SITE, url=store.url, endpoint=where["endpoint"])
            for node in range(n_nodes):
                text += NODE.format(node=node + 1, machine=machine(node), signal=SIGNAL).replace(
                    "urn:load", where["namespace_uri"]
                )
            (folder / "edge.toml").write_text(text)
            return _watch(folder, store.url, n_nodes, seconds)


def _watch(folder: Path, url: str, n_nodes: int, seconds: float) -> dict[str, float]:
    command = [sys.executable, "-m", "edge_agent", "run", "--config", str(folder / "edge.toml")]
    with (folder / "edge.log").open("wb") as log:
        agent = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while n_stored(url, "idle") < 2 * n_nodes:
            assert agent.poll() is None, (folder / "edge.log").read_text()
            assert time.monotonic() < deadline, (folder / "edge.log").read_text()
            time.sleep(0.2)
        most, ends = 0, time.monotonic() + seconds
        parts: list[int] = []
        while time.monotonic() < ends:
            parts = [memory_bytes(pid) for pid in processes_of(agent.pid)]
            most = max(most, sum(parts))
            time.sleep(0.25)
        return {
            "rss_bytes": most,
            "agent_bytes": parts[0],
            "readers_bytes": sum(parts[1:]),
            "n_processes": len(parts),
            "n_stored": n_stored(url, "idle"),
        }
    finally:
        os.kill(agent.pid, signal.SIGTERM)
        agent.wait(20)
