"""Alarms while a large backlog drains: the real agent's runtime and outbox, a real store.

What is told about an alarm's arrival comes from the store, never from the agent: InfluxDB is asked
for the alarm series over its query interface, and the store that hangs notes what it received.
"""

import asyncio
import contextlib
import csv
import io
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from edge_agent.core import AgentCore
from edge_agent.counters import Counters
from edge_agent.outbox import Outbox
from edge_agent.ports import Intake
from edge_agent.records import Entry
from edge_agent.runtime import Runtime
from edge_agent.settings_uplink import UplinkSettings
from edge_agent.uplink_http import HttpUplink
from ingest.telemetry import Series, TelemetryBatch

SITE = "mill-7"
START_NS = 1_700_000_000 * 10**9
N_SERIES = 1000
"""Each with a value a second: the live rate."""

SECONDS_PER_RECORD = 10
ALARM_EVERY_S = 0.5
ALARM = Series(SITE, "press-00", "overheat_ratio")


@dataclass
class Outcome:
    """What was seen of one drain."""

    n_backlog: int
    drained_per_s: float
    """Samples of the backlog and live ones that the store answered for. [1/s]"""
    latency_s: list[float] = field(default_factory=list)
    """From handing an alarm over to seeing it in the store; ``inf`` if it never came. [s]"""


def values(seconds: range, seed: int) -> TelemetryBatch:
    """Values of all series, one a second each."""
    series = [Series(SITE, f"press-{n // 10:02}", f"signal_{n % 10}_c") for n in range(N_SERIES)]
    chance, n = np.random.default_rng(seed), len(seconds)
    times_ns = START_NS + np.repeat(np.asarray(seconds, dtype=np.int64), N_SERIES) * 10**9
    return TelemetryBatch.of(
        series,
        np.tile(np.arange(N_SERIES), n),
        times_ns,
        chance.normal(50.0, 5.0, n * N_SERIES).round(2),
        np.zeros(n * N_SERIES),
    )


def fill(path: Path, hours: float) -> int:
    """Put a backlog into an outbox; give the number of samples."""
    n_seconds = round(hours * 3600)
    with Outbox(path, 10**10) as outbox:
        for first in range(0, n_seconds, SECONDS_PER_RECORD):
            batch = values(range(first, first + SECONDS_PER_RECORD), first)
            outbox.append([Entry("raw", b"", len(batch), (batch,))])
    return n_seconds // SECONDS_PER_RECORD * SECONDS_PER_RECORD * N_SERIES


class AlarmsAndLife:
    """A source that hands over an alarm every half second and the live values of each second."""

    name = "press"

    def __init__(self, first_s: int) -> None:
        self.handed_s: dict[int, float] = {}
        self._first_s = first_s

    async def serve(self, intake: Intake) -> None:
        number = 0
        while True:
            number += 1
            alarm = TelemetryBatch.of([ALARM], [0], [START_NS + number], [float(number)], [0])
            self.handed_s[number] = time.monotonic()
            _ = intake.submit(alarm, priority="alarm")
            if number % 2 == 0:
                second = self._first_s + number // 2
                _ = intake.submit(values(range(second, second + 1), second))
            await asyncio.sleep(ALARM_EVERY_S)


def drain(
    outbox_path: Path,
    n_backlog: int,
    uplink: UplinkSettings,
    seen: Callable[[], dict[int, float]],
    seconds: float,
) -> Outcome:
    """Let the agent drain for a while; alarms of the last five seconds are given time to come."""
    source, counters = AlarmsAndLife(n_backlog // N_SERIES), Counters()
    rate = 0.0

    async def run() -> None:
        nonlocal rate
        core = AgentCore(group_commit_s=0.1, max_body_bytes=1_000_000, retry_max_s=60.0)
        outbox = Outbox(outbox_path, 10**10)
        runtime = Runtime(core, outbox, lambda _lane: HttpUplink(uplink), [source], counters)
        stop = asyncio.Event()
        running = asyncio.create_task(runtime.run(stop))
        before, begun_s = counters.acknowledged, time.monotonic()
        await asyncio.sleep(seconds)
        rate = (counters.acknowledged - before) / (time.monotonic() - begun_s)
        deadline_s = time.monotonic() + 10.0
        expected = [n for n, at_s in source.handed_s.items() if at_s < deadline_s - 11.0]
        while not set(expected) <= seen().keys() and time.monotonic() < deadline_s:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        stop.set()
        await running

    asyncio.run(run())
    arrived, end_s = seen(), begun_by(source) + seconds
    latency_s = [
        arrived.get(number, float("inf")) - handed_s
        for number, handed_s in source.handed_s.items()
        if handed_s < end_s - 1.0
    ]
    return Outcome(n_backlog, rate, latency_s)


def begun_by(source: AlarmsAndLife) -> float:
    """When the first alarm was handed over."""
    return min(source.handed_s.values())


@contextlib.contextmanager
def alarms_seen_in_influxdb(url: str, database: str) -> Iterator[Callable[[], dict[int, float]]]:
    """Ask InfluxDB again and again which alarms it has, and note when each was there first."""
    seen: dict[int, float] = {}
    stop = threading.Event()
    query = "SELECT value FROM telemetry WHERE signal = 'overheat_ratio'"
    asked = urllib.parse.urlencode({"q": query, "db": database})

    def look() -> None:
        while not stop.wait(0.1):
            request = urllib.request.Request(f"{url}/query?{asked}", headers={"Accept": "text/csv"})
            with urllib.request.urlopen(request, timeout=30) as answer:
                text, now_s = answer.read().decode(), time.monotonic()
            for row in csv.DictReader(io.StringIO(text)):
                seen.setdefault(int(float(row["value"])), now_s)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield lambda: dict(seen)
    finally:
        stop.set()
        thread.join()


class HangingStore:
    """Never answers a request with raw values, and answers one with alarms alone at once."""

    def __init__(self) -> None:
        self.seen: dict[int, float] = {}
        self.n_hanging = 0
        self._over = threading.Event()
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if any(ALARM.signal.encode() not in line for line in body.splitlines()):
                    store.n_hanging += 1
                    store._over.wait()
                    self.close_connection = True
                    return
                for line in body.splitlines():
                    number = int(float(line.split(b"value=")[1].split(b",")[0]))
                    store.seen.setdefault(number, time.monotonic())
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
