"""Start and stop the real servers."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from simulators.loopback import free_port
from tests.servers.availability import POSTGRES_BIN, find_program

START_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Address:
    """Where a server listens."""

    host: str
    port: int


@dataclass(frozen=True)
class HttpServer:
    """Where an HTTP server answers."""

    url: str


def wait_for_port(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until the process listens; show its log if it ends instead."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            msg = f"{process.args!r} ended with {process.returncode}: {log.read_text()[-2000:]}"
            raise RuntimeError(msg)
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    msg = f"{process.args!r} did not listen on {port} within {START_TIMEOUT_S} s"
    raise TimeoutError(msg)


@contextlib.contextmanager
def running(
    command: Sequence[str | Path], port: int, folder: Path, *, user: str | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a server until the block ends."""
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, user=user)
        try:
            wait_for_port(port, process, log)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def mosquitto(folder: Path) -> Iterator[Address]:
    """Start an MQTT broker that is not ours."""
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
        "max_queued_messages 0\nmax_inflight_messages 0\n"
    )
    folder.chmod(0o755)
    with running([find_program("mosquitto") or "mosquitto", "-c", config], port, folder):
        yield Address("127.0.0.1", port)


@contextlib.contextmanager
def influxd(folder: Path, *, is_guarded: bool = False) -> Iterator[HttpServer]:
    """Start InfluxDB 1.x; a guarded one asks for a user, of whom there is none at first."""
    port, rpc_port = free_port(), free_port()
    config = folder / "influxdb.conf"
    config.write_text(
        f"""
reporting-disabled = true
bind-address = "127.0.0.1:{rpc_port}"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
query-log-enabled = false
[http]
bind-address = "127.0.0.1:{port}"
log-enabled = false
auth-enabled = {str(is_guarded).lower()}
[monitor]
store-enabled = false
"""
    )
    with running([find_program("influxd") or "influxd", "-config", config], port, folder):
        yield HttpServer(f"http://127.0.0.1:{port}")


@contextlib.contextmanager
def postgres() -> Iterator[HttpServer]:
    """Start PostgreSQL; it refuses to run as root, so it runs as its own user then."""
    user = "postgres" if os.geteuid() == 0 else None
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="staybolt-postgres-"))
    try:
        if user is not None:
            os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
        data = folder / "data"
        initialise: list[str | Path] = [POSTGRES_BIN / "initdb", "-D", data, "-U", "postgres"]
        initialise += ["-A", "trust", "-E", "UTF8"]
        subprocess.run(
            initialise,
            check=True,
            capture_output=True,
            user=user,
            cwd=folder,
        )
        command: list[str | Path] = [
            POSTGRES_BIN / "postgres",
            *("-D", data, "-p", str(port), "-k", folder),
            *("-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"),
        ]
        with running(command, port, folder, user=user):
            wait_for_postgres(port)
            yield HttpServer(f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def wait_for_postgres(port: int) -> None:
    """Wait until PostgreSQL takes queries, not only connections."""
    command: list[str | Path] = [POSTGRES_BIN / "pg_isready", "-h", "127.0.0.1", "-p", str(port)]
    deadline = time.monotonic() + START_TIMEOUT_S
    while subprocess.run(command, check=False, capture_output=True).returncode != 0:
        if time.monotonic() > deadline:
            msg = "PostgreSQL took connections but no queries"
            raise TimeoutError(msg)
        time.sleep(0.1)
