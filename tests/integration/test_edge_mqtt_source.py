"""The MQTT source by itself, on a real broker: the brake, changed settings, and reasons given.

The outbox is a gate here: what was submitted becomes durable when the test says so.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edge_agent.counters import Counters
from edge_agent.errors import SourceError
from edge_agent.records import Misfit, Priority
from edge_agent.settings_mqtt import MqttSettings
from edge_agent.sources import mqtt
from edge_agent.sources.mqtt import PAUSE_MESSAGES, MqttSource
from edge_agent.sources.mqtt_link import RECEIVE_MAXIMUM
from ingest.telemetry import TelemetryBatch
from tests.servers.launch import Address

pytestmark = pytest.mark.timeout(120)


class Gate:
    """Takes samples; they are durable only when the gate is open."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.samples: list[tuple[str, str, int, float, Priority]] = []
        self.misfits: list[Misfit] = []
        self.n_submitted = 0
        self._is_open = is_open
        self._waiting: list[asyncio.Future[None]] = []

    def submit(
        self, batch: TelemetryBatch | None, misfits: Sequence[Misfit] = (), *,
        is_urgent: bool = False, priority: Priority = "raw",
    ) -> asyncio.Future[None]:  # fmt: skip
        self.n_submitted += 1
        self.misfits += misfits
        if batch is not None:
            for row in range(len(batch)):
                series = batch.series[int(batch.series_index[row])]
                self.samples.append((
                    series.machine, series.signal, int(batch.source_time_ns[row]),
                    float(batch.value[row]), priority,
                ))  # fmt: skip
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._is_open:
            durable.set_result(None)
        else:
            self._waiting.append(durable)
        return durable

    def heard(self, source: str) -> None:
        pass

    def open(self) -> None:
        self._is_open = True
        for durable in self._waiting:
            if not durable.done():
                durable.set_result(None)


def settings(address: Address, name: str, **more: object) -> MqttSettings:
    return MqttSettings.model_validate({
        "name": "hall", "host": address.host, "port": address.port, "client_id": name,
        "topics": [{"topic": name + "/{machine}/t"}], **more,
    })  # fmt: skip


@contextlib.asynccontextmanager
async def served(source: MqttSource, gate: Gate) -> AsyncIterator[None]:
    """The source, connected again whenever it ends, as the agent does."""

    async def for_ever() -> None:
        while True:
            with contextlib.suppress(SourceError):
                await source.serve(gate)

    task = asyncio.create_task(for_ever())
    try:
        await until(lambda: source._receiver is not None and source._receiver.link.is_up)
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_true():  # noqa: ASYNC110 - nothing here has an event to wait for
            await asyncio.sleep(0.02)


class Sender:
    """Publishes from a thread of its own."""

    def __init__(self, address: Address) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.max_queued_messages_set(0)
        self._client.connect(address.host, address.port)
        self._client.loop_start()

    def send(self, topic: str, number: int, *, qos: int = 1, retain: bool = False) -> None:
        document = {"time_ns": number, "values": {"flow_m3_h": float(number)}}
        self.publish(topic, json.dumps(document).encode(), qos=qos, retain=retain)

    def send_many(self, topic: str, n_messages: int, qos: int) -> None:
        for number in range(1, n_messages + 1):
            self.send(topic, number, qos=qos)

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=qos, retain=retain).wait_for_publish(20)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def sender(mosquitto_server: Address) -> Sender:
    return Sender(mosquitto_server)


def numbers(gate: Gate) -> set[int]:
    return {sample[2] for sample in gate.samples}


@pytest.mark.server("mosquitto")
@pytest.mark.parametrize(("protocol", "qos"), [("5", 1), ("3.1.1", 1), ("3.1.1", 0)])
def test_a_disk_that_does_not_keep_up_makes_the_broker_wait_and_nothing_is_dropped(
    mosquitto_server: Address, sender: Sender, tmp_path: Path, protocol: str, qos: int
) -> None:
    subscribed = tmp_path / "mqtt" / "hall" / "subscriptions.json"
    name, n_messages = f"brake-{protocol}-{qos}", PAUSE_MESSAGES + 1500

    async def run() -> tuple[int, set[int]]:
        gate = Gate(is_open=False)
        asked = settings(mosquitto_server, name, protocol=protocol)
        source = MqttSource(asked, "s", Counters(), tmp_path)
        async with served(source, gate):
            await until(subscribed.exists)
            await asyncio.to_thread(sender.send_many, f"{name}/m/t", n_messages, qos)
            await until(lambda: gate.n_submitted >= (1000 if protocol == "5" else PAUSE_MESSAGES))
            await asyncio.sleep(1.0)
            held = gate.n_submitted
            gate.open()
            await until(lambda: len(numbers(gate)) == n_messages)
            return held, numbers(gate)

    held, arrived = asyncio.run(run())
    sender.close()

    assert held <= (RECEIVE_MAXIMUM if protocol == "5" else PAUSE_MESSAGES)
    assert arrived == set(range(1, n_messages + 1))


