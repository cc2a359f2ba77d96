"""CPU of a value received over OPC UA with SignAndEncrypt, against asyncua's bulk callback."""

from pathlib import Path
from typing import Any

from tests.benchmarks.common import report
from tests.reliability.edge_receive import receive

N_NODES, SECONDS = 1000, 10.0


def run(data: Path) -> dict[str, Any]:
    """Measure; needs no real data."""
    took = {side: receive(side, N_NODES, SECONDS) for side in ("ours", "peer")}
    us = {side: 1e6 * one["cpu_s"] / one["n_values"] for side, one in took.items()}
    rates = {side: one["n_values"] / one["wall_s"] for side, one in took.items()}
    print("received over Basic256Sha256 SignAndEncrypt:")
    for side, name in (("ours", "the agent's source"), ("peer", "asyncua's callback")):
        print(f"  {name:20} {us[side]:8.3f} us/value {rates[side]:12,.0f} values/s")
    return report(
        "edge_receive",
        {
            "us_per_value": round(us["ours"], 3),
            "values_per_s": round(rates["ours"]),
            "n_out_of_order": took["ours"]["n_out_of_order"],
        },
        against={"asyncua_us_per_value": round(us["peer"], 3)},
        ratios={"less_cpu": round(us["peer"] / us["ours"], 1)},
        targets=[("less_cpu", ">=", 10.0), ("n_out_of_order", "==", 0)],
    )
