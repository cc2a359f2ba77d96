"""Peers of the edge agent for tests: an OPC UA server, a store, a cable that can be cut.

None of them shares code with the agent. What was said and what arrived is kept in plain lists of
(series, time, value), so that the two can be compared.
"""

import asyncio
import contextlib
import datetime
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from asyncua import Node, Server, ua
from asyncua.crypto.permission_rules import SimpleRoleRuleset
from asyncua.server.history import HistoryStorageInterface
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from simulators.opcua.trust import validator_of

NAMESPACE = "urn:test:presses"
SITE = "mill-7"
BASE_TIME_NS = 1_700_000_000_000_000_000
MS = 1_000_000
_LINE = re.compile(
    r"telemetry,site=([^,]+),machine=([^,]+),signal=([^ ]+) (?:value=([^,]+),)?quality=(\d)i (\d+)"
)

Sample = tuple[str, str, int, float | None, int]
"""Machine, signal, time in ns, value, quality."""


def wait_until(what: str, is_true: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Wait for something that other processes do."""
    deadline = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > deadline:
            msg = f"{what}: not within {timeout_s} s"
            raise AssertionError(msg)
        time.sleep(0.02)


# --- the store -----------------------------------------------------------------------------------


class StandInStore:
    """A real HTTP server that keeps lines, and answers what a test tells it to."""

    def __init__(self) -> None:
        self.bodies: list[str] = []
        self.samples: list[Sample] = []
        self.requests: list[dict[str, str]] = []
        self.answers: list[int] = []
        self.status = 204
        self.headers: dict[str, str] = {}
        self.max_body_bytes = 10_000_000
        self.refused_text: str | None = None
        self._lock = threading.Lock()
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                status = store.take(body, dict(self.headers), self.path)
                said = b"" if status == 204 else json.dumps({"message": f"said {status}"}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(said)))
                for name, value in store.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                pass

        class QuietServer(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """Say nothing of an agent that was killed in mid-request."""

        self._server = QuietServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def take(self, body: str, headers: dict[str, str], path: str) -> int:
        with self._lock:
            self.requests.append({**headers, "path": path})
            status = self._status_for(body)
            self.answers.append(status)
            if status in {204, 400}:
                lines = [
                    line
                    for line in body.splitlines()
                    if not self._is_refused(line) and not line.startswith("#")
                ]
                self.bodies.append(body)
                self.samples += [read_line(line) for line in lines]
            return status

    def _status_for(self, body: str) -> int:
        if len(body) > self.max_body_bytes:
            return 413
        if self.status == 204 and any(self._is_refused(line) for line in body.splitlines()):
            return 400
        return self.status

    def _is_refused(self, line: str) -> bool:
        return self.refused_text is not None and self.refused_text in line

    def distinct(self) -> dict[tuple[str, str, int], tuple[float | None, int]]:
        """What a store that knows a sample by series and time would hold."""
        with self._lock:
            return {sample[:3]: sample[3:] for sample in self.samples}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def read_line(line: str) -> Sample:
    """Read a line of our own form with a reader that is not the project's."""
    found = _LINE.fullmatch(line)
    assert found is not None, line
    assert found[1] == SITE
    value = None if found[4] is None else float(found[4])
    return found[2], found[3], int(found[6]), value, int(found[5])


# --- the OPC UA server ---------------------------------------------------------------------------


@dataclass
class Said:
    """What a machine said, in the order it said it."""

    samples: list[Sample] = field(default_factory=list)

    def distinct(self) -> dict[tuple[str, str, int], tuple[float | None, int]]:
        return {sample[:3]: sample[3:] for sample in self.samples}


class OpcuaPeer:
    """An asyncua server with SignAndEncrypt only, in a thread with its own event loop."""

    def __init__(
        self,
        folder: Path,
        n_nodes: int,
        trusted_clients: Path,
        port: int,
        *,
        has_history: bool = False,
        history: HistoryStorageInterface | None = None,
        other_namespaces: tuple[str, ...] = (),
        base_time_ns: int = BASE_TIME_NS,
    ) -> None:
        self._base_time_ns = base_time_ns
        self._has_history = has_history or history is not None
        self._history = history
        self._other_namespaces = other_namespaces
        self.port = port
        self.endpoint = f"opc.tcp://127.0.0.1:{port}/test/"
        self.n_nodes = n_nodes
        self.said = Said()
        self.certificate = folder / "server.der"
        self._key = folder / "server.pem"
        self._trusted_clients = trusted_clients
        self._nodes: dict[str, Node] = {}
        self._vanished: set[str] = set()
        self._next = 0
        folder.mkdir(parents=True, exist_ok=True)
        if not self.certificate.exists():
            make_certificate(self.certificate, self._key, "urn:test:server")

    def signal(self, number: int) -> tuple[str, str]:
        return f"press-{number:03d}", "vibration_mm_s"

    def start(self) -> None:
        # Made here: of a server that is never started, nobody would close it.
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._do(self._start())

    def stop(self) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def say(self, values: int = 1, *, quality: int = 0, same_value: bool = False) -> None:
        """Let every node take so many new values, 1 ms apart."""
        self._do(self._say(values, quality, same_value))

    def n_sessions(self) -> int:
        return len(self._server.iserver._external_sessions)

    def watched_items(self) -> dict[str, tuple[int | None, int]]:
        """Item id and size of the queue of each node that is watched."""
        return {
            str(item.read_value_id.NodeId.Identifier): (item.monitored_item_id, item.queue_size)
            for subscription in self._server.iserver.subscription_service.subscriptions.values()
            for item in subscription.monitored_item_srv._monitored_items.values()
            # History has a subscription of its own, which nobody publishes.
            if item.read_value_id is not None and subscription.pub_request_callback is not None
        }

    def trust(self, certificate: Path) -> None:
        """Let one more client in."""
        shutil.copy(certificate, self._trusted_clients / f"{time.monotonic_ns()}.der")
        self._do(self._load_trust())

    def client_certificates(self) -> set[bytes | None]:
        """Certificates of the channels that are open."""
        listener = self._server.bserver
        assert listener is not None
        return {
            processor.processor._connection.security_policy.peer_certificate
            for processor in list(listener.clients)
            if processor.processor is not None
        }

    def forget_sessions(self) -> None:
        """End every session and subscription, as a server does that is short of memory."""
        self._do(self._forget_sessions())

    def vanish(self, number: int, *, is_told: bool) -> None:
        """Delete a node, as when a controller is programmed anew; some servers tell it."""
        self._do(self._vanish(".".join(self.signal(number)), is_told))

    def bring_back(self, number: int) -> None:
        """Make a node that had vanished once more."""
        self._do(self._bring_back(".".join(self.signal(number))))

    def _do(self, work: Coroutine[object, object, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _start(self) -> None:
        self._server = server = Server()
        await server.init()
        server.set_endpoint(self.endpoint)
        await server.set_application_uri("urn:test:server")
        await server.load_certificate(str(self.certificate))
        await server.load_private_key(str(self._key))
        server.set_security_policy(
            [ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt],
            permission_ruleset=SimpleRoleRuleset(),  # type: ignore[no-untyped-call]  # asyncua's gap
        )
        server.set_certificate_validator(await validator_of("test", self._trusted_clients))
        for uri in self._other_namespaces:
            await server.register_namespace(uri)
        index = await server.register_namespace(NAMESPACE)
        for number in range(self.n_nodes):
            machine, signal = self.signal(number)
            name = f"{machine}.{signal}"
            first = ua.DataValue(
                ua.Variant(None),
                ua.StatusCode(ua.UInt32(ua.StatusCodes.BadWaitingForInitialData)),
                # asyncua's history fails over a value without time.
                SourceTimestamp=ua.DateTime.fromtimestamp(self._base_time_ns // 10**9, datetime.UTC)
                if self._has_history
                else None,
            )
            node = await server.nodes.objects.add_variable(
                ua.NodeId(ua.String(name), ua.Int16(index)), name, 0.0, ua.VariantType.Double
            )
            await server.write_attribute_value(node.nodeid, first)
            self._nodes[name] = node
        await server.start()
        if self._history is not None:
            server.iserver.history_manager.set_storage(self._history)
        if self._has_history:
            for node in self._nodes.values():
                await server.iserver.enable_history_data_change(node, None, 0)

    async def _stop(self) -> None:
        await self._server.stop()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _load_trust(self) -> None:
        self._server.set_certificate_validator(await validator_of("test", self._trusted_clients))

    async def _forget_sessions(self) -> None:
        service = self._server.iserver.subscription_service
        await service.delete_subscriptions([
            number for number, each in service.subscriptions.items() if each.pub_request_callback
        ])
        for session in list(self._server.iserver._external_sessions.values()):
            await session.close_session(True)

    async def _vanish(self, name: str, is_told: bool) -> None:
        node = self._nodes[name]
        value = self._server.iserver.aspace[node.nodeid].attributes[ua.AttributeIds.Value]
        # asyncua means to tell it, and forgets to wait for itself.
        for handle, callback in list(value.datachange_callbacks.items()):
            if is_told:
                gone = ua.StatusCode(ua.UInt32(ua.StatusCodes.BadNodeIdUnknown))
                await callback(handle, None, gone)
            self._server.iserver.aspace.delete_datachange_callback(handle)
        await self._server.delete_nodes([node])
        self._vanished.add(name)

    async def _bring_back(self, name: str) -> None:
        node_id = self._nodes[name].nodeid
        self._nodes[name] = await self._server.nodes.objects.add_variable(
            node_id, name, 0.0, ua.VariantType.Double
        )
        first = ua.DataValue(
            ua.Variant(None), ua.StatusCode(ua.UInt32(ua.StatusCodes.BadWaitingForInitialData))
        )
        await self._server.write_attribute_value(node_id, first)
        self._vanished.discard(name)

    async def _say(self, values: int, quality: int, same_value: bool) -> None:
        for _ in range(values):
            self._next += 1
            value = 7.0 if same_value else float(self._next)
            time_ns = self._base_time_ns + self._next * MS
            at = ua.DateTime.fromtimestamp(time_ns // 10**9, datetime.UTC)
            at = at.replace(microsecond=time_ns % 10**9 // 1000)
            code = (ua.StatusCodes.Good, ua.StatusCodes.Uncertain, ua.StatusCodes.Bad)[quality]
            data = ua.DataValue(
                ua.Variant(value), ua.StatusCode(ua.UInt32(code)), SourceTimestamp=at
            )
            for number in range(self.n_nodes):
                machine, signal = self.signal(number)
                if f"{machine}.{signal}" in self._vanished:
                    continue
                node = self._nodes[f"{machine}.{signal}"]
                await self._server.write_attribute_value(node.nodeid, data)
                # asyncua's server sends no value beside a bad status.
                said = None if quality == 2 else value
                self.said.samples.append((machine, signal, time_ns, said, quality))


def make_certificate(
    certificate_path: Path, key_path: Path, uri: str, form: Encoding = Encoding.DER
) -> None:
    """A server's certificate as controllers have it: self-signed and no authority."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test server")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509
        .CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=365))
        .add_extension(
            x509.SubjectAlternativeName([
                x509.UniformResourceIdentifier(uri),
                x509.DNSName("localhost"),
            ]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_path.write_bytes(certificate.public_bytes(form))
    key_path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


# --- a cable that can be cut ---------------------------------------------------------------------


class Cable:
    """Passes TCP on to a port, until it is cut (connections end) or frozen (nothing passes)."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._is_cut = False
        self._thawed = threading.Event()
        self._thawed.set()
        self._pairs: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._is_cut = True
        for sock in self._pairs:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        self._pairs.clear()

    def mend(self) -> None:
        self._is_cut = False

    def freeze(self) -> None:
        """Let nothing through while both ends believe that they are connected."""
        self._thawed.clear()

    def thaw(self) -> None:
        self._thawed.set()

    def close(self) -> None:
        self.thaw()
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self._is_cut:
                    near.close()
                    continue
                try:
                    far = socket.create_connection(("127.0.0.1", self._to_port))
                except OSError:
                    near.close()
                    continue
                self._pairs += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                self._thawed.wait()
                other.sendall(data)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)


# --- the agent -----------------------------------------------------------------------------------


class Agent:
    """The agent as its own process."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.log = config.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def start(self) -> None:
        with self.log.open("ab") as output:
            command = [sys.executable, "-m", "edge_agent", "run", "--config", str(self.config)]
            self._process = subprocess.Popen(command, stdout=output, stderr=output)

    def kill(self) -> None:
        """As a power cut does it: no word of warning."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """As a service manager does it."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(20)

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Another command of the same program."""
        command = [sys.executable, "-m", "edge_agent", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@contextlib.contextmanager
def agent_of(config: Path) -> Iterator[Agent]:
    """An agent that is stopped at the end, whatever happens."""
    agent = Agent(config)
    try:
        yield agent
    finally:
        if agent.is_running():
            agent.kill()


def write_config(
    folder: Path,
    store_url: str,
    *,
    opcua: OpcuaPeer | None = None,
    opcua_port: int | None = None,
    mqtt_port: int | None = None,
    mqtt: str = "",
    extra_nodes: str = "",
    uplink: str = "",
    outbox: str = "",
) -> Path:
    """Settings file for one agent; its keys are expected below ``state``."""
    folder.mkdir(parents=True, exist_ok=True)
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text("a-token")
    text = f"""
site = "{SITE}"
state_dir = "state"
[uplink]
url = "{store_url}"
token_file = "token"
retry_max_s = 0.5
{uplink}
[outbox]
group_commit_ms = 20
{outbox}
"""
    if opcua is not None:
        endpoint = opcua.endpoint.replace(str(opcua.port), str(opcua_port or opcua.port))
        text += f"""
[[opcua]]
name = "hall-1"
endpoint = "{endpoint}"
trusted_servers_dir = "trusted"
publishing_interval_ms = 50
"""
        for number in range(opcua.n_nodes):
            machine, signal = opcua.signal(number)
            text += node_text(f"s={machine}.{signal}", machine, signal)
        text += extra_nodes
    if mqtt_port is not None:
        text += f"""
[[mqtt]]
name = "hall-2"
host = "127.0.0.1"
port = {mqtt_port}
client_id = "{folder.name}"
{mqtt}
[[mqtt.topics]]
topic = "plant/{folder.name}/{{machine}}/telemetry"
"""
    path = folder / "edge.toml"
    path.write_text(text)
    return path


def node_text(node_id: str, machine: str, signal: str, namespace: str = NAMESPACE) -> str:
    return f"""
[[opcua.nodes]]
namespace_uri = "{namespace}"
node_id = "{node_id}"
machine = "{machine}"
signal = "{signal}"
unit = "mm/s"
"""
