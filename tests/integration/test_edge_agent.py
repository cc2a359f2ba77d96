"""The edge agent as a process, between real servers: what was said arrives, whatever breaks.

The oracle is what the test itself let the machines say, in `Said`; the store's list is read with
a reader that is not the project's. A sample counts once by series and time, as in every store.
"""

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from simulators.loopback import free_port
from tests.integration.edge_fixtures import (
    BASE_TIME_NS,
    MS,
    Agent,
    Cable,
    OpcuaPeer,
    Said,
    StandInStore,
    agent_of,
    make_certificate,
    node_text,
    wait_until,
    write_config,
)
from tests.servers.availability import find_program
from tests.servers.launch import Address, running

N_NODES = 4


@pytest.fixture
def store() -> Iterator[StandInStore]:
    store = StandInStore()
    yield store
    store.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder of the agent with its keys, which the OPC UA servers trust."""
    folder = tmp_path / "agent"
    folder.mkdir()
    done = Agent(folder / "none").run("keys", "--state-dir", str(folder / "state"))
    assert done.returncode == 0, done.stderr
    (tmp_path / "clients").mkdir()
    shutil.copy(done.stdout.strip(), tmp_path / "clients")
    return folder


@pytest.fixture
def press(tmp_path: Path, folder: Path) -> Iterator[OpcuaPeer]:
    """An OPC UA server that the agent trusts."""
    peer = OpcuaPeer(tmp_path / "server", N_NODES, tmp_path / "clients", free_port())
    peer.start()
    (folder / "trusted").mkdir()
    shutil.copy(peer.certificate, folder / "trusted")
    yield peer
    peer.stop()


class Pump:
    """Publishes with QoS 1 what it keeps in its own list; each message once."""

    def __init__(self, address: Address, topic: str, authority: Path | None = None) -> None:
        self.said = Said()
        self.topic = topic
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        if authority is not None:
            self._client.tls_set(str(authority))
            self._client.username_pw_set("staybolt", "pw")
        self._client.connect(address.host, address.port)
        self._client.loop_start()
        self._next = 0

    def say(self, messages: int = 1) -> None:
        for _ in range(messages):
            self._next += 1
            time_ns, value = BASE_TIME_NS + self._next * MS, float(self._next)
            values = {"flow_m3_h": value, "discharge_pressure_bar": value / 8}
            self.publish({"time_ns": time_ns, "values": values})
            self.said.samples += [
                ("pump-01", signal, time_ns, said, 0) for signal, said in values.items()
            ]

    def publish(self, document: object) -> None:
        payload = document if isinstance(document, bytes) else json.dumps(document)
        self._client.publish(self.topic, payload, qos=1).wait_for_publish(10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def pump(mosquitto_server: Address, folder: Path) -> Iterator[Pump]:
    pump = Pump(mosquitto_server, f"plant/{folder.parent.name}/pump-01/telemetry")
    yield pump
    pump.close()


@pytest.fixture
def named_folder(folder: Path) -> Path:
    """A folder whose name no other test uses: it is part of topics and the session's name."""
    return folder.rename(folder.with_name(folder.parent.name))


def assert_all_arrived(said: Said, store: StandInStore, timeout_s: float = 30.0) -> None:
    expected = said.distinct()
    wait_until(
        "everything in the store", lambda: len(expected.keys() - store.distinct()) == 0, timeout_s
    )
    arrived = store.distinct()
    assert {key: arrived[key] for key in expected} == expected


def assert_nothing_else_arrived(store: StandInStore, *said: Said) -> None:
    expected = {key for one in said for key in one.distinct()}
    # What a node held before the test began has the server's own time, in the present.
    now = {key for key in store.distinct() if key[2] > BASE_TIME_NS + 10**15}
    assert store.distinct().keys() - now <= expected


