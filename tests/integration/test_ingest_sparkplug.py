"""Ingest as a Sparkplug B host application, against Mosquitto and npm's sparkplug-client.

What was sent is the oracle; certificates and commands are read by a client of their own, the
CONNECT packet byte by byte, what is stored from DuckDB.
"""

import contextlib
import json
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from ingest.adapters.duckdb_store import DuckDBStore
from ingest.announced import AnnouncedMachines
from ingest.catalogue import FileCatalogue, OpenCatalogue
from ingest.errors import StoreUnavailableError
from ingest.ports import MachineCatalogue
from ingest.quarantine import Quarantine
from ingest.service import IngestService
from ingest.settings_mqtt import SparkplugSettings
from ingest.sparkplug_host import SparkplugHost
from ingest.telemetry import Series, TelemetryBatch
from ingest.telemetry.sparkplug import DataType, MetricToSend, decode_payload, encode_payload
from simulators.loopback import free_port
from tests.integration.edge_fixtures import wait_until
from tests.integration.mqtt_fixtures import Broker
from tests.integration.sparkplug_fixtures import (
    AT_MS,
    DOOR,
    MS,
    OIL,
    PARTS,
    SERIAL,
    SHIFT,
    ForeignNode,
    born,
    told,
)  # fmt: skip

pytestmark = [
    pytest.mark.server("mosquitto"),
    pytest.mark.server("sparkplug-client"),
    pytest.mark.timeout(180),
]

HOST = "staybolt"
STATE = f"spBv1.0/STATE/{HOST}"
GROUP = "mill-7"
N_KILLS = 4
NAMES = {"Hydraulics/Oil": "oil_temperature_c"}


class GoingStore(DuckDBStore):
    """A store that can be away."""

    is_away = False

    def write(self, batch: TelemetryBatch) -> None:
        if self.is_away:
            msg = "the store is away"
            raise StoreUnavailableError(msg)
        super().write(batch)


class Ears:
    """Another client of the broker, that keeps what it hears."""

    def __init__(self, port: int, *topics: str) -> None:
        self.heard: list[paho.MQTTMessage] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_message = lambda _client, _data, message: self.heard.append(message)
        subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        wait_until("connected", self._client.is_connected)
        self._client.subscribe([(one, 1) for one in topics])
        assert subscribed.wait(20)

    def states(self) -> list[tuple[bool, int]]:
        documents = [json.loads(one.payload) for one in self.heard if one.topic == STATE]
        return [(one["online"], one["timestamp"]) for one in documents]

    def is_online(self) -> bool:
        return bool(self.states()) and self.states()[-1][0]

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos, retain).wait_for_publish(20)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path / "broker", "allow_anonymous true\nlog_type all\n")
    broker.start()
    yield broker
    broker.kill()


@contextlib.contextmanager
def ears_at(broker: Broker, *topics: str) -> Iterator[Ears]:
    ears = Ears(broker.port, STATE, *topics)
    try:
        yield ears
    finally:
        ears.close()


@contextlib.contextmanager
def node_at(broker: Broker) -> Iterator[ForeignNode]:
    node = ForeignNode(broker.port, GROUP)
    try:
        yield node
    finally:
        node.kill()


