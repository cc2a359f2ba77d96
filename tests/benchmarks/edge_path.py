"""CPU of a value from OPC UA notification bytes to a real InfluxDB, against asyncua and `Point`."""

import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.common import report
from tests.reliability.edge_path import VALUES_PER_MESSAGE, run_side
from tests.servers.launch import influxd

OURS_MESSAGES, PEER_MESSAGES = 200, 10


def run(data: Path) -> dict[str, Any]:
    """Measure; needs no real data."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with influxd(folder) as store:
            ours = run_side("ours", store.url, folder, OURS_MESSAGES)
            peer = run_side("peer", store.url, folder, PEER_MESSAGES)
    us = {
        "agent_us": 1e6 * ours["agent_cpu_s"] / ours["n_values"],
        "reader_us": 1e6 * ours["reader_cpu_s"] / ours["n_values"],
        "us_per_value": 1e6 * ours["cpu_s"] / ours["n_values"],
    }
    peer_us = 1e6 * peer["cpu_s"] / peer["n_values"]
    n_lost = ours["n_values"] - ours["n_stored"] + peer["n_values"] - peer["n_stored"]
    print(f"notifications of {VALUES_PER_MESSAGE} values, in microseconds of processor a value:")
    print(f"  reader process: bytes, decode, frames  {us['reader_us']:8.3f}")
    print(f"  agent: frames, outbox, uplink          {us['agent_us']:8.3f}")
    print(f"  both                                   {us['us_per_value']:8.3f}")
    print(f"  asyncua handlers, Point, row per point {peer_us:8.3f}")
    print(f"  values per second of wall time: {ours['n_values'] / ours['wall_s']:,.0f}, "
          f"peer {peer['n_values'] / peer['wall_s']:,.0f}")  # fmt: skip
    return report(
        "edge_path",
        {
            **{name: round(figure, 3) for name, figure in us.items()},
            "n_values": ours["n_values"],
            "n_missing_in_store": n_lost,
        },
        against={"asyncua_point_row_us": round(peer_us, 3)},
        ratios={"less_cpu": round(peer_us / us["us_per_value"], 1)},
        targets=[
            ("us_per_value", "<=", 2.0),
            ("less_cpu", ">=", 30.0),
            ("n_missing_in_store", "==", 0),
        ],
    )
