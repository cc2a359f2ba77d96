"""A fleet's telemetry made offline, on one core, against the plain loop over samples."""

import tempfile
from pathlib import Path
from typing import Any

from simulators.machines import KINDS
from simulators.plant.fleet import FleetPlan, fleet_of, fleet_telemetry, write_fleet
from simulators.reading import NS_PER_H
from tests.benchmarks.common import cpu_s, report
from tests.naive.simulators_plant import telemetry

N_MACHINES, DAYS, STEP_S = 1000, 30.0, 60
N_PLAIN_SAMPLES = 200
N_FILES = 40


def run(data: Path) -> dict[str, Any]:
    """Measure; needs no real data."""
    kinds = tuple(key for key, kind in KINDS.items() if len(kind.signals) == 8)
    plan = FleetPlan(fleet_of(kinds, N_MACHINES), 7, 480_000 * NS_PER_H, DAYS, STEP_S)
    n_values = N_MACHINES * 8 * plan.time_ns.size
    columns_s = cpu_s(lambda: [None for _ in fleet_telemetry(plan)], n_repeats=2)
    machine, _ = next(fleet_telemetry(plan))
    times = plan.time_ns[:N_PLAIN_SAMPLES]
    plain_s = cpu_s(lambda: telemetry(machine, times, STEP_S), n_repeats=2)
    few = FleetPlan(plan.roles[:N_FILES], 7, plan.start_ns, DAYS, STEP_S)
    with tempfile.TemporaryDirectory() as folder:
        files_s = cpu_s(lambda: list(write_fleet(Path(folder), few)), n_repeats=2)
    rate, plain_rate = n_values / columns_s, 8 * N_PLAIN_SAMPLES / plain_s
    figures = {
        "n_values": n_values,
        "columns_cpu_s": round(columns_s, 2),
        "columns_values_per_s": round(rate),
        "parquet_values_per_s": round(N_FILES * 8 * plan.time_ns.size / files_s),
    }
    print(
        f"{N_MACHINES} machines x {DAYS:g} days x 8 signals at {STEP_S} s, values per CPU second:"
    )
    print(f"  columns     {rate:14,.0f}")
    print(f"  Parquet     {figures['parquet_values_per_s']:14,.0f}")
    print(f"  plain loop  {plain_rate:14,.0f}")
    return report(
        "sim_generate",
        figures,
        against={"plain_loop_values_per_s": round(plain_rate)},
        ratios={"times_faster_than_plain_loop": round(rate / plain_rate)},
        targets=[("columns_values_per_s", ">=", 50e6)],
    )
