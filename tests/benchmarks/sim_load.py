"""What the load sources deliver to a plain socket, against asyncua's own server."""

import asyncio
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asyncua import Server, ua

from simulators.loopback import LOOPBACK, free_port
from tests.benchmarks.common import report

SECONDS, N_NODES, N_METRICS = 3.0, 1000, 100


@contextmanager
def source(*arguments: str) -> Iterator[dict[str, Any]]:
    """Run ``staybolt-sim load`` as a program of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "simulators", "load", *arguments, "--dir", folder]
        program = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            path = Path(folder) / "load.json"
            while not path.exists():
                time.sleep(0.05)
            time.sleep(0.1)
            yield json.loads(path.read_text())
        finally:
            program.terminate()
            program.wait(10)


def consume(what: str, address: str, size: int) -> float:
    command = [sys.executable, "-m", "tests.benchmarks.plain_consumer", what, address]
    answer = subprocess.run(
        [*command, str(SECONDS), str(size)], check=True, capture_output=True, text=True
    )
    n_values, seconds = json.loads(answer.stdout)
    return float(n_values / seconds)


@contextmanager
def asyncua_server() -> Iterator[str]:
    """asyncua's server with as many nodes, written to as fast as it can."""
    endpoint = f"opc.tcp://{LOOPBACK}:{free_port()}/plain"
    ready, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        server = Server()
        await server.init()
        server.set_endpoint(endpoint)
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        await server.register_namespace("urn:plain")
        ids = [ua.NodeId(ua.Int32(number + 1), ua.Int16(2)) for number in range(N_NODES)]
        for number, node in enumerate(ids):
            name = ua.QualifiedName(f"n{number}", 2)
            await server.nodes.objects.add_variable(node, name, 0.0, ua.VariantType.Double)
        await server.start()
        ready.set()
        count = 0.0
        while not stop.is_set():
            count += 1.0
            for node in ids:
                await server.write_attribute_value(
                    node, ua.DataValue(ua.Variant(count, ua.VariantType.Double))
                )
            await asyncio.sleep(0)
        await server.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait(30)
    try:
        yield endpoint
    finally:
        stop.set()
        thread.join()


def run(data: Path) -> dict[str, Any]:
    """Measure; needs no real data."""
    figures: dict[str, float] = {}
    with source("opcua", "--nodes", str(N_NODES)) as where:
        figures["opcua_values_per_s"] = round(consume("opcua", where["endpoint"], N_NODES))
    for form in ("json", "line", "sparkplug"):
        with source("mqtt", "--payload", form, "--metrics", str(N_METRICS)) as where:
            address = f"{where['host']}:{where['port']}"
            for qos in (0, 1):
                rate = consume(f"mqtt{qos}", address, N_METRICS)
                figures[f"mqtt_{form}_qos{qos}_values_per_s"] = round(rate)
    with asyncua_server() as endpoint:
        plain = consume("opcua", endpoint, N_NODES)
    print("values per second at a plain socket:")
    for name, rate in {**figures, "asyncua's own server": plain}.items():
        print(f"  {name:34} {rate:14,.0f}")
    return report(
        "sim_load",
        figures,
        against={"asyncua_server_values_per_s": round(plain)},
        ratios={"opcua_to_asyncua_server": round(figures["opcua_values_per_s"] / plain, 1)},
        targets=[(name, ">=", 200_000.0) for name in figures],
    )
