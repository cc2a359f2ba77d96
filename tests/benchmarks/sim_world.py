"""A thousand customers over sixty months, with all facts and all counterfactual risks."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.common import report

N_CUSTOMERS, N_MONTHS = 1000, 60
_MEASURE = """
import json, resource, sys, time
from datetime import UTC, datetime
from pathlib import Path
from simulators.world import generate_business

began_s = time.perf_counter()
generate_business(
    Path(sys.argv[1]), 7, datetime(2026, 1, 31, tzinfo=UTC),
    n_customers=int(sys.argv[2]), n_months=int(sys.argv[3]),
)
took_s = time.perf_counter() - began_s
print(json.dumps([took_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def run(data: Path) -> dict[str, Any]:
    """Measure in a process of its own, for its memory; needs no real data."""
    with tempfile.TemporaryDirectory() as folder:
        business = Path(folder) / "business"
        size = [str(N_CUSTOMERS), str(N_MONTHS)]
        command = [sys.executable, "-c", _MEASURE, str(business), *size]
        began_s = time.perf_counter()
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        whole_s = time.perf_counter() - began_s
        took_s, peak_mib = json.loads(answer)
        n_facts = sum(file.read_bytes().count(b"\n") - 1 for file in business.glob("*.csv"))
        n_risks = (Path(folder) / "truth" / "customers.csv").read_bytes().count(b"\n") - 1
    figures = {
        "seconds": round(took_s, 2),
        "seconds_with_start": round(whole_s, 2),
        "peak_mib": round(peak_mib),
        "n_facts": n_facts,
        "n_customer_months": n_risks,
        "facts_per_s": round(n_facts / took_s),
    }
    print(f"{N_CUSTOMERS} customers x {N_MONTHS} months:")
    print(f"  {took_s:.1f} s, {peak_mib:.0f} MiB, {n_facts:,} facts, {n_risks:,} customer-months")
    return report(
        "sim_world", figures, targets=[("seconds", "<=", 20.0), ("peak_mib", "<=", 2048.0)]
    )
