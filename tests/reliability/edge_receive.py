"""What it costs to receive a value over OPC UA with SignAndEncrypt, here and with asyncua alone.

Both read the same flooding server (`staybolt-sim load opcua`), each in a process of its own, for
the same time (``python -m tests.reliability.edge_receive SIDE ...``). Ours is the agent's own
source; the peer is asyncua's client with a callback for each publish response, its cheapest way.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import asyncua
import numpy as np
from asyncua import Client
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

from edge_agent.counters import Counters
from edge_agent.keys import ensure_keys
from edge_agent.records import Misfit, Priority
from edge_agent.settings_opcua import OpcuaNodeSettings, OpcuaSettings
from edge_agent.sources.opcua import OpcuaSource
from ingest.telemetry import Series, TelemetryBatch
from simulators.load.notifications import NODE_STRIDE
from tests.reliability.edge_path import Untyped, own_cpu_s

Took: TypeAlias = dict[str, float]
"""Values, processor time and wall time."""

ua: Untyped = asyncua.ua
"""Its constructors ask for its own number types, and take plain ones."""

WARM_UP_VALUES = 50_000
N_ASKED = 250


@contextlib.contextmanager
def flood(folder: Path, n_nodes: int) -> Iterator[dict[str, str]]:
    """A flooding server that signs and encrypts, and trusts the agent of this folder."""
    keys, _ = ensure_keys(folder / "state")
    command = [sys.executable, "-m", "simulators", "load", "opcua", "--nodes", str(n_nodes)]
    command += ["--trust-client", str(keys.certificate_path), "--dir", str(folder)]
    program = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        path = folder / "load.json"
        while not path.exists():
            assert program.poll() is None
            time.sleep(0.05)
        time.sleep(0.1)
        yield json.loads(path.read_text())
    finally:
        program.terminate()
        program.wait(20)


class Tank:
    """An intake that keeps values, and calls them durable at once."""

    def __init__(self) -> None:
        self.batches: list[TelemetryBatch] = []
        self.n_values = 0

    def submit(
        self,
        batch: TelemetryBatch | None,
        misfits: Sequence[Misfit] = (),
        *,
        is_urgent: bool = False,
        priority: Priority = "raw",
    ) -> "asyncio.Future[None]":
        if batch is not None:
            self.batches.append(batch)
            self.n_values += len(batch)
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        durable.set_result(None)
        return durable

    def heard(self, source: str) -> None:
        pass

    def n_out_of_order(self) -> int:
        """Values that do not follow the one before of the same node."""
        value = np.concatenate([batch.value for batch in self.batches])
        rows = np.concatenate([batch.series_index for batch in self.batches])
        order = np.argsort(rows, kind="stable")
        number = (value - np.floor(value / NODE_STRIDE) * NODE_STRIDE)[order]
        is_same_node = np.diff(rows[order]) == 0
        return int(np.count_nonzero(np.diff(number)[is_same_node] != 1.0))


async def receive_ours(where: dict[str, str], folder: Path, n_nodes: int, seconds: float) -> Took:
    """Read with the agent's own source."""
    nodes = tuple(
        OpcuaNodeSettings(
            namespace_uri=where["namespace_uri"],
            node_id=f"i={number + 1}",
            machine=f"press-{number:04d}",
            signal="vibration_mm_s",
            unit="mm/s",
        )
        for number in range(n_nodes)
    )
    settings = OpcuaSettings(
        name="load",
        endpoint=where["endpoint"],
        trusted_servers_dir=Path(where["server_certificate"]).parent,
        nodes=nodes,
        publishing_interval_ms=50.0,
        read_history=False,
    )
    series = tuple(Series("mill-7", node.machine, node.signal) for node in nodes)
    keys, _ = ensure_keys(folder / "state")
    source = OpcuaSource(settings, series, keys, folder / "state", Counters())
    tank = Tank()
    serving = asyncio.create_task(source.serve(tank))
    try:
        took = await measure(lambda: tank.n_values, serving, seconds)
    finally:
        serving.cancel()
        await asyncio.wait({serving})
    return {**took, "n_out_of_order": tank.n_out_of_order()}


async def receive_peer(where: dict[str, str], folder: Path, n_nodes: int, seconds: float) -> Took:
    """Read with asyncua's client and one callback for each publish response."""
    keys, _ = ensure_keys(folder / "state")
    client = Client(where["endpoint"])
    client.application_uri = keys.application_uri
    await client.set_security(
        SecurityPolicyBasic256Sha256,
        str(keys.certificate_path),
        str(keys.private_key_path),
        None,
        where["server_certificate"],
    )
    rows: list[tuple[int, Any, float, int]] = []
    n_values = 0

    async def take(result: Untyped) -> None:
        nonlocal n_values
        for part in result.NotificationMessage.NotificationData or []:
            for item in part.MonitoredItems:
                data = item.Value
                rows.append((
                    item.ClientHandle, data.SourceTimestamp, data.Value.Value, data.StatusCode.value
                ))  # fmt: skip
            n_values += len(part.MonitoredItems)
        rows.clear()

    async with client:
        index = await client.get_namespace_index(where["namespace_uri"])
        wanted = ua.CreateSubscriptionParameters(50, 1000, 10, 0, True, 0)
        answer = await client.uaclient.create_subscription(wanted, take)
        for start in range(0, n_nodes, N_ASKED):
            await client.uaclient.create_monitored_items(
                ua.CreateMonitoredItemsParameters(
                    answer.SubscriptionId,
                    ua.TimestampsToReturn.Both,
                    [
                        ua.MonitoredItemCreateRequest(
                            ua.ReadValueId(ua.NodeId(node + 1, index), ua.AttributeIds.Value),
                            ua.MonitoringMode.Reporting,
                            ua.MonitoringParameters(node + 1, 50, None, 10, True),
                        )
                        for node in range(start, min(start + N_ASKED, n_nodes))
                    ],
                )
            )
        return await measure(lambda: n_values, None, seconds)


async def measure(
    n_values: Callable[[], int], serving: "asyncio.Task[None] | None", seconds: float
) -> Took:
    """Processor time of this process while values come in."""
    while n_values() < WARM_UP_VALUES:
        await asyncio.sleep(0.02)
        if serving is not None and serving.done():
            serving.result()
    before, began_s, wall_s = n_values(), own_cpu_s(), time.perf_counter()
    await asyncio.sleep(seconds)
    return {
        "n_values": n_values() - before,
        "cpu_s": own_cpu_s() - began_s,
        "wall_s": time.perf_counter() - wall_s,
    }


def receive(side: str, n_nodes: int, seconds: float) -> dict[str, float]:
    """Run one side against a server of its own."""
    with tempfile.TemporaryDirectory() as name, flood(Path(name), n_nodes) as where:
        command = [sys.executable, "-m", "tests.reliability.edge_receive", side]
        command += [json.dumps(where), name, str(n_nodes), str(seconds)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stderr[-3000:]
    return cast("dict[str, float]", json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    side, where, folder, n_nodes, seconds = sys.argv[1:]
    work = receive_ours if side == "ours" else receive_peer
    print(
        json.dumps(asyncio.run(work(json.loads(where), Path(folder), int(n_nodes), float(seconds))))
    )


if __name__ == "__main__":
    main()
