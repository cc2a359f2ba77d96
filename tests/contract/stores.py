"""Every kind of telemetry store, empty for every test, and the receiver on a real port."""

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import uvicorn

from ingest.adapters.duckdb_store import DuckDBStore
from ingest.adapters.influx1 import Influx1Store
from ingest.adapters.influx2 import Influx2Store
from ingest.catalogue import OpenCatalogue
from ingest.ports import StepMeans, TelemetryStore
from ingest.quarantine import Quarantine
from ingest.receiver import ReceiverApp, make_receiver
from ingest.rollups import Rollups
from ingest.service import IngestService
from ingest.telemetry import Series, TelemetryBatch
from ingest.tokens import TokenTable

TOKEN = "0123456789abcdef0123456789abcdef"

START_TIMEOUT_S = 20.0

_number = itertools.count(1)

OpenStore = Callable[[], TelemetryStore]
"""Opens the test's own store; called again, opens the same one once more."""


class ThroughReceiver:
    """Writes as `Influx2Store` does, over HTTP to our receiver; reads what arrived behind it."""

    def __init__(self, writer: Influx2Store, behind: DuckDBStore) -> None:
        self._writer = writer
        self._behind = behind

    def write(self, batch: TelemetryBatch) -> None:
        self._writer.write(batch)

    def read(self, series: Sequence[Series], start_ns: int, end_ns: int) -> TelemetryBatch:
        return self._behind.read(series, start_ns, end_ns)

    def latest(self, series: Sequence[Series]) -> TelemetryBatch:
        return self._behind.latest(series)

    def read_steps(
        self, series: Sequence[Series], start_ns: int, step_ns: int, n_steps: int
    ) -> StepMeans:
        return self._behind.read_steps(series, start_ns, step_ns, n_steps)

    def read_rollups(
        self, series: Sequence[Series], start_ns: int, end_ns: int, step_ns: int
    ) -> Rollups:
        return self._behind.read_rollups(series, start_ns, end_ns, step_ns)

    def maintain(self, *, raw_from_ns: int | None = None) -> int:
        return self._behind.maintain(raw_from_ns=raw_from_ns)

    def series(self) -> tuple[Series, ...]:
        return self._behind.series()

    def close(self) -> None:
        self._writer.close()


@contextlib.contextmanager
def serving(app: ReceiverApp) -> Iterator[str]:
    """Serve an ASGI application on a free port of 127.0.0.1; gives its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@contextlib.contextmanager
def receiving(
    store: TelemetryStore, folder: Path, *, clock_ns: Callable[[], int] = time.time_ns
) -> Iterator[str]:
    """Serve the receiver in front of a store, for whoever shows `TOKEN`; gives its address."""
    with Quarantine(folder / "quarantine.sqlite") as quarantine:
        service = IngestService(
            store, quarantine, OpenCatalogue(), clock_ns, TokenTable({TOKEN: "mill-7"})
        )
        with serving(make_receiver(service)) as url:
            yield url


@contextlib.contextmanager
def duckdb_store(folder: Path) -> Iterator[OpenStore]:
    """The embedded store."""
    with contextlib.ExitStack() as opened:

        def again() -> TelemetryStore:
            opened.close()
            return opened.enter_context(DuckDBStore(folder / "telemetry.duckdb"))

        yield again


@contextlib.contextmanager
def influx1_store(url: str) -> Iterator[OpenStore]:
    """A new database of a real InfluxDB 1."""
    database = f"telemetry_{next(_number)}"
    with contextlib.ExitStack() as opened:

        def again() -> TelemetryStore:
            store = opened.enter_context(Influx1Store(url, database))
            store.setup()
            return store

        yield again


@contextlib.contextmanager
def influx2_writes(folder: Path, *, now_ns: int) -> Iterator[OpenStore]:
    """The write path of InfluxDB 2, into our own receiver."""
    with contextlib.ExitStack() as opened:

        def again() -> TelemetryStore:
            opened.close()
            behind = opened.enter_context(DuckDBStore(folder / "telemetry.duckdb"))
            url = opened.enter_context(receiving(behind, folder, clock_ns=lambda: now_ns))
            writer = Influx2Store(url, "example", "telemetry", token=TOKEN)
            return opened.enter_context(contextlib.closing(ThroughReceiver(writer, behind)))

        yield again
