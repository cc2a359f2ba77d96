"""The demo plant tells its story, the same one for the same seed, and keeps the truth apart."""

import json
from pathlib import Path

import numpy as np
import pytest

from simulators.errors import ScenarioError
from simulators.live.clock import ClockSettings, PlantClock
from simulators.plant.machine import SimulatedMachine, build_plant
from simulators.plant.truth import write_truth
from simulators.reading import BAD, GOOD, NS_PER_H, NS_PER_S
from simulators.scenarios.loading import load_scenario

NOW_NS = 1_795_384_437_000_000_000
NOW_H = NOW_NS / NS_PER_H
STEP_NS = 2 * NS_PER_H
CLOCK = PlantClock(ClockSettings(), NOW_NS)
HISTORY_NS = np.arange(CLOCK.start_ns, NOW_NS, STEP_NS)
SEEDS = (0, 1, 7, 11, 42)


def plant(seed: int = 7) -> dict[str, SimulatedMachine]:
    machines = build_plant(load_scenario("demo").roles, seed=seed, now_ns=NOW_NS)
    return {machine.outlet.machine: machine for machine in machines}


def wear_now(machine: SimulatedMachine, days: float = 0.0) -> float:
    return float(machine.lives.state_at(np.array([NOW_H + 24 * days]))[0].max())


def test_the_same_seed_measures_the_same() -> None:
    first, second = (
        [machine.readings(HISTORY_NS, step_ns=STEP_NS).values for machine in plant().values()]
        for _ in range(2)
    )

    for once, again in zip(first, second, strict=True):
        assert once.tobytes() == again.tobytes()


def test_another_seed_measures_something_else() -> None:
    once, again = (
        plant(seed)["pump-01"].readings(HISTORY_NS, step_ns=STEP_NS).values for seed in (7, 8)
    )

    assert not np.any(np.all(once == again, axis=1))


@pytest.mark.parametrize("step_ns", [STEP_NS, NS_PER_S])
def test_a_sample_is_the_same_in_one_piece_in_many_or_backwards(step_ns: int) -> None:
    machine = plant()["conveyor-01"]
    times = NOW_NS // step_ns * step_ns - step_ns * np.arange(700)[::-1]

    whole = machine.readings(times, step_ns=step_ns).values
    pieces = [machine.readings(part, step_ns=step_ns).values for part in np.split(times, 10)]
    backwards = machine.readings(times[::-1], step_ns=step_ns).values

    assert np.array_equal(whole, np.concatenate(pieces), equal_nan=True)
    assert np.array_equal(whole, backwards[::-1], equal_nan=True)


@pytest.mark.parametrize("seed", SEEDS)
def test_conveyor_01_climbs_now_and_fails_within_days(seed: int) -> None:
    machine = plant(seed)["conveyor-01"]
    (life, *_) = machine.lives.until(NOW_H)
    vibration_mm_s = machine.readings(HISTORY_NS, step_ns=STEP_NS).values[:, 0]

    fails_in_days = (life.stopped_h - NOW_H) / 24
    before, last_day = vibration_mm_s[:560].mean(), vibration_mm_s[-12:].mean()
    assert 2 <= fails_in_days <= 8
    assert last_day > 2 * before


@pytest.mark.parametrize("seed", SEEDS)
def test_one_more_machine_wears_one_was_repaired_and_the_others_are_healthy(seed: int) -> None:
    machines = plant(seed)
    worn = {name: wear_now(machine) for name, machine in machines.items() if wear_now(machine) > 0}
    repaired = {
        name: [life for life in machine.lives.until(NOW_H) if life.stopped_h < NOW_H]
        for name, machine in machines.items()
    }

    assert set(worn) == {"conveyor-01", "spindle-02"}
    assert 0.18 <= worn["spindle-02"] <= 0.36
    assert {name for name, lives in repaired.items() if lives} == {"pump-03"}
    assert CLOCK.start_ns / NS_PER_H < repaired["pump-03"][0].resumed_h < NOW_H


def test_every_machine_runs_when_play_begins() -> None:
    for machine in plant().values():
        readings = machine.readings(HISTORY_NS[:1], step_ns=STEP_NS)
        assert np.all(readings.quality == GOOD), machine.outlet.machine


def test_a_failed_machine_stands_still_and_comes_back_as_new() -> None:
    machine = plant()["pump-03"]
    life = machine.lives.until(NOW_H)[0]
    failed, repaired = life.stopped_h, life.resumed_h
    times = (np.array([failed - 4, failed + 1, repaired - 1, repaired + 4]) * NS_PER_H).astype(int)
    times = times // NS_PER_S * NS_PER_S

    readings = machine.readings(times, step_ns=NS_PER_S)

    assert readings.quality[:, 0].tolist() == [GOOD, BAD, BAD, GOOD]
    assert np.isnan(readings.values[1:3]).all()
    assert readings.values[0, 0] > 2 * readings.values[3, 0]


def test_truth_is_written_apart_and_agrees_with_what_happens(tmp_path: Path) -> None:
    machines = tuple(plant().values())

    write_truth(tmp_path / "truth.jsonl", machines, start_ns=CLOCK.start_ns, now_ns=NOW_NS)

    facts = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    lives = [fact for fact in facts if fact["fact"] == "life"]
    assert {fact["machine"] for fact in lives} == {m.outlet.machine for m in machines}
    assert all(
        fact["started_at"] < fact["onset_at"] < fact["failed_at"] < fact["repaired_at"]
        for fact in lives
    )
    for name in ("conveyor-01", "pump-03"):
        wear = [fact for fact in facts if fact["fact"] == "wear" and fact["machine"] == name]
        assert all(0 <= fact["wear"] < 1 for fact in wear)
        assert all(fact["remaining_useful_life_h"] > 0 for fact in wear)


def test_no_signal_tells_the_truth_itself() -> None:
    signals = {signal for machine in plant().values() for signal in machine.outlet.signals}

    told = ("wear", "health", "life", "onset", "truth", "fail")
    assert not [signal for signal in signals if any(word in signal for word in told)]


def test_twelve_machines_of_three_kinds_belong_to_four_customers() -> None:
    outlets = [machine.outlet for machine in plant().values()]

    assert len(outlets) == 12
    assert len({outlet.kind for outlet in outlets}) == 3
    assert {(o.customer, o.site) for o in outlets} == {
        (f"cust-00{n}", f"site-0{n}") for n in range(1, 5)
    }
    assert {o.protocol for o in outlets if o.kind == "centrifugal-pump"} == {"mqtt"}
    assert {o.server for o in outlets if o.protocol == "opcua"} == {"conveyors", "spindles"}


@pytest.mark.parametrize(
    ("scenario", "seed", "words"),
    [("moon", 7, "'moon' is not known; choose one of"), ("demo", -1, "--seed: -1 is below")],
)
def test_an_impossible_plant_is_refused(scenario: str, seed: int, words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        build_plant(load_scenario(scenario).roles, seed=seed, now_ns=NOW_NS)
