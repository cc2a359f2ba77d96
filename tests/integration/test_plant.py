"""The simulated plant as others meet it: a program, real protocols, and no way in for strangers."""

import asyncio
import contextlib
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as mqtt
import psutil
import pytest
from asyncua import Client, Node, ua
from asyncua.common.subscription import DataChangeNotif
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from paho.mqtt.reasoncodes import ReasonCode

from edge_agent.settings_file import load_settings
from simulators.live.clock import ClockSettings, PlantClock
from simulators.plant.machine import build_plant
from simulators.reading import NS_PER_S
from simulators.scenarios.loading import load_scenario
from tests.servers.availability import find_program

pytestmark = pytest.mark.timeout(240)

READER = Path(__file__).parents[1] / "servers" / "read_opcua.cjs"
APPLICATION_URI = "urn:staybolt:test-reader"
SEED = 7
PACE = ("--history-days", "60", "--slow-days", "1", "--fast-h-per-s", "400", "--slow-h-per-s", "12")


@dataclass(frozen=True)
class Reader:
    """A client with keys of its own."""

    certificate: Path
    private_key: Path

    @classmethod
    def make(cls, folder: Path) -> "Reader":
        folder.mkdir()
        reader = cls(folder / "certificate.der", folder / "private_key.pem")
        asyncio.run(
            setup_self_signed_certificate(
                reader.private_key,
                reader.certificate,
                APPLICATION_URI,
                "localhost",
                [ExtendedKeyUsageOID.CLIENT_AUTH],
                {"commonName": folder.name},
            )
        )
        return reader

    async def client(self, server: dict[str, str]) -> Client:
        client = Client(server["endpoint"], timeout=10)
        client.application_uri = APPLICATION_URI
        await client.set_security(
            SecurityPolicyBasic256Sha256,
            str(self.certificate),
            str(self.private_key),
            server_certificate=server["server_certificate"],
            mode=ua.MessageSecurityMode.SignAndEncrypt,
        )
        return client


@dataclass
class Plant:
    """A running `staybolt-sim`."""

    folder: Path
    process: "subprocess.Popen[str]"
    errors: Path

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.folder / "plant.json").read_text())
        return document

    def wait_until_up(self) -> None:
        deadline = time.monotonic() + 60
        while not (self.folder / "plant.json").exists():
            assert self.process.poll() is None, self.errors.read_text()
            assert time.monotonic() < deadline, self.errors.read_text()
            time.sleep(0.05)


@contextlib.contextmanager
def simulator(folder: Path, *arguments: str | Path) -> Iterator[Plant]:
    folder.mkdir()
    errors = folder / "stderr.log"
    command = [sys.executable, "-m", "simulators", *map(str, arguments), "--dir", str(folder)]
    with errors.open("w") as output:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=output, text=True)
    with process:
        try:
            plant = Plant(folder, process, errors)
            plant.wait_until_up()
            yield plant
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reader]:
    folder = tmp_path_factory.mktemp("readers")
    return {name: Reader.make(folder / name) for name in ("trusted", "stranger")}


@pytest.fixture(scope="module")
def plant(readers: dict[str, Reader], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """Wait for listeners; no test that uses it listens to everything, so it stays at the start."""
    folder = tmp_path_factory.mktemp("plant") / "run"
    options = ("run", "--seed", str(SEED), "--trust-client", readers["trusted"].certificate)
    edge = ("--uplink-url", "http://127.0.0.1:9", "--uplink-token-file", "token")
    with simulator(folder, *options, *edge) as running:
        yield running


@dataclass
class Heard:
    """Everything that came over OPC UA and MQTT, by machine, signal and time."""

    count: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    value: dict[tuple[str, str, int], float | None] = field(default_factory=dict)
    n_from_the_future: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, machine: str, signal: str, time_ns: int, value: float | None) -> None:
        with self.lock:
            self.count[machine, signal, time_ns] += 1
            self.value[machine, signal, time_ns] = value
            self.n_from_the_future += time_ns > time.time_ns()

    def datachange_notification(
        self, node: Node, value: float | None, data: DataChangeNotif
    ) -> None:
        read = data.monitored_item.Value
        machine, signal = str(node.nodeid.Identifier).split(".")
        time_ns = round(read.SourceTimestamp.timestamp()) * NS_PER_S
        self.note(machine, signal, time_ns, value if read.StatusCode.is_good() else None)

    def on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        document = json.loads(message.payload)
        for name, value in document["values"].items():
            self.note(message.topic.split("/")[2], name, document["time_ns"], value)


