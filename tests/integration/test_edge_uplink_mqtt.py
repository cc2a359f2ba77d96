"""Records over a real broker to a real ingest: guarded by TLS and rights, and through kills.

The oracle is the list of values that were handed to the agent; what is stored is read with plain
SQL from ingest's file.
"""

import asyncio
import contextlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest

from edge_agent.core import AgentCore
from edge_agent.counters import Counters
from edge_agent.messages import NotAllowed, Settled, Stored, Unavailable
from edge_agent.outbox import Outbox
from edge_agent.ports import Intake
from edge_agent.records import Lane, StoredRecord
from edge_agent.runtime import Runtime
from edge_agent.settings_uplink import UplinkSettings
from edge_agent.uplink_mqtt import MqttUplink
from ingest.adapters.duckdb_store import DuckDBStore
from ingest.catalogue import OpenCatalogue
from ingest.errors import StoreUnavailableError
from ingest.mqtt_receiver import MqttReceiver
from ingest.quarantine import Quarantine
from ingest.service import IngestService
from ingest.settings_mqtt import MqttReceiverSettings
from ingest.telemetry import Series, TelemetryBatch
from ingest.telemetry.mqtt_contract import Acknowledgement, Sender
from tests.integration.edge_fixtures import SITE, Agent, wait_until
from tests.integration.mqtt_fixtures import Authority, Broker, machine_on

pytestmark = pytest.mark.server("mosquitto")

BASE_TIME_NS = 1_700_000_000_000_000_000
SENDER = Sender(SITE, "edge-1")


def line(machine: str, number: int, site: str = SITE) -> bytes:
    return (
        f"telemetry,site={site},machine={machine},signal=flow_m3_h "
        f"value={number},quality=0i {BASE_TIME_NS + number}\n"
    ).encode()


def record(sequence: int, n_lines: int = 10) -> StoredRecord:
    first = sequence * 1000
    body = b"".join(line("pump-01", number) for number in range(first, first + n_lines))
    return StoredRecord(sequence, n_lines, body)


def stored(path: Path) -> list[tuple[int, float]]:
    """Times and values in a store's file."""
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute("SELECT source_time_ns, value FROM samples").fetchall()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path / "broker")
    broker.start()
    yield broker
    broker.kill()


@contextlib.contextmanager
def ingest_at(
    settings: MqttReceiverSettings, folder: Path, *, max_body_bytes: int = 1_000_000
) -> Iterator[Quarantine]:
    """Ingest's MQTT side over a real store, in this process."""
    with DuckDBStore(folder / "telemetry.duckdb") as store, Quarantine(folder / "q") as quarantine:
        service = IngestService(
            store, quarantine, OpenCatalogue(), time.time_ns, lambda _token: None
        )
        with MqttReceiver(service, settings, max_body_bytes=max_body_bytes):
            yield quarantine


def uplink_to(url: str, lane: Lane = "backlog", **more: Any) -> MqttUplink:  # noqa: ANN401
    settings = UplinkSettings.model_validate({"kind": "mqtt", "url": url, **more})
    return MqttUplink(settings, SENDER, lane, lambda: "0123456789abcdef")


def send_until_heard(uplink: MqttUplink, records: list[StoredRecord]) -> object:
    """Send until somebody listens: ingest subscribes while the test goes on."""
    deadline = time.monotonic() + 20
    while True:
        answer = uplink.send(records, 1_000_000)
        if not isinstance(answer, Unavailable) or time.monotonic() > deadline:
            return answer
        time.sleep(0.05)


def test_records_are_stored_before_they_are_answered(broker: Broker, tmp_path: Path) -> None:
    uplink = uplink_to(broker.url)

    unheard = uplink.send([record(1)], 1_000_000)
    with ingest_at(MqttReceiverSettings(host="127.0.0.1", port=broker.port), tmp_path):
        answer = send_until_heard(uplink, [record(number) for number in range(1, 200)])
    uplink.close()

    assert isinstance(unheard, Unavailable)
    assert "nobody listens to our topic" in unheard.reason
    assert answer == Stored()
    assert sorted(stored(tmp_path / "telemetry.duckdb")) == [
        (BASE_TIME_NS + number, float(number))
        for sequence in range(1, 200)
        for number in range(sequence * 1000, sequence * 1000 + 10)
    ]


