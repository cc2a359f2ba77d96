"""A day of a fleet at one-minute steps, scored; streamed, snapshot and restored; on two cores."""

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np

from analytics.signals.detector import AnomalyScores
from tests.benchmarks.common import cpu_s, report
from tests.benchmarks.fleets import N_MACHINES, N_SIGNALS, Fleet, fleet

N_TIMES: Final = 1440
N_PARTS: Final = 4
N_WORKERS: Final = 2
N_PAIRS: Final = 5
PART_TIMES: Final = 720

_parts: list[Fleet] = []


def run(data: Path) -> dict[str, Any]:
    """Measure; needs no real data."""
    day = fleet(N_TIMES)
    batch = day.detector().score(day.block)
    stream_equal = _streams_alike(day, batch)
    day_s = cpu_s(lambda: day.detector().score(day.block))
    speed_up = _speed_up_on_two_cores()
    n_values = N_MACHINES * N_SIGNALS * N_TIMES
    figures = {
        "day_cpu_s": round(day_s, 4),
        "million_values_per_cpu_s": round(n_values / day_s / 1e6, 1),
        "stream_and_restored_identical": float(stream_equal),
        "load_average": round(os.getloadavg()[0], 1),
    }
    ratios = {"speed_up_on_two_processes": round(speed_up, 2)}
    print(f"{N_MACHINES} machines x {N_TIMES} ticks x {N_SIGNALS} signals:")
    print(f"  scored in                     {day_s:8.3f} CPU-s")
    print(f"  stream, and stream restored midway, give the same bits: {stream_equal}")
    print(f"  two processes over blocks     {speed_up:8.2f} times one")
    return report(
        "fleet_day",
        figures,
        ratios=ratios,
        targets=[
            ("day_cpu_s", "<=", 0.15),
            ("stream_and_restored_identical", ">=", 1.0),
            ("speed_up_on_two_processes", ">=", 1.7),
        ],
    )


def _streams_alike(day: Fleet, batch: AnomalyScores) -> bool:
    """Whether ticks, moved to another detector midway, give the bits of the batch."""
    detector = day.detector()
    for t, x in enumerate(day.block):
        if t == N_TIMES // 2:
            kept = detector.snapshot()
            detector = day.detector()
            detector.restore(kept)
        tick = detector.tick(x)
        for name in ("score", "z", "signal_ratio", "is_alarm"):
            if getattr(tick, name).tobytes() != getattr(batch, name)[t].tobytes():
                return False
    return True


def _score_part(place: int) -> float:
    part = _parts[place]
    return float(np.nansum(part.detector().score(part.block).score))


def _speed_up_on_two_cores() -> float:
    """Wall time of blocks of machines one after the other, over that on two processes.

    Each process holds its blocks already, as a worker does that has read them from the store.
    """
    _parts[:] = [fleet(PART_TIMES, seed=seed) for seed in range(N_PARTS)]
    context = multiprocessing.get_context("fork")
    best = 0.0
    with ProcessPoolExecutor(N_WORKERS, mp_context=context) as pool:
        sums = list(pool.map(_score_part, range(N_PARTS)))
        if sums != [_score_part(place) for place in range(N_PARTS)]:
            msg = "blocks scored in other processes differ"
            raise AssertionError(msg)
        for _ in range(N_PAIRS):
            started = time.perf_counter()
            for place in range(N_PARTS):
                _score_part(place)
            alone_s = time.perf_counter() - started
            started = time.perf_counter()
            list(pool.map(_score_part, range(N_PARTS)))
            best = max(best, alone_s / (time.perf_counter() - started))
    _parts.clear()
    return best