async def subscribe(reader: Reader, document: dict[str, Any], heard: Heard) -> list[Client]:
    clients = []
    for server in document["opcua"]:
        client = await reader.client(server)
        await client.connect()
        index = await client.get_namespace_index(server["namespace_uri"])
        nodes = [
            client.get_node(f"ns={index};s={machine['machine']}.{signal}")
            for machine in document["machines"]
            if machine["server"] == server["name"]
            for signal in machine["signals"]
        ]
        subscription = await client.create_subscription(100, heard)
        # Without this trigger, a value that stays the same is not reported again.
        trigger = ua.DataChangeFilter(Trigger=ua.DataChangeTrigger.StatusValueTimestamp)
        await subscription._subscribe(nodes, queuesize=1000, mfilter=trigger)
        clients.append(client)
    return clients


@contextlib.contextmanager
def mqtt_reader(broker: dict[str, Any], heard: Heard) -> Iterator[None]:
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2, client_id="test-reader", protocol=mqtt.MQTTv5
    )
    client.username_pw_set(broker["user"], Path(broker["password_file"]).read_text().strip())
    connected = threading.Event()
    client.on_connect = lambda *_: connected.set()
    client.on_message = heard.on_message
    client.connect(broker["host"], broker["port"])
    client.loop_start()
    assert connected.wait(10)
    client.subscribe(broker["topic"].replace("{machine}", "+"), qos=1)
    try:
        yield
    finally:
        client.disconnect()
        client.loop_stop()


async def listen(
    reader: Reader, document: dict[str, Any], heard: Heard, is_over: Callable[[], bool]
) -> None:
    with mqtt_reader(document["mqtt"], heard):
        clients = await subscribe(reader, document, heard)
        deadline = time.monotonic() + 120
        while not is_over() and time.monotonic() < deadline:  # noqa: ASYNC110  # a program to watch
            await asyncio.sleep(0.1)
        for client in clients:
            with contextlib.suppress(TimeoutError, ConnectionError, ua.UaError):
                await asyncio.wait_for(client.disconnect(), 5)


def test_every_sample_of_history_arrives_once_and_is_what_the_seed_says(
    readers: dict[str, Reader], tmp_path: Path
) -> None:
    reader, heard = readers["trusted"], Heard()
    options = ("run", "--seed", str(SEED), "--trust-client", reader.certificate, *PACE)
    with simulator(tmp_path / "run", *options) as plant:
        document = plant.document
        lives_from: list[float] = []

        def is_over() -> bool:
            if not lives_from and "live from now" in plant.errors.read_text():
                lives_from.append(time.monotonic())
            return bool(lives_from) and time.monotonic() > lives_from[0] + 3

        asyncio.run(listen(reader, document, heard, is_over))
        assert lives_from, plant.errors.read_text()
        plant.process.send_signal(signal.SIGTERM)
        assert plant.process.wait(20) == 0

    told_from = datetime.fromisoformat(document["clock"]["told_from"])
    now_ns = round(told_from.timestamp()) * NS_PER_S
    clock = PlantClock(ClockSettings(), now_ns)
    times = np.arange(clock.start_ns, now_ns, clock.history_step_ns)
    missing, wrong = [], []
    for machine in build_plant(load_scenario("demo").roles, seed=SEED, now_ns=now_ns):
        readings = machine.readings(times, step_ns=clock.history_step_ns)
        for column, name in enumerate(machine.outlet.signals):
            for row, time_ns in enumerate(times.tolist()):
                key = (machine.outlet.machine, name, time_ns)
                expected = readings.values[row, column]
                if key not in heard.value:
                    missing.append(key)
                elif heard.value[key] != (None if np.isnan(expected) else expected):
                    wrong.append(key)
    live = {key for key in heard.count if key[2] >= now_ns}
    assert (missing, wrong) == ([], [])
    assert max(heard.count.values()) == 1
    assert heard.n_from_the_future == 0
    assert {machine for machine, _, _ in live} == {m["machine"] for m in document["machines"]}
    bad = {machine for (machine, _, _), value in heard.value.items() if value is None}
    assert bad == {"pump-03"}