@pytest.mark.server("mosquitto")
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_changed_topics_are_taken_without_disturbing_the_others(
    mosquitto_server: Address, sender: Sender, protocol: str
) -> None:
    name = f"change-{protocol}"
    stays = {"topic": name + "/{machine}/t"}
    before = [stays, {"topic": name + "/{machine}/old"}]
    after = [stays, {"topic": name + "/{machine}/new", "priority": "alarm"}]

    async def run() -> tuple[Gate, list[bool], set[str]]:
        gate = Gate()
        first = settings(mosquitto_server, name, topics=before, protocol=protocol)
        source = MqttSource(first, "s", Counters())
        is_over = asyncio.Event()

        async def talk() -> int:
            n = 100
            while not is_over.is_set():
                n += 1
                await asyncio.to_thread(sender.send, f"{name}/m/t", n)
            return n

        await asyncio.to_thread(sender.send, f"{name}/m/t", 1, retain=True)
        async with served(source, gate):
            await until(lambda: 1 in numbers(gate))
            link = source._receiver.link if source._receiver else None
            talking = asyncio.create_task(talk())
            second = settings(mosquitto_server, name, topics=after, protocol=protocol)
            taken = [await source.apply(second)]
            await asyncio.to_thread(sender.send, f"{name}/m/old", 3)
            await asyncio.to_thread(sender.send, f"{name}/m/new", 2)
            await until(lambda: 2 in numbers(gate))
            is_over.set()
            last = await talking
            await until(lambda: set(range(101, last + 1)) <= numbers(gate))
            assert source._receiver is not None
            assert source._receiver.link is link, "connected anew"
            taken.append(await source.apply(second.model_copy(update={"port": 1})))
        return gate, taken, {misfit.reason for misfit in gate.misfits}

    gate, taken, misfits = asyncio.run(run())
    sender.close()

    assert taken == [True, False]
    assert 3 not in numbers(gate)
    assert misfits == set()
    assert [sample[4] for sample in gate.samples if sample[2] == 2] == ["alarm"]
    assert sum(sample[2] == 1 for sample in gate.samples) == 1, "the kept topic was asked again"


@pytest.mark.server("mosquitto")
def test_a_bad_retained_message_is_set_aside_once_however_often_we_connect(
    mosquitto_server: Address, sender: Sender
) -> None:
    name = "retained"

    async def run() -> tuple[Gate, int]:
        gate, counters = Gate(), Counters()
        source = MqttSource(settings(mosquitto_server, name, protocol="3.1.1"), "s", counters)
        await asyncio.to_thread(sender.publish, f"{name}/m/t", b"not JSON", retain=True)
        await asyncio.to_thread(sender.send, f"{name}/n/t", 7, retain=True)
        for n_times in (1, 2, 3):
            async with served(source, gate):
                await until(lambda n=n_times: gate.n_submitted >= 2 * n)  # type: ignore[misc]  # bound now
        await asyncio.to_thread(sender.publish, f"{name}/m/t", b"", retain=True)
        await asyncio.to_thread(sender.publish, f"{name}/n/t", b"", retain=True)
        return gate, counters.misfits

    gate, n_misfits = asyncio.run(run())
    sender.close()

    assert (len(gate.misfits), n_misfits) == (1, 1)
    assert numbers(gate) == {7}


# --- what brokers may say, from a peer that says only that ---------------------------------------

CONNACK = bytes([0x20, 3, 0, 0, 0])
SUBACK_GRANTED = bytes([0x90, 4, 0, 1, 0, 1])


def disconnect(code: int) -> bytes:
    return bytes([0xE0, 2, code, 0])


async def answer_of(
    say: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> str:
    """What the source says of a broker that answers so."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await say(reader, writer)
            await writer.drain()
            await reader.read()
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    source = MqttSource(settings(Address("127.0.0.1", port), "x"), "s", Counters())
    try:
        with pytest.raises(SourceError) as caught:
            await source.serve(Gate())
    finally:
        server.close()
    return str(caught.value)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0x8E, "another client uses the name of our session"),
        (0x97, "its quota is used up"),
        (0x8B, "it shuts down"),
        (0x9D, "it has moved; correct host and port"),
        (0x87, "give this user the right to be connected"),
    ],
)
def test_the_reason_of_a_disconnect_is_told(
    monkeypatch: pytest.MonkeyPatch, code: int, said: str
) -> None:
    monkeypatch.setattr(mqtt, "TAKEN_OVER_PAUSE_S", 0.0)

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(CONNACK)
        await reader.read(1000)
        writer.write(SUBACK_GRANTED + disconnect(code))

    assert said in asyncio.run(answer_of(say))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0x84, 'set protocol to "3.1.1"'),
        (0x85, "give another client_id"),
        (0x87, "correct user, password_file or client_id"),
        (0x97, "its quota is used up"),
    ],
)
def test_the_reason_of_a_refused_connection_is_told(code: int, said: str) -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(bytes([0x20, 3, 0, code, 0]))

    assert said in asyncio.run(answer_of(say))


def test_a_broker_that_refuses_every_topic_is_told() -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(CONNACK)
        await reader.read(1000)
        writer.write(bytes([0x90, 4, 0, 1, 0, 0x97]))

    assert "the broker refuses every topic" in asyncio.run(answer_of(say))


def test_a_broker_that_promises_less_than_was_asked_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        # Session expiry (property 17): an hour.
        writer.write(bytes([0x20, 8, 0, 0, 5, 17, 0, 0, 0x0E, 0x10]))
        await reader.read(1000)
        writer.write(bytes([0x90, 4, 0, 1, 0, 0]) + disconnect(0x8B))

    asyncio.run(answer_of(say))

    assert "keeps our session for 3600 s only" in caplog.text
    assert "grants QoS 0 only for x/+/t" in caplog.text


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 100])
def test_what_is_no_broker_is_told(answer: bytes) -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(answer)

    assert "127.0.0.1" in asyncio.run(answer_of(say))