@pytest.mark.parametrize("compress", [False, True])
def test_a_record_larger_than_a_message_is_sent_in_parts(
    broker: Broker, tmp_path: Path, *, compress: bool
) -> None:
    uplink = uplink_to(broker.url, compress=compress)

    with ingest_at(MqttReceiverSettings(host="127.0.0.1", port=broker.port), tmp_path):
        assert send_until_heard(uplink, [record(1, 1)]) == Stored()
        answer = uplink.send([record(2, 900), record(3, 5)], 5000)
    uplink.close()

    assert answer == Stored()
    assert len(stored(tmp_path / "telemetry.duckdb")) == 906


def test_lines_of_another_site_are_set_aside_and_a_payload_that_cannot_be_opened_is_refused(
    broker: Broker, tmp_path: Path
) -> None:
    foreign = StoredRecord(2, 2, line("pump-01", 2) + line("pump-01", 3, site="mill-8"))
    bomb = StoredRecord(3, 1, b"telemetry " * 200_000)
    uplink, packed = uplink_to(broker.url), uplink_to(broker.url, "alarm", compress=True)

    with ingest_at(
        MqttReceiverSettings(host="127.0.0.1", port=broker.port), tmp_path, max_body_bytes=100_000
    ) as quarantine:
        assert send_until_heard(uplink, [record(1)]) == Stored()
        answers = uplink.send([foreign], 1_000_000), packed.send([bomb], 10_000_000)
        (kept,) = quarantine.lines()
    uplink.close()
    packed.close()

    assert answers[0] == Stored()
    assert answers[1] == Settled(
        (), ((3, "the body is larger than 100000 bytes once opened"),), None
    )
    assert (kept.device, kept.reason) == (f"{SITE}/edge-1", "site mill-8 is not the sender's")
    assert (BASE_TIME_NS + 3, 3.0) not in stored(tmp_path / "telemetry.duckdb")


def test_an_answer_to_an_earlier_sending_counts(broker: Broker) -> None:
    uplink, other = uplink_to(broker.url), uplink_to(broker.url, "alarm")
    uplink._remember(Acknowledgement("0123456789abcdef", ((5, 9),)))
    other._remember(Acknowledgement("another", ((5, 9),)))

    answers = uplink.send([record(7), record(9)], 10**6), other.send([record(7)], 10**6)
    uplink.close()
    other.close()

    assert answers[0] == Stored()
    assert isinstance(answers[1], Unavailable)


RIGHTS = """
user ingest
topic read staybolt/v1/+/+/telemetry
topic write staybolt/v1/+/+/ack
user edge-1
topic write staybolt/v1/mill-7/edge-1/telemetry
topic read staybolt/v1/mill-7/edge-1/ack
"""


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[tuple[Broker, Authority]]:
    """A broker that lets in who has a certificate, and each only to its own topics."""
    authority = Authority(tmp_path / "pki", "plant")
    server = authority.issue("localhost")
    (tmp_path / "rights").write_text(RIGHTS)
    (tmp_path / "rights").chmod(0o600)
    broker = Broker(
        tmp_path / "broker",
        f"cafile {authority.path}\ncertfile {server.certificate}\nkeyfile {server.key}\n"
        "require_certificate true\nuse_identity_as_username true\nallow_anonymous false\n"
        f"acl_file {tmp_path / 'rights'}\n",
    )
    broker.start()
    yield broker, authority
    broker.kill()


def test_certificates_let_each_agent_write_to_its_own_topic_only(
    guarded: tuple[Broker, Authority], tmp_path: Path
) -> None:
    broker, authority = guarded
    url = f"mqtts://localhost:{broker.port}"

    def identity(name: str) -> dict[str, Any]:
        own = authority.issue(name)
        return {
            "tls_ca_file": authority.path,
            "tls_certificate_file": own.certificate,
            "tls_key_file": own.key,
        }

    listener = MqttReceiverSettings.model_validate({
        "host": "localhost",
        "port": broker.port,
        **identity("ingest"),
    })
    own, foreign = uplink_to(url, **identity("edge-1")), uplink_to(url, **identity("edge-2"))
    stranger = Authority(tmp_path / "other", "other").issue("edge-1")
    unknown = uplink_to(
        url,
        tls_ca_file=authority.path,
        tls_certificate_file=stranger.certificate,
        tls_key_file=stranger.key,
    )
    with ingest_at(listener, tmp_path):
        answers = [send_until_heard(own, [record(1)])]
        answers += [uplink.send([record(2)], 10**6) for uplink in (foreign, unknown)]
    for uplink in (own, foreign, unknown):
        uplink.close()

    assert answers[0] == Stored()
    assert isinstance(answers[1], NotAllowed)
    assert "give us the right to" in answers[1].reason
    assert isinstance(answers[2], Unavailable)
    assert len(stored(tmp_path / "telemetry.duckdb")) == 10


