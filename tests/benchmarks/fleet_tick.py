"""One tick of the streaming detector for a whole fleet, against the plain loop over machines."""

from pathlib import Path
from typing import Any, Final

import numpy as np

from analytics.arrays import Float32Array
from analytics.signals.baseline import robust_baseline
from analytics.signals.detector import AnomalyDetector, DetectorSettings, score_block
from tests.benchmarks.common import cpu_s, report
from tests.naive.signals import MachineDetector

N_MACHINES: Final = 1000
N_SIGNALS: Final = 8
N_TICKS: Final = 240
N_NAIVE_TICKS: Final = 3


def run(data: Path) -> dict[str, Any]:
    """Measure; needs no real data."""
    rng = np.random.default_rng(1)
    block = rng.normal(size=(N_TICKS, N_SIGNALS, N_MACHINES)).astype(np.float32)
    block[rng.random(block.shape) < 0.02] = np.nan
    baseline, settings = robust_baseline(block), DetectorSettings()
    detector = AnomalyDetector(baseline, settings)
    one_by_one = [MachineDetector(baseline, m, settings) for m in range(N_MACHINES)]

    def tick_fleet() -> None:
        for x in block:
            detector.tick(x)

    def tick_one_by_one(n_ticks: int = N_NAIVE_TICKS) -> list[list[float]]:
        return [
            [one.tick(x)[0] for one, x in zip(one_by_one, machines, strict=True)]
            for machines in np.moveaxis(block[:n_ticks], 1, 2).tolist()
        ]

    slow_scores = np.array(tick_one_by_one())
    scores: Float32Array = score_block(block, baseline, settings).score[:N_NAIVE_TICKS]
    difference = float(np.abs(scores - slow_scores).max())
    fleet_s = cpu_s(tick_fleet) / N_TICKS
    naive_s = cpu_s(tick_one_by_one, n_repeats=2) / N_NAIVE_TICKS
    block_s = cpu_s(lambda: score_block(block, baseline, settings)) / N_TICKS
    figures = {
        "tick_us": round(1e6 * fleet_s, 2),
        "block_us_per_tick": round(1e6 * block_s, 2),
        "machine_samples_per_cpu_s": round(N_MACHINES / fleet_s),
        "largest_score_difference": difference,
    }
    against = {"plain_loop_tick_us": round(1e6 * naive_s, 1)}
    ratios = {"times_faster_than_plain_loop": round(naive_s / fleet_s, 1)}
    print(f"{N_MACHINES} machines x {N_SIGNALS} signals, one tick:")
    print(f"  fleet at once    {figures['tick_us']:10.1f} us")
    print(f"  plain loop       {against['plain_loop_tick_us']:10.1f} us")
    print(f"  ratio            {ratios['times_faster_than_plain_loop']:10.1f}")
    print(f"  scores differ by {difference:10.1e}")
    return report("fleet_tick", figures, against=against, ratios=ratios)
