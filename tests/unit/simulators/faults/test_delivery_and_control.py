"""Couriers lose nothing, and the control port takes any bytes."""

import contextlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import ScenarioError
from simulators.faults import proxy, sensors
from simulators.faults.control import REQUESTS, NetworkRequest, SensorRequest, parse_request
from simulators.faults.delivery import Courier, DeliveryFaults
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
    ],
)
def test_wrong_requests_name_the_place(line: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_request(line)


def test_impossible_delivery_is_refused() -> None:
    with pytest.raises(ScenarioError, match="not between 0 and 1"):
        DeliveryFaults(duplicate_probability=1.5)


def test_the_page_describes_every_fault_and_request() -> None:
    page = (ROOT / "docs" / "simulators.md").read_text()

    for name in (*sensors.SENSOR_FAULT_KINDS, *proxy.PROXY_MODES):
        assert f"`{name}`" in page, name
    for request in REQUESTS:
        for key in request.model_fields:
            assert f"`{key}`" in page, key
