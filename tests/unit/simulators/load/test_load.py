"""What the load sources send is what a plain loop would write, byte for byte."""

import itertools
from pathlib import Path

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary
from hypothesis import given
from hypothesis import strategies as st

from simulators.__main__ import main
from simulators.errors import ScenarioError
from simulators.load.mqtt_blaster import BlastSettings, _receive_maximum
from simulators.load.mqtt_messages import maker_of
from simulators.load.notifications import NotificationBuilder
from simulators.load.opcua_responder import LoadSettings
from simulators.mqtt.sparkplug.payload import Payload
from tests.naive import simulators_load as naive

START_NS = 1_700_000_000_000_000_000


@given(
    handles=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=6),
    first=st.integers(0, 10**9),
    n_rounds=st.integers(1, 4),
    step_ns=st.integers(0, 10**10),
)
def test_notifications_are_those_of_a_plain_loop(
    handles: list[int], first: int, n_rounds: int, step_ns: int
) -> None:
    nodes = list(range(len(handles)))
    builder = NotificationBuilder(
        handles, nodes, n_rounds=n_rounds, step_ns=step_ns, start_ns=START_NS
    )

    for start in (first, first + n_rounds):
        expected = naive.notification(handles, nodes, start, n_rounds, step_ns, START_NS)
        assert builder.body(start) == expected


def test_asyncua_reads_a_notification_as_what_it_is() -> None:
    builder = NotificationBuilder([7, 9], [3, 4], n_rounds=2, step_ns=10**6, start_ns=START_NS)

    read = struct_from_binary(ua.DataChangeNotification, Buffer(builder.body(5)))

    told = [(item.ClientHandle, item.Value.Value.Value) for item in read.MonitoredItems]
    assert told == [(7, 3 * 2**32 + 5), (9, 4 * 2**32 + 5), (7, 3 * 2**32 + 6), (9, 4 * 2**32 + 6)]
    times = [item.Value.SourceTimestamp.timestamp() for item in read.MonitoredItems]
    assert times[0] == pytest.approx(START_NS / 1e9 + 0.005, abs=1e-6)


@given(
    n_metrics=st.integers(1, 20),
    number=st.integers(0, 8_000_000_000),
    time_ns=st.integers(1_600_000_000 * 10**9, 1_900_000_000 * 10**9),
)
def test_messages_are_those_of_a_plain_loop(n_metrics: int, number: int, time_ns: int) -> None:
    json_message = maker_of("json", n_metrics)(number, time_ns)
    line_message = maker_of("line", n_metrics)(number, time_ns)

    assert json_message == naive.json_message(n_metrics, number, time_ns)
    assert line_message == naive.line_message(n_metrics, number, time_ns)


def test_sparkplug_messages_count_and_keep_their_sequence() -> None:
    make = maker_of("sparkplug", 5)

    payloads = [Payload.FromString(make(number, START_NS)) for number in range(300)]

    values = [[metric.double_value for metric in payload.metrics] for payload in payloads]
    assert values == [[1e9 + number] * 5 for number in range(300)]
    steps = [(b.seq - a.seq) % 256 for a, b in itertools.pairwise(payloads)]
    assert set(steps) == {1}


@pytest.mark.parametrize(
    ("properties", "expected"),
    [(b"", 1000), (b"\x21\x00\x14", 20), (b"\x11\x21\x00\x00\x21\x21\x00\x14", 20),
     (b"\x26\x00\x02a!\x00\x01b\x21\x00\x05", 5)],
)  # fmt: skip
def test_the_receive_maximum_is_found_among_properties(properties: bytes, expected: int) -> None:
    assert _receive_maximum(properties) == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["opcua", "--nodes", "0"], "--nodes: 0 is not between 1"),
        (["opcua", "--values-per-s", "-3"], "--values-per-s: -3 is not above 0"),
        (["mqtt", "--metrics", "0"], "1 to 1000 metrics"),
        (["mqtt", "--values-per-s", "0"], "--values-per-s: 0 is not above 0"),
    ],
)
def test_impossible_load_is_refused(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["load", *arguments, "--dir", str(tmp_path)]) == 2

    assert words in capsys.readouterr().err


def test_settings_are_checked_before_anything_listens() -> None:
    with pytest.raises(ScenarioError):
        LoadSettings(n_nodes=2_000_000)
    with pytest.raises(ScenarioError):
        BlastSettings(values_per_s=-1.0)
