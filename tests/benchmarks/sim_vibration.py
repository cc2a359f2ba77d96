"""Raw bearing vibration on one core, against the plain loop, and where its envelope peaks."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from simulators.machines import BEARING_CONVEYOR
from simulators.vibration.sources import Operation, draw_snapshot, fault_orders
from simulators.vibration.synthesis import RATE_HZ, Resonance, blow_times_s
from tests.benchmarks.common import cpu_s, report
from tests.naive.simulators_vibration import blows
from tests.unit.simulators.vibration.test_vibration import envelope_peak_order

N_SNAPSHOTS, N_SAMPLES = 400, 25_600
N_PEAKS = 60


def run(data: Path) -> dict[str, Any]:
    """Measure; needs no real data."""
    operation = Operation(24.3, 1.0, (0.35, 0.0, 0.0), 2.0)

    def snapshot(seed: int, n_samples: int = N_SAMPLES) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return draw_snapshot(BEARING_CONVEYOR, operation, rng, n_samples)

    took_s = cpu_s(lambda: [snapshot(seed) for seed in range(N_SNAPSHOTS)], n_repeats=3)
    rate = N_SNAPSHOTS * N_SAMPLES / took_s
    resonance = Resonance(3150.0, 0.05)
    times_s = blow_times_s(
        np.random.default_rng(1), order=3.58, shaft_hz=24.3, length_s=1.0, slip_ratio=0.01
    ).tolist()
    began_s = time.process_time()
    blows(N_SAMPLES, resonance, times_s, [1.0] * len(times_s))
    plain_rate = N_SAMPLES / (time.process_time() - began_s)
    order = fault_orders(BEARING_CONVEYOR)["outer-race-spall"]
    found = [
        envelope_peak_order(snapshot(s, 2 * N_SAMPLES), 24.3, 2.5, 8.5) for s in range(N_PEAKS)
    ]
    resolution = RATE_HZ / (2 * N_SAMPLES) / 24.3
    hit_ratio = float(np.mean([abs(each - order) < 2 * resolution for each in found]))
    print(f"snapshots of {N_SAMPLES} samples of a spalled bearing:")
    print(f"  samples per CPU second {rate:14,.0f}")
    print(f"  plain loop, blows only {plain_rate:14,.0f}")
    print(f"  envelope peaks within two lines of BPFO {order:.4f}: {hit_ratio:.0%} of {N_PEAKS}")
    return report(
        "sim_vibration",
        {"samples_per_s": round(rate), "envelope_hit_ratio": hit_ratio},
        against={"plain_loop_samples_per_s": round(plain_rate)},
        ratios={"times_faster_than_plain_loop": round(rate / plain_rate, 1)},
        targets=[("samples_per_s", ">=", 20e6), ("envelope_hit_ratio", ">=", 0.95)],
    )
