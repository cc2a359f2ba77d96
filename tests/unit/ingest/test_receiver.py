"""The receiver on a real port: InfluxDB's own client, its shapes of answers, and its limits."""

import base64
import contextlib
import gzip
import http.client
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write.point import Point
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException

from ingest.adapters.duckdb_store import DuckDBStore
from ingest.catalogue import OpenCatalogue
from ingest.errors import StoreUnavailableError
from ingest.quarantine import Quarantine
from ingest.receiver import make_receiver
from ingest.service import IngestService
from ingest.telemetry import Series, TelemetryBatch
from ingest.tokens import TokenTable
from tests.contract.stores import TOKEN, serving
from tests.strategies import rows_of

NOW_NS = 1_700_000_000_000_000_000
MAX_BODY_BYTES = 100_000
FLOW = Series("mill-7", "pump-01", "flow_m3_h")
HEAD = "telemetry,site=mill-7,machine=pump-01,signal=flow_m3_h"
LINE = f"{HEAD} value=1.5,quality=0i {NOW_NS}"
AUTHORIZED = {"Authorization": f"Token {TOKEN}"}

new_point: Any = Point


class Unreachable(DuckDBStore):
    """A store that can be taken away."""

    is_away = False

    def write(self, batch: TelemetryBatch) -> None:
        if self.is_away:
            msg = "/secret/path: away"
            raise StoreUnavailableError(msg)
        super().write(batch)


@dataclass
class Receiver:
    url: str
    store: Unreachable
    quarantine: Quarantine
    pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False))

    def write(
        self, body: str | bytes, path: str = "/api/v2/write?bucket=telemetry", **headers: str
    ) -> urllib3.BaseHTTPResponse:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return self.pool.request("POST", self.url + path, body=body, headers=AUTHORIZED | named)

    def stored(self) -> list[tuple[Series, int, str, int]]:
        return rows_of(self.store.read(self.store.series(), 0, 2**62))


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with (
        Unreachable(tmp_path / "telemetry.duckdb") as store,
        Quarantine(tmp_path / "quarantine.sqlite") as quarantine,
    ):
        service = IngestService(
            store, quarantine, OpenCatalogue(), lambda: NOW_NS, TokenTable({TOKEN: "mill-7"})
        )
        with serving(make_receiver(service, max_body_bytes=MAX_BODY_BYTES)) as url:
            receiver = Receiver(url, store, quarantine)
            with receiver.pool:
                yield receiver


@contextlib.contextmanager
def influxdb_client(receiver: Receiver, token: str = TOKEN, *, gzip: bool = False) -> Iterator[Any]:
    client = InfluxDBClient(url=receiver.url, token=token, org="example", enable_gzip=gzip)
    with contextlib.closing(client):
        yield client


# --- what clients send ---------------------------------------------------------------------------


