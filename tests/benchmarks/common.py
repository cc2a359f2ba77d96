"""What the benchmarks share: their common form, and a stop watch."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

Target: TypeAlias = tuple[str, str, float]
"""Figure, comparison and value, such as ``("rmse", "<=", 12.5)``."""

ROOT = Path(__file__).resolve().parents[2]


def data_folder() -> Path:
    """Where the real data lie unless ``--data`` says otherwise."""
    return Path(os.environ.get("STAYBOLT_DATA") or ROOT.parent / "shared" / "data")


def report(
    benchmark: str,
    figures: dict[str, float],
    *,
    against: dict[str, float] | None = None,
    ratios: dict[str, float] | None = None,
    targets: Sequence[Target] = (),
) -> dict[str, Any]:
    """One benchmark's result in the common form.

    Parameters
    ----------
    benchmark : str
        Its name.
    figures : dict of str to float
        What was measured.
    against : dict of str to float
        What others reached, measured here or published.
    ratios : dict of str to float
        Measured over compared with.
    targets : sequence of Target
        What the issue asks of the figures or ratios.
    """
    measured = figures | (ratios or {})
    return {
        "benchmark": benchmark,
        "figures": figures,
        "against": against or {},
        "ratios": ratios or {},
        "targets": [
            {"figure": figure, "op": op, "value": value, "measured": measured[figure]}
            for figure, op, value in targets
        ],
    }


def cpu_s(work: Callable[[], object], *, n_repeats: int = 5) -> float:
    """Least processor time of several runs: other programs can only add to it. [s]"""
    took = []
    for _ in range(n_repeats):
        started = time.process_time()
        work()
        took.append(time.process_time() - started)
    return min(took)
