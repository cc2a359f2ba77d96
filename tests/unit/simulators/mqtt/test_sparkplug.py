"""An edge node of Sparkplug B against a plain host that follows the specification."""

import math
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import ScenarioError
from simulators.mqtt.sparkplug.node import REBIRTH, Message, SparkplugNode
from simulators.mqtt.sparkplug.payload import DataType, Payload, Proto, add_metric
from simulators.reading import BAD, GOOD, UNCERTAIN, Moment

DEVICES = {"pump-01": ("flow_m3_h", "vibration_mm_s"), "pump-02": ("flow_m3_h",)}
NOW_NS = 1_700_000_000_000_000_000
MS = 1_000_000


@dataclass
class PlainHost:
    """What a host application knows of one node, by the letter of the specification."""

    seq: int | None = None
    bd_seq: int | None = None
    names: dict[int, tuple[str, str]] = field(default_factory=dict)
    alive: set[str] = field(default_factory=set)
    samples: list[tuple[str, str, int, float | None, int]] = field(default_factory=list)
    historical: list[tuple[str, str, int]] = field(default_factory=list)
    gaps: int = 0

    def take(self, message: Message) -> None:
        space, group, kind, node, *device = message.topic.split("/")
        assert (space, group, node) == ("spBv1.0", "plant", "mill")
        payload = Payload.FromString(message.payload)
        if kind == "NDEATH":
            assert not payload.HasField("seq")
            if self.bd_seq == self.metric(payload, "bdSeq").long_value:
                self.alive.clear()
            return
        self.check_sequence(kind, payload)
        if kind == "NBIRTH":
            self.bd_seq = self.metric(payload, "bdSeq").long_value
            assert self.metric(payload, REBIRTH).boolean_value is False
            self.names.clear()
            self.alive.clear()
        elif kind == "DDEATH":
            self.alive.discard(device[0])
        else:
            self.take_metrics(kind, device[0], payload)

    def check_sequence(self, kind: str, payload: Proto) -> None:
        if kind == "NBIRTH":
            assert payload.seq == 0
        elif self.seq is None or payload.seq != (self.seq + 1) % 256:
            self.gaps += 1
        self.seq = payload.seq

    def take_metrics(self, kind: str, device: str, payload: Proto) -> None:
        for metric in payload.metrics:
            if kind == "DBIRTH":
                assert metric.name
                assert metric.datatype == DataType.DOUBLE
                assert "engUnit" in metric.properties.keys
                self.names[metric.alias] = device, metric.name
                self.alive.add(device)
                continue
            assert not metric.HasField("name"), "data go by alias alone"
            assert device in self.alive
            owner, name = self.names[metric.alias]
            assert owner == device
            value = None if metric.is_null else metric.double_value
            if metric.is_historical:
                self.historical.append((device, name, metric.timestamp))
            self.samples.append((device, name, metric.timestamp, value, self.quality(metric)))

    @staticmethod
    def metric(payload: Proto, name: str) -> Proto:
        return next(metric for metric in payload.metrics if metric.name == name)

    @staticmethod
    def quality(metric: Proto) -> int:
        keys = list(metric.properties.keys)
        if "Quality" not in keys:
            return 192
        return int(metric.properties.values[keys.index("Quality")].int_value)


def node() -> SparkplugNode:
    return SparkplugNode("plant", "mill", DEVICES)


values = st.one_of(st.just(math.nan), st.floats(-1e6, 1e6))
devices = st.sampled_from(list(DEVICES))
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("data"), st.sampled_from(list(DEVICES)), values, st.sampled_from([0, 1, 2])
        ),
        st.tuples(st.just("past"), st.sampled_from(list(DEVICES)), values, st.just(0)),
        st.tuples(st.just("die"), st.sampled_from(list(DEVICES)), st.none(), st.none()),
        st.tuples(st.just("rebirth"), st.none(), st.none(), st.none()),
        st.tuples(st.just("reconnect"), st.none(), st.none(), st.none()),
    ),
    max_size=40,
)


@given(steps=steps)
def test_a_host_reads_exactly_what_was_measured(steps: list[tuple[Any, ...]]) -> None:
    plant, host = node(), PlainHost()
    plant.connect()
    for message in plant.births(NOW_NS):
        host.take(message)
    expected = []
    for number, (kind, device, value, quality) in enumerate(steps):
        now_ns = NOW_NS + number * 1000 * MS
        messages: list[Message] = []
        if kind in {"data", "past"}:
            n = len(DEVICES[device])
            moment = Moment(now_ns - (kind == "past") * 7000 * MS, (value,) * n, (quality,) * n)
            messages = plant.data(device, moment, now_ns, is_historical=kind == "past")
            word = {GOOD: 192, UNCERTAIN: 500, BAD: 0}[BAD if math.isnan(value) else quality]
            told = None if math.isnan(value) else value
            time_ms = moment.time_ns // MS
            expected += [(device, name, time_ms, told, word) for name in DEVICES[device]]
        elif kind == "die":
            messages = [plant.device_death(device, now_ns)]
        elif kind == "rebirth":
            messages = plant.command(plant.topic("NCMD"), rebirth_command(name=REBIRTH), now_ns)
        else:
            will = plant.will()
            plant.connect()
            messages = [will, *plant.births(now_ns)]
        for message in messages:
            host.take(message)

    assert host.samples == expected
    assert host.gaps == 0


def rebirth_command(*, name: str | None = None, alias: int | None = None) -> bytes:
    payload = Payload(timestamp=1)
    add_metric(payload, time_ms=1, datatype=DataType.BOOLEAN, value=True, name=name, alias=alias)
    return bytes(payload.SerializeToString())


def test_sequence_numbers_wrap_after_255() -> None:
    plant = node()
    plant.births(NOW_NS)
    moment = Moment(NOW_NS, (1.0,), (0,))

    numbers = [
        Payload.FromString(plant.data("pump-02", moment, NOW_NS)[0].payload).seq for _ in range(300)
    ]

    assert numbers[0] == 3
    assert numbers[252:254] == [255, 0]


def test_each_connection_has_a_birth_number_of_its_own() -> None:
    plant = node()

    numbers = []
    for _ in range(257):
        plant.connect()
        (birth, *_) = plant.births(NOW_NS)
        numbers.append(PlainHost.metric(Payload.FromString(birth.payload), "bdSeq").long_value)

    assert numbers[:2] == [1, 2]
    assert numbers[254:] == [255, 0, 1]


def test_a_rebirth_may_be_asked_for_by_alias() -> None:
    births = node().command("spBv1.0/plant/NCMD/mill", rebirth_command(alias=0), NOW_NS)

    assert [message.topic.split("/")[2] for message in births] == ["NBIRTH", "DBIRTH", "DBIRTH"]


@given(payload=st.binary(max_size=200))
def test_any_bytes_are_taken_for_a_command(payload: bytes) -> None:
    node().command("spBv1.0/plant/NCMD/mill", payload, NOW_NS)


def test_other_topics_are_no_command() -> None:
    assert node().command("spBv1.0/plant/NCMD/other", rebirth_command(alias=0), NOW_NS) == []


def test_a_name_that_is_no_topic_is_refused() -> None:
    with pytest.raises(ScenarioError, match="can't be part of a topic"):
        SparkplugNode("plant", "mill/7", DEVICES)
