"""Fleets made offline are what the same machines would send live, whoever makes them."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.errors import ScenarioError
from simulators.machines import KINDS
from simulators.plant.fleet import FleetPlan, fleet_of, fleet_telemetry, telemetry_of, write_fleet
from simulators.plant.machine import DECIMALS, build_plant
from simulators.reading import BAD, NS_PER_S
from tests.naive.simulators_plant import telemetry

START_NS = 1_700_000_000_000_000_000 // (3600 * NS_PER_S) * 3600 * NS_PER_S


def plan(n_machines: int = 3, days: float = 40.0, step_s: int = 600, seed: int = 5) -> FleetPlan:
    return FleetPlan(fleet_of(tuple(KINDS), n_machines), seed, START_NS, days, step_s)


def ending(days: float, end_ns: int) -> FleetPlan:
    return FleetPlan.until(end_ns, fleet_of(("gearbox",), 1), 5, days=days, step_s=600)


def test_a_fleet_may_end_at_any_moment() -> None:
    fleet = ending(days=2.0, end_ns=START_NS + 123_456_789)

    assert fleet.time_ns.size == 2 * 144
    assert fleet.end_ns == START_NS


@pytest.mark.parametrize("step_s", [60, 600, 7200])
def test_offline_and_live_give_the_same_samples(step_s: int) -> None:
    fleet = plan(days=30.0 if step_s > 60 else 2.0, step_s=step_s)

    for machine, values in fleet_telemetry(fleet):
        live = machine.readings(fleet.time_ns, step_ns=step_s * NS_PER_S)
        offline = values.astype(np.float64).round(DECIMALS).T
        assert np.array_equal(offline, live.values, equal_nan=True)
        assert np.array_equal(np.isnan(offline), live.quality == BAD)


def test_a_fleet_that_starts_between_ten_minute_knots_is_the_same_fleet() -> None:
    whole = plan(n_machines=1, days=1.0, step_s=60)
    late = FleetPlan(whole.roles, 5, START_NS + 7 * 60 * NS_PER_S, 0.9, 60)
    (machine,) = build_plant(whole.roles, seed=5, now_ns=whole.end_ns, history_days=1.0)

    live = machine.readings(late.time_ns, step_ns=60 * NS_PER_S).values

    # The same machine, so that both tell the same life.
    offline = telemetry_of(machine, late).astype(np.float64).round(DECIMALS).T
    assert np.array_equal(offline, live, equal_nan=True)


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    step_s=st.sampled_from([1, 10, 60, 600, 1800]),
    n_first=st.integers(0, 5000),
    n_times=st.integers(1, 60),
    kinds=st.sampled_from([*KINDS]),
)
def test_columns_are_those_of_a_plain_loop_over_samples(
    seed: int, step_s: int, n_first: int, n_times: int, kinds: str
) -> None:
    start_ns = START_NS + n_first * step_s * NS_PER_S
    roles = fleet_of((kinds,), 1)
    fleet = FleetPlan(roles, seed, start_ns, n_times * step_s / 86_400, step_s)

    for machine, values in fleet_telemetry(fleet):
        expected = telemetry(machine, fleet.time_ns, fleet.step_s)
        # The plain loop works in float64; a value of float32 has 24 bits.
        assert values == pytest.approx(expected, rel=1e-5, abs=1e-5, nan_ok=True)


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_processes(
    tmp_path: Path,
) -> None:
    hashes = []
    for name, n_processes in (("once", 1), ("again", 1), ("shared", 2)):
        n_samples = sum(write_fleet(tmp_path / name, plan(days=5.0), n_processes=n_processes))
        files = sorted((tmp_path / name).rglob("*.*"))
        hashes.append([hashlib.sha256(file.read_bytes()).hexdigest() for file in files])
        assert len(files) == 6
        assert n_samples > 0

    assert hashes[0] == hashes[1] == hashes[2]


def test_files_hold_times_values_and_nothing_of_the_truth(tmp_path: Path) -> None:
    fleet = plan(n_machines=1, days=200.0, step_s=7200)

    list(write_fleet(tmp_path, fleet))

    table = pq.read_table(next((tmp_path / "telemetry").iterdir()))
    ((machine, values),) = fleet_telemetry(fleet)
    assert table.column_names == ["time", *machine.outlet.signals]
    assert table["time"].cast("int64").to_numpy().tolist() == fleet.time_ns.tolist()
    read = np.stack([table[name].to_numpy() for name in machine.outlet.signals])
    assert np.array_equal(read, values, equal_nan=True)
    lines = next((tmp_path / "truth").iterdir()).read_text().splitlines()
    facts = [json.loads(line) for line in lines]
    assert {fact["fact"] for fact in facts} == {"life", "maintenance", "wear"}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fleet_of(("pony",), 3), "--kinds: 'pony' is not known"),
        (lambda: fleet_of(("gearbox",), 0), "--machines: 0 is below 1"),
        (lambda: plan(step_s=7), "--step-s: 7 neither divides ten minutes"),
        (lambda: plan(step_s=-60), "--step-s: -60"),
        (lambda: plan(days=0.0), "--days: 0 is not a number above 0"),
        (lambda: plan(days=float("nan")), "--days: nan is not a number above 0"),
        (lambda: plan(days=float("inf")), "--days: inf is not a number above 0"),
        (lambda: plan(days=1e-4), "--days: 0.0001 is less than one step of 600 s"),
        (lambda: plan(days=1e6), "do not all lie between the years 1970 and 2200"),
        (lambda: ending(days=400.0, end_ns=0), "do not all lie between the years 1970 and 2200"),
        (lambda: ending(days=float("nan"), end_ns=START_NS), "--days: nan"),
        (lambda: list(write_fleet(Path("nowhere"), plan(), n_processes=0)), "--processes: 0"),
    ],
)
def test_an_impossible_fleet_is_refused(call: object, words: str) -> None:
    assert callable(call)
    with pytest.raises(ScenarioError, match=words):
        call()