class Site:
    """Ingest with its files, in this process."""

    def __init__(self, folder: Path, catalogue: MachineCatalogue | None = None) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.store = GoingStore(folder / "telemetry.duckdb")
        self.quarantine = Quarantine(folder / "quarantine.sqlite")
        self.announced = AnnouncedMachines.beside(folder / "quarantine.sqlite")
        self.service = IngestService(
            self.store, self.quarantine, catalogue or OpenCatalogue(), time.time_ns,
            lambda _token: None, announced=self.announced,
        )  # fmt: skip

    def host(self, port: int, **more: Any) -> SparkplugHost:  # noqa: ANN401
        asked = {"host": "127.0.0.1", "port": port, "host_id": HOST, "reorder_timeout_s": 0.5}
        signals = [{"source": source, "signal": name} for source, name in NAMES.items()]
        settings = SparkplugSettings.model_validate({**asked, "signals": signals, **more})
        return SparkplugHost(self.service, settings, self.folder / "births")

    def rows(self, machine: str, metric: str) -> list[tuple[int, float | None, int]]:
        """Milliseconds after the beginning, value and quality."""
        series = Series(GROUP, machine, NAMES.get(metric, metric))
        batch = self.store.read([series], 0, 2**62)
        return [
            ((time_ns // MS) - AT_MS, None if value != value else value, quality)
            for time_ns, value, quality in zip(
                batch.source_time_ns.tolist(), batch.value.tolist(), batch.quality.tolist(),
                strict=True,
            )
        ]  # fmt: skip

    def reasons(self) -> list[str]:
        return [line.reason for line in self.quarantine.lines()]

    def close(self) -> None:
        self.announced.close()
        self.quarantine.close()
        self.store.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    one = Site(tmp_path / "ingest")
    yield one
    one.close()


def test_births_data_and_deaths_of_a_foreign_node_are_stored_as_they_were_said(
    broker: Broker, site: Site
) -> None:
    began_ms = time.time_ns() // MS
    with ears_at(broker) as ears, site.host(broker.port):
        wait_until("online", ears.is_online)
        with node_at(broker) as node:
            node.expect("birth")
            node.do("device", device="press-04", metrics=[
                born(OIL, 40.5), born(PARTS, 2**32 - 1), born(SHIFT, -7), born(DOOR, True), SERIAL,
            ])  # fmt: skip
            oil: list[tuple[int, float | None, int]] = [(0, 40.5, 0)]
            for n in range(1, 300):
                node.do("data", device="press-04", compress=n % 7 == 0,
                        metrics=[told(OIL, n / 8, n), told(SHIFT, n - 200, n)])  # fmt: skip
                oil.append((n, n / 8, 0))
            node.do("data", device="press-04", metrics=[
                told(OIL, None, 301, isNull=True), told(OIL, 39.0, -500, isHistorical=True),
                told(OIL, 41.0, 302, properties={"Quality": {"type": "Int32", "value": 500}}),
            ])  # fmt: skip
            oil = [(-500, 39.0, 0), *oil, (301, None, 2), (302, 41.0, 1)]
            wait_until("data", lambda: site.rows("press-04", "Hydraulics/Oil") == oil)
            assert site.rows("press-04", "parts_count") == [(0, 2.0**32 - 1, 0)]
            assert [v for _, v, _ in site.rows("press-04", "offset_mm")] == [
                -7.0, *range(-199, 100)
            ]  # fmt: skip
            assert site.rows("press-04", "door_open_ratio") == [(0, 1.0, 0)]
            assert site.rows("line-2", "cabinet_temperature_c") == [(0, 21.5, 0)]

            node.do("death", device="press-04")
            wait_until(
                "device death", lambda: len(site.rows("press-04", "Hydraulics/Oil")) > len(oil)
            )
        wait_until("will", lambda: len(site.rows("line-2", "cabinet_temperature_c")) == 2)

    after = site.rows("press-04", "Hydraulics/Oil")[len(oil) :]
    # The device's own death, then that of its node: one bad sample each, at the present.
    assert [row[1:] for row in after] == [(None, 2), (None, 2)]
    assert all(AT_MS + row[0] >= began_ms for row in after)
    assert [row[1:] for row in site.rows("line-2", "cabinet_temperature_c")[1:]] == [(None, 2)]
    assert [reason for reason in site.reasons() if not reason.startswith("serial is no")] == []


def test_after_a_gap_the_node_is_asked_for_its_births_as_the_protocol_wants_it(
    broker: Broker, site: Site
) -> None:
    ncmd = f"spBv1.0/{GROUP}/NCMD/line-2"
    with ears_at(broker, ncmd) as ears, site.host(broker.port):
        wait_until("online", ears.is_online)
        with node_at(broker) as node:
            node.expect("birth")
            node.do("device", device="press-04", metrics=[born(OIL, 40.0)])
            node.do("lose", messages=3)
            node.do("data", device="press-04", metrics=[told(OIL, 42.0, 1)])
            asked = node.expect("command")
            node.expect("birth")
            node.do("data", device="press-04", metrics=[told(OIL, 43.0, 2)])
            expected = [(0, 40.0, 0), (1, 42.0, 1), (2, 43.0, 0)]
            wait_until("data", lambda: site.rows("press-04", "Hydraulics/Oil") == expected)
        (command,) = [one for one in ears.heard if one.topic == ncmd]

    assert asked["metrics"] == [{"name": "Node Control/Rebirth", "value": True}]
    assert (command.qos, command.retain) == (0, False)
    payload = decode_payload(bytes(command.payload))
    assert payload.seq is None
    assert abs((payload.timestamp_ms or 0) - time.time_ns() // MS) < 60_000


def test_a_host_that_begins_in_mid_stream_asks_for_births_and_then_understands(
    broker: Broker, site: Site
) -> None:
    dbirth = f"spBv1.0/{GROUP}/DBIRTH/line-2/press-04"
    with ears_at(broker, dbirth) as ears, node_at(broker) as node:
        node.expect("birth")
        node.do("device", device="press-04", metrics=[born(PARTS, 5)])
        wait_until("born unheard by the host", lambda: bool(ears.heard))
        with site.host(broker.port, protocol="3.1.1"):
            wait_until("online", ears.is_online)
            node.do("data", device="press-04", metrics=[told(PARTS, 6, 1)])
            node.expect("birth")
            node.do("data", device="press-04", metrics=[told(PARTS, 7, 2)])
            wait_until("data", lambda: (2, 7.0, 0) in site.rows("press-04", "parts_count"))
            rows = site.rows("press-04", "parts_count")

    # What came before the birth waited for it, and is not quite believed.
    assert rows == [(0, 5.0, 0), (1, 6.0, 1), (2, 7.0, 0)]
    assert site.reasons() == []


def test_certificates_tell_nodes_whether_the_host_is_there(broker: Broker, site: Site) -> None:
    with ears_at(broker) as ears:
        before_ms = time.time_ns() // MS
        with site.host(broker.port):
            wait_until("online", ears.is_online)
            ((_, born_ms),) = ears.states()
            ears.publish(STATE, b'{"online": false, "timestamp": 1}', retain=True)
            wait_until("contradicted", lambda: len(ears.states()) == 3)
        wait_until("offline", lambda: len(ears.states()) == 4)
        states = ears.states()
        with ears_at(broker) as late:
            wait_until("retained", lambda: bool(late.states()))
            assert late.heard[0].retain
            assert late.states() == [states[-1]]

    assert before_ms <= born_ms <= time.time_ns() // MS
    assert states[:3] == [(True, born_ms), (False, 1), (True, born_ms)]
    assert not states[3][0]
    assert states[3][1] >= born_ms
    assert {one.qos for one in ears.heard} == {1}
    log = (broker.folder / "mosquitto.log").read_text()
    name = re.findall(rf"Received PUBLISH from (\S+) \(d0, q1, r1, m\d+, '{STATE}'", log)[0]
    own = re.findall(rf"Received (\w+) from {name}\b", log)
    assert own[:2] == ["SUBSCRIBE", "PUBLISH"], "subscribed first, then born, then anything else"
    assert own[-1] == "DISCONNECT"


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_connect_carries_the_will_and_begins_a_session_that_ends_with_it(
    site: Site, protocol: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        before_ms = time.time_ns() // MS
        with site.host(server.getsockname()[1], protocol=protocol):
            connection, _ = server.accept()
            with connection:
                packet = connection.recv(4096)

    assert packet[0] == 0x10
    assert packet[2:8] == b"\x00\x04MQTT"
    assert packet[8] == (5 if protocol == "5" else 4)
    flags = packet[9]
    assert flags & 0x02, "clean start"
    assert flags & 0x04, "a will"
    assert (flags >> 3) & 3 == 1, "of QoS 1"
    assert flags & 0x20, "retained"
    if protocol == "5":
        properties = packet[13 : 13 + packet[12]]
        assert properties[:5] == b"\x11\x00\x00\x00\x00" or 0x11 not in properties
    assert STATE.encode() in packet
    will = json.loads(packet[packet.index(b"{") : packet.index(b"}") + 1])
    assert will["online"] is False
    assert before_ms <= will["timestamp"] <= time.time_ns() // MS


def test_after_a_lost_broker_the_host_is_born_again_with_the_time_of_its_new_connection(
    broker: Broker, site: Site
) -> None:
    with site.host(broker.port):
        with ears_at(broker) as ears:
            wait_until("online", ears.is_online)
            first_ms = ears.states()[-1][1]
        broker.kill()
        broker.start()
        with ears_at(broker) as ears:
            wait_until("online again", ears.is_online)
            assert ears.states()[-1][1] > first_ms


def test_while_the_store_is_away_the_host_is_offline_and_what_it_had_is_stored_later(
    broker: Broker, site: Site
) -> None:
    with ears_at(broker) as ears, site.host(broker.port):
        wait_until("online", ears.is_online)
        with node_at(broker) as node:
            node.expect("birth")
            node.do("device", device="press-04", metrics=[born(PARTS, 5)])
            wait_until("data", lambda: site.rows("press-04", "parts_count") == [(0, 5.0, 0)])

            site.store.is_away = True
            node.do("data", device="press-04", metrics=[told(PARTS, 6, 1)])
            wait_until("offline", lambda: not ears.is_online())
            site.store.is_away = False
            wait_until("online again", ears.is_online)

            wait_until("stored", lambda: (1, 6.0, 0) in site.rows("press-04", "parts_count"))
            node.expect("command")
            node.expect("birth")
            node.do("data", device="press-04", metrics=[told(PARTS, 7, 2)])
            wait_until("and on", lambda: (2, 7.0, 0) in site.rows("press-04", "parts_count"))


def is_acknowledged(broker: Broker, topic: str) -> bool:
    """Whether a host has acknowledged the message of this topic, by the broker's own account."""
    log = (broker.folder / "mosquitto.log").read_text()
    dealt = re.search(rf"Sending PUBLISH to (\S+) \(d0, q1, r0, m(\d+), '{topic}'", log)
    return dealt is not None and bool(
        re.search(rf"Received PUBACK from {dealt[1]} \(Mid: {dealt[2]},", log[dealt.end() :])
    )


def test_a_message_is_acknowledged_only_when_it_is_stored(broker: Broker, site: Site) -> None:
    topics = [f"spBv1.0/{GROUP}/DDATA/line-9/press-{n}" for n in (1, 2)]
    bodies = [
        encode_payload(
            [MetricToSend(DataType.DOUBLE, 2.5, "flow_m3_h", time_ms=AT_MS + n)],
            timestamp_ms=AT_MS, seq=n,
        )
        for n in (1, 2)
    ]  # fmt: skip
    with ears_at(broker) as ears, site.host(broker.port):
        wait_until("online", ears.is_online)
        ears.publish(topics[0], bodies[0])
        wait_until("acknowledged", lambda: is_acknowledged(broker, topics[0]))
        assert site.rows("press-1", "flow_m3_h") == [(1, 2.5, 0)]

        site.store.is_away = True
        ears.publish(topics[1], bodies[1])
        wait_until("offline", lambda: not ears.is_online())
        assert not is_acknowledged(broker, topics[1])
        site.store.is_away = False
        wait_until("stored", lambda: site.rows("press-2", "flow_m3_h") == [(2, 2.5, 0)])
        wait_until("online again", ears.is_online)


def test_what_can_not_be_read_or_named_is_kept_with_its_reason(broker: Broker, site: Site) -> None:
    topic = f"spBv1.0/{GROUP}/DDATA/line-9/press-09"
    metrics = [
        MetricToSend(DataType.DOUBLE, 1.5, "flow_m3_h", time_ms=AT_MS),
        MetricToSend(DataType.DOUBLE, 2.5, "Motor Speed", time_ms=AT_MS),
        MetricToSend(DataType.UINT64, 2**63 + 1, "parts_count", time_ms=AT_MS),
    ]
    with ears_at(broker) as ears, contextlib.ExitStack() as stack:
        # Kept by the broker from another time: whose it was is not known, and it is passed over.
        ears.publish(f"{topic}-retained", encode_payload(metrics, timestamp_ms=AT_MS), retain=True)
        stack.enter_context(site.host(broker.port))
        wait_until("online", ears.is_online)
        ears.publish(topic, b"\xff not a payload")
        ears.publish(topic, encode_payload(metrics, timestamp_ms=AT_MS, seq=1))
        wait_until("kept", lambda: len(site.reasons()) == 3)
        wait_until("stored", lambda: site.rows("press-09", "flow_m3_h") == [(0, 1.5, 0)])

    exact, named, unread = site.quarantine.lines()
    assert unread.reason.startswith("not a Sparkplug B payload")
    assert unread.line == f"{topic} /yBub3QgYSBwYXlsb2Fk"
    assert (unread.device, unread.site) == (f"{GROUP}/line-9", GROUP)
    assert named.reason == "signal 'Motor Speed' is not a legal name"
    assert named.line.endswith(f"signal=Motor\\ Speed value=2.5,quality=0i {AT_MS * MS}")
    assert exact.reason.startswith("parts_count can't be kept exactly")


def test_a_machine_that_nobody_knows_announces_itself_and_is_stored_once_confirmed(
    broker: Broker, tmp_path: Path
) -> None:
    from ingest.trying_again import chores_of

    machines = tmp_path / "machines.csv"
    machines.write_text("machine\nline-2\n")
    catalogue = FileCatalogue(machines)
    site = Site(tmp_path / "ingest", catalogue)
    unit = {"engUnit": {"type": "String", "value": "1"}, "engLow": {"type": "Double", "value": 0},
            "engHigh": {"type": "Double", "value": 900}}  # fmt: skip
    try:
        with ears_at(broker) as ears, site.host(broker.port):
            wait_until("online", ears.is_online)
            with node_at(broker) as node:
                node.expect("birth")
                node.do(
                    "device", device="press-04", metrics=[{**born(PARTS, 5), "properties": unit}]
                )
                node.do("data", device="press-04", metrics=[told(PARTS, 6, 1)])
                wait_until("kept", lambda: site.quarantine.count().n_kept == 2)
                (listed,) = [
                    one for one in site.announced.signals("new") if one.machine != "line-2"
                ]
                machines.write_text("machine\nline-2\npress-04\n")
                for chore in chores_of(site.service, site.quarantine, catalogue):
                    chore()
                stored = site.rows("press-04", "parts_count")
    finally:
        site.close()

    assert (listed.site, listed.machine, listed.signal) == (GROUP, "press-04", "parts_count")
    assert (listed.lowest, listed.highest, listed.n_set_aside) == (0.0, 900.0, 2)
    assert stored == [(0, 5.0, 0), (1, 6.0, 0)]


# --- kill -9 -------------------------------------------------------------------------------------


class Ingest:
    """``staybolt-ingest serve`` as a process."""

    def __init__(self, folder: Path, port: int) -> None:
        folder.mkdir()
        self.folder = folder
        (folder / "tokens").write_text("t" * 32)
        (folder / "tokens").chmod(0o600)
        self._config = folder / "ingest.toml"
        self._config.write_text(
            f'port = {free_port()}\ntoken_file = "tokens"\n'
            '[store]\nkind = "duckdb"\npath = "telemetry.duckdb"\n'
            '[quarantine]\npath = "quarantine.sqlite"\n'
            f'[sparkplug]\nhost = "127.0.0.1"\nport = {port}\nhost_id = "{HOST}"\n'
            f'groups = ["{GROUP}"]\nreorder_timeout_s = 0.5\n'
        )

    def start(self) -> None:
        with (self.folder / "log").open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ingest", "serve", "--config", str(self._config)],
                stdout=output, stderr=output,
            )  # fmt: skip

    def end(self, number: signal.Signals) -> int:
        self._process.send_signal(number)
        return self._process.wait(30)


def test_nothing_is_lost_or_doubled_by_kill_9_where_the_node_repeats_what_was_not_settled(
    broker: Broker, tmp_path: Path, show: Callable[[str], None]
) -> None:
    """Data travel with QoS 0, so a broken host can only be helped by the node. This one is silent
    while its primary host is offline, is then born anew, and repeats as historical data what it
    said since the host last acknowledged something that came after it."""
    chance = random.Random(5)  # noqa: S311 - repeatable
    ingest = Ingest(tmp_path / "ingest", broker.port)
    topic = f"spBv1.0/{GROUP}/DDATA/line-2/press-04"
    said, unsettled = [0], [0]
    ingest.start()
    with ears_at(broker, topic) as ears:

        def say(numbers: list[int], **more: object) -> None:
            for number in numbers:
                node.do("data", device="press-04", metrics=[told(PARTS, number, number, **more)])
                time.sleep(chance.uniform(0, 0.005))

        def wait_until_settled(name: str) -> None:
            n_said = len(ears.heard)
            node.do("data", device="press-04", metrics=[])
            wait_until("the broker has it", lambda: len(ears.heard) > n_said)
            marker = f"spBv1.0/{GROUP}/DDATA/marker/{name}"
            ears.publish(marker, b"\xff")
            wait_until("acknowledged", lambda: is_acknowledged(broker, marker), 60)

        wait_until("online", ears.is_online, 60)
        with node_at(broker) as node:
            node.expect("birth")
            node.do("device", device="press-04", metrics=[born(PARTS, 0)])
            for round_ in range(N_KILLS):
                settled = [said[-1] + n for n in range(1, 40)]
                say(settled)
                said += settled
                wait_until_settled(str(round_))
                unsettled = [said[-1] + n for n in range(1, 60)]
                killed_at = chance.randrange(1, 60)
                say(unsettled[:killed_at])
                ingest.end(signal.SIGKILL)
                said += unsettled
                wait_until("the will", lambda: not ears.is_online(), 60)
                ingest.start()
                wait_until("online again", ears.is_online, 60)
                node.do("rebirth")
                say(unsettled, isHistorical=True)
            wait_until_settled("last")
            assert ingest.end(signal.SIGTERM) == 0
    with DuckDBStore(ingest.folder / "telemetry.duckdb") as store:
        batch = store.read([Series(GROUP, "press-04", "parts_count")], 0, 2**62)
    found = [(time_ns // MS - AT_MS) for time_ns in batch.source_time_ns.tolist()]

    show(f"sparkplug: {N_KILLS} kills of ingest, {len(said)} values said, all there once")
    assert found == said
    assert batch.value.tolist() == [float(number) for number in said]
    assert set(batch.quality.tolist()) <= {0, 1}
