"""A recorded day shuffled, doubled, split and delayed many ways: what is stored is the same."""

import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.common import report
from tests.reliability.ingest_orders import bring, recorded_day

N_WAYS = 100


def run(data: Path) -> dict[str, Any]:
    """Compare bytes; needs no real data."""
    del data
    day = recorded_day(n_machines=3, every_s=60, seed=7)
    found, n_parts, n_doubled, n_settled = set(), 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(N_WAYS):
            stored, way = bring(day, Path(folder), seed)
            found.add(stored)
            n_parts, n_doubled = n_parts + way.n_parts, n_doubled + way.n_doubled
            n_settled += way.n_settled
    figures = {
        "ways": float(N_WAYS),
        "different_results": float(len(found)),
        "parts": float(n_parts),
        "doubled_parts": float(n_doubled),
        "hours_settled_on_the_way": float(n_settled),
    }
    print(
        f"{len(day)} samples brought {N_WAYS} ways in {n_parts} parts, {n_doubled} of them twice:"
    )
    print(f"  {len(found)} different results (stored columns, windows and roll-ups, bytes)")
    return report("ingest_order", figures, targets=[("different_results", "<=", 1)])
