"""How a real InfluxDB 1 says no, and what is made of it."""

import time
from urllib.parse import urlencode

import pytest
import urllib3

from ingest.adapters.influx1 import Influx1Store
from ingest.errors import StoreRejectedError, StoreUnavailableError
from ingest.telemetry import Quality, Series, TelemetryBatch
from simulators.loopback import free_port
from tests.servers.launch import HttpServer

NOW_NS = 1_700_000_000_000_000_000
FLOW = Series("mill-7", "pump-01", "flow_m3_h")


def one(time_ns: int, value: float) -> TelemetryBatch:
    return TelemetryBatch.of([FLOW], [0], [time_ns], [value], [0])


def post(server: HttpServer, path: str, body: str) -> None:
    with urllib3.PoolManager() as pool:
        assert pool.request("POST", server.url + path, body=body).status in {200, 204}


@pytest.mark.server("influxd")
def test_a_database_that_is_not_there_may_come_later(influxdb1_server: HttpServer) -> None:
    with Influx1Store(influxdb1_server.url, "not_there") as store:
        for attempt in (
            lambda: store.write(one(NOW_NS, 1.0)),
            lambda: store.read([FLOW], 0, 1),
            lambda: store.latest([FLOW]),
            store.series,
        ):
            with pytest.raises(StoreUnavailableError, match='CREATE DATABASE "not_there"'):
                attempt()


@pytest.mark.server("influxd")
def test_setting_up_twice_keeps_what_is_there(influxdb1_server: HttpServer) -> None:
    with Influx1Store(influxdb1_server.url, "twice") as store:
        store.setup()
        store.write(one(NOW_NS, 1.0))
        store.setup()

        assert len(store.latest([FLOW])) == 1


@pytest.mark.server("influxd")
def test_a_field_of_another_type_is_refused_for_good(influxdb1_server: HttpServer) -> None:
    with Influx1Store(influxdb1_server.url, "conflict") as store:
        store.setup()
        line = f'telemetry,site=mill-7,machine=pump-01,signal=flow_m3_h value="text" {NOW_NS}'
        post(influxdb1_server, "/write?db=conflict", line)

        with pytest.raises(StoreRejectedError, match="field type conflict"):
            store.write(one(NOW_NS + 1, 1.0))


@pytest.mark.server("influxd")
def test_data_beyond_the_retention_are_refused_for_good(influxdb1_server: HttpServer) -> None:
    with Influx1Store(influxdb1_server.url, "short_memory") as store:
        store.setup()
        policy = 'ALTER RETENTION POLICY "autogen" ON "short_memory"'
        query = urlencode({"q": f"{policy} DURATION 1h SHARD DURATION 1h"})
        post(influxdb1_server, f"/query?{query}", "")

        store.write(one(time.time_ns(), 1.0))
        with pytest.raises(StoreRejectedError, match="retention policy"):
            store.write(one(time.time_ns() - 48 * 3600 * 10**9, 1.0))


@pytest.mark.server("influxd")
def test_lines_that_others_wrote_directly_are_read_too(influxdb1_server: HttpServer) -> None:
    with Influx1Store(influxdb1_server.url, "direct") as store:
        store.setup()
        head = "telemetry,site=mill-7,machine=pump-01,signal=flow_m3_h"
        lines = [
            f"{head} value=1.5 {NOW_NS}",
            f"{head} quality=2i {NOW_NS + 1}",
            f"{head} value=2.5,quality=1i {NOW_NS + 2}",
            f"{head} other=1 {NOW_NS + 3}",
        ]
        post(influxdb1_server, "/write?db=direct", "\n".join(lines))

        found = store.read([FLOW], NOW_NS, NOW_NS + 10)

    assert found.source_time_ns.tolist() == [NOW_NS, NOW_NS + 1, NOW_NS + 2]
    assert [repr(value) for value in found.value.tolist()] == ["1.5", "nan", "2.5"]
    assert found.quality.tolist() == [Quality.GOOD, Quality.BAD, Quality.UNCERTAIN]


def test_a_server_that_is_not_there_is_told_plainly() -> None:
    with (
        Influx1Store(f"http://127.0.0.1:{free_port()}", "telemetry") as store,
        pytest.raises(
            StoreUnavailableError, match=r"InfluxDB did not answer .* check that it runs"
        ),
    ):
        store.write(one(NOW_NS, 1.0))


@pytest.mark.parametrize("database", ['a"b', "", "a b", 'x"; DROP DATABASE y'])
def test_a_database_with_a_name_that_needs_quoting_is_not_used(database: str) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        Influx1Store("http://127.0.0.1:1", database)
