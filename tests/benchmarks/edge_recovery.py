"""How soon data flow again after what the agent reads from was away.

The broker half: Mosquitto with TLS and client certificates is ended in an orderly way and started
again after pauses from half a second to twelve, so that the agent's own pauses have grown. The
clock starts when the broker listens; it stops when the store has a value published after that.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.common import Target, report
from tests.integration.edge_fixtures import StandInStore, agent_of, wait_until
from tests.integration.mqtt_fixtures import Authority, GuardedBroker, machine_on, write_mqtt_config

BROKER_AWAY_S = (0.5, 1.0, 2.0, 4.0, 8.0, 12.0)
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


def run(data: Path) -> dict[str, Any]:
    """Measure; needs no real data."""
    figures: dict[str, float] = {}
    targets: list[Target] = []
    with tempfile.TemporaryDirectory() as place:
        took = broker_return_s(Path(place))
    figures["broker_return_longest_s"] = round(max(took), 2)
    figures["broker_return_mean_s"] = round(sum(took) / len(took), 2)
    targets.append(("broker_return_longest_s", "<=", 5.0))
    print("data again after the broker's return:")
    for pause_s, seconds in zip(BROKER_AWAY_S, took, strict=True):
        print(f"  away for {pause_s:5.1f} s: {seconds:5.2f} s")
    return report("edge_recovery", figures, targets=targets)
