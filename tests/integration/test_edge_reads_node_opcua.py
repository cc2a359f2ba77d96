"""A second opinion: our edge agent reads an OPC UA server that was not written with our library."""

import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from simulators.loopback import free_port
from tests.servers.availability import find_program

pytestmark = pytest.mark.server("node-opcua")

HERE = Path(__file__).parent
READ_FOR_S = 6.0


@dataclass(frozen=True)
class Peer:
    """The server of node-opcua."""

    endpoint: str
    namespace_uri: str
    certificate: Path
    log: Path

    def values(self) -> dict[int, float]:
        """What it says it set: source time in ms and value."""
        rows = [line.split() for line in self.log.read_text().splitlines()]
        return {int(time_ms): float(value) for value, time_ms in rows if time_ms}


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    """A server that lets everybody ask for its endpoints."""
    with node_opcua(tmp_path) as running:
        yield running


@contextlib.contextmanager
def node_opcua(tmp_path: Path, *manners: str) -> Iterator[Peer]:
    folder, port = tmp_path / "peer", free_port()
    folder.mkdir()
    script = HERE.parent / "servers" / "opcua_server.cjs"
    with (folder / "stderr.log").open("wb") as errors:
        process = subprocess.Popen(
            [find_program("node") or "node", script, str(port), folder, *manners],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("READY "):
                    said = json.loads(line.removeprefix("READY "))
                    break
            else:
                pytest.fail(f"node-opcua did not start: {(folder / 'stderr.log').read_text()}")
            yield Peer(
                said["endpoint"],
                said["namespaceUri"],
                Path(said["certificate"]),
                folder / "values.log",
            )
        finally:
            process.terminate()
            process.wait(10)
            if process.stdout is not None:
                process.stdout.close()


def write_settings(tmp_path: Path, peer: Peer) -> Path:
    """Settings of an agent that reads the peer; its outbox is in ``tmp_path / "edge"``."""
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    certificate = x509.load_pem_x509_certificate(peer.certificate.read_bytes())
    (trusted / "peer.der").write_bytes(certificate.public_bytes(Encoding.DER))
    token = tmp_path / "token"
    token.write_text("unused: nobody listens at the uplink, so everything stays in the outbox")
    config = tmp_path / "edge.toml"
    config.write_text(
        f"""
site = "mill-7"
state_dir = "{tmp_path / "edge"}"
[uplink]
url = "http://127.0.0.1:{free_port()}"
token_file = "{token}"
[[opcua]]
name = "second-opinion"
endpoint = "{peer.endpoint}"
trusted_servers_dir = "{trusted}"
publishing_interval_ms = 200
[[opcua.nodes]]
namespace_uri = "{peer.namespace_uri}"
node_id = "s=press-01.stroke_count"
machine = "press-01"
signal = "stroke_count"
unit = "1"
"""
    )
    return config


def test_every_value_of_a_node_opcua_server_reaches_the_outbox_once(
    peer: Peer, tmp_path: Path
) -> None:
    state = tmp_path / "edge"
    config = write_settings(tmp_path, peer)
    agent = [sys.executable, "-m", "edge_agent"]
    subprocess.run([*agent, "keys", "--state-dir", state], check=True, capture_output=True)
    with (tmp_path / "agent.log").open("wb") as log:
        process = subprocess.Popen([*agent, "run", "--config", config], stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 20
            while not waiting(state) and time.monotonic() < deadline:
                time.sleep(0.2)
            time.sleep(READ_FOR_S)
        finally:
            process.terminate()
            assert process.wait(15) == 0, (tmp_path / "agent.log").read_text()[-2000:]

    received = waiting(state)

    assert received, (tmp_path / "agent.log").read_text()[-2000:]
    times_ms = [time_ns // 1_000_000 for time_ns, _ in received]
    assert len(set(times_ms)) == len(times_ms), "a value came twice"
    said = peer.values()
    expected = {
        time_ms: value for time_ms, value in said.items() if times_ms[0] <= time_ms <= times_ms[-1]
    }
    assert {
        time_ms: value for time_ms, (_, value) in zip(times_ms, received, strict=True)
    } == expected
    assert len(received) >= 50


def waiting(state: Path) -> list[tuple[int, float]]:
    """Source time and value of everything in the outbox, as the agent's own command exports it."""
    if not (state / "outbox.sqlite").exists():
        return []
    exported = state.parent / "exported.txt"
    exported.unlink(missing_ok=True)
    command: list[str | Path] = [sys.executable, "-m", "edge_agent", "outbox"]
    command += ["--config", state.parent / "edge.toml"]
    subprocess.run([*command, "export", "--to", exported], check=True, capture_output=True)
    lines = exported.read_text().splitlines()
    pattern = re.compile(r"telemetry,.*machine=press-01.* value=(\S+),quality=0i (\d+)")
    found = [pattern.fullmatch(line) for line in lines]
    assert all(found), lines[:3]
    return [(int(match[2]), float(match[1])) for match in found if match]


def test_a_server_that_hides_its_endpoints_gets_a_remedy_not_a_traceback(tmp_path: Path) -> None:
    with node_opcua(tmp_path, "silent") as peer:
        config = write_settings(tmp_path, peer)
        agent = [sys.executable, "-m", "edge_agent"]
        keys: list[str | Path] = [*agent, "keys", "--state-dir", tmp_path / "edge"]
        subprocess.run(keys, check=True, capture_output=True)

        checked = subprocess.run(
            [*agent, "check", "--config", config, "--connect"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    said = checked.stdout + checked.stderr
    assert checked.returncode != 0
    assert "allow discovery" in said
    assert "Traceback" not in said
