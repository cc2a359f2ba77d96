"""The way of a value through the agent and through what one would write without it, in CPU time.

Both begin with the same OPC UA notification bytes, make every value durable on a disk, and send it
to a real InfluxDB, which is asked at the end how many values it has. Ours is the real runtime with
a real reader process, whose source plays the bytes; the peer is asyncua's subscription with a
handler, influxdb-client's `Point`, and one row of SQLite for each point. Each runs as a process of
its own (``python -m tests.reliability.edge_path SIDE ...``) and says what it took.
"""

import asyncio
import contextlib
import json
import os
import resource
import sqlite3
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, cast

import asyncua
import numpy as np
from asyncua.common.subscription import Subscription, SubscriptionItemData
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary

from edge_agent.core import AgentCore
from edge_agent.counters import Counters
from edge_agent.outbox import Outbox
from edge_agent.ports import Intake
from edge_agent.reader.begin import Begin
from edge_agent.reader.source import ReaderSource
from edge_agent.runtime import Runtime
from edge_agent.settings_file import load_settings
from edge_agent.sources.opcua_decode import NotificationDecoder
from edge_agent.sources.opcua_envelope import read_publish_answer
from edge_agent.sources.opcua_publish import N_REQUESTS
from edge_agent.uplink_http import HttpUplink
from ingest.telemetry import Series
from simulators.load.notifications import ITEM, NotificationBuilder

Untyped: TypeAlias = Any
"""What asyncua and influxdb-client do not type, or too strictly."""

ua: Untyped = asyncua.ua
"""Its constructors ask for its own number types, and take plain ones."""

SITE, SIGNAL = "mill-7", "vibration_mm_s"
N_NODES, N_ROUNDS = 1000, 5
VALUES_PER_MESSAGE = N_NODES * N_ROUNDS
START_NS = 1_700_000_000_000_000_000
DATA_CHANGE = ua.NodeId(ua.ObjectIds.DataChangeNotification_Encoding_DefaultBinary)


def messages(n_messages: int) -> list[bytes]:
    """PublishResponses with values as machines give them: three decimals, one each 100 ms."""
    chance = np.random.default_rng(7)
    builder = NotificationBuilder(
        list(range(1, N_NODES + 1)), list(range(N_NODES)),
        n_rounds=N_ROUNDS, step_ns=100_000_000, start_ns=START_NS,
    )  # fmt: skip
    made = []
    for number in range(n_messages):
        body = bytearray(builder.body(number * N_ROUNDS))
        items: np.ndarray = np.frombuffer(body, ITEM, VALUES_PER_MESSAGE, offset=4)
        items["value"] = chance.normal(20.0, 5.0, VALUES_PER_MESSAGE).round(3)
        response = ua.PublishResponse()
        response.Parameters.SubscriptionId = 1
        response.Parameters.NotificationMessage.SequenceNumber = number + 1
        part = ua.ExtensionObject(DATA_CHANGE, bytes(body))
        response.Parameters.NotificationMessage.NotificationData = [part]
        made.append(struct_to_binary(response))
    return made


def machine(node: int) -> str:
    """Name of the machine of a node."""
    return f"press-{node:04d}"


# --- ours --------------------------------------------------------------------------------------


class Player:
    """A source that plays notification bytes instead of receiving them."""

    name = "opcua load"

    def __init__(self, series: tuple[Series, ...], n_messages: int, report: Path) -> None:
        self._decoder = NotificationDecoder(series, {n + 1: n for n in range(len(series))})
        self._messages = messages(n_messages)
        self._report = report

    async def serve(self, intake: Intake) -> None:
        """Play everything, with as many under way as the publish loop has requests."""
        began_s = time.process_time()
        waiting = list(reversed(self._messages))
        n_playing = 0

        async def play() -> None:
            nonlocal n_playing
            while waiting:
                answer = read_publish_answer(waiting.pop())
                n_playing += 1
                (body,) = answer.notification.data_changes
                batch = self._decoder.decode(body, START_NS).batch
                await intake.submit(batch, is_urgent=n_playing >= N_REQUESTS)
                n_playing -= 1

        await asyncio.gather(*(play() for _ in range(N_REQUESTS)))
        self._report.write_text(str(time.process_time() - began_s))
        await asyncio.Event().wait()


def play_as_reader(n_messages: int, report: Path, arguments: list[str]) -> None:
    """The reader process: everything but its source is the real one."""
    from edge_agent.reader import child

    def make_source(begin: Begin, _counters: Counters) -> Player:
        return Player(begin.series, n_messages, report)

    Begin.make_source = make_source  # type: ignore[method-assign, assignment]  # it plays
    child.main(arguments)


CONFIG = """
site = "{site}"
state_dir = "state"
[uplink]
url = "{url}"
write_api = "influxdb1"
bucket = "{database}"
[status]
port = 0
heartbeat_s = 0.0
[[opcua]]
name = "load"
endpoint = "opc.tcp://127.0.0.1:4840"
trusted_servers_dir = "trusted"
"""
NODE = """[[opcua.nodes]]
namespace_uri = "urn:load"
node_id = "i={node}"
machine = "{machine}"
signal = "{signal}"
unit = "mm/s"
"""


