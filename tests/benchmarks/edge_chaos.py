"""Real processes, a failing network and kills: three runs of a minute, and agents with mistakes."""

import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from tests.benchmarks.common import report
from tests.reliability.chaos import Chaos, ChaosOutcome

SEEDS, SECONDS = (11, 12, 13), 60.0
PLANTED_SECONDS = 30.0
PLANTED = ("acknowledges what is in memory", "forgets before stored")
"""Those that a kill or an outage at a random time must meet; the kill sweep finds narrower ones."""


def run_one(seed: int, seconds: float, planted: str | None = None) -> ChaosOutcome:
    """One run in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="staybolt-chaos-"))
    try:
        drain_timeout_s = 60.0 if planted is None else 5.0
        return Chaos(folder, seed, planted, drain_timeout_s).run(seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(data: Path) -> dict[str, Any]:
    """Measure; needs no real data."""
    outcomes = [run_one(seed, SECONDS) for seed in SEEDS]
    injected: Counter[str] = Counter()
    for outcome in outcomes:
        injected.update(outcome.injected)
        print(
            f"  seed {outcome.seed}: {outcome.verdict}, {outcome.n_wrong} wrong, drained in "
            f"{outcome.drain_s:.1f} s; apart: {outcome.n_only_in_killed} were held by killed OPC "
            f"UA servers alone, {outcome.n_unwatched} came while nobody was subscribed, "
            f"{outcome.n_repeated} messages the device sent again after kills of the broker"
        )
    print("  injected:")
    for kind, count in sorted(injected.items()):
        print(f"    {kind:28} {count:4}")
    found = {name: run_one(7, PLANTED_SECONDS, name) for name in PLANTED}
    for name, outcome in found.items():
        print(f"    planted, {name:44} {outcome.verdict}")
    return report(
        "edge_chaos",
        {
            "n_runs": len(outcomes),
            "seconds_each": SECONDS,
            "n_sensed": sum(outcome.verdict.n_sensed for outcome in outcomes),
            "n_kinds": len(injected),
            "n_faults": sum(injected.values()),
            "n_flipped_bits": sum(outcome.n_flipped_bits for outcome in outcomes),
            "n_lost": sum(len(outcome.verdict.lost) for outcome in outcomes),
            "n_doubled": sum(len(outcome.verdict.doubled) for outcome in outcomes),
            "n_wrong": sum(outcome.n_wrong + len(outcome.verdict.alien) for outcome in outcomes),
            "n_only_in_killed_opcua_servers": sum(each.n_only_in_killed for each in outcomes),
            "n_processes_ended_by_themselves": sum(each.n_crashes for each in outcomes),
            "slowest_drain_s": round(max(outcome.drain_s for outcome in outcomes), 1),
            "n_planted": len(found),
            "n_planted_found": sum(bool(outcome.verdict.lost) for outcome in found.values()),
        },
        targets=[
            ("n_runs", ">=", 3),
            ("n_kinds", ">=", 11),
            ("n_lost", "==", 0),
            ("n_wrong", "==", 0),
            ("slowest_drain_s", "<=", 30),
            ("n_planted_found", "==", float(len(PLANTED))),
        ],
    )