def start(agent: Agent, sources: int = 1) -> None:
    before = agent.said().count("subscribed")
    agent.start()
    wait_until(
        "subscribed",
        lambda: agent.said().count("subscribed") >= before + sources or not agent.is_running(),
    )
    assert agent.is_running(), agent.said()


def test_every_value_arrives_once_with_its_time_and_quality(
    press: OpcuaPeer, store: StandInStore, folder: Path
) -> None:
    with agent_of(write_config(folder, store.url, opcua=press)) as agent:
        start(agent)
        press.say(20)
        press.say(5, quality=1)
        press.say(5, quality=2)
        press.say(5, same_value=True)

        assert_all_arrived(press.said, store)
        assert agent.stop() == 0, agent.said()

    assert_nothing_else_arrived(store, press.said)
    assert len(store.distinct()) == len(store.samples), "sent twice without need"
    assert store.requests[-1]["Authorization"] == "Token a-token"
    assert store.requests[-1]["path"] == "/api/v2/write?bucket=telemetry&precision=ns"
    assert "0 faults" in agent.said().splitlines()[-1]


@pytest.mark.server("mosquitto")
def test_a_store_that_is_away_loses_nothing(
    press: OpcuaPeer,
    pump: Pump,
    store: StandInStore,
    named_folder: Path,
    mosquitto_server: Address,
) -> None:
    config = write_config(named_folder, store.url, opcua=press, mqtt_port=mosquitto_server.port)
    with agent_of(config) as agent:
        start(agent, sources=2)
        for status in (204, 503, 429, 500, 204):
            store.status = status
            for _ in range(10):
                press.say(2)
                pump.say(2)
            if status == 503:
                wait_until("the loss is told", lambda: "samples are kept" in agent.said())
        store.status = 204

        assert_all_arrived(press.said, store)
        assert_all_arrived(pump.said, store)
        assert agent.stop() == 0, agent.said()

    assert_nothing_else_arrived(store, press.said, pump.said)
    assert "lost: 503 said 503; samples are kept" in agent.said()
    assert "works again" in agent.said()


@pytest.mark.server("mosquitto")
def test_kill_in_mid_stream_loses_no_message_that_a_broker_holds(
    pump: Pump, store: StandInStore, named_folder: Path, mosquitto_server: Address
) -> None:
    config = write_config(named_folder, store.url, mqtt_port=mosquitto_server.port)
    is_over = threading.Event()

    def talk() -> None:
        while not is_over.is_set():
            pump.say(3)
            time.sleep(0.01)

    with agent_of(config) as agent:
        start(agent)
        talker = threading.Thread(target=talk)
        talker.start()
        for round_number in range(4):
            time.sleep(0.5)
            store.status = 503 if round_number % 2 else 204
            time.sleep(0.2)
            agent.kill()
            start(agent)
        is_over.set()
        talker.join()
        store.status = 204

        assert_all_arrived(pump.said, store)
        assert agent.stop() == 0, agent.said()

    assert_nothing_else_arrived(store, pump.said)
    assert len(pump.said.samples) > 100


def test_kill_while_the_store_is_away_keeps_what_was_acknowledged(
    press: OpcuaPeer, store: StandInStore, folder: Path
) -> None:
    store.status = 503
    with agent_of(write_config(folder, store.url, opcua=press)) as agent:
        start(agent)
        for _ in range(20):
            press.say(3)
        # Two publishing intervals and a group commit later the outbox has it.
        wait_until("in the outbox", lambda: waiting_samples(agent) >= len(press.said.samples))
        agent.kill()
        start(agent)
        store.status = 204

        assert_all_arrived(press.said, store)
        agent.stop()

    assert_nothing_else_arrived(store, press.said)


def waiting_samples(agent: Agent) -> int:
    shown = agent.run("outbox", "--config", str(agent.config)).stdout
    return int(shown.partition("waiting: ")[2].split()[0])


