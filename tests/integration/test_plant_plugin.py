"""The pytest plugin: a running plant in three lines, with its truth and its faults."""

import asyncio
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

from simulators.errors import ScenarioError
from simulators.machines import KINDS
from simulators.testing.plugin import RunningPlant, StartPlant

pytestmark = pytest.mark.timeout(120)


def listen(plant: RunningPlant, seconds: float) -> list[tuple[str, bytes]]:
    heard: list[tuple[str, bytes]] = []
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    password = Path(plant.mqtt["password_file"]).read_text().strip()
    client.username_pw_set(plant.mqtt["user"], password)
    client.on_message = lambda _c, _d, message: heard.append((
        message.topic,
        bytes(message.payload),
    ))
    client.connect(plant.mqtt["host"], plant.mqtt["port"])
    client.loop_start()
    client.subscribe("#", qos=1)
    time.sleep(seconds)
    client.disconnect()
    client.loop_stop()
    return heard


def test_three_lines_are_enough(staybolt_plant: StartPlant) -> None:
    plant = staybolt_plant("two-pumps")
    assert {fact["machine"] for fact in plant.truth} == {"pump-01", "pump-02"}
    assert any("pump-01" in topic for topic, _ in listen(plant, 2.5))


def test_a_broken_sensor_shows_and_is_mended(staybolt_plant: StartPlant) -> None:
    plant = staybolt_plant("two-pumps", "--history-days", "0.01")

    plant.faults.ask(do="sensor", machine="pump-01", signal="flow_m3_h", fault="bad")
    broken = [json.loads(payload) for topic, payload in listen(plant, 3.0) if "pump-01" in topic]
    status = plant.faults.ask(do="status")
    plant.faults.clear()
    mended = [json.loads(payload) for topic, payload in listen(plant, 3.0) if "pump-01" in topic]

    assert any(each.get("quality") == {"flow_m3_h": 2} for each in broken)
    assert status["sensor_faults"][0]["fault"] == "bad"
    assert mended[-1].get("quality") is None


def test_a_silent_network_heals(staybolt_plant: StartPlant) -> None:
    plant = staybolt_plant("two-pumps", "--history-days", "0.01")

    plant.faults.ask(do="network", server="mqtt", mode="refuse")
    with pytest.raises(ConnectionRefusedError):
        listen(plant, 0.1)
    plant.faults.clear()

    assert listen(plant, 2.5)


def test_wrong_wishes_are_refused_in_words(staybolt_plant: StartPlant) -> None:
    plant = staybolt_plant("two-pumps", "--history-days", "0.01")

    for request, words in (
        ({"do": "sensor", "machine": "pony", "signal": "x", "fault": "bad"}, "no 'pony'"),
        ({"do": "network", "server": "moon", "mode": "pass"}, "there are mqtt"),
        ({"do": "server", "server": "x", "what": "restart"}, "no OPC UA server"),
        ({"do": "dance"}, "dance"),
    ):
        with pytest.raises(ScenarioError, match=words):
            plant.faults.ask(**request)


def test_every_protocol_of_a_mixed_fleet_speaks(staybolt_plant: StartPlant) -> None:
    plant = staybolt_plant("mixed-fleet", "--history-days", "0.02")

    heard = listen(plant, 4.0)
    asyncio.run(read_over_opcua(plant))

    kinds = {topic.split("/")[0] + topic.split("/")[-1] for topic, _ in heard}
    assert {"planttelemetry", "plantlines", "spBv1.0motor-01", "spBv1.0motor-02"} <= kinds
    lines = [payload for topic, payload in heard if topic.endswith("lines")]
    assert lines[-1].startswith(b"telemetry,site=works-3,machine=compressor,signal=")


def test_every_kind_is_a_device_of_one_sparkplug_node(staybolt_plant: StartPlant) -> None:
    plant = staybolt_plant("sparkplug", "--history-days", "0.02")

    topics = {topic for topic, _ in listen(plant, 3.0)}

    devices = {fact["machine"] for fact in plant.truth}
    assert len(devices) == len(KINDS)
    assert {f"spBv1.0/plant/DDATA/works-4/{device}" for device in devices} <= topics


def test_a_bad_network_delivers_late_from_a_clock_that_is_ahead(
    staybolt_plant: StartPlant,
) -> None:
    plant = staybolt_plant("bad-network", "--history-days", "0.01")

    lines = [payload for topic, payload in listen(plant, 4.0) if topic.endswith("lines")]
    status = plant.faults.ask(do="status")

    ahead_s = max(int(line.split()[-1]) for payload in lines for line in payload.splitlines())
    assert 75 < ahead_s / 1e9 - time.time() < 92
    assert status["n_late"] > 0


def test_a_part_of_a_big_plant_carries_its_own_server_alone(staybolt_plant: StartPlant) -> None:
    plant = staybolt_plant("big-opcua", "--part", "2/4", "--history-days", "0.02")

    assert [server["name"] for server in plant.opcua] == ["north"]
    assert len({fact["machine"] for fact in plant.truth}) == 125


def read(path: str) -> bytes:
    return Path(path).read_bytes()


async def read_over_opcua(plant: RunningPlant) -> None:
    hall = next(server for server in plant.opcua if server["name"] == "hall-1")
    node_id = "spindle-01.speed_rpm"
    client = await connect(plant, hall)
    async with client:
        index = await client.get_namespace_index(hall["namespace_uri"])
        node = client.get_node(f"ns={index};s={node_id}")
        now = await node.read_data_value()
        assert now.StatusCode is not None
        await asyncio.sleep(2.5)
        history = await node.read_raw_history(
            datetime(2020, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC), 100
        )
        assert len(history) >= 2
        times = [str(value.SourceTimestamp) for value in history]
        assert times == sorted(times)
        plant.faults.ask(do="node", machine="spindle-01", signal="speed_rpm", what="vanish")
        with pytest.raises(ua.UaStatusCodeError):
            await node.read_data_value()
        plant.faults.ask(do="node", machine="spindle-01", signal="speed_rpm", what="bring-back")
        assert (await node.read_data_value()).Value is not None
    before = read(hall["server_certificate"])
    plant.faults.ask(do="server", server="hall-1", what="rotate-certificate")
    assert read(hall["server_certificate"]) != before
    async with await connect(plant, hall) as again:
        assert await again.get_namespace_index(hall["namespace_uri"]) == index
    stranger = Client(hall["endpoint"])
    with pytest.raises((ua.UaError, ConnectionError, TimeoutError)):
        await stranger.connect()


async def connect(plant: RunningPlant, server: dict[str, str]) -> Client:
    client = Client(server["endpoint"])
    client.application_uri = "urn:staybolt:test-client"
    certificate = plant.folder / "pki" / "trusted_servers" / f"{server['name']}.der"
    await client.set_security(
        SecurityPolicyBasic256Sha256, plant.certificate, plant.private_key, None, str(certificate)
    )
    users: dict[str, str] = dict(server["users"])  # type: ignore[arg-type]  # of plant.json
    ((user, password_file),) = users.items()
    client.set_user(user)
    client.set_password(read(password_file).decode().strip())
    return client