@pytest.mark.parametrize("is_gzip", [False, True])
def test_the_influxdb_client_writes_points_and_they_are_stored(
    receiver: Receiver, is_gzip: bool
) -> None:
    point = new_point("telemetry").tag("site", "mill-7").tag("machine", "pump-01")
    point.tag("signal", "flow_m3_h").field("value", 1.5).field("quality", 1)
    point.time(NOW_NS // 10**6, WritePrecision.MS)

    with influxdb_client(receiver, gzip=is_gzip) as client:
        assert client.ping() is True
        client.write_api(write_options=SYNCHRONOUS).write(
            bucket="telemetry", record=[point], write_precision=WritePrecision.MS
        )

    assert receiver.stored() == [(FLOW, NOW_NS, "1.5", 1)]


def test_the_influxdb_client_is_told_what_was_dropped_and_why(receiver: Receiver) -> None:
    with influxdb_client(receiver) as client, pytest.raises(ApiException) as told:
        client.write_api(write_options=SYNCHRONOUS).write(
            bucket="telemetry", record=f"junk\n{LINE}\njunk".encode()
        )

    assert told.value.status == 400
    assert told.value.message == (
        "partial write: line 1: no fields after the measurement and tags (write at least one "
        "field after a space, for example value=2.31); dropped=2"
    )
    assert receiver.stored() == [(FLOW, NOW_NS, "1.5", 0)]
    assert receiver.quarantine.count().n_kept == 2
    assert receiver.quarantine.lines()[0].device == "mill-7"


def test_the_influxdb_client_is_turned_away_without_the_right_token(receiver: Receiver) -> None:
    with influxdb_client(receiver, token="x" * 32) as client, pytest.raises(ApiException) as told:
        client.write_api(write_options=SYNCHRONOUS).write(bucket="telemetry", record=LINE.encode())

    assert told.value.status == 401
    assert "unauthorized access: this token is not known here" in told.value.message
    assert receiver.stored() == []


@pytest.mark.parametrize(
    ("precision", "per_s"),
    [("ns", 10**9), ("n", 10**9), ("us", 10**6), ("u", 10**6), ("%C2%B5", 10**6), ("ms", 1000),
     ("s", 1)],
)  # fmt: skip
def test_timestamps_are_taken_in_the_precision_of_the_address(
    receiver: Receiver, precision: str, per_s: int
) -> None:
    line = f"{HEAD} value=1.5 {NOW_NS // 10**9 * per_s}"

    assert receiver.write(line, f"/write?db=x&precision={precision}").status == 204
    assert receiver.stored() == [(FLOW, NOW_NS, "1.5", 0)]


def test_an_unknown_precision_is_told(receiver: Receiver) -> None:
    answer = receiver.write(LINE, "/api/v2/write?bucket=b&precision=day")

    assert answer.status == 400
    assert answer.json()["code"] == "invalid"
    assert answer.json()["message"].startswith("precision day is not known; use one of n, ns")


def test_a_body_in_many_gzip_members_is_read(receiver: Receiver) -> None:
    body = gzip.compress(LINE.encode() + b"\n") + gzip.compress(LINE.encode())

    assert receiver.write(body, Content_Encoding="gzip").status == 204
    assert len(receiver.stored()) == 1


def test_a_chunked_body_is_read(receiver: Receiver) -> None:
    parts = iter([LINE[:20].encode(), LINE[20:].encode()])

    answer = receiver.pool.request(
        "POST", receiver.url + "/api/v2/write?bucket=b", body=parts, headers=AUTHORIZED
    )

    assert answer.status == 204
    assert len(receiver.stored()) == 1


def test_an_empty_body_is_fine(receiver: Receiver) -> None:
    assert receiver.write("").status == 204


# --- who may -------------------------------------------------------------------------------------


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    "authorization",
    [f"Token {TOKEN}", f"token  {TOKEN}", f"Bearer {TOKEN}", basic("anyone", TOKEN)],
)
@pytest.mark.parametrize("path", ["/api/v2/write?bucket=b", "/write?db=x"])
def test_a_token_is_taken_in_every_way_that_clients_send_it(
    receiver: Receiver, path: str, authorization: str
) -> None:
    assert receiver.write(LINE, path, Authorization=authorization).status == 204


def test_version_1_may_carry_it_in_the_address_and_version_2_may_not(receiver: Receiver) -> None:
    with urllib3.PoolManager() as pool:
        first = pool.request("POST", f"{receiver.url}/write?db=x&u=me&p={TOKEN}", body=LINE)
        second = pool.request("POST", f"{receiver.url}/api/v2/write?u=me&p={TOKEN}", body=LINE)

    assert (first.status, second.status) == (204, 401)


@pytest.mark.parametrize(
    "authorization",
    ["", "Token", "Token ", f"Token {TOKEN}x", f"Token {TOKEN[:-1]}", TOKEN, "Basic ???",
     basic(TOKEN, ""), "Basic " + base64.b64encode(b"\xff").decode(), f"Digest {TOKEN}"],
)  # fmt: skip
def test_anything_else_is_turned_away_in_the_shape_of_each_version(
    receiver: Receiver, authorization: str
) -> None:
    answer = receiver.write(LINE, Authorization=authorization)
    assert answer.status == 401
    assert answer.json()["code"] == "unauthorized"
    assert "send the header 'Authorization: Token …'" in answer.json()["message"]

    answer = receiver.write(LINE, "/write?db=x", Authorization=authorization)
    assert answer.status == 401
    assert set(answer.json()) == {"error"}
    assert receiver.stored() == []


# --- when it can not be done ---------------------------------------------------------------------