def test_play_waits_until_everything_is_listened_to(plant: Plant) -> None:
    log = plant.errors.read_text()

    assert "waiting for an edge agent to subscribe to 44 nodes and topics" in log
    assert "play begins" not in log


def test_all_ports_are_on_loopback(plant: Plant) -> None:
    program = psutil.Process(plant.process.pid)
    listening = [
        connection.laddr
        for process in (program, *program.children(recursive=True))
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]

    # Two OPC UA servers, the broker, and the door before it.
    assert len(listening) == 4
    assert {address.ip for address in listening} == {"127.0.0.1"}


def test_settings_for_the_edge_agent_are_taken_by_it(plant: Plant) -> None:
    settings = load_settings(plant.folder / "edge.toml")

    nodes = {
        (node.machine, node.signal, node.node_id) for each in settings.opcua for node in each.nodes
    }
    (broker,) = settings.mqtt
    assert nodes == {
        (machine["machine"], signal, f"s={machine['machine']}.{signal}")
        for machine in plant.document["machines"]
        if machine["protocol"] == "opcua"
        for signal in machine["signals"]
    }
    assert broker.port == plant.document["mqtt"]["port"]
    assert len(list(settings.opcua[0].trusted_servers_dir.iterdir())) == 2


def test_a_trusted_client_reads_value_time_and_unit(
    plant: Plant, readers: dict[str, Reader]
) -> None:
    async def read() -> tuple[ua.DataValue, ua.EUInformation]:
        async with await readers["trusted"].client(plant.document["opcua"][0]) as client:
            index = await client.get_namespace_index("urn:staybolt:simulated-plant")
            name = "conveyor-01.bearing_temperature_c"
            node = client.get_node(f"ns={index};s={name}")
            unit = client.get_node(f"ns={index};s={name}.EngineeringUnits")
            return await node.read_data_value(), await unit.read_value()

    value, unit = asyncio.run(read())

    assert value.Value is not None
    assert 10 < value.Value.Value < 90
    assert value.SourceTimestamp is not None
    assert value.SourceTimestamp.timestamp() < time.time() - 59 * 86400
    assert unit.DisplayName.Text == "°C"


def test_no_client_may_write(plant: Plant, readers: dict[str, Reader]) -> None:
    async def write() -> None:
        async with await readers["trusted"].client(plant.document["opcua"][0]) as client:
            index = await client.get_namespace_index("urn:staybolt:simulated-plant")
            await client.get_node(f"ns={index};s=conveyor-01.speed_rpm").write_value(1.0)

    with pytest.raises(ua.UaError):
        asyncio.run(write())


def test_an_untrusted_client_is_refused(plant: Plant, readers: dict[str, Reader]) -> None:
    async def read() -> None:
        client = await readers["stranger"].client(plant.document["opcua"][0])
        try:
            await client.connect()
        finally:
            client.disconnect_socket()

    with pytest.raises(ua.UaError, match=r"(?i)trusted"):
        asyncio.run(read())
    assert "turned away CN=stranger" in plant.errors.read_text()


