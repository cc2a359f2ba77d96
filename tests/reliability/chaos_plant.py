"""The processes of a chaos run, their files, and the doors between them."""

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from simulators.faults.proxy import Proxy, ProxyState
from tests.integration.edge_fixtures import make_certificate, node_text
from tests.servers.availability import find_program

N_NODES: Final = 8
"""Of the OPC UA server."""

EVERY_S: Final = 0.2
"""How often each node and each machine has a new value. [s]"""

LINKS: Final = ("opcua", "broker", "ingest")
PROCESSES: Final = ("agent", "ingest", "broker", "opcua")


ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Doors:
    """The three doors, in a thread with a loop of its own."""

    def __init__(self, ports: dict[str, int], seed: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.doors = {name: Proxy(port, seed=seed) for name, port in ports.items()}
        for door in self.doors.values():
            asyncio.run_coroutine_threadsafe(door.start(), self._loop).result(10)

    def set(self, name: str, state: ProxyState) -> None:
        asyncio.run_coroutine_threadsafe(self.doors[name].set(state), self._loop).result(10)

    def close(self) -> None:
        for door in self.doors.values():
            asyncio.run_coroutine_threadsafe(door.stop(), self._loop).result(10)
        asyncio.run_coroutine_threadsafe(_settle(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


async def _settle() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


@dataclass
class Program:
    """A process that may be killed, stopped and started again."""

    name: str
    command: Sequence[str | Path]
    folder: Path
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command, stdout=output, stderr=output, env=os.environ | ONE_THREAD
            )

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def make_programs(
    folder: Path, log: Path, ports: dict[str, int], planted: str | None
) -> dict[str, Program]:
    """The four processes, not yet started; `planted` is a mistake that the agent has."""
    python = sys.executable
    agent = ["-m", "edge_agent"]
    if planted is not None:
        agent = ["-m", "tests.reliability.planted_agents", planted]
    opcua: list[str | Path] = [python, "-m", "tests.reliability.opcua_machine"]
    opcua += ["--folder", folder / "server", "--nodes", str(N_NODES)]
    opcua += ["--trust", folder / "clients", "--port", str(ports["opcua"])]
    opcua += ["--log", log, "--every-s", str(EVERY_S)]
    commands: dict[str, list[str | Path]] = {
        "broker": [find_program("mosquitto") or "mosquitto", "-c", folder / "mosquitto.conf"],
        "opcua": opcua,
        "ingest": [python, "-m", "ingest", "serve", "--config", folder / "ingest.toml"],
        "agent": [python, *agent, "run", "--config", folder / "edge.toml"],
    }
    return {name: Program(name, each, folder) for name, each in commands.items()}


def write_files(
    folder: Path, ports: dict[str, int], doors: dict[str, Proxy], group_commit_ms: int
) -> None:
    """Settings, certificates and tokens of all of them."""
    make_certificate(folder / "server.pem", folder / "key.pem", "urn:chaos", Encoding.PEM)
    make = [sys.executable, "-m", "edge_agent", "keys", "--state-dir", str(folder / "state")]
    made = subprocess.run(make, check=True, capture_output=True, text=True).stdout.strip()
    (folder / "clients").mkdir()
    shutil.copy(made, folder / "clients")
    (folder / "server").mkdir()
    (folder / "trusted").mkdir()
    make_certificate(
        folder / "server" / "server.der", folder / "server" / "server.pem", "urn:test:server"
    )
    shutil.copy(folder / "server" / "server.der", folder / "trusted")
    token = "chaos-token-that-is-long-enough"
    for name in ("token", "ingest_tokens"):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(token)
    (folder / "mosquitto.conf").write_text(
        f"user root\npersistence true\npersistence_location {folder}/\n"
        "autosave_interval 1\nautosave_on_changes true\nmax_queued_messages 0\n"
        "allow_anonymous true\nset_tcp_nodelay true\n"
        f"listener {ports['device']} 127.0.0.1\n"
        f"listener {ports['broker']} 127.0.0.1\n"
        f"certfile {folder / 'server.pem'}\nkeyfile {folder / 'key.pem'}\n"
    )
    (folder / "ingest.toml").write_text(
        f'host = "127.0.0.1"\nport = {ports["ingest"]}\ntoken_file = "ingest_tokens"\n'
        '[store]\nkind = "duckdb"\npath = "telemetry.duckdb"\n'
        '[quarantine]\npath = "quarantine.sqlite"\n'
        '[tls]\ncertificate_file = "server.pem"\nkey_file = "key.pem"\n'
    )
    machines = [f"press-{number:03d}" for number in range(N_NODES)]
    nodes = "".join(
        node_text(f"s={machine}.vibration_mm_s", machine, "vibration_mm_s") for machine in machines
    )
    (folder / "edge.toml").write_text(
        f"""
site = "mill-7"
state_dir = "state"
[status]
port = 0
heartbeat_s = 0.0
[uplink]
url = "https://localhost:{doors["ingest"].port}"
token_file = "token"
tls_ca_file = "server.pem"
retry_max_s = 2.0
[outbox]
group_commit_ms = {group_commit_ms}
[[mqtt]]
name = "hall-2"
host = "localhost"
port = {doors["broker"].port}
tls_ca_file = "server.pem"
client_id = "chaos"
[[mqtt.topics]]
topic = "plant/{{machine}}/telemetry"
[[opcua]]
name = "hall-1"
endpoint = "opc.tcp://127.0.0.1:{doors["opcua"].port}/test/"
trusted_servers_dir = "trusted"
publishing_interval_ms = 100
{nodes}
"""
    )