def test_a_cut_cable_loses_nothing_that_the_server_queued(
    press: OpcuaPeer, store: StandInStore, folder: Path
) -> None:
    cable = Cable(press.port)
    config = write_config(folder, store.url, opcua=press, opcua_port=cable.port)
    try:
        with agent_of(config) as agent:
            start(agent)
            for _ in range(3):
                for _ in range(10):
                    press.say(2)
                cable.cut()
                for _ in range(10):
                    press.say(2)
                    time.sleep(0.05)
                cable.mend()
                mended_at = time.monotonic()
                press.say(1)
                assert_all_arrived(press.said, store)
                print(
                    f"heard again {time.monotonic() - mended_at:.1f} s after the cable was mended"
                )
            assert agent.stop() == 0, agent.said()
    finally:
        cable.close()

    assert_nothing_else_arrived(store, press.said)
    assert "the server has kept our subscription" in agent.said()
    assert "0 missed notifications" in agent.said().splitlines()[-1]


def test_a_frozen_line_is_noticed_and_nothing_that_was_sent_into_it_is_lost(
    press: OpcuaPeer, store: StandInStore, folder: Path
) -> None:
    cable = Cable(press.port)
    config = write_config(folder, store.url, opcua=press, opcua_port=cable.port)
    try:
        with agent_of(config) as agent:
            start(agent)
            press.say(5)
            assert_all_arrived(press.said, store)
            cable.freeze()
            frozen_at = time.monotonic()
            while "no word for" not in agent.said():
                press.say(1)
                time.sleep(0.1)
                assert time.monotonic() < frozen_at + 20
            noticed_s = time.monotonic() - frozen_at
            cable.cut()
            cable.thaw()
            cable.mend()

            assert_all_arrived(press.said, store)
            assert agent.stop() == 0, agent.said()
    finally:
        cable.close()

    print(f"frozen line noticed after {noticed_s:.1f} s")
    assert noticed_s < 10
    assert_nothing_else_arrived(store, press.said)
    assert "0 missed notifications" in agent.said().splitlines()[-1]


def test_a_server_that_comes_back_is_read_again_within_seconds(
    tmp_path: Path, press: OpcuaPeer, store: StandInStore, folder: Path
) -> None:
    with agent_of(write_config(folder, store.url, opcua=press)) as agent:
        start(agent)
        press.say(5)
        assert_all_arrived(press.said, store)
        press.stop()
        again = OpcuaPeer(tmp_path / "server", N_NODES, tmp_path / "clients", press.port)
        again.start()
        try:
            wait_until("subscribed again", lambda: agent.said().count("subscribed") == 2, 15)
            again.say(5)
            assert_all_arrived(again.said, store)
            assert agent.stop() == 0, agent.said()
        finally:
            # The fixture stops the server it knows; give it this one.
            press._server, press._loop, press._thread = again._server, again._loop, again._thread


def test_a_stop_and_a_start_go_on_with_the_one_session_and_lose_nothing(
    press: OpcuaPeer, store: StandInStore, folder: Path
) -> None:
    with agent_of(write_config(folder, store.url, opcua=press)) as agent:
        start(agent)
        press.say(5)
        assert_all_arrived(press.said, store)
        agent.stop()
        for _ in range(10):
            press.say(3)
            time.sleep(0.05)
        start(agent)
        press.say(5)

        assert_all_arrived(press.said, store)
        while_running = press.n_sessions()
        assert agent.stop() == 0, agent.said()

    assert_nothing_else_arrived(store, press.said)
    assert (while_running, press.n_sessions()) == (1, 1)
    assert "the server has kept our subscription" in agent.said()
    assert "0 missed notifications" in agent.said().splitlines()[-1]


