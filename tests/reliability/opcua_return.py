"""How soon data flow again after an OPC UA server, or the line to it, was away.

A server in a process of its own, the simulators' fault proxy before it, and the agent as a process.
The clock starts when the server listens again, or when the proxy lets bytes through again; it
stops when the store has a value that the machine measured after that.
"""

import asyncio
import contextlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from simulators.faults.network import ProxyMode, ProxyState
from simulators.faults.proxy import Proxy
from simulators.loopback import free_port
from tests.integration.edge_fixtures import (
    BASE_TIME_NS,
    MS,
    Agent,
    OpcuaPeer,
    StandInStore,
    agent_of,
    make_certificate,
    wait_until,
    write_config,
)
from tests.servers.launch import wait_for_port

N_NODES = 20
EVERY_S = 0.1


@dataclass
class Door:
    """The fault proxy in a thread with a loop of its own."""

    target_port: int
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self._proxy = Proxy(self.target_port)
        self._do(self._proxy.start())
        self.port = self._proxy.port

    def set(self, mode: ProxyMode) -> None:
        self._do(self._proxy.set(ProxyState(mode=mode)))

    def close(self) -> None:
        self._do(self._proxy.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def _do(self, work: Coroutine[object, object, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self.loop).result(30)


class Machine:
    """The OPC UA server as a process, which counts and writes down each counter."""

    def __init__(self, folder: Path, trusted: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._trusted = trusted
        self._log = folder / "values.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.reliability.opcua_machine"]
        command += ["--folder", str(self.folder), "--nodes", str(N_NODES)]
        command += ["--trust", str(self._trusted), "--port", str(self.port)]
        command += ["--log", str(self._log), "--every-s", str(EVERY_S)]
        with (self.folder / "machine.log").open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        wait_for_port(self.port, self._process, self.folder / "machine.log")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def counter(self) -> int:
        """What it counted to."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return int(lines[-1].split()[1]) if lines else 0


@dataclass(frozen=True)
class Scene:
    """Everything that runs."""

    machine: Machine
    door: Door
    store: StandInStore
    agent: Agent

    def data_again_s(self) -> float:
        """Seconds from now until the store has a value measured from now on."""
        begun_s, counter = time.monotonic(), self.machine.counter()
        newer_ns = BASE_TIME_NS + counter * MS
        wait_until("data again", lambda: newest_ns(self.store) > newer_ns, timeout_s=60.0)
        return time.monotonic() - begun_s


def newest_ns(store: StandInStore) -> int:
    """Newest source time among the machine's own; what a node held before has the server's."""
    counted = (sample[2] for sample in store.samples[-2000:])
    return max((ns for ns in counted if ns < BASE_TIME_NS + 10**14), default=0)


@contextlib.contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    """Start everything, and wait until data flow."""
    (folder / "agent").mkdir(parents=True)
    (folder / "server").mkdir()
    (folder / "clients").mkdir()
    (folder / "agent" / "trusted").mkdir()
    keys = Agent(folder / "agent" / "none").run("keys", "--state-dir", str(folder / "agent/state"))
    shutil.copy(keys.stdout.strip(), folder / "clients")
    certificate = folder / "server" / "server.der"
    make_certificate(certificate, folder / "server" / "server.pem", "urn:test:server")
    shutil.copy(certificate, folder / "agent" / "trusted")
    machine, store = Machine(folder / "server", folder / "clients"), StandInStore()
    machine.start()
    door = Door(machine.port)
    peer = OpcuaPeer(folder / "server", N_NODES, folder / "clients", machine.port)
    config = write_config(folder / "agent", store.url, opcua=peer, opcua_port=door.port)
    try:
        with agent_of(config) as agent:
            agent.start()
            wait_until("data", lambda: newest_ns(store) > 0, timeout_s=60.0)
            yield Scene(machine, door, store, agent)
            agent.stop()
    finally:
        door.close()
        machine.kill()
        store.close()


def server_returns_s(one: Scene, away_s: float) -> float:
    """Kill the server, start it again after a pause."""
    one.machine.kill()
    time.sleep(away_s)
    one.machine.start()
    return one.data_again_s()


def line_returns_s(one: Scene, mode: ProxyMode, away_s: float) -> float:
    """Let the proxy do something to the line for a while."""
    one.door.set(mode)
    time.sleep(away_s)
    one.door.set("pass")
    return one.data_again_s()
