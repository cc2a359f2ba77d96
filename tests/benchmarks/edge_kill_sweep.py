"""`kill -9` of the real agent at every system call that changes a file, until a run survives."""

import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.common import report
from tests.reliability.kill_scenarios import SCENARIOS
from tests.reliability.kill_sweep import CALLS, COMMON_CALLS, Point, kill_rig, verdict_of

MESSAGES_FACTOR, COLD_EVERY = 6, 10
"""Six times the messages of the test: more commits, and so more points."""


def run(data: Path) -> dict[str, Any]:
    """Measure; needs no real data."""
    folder = Path(tempfile.mkdtemp(prefix="staybolt-kill-"))
    folder.chmod(0o755)
    began_s = time.monotonic()
    points: list[Point] = []
    try:
        with kill_rig(folder) as rig:
            for small in SCENARIOS:
                scenario = replace(small, n_messages=small.n_messages * MESSAGES_FACTOR)
                for calls in COMMON_CALLS if small.is_full else CALLS:
                    found = list(rig.sweep(scenario, calls, range(1, 10**6), COLD_EVERY))
                    points += found
                    n_killed = sum(point.is_killed for point in found)
                    print(f"  {scenario.name:24} {calls:26} {n_killed:5} kills", flush=True)
                    for point in found:
                        if point.problems:
                            print(f"    at {point.when}: {point.problems}")
            whole = verdict_of(rig)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
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
