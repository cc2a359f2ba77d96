"""The heartbeat: every counter as a sample of the agent's own machine."""

import datetime

from edge_agent.oncall.heartbeat import heartbeat_batch, heartbeat_values
from ingest.telemetry import Quality, encode_lines, is_legal_name, unit_of
from tests.unit.edge_agent.oncall.facts_for_tests import NOW, counts, disk, facts


def test_every_counter_and_loss_is_a_sample_with_a_legal_name_and_unit() -> None:
    told = heartbeat_values(facts(disk=disk(counts=counts(n_dropped_samples=7, n_samples=4))))

    assert told["received_samples_count"] == 1000
    assert told["dropped_samples_count"] == 7
    assert told["waiting_samples_count"] == 4
    assert told["uptime_s"] == 3600.0
    for signal in told:
        assert is_legal_name(signal)
        assert unit_of(signal) in {"1", "s"}
    for name, value in facts().counters.items():
        if isinstance(value, int):
            assert told.get(f"{name}_count", told.get(f"{name}_samples_count")) == value


def test_a_heartbeat_is_telemetry_of_a_machine_with_the_agents_name() -> None:
    lines = encode_lines(heartbeat_batch(facts())).decode().splitlines()

    time_ns = int(NOW.timestamp()) * 10**9
    assert (
        f"telemetry,site=mill-7,machine=edge-1,signal=uptime_s value=3600,quality=0i {time_ns}"
        in [line.replace("3600.0", "3600") for line in lines]
    )
    assert len(lines) == len(heartbeat_values(facts()))


def test_a_clock_that_is_obviously_wrong_makes_the_heartbeat_uncertain() -> None:
    wrong = facts(now=datetime.datetime(2000, 1, 1, 5, tzinfo=datetime.UTC))

    assert set(heartbeat_batch(wrong).quality) == {Quality.UNCERTAIN}
