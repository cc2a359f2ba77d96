"""One tick of the streaming detector, every chart and the alarm logic, for a whole fleet.

Against the plain loop over machines, and against river's per-sample `StandardScaler`, which does
much less: it only standardises. The median of several rounds is told beside the least one.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests.benchmarks.common import cpu_s, report
from tests.benchmarks.fleets import N_MACHINES, N_SIGNALS, fleet
from tests.benchmarks.peers import peer
from tests.naive.signals import MachineDetector

N_TICKS: Final = 240
N_NAIVE_TICKS: Final = 3
N_RIVER_SAMPLES: Final = 20_000
N_ROUNDS: Final = 15


def run(data: Path) -> dict[str, Any]:
    """Measure; needs no real data."""
    one = fleet(N_TICKS)
    block, detector = one.block, one.detector()
    alone = [
        MachineDetector(one.baseline, m, one.settings, limits=one.limits, projection=one.projection)
        for m in range(N_MACHINES)
    ]

    def tick_fleet() -> None:
        for x in block:
            detector.tick(x)

    def tick_one_by_one(n_ticks: int = N_NAIVE_TICKS) -> list[list[float]]:
        return [
            [each.tick(x)[0] for each, x in zip(alone, machines, strict=True)]
            for machines in np.moveaxis(block[:n_ticks], 1, 2).tolist()
        ]

    slow_scores = np.array(tick_one_by_one())
    scores = one.detector().score(block[:N_NAIVE_TICKS]).score
    difference = float(np.abs(scores - slow_scores).max())
    rounds_s = sorted(_rounds(tick_fleet))
    least_s, median_s = rounds_s[0] / N_TICKS, rounds_s[N_ROUNDS // 2] / N_TICKS
    naive_s = cpu_s(tick_one_by_one, n_repeats=2) / N_NAIVE_TICKS
    river_s = _river_s() * N_MACHINES
    figures = {
        "tick_us": round(1e6 * least_s, 1),
        "tick_median_us": round(1e6 * median_s, 1),
        "machine_samples_per_cpu_s": round(N_MACHINES / least_s),
        "largest_score_difference": difference,
    }
    against = {
        "plain_loop_tick_us": round(1e6 * naive_s, 1),
        "river_standard_scaler_tick_us": round(1e6 * river_s, 1),
    }
    ratios = {
        "times_faster_than_plain_loop": round(naive_s / least_s, 1),
        "times_faster_than_river": round(river_s / least_s, 1),
    }
    print(f"{N_MACHINES} machines x {N_SIGNALS} signals, one tick, six charts and the alarm:")
    print(f"  fleet at once    {figures['tick_us']:10.1f} us (median {1e6 * median_s:.1f})")
    print(f"  plain loop       {against['plain_loop_tick_us']:10.1f} us")
    print(f"  river's scaler   {against['river_standard_scaler_tick_us']:10.1f} us")
    print(f"  scores differ by {difference:10.1e} from the plain loop")
    return report(
        "fleet_tick",
        figures,
        against=against,
        ratios=ratios,
        targets=[("tick_us", "<=", 80.0), ("times_faster_than_river", ">=", 50.0)],
    )


def _rounds(work: Callable[[], None]) -> list[float]:
    took = []
    for _ in range(N_ROUNDS):
        started = time.process_time()
        work()
        took.append(time.process_time() - started)
    return took


def _river_s() -> float:
    """Processor time of one sample of eight signals in river's `StandardScaler`. [s]"""
    scaler = peer("river.preprocessing").StandardScaler()
    rng = np.random.default_rng(2)
    samples = [
        {f"s{place}": value for place, value in enumerate(row)}
        for row in rng.normal(size=(N_RIVER_SAMPLES, N_SIGNALS)).tolist()
    ]

    def learn() -> None:
        for sample in samples:
            scaler.learn_one(sample)
            scaler.transform_one(sample)

    return cpu_s(learn, n_repeats=3) / N_RIVER_SAMPLES
