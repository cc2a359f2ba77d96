"""One bad line at a random place among a thousand, many times: the others are stored."""

import random
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.common import report
from tests.reliability.ingest_poisons import poison

N_TIMES = 500


def run(data: Path) -> dict[str, Any]:
    """Count; needs no real data."""
    del data
    with tempfile.TemporaryDirectory() as folder:
        found = poison(Path(folder), N_TIMES, random.Random(7))  # noqa: S311 - places, not secrets
    figures = {
        "times": float(N_TIMES),
        "lines_stored_each_time": found.n_stored / N_TIMES,
        "lines_set_aside": float(found.n_set_aside),
        "with_their_reason": float(found.n_with_reason),
        "kinds_of_poison": float(found.n_kinds),
    }
    print(f"{N_TIMES} bodies of 1000 lines, one of them bad ({found.n_kinds} kinds):")
    print(f"  {found.n_stored} of {999 * N_TIMES} good lines stored")
    print(f"  {found.n_set_aside} set aside, {found.n_with_reason} with the reason that is due")
    return report(
        "ingest_poison",
        figures,
        targets=[
            ("lines_stored_each_time", ">=", 999.0),
            ("lines_set_aside", "<=", float(N_TIMES)),
            ("with_their_reason", ">=", float(N_TIMES)),
        ],
    )
