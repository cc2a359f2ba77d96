"""Sparkplug B of a foreign edge node (npm's sparkplug-client), through the whole agent."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.edge_fixtures import StandInStore, agent_of, wait_until
from tests.integration.mqtt_fixtures import write_mqtt_config
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
)
from tests.servers.launch import Address

pytestmark = [
    pytest.mark.server("mosquitto"),
    pytest.mark.server("sparkplug-client"),
    pytest.mark.timeout(120),
]


@pytest.fixture
def store() -> Iterator[StandInStore]:
    store = StandInStore()
    yield store
    store.close()


def topics(group: str, more: str = "") -> str:
    return f"""
[[mqtt.topics]]
topic = "spBv1.0/{group}"
format = "sparkplug"
reorder_timeout_s = 0.5
{more}
"""


NAMED = "".join(
    f'[[mqtt.topics.signals]]\nsource = "{source}"\nsignal = "{signal}"\n'
    for source, signal in (
        ("Hydraulics/Oil", "oil_temperature_c"), ("parts_count", "parts_count"),
        ("offset_mm", "offset_mm"), ("door_open_ratio", "door_open_ratio"),
        ("cabinet_temperature_c", "cabinet_temperature_c"),
    )
)  # fmt: skip


def at(machine: str, signal: str, n: int) -> tuple[str, str, int]:
    return machine, signal, (AT_MS + n) * MS


def is_there(store: StandInStore, expected: dict[tuple[str, str, int], object]) -> bool:
    found = store.distinct()
    return all(found.get(key) == value for key, value in expected.items())


def test_births_data_gaps_and_deaths_of_a_foreign_node_arrive_as_they_were_said(
    mosquitto_server: Address, store: StandInStore, tmp_path: Path
) -> None:
    group = tmp_path.name
    config = write_mqtt_config(
        tmp_path / "agent",
        store.url,
        f"port = {mosquitto_server.port}\nclient_id = '{group}'",
        topics(group, NAMED),
    )
    expected: dict[tuple[str, str, int], object] = {}
    with agent_of(config) as agent:
        agent.start()
        wait_until("subscribed", lambda: "topics subscribed" in agent.said())
        node = ForeignNode(mosquitto_server.port, group)
        try:
            node.expect("birth")
            node.do("device", device="press-04", metrics=[
                born(OIL, 40.5), born(PARTS, 2**32 - 1), born(SHIFT, -7), born(DOOR, True), SERIAL,
            ])  # fmt: skip
            expected |= {
                at("line-2", "cabinet_temperature_c", 0): (21.5, 0),
                at("press-04", "oil_temperature_c", 0): (40.5, 0),
                at("press-04", "parts_count", 0): (2.0**32 - 1, 0),
                at("press-04", "offset_mm", 0): (-7.0, 0),
                at("press-04", "door_open_ratio", 0): (1.0, 0),
            }
            wait_until("births", lambda: is_there(store, expected))
            for n in range(1, 400):
                node.do("data", device="press-04", compress=n % 7 == 0, metrics=[
                    told(OIL, 40.5 + n / 8, n), told(SHIFT, n - 200, n),
                    told(DOOR, n % 2 == 0, n),
                ])  # fmt: skip
                expected[at("press-04", "oil_temperature_c", n)] = (40.5 + n / 8, 0)
                expected[at("press-04", "offset_mm", n)] = (float(n - 200), 0)
                expected[at("press-04", "door_open_ratio", n)] = (float(n % 2 == 0), 0)
            node.do("data", device="press-04", metrics=[
                told(OIL, None, 401, isNull=True), told(OIL, 39.0, -500, isHistorical=True),
                told(OIL, 41.0, 402, properties={"Quality": {"type": "Int32", "value": 500}}),
            ])  # fmt: skip
            expected[at("press-04", "oil_temperature_c", 401)] = (None, 2)
            expected[at("press-04", "oil_temperature_c", -500)] = (39.0, 0)
            expected[at("press-04", "oil_temperature_c", 402)] = (41.0, 1)
            wait_until("data", lambda: is_there(store, expected))

            node.do("lose", messages=3)
            node.do("data", device="press-04", metrics=[told(OIL, 42.0, 500)])
            asked = node.expect("command")
            node.expect("birth")
            node.do("data", device="press-04", metrics=[told(OIL, 43.0, 501)])
            expected[at("press-04", "oil_temperature_c", 500)] = (42.0, 1)
            expected[at("press-04", "oil_temperature_c", 501)] = (43.0, 0)
            wait_until("after the gap", lambda: is_there(store, expected))

            n_before = len(store.samples)
            node.do("death", device="press-04")
            wait_until("death", lambda: sum(
                sample[3] is None and sample[1] == "oil_temperature_c"
                for sample in store.samples[n_before:]
            ) == 1)  # fmt: skip
        finally:
            node.kill()
        wait_until("the will", lambda: any(
            sample[0] == "line-2" and sample[3:] == (None, 2) for sample in store.samples
        ))  # fmt: skip
        assert agent.stop() == 0, agent.said()

    assert asked["metrics"] == [{"name": "Node Control/Rebirth", "value": True}]
    assert is_there(store, expected)
    assert "0 misfits" in agent.said().splitlines()[-1]
    assert " 0 faults" in agent.said().splitlines()[-1]


def test_an_agent_that_begins_in_mid_stream_asks_for_births_and_then_understands(
    mosquitto_server: Address, store: StandInStore, tmp_path: Path
) -> None:
    group = tmp_path.name
    config = write_mqtt_config(
        tmp_path / "agent",
        store.url,
        f"port = {mosquitto_server.port}\nprotocol = '3.1.1'\nclient_id = '{group}'",
        topics(group),
    )
    node = ForeignNode(mosquitto_server.port, group)
    try:
        node.expect("birth")
        node.do("device", device="press-04", metrics=[born(PARTS, 5), SERIAL])
        with agent_of(config) as agent:
            agent.start()
            wait_until("subscribed", lambda: "topics subscribed" in agent.said())
            node.do("data", device="press-04", metrics=[told(PARTS, 6, 1)])
            node.expect("birth")
            node.do("data", device="press-04", metrics=[told(PARTS, 7, 2)])

            wait_until("understood", lambda: at("press-04", "parts_count", 2) in store.distinct())
            shown = agent.run("outbox", "--config", str(config)).stdout
            assert agent.stop() == 0, agent.said()
    finally:
        node.kill()

    assert at("press-04", "parts_count", 0) in store.distinct()
    assert "alias 11 is in no birth that was heard" in shown
    assert "serial is no number" in shown
