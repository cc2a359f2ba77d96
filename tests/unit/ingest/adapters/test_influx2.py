"""InfluxDB 2's query side, against recorded answers in its documented annotated CSV form.

No InfluxDB 2 was at hand: what is shown here is that our client asks with bound parameters, and
that answers of the documented form are understood. Its write side is run over real HTTP by
``tests/contract``.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ingest.adapters.influx2 import Influx2Store
from ingest.errors import StoreRejectedError, StoreUnavailableError
from ingest.receiver import Receive, Scope, Send
from ingest.telemetry import Quality, Series, TelemetryBatch
from simulators.loopback import free_port
from tests.contract.stores import serving

NOW_NS = 1_700_000_000_000_000_000
FLOW = Series("mill-7", "pump-01", "flow_m3_h")
POWER = Series("mill-7", "pump-01", "motor_power_kw")

# One table for each group key; a new header only where the columns change, a blank line between.
ANSWER = """#datatype,string,long,dateTime:RFC3339,double,string,string,string,string\r
#group,false,false,false,false,true,true,true,true\r
#default,_result,,,,,,,\r
,result,table,_time,_value,_field,machine,signal,site\r
,,0,2023-11-14T22:13:20Z,1.5,value,pump-01,flow_m3_h,mill-7\r
,,0,2023-11-14T22:13:20.000000007Z,2.5,value,pump-01,flow_m3_h,mill-7\r
,,0,2023-11-14T22:13:20.000000009Z,9,value,pump-01,flow_m3_h,mill-7\r
\r
#datatype,string,long,dateTime:RFC3339,long,string,string,string,string\r
#group,false,false,false,false,true,true,true,true\r
#default,_result,,,,,,,\r
,result,table,_time,_value,_field,machine,signal,site\r
,,1,2023-11-14T22:13:20Z,0,quality,pump-01,flow_m3_h,mill-7\r
,,1,2023-11-14T22:13:20.000000007Z,1,quality,pump-01,flow_m3_h,mill-7\r
,,1,2023-11-14T22:13:20.000000009Z,3,quality,pump-01,flow_m3_h,mill-7\r
,,2,2023-11-14T22:13:20.5Z,2,quality,pump-01,motor_power_kw,mill-7\r
\r
"""

FAILED = """#datatype,string,string\r
#group,true,true\r
#default,,\r
,error,reference\r
,"query ran out of memory",897\r
"""


class Recorded:
    """Answers every request with what was recorded, and remembers what was asked."""

    def __init__(self) -> None:
        self.status, self.body = 200, ""
        self.asked: list[dict[str, Any]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while (message := await receive()).get("more_body"):
            body += message["body"]
        body += message["body"]
        if scope["path"] == "/api/v2/query":
            self.asked.append(json.loads(body))
        kind = b"text/csv" if self.status == 200 else b"application/json"
        start = {"type": "http.response.start", "status": self.status}
        await send({**start, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": self.body.encode()})


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


@pytest.fixture
def store(recorded: Recorded) -> Iterator[Influx2Store]:
    with serving(recorded) as url, Influx2Store(url, "example", "telemetry", token="t") as store:
        yield store


def bound_in(asked: dict[str, Any]) -> dict[str, Any]:
    return {
        statement["assignment"]["id"]["name"]: statement["assignment"]["init"]["value"]
        for statement in asked["extern"]["body"]
    }


def test_values_and_qualities_are_joined_to_the_nanosecond(
    store: Influx2Store, recorded: Recorded
) -> None:
    recorded.body = ANSWER

    found = store.read([POWER, FLOW], NOW_NS, NOW_NS + 10**9)

    assert found.series == (POWER, FLOW)
    assert found.series_index.tolist() == [0, 1, 1, 1]
    assert found.source_time_ns.tolist() == [NOW_NS + 5 * 10**8, NOW_NS, NOW_NS + 7, NOW_NS + 9]
    assert [repr(value) for value in found.value.tolist()] == ["nan", "1.5", "2.5", "nan"]
    assert found.quality.tolist() == [
        Quality.BAD, Quality.GOOD, Quality.UNCERTAIN, Quality.BAD,
    ]  # fmt: skip


def test_names_and_times_travel_as_bound_parameters(
    store: Influx2Store, recorded: Recorded
) -> None:
    hostile = Series("mill-7", '" or true or "', "flow_m3_h")

    store.read([FLOW, hostile], NOW_NS, NOW_NS + 5)

    (asked,) = recorded.asked
    assert "mill-7" not in asked["query"]
    assert hostile.machine not in asked["query"]
    assert bound_in(asked) == {
        "_bucket": "telemetry", "_start": str(NOW_NS), "_stop": str(NOW_NS + 5),
        "_site0": "mill-7", "_machine0": "pump-01", "_signal0": "flow_m3_h",
        "_site1": "mill-7", "_machine1": hostile.machine, "_signal1": "flow_m3_h",
    }  # fmt: skip


def test_the_latest_is_the_last_quality_with_the_value_of_that_moment(
    store: Influx2Store, recorded: Recorded
) -> None:
    recorded.body = "\r\n".join(
        line for line in ANSWER.split("\r\n") if "000000007" not in line and "20Z" not in line
    ).replace("20.000000009Z,9", "20.000000008Z,9")

    found = store.latest([FLOW, POWER])

    assert found.series_index.tolist() == [0, 1]
    assert found.source_time_ns.tolist() == [NOW_NS + 9, NOW_NS + 5 * 10**8]
    assert [repr(value) for value in found.value.tolist()] == ["nan", "nan"]
    assert "|> last()" in recorded.asked[0]["query"]


def test_the_series_are_those_with_a_quality(store: Influx2Store, recorded: Recorded) -> None:
    recorded.body = "\r\n".join(line for line in ANSWER.split("\r\n") if ",value," not in line)

    assert store.series() == (FLOW, POWER)


def test_an_empty_answer_and_an_empty_window_hold_nothing(
    store: Influx2Store, recorded: Recorded
) -> None:
    recorded.body = "\r\n"

    assert len(store.read([FLOW], NOW_NS, NOW_NS + 1)) == 0
    assert len(store.read([FLOW], NOW_NS, NOW_NS)) == 0
    assert store.series() == ()
    assert len(recorded.asked) == 2


def test_an_error_in_the_midst_of_an_answer_is_an_error(
    store: Influx2Store, recorded: Recorded
) -> None:
    recorded.body = ANSWER + FAILED

    with pytest.raises(StoreUnavailableError, match="query ran out of memory"):
        store.read([FLOW], NOW_NS, NOW_NS + 1)


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, StoreRejectedError), (422, StoreRejectedError), (401, StoreUnavailableError),
     (404, StoreUnavailableError), (429, StoreUnavailableError), (500, StoreUnavailableError)],
)  # fmt: skip
def test_a_refused_write_is_for_good_only_if_the_data_are_at_fault(
    store: Influx2Store, recorded: Recorded, status: int, error: type[Exception]
) -> None:
    recorded.status, recorded.body = status, '{"code": "x", "message": "because of this"}'

    with pytest.raises(error, match="because of this"):
        store.write(TelemetryBatch.of([FLOW], [0], [NOW_NS], [1.0], [0]))


def test_a_refused_query_is_told(store: Influx2Store, recorded: Recorded) -> None:
    recorded.status, recorded.body = 401, '{"code": "unauthorized", "message": "unauthorized"}'

    with pytest.raises(StoreUnavailableError, match=r"answered 401 .* check url, org and bucket"):
        store.series()


def test_a_server_that_is_not_there_is_told_plainly() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with Influx2Store(url, "example", "telemetry", token="t") as store:
        with pytest.raises(StoreUnavailableError, match="InfluxDB did not answer"):
            store.write(TelemetryBatch.of([FLOW], [0], [NOW_NS], [1.0], [0]))
        with pytest.raises(StoreUnavailableError, match="InfluxDB did not answer"):
            store.latest([FLOW])
