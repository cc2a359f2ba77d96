"""`kill -9` of the real agent at every system call that changes a file, until a run survives."""

import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.common import report
from tests.reliability.kill_scenarios import SCENARIOS
from tests.reliability.kill_sweep import CALLS, COMMON_CALLS, Point, kill_rig, verdict_of

MESSAGES_FACTOR, COLD_EVERY = 3, 10
"""Three times the messages of the test: more commits, and so more points."""

N_RIGS, TOLD_EVERY = 2, 50


def sweep(share: Sequence[tuple[int, str]]) -> tuple[list[Point], str]:
    """Sweep some scenarios and calls with a broker, a store and an agent of their own.

    Parameters
    ----------
    share : sequence of (int, str)
        Place of a scenario in `SCENARIOS`, and the calls to kill at.
    """
    folder = Path(tempfile.mkdtemp(prefix="staybolt-kill-"))
    folder.chmod(0o755)
    points: list[Point] = []
    try:
        with kill_rig(folder) as rig:
            for place, calls in share:
                small = SCENARIOS[place]
                scenario = replace(small, n_messages=small.n_messages * MESSAGES_FACTOR)
                found: list[Point] = []
                for point in rig.sweep(scenario, calls, range(1, 10**6), COLD_EVERY):
                    found.append(point)
                    if point.problems:
                        print(f"    {scenario.name}, {calls} {point.when}: {point.problems}")
                    if len(found) % TOLD_EVERY == 0:
                        print(f"    {scenario.name}, {calls}: {len(found)} so far", flush=True)
                points += found
                n_killed = sum(point.is_killed for point in found)
                print(f"  {scenario.name:24} {calls:26} {n_killed:5} kills", flush=True)
            return points, verdict_of(rig)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(data: Path) -> dict[str, Any]:
    """Measure; needs no real data."""
    del data
    began_s = time.monotonic()
    pairs = [
        (place, calls)
        for place, scenario in enumerate(SCENARIOS)
        for calls in (COMMON_CALLS if scenario.is_full else CALLS)
    ]
    with ProcessPoolExecutor(N_RIGS, multiprocessing.get_context("spawn")) as pool:
        swept = list(pool.map(sweep, [pairs[first::N_RIGS] for first in range(N_RIGS)]))
    points = [point for found, _ in swept for point in found]
    whole = "; ".join(verdict for _, verdict in swept if verdict)
    took_s = time.monotonic() - began_s
    killed = [point for point in points if point.is_killed]
    cold_s = [point.ready_s for point in points if point.is_cold]
    warm_s = [point.ready_s for point in points if not point.is_cold]
    n_bad = sum(bool(point.problems) for point in points)
    print(
        f"{len(killed)} kills in {took_s:.0f} s; the whole log against the store: {whole or 'ok'}"
    )
    print(f"ready again, new interpreter: p99 {np.quantile(cold_s, 0.99):.2f} s of {len(cold_s)}")
    return report(
        "edge_kill_sweep",
        {
            "n_kills": len(killed),
            "n_points_with_problems": n_bad,
            "is_whole_log_stored_once": float(not whole),
            "restart_p50_s": round(float(np.quantile(cold_s, 0.5)), 3),
            "restart_p99_s": round(float(np.quantile(cold_s, 0.99)), 3),
            "n_restarts_timed": len(cold_s),
            "forked_restart_p99_s": round(float(np.quantile(warm_s, 0.99)), 3),
            "kills_per_s": round(len(killed) / took_s, 2),
        },
        targets=[
            ("n_kills", ">=", 2000),
            ("n_points_with_problems", "==", 0),
            ("is_whole_log_stored_once", "==", 1),
            ("restart_p99_s", "<=", 2.0),
        ],
    )
