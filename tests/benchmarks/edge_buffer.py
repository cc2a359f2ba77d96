"""72 hours at 1,000 values a second in the outbox: its size, its wear, and how fast it empties.

The values are those of the simulated machines, with sensor noise and the four decimals they are
read with, each machine with a clock that is off by up to two milliseconds in steps of 100 ns. All
259.2 million are written for real, one group commit a second, and part of them is then sent over
HTTP to a sink that reads and counts. Wear is measured on a real disk over the first two hours of
it, and over six minutes more in which the store answers and everything is forgotten at once.
`STAYBOLT_EDGE_BUFFER_H` makes the whole shorter, which `hours` then says.
`STAYBOLT_EDGE_BUFFER_DIR` is where the large file goes, for example a disk in memory, which saves
quarter of a million fsyncs.
"""

import contextlib
import os
import resource
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edge_agent.messages import Stored
from edge_agent.outbox import Outbox
from edge_agent.records import Entry
from edge_agent.settings_uplink import UplinkSettings
from edge_agent.uplink_http import HttpUplink
from ingest.telemetry import Series, TelemetryBatch
from simulators.machines import KINDS
from simulators.plant.fleet import FleetPlan, fleet_of, fleet_telemetry
from simulators.plant.machine import DECIMALS
from tests.benchmarks.common import report

N_SERIES: Final = 1000
N_MACHINES: Final = 152
HOURS: Final = 72.0
WEAR_HOURS: Final = 2.0
LIVE_PER_S: Final = 1000.0
CAP_BYTES: Final = int(1.1 * 2**30)
BLOCK_S: Final = 7200
START_NS: Final = 1_790_000_000_000_000_000 // 3_600_000_000_000 * 3_600_000_000_000
N_DRAINED: Final = 3_000_000
N_LIVE_S: Final = 360
MAX_BODY_BYTES: Final = 1_000_000


def run(data: Path) -> dict[str, Any]:
    """Fill, look, go on live, drain."""
    hours = float(os.environ.get("STAYBOLT_EDGE_BUFFER_H", HOURS))
    with (
        tempfile.TemporaryDirectory() as disk,
        tempfile.TemporaryDirectory(dir=os.environ.get("STAYBOLT_EDGE_BUFFER_DIR")) as folder,
    ):
        figures = wear(Path(disk) / "outbox.sqlite", min(hours, WEAR_HOURS))
        figures |= buffer(Path(folder) / "outbox.sqlite", hours)
    for name, value in figures.items():
        print(f"{name:40} {value:12.4g}")
    return report(
        "edge_buffer",
        figures,
        targets=[
            ("gib_at_72_h", "<=", 1.1),
            ("flash_bytes_per_value", "<=", 25.0),
            ("live_flash_bytes_per_value", "<=", 25.0),
            ("drain_over_live", ">=", 20.0),
            ("dropped_values", "<=", 0.0),
        ],
    )


def wear(path: Path, hours: float) -> dict[str, float]:
    """What the disk has to write: while the store is away, and while it answers."""
    n_seconds = int(hours * 3600)
    with Outbox(path, CAP_BYTES) as outbox:
        before = _written_bytes()
        cpu_s = fill(outbox, n_seconds)
        away_bytes = _written_bytes() - before
    with Outbox(path.with_name("live.sqlite"), CAP_BYTES) as outbox:
        live_bytes = live(outbox)
    return {
        "wear_hours": hours,
        "flash_bytes_per_value": away_bytes / (n_seconds * N_SERIES),
        "live_flash_bytes_per_value": live_bytes,
        "append_us_per_value_with_fsync": cpu_s / (n_seconds * N_SERIES) * 1e6,
    }


def fill(outbox: Outbox, n_seconds: int) -> float:
    """Write seconds with the store away; say what the processor spent on it. [s]"""
    cpu_s = 0.0
    for batch in seconds(n_seconds):
        began = time.process_time()
        outbox.append([Entry("raw", b"", len(batch), (batch,))])
        cpu_s += time.process_time() - began
    return cpu_s


