"""NASA's engines through the whole chain: OPC UA and MQTT, edge agent, ingest, store, estimate.

The oracle is the published text file, read with `numpy.loadtxt`, against the rows of the
telemetry file, read with plain SQL after every program has stopped.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import httpx
import numpy as np
import pytest

from simulators.loopback import free_port

pytestmark = [pytest.mark.data("cmapss"), pytest.mark.timeout(420)]

ENGINES = (3, 20, 34, 49, 76, 100)
SUBSET = "FD001"
N_SENSORS = 21  # beside three settings of the flight
CYCLE_H = 1.0


@dataclass(frozen=True)
class Published:
    """What NASA published of one test engine."""

    cycle: np.ndarray
    values: np.ndarray
    remaining_cycles: int

    @property
    def rows(self) -> set[tuple[int, float]]:
        """Cycle and value of every sample, as a multiset key needs them."""
        return {
            (int(c), float(v)) for c, row in zip(self.cycle, self.values, strict=True) for v in row
        }


def read_published(folder: Path) -> dict[int, Published]:
    table = np.loadtxt(folder / "cmapss" / f"test_{SUBSET}.txt")
    remaining = np.loadtxt(folder / "cmapss" / f"RUL_{SUBSET}.txt", dtype=int)
    return {
        engine: Published(
            table[table[:, 0] == engine, 1],
            table[table[:, 0] == engine, 2:26],
            int(remaining[engine - 1]),
        )
        for engine in ENGINES
    }


def staybolt(module: str, *arguments: str | Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, f"{module} {arguments}: {done.stderr[-3000:]}"


@contextmanager
def running(log: Path, module: str, *arguments: str | Path) -> "Iterator[subprocess.Popen[bytes]]":
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)], stdout=output, stderr=output
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)


def wait_until(what: str, is_true: "object", timeout_s: float, log: Path) -> None:
    assert callable(is_true)
    deadline = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline, (
            f"{what} not within {timeout_s} s: {log.read_text()[-2000:]}"
        )
        time.sleep(0.3)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5.0).status_code == 200
    except httpx.HTTPError:
        return False


def machine_name(engine: int) -> str:
    return f"engine-{SUBSET.lower()}-test-{engine:03d}"


@dataclass(frozen=True)
class Replayed:
    """What is left after the replay."""

    state: Path
    machines: dict[str, dict[str, object]]
    plant: dict[str, object]


@pytest.fixture(scope="module")
def replayed(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    """Play the engines, read the estimates over the API, stop everything."""
    folder = tmp_path_factory.mktemp("replay")
    edge, state, plant = folder / "edge", folder / "state", folder / "plant"
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    staybolt("edge_agent", "keys", "--state-dir", edge)
    staybolt(
        "api", "fit-health-model", "--kind", f"turbofan-{SUBSET.lower()}", "--mapping", "cmapss",
        "--table", real_data / "cmapss" / f"train_{SUBSET}.txt", "--state-dir", state,
    )  # fmt: skip
    token = state / "ingest_token"
    token.touch(0o600)
    token.write_text("a-token-for-the-replay-test")
    published = read_published(real_data)
    replay = (
        "replay", "cmapss", "--data", real_data, "--subset", SUBSET, "--split", "test",
        "--units", ",".join(map(str, ENGINES)), "--hours-per-cycle", str(CYCLE_H),
        "--dir", plant, "--trust-client", edge / "pki" / "own" / "certificate.der",
        "--uplink-url", url, "--uplink-token-file", token, "--edge-state-dir", edge,
    )  # fmt: skip
    with running(folder / "replay.log", "simulators", *replay) as player:
        wait_until("edge.toml", (plant / "edge.toml").exists, 60, folder / "replay.log")
        staybolt("api", "import", plant / "business", "--state-dir", state)
        serve = ("serve", "--state-dir", state, "--port", str(port))
        with running(folder / "serve.log", "api", *serve):
            wait_until("server", lambda: answers(f"{url}/healthz"), 60, folder / "serve.log")
            agent = ("run", "--config", plant / "edge.toml")
            with running(folder / "edge.log", "edge_agent", *agent):
                wait_until(
                    "end of replay", lambda: player.poll() is not None, 180, folder / "replay.log"
                )
                assert player.returncode == 0, (folder / "replay.log").read_text()[-3000:]
                machines = read_estimates(url, published, folder / "serve.log")
    return Replayed(state, machines, json.loads((plant / "plant.json").read_text()))


def read_estimates(
    url: str, published: dict[int, Published], log: Path
) -> dict[str, dict[str, object]]:
    """Wait until every engine's newest snapshot has used all of its samples."""
    found: dict[str, dict[str, object]] = {}

    def all_judged() -> bool:
        for engine, truth in published.items():
            answer = httpx.get(f"{url}/v1/machines/{machine_name(engine)}", timeout=10.0)
            machine = answer.json() if answer.status_code == 200 else {}
            health = machine.get("health")
            if not health or health["samples"]["n_samples"] < truth.cycle.size * N_SENSORS:
                return False
            found[machine_name(engine)] = machine
        return True

    wait_until("an estimate for each engine", all_judged, 60, log)
    return found


