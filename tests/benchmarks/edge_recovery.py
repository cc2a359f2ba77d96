"""How soon data flow again after what the agent reads from was away.

The broker half: Mosquitto with TLS and client certificates is ended in an orderly way and started
again after pauses from half a second to twelve, so that the agent's own pauses have grown. The
clock starts when the broker listens; it stops when the store has a value published after that.

The OPC UA half: the server is killed and started again, and the line to it is refused, reset and
left half-open by the simulators' fault proxy, each for several times. The clock starts when the
server listens or the line passes bytes again; it stops when the store has a value measured later.

The alarm half: 72 h of 1,000 values a second wait in the outbox and drain into a real InfluxDB,
live values go on coming, and every half second there is an alarm; its latency ends when InfluxDB
itself shows it. The same once more with a store that never answers a request of raw values.
"""

import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from edge_agent.settings_uplink import UplinkSettings
from simulators.faults.network import ProxyMode
from tests.benchmarks.common import Target, report
from tests.integration.edge_fixtures import StandInStore, agent_of, wait_until
from tests.integration.mqtt_fixtures import Authority, GuardedBroker, machine_on, write_mqtt_config
from tests.reliability.alarm_drain import (
    N_SERIES,
    HangingStore,
    alarms_seen_in_influxdb,
    drain,
    fill,
)
from tests.reliability.opcua_return import line_returns_s, scene, server_returns_s
from tests.servers.launch import influxd

BROKER_AWAY_S = (0.5, 1.0, 2.0, 4.0, 8.0, 12.0)
OPCUA_AWAY_S = (0.5, 3.0, 8.0, 15.0)
LINE_MODES: tuple[ProxyMode, ...] = ("refuse", "reset", "half-open")
BACKLOG_H = 72.0
DRAIN_S = 60.0
HANGING_S = 45.0
"""Longer than a request may hang, so that it is tried again meanwhile."""

TOPICS = '[[mqtt.topics]]\ntopic = "plant/{machine}/telemetry"\n'


def broker_return_s(folder: Path, away_s: tuple[float, ...] = BROKER_AWAY_S) -> list[float]:
    """Seconds from the broker's return to the first new value in the store, for each absence."""
    authority = Authority(folder / "pki", "plant-ca")
    own, broker, store = authority.issue("agent"), GuardedBroker(folder, authority), StandInStore()
    mqtt = (
        f'port = {broker.port}\ntls_ca_file = "{authority.path}"\n'
        f'tls_certificate_file = "{own.certificate}"\ntls_key_file = "{own.key}"'
    )
    took: list[float] = []
    broker.start()
    try:
        with agent_of(write_mqtt_config(folder / "agent", store.url, mqtt, TOPICS)) as agent:
            agent.start()
            wait_until("subscribed", lambda: "topics subscribed" in agent.said())
            for number, pause_s in enumerate(away_s):
                broker.stop()
                time.sleep(pause_s)
                broker.start()
                returned_s = time.monotonic()
                topic, n_before = f"plant/press-{number:02}/telemetry", len(store.samples)
                with machine_on(broker.port, authority) as machine:
                    machine.say(topic=topic)
                    wait_until("data again", lambda n=n_before: len(store.samples) > n)  # type: ignore[misc]  # bound now
                    took.append(time.monotonic() - returned_s)
            agent.stop()
    finally:
        broker.stop()
        store.close()
    return took


def alarms_first(folder: Path, figures: dict[str, float], targets: list[Target]) -> None:
    """Alarms while 72 h drain, and while the request of the backlog hangs."""
    begun_s = time.monotonic()
    n_backlog = fill(folder / "outbox.sqlite", BACKLOG_H)
    print(f"{n_backlog} samples in the outbox, written in {time.monotonic() - begun_s:.0f} s")
    (folder / "influxd").mkdir()
    with influxd(folder / "influxd") as server:
        query = urllib.parse.urlencode({"q": 'CREATE DATABASE "alarms"'}).encode()
        urllib.request.urlopen(f"{server.url}/query", query, timeout=30).close()
        uplink = UplinkSettings(url=server.url, write_api="influxdb1", bucket="alarms")
        with alarms_seen_in_influxdb(server.url, "alarms") as seen:
            drained = drain(folder / "outbox.sqlite", n_backlog, uplink, seen, DRAIN_S)
    store = HangingStore()
    (folder / "token").write_text("t")
    uplink = UplinkSettings(url=store.url, token_file=folder / "token")
    hung = drain(folder / "outbox.sqlite", n_backlog, uplink, lambda: dict(store.seen), HANGING_S)
    store.close()
    figures["alarm_latency_draining_longest_s"] = round(max(drained.latency_s), 2)
    figures["alarm_latency_hanging_longest_s"] = round(max(hung.latency_s), 2)
    figures["n_alarms"] = float(len(drained.latency_s) + len(hung.latency_s))
    figures["drain_rate_per_live_rate"] = round(drained.drained_per_s / N_SERIES, 1)
    targets.append(("alarm_latency_draining_longest_s", "<=", 5.0))
    targets.append(("alarm_latency_hanging_longest_s", "<=", 5.0))
    targets.append(("drain_rate_per_live_rate", ">=", 20.0))
    print(f"alarms while it drains at {drained.drained_per_s:.0f} samples/s:")
    print(f"  {len(drained.latency_s)} alarms, {max(drained.latency_s):.2f} s at the longest")
    print("alarms while the request of the backlog hangs:")
    print(f"  {len(hung.latency_s)} alarms, {max(hung.latency_s):.2f} s at the longest")


def opcua_return(folder: Path, figures: dict[str, float], targets: list[Target]) -> None:
    """Seconds until data flow again, for each kind of absence and its length."""
    took: dict[str, list[float]] = {"server killed": []}
    with scene(folder) as one:
        for away_s in OPCUA_AWAY_S:
            took["server killed"].append(server_returns_s(one, away_s))
        for mode in LINE_MODES:
            took[f"line: {mode}"] = [line_returns_s(one, mode, away_s) for away_s in OPCUA_AWAY_S]
    print("data again after the OPC UA server's return:")
    for kind, seconds in took.items():
        shown = ", ".join(
            f"{away_s:g} s away {each:.2f} s"
            for away_s, each in zip(OPCUA_AWAY_S, seconds, strict=True)
        )
        print(f"  {kind}: {shown}")
    figures["opcua_return_longest_s"] = round(max(each for s in took.values() for each in s), 2)
    figures["opcua_return_mean_s"] = round(
        sum(each for s in took.values() for each in s) / sum(len(s) for s in took.values()), 2
    )
    targets.append(("opcua_return_longest_s", "<=", 2.0))


def run(data: Path) -> dict[str, Any]:
    """Measure; needs no real data."""
    figures: dict[str, float] = {}
    targets: list[Target] = []
    with tempfile.TemporaryDirectory() as place:
        opcua_return(Path(place), figures, targets)
    with tempfile.TemporaryDirectory() as place:
        took = broker_return_s(Path(place))
    figures["broker_return_longest_s"] = round(max(took), 2)
    figures["broker_return_mean_s"] = round(sum(took) / len(took), 2)
    targets.append(("broker_return_longest_s", "<=", 5.0))
    print("data again after the broker's return:")
    for pause_s, seconds in zip(BROKER_AWAY_S, took, strict=True):
        print(f"  away for {pause_s:5.1f} s: {seconds:5.2f} s")
    with tempfile.TemporaryDirectory() as place:
        alarms_first(Path(place), figures, targets)
    return report("edge_recovery", figures, targets=targets)