def buffer(path: Path, hours: float) -> dict[str, float]:
    """Size of a long outage, and how fast it is sent."""
    n_seconds = int(hours * 3600)
    n_values = n_seconds * N_SERIES
    with Outbox(path, CAP_BYTES) as outbox:
        cpu_s = fill(outbox, n_seconds)
        counts = outbox.counts()
    began = time.perf_counter()
    with Outbox(path, CAP_BYTES) as outbox:
        opened_s = time.perf_counter() - began
        drained = drain(outbox, min(N_DRAINED, n_values // 2))
    return {
        "hours": hours,
        "values": float(n_values),
        "dropped_values": float(counts.n_dropped_samples),
        "gib_at_72_h": counts.n_bytes / 2**30 * HOURS / hours,
        "file_bytes_per_value": counts.n_bytes / n_values,
        "append_us_per_value": cpu_s / n_values * 1e6,
        "open_full_s": opened_s,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        **drained,
    }


def seconds(n_seconds: int) -> Iterator[TelemetryBatch]:
    """One batch a second: each of a thousand signals once, as the simulated machines sense it."""
    chance = np.random.default_rng(7)
    roles = fleet_of(sorted(KINDS), N_MACHINES)
    for start in range(0, n_seconds, BLOCK_S):
        n_here = min(BLOCK_S, n_seconds - start)
        plan = FleetPlan(roles, 7, START_NS + start * 10**9, BLOCK_S / 86_400, 1)
        machines = list(fleet_telemetry(plan))
        series, owner = _series([machine.outlet for machine, _ in machines])
        sensed = np.concatenate([values for _, values in machines])[:N_SERIES]
        rows = np.ascontiguousarray(sensed.T).astype(np.float64).round(DECIMALS)
        index = np.arange(N_SERIES, dtype=np.uint32)
        for second in range(n_here):
            off_ns = chance.integers(-20_000, 20_000, N_MACHINES) * 100
            time_ns: npt.NDArray[np.int64] = plan.time_ns[second] + off_ns[owner]
            value = rows[second]
            quality = np.where(np.isnan(value), np.uint8(2), np.uint8(0))
            yield TelemetryBatch(series, index, time_ns, value, quality)


def _series(outlets: list[Any]) -> tuple[tuple[Series, ...], npt.NDArray[np.intp]]:
    named = [
        (Series("mill-7", outlet.machine, signal), number)
        for number, outlet in enumerate(outlets)
        for signal in outlet.signals
    ][:N_SERIES]
    return tuple(series for series, _ in named), np.array([number for _, number in named])


def live(outbox: Outbox) -> float:
    """Bytes written for each value while the store answers at once, and all is forgotten again."""
    before = _written_bytes()
    for batch in seconds(N_LIVE_S):
        outbox.append([Entry("raw", b"", len(batch), (batch,))])
        outbox.forget([record.sequence for record in outbox.read_oldest(MAX_BODY_BYTES, 1000)])
    return (_written_bytes() - before) / (N_LIVE_S * N_SERIES)


def drain(outbox: Outbox, n_values: int) -> dict[str, float]:
    """Send over HTTP, from the first record on."""
    with sink() as (url, arrived), tempfile.TemporaryDirectory() as folder:
        token = Path(folder) / "token"
        token.touch(mode=0o600)
        token.write_text("a-token")
        uplink = HttpUplink(UplinkSettings(url=url, token_file=token))
        n_sent, read_s = 0, 0.0
        began, began_cpu = time.perf_counter(), time.process_time()
        while n_sent < n_values:
            reading = time.process_time()
            records = outbox.read_oldest(MAX_BODY_BYTES, 1000)
            read_s += time.process_time() - reading
            answer = uplink.send(records, MAX_BODY_BYTES)
            assert answer == Stored(), answer
            outbox.forget([record.sequence for record in records])
            n_sent += sum(record.n_samples for record in records)
        took_s = time.perf_counter() - began
        cpu_s = time.process_time() - began_cpu
        assert sum(arrived) == n_sent, "the sink counts lines for itself"
        uplink.close()
    return {
        "drained_values": float(n_sent),
        "drain_values_per_s": n_sent / took_s,
        "drain_over_live": n_sent / took_s / LIVE_PER_S,
        "read_back_us_per_value": read_s / n_sent * 1e6,
        "drain_us_per_value_with_sink": cpu_s / n_sent * 1e6,
    }


@contextlib.contextmanager
def sink() -> Iterator[tuple[str, list[int]]]:
    """An HTTP server that takes everything and counts lines."""
    arrived: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            arrived.append(body.count(b"\n"))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", arrived
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _written_bytes() -> int:
    """What this process has caused to be written to the disk, in whole pages of its cache."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["write_bytes"])
