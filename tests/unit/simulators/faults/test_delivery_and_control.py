"""Couriers lose nothing, and the control port takes any bytes."""

import asyncio
import contextlib
import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import DeliveryError, ScenarioError
from simulators.faults import network, sensors
from simulators.faults.client import ControlClient
from simulators.faults.control import (
    REQUESTS,
    ClearRequest,
    ControlServer,
    FaultRequest,
    NetworkRequest,
    SensorRequest,
    StatusRequest,
    parse_request,
)
from simulators.faults.delivery import Courier, DeliveryFaults
from simulators.loopback import LOOPBACK
from simulators.reading import GOOD, NS_PER_S, Moment, Outlet
from tests.servers.availability import ROOT

OUTLET = Outlet("pump-01", "centrifugal-pump", "site-01", "cust-001", "mqtt", "", ("flow_m3_h",))


@given(
    seed=st.integers(0, 1000),
    n=st.integers(1, 60),
    duplicates=st.floats(0.0, 1.0),
    late=st.floats(0.0, 1.0),
)
def test_every_sample_comes_once_or_twice_and_never_early(
    seed: int, n: int, duplicates: float, late: float
) -> None:
    faults = DeliveryFaults(duplicates, late, late_s=5.0)
    courier = Courier(faults, np.random.default_rng(seed))
    came: Counter[int] = Counter()

    for second in range(n):
        now_ns = second * NS_PER_S
        courier.take(now_ns, OUTLET, Moment(now_ns, (1.0,), (GOOD,)))
        for _, moment in courier.due(now_ns):
            assert moment.time_ns <= now_ns
            came[moment.time_ns] += 1
    for _, moment in courier.due(10**15):
        came[moment.time_ns] += 1

    assert set(came) == {second * NS_PER_S for second in range(n)}
    assert sum(came.values()) == n + courier.n_repeated
    assert max(came.values()) <= 2
    assert len(courier) == 0


def test_a_sound_courier_hands_over_at_once_and_in_order() -> None:
    courier = Courier(DeliveryFaults(), np.random.default_rng(1))

    for second in range(5):
        moment = Moment(second, (1.0,), (GOOD,))
        courier.take(second, OUTLET, moment)
        assert courier.due(second) == [(OUTLET, moment)]


def test_a_fast_clock_runs_away() -> None:
    faults = DeliveryFaults(clock_offset_s=10.0, clock_skew_ppm=100.0)
    courier = Courier(faults, np.random.default_rng(1))

    times = []
    for hour in (0, 10):
        now_ns = hour * 3600 * NS_PER_S
        courier.take(now_ns, OUTLET, Moment(now_ns, (1.0,), (GOOD,)))
        times += [moment.time_ns - now_ns for _, moment in courier.due(10**18)]

    assert times == [10 * NS_PER_S, round(13.6 * NS_PER_S)]


def test_a_skew_that_is_asked_for_later_runs_away_from_then_on() -> None:
    courier = Courier(DeliveryFaults(), np.random.default_rng(1))
    days_ns = [day * 86_400 * NS_PER_S for day in (0, 60, 61)]

    ahead_ns = []
    for number, now_ns in enumerate(days_ns):
        if number == 1:
            courier.faults = DeliveryFaults(clock_skew_ppm=100.0)
        courier.take(now_ns, OUTLET, Moment(now_ns, (1.0,), (GOOD,)))
        ahead_ns += [moment.time_ns - now_ns for _, moment in courier.due(now_ns)]

    assert ahead_ns == [0, 0, round(8.64 * NS_PER_S)]


def test_another_fault_does_not_set_a_running_clock_right() -> None:
    courier = Courier(DeliveryFaults(clock_skew_ppm=100.0), np.random.default_rng(1))
    day_ns = 86_400 * NS_PER_S

    courier.take(0, OUTLET, Moment(0, (1.0,), (GOOD,)))
    courier.faults = DeliveryFaults(clock_skew_ppm=100.0, duplicate_probability=1.0)
    courier.take(day_ns, OUTLET, Moment(day_ns, (1.0,), (GOOD,)))

    assert courier.due(day_ns)[-1][1].time_ns - day_ns == round(8.64 * NS_PER_S)


@given(line=st.one_of(st.binary(max_size=300), st.text(max_size=200).map(str.encode)))
def test_any_line_is_a_request_or_is_refused_in_words(line: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse_request(line), REQUESTS)


