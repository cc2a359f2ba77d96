"""Memory of the agent, all processes, with a thousand nodes at 1 Hz over SignAndEncrypt."""

from pathlib import Path
from typing import Any

from tests.benchmarks.common import report
from tests.reliability.edge_idle import idle

N_NODES, SECONDS = 1000, 60.0


def run(data: Path) -> dict[str, Any]:
    """Measure; needs no real data."""
    used = idle(N_NODES, SECONDS)
    megabytes = {
        name.replace("bytes", "mb"): round(size / 1e6, 1)
        for name, size in used.items()
        if name.endswith("bytes")
    }
    print(f"{N_NODES} nodes at 1 Hz, the most in {SECONDS:.0f} s, resident:")
    for name, size in megabytes.items():
        print(f"  {name:12} {size:8.1f} MB")
    return report(
        "edge_idle",
        {**megabytes, "n_processes": used["n_processes"], "n_stored": used["n_stored"]},
        targets=[("rss_mb", "<=", 150.0)],
    )