def test_kill_at_any_moment_and_a_start_lose_nothing_that_a_server_queued(
    press: OpcuaPeer, store: StandInStore, folder: Path
) -> None:
    is_over = threading.Event()

    def talk() -> None:
        while not is_over.is_set():
            press.say(2)
            time.sleep(0.01)

    with agent_of(write_config(folder, store.url, opcua=press)) as agent:
        start(agent)
        talker = threading.Thread(target=talk)
        talker.start()
        for round_number in range(5):
            time.sleep(0.4 + 0.13 * round_number)
            store.status = 503 if round_number % 2 else 204
            agent.kill()
            time.sleep(0.3)
            start(agent)
        is_over.set()
        talker.join()
        store.status = 204

        assert_all_arrived(press.said, store)
        assert agent.stop() == 0, agent.said()

    assert_nothing_else_arrived(store, press.said)
    assert agent.said().count("the server has kept our subscription") == 5
    assert press.n_sessions() == 1
    assert len(press.said.samples) > 500
    session_file = folder / "state" / "opcua" / "hall-1.session.json"
    assert session_file.stat().st_mode & 0o777 == 0o600


def test_a_server_with_an_unknown_certificate_is_refused_and_the_remedy_named(
    tmp_path: Path, press: OpcuaPeer, store: StandInStore, folder: Path
) -> None:
    (folder / "trusted" / "server.der").unlink()
    make_certificate(folder / "trusted" / "other.der", tmp_path / "other.pem", "urn:test:server")
    config = write_config(folder, store.url, opcua=press)
    with agent_of(config) as agent:
        agent.start()
        wait_until("refused", lambda: "not trusted" in agent.said())
        press.say(3)
        time.sleep(0.5)
        checked = agent.run("check", "--config", str(config), "--connect")
        agent.stop()

    (kept,) = (folder / "state" / "pki" / "rejected").iterdir()
    assert kept.read_bytes() == press.certificate.read_bytes()
    assert f"copy {kept} to {folder / 'trusted'}" in agent.said()
    assert "CN=test server" in agent.said()
    assert press.n_sessions() == 0
    assert store.samples == []
    assert checked.returncode == 1
    assert "MEND edge.toml, opcua[0]: opcua hall-1" in checked.stdout
    assert "Traceback" not in agent.said() + checked.stdout + checked.stderr


def test_a_server_that_does_not_trust_us_is_named_with_the_remedy(
    tmp_path: Path, press: OpcuaPeer, store: StandInStore, folder: Path
) -> None:
    shutil.rmtree(folder / "state" / "pki" / "own")
    with agent_of(write_config(folder, store.url, opcua=press)) as agent:
        agent.start()
        wait_until("refused", lambda: "trying again" in agent.said())
        agent.stop()

    assert "let the server trust our certificate" in agent.said()
    assert "Traceback" not in agent.said()


def test_one_bad_node_does_not_keep_the_others_away(
    press: OpcuaPeer, store: StandInStore, folder: Path
) -> None:
    bad = node_text("s=no-such.node", "press-900", "vibration_mm_s")
    bad += node_text("s=x", "press-901", "vibration_mm_s", namespace="urn:nowhere")
    config = write_config(folder, store.url, opcua=press, extra_nodes=bad)
    with agent_of(config) as agent:
        start(agent)
        press.say(5)
        assert_all_arrived(press.said, store)
        checked = agent.run("check", "--config", str(config), "--connect")
        agent.stop()

    assert "4 of 6 nodes subscribed" in agent.said()
    assert (
        "node s=no-such.node (vibration_mm_s): the server answered BadNodeIdUnknown" in agent.said()
    )
    assert "the server has no namespace urn:nowhere" in agent.said()
    assert "MEND edge.toml, opcua[0].nodes[4].node_id" in checked.stdout
    assert "MEND edge.toml, opcua[0].nodes[5].node_id" in checked.stdout


def test_what_the_store_refuses_is_set_aside_and_the_rest_goes_on(
    press: OpcuaPeer, store: StandInStore, folder: Path
) -> None:
    store.refused_text = "press-002"
    with agent_of(write_config(folder, store.url, opcua=press)) as agent:
        start(agent)
        for _ in range(5):
            press.say(4)
        expected = {key for key in press.said.distinct() if key[0] != "press-002"}
        wait_until("the others in the store", lambda: expected <= store.distinct().keys())
        wait_until("nothing waits", lambda: waiting_samples(agent) == 0)
        shown = agent.run("outbox", "--config", str(agent.config)).stdout
        agent.stop()

    assert "refused, record" in shown
    assert "400 said 400" in shown
    assert not any(key[0] == "press-002" for key in store.distinct())