def test_a_rotated_certificate_is_used_without_a_restart(
    guarded: tuple[Broker, Authority], tmp_path: Path
) -> None:
    broker, authority = guarded
    shown = authority.issue("edge-2")
    uplink = uplink_to(
        f"mqtts://localhost:{broker.port}",
        tls_ca_file=authority.path,
        tls_certificate_file=shown.certificate,
        tls_key_file=shown.key,
    )

    before = uplink.check()  # connected as edge-2, who may not write to the topic of edge-1
    good = authority.issue("edge-1")
    shown.certificate.write_bytes(good.certificate.read_bytes())
    shown.key.write_bytes(good.key.read_bytes())
    after = uplink.send([record(1)], 10**6)
    uplink.close()

    assert before == Stored()
    assert isinstance(after, Unavailable)
    assert "nobody listens" in after.reason


# --- kills ---------------------------------------------------------------------------------------


class IngestProcess:
    """``staybolt-ingest serve`` as its own process."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "tokens").write_text("edge t0ken-of-thirty-two-characters-or-more\n")
        self._config = folder / "ingest.toml"
        self._config.write_text(
            f'port = 0\ntoken_file = "tokens"\n[store]\nkind = "duckdb"\npath = "t.duckdb"\n'
            f'[quarantine]\npath = "q.sqlite"\n'
            f'[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\n'
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "log").open("ab") as output:
            command = [sys.executable, "-m", "ingest", "serve", "--config", str(self._config)]
            self._process = subprocess.Popen(command, stdout=output, stderr=output)

    def end(self, number: int = signal.SIGKILL) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None

    def said(self) -> str:
        return (self.folder / "log").read_text()


class Feed:
    """A source that hands over numbered values and remembers which were made durable."""

    name = "feed"

    def __init__(self) -> None:
        self.sensed: list[int] = []
        self.is_over = False

    async def serve(self, intake: Intake) -> None:
        series = [Series(SITE, "pump-01", "flow_m3_h")]
        while not self.is_over:
            numbers = range(len(self.sensed), len(self.sensed) + 20)
            times = [BASE_TIME_NS + number for number in numbers]
            batch = TelemetryBatch.of(series, [0] * 20, times, list(numbers), [0] * 20)
            await intake.submit(batch, priority="alarm" if numbers[0] % 100 == 0 else "raw")
            self.sensed += numbers
            await asyncio.sleep(0.01)
        await asyncio.Event().wait()


def test_killed_ingest_and_broker_lose_nothing_and_double_nothing(
    tmp_path: Path, show: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.uplink_mqtt.ACK_TIMEOUT_S", 2.0)
    broker = Broker(tmp_path / "broker")
    ingest, chance = IngestProcess(tmp_path / "ingest", broker), random.Random(5)  # noqa: S311
    broker.start()
    ingest.start()
    feed, counters = Feed(), Counters()
    outbox = Outbox(tmp_path / "outbox.sqlite", 10**9)

    async def run() -> None:
        core = AgentCore(group_commit_s=0.02, max_body_bytes=20_000, retry_max_s=0.5)
        make = lambda lane: uplink_to(broker.url, lane)  # noqa: E731
        runtime = Runtime(core, outbox, make, [feed], counters)
        stop = asyncio.Event()
        running = asyncio.create_task(runtime.run(stop))
        for turn in range(6):
            n_before = counters.acknowledged
            await until(partial(has_gone_on, n_before))
            await asyncio.sleep(chance.uniform(0, 0.2))
            victim = broker if turn % 3 == 2 else ingest
            await asyncio.to_thread(victim.kill if victim is broker else ingest.end)
            await asyncio.sleep(chance.uniform(0, 0.3))
            await asyncio.to_thread(victim.start)
        feed.is_over = True
        await until(lambda: counters.acknowledged >= len(feed.sensed))
        stop.set()
        await running

    def has_gone_on(n_before: int) -> bool:
        return counters.acknowledged > n_before + 200

    async def until(is_true: Callable[[], bool]) -> None:
        async with asyncio.timeout(90):
            while not is_true():  # noqa: ASYNC110 - what it waits for happens elsewhere
                await asyncio.sleep(0.02)

    try:
        asyncio.run(run())
        ingest.end(signal.SIGTERM)
    finally:
        ingest.end()
        broker.kill()

    rows = stored(tmp_path / "ingest" / "t.duckdb")
    arrived = {time_ns - BASE_TIME_NS: value for time_ns, value in rows}
    with DuckDBStore(tmp_path / "ingest" / "t.duckdb") as store:
        read = store.read([Series(SITE, "pump-01", "flow_m3_h")], 0, 2**62)
    show(f"mqtt uplink: {len(feed.sensed)} values over 4 kills of ingest and 2 of the broker")
    assert set(feed.sensed) - arrived.keys() == set(), "lost"
    assert all(number == value for number, value in arrived.items())
    assert read.source_time_ns.tolist() == [BASE_TIME_NS + n for n in sorted(feed.sensed)]
    assert counters.faults == 0


def test_ingest_whose_store_fails_leaves_the_broker_and_comes_back(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.mqtt_receiver.STORE_RETRY_S", 0.1)
    is_down, write = [True], DuckDBStore.write

    def sometimes(self: DuckDBStore, batch: TelemetryBatch) -> None:
        if is_down:
            msg = "the disk is full"
            raise StoreUnavailableError(msg)
        write(self, batch)

    monkeypatch.setattr(DuckDBStore, "write", sometimes)
    monkeypatch.setattr("edge_agent.uplink_mqtt.ACK_TIMEOUT_S", 0.5)
    uplink = uplink_to(broker.url)
    with ingest_at(MqttReceiverSettings(host="127.0.0.1", port=broker.port), tmp_path):
        said: list[str] = []

        def has_left() -> bool:
            answer = uplink.send([record(1)], 10**6)
            said.append(getattr(answer, "reason", ""))
            return (
                len(said) > 2
                and "nobody listens" in said[-1]
                and "did not answer" in " ".join(said)
            )

        wait_until("ingest has left", has_left)
        is_down.clear()
        answer = send_until_heard(uplink, [record(1)])
    uplink.close()

    assert answer == Stored()
    assert len(stored(tmp_path / "telemetry.duckdb")) == 10


def test_the_program_checks_and_uses_an_uplink_over_mqtt(broker: Broker, tmp_path: Path) -> None:
    folder, ingest = tmp_path / "agent", IngestProcess(tmp_path / "ingest", broker)
    folder.mkdir()
    config = folder / "edge.toml"
    config.write_text(
        f'site = "{SITE}"\nagent = "edge-1"\nstate_dir = "state"\n'
        f'[uplink]\nkind = "mqtt"\nurl = "{broker.url}"\n[status]\nport = 0\n'
        f'[[mqtt]]\nname = "hall-1"\nhost = "127.0.0.1"\nport = {broker.port}\n'
        '[[mqtt.topics]]\ntopic = "plant/{machine}/telemetry"\n'
    )
    agent = Agent(config)
    checked = agent.run("check", "--config", str(config), "--connect")
    ingest.start()
    try:
        agent.start()
        wait_until("subscribed", lambda: "subscribed" in agent.said(), 60)
        with machine_on(broker.port) as machine:
            machine.say(25)
            wait_until("sent on", lambda: "25 acknowledged" in status_of(agent), 60)
            expected = sorted((time_ns, value) for _, _, time_ns, value, _ in machine.said.samples)
    finally:
        agent.stop()
        ingest.end(signal.SIGTERM)

    assert f"ok   edge.toml, uplink: {broker.url} lets us write" in checked.stdout
    # The agent's own counts are stored beside them, with the present time.
    times = {time_ns for time_ns, _ in expected}
    rows = stored(tmp_path / "ingest" / "t.duckdb")
    assert sorted(row for row in rows if row[0] in times) == expected


def status_of(agent: Agent) -> str:
    return agent.run("status", "--config", str(agent.config)).stdout
