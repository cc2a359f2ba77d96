"""The HTTP uplink against a real InfluxDB 1.6: refusals, a missing database, users.

What is stored is asked of InfluxDB itself, over its query interface.
"""

import asyncio
import csv
import io
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_agent.core import AgentCore
from edge_agent.counters import Counters
from edge_agent.messages import Answer, NotAllowed, Refused, Stored
from edge_agent.outbox import Outbox
from edge_agent.ports import Intake
from edge_agent.records import StoredRecord
from edge_agent.runtime import Runtime
from edge_agent.settings_uplink import UplinkSettings
from edge_agent.uplink_http import HttpUplink
from ingest.telemetry import Series, TelemetryBatch
from tests.integration.edge_fixtures import SITE
from tests.servers.launch import HttpServer, influxd

pytestmark = pytest.mark.server("influxd")

WEEK_NS = 7 * 86_400 * 10**9
BASE_TIME_NS = 1_700_000_000_000_000_000 // WEEK_NS * WEEK_NS
BAD_WEEK_NS = BASE_TIME_NS - 10 * WEEK_NS
"""In this week, a shard of its own, another program has written ``value`` as an integer."""


def ask(server: HttpServer, question: str, database: str = "", user: str = "") -> str:
    """Answer of InfluxDB as CSV."""
    asked = urllib.parse.urlencode({"q": question, "db": database}).encode()
    entry = urllib.parse.urlencode({"u": user, "p": "secret"} if user else {})
    request = urllib.request.Request(f"{server.url}/query?{entry}", asked, {"Accept": "text/csv"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(answer.read().decode())


def times_in(server: HttpServer, database: str) -> list[int]:
    text = ask(server, 'SELECT "value" FROM "telemetry" WHERE signal = \'flow_m3_h\'', database)
    return [int(row["time"]) for row in csv.DictReader(io.StringIO(text))]


@pytest.fixture
def database(influxdb1_server: HttpServer, tmp_path: Path) -> Iterator[str]:
    name = tmp_path.name
    ask(influxdb1_server, f'CREATE DATABASE "{name}"')
    yield name
    ask(influxdb1_server, f'DROP DATABASE "{name}"')


def spoil_a_week(server: HttpServer, database: str) -> None:
    body = f"telemetry,signal=other value=1i {BAD_WEEK_NS + 1}".encode()
    request = urllib.request.Request(f"{server.url}/write?db={database}", body, method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 204


def line(time_ns: int) -> bytes:
    tags = f"site={SITE},machine=pump-01,signal=flow_m3_h"
    return f"telemetry,{tags} value=1.5,quality=0i {time_ns}\n".encode()


def post(server: HttpServer, database: str, *times_ns: int, tail: bytes = b"") -> Answer:
    uplink = HttpUplink(UplinkSettings(url=server.url, write_api="influxdb1", bucket=database))
    answer = uplink.post(b"".join(line(time_ns) for time_ns in times_ns) + tail)
    uplink.close()
    return answer


def test_what_influxdb_says_of_a_refusal_is_understood(
    influxdb1_server: HttpServer, database: str
) -> None:
    spoil_a_week(influxdb1_server, database)
    bad = [BAD_WEEK_NS + n for n in (5, 6)]

    some = post(influxdb1_server, database, BASE_TIME_NS, *bad)
    none = post(influxdb1_server, database, *bad)
    unread = post(influxdb1_server, database, BASE_TIME_NS + 1, tail=b"telemetry,a=b 17\n")

    assert isinstance(some, Refused)
    assert "field type conflict" in some.reason
    assert not some.is_all
    assert isinstance(none, Refused)
    assert none.is_all
    assert isinstance(unread, Refused)
    assert [place for place, _ in unread.named] == [1]
    assert times_in(influxdb1_server, database) == [BASE_TIME_NS, BASE_TIME_NS + 1]


def test_only_the_lines_influxdb_minds_are_set_aside_and_all_others_arrive_once(
    influxdb1_server: HttpServer, database: str, tmp_path: Path, show: Callable[[str], None]
) -> None:
    spoil_a_week(influxdb1_server, database)
    times = [BASE_TIME_NS + n * 10**9 for n in range(3000)]
    bad = {17, 1200, 1201, 2999}
    times = [BAD_WEEK_NS + n * 10**9 if n in bad else time_ns for n, time_ns in enumerate(times)]
    uplink = UplinkSettings(url=influxdb1_server.url, write_api="influxdb1", bucket=database)
    counters, n_requests = Counters(), 0

    class Counting(HttpUplink):
        def post(self, body: bytes) -> Answer:
            nonlocal n_requests
            n_requests += 1
            return super().post(body)

    class Source:
        name = "feed"

        async def serve(self, intake: Intake) -> None:
            series = [Series(SITE, "pump-01", "flow_m3_h")]
            for first in range(0, 3000, 1000):
                part = times[first : first + 1000]
                batch = TelemetryBatch.of(series, [0] * 1000, part, [1.5] * 1000, [0] * 1000)
                await intake.submit(batch)
            await asyncio.Event().wait()

    async def run() -> None:
        core = AgentCore(group_commit_s=0.0, max_body_bytes=1_000_000, retry_max_s=1.0)
        outbox = Outbox(tmp_path / "outbox.sqlite", 10**8)
        runtime = Runtime(core, outbox, lambda _lane: Counting(uplink), [Source()], counters)
        stop = asyncio.Event()
        running = asyncio.create_task(runtime.run(stop))
        async with asyncio.timeout(60):
            while counters.acknowledged + counters.refused < len(times):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        stop.set()
        await running

    asyncio.run(run())

    with Outbox(tmp_path / "outbox.sqlite", 10**8) as outbox:
        entries = outbox.quarantine()
        n_waiting = outbox.counts().n_records
    aside = {int(line.split()[-1]) for each in entries for line in each.body.splitlines()}
    show(f"bisection: {len(bad)} bad lines among {len(times)} found in {n_requests} requests")
    assert n_waiting == 0
    assert aside == {times[n] for n in bad}
    assert all("field type conflict" in each.reason for each in entries)
    assert times_in(influxdb1_server, database) == sorted(set(times) - aside)
    assert n_requests <= 2 * len(bad) * 12


def test_a_missing_database_is_told_and_nothing_is_set_aside(
    influxdb1_server: HttpServer,
) -> None:
    answer = post(influxdb1_server, "nobody-made-it", BASE_TIME_NS)

    assert isinstance(answer, NotAllowed)
    assert answer.reason.startswith("404 database not found")
    assert "correct uplink.url or uplink.bucket" in answer.reason


def test_users_and_their_rights_are_told_apart_and_a_new_password_is_taken_up(
    tmp_path: Path,
) -> None:
    password = tmp_path / "password"
    password.write_text("wrong\n")
    (tmp_path / "influxd").mkdir()
    with influxd(tmp_path / "influxd", is_guarded=True) as server:
        ask(server, "CREATE USER root WITH PASSWORD 'secret' WITH ALL PRIVILEGES")
        ask(server, 'CREATE DATABASE "telemetry"', user="root")
        ask(server, "CREATE USER edge WITH PASSWORD 'right'", user="root")
        uplink = HttpUplink(
            UplinkSettings(
                url=server.url, write_api="influxdb1", user="edge", password_file=password
            )
        )
        answers = [uplink.post(line(BASE_TIME_NS))]
        password.write_text("right\n")
        answers.append(uplink.post(line(BASE_TIME_NS)))
        ask(server, 'GRANT WRITE ON "telemetry" TO "edge"', user="root")
        answers.append(uplink.post(line(BASE_TIME_NS)))
        uplink.close()

    assert isinstance(answers[0], NotAllowed)
    assert answers[0].reason.startswith("401 ")
    assert isinstance(answers[1], NotAllowed)
    assert answers[1].reason.startswith("403 ")
    assert answers[2] == Stored()


def test_a_record_is_sent_whole_whatever_its_size(
    influxdb1_server: HttpServer, database: str
) -> None:
    uplink = HttpUplink(
        UplinkSettings(url=influxdb1_server.url, write_api="influxdb1", bucket=database)
    )
    body = b"".join(line(BASE_TIME_NS + n) for n in range(5000))

    answer = uplink.send([StoredRecord(1, 5000, body)], 10_000)
    uplink.close()

    assert answer == Stored()
    assert len(times_in(influxdb1_server, database)) == 5000