def test_a_store_with_a_small_limit_gets_small_bodies(
    press: OpcuaPeer, store: StandInStore, folder: Path
) -> None:
    store.max_body_bytes = 3000
    with agent_of(write_config(folder, store.url, opcua=press)) as agent:
        start(agent)
        press.say(100)

        assert_all_arrived(press.said, store)
        agent.stop()

    assert 413 in store.answers
    assert max(len(body) for body in store.bodies) <= 3000


@pytest.mark.server("mosquitto")
def test_a_message_that_cannot_be_read_is_set_aside_and_its_neighbours_arrive(
    pump: Pump, store: StandInStore, named_folder: Path, mosquitto_server: Address
) -> None:
    bad: list[object] = [
        b"not json",
        b"\xff\xfe",
        b'{"time_ns": 5, "values": {"flow_m3_h": NaN}}',
        b"[" * 100_000,
        b'{"time_ns": 5, "values": {"flow": 1}}',
        {"time_ns": "now", "values": {"flow_m3_h": 1}},
        {"time_ns": 5},
        b'{"time_ns": 5, "values": {"flow_m3_h": ' + b"9" * 6000 + b"}}",
        b"x" * 1_100_000,
    ]
    config = write_config(named_folder, store.url, mqtt_port=mosquitto_server.port)
    with agent_of(config) as agent:
        start(agent)
        for document in bad:
            pump.say(2)
            pump.publish(document)
        pump.say(2)

        assert_all_arrived(pump.said, store)
        shown = agent.run("outbox", "--config", str(config), "inspect", "--quarantine", "50").stdout
        assert agent.stop() == 0
        start(agent)
        assert agent.stop() == 0

    assert_nothing_else_arrived(store, pump.said)
    assert shown.count("payload, mqtt hall-2 plant/") == len(bad)
    assert "signal 'flow' ends in no known unit" in shown
    assert "0 misfits" in agent.said().splitlines()[-1], "they came again after the restart"


@pytest.fixture
def tls_broker(tmp_path: Path) -> Iterator[Address]:
    """Mosquitto with TLS and a password, as in a plant."""
    folder, port = tmp_path / "broker", free_port()
    folder.mkdir()
    make_certificate(folder / "broker.pem", folder / "key.pem", "urn:broker", Encoding.PEM)
    program = find_program("mosquitto") or "mosquitto"
    passwords = folder / "passwords"
    subprocess.run(
        [f"{program}_passwd".replace("/sbin/", "/bin/"), "-b", "-c", passwords, "staybolt", "pw"],
        check=True,
        capture_output=True,
    )
    config = folder / "mosquitto.conf"
    config.write_text(
        f"user root\nlistener {port} 127.0.0.1\nallow_anonymous false\n"
        f"password_file {passwords}\ncertfile {folder / 'broker.pem'}\n"
        f"keyfile {folder / 'key.pem'}\nmax_queued_messages 0\n"
    )
    with running([program, "-c", config], port, folder):
        yield Address("localhost", port)


@pytest.mark.server("mosquitto")
def test_a_broker_with_tls_and_password_is_read(
    tls_broker: Address, store: StandInStore, folder: Path
) -> None:
    authority = folder.parent / "broker" / "broker.pem"
    (folder / "password").write_text("pw")
    security = f'tls_ca_file = "{authority}"\nuser = "staybolt"\npassword_file = "password"'
    config = write_config(folder, store.url, mqtt_port=tls_broker.port, mqtt=security)
    config.write_text(config.read_text().replace('"127.0.0.1"', '"localhost"'))
    with agent_of(config) as agent:
        start(agent)
        pump = Pump(tls_broker, "plant/agent/pump-01/telemetry", authority)
        pump.say(300)

        assert_all_arrived(pump.said, store)
        pump.close()
        checked = agent.run("check", "--config", str(config), "--connect").stdout
        assert agent.stop() == 0, agent.said()

    assert f"ok   edge.toml, mqtt[0]: localhost:{tls_broker.port} lets us in" in checked
    assert "0 faults" in agent.said().splitlines()[-1]


