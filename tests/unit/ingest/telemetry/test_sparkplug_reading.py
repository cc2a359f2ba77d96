"""Messages of a node through a channel that loses some: no good sample is of a wrong series."""

import math
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import SparkplugError
from ingest.telemetry import Quality, Series
from ingest.telemetry.sparkplug import DataType, Metrics, MetricToSend, encode_payload
from ingest.telemetry.sparkplug_births import Births, Wanted
from ingest.telemetry.sparkplug_node import Kind, Place
from ingest.telemetry.sparkplug_reading import Done, NodesReader, Told
from ingest.telemetry.sparkplug_samples import Samples

AT_MS, MS = 1_700_000_000_000, 1_000_000
SIGNALS = ("a_c", "b_c", "c_c")
DEVICES = ("", "p", "q")


class Plain:
    """Metrics keep their names."""

    def want(self, place: Place, name: str, datatype: int) -> Wanted:
        assert datatype in {0, int(DataType.DOUBLE)}
        return Wanted(Series(place.group, place.device or place.node, name), "raw")

    def judge(self, place: Place, births: Births, metrics: Metrics) -> list[str]:
        return []


@dataclass
class Node:
    """A node that gives its aliases out anew with every birth; a value tells its own series."""

    messages: list[tuple[Kind, str, bytes]] = field(default_factory=list)
    turn: dict[str, int] = field(default_factory=dict)
    seq: int = 0
    bd_seq: int = -1
    at_ms: int = AT_MS

    def start(self) -> None:
        self.bd_seq += 1
        self.birth()

    def birth(self) -> None:
        self.seq = 0
        self.born("")
        for device in DEVICES[1:]:
            self.born(device)

    def born(self, device: str) -> None:
        self.turn[device] = self.turn.get(device, 0) + 1
        metrics = [self._metric(device, row, has_name=True) for row in range(len(SIGNALS))]
        if not device:
            metrics.append(MetricToSend(DataType.INT64, self.bd_seq, "bdSeq"))
        self._say("DBIRTH" if device else "NBIRTH", device, metrics)

    def data(self, device: str) -> None:
        rows = range(self.at_ms % len(SIGNALS) + 1)
        self._say("DDATA" if device else "NDATA", device, [
            self._metric(device, row, has_name=False) for row in rows
        ])  # fmt: skip

    def die(self) -> None:
        death = [MetricToSend(DataType.INT64, self.bd_seq, "bdSeq")]
        self.messages.append(("NDEATH", "", encode_payload(death, timestamp_ms=self.at_ms)))

    def _metric(self, device: str, row: int, *, has_name: bool) -> MetricToSend:
        place = (row + self.turn[device]) % len(SIGNALS)
        alias = 10 * DEVICES.index(device) + place
        value = float(100 * DEVICES.index(device) + row)
        name = SIGNALS[row] if has_name else None
        return MetricToSend(DataType.DOUBLE, value, name, alias, time_ms=self.at_ms)

    def _say(self, kind: Kind, device: str, metrics: list[MetricToSend]) -> None:
        self.at_ms += 1
        body = encode_payload(metrics, timestamp_ms=self.at_ms, seq=self.seq)
        self.messages.append((kind, device, body))
        self.seq = (self.seq + 1) % 256


WHAT = ["data"] * 5 + ["wait"] * 2 + ["dbirth"] * 2 + ["rebirth", "restart", "cut"]
LOST = st.sampled_from([0, 0, 0, 1, 2, 5, 7])
STEPS = st.lists(
    st.tuples(st.sampled_from(WHAT), st.sampled_from(DEVICES), LOST), min_size=10, max_size=60
)


class Channel:
    """Deaths travel with QoS 1 and are lost only while the reader is cut off; all else may be."""

    def __init__(self, hold_s: float) -> None:
        self.reader = NodesReader(Plain(), 0.5, None, lambda _n: None, hold_s=hold_s)
        self.node, self.now_s, self.n_taken = Node(), 0.0, 0
        self.done: list[Done] = []

    def deliver(self, lost_bits: int = 0) -> None:
        for position, (kind, device, body) in enumerate(self.node.messages):
            if kind != "NDEATH" and lost_bits >> (position % 3) & 1:
                continue
            self.n_taken += 1
            place, told = Place(kind, "mill-7", "line", device), Told(body, self.node.at_ms * MS)
            self.done += self.reader.take(place, told, self.n_taken, self.now_s)
        self.node.messages.clear()

    def step(self, what: str, device: str, lost_bits: int) -> None:
        self.now_s += 0.1
        match what:
            case "data":
                self.node.data(device)
            case "dbirth" if device:
                self.node.born(device)
            case "rebirth":
                # What aliases mean changes without a death: it is heard, or we are cut off.
                self.node.birth()
                lost_bits = 0
            case "restart":
                self.node.die()
                self.node.start()
            case "cut":
                self.done += self.reader.disconnected()
                if lost_bits & 1:
                    self.node.die()
                    self.node.start()
                self.node.messages.clear()
            case _:
                self.now_s += 1.0
        self.deliver(lost_bits)
        self.done += self.reader.tick(self.now_s)


