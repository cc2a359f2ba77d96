"""The whole agent in virtual time: seeds of six hours with faults inside its windows."""

from collections import Counter
from pathlib import Path
from typing import Any

from tests.benchmarks.common import report
from tests.reliability.planted_bugs import PLANTED, first_seed_that_finds
from tests.reliability.simulation import HOURS, is_capped, simulate

N_SEEDS, PLANTED_HOURS = 40, 2.0


def run(data: Path) -> dict[str, Any]:
    """Measure; needs no real data."""
    outcomes = [simulate(seed, is_capped=is_capped(seed)) for seed in range(N_SEEDS)]
    struck: Counter[str] = Counter()
    for outcome in outcomes:
        struck.update(outcome.struck)
        if outcome.problem:
            print(f"  seed {outcome.seed}: {outcome.problem}")
    is_repeated = simulate(0).history == outcomes[0].history
    found = {name: first_seed_that_finds(name, n_seeds=20, hours=PLANTED_HOURS) for name in PLANTED}
    cpu_s = sum(outcome.cpu_s for outcome in outcomes)
    n_sensed = sum(outcome.verdict.n_sensed for outcome in outcomes)
    print(f"{N_SEEDS} seeds of {HOURS:.0f} h: {n_sensed} values, {cpu_s:.0f} s of processor time")
    print("  bursts of 1 to 8 values a minute and source, so that each value meets many faults")
    print("  faults:")
    for what, count in sorted(struck.items()):
        print(f"    {what:34} {count:6}")
    print("  planted bugs, and the first seed that finds each:")
    for name, (seed, problem) in found.items():
        print(f"    {name:44} {seed if problem else 'NOT FOUND':>3}  {problem[:60]}")
    return report(
        "edge_simulation",
        {
            "n_seeds": N_SEEDS,
            "hours_each": HOURS,
            "n_sensed": n_sensed,
            "n_faults": sum(struck.values()),
            "n_starts": sum(outcome.n_starts for outcome in outcomes),
            "n_lost": sum(len(outcome.verdict.lost) for outcome in outcomes),
            "n_doubled": sum(len(outcome.verdict.doubled) for outcome in outcomes),
            "n_seeds_with_problems": sum(bool(outcome.problem) for outcome in outcomes),
            "most_duplicates_ratio": round(max(each.duplicates_ratio for each in outcomes), 3),
            "n_planted": len(PLANTED),
            "n_planted_found": sum(bool(problem) for _, problem in found.values()),
            "is_repeated": float(is_repeated),
            "cpu_s": round(cpu_s, 1),
            "times_real_time": round(N_SEEDS * HOURS * 3600 / cpu_s),
        },
        targets=[
            ("n_seeds", ">=", 20),
            ("n_lost", "==", 0),
            ("n_seeds_with_problems", "==", 0),
            ("n_planted", ">=", 10),
            ("n_planted_found", "==", float(len(PLANTED))),
            ("is_repeated", "==", 1),
        ],
    )