async def run_ours(url: str, database: str, folder: Path, n_messages: int) -> dict[str, float]:
    """Play the messages through the agent; what it took."""
    text = CONFIG.format(site=SITE, url=url, database=database)
    text += "".join(
        NODE.format(node=node, machine=machine(node), signal=SIGNAL) for node in range(N_NODES)
    )
    config = folder / "edge.toml"
    config.write_text(text)
    settings = load_settings(config)
    counters, report = Counters(), folder / "reader_cpu_s"
    source = ReaderSource(
        settings.opcua[0],
        SITE,
        settings.state_dir,
        settings.reader,
        counters,
        lambda descriptor: [
            *(sys.executable, "-m", "tests.reliability.edge_path", "reader"),
            *(str(n_messages), str(report), str(descriptor), str(os.getpid())),
        ],
    )
    runtime = Runtime(
        AgentCore(group_commit_s=0.1, max_body_bytes=1_000_000, retry_max_s=1.0),
        Outbox(settings.outbox_path, settings.outbox.max_bytes),
        lambda _lane: HttpUplink(settings.uplink),
        [source],
        counters,
    )
    n_values = n_messages * VALUES_PER_MESSAGE
    stop = asyncio.Event()
    running = asyncio.create_task(runtime.run(stop))
    began_s, wall_s = own_cpu_s(), time.perf_counter()
    while counters.acknowledged < n_values or not report.exists():
        await asyncio.sleep(0.05)
        if running.done():
            running.result()
    agent_s, wall_s = own_cpu_s() - began_s, time.perf_counter() - wall_s
    stop.set()
    await running
    reader_s = float(report.read_text())
    return {
        "n_values": n_values,
        "agent_cpu_s": agent_s,
        "reader_cpu_s": reader_s,
        "cpu_s": agent_s + reader_s,
        "wall_s": wall_s,
    }


# --- the peer ----------------------------------------------------------------------------------


class Handler:
    """What asyncua calls for each value."""

    def __init__(self, database: sqlite3.Connection) -> None:
        from influxdb_client.client.write.point import Point
        from influxdb_client.domain.write_precision import WritePrecision

        self._database = database
        self._point: Untyped = Point
        self._ns: Untyped = WritePrecision.NS

    def datachange_notification(self, node: str, value: float, data: Untyped) -> None:
        point = (
            self
            ._point("telemetry")
            .tag("site", SITE)
            .tag("machine", node)
            .tag("signal", SIGNAL)
            .field("value", value)
            .field("quality", 0)
            .time(data.monitored_item.Value.SourceTimestamp, self._ns)
        )
        self._database.execute("INSERT INTO point (line) VALUES (?)", (point.to_line_protocol(),))


async def run_peer(url: str, database: str, folder: Path, n_messages: int) -> dict[str, float]:
    """The same messages through asyncua's subscription, points and rows; what it took."""
    import urllib3

    rows = sqlite3.connect(folder / "peer.sqlite")
    rows.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
        "CREATE TABLE point (id INTEGER PRIMARY KEY AUTOINCREMENT, line TEXT)"
    )
    handler: Untyped = Handler(rows)
    subscription = Subscription(cast("Any", None), ua.CreateSubscriptionParameters(), handler)
    subscription._observe = lambda hook: None  # type: ignore[method-assign]  # there is no session
    for node in range(N_NODES):
        item = subscription._monitored_items[node + 1] = SubscriptionItemData()
        item.node = cast("Any", machine(node))
    pool, sent = urllib3.PoolManager(), 0
    said = messages(n_messages)
    began_s, wall_s = own_cpu_s(), time.perf_counter()
    for message in said:
        response = struct_from_binary(ua.PublishResponse, Buffer(message))
        await subscription.publish_callback(response.Parameters)
        while subscription._dispatch_tasks:
            await asyncio.wait(set(subscription._dispatch_tasks))
        rows.commit()
        waiting = rows.execute("SELECT id, line FROM point ORDER BY id LIMIT 5000").fetchall()
        # influxdb-client has no way to InfluxDB 1, so its points are sent without it.
        answer = pool.request(
            "POST", f"{url}/write?db={database}", body="\n".join(line for _, line in waiting)
        )
        assert answer.status == 204, answer.data
        rows.executemany("DELETE FROM point WHERE id = ?", [(number,) for number, _ in waiting])
        rows.commit()
        sent += len(waiting)
    return {
        "n_values": sent,
        "cpu_s": own_cpu_s() - began_s,
        "wall_s": time.perf_counter() - wall_s,
    }


# --- both --------------------------------------------------------------------------------------


def own_cpu_s() -> float:
    """Processor time of all threads of this process, in the kernel too. [s]"""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def ask(url: str, **parameters: str) -> dict[str, Any]:
    """Ask InfluxDB 1."""
    data = urllib.parse.urlencode(parameters).encode()
    with urllib.request.urlopen(f"{url}/query", data, 60) as answer:
        return cast("dict[str, Any]", json.loads(answer.read()))


def n_stored(url: str, database: str) -> int:
    """Values that InfluxDB has."""
    said = ask(url, db=database, q='SELECT count("value") FROM telemetry')
    series = said["results"][0].get("series")
    return 0 if series is None else int(series[0]["values"][0][1])


def run_side(side: str, url: str, folder: Path, n_messages: int) -> dict[str, float]:
    """Run one side as a process of its own, and count what the store has."""
    place = folder / side
    (place / "trusted").mkdir(parents=True)
    ask(url, q=f"CREATE DATABASE {side}")
    command = [sys.executable, "-m", "tests.reliability.edge_path", side]
    done = subprocess.run(
        [*command, url, side, str(place), str(n_messages)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    took: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return {**took, "n_stored": n_stored(url, side)}


SIDES: dict[str, Callable[[str, str, Path, int], Any]] = {"ours": run_ours, "peer": run_peer}


def main() -> None:
    side, *rest = sys.argv[1:]
    if side == "reader":
        play_as_reader(int(rest[0]), Path(rest[1]), rest[2:])
        return
    url, database, folder, n_messages = rest
    with contextlib.suppress(KeyboardInterrupt):
        print(json.dumps(asyncio.run(SIDES[side](url, database, Path(folder), int(n_messages)))))


if __name__ == "__main__":
    main()