def test_requests_are_read() -> None:
    sensor = parse_request(b'{"do":"sensor","machine":"a","signal":"b","fault":"bad"}')
    network = parse_request(b'{"do":"network","server":"mqtt","mode":"slice","piece_bytes":1}')

    assert isinstance(sensor, SensorRequest)
    assert isinstance(network, NetworkRequest)
    assert network.piece_bytes == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"do":"fly"}', "fly"),
        (b'{"do":"network","server":"mqtt","mode":"burn"}', "network.mode"),
        (b'{"do":"clear","more":1}', "clear.more"),
        (b'{"do":"delivery","late_probability":2}', "less than or equal to 1"),
        (b'{"do":"delivery","late_probability":1,"late_s":Infinity}', "delivery.late_s: .*finite"),
        (b'{"do":"delivery","clock_offset_s":NaN}', "delivery.clock_offset_s: .*finite"),
        (b'{"do":"network","server":"a","mode":"slow","bytes_per_s":-Infinity}', "bytes_per_s"),
        (b'{"do":"network","server":"a","mode":"cut","direction":"up"}', "network.direction"),
        (b'{"do":"network","server":"a","mode":"cut","after_bytes":1' + 400 * b"0" + b"}", "after"),
    ],
)
def test_wrong_requests_name_the_place(line: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_request(line)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"duplicate_probability": 1.5}, "duplicate_probability 1.5 is not between 0 and 1"),
        ({"late_s": float("inf")}, "late_s inf is not between"),
        ({"clock_offset_s": 1e300}, "clock_offset_s 1e.300 is not between"),
        ({"clock_skew_ppm": float("nan")}, "clock_skew_ppm nan is not between"),
    ],
)
def test_impossible_delivery_is_refused(change: dict[str, float], words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        DeliveryFaults(**change)


class Sound:
    """A plant that can do nothing wrong, or is itself broken."""

    async def handle(self, request: FaultRequest) -> dict[str, Any]:
        if isinstance(request, StatusRequest):
            return {"is_sound": True}
        if isinstance(request, ClearRequest):
            raise RuntimeError("a bolt is loose")
        return {}


@contextlib.contextmanager
def control_port(folder: Path) -> Iterator[ControlServer]:
    """A control port in a thread of its own, as clients are synchronous."""
    loop = asyncio.new_event_loop()
    server = ControlServer(Sound(), folder / "control.token")
    loop.run_until_complete(server.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(5.0)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5.0)
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()


def said(port: int, data: bytes) -> list[dict[str, Any]]:
    """What a port answers to some bytes, until it hangs up or is silent."""
    with socket.create_connection((LOOPBACK, port), timeout=5.0) as link:
        link.sendall(data)
        link.shutdown(socket.SHUT_WR)
        with link.makefile("rb") as answers:
            return [json.loads(line) for line in answers]


def test_only_who_has_the_token_is_heard(tmp_path: Path) -> None:
    with control_port(tmp_path) as server:
        token = server.token_file.read_text().strip()
        with ControlClient(server.port, token) as client:
            assert client.ask(do="status") == {"is_sound": True}
        with pytest.raises(ScenarioError, match="must be the token"):
            ControlClient(server.port, "guessed")
        for first in (b"{}", b"[]", b'{"token": 7}', b"\xff", b"[" * 3000):
            (answer,) = said(server.port, first + b'\n{"do": "status"}\n')
            assert answer["ok"] is False

    assert server.token_file.stat().st_mode & 0o777 == 0o600


def test_whatever_is_asked_the_port_answers_and_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with control_port(tmp_path) as server:
        token = json.dumps({"token": server.token_file.read_text().strip()}).encode()
        lines = [b"", b"nonsense", b'{"do":"fly"}', b'{"do":"clear"}', b'{"do":"status"}']

        answers = said(server.port, b"\n".join([token, *lines]) + b"\n")
        _, too_long = said(server.port, token + b"\n" + b"x" * 70_000)

    assert [answer["ok"] for answer in answers] == [True, False, False, False, False, True]
    assert "a bolt is loose" in answers[4]["error"]
    assert "a fault could not be made" in caplog.text
    assert "longer than 65536 bytes" in too_long["error"]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n", b"[1]\n", b"{}\n"])
def test_a_client_says_so_when_something_else_answers(answer: bytes) -> None:
    with socket.create_server((LOOPBACK, 0)) as other:

        def reply() -> None:
            link, _ = other.accept()
            with link:
                link.recv(1000)
                link.sendall(answer)

        thread = threading.Thread(target=reply)
        thread.start()
        with pytest.raises(DeliveryError, match="but something else"):
            ControlClient(other.getsockname()[1], "token")
        thread.join(5.0)


def test_a_folder_without_a_plant_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="holds no running plant with a control port"):
        ControlClient.of_plant(tmp_path)


def test_the_page_describes_every_fault_and_request() -> None:
    page = (ROOT / "docs" / "simulated-faults.md").read_text()

    for name in (*sensors.SENSOR_FAULT_KINDS, *network.PROXY_MODES, *network.DIRECTIONS):
        assert f"`{name}`" in page, name
    for request in REQUESTS:
        for key in request.model_fields:
            assert f"`{key}`" in page, key