@pytest.mark.server("mosquitto")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('"localhost"', '"127.0.0.1"'), "write host as it stands in the certificate"),
        (("broker.pem", "other.pem"), "its certificate is not accepted"),
        (('user = "staybolt"', 'user = "nobody"'), "correct user, password_file or client_id"),
    ],
)
def test_a_broker_that_is_not_the_right_one_or_refuses_us_is_named(
    tls_broker: Address,
    store: StandInStore,
    folder: Path,
    change: tuple[str, str],
    said: str,
) -> None:
    broker = folder.parent / "broker"
    make_certificate(broker / "other.pem", broker / "other-key.pem", "urn:x", Encoding.PEM)
    (folder / "password").write_text("pw")
    security = f'tls_ca_file = "{broker}/broker.pem"\nuser = "staybolt"\npassword_file = "password"'
    config = write_config(folder, store.url, mqtt_port=tls_broker.port, mqtt=security)
    config.write_text(config.read_text().replace('"127.0.0.1"', '"localhost"').replace(*change))

    with agent_of(config) as agent:
        agent.start()
        wait_until("refused", lambda: "trying again" in agent.said())
        checked = agent.run("check", "--config", str(config), "--connect").stdout
        agent.stop()

    assert said in agent.said()
    assert said in checked
    assert "Traceback" not in agent.said()


def test_a_wrong_token_is_named_and_nothing_is_lost(
    press: OpcuaPeer, store: StandInStore, folder: Path
) -> None:
    store.status = 401
    with agent_of(write_config(folder, store.url, opcua=press)) as agent:
        start(agent)
        press.say(5)
        wait_until("refused", lambda: "not allowed" in agent.said())
        checked = agent.run("check", "--config", str(agent.config), "--connect")
        store.status = 204

        assert_all_arrived(press.said, store)
        agent.stop()

    assert "the token is wrong; put the right one into uplink.token_file" in agent.said()
    assert "MEND edge.toml, uplink: 401" in checked.stdout
    assert "a-token" not in agent.said() + checked.stdout


def test_stopping_makes_everything_durable_and_a_second_agent_is_refused(
    press: OpcuaPeer, store: StandInStore, folder: Path
) -> None:
    store.status = 503
    with agent_of(write_config(folder, store.url, opcua=press)) as agent:
        start(agent)
        press.say(10)
        time.sleep(0.3)
        second = agent.run("run", "--config", str(agent.config))
        stopped_at = time.monotonic()
        assert agent.stop() == 0, agent.said()
        print(f"stopped in {time.monotonic() - stopped_at:.2f} s")

        assert waiting_samples(agent) >= len(press.said.samples)

    assert second.returncode == 2
    assert "another agent is running" in second.stderr


def test_the_agent_is_small_and_opens_no_port_to_the_network(
    press: OpcuaPeer, store: StandInStore, folder: Path
) -> None:
    with agent_of(write_config(folder, store.url, opcua=press)) as agent:
        start(agent)
        press.say(50)
        assert_all_arrived(press.said, store)
        process = psutil.Process(agent.pid)
        rss_mib = process.memory_info().rss / 2**20
        listening = [c for c in process.net_connections() if c.status == psutil.CONN_LISTEN]
        agent.stop()

    print(f"agent with {N_NODES} nodes: {rss_mib:.0f} MiB")
    assert rss_mib < 150
    assert {connection.laddr.ip for connection in listening} <= {"127.0.0.1"}