def test_while_the_store_is_away_senders_are_asked_to_come_again(receiver: Receiver) -> None:
    receiver.store.is_away = True
    answer = receiver.write(f"{LINE}\njunk")

    assert answer.status == 503
    assert answer.headers["Retry-After"] == "5"
    assert answer.json()["code"] == "unavailable"
    assert "/secret/path" not in answer.json()["message"]
    assert receiver.quarantine.count().n_kept == 0

    receiver.store.is_away = False
    assert receiver.write(LINE).status == 204
    assert len(receiver.stored()) == 1


@pytest.mark.parametrize("is_announced", [True, False])
def test_a_body_that_is_too_large_is_refused(receiver: Receiver, is_announced: bool) -> None:
    body = (LINE + "\n").encode() * (3 * MAX_BODY_BYTES // len(LINE))
    answer = receiver.pool.request(
        "POST",
        receiver.url + "/api/v2/write?bucket=b",
        body=body if is_announced else iter([body]),
        headers=AUTHORIZED,
    )

    assert answer.status == 413
    assert answer.json()["code"] == "request too large"
    assert answer.json()["message"].endswith("send fewer lines at once")
    assert receiver.stored() == []


def test_a_body_that_grows_too_large_when_opened_is_refused(receiver: Receiver) -> None:
    bomb = gzip.compress(b"\n" * (MAX_BODY_BYTES + 1))

    assert receiver.write(bomb, Content_Encoding="gzip").status == 413
    assert (
        receiver.write(gzip.compress(b"\n" * MAX_BODY_BYTES), Content_Encoding="gzip").status == 204
    )


def test_what_is_not_what_it_says_is_told(receiver: Receiver) -> None:
    answer = receiver.write("plain", Content_Encoding="gzip")
    assert (answer.status, answer.json()["code"]) == (400, "invalid")
    assert "not gzip" in answer.json()["message"]

    answer = receiver.write("plain", Content_Encoding="br")
    assert answer.status == 415
    assert answer.json()["message"] == "content encoding br is not known; send gzip or identity"


def test_version_1_asks_for_its_database(receiver: Receiver) -> None:
    answer = receiver.write(LINE, "/write")

    assert answer.status == 400
    assert answer.json() == {"error": "database is required: add db=telemetry to the address"}


def test_other_addresses_and_methods_are_told(receiver: Receiver) -> None:
    answer = receiver.write(LINE, "/api/v2/query")
    assert (answer.status, answer.json()["code"]) == (404, "not found")

    answer = receiver.pool.request("GET", receiver.url + "/write?db=x")
    assert answer.status == 405
    assert answer.headers["Allow"] == "POST"


def test_a_sender_that_hangs_up_half_way_leaves_nothing_behind(receiver: Receiver) -> None:
    address = urlsplit(receiver.url)
    with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
        connection.sendall(
            f"POST /api/v2/write HTTP/1.1\r\nHost: x\r\nAuthorization: Token {TOKEN}\r\n"
            f"Content-Length: 1000\r\n\r\n{LINE}\n".encode()
        )

    time.sleep(0.1)
    assert receiver.stored() == []
    assert receiver.write(LINE).status == 204


# --- the rest of what clients ask ----------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_ping_needs_no_token_and_names_a_version(receiver: Receiver, method: str) -> None:
    answer = receiver.pool.request(method, receiver.url + "/ping")

    assert answer.status == 204
    assert answer.headers["X-Influxdb-Version"].startswith("2.0.0+staybolt.")
    assert answer.headers["X-Influxdb-Build"] == "staybolt"


def test_health_is_told_as_influxdb_tells_it(receiver: Receiver) -> None:
    with (
        influxdb_client(receiver) as client,
        pytest.warns(DeprecationWarning, match="Call 'ping"),
    ):
        assert client.health().status == "pass"

    answer = receiver.pool.request("GET", receiver.url + "/health")
    assert json.loads(answer.data)["name"] == "staybolt-ingest"


def test_one_connection_carries_many_requests_also_after_refusals(receiver: Receiver) -> None:
    address = urlsplit(receiver.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    statuses = []
    for body, headers in [(LINE, AUTHORIZED), (LINE, {}), ("junk", AUTHORIZED), (LINE, AUTHORIZED)]:
        connection.request("POST", "/api/v2/write?bucket=b", body, headers)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()

    assert statuses == [204, 401, 400, 204]
