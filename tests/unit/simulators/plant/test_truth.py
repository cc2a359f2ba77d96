"""Truth tells what the plant does: mode, onsets, health, failure and what service did."""

import itertools
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulators.machines import KINDS
from simulators.plant.fleet import fleet_of
from simulators.plant.machine import Role, SimulatedMachine, build_plant
from simulators.plant.maintenance import MaintenancePolicy
from simulators.plant.truth import facts_of, write_truth
from simulators.reading import NS_PER_H, NS_PER_S

NOW_NS = 480_000 * NS_PER_H
START_NS = NOW_NS - 300 * 24 * NS_PER_H
POLICY = MaintenancePolicy(0.4, 0.3, planned_every_days=45.0)


@pytest.fixture(scope="module")
def machines() -> tuple[SimulatedMachine, ...]:
    roles = [Role(role.outlet, policy=POLICY) for role in fleet_of(tuple(KINDS), len(KINDS))]
    return build_plant(roles, seed=7, now_ns=NOW_NS, history_days=300.0)


def facts(machine: SimulatedMachine, fact: str) -> list[dict[str, Any]]:
    told = facts_of(machine, start_ns=START_NS, now_ns=NOW_NS)
    return [one for one in told if one["fact"] == fact]


def hours(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() / 3600


def test_each_run_names_the_mode_that_ended_it_and_when_each_mode_set_in(
    machines: tuple[SimulatedMachine, ...],
) -> None:
    for machine in machines:
        modes = [mode.key for mode in machine.kind.modes]
        for life in facts(machine, "life"):
            onset = life["onset_at_by_mode"]
            assert list(onset) == modes
            assert (life["mode"] is None) == (life["ended_by"] == "planned-visit")
            assert all(at is None or at <= life["failed_at"] for at in onset.values())
            if life["mode"] is not None:
                assert onset[life["mode"]] == life["onset_at"]

    ended = {life["ended_by"] for machine in machines for life in facts(machine, "life")}
    assert ended == {"failure", "planned-visit"}


def test_runs_follow_each_other_and_each_is_ended_by_one_service(
    machines: tuple[SimulatedMachine, ...],
) -> None:
    for machine in machines:
        lives, services = facts(machine, "life"), facts(machine, "maintenance")
        assert [life["repaired_at"] for life in lives] == [service["at"] for service in services]
        for life, following in itertools.pairwise(lives):
            assert life["started_at"] <= life["failed_at"] < life["repaired_at"]
            assert following["started_at"] == life["repaired_at"]


def test_service_is_told_by_effect_and_by_what_it_did_to_each_mode(
    machines: tuple[SimulatedMachine, ...],
) -> None:
    told = set()
    for machine in machines:
        for life, service in zip(
            facts(machine, "life"), facts(machine, "maintenance"), strict=True
        ):
            before, after = service["wear_before"], service["wear_after"]
            told.add(service["effect"])
            if life["mode"] is not None:
                assert before[life["mode"]] == 1.0
                assert after[life["mode"]] < 1.0
                others = [mode for mode in before if mode != life["mode"]]
                assert [after[mode] for mode in others] == pytest.approx(
                    [before[mode] for mode in others], abs=2e-6
                )
            elif service["effect"] == "perfect":
                assert set(after.values()) == {0.0}

    assert told == {"perfect", "imperfect", "none"}


def test_health_on_the_way_is_that_of_the_machine(machines: tuple[SimulatedMachine, ...]) -> None:
    for machine in machines:
        told = facts(machine, "wear")
        # Truth is cut to the second, and a run's first fact may so lie just before the run.
        time_h = np.array([hours(one["at"]) for one in told]) + 1 / 3600
        wear, is_standing = machine.lives.state_at(time_h)
        by_mode = np.array([list(one["wear_by_mode"].values()) for one in told]).T

        assert by_mode == pytest.approx(wear, abs=1e-3)
        assert [one["wear"] for one in told] == by_mode.max(axis=0).tolist()
        assert not is_standing.any()
        assert all(one["remaining_useful_life_h"] > 0 for one in told)


def test_no_word_of_the_truth_goes_through_telemetry(
    machines: tuple[SimulatedMachine, ...], tmp_path: Path
) -> None:
    write_truth(tmp_path / "truth.jsonl", machines, start_ns=START_NS, now_ns=NOW_NS)
    words = set()
    for line in (tmp_path / "truth.jsonl").read_text().splitlines():
        words |= set(json.loads(line)) - {"fact", "machine", "kind", "at"}
    words |= {mode.key for kind in KINDS.values() for mode in kind.modes}

    for machine in machines:
        readings = machine.readings(np.array([NOW_NS // NS_PER_S * NS_PER_S]), step_ns=NS_PER_S)
        assert words.isdisjoint(machine.outlet.signals)
        assert readings.values.shape == (1, len(machine.outlet.signals))