def test_showing_somebody_elses_certificate_does_not_help(
    plant: Plant, readers: dict[str, Reader]
) -> None:
    trusted = x509.load_der_x509_certificate(readers["trusted"].certificate.read_bytes())

    async def read() -> None:
        client = await readers["stranger"].client(plant.document["opcua"][0])
        create_session = client.uaclient.create_session

        async def create_with_borrowed_certificate(
            parameters: ua.CreateSessionParameters,
        ) -> ua.CreateSessionResult:
            parameters.ClientCertificate = trusted.public_bytes(Encoding.DER)
            return await create_session(parameters)

        client.uaclient.create_session = create_with_borrowed_certificate  # type: ignore[method-assign]  # the attack
        try:
            await client.connect()
        finally:
            client.disconnect_socket()

    with pytest.raises(ua.UaError, match=r"BadUserAccessDenied|permi"):
        asyncio.run(read())


def test_a_session_without_security_is_refused(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No endpoint without security is offered; a hostile client asks for one all the same.
    monkeypatch.setattr(
        Client, "find_endpoint", staticmethod(lambda endpoints, *_: next(iter(endpoints)))
    )

    async def read() -> None:
        client = Client(plant.document["opcua"][0]["endpoint"], timeout=10)
        try:
            await client.connect()
        finally:
            client.disconnect_socket()

    with pytest.raises(ua.UaError, match=r"BadUserAccessDenied|permi"):
        asyncio.run(read())


@pytest.mark.server("node-opcua")
def test_a_reader_not_written_with_our_library_reads_it_too(
    plant: Plant, readers: dict[str, Reader], tmp_path: Path
) -> None:
    reader, server = readers["trusted"], plant.document["opcua"][1]
    certificate = tmp_path / "certificate.pem"
    loaded = x509.load_der_x509_certificate(reader.certificate.read_bytes())
    certificate.write_bytes(loaded.public_bytes(Encoding.PEM))
    request = {
        "endpoint": server["endpoint"],
        "namespaceUri": server["namespace_uri"],
        "applicationUri": APPLICATION_URI,
        "certificate": str(certificate),
        "privateKey": str(reader.private_key),
        "nodes": ["spindle-01.vibration_mm_s", "spindle-04.torque_nm"],
        "folder": str(tmp_path),
    }
    (tmp_path / "request.json").write_text(json.dumps(request))

    done = subprocess.run(
        [find_program("node") or "node", READER, tmp_path / "request.json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    # Before the answer node-opcua may say things of its own.
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["offered"] == ["SignAndEncrypt"]
    assert [node["unit"] for node in answer["nodes"]] == ["mm/s", "N·m"]
    assert {node["status"] for node in answer["nodes"]} == {"Good"}
    assert all(node["value"] > 0 for node in answer["nodes"])
    started = plant.document["clock"]["plays_from"]
    assert {node["sourceTime"][:19] for node in answer["nodes"]} == {started[:19]}


@pytest.mark.parametrize(("user", "password"), [("edge", "guess"), ("", "")])
def test_the_broker_lets_nobody_in_without_password(plant: Plant, user: str, password: str) -> None:
    broker, answers = plant.document["mqtt"], []
    over = threading.Event()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    if user:
        client.username_pw_set(user, password)

    def on_connect(
        _client: mqtt.Client,
        _data: object,
        _flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        _properties: object,
    ) -> None:
        answers.append(reason)
        over.set()

    client.on_connect = on_connect
    client.on_disconnect = lambda *_: over.set()
    client.connect(broker["host"], broker["port"])
    client.loop_start()
    over.wait(10)
    client.disconnect()
    client.loop_stop()

    assert over.is_set()
    assert not [reason for reason in answers if not reason.is_failure]


@pytest.fixture
def engines(tmp_path: Path) -> Path:
    """Three engines of 30, 20 and 25 cycles, with readings that stay the same as real ones do."""
    folder = tmp_path / "cmapss"
    folder.mkdir()
    constant = " ".join(["0.5", "0.25", "100.0", "518.67", *["1.0"] * 19])
    lines = [
        f"{unit} {cycle} {constant} {cycle}.5"
        for unit, n_cycles in ((1, 30), (2, 20), (3, 25))
        for cycle in range(1, n_cycles + 1)
    ]
    (folder / "test_FD001.txt").write_text("\n".join(lines) + "\n")
    return folder


def test_a_replay_ends_when_every_sample_was_taken(
    readers: dict[str, Reader], engines: Path, tmp_path: Path
) -> None:
    reader, heard = readers["trusted"], Heard()
    options = ("replay", "cmapss", "--data", engines, "--subset", "FD001", "--units", "1-3")
    trust = ("--trust-client", reader.certificate, "--cycles-per-s", "40")
    with simulator(tmp_path / "replay", *options, *trust) as replay:
        document = replay.document
        asyncio.run(listen(reader, document, heard, lambda: replay.process.poll() is not None))
        assert replay.process.wait(20) == 0, replay.errors.read_text()
        assert replay.process.stdout is not None
        printed = replay.process.stdout.read()

    n_samples = {"001": 30 * 24, "002": 20 * 24, "003": 25 * 24}
    counted = Counter(machine.rsplit("-", 1)[1] for machine, _, _ in heard.count)
    assert counted == n_samples
    assert max(heard.count.values()) == 1
    assert heard.n_from_the_future == 0
    assert "engine-fd001-test-001: 30 cycles, 720 samples over opcua" in printed
    assert "engine-fd001-test-003: 25 cycles, 600 samples over mqtt" in printed
    assert "all 1800 samples of 3 machines were taken" in printed
    last_ns = {max(t for m, _, t in heard.count if m == name["machine"])
               for name in document["machines"]}  # fmt: skip
    assert len(last_ns) == 1
    for table in ("customers", "sites", "contracts", "machines"):
        assert (tmp_path / "replay" / "business" / f"{table}.csv").is_file()


def test_a_replay_that_nobody_listens_to_fails_and_says_so(
    readers: dict[str, Reader], engines: Path, tmp_path: Path
) -> None:
    options = ("replay", "cmapss", "--data", engines, "--subset", "FD001", "--units", "1")
    trust = ("--trust-client", readers["trusted"].certificate, "--wait-s", "1")

    with simulator(tmp_path / "replay", *options, *trust) as replay:
        assert replay.process.wait(30) == 1

    assert "24 of 24 nodes and topics have no subscriber after 1 s" in replay.errors.read_text()


def test_a_replay_whose_listener_vanishes_does_not_claim_success(
    readers: dict[str, Reader], engines: Path, tmp_path: Path
) -> None:
    options = ("replay", "cmapss", "--data", engines, "--subset", "FD001", "--units", "1-2")
    trust = ("--trust-client", readers["trusted"].certificate, "--wait-s", "3")

    async def vanish(document: dict[str, Any]) -> None:
        with mqtt_reader(document["mqtt"], Heard()):
            for client in await subscribe(readers["trusted"], document, Heard()):
                client.disconnect_socket()

    with simulator(tmp_path / "replay", *options, *trust) as replay:
        asyncio.run(vanish(replay.document))
        assert replay.process.wait(60) == 1

    assert re.search(r"\d+ values and messages were sent but not taken", replay.errors.read_text())


def test_the_broker_goes_with_the_plant(readers: dict[str, Reader], tmp_path: Path) -> None:
    options = ("run", "--trust-client", readers["trusted"].certificate)
    with simulator(tmp_path / "run", *options) as plant:
        children = psutil.Process(plant.process.pid).children()
        assert children

        plant.process.kill()
        plant.process.wait(10)

        _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