def faulty_rows(samples: Samples) -> list[tuple[Series, float, int]]:
    batch = samples.batch
    faulty = []
    for row in range(len(batch)):
        series, value = batch.series[int(batch.series_index[row])], float(batch.value[row])
        device = "" if series.machine == "line" else series.machine
        is_right = value == 100 * DEVICES.index(device) + SIGNALS.index(series.signal)
        allowed = {Quality.GOOD, Quality.UNCERTAIN} if is_right else {Quality.UNCERTAIN}
        if batch.quality[row] not in ({Quality.BAD} if math.isnan(value) else allowed):
            faulty.append((series, value, int(batch.quality[row])))
    return faulty


@given(steps=STEPS, lost_at_first=LOST, hold_s=st.sampled_from([0.0, 2.0]))
def test_no_good_sample_is_of_a_wrong_series_and_every_message_ends_once(
    steps: list[tuple[str, str, int]], lost_at_first: int, hold_s: float
) -> None:
    channel = Channel(hold_s)
    channel.node.start()
    channel.deliver(lost_at_first)

    for step in steps:
        channel.step(*step)
    # The first gives up the wait for a missing message; data may then still wait for a birth.
    channel.done += channel.reader.tick(channel.now_s + 10)
    channel.done += channel.reader.tick(channel.now_s + 20)

    tickets = sorted(one.ticket for one in channel.done)
    assert tickets == list(range(1, channel.n_taken + 1))
    read = [one.result for one in channel.done if isinstance(one.result, Samples)]
    assert [faulty for samples in read for faulty in faulty_rows(samples)] == []


def test_data_wait_for_the_birth_that_explains_them_but_not_for_ever() -> None:
    channel = Channel(hold_s=2.0)
    channel.node.start()
    channel.deliver(lost_bits=7)
    for _ in range(3):
        channel.step("data", "p", 0)
    assert channel.done == []
    assert channel.reader.to_be_asked(0.0) == ["spBv1.0/mill-7/NCMD/line"]

    channel.step("rebirth", "", 0)

    read = [one.result for one in channel.done if isinstance(one.result, Samples)]
    assert sorted(one.ticket for one in channel.done) == [1, 2, 3, 4, 5, 6]
    assert len(read) == 6
    assert [one for samples in read for one in faulty_rows(samples)] == []
    channel = Channel(hold_s=2.0)
    channel.node.start()
    channel.deliver(lost_bits=7)
    channel.step("data", "p", 0)
    for _ in range(2):
        channel.step("wait", "", 0)
    ((_, result),) = channel.done
    assert isinstance(result, SparkplugError)
    assert "is in no birth that was heard" in str(result)


def test_nodes_known_from_disk_are_asked_and_read_as_doubtful(tmp_path: Path) -> None:
    node = Node()
    node.start()
    before = NodesReader(Plain(), 0.5, tmp_path, lambda _n: None)
    for kind, device, body in node.messages:
        before.take(Place(kind, "mill-7", "line", device), Told(body, 0), None, 0.0)
    before.save()
    node.messages.clear()
    node.data("p")

    after = NodesReader(Plain(), 0.5, tmp_path, lambda _n: None)
    after.recall()
    asked = after.to_be_asked(0.0)
    ((kind, device, body),) = node.messages
    ((_, result),) = after.take(Place(kind, "mill-7", "line", device), Told(body, 0), None, 0.0)

    assert asked == ["spBv1.0/mill-7/NCMD/line"]
    assert isinstance(result, Samples)
    assert set(result.batch.quality.tolist()) == {int(Quality.UNCERTAIN)}


def test_a_death_heard_after_a_restart_makes_every_series_bad(tmp_path: Path) -> None:
    node = Node()
    node.start()
    before = NodesReader(Plain(), 0.5, tmp_path, lambda _n: None)
    for kind, device, body in node.messages:
        before.take(Place(kind, "mill-7", "line", device), Told(body, 0), None, 0.0)
    before.save()
    node.messages.clear()
    node.die()

    after = NodesReader(Plain(), 0.5, tmp_path, lambda _n: None)
    ((kind, device, body),) = node.messages
    place = Place(kind, "mill-7", "line", device)
    ((_, first),) = after.take(place, Told(body, 7), None, 0.0)
    ((_, second),) = after.take(place, Told(body, 8), None, 0.0)

    assert isinstance(first, Samples)
    assert isinstance(second, Samples)
    assert first.batch.quality.tolist() == [2] * 9
    assert set(first.batch.source_time_ns.tolist()) == {7}
    assert len(second.batch) == 0