def stored(state: Path) -> "dict[str, list[tuple[int, str, float]]]":
    """Every row of the telemetry file, straight from SQL."""
    with duckdb.connect(str(state / "telemetry.duckdb"), read_only=True) as connection:
        rows = connection.execute(
            "SELECT machine, source_time_ns, signal, value FROM samples "
            "JOIN series ON samples.series_id = series.id"
        ).fetchall()
    by_machine: dict[str, list[tuple[int, str, float]]] = {}
    for machine, time_ns, signal, value in rows:
        by_machine.setdefault(machine, []).append((time_ns, signal, value))
    return by_machine


def test_every_sample_is_in_the_store_exactly_once(
    replayed: Replayed, real_data: Path, show: Callable[[str], None]
) -> None:
    published, by_machine = read_published(real_data), stored(replayed.state)
    missing = doubled = wrong = 0

    for engine, truth in published.items():
        rows = by_machine[machine_name(engine)]
        times = sorted({time_ns for time_ns, _, _ in rows})
        keys = [(time_ns, signal) for time_ns, signal, _ in rows]
        doubled += len(keys) - len(set(keys))
        missing += truth.values.size - len(set(keys))
        assert len(times) == truth.cycle.size
        cycle_ns = np.diff(times)
        assert set(cycle_ns.tolist()) == {int(CYCLE_H * 3600e9)}
        for cycle, time_ns in enumerate(times):
            got = sorted(value for moment, _, value in rows if moment == time_ns)
            wrong += got != sorted(truth.values[cycle].tolist())

    print(
        f"replay: {sum(t.values.size for t in published.values())} samples, {missing=} {doubled=}"
    )
    assert (missing, doubled, wrong) == (0, 0, 0)


def test_engines_travelled_over_both_protocols(replayed: Replayed) -> None:
    machines = replayed.plant["machines"]
    assert isinstance(machines, list)

    assert {machine["protocol"] for machine in machines} == {"opcua", "mqtt"}


def test_every_engine_has_an_estimate_with_an_interval(
    replayed: Replayed, real_data: Path, show: Callable[[str], None]
) -> None:
    published = read_published(real_data)
    errors = []

    lines = ["engine   cycles  published  estimated  80 % interval  error"]
    for engine, truth in published.items():
        health = replayed.machines[machine_name(engine)]["health"]
        assert isinstance(health, dict)
        life = health["remaining_useful_life"]
        median, lower, upper = (life[key] / CYCLE_H for key in ("median_h", "lower_h", "upper_h"))
        assert 0 <= lower <= median <= upper
        errors.append(median - truth.remaining_cycles)
        lines.append(
            f"{engine:6d}  {truth.cycle.size:6d}  {truth.remaining_cycles:9d}  {median:9.0f}"
            f"  {lower:5.0f} to {upper:3.0f}  {errors[-1]:+6.0f}"
        )
    rmse = float(np.sqrt(np.mean(np.square(errors))))
    lines.append(
        f"root mean square error {rmse:.1f} cycles (raw, last cycle, {len(errors)} engines)"
    )
    show("\n".join(lines))
    # A constant guess of the mean life left of these engines errs by this much.
    spread = float(np.std([truth.remaining_cycles for truth in published.values()]))
    assert rmse < spread
