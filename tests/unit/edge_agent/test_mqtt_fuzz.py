"""Whatever is published is read or set aside with a reason: no fault, no wrong line, no bomb."""

import json
import random
import tracemalloc
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.counters import Counters
from edge_agent.errors import PayloadError
from edge_agent.settings_mqtt import MqttTopicSettings
from edge_agent.sources.mqtt_families import Families
from edge_agent.sources.mqtt_reading import Message
from ingest.telemetry import decode_lines, encode_lines, unit_of
from ingest.telemetry.sparkplug import DataType, MetricToSend, encode_payload

NOW_NS, NOW_MS = 1_700_000_000_000_000_000, 1_700_000_000_000
N_MUTATED: Final = 5_000
"""Of each form; five forms and hypothesis make more than 25,000 inputs in a run."""

MAX_MIB: Final = 64
"""A message of a megabyte may take this much while it is read."""

TOPICS = [
    {"topic": "own/{machine}"},
    {"topic": "json/{machine}", "format": "json", "samples": "rows", "time": "t",
     "time_unit": "iso8601", "quality": "$.q",
     "signals": [{"source": "a.b[0]", "signal": "flow_m3_h"},
                 {"source": "c", "signal": "level_pct", "priority": "alarm"}]},
    {"topic": "bare/{machine}/{signal}", "format": "json"},
    {"topic": "lines/#", "format": "line-protocol"},
    {"topic": "spBv1.0/g", "format": "sparkplug"},
]  # fmt: skip


def sparkplug(kind: str) -> bytes:
    is_birth = kind.endswith("BIRTH")
    metrics = [
        MetricToSend(DataType.DOUBLE, 1.5, "flow_m3_h" if is_birth else None, 0, NOW_MS),
        MetricToSend(DataType.INT16, -7, "offset_mm" if is_birth else None, 1, NOW_MS),
        MetricToSend(DataType.BOOLEAN, True, "door_ratio" if is_birth else None, 300, NOW_MS),
        MetricToSend(DataType.FLOAT, None, "level_pct" if is_birth else None, 4, NOW_MS,
                     properties={"Quality": 500, "engUnit": "%"}),
        MetricToSend(DataType.STRING, "text", "serial" if is_birth else None, 5),
        MetricToSend(DataType.UINT64, 5, "bdSeq", time_ms=NOW_MS),
    ]  # fmt: skip
    return encode_payload(metrics, timestamp_ms=NOW_MS, seq=1)


WHOLE: dict[str, list[bytes]] = {
    "own/m": [json.dumps({
        "time_ns": NOW_NS, "values": {"flow_m3_h": 2.5, "speed_rpm": None, "on_ratio": True},
        "quality": {"flow_m3_h": 1},
    }).encode()],
    "json/m": [json.dumps({
        "q": 0, "rows": [{"t": "2026-11-29T10:00:00Z", "a": {"b": [1.5]}, "c": 5}, {"t": 1}],
    }).encode()],
    "bare/m/power_kw": [b"23.5", b"null", b"[1]", b"-1e300"],
    "lines/x": [
        b"telemetry,site=s,machine=m,signal=flow_m3_h value=2.5,quality=0i 1700000000000000000\n"
        b'oil,machine=m temperature_c=4i,name="x\\"y",is_ratio=t 1700000000000000000\n# end',
    ],
    "spBv1.0/g": [sparkplug("DBIRTH"), sparkplug("DDATA")],
}  # fmt: skip
KINDS = ("NBIRTH", "NDATA", "NDEATH", "DBIRTH/d", "DDATA/d", "DDEATH/d", "NCMD", "STATE")


def reader() -> tuple[Families, Counters]:
    counters = Counters()
    topics = [MqttTopicSettings.model_validate(topic) for topic in TOPICS]
    return Families("s", None, counters, topics), counters


def feed(families: Families, topic: str, payload: bytes, now_s: float) -> int:
    """Read a message; whatever came of it can be sent. Gives the number of samples."""
    n_samples = 0
    done = families.read(Message(topic, payload, NOW_NS), object(), now_s) + families.tick(now_s)
    for one in done:
        if isinstance(one.reading, PayloadError):
            assert 5 < len(str(one.reading)) < 3000
            continue
        for _, batch in one.reading.parts:
            decoded = decode_lines(encode_lines(batch), received_at_ns=0)
            assert decoded.rejected == ()
            assert len(decoded.batch) == len(batch) > 0
            assert all(series.site == "s" and unit_of(series.signal) for series in batch.series)
            assert int(batch.source_time_ns.min()) >= 0
            n_samples += len(batch)
    return n_samples


def topic_of(family: str, chance: random.Random) -> str:
    if not family.startswith("spBv"):
        return family
    kind, _, device = chance.choice(KINDS).partition("/")
    return "/".join(part for part in (family, kind, "n", device) if part)


def cut(body: bytearray, chance: random.Random) -> None:
    del body[chance.randrange(len(body) + 1) :]


def flip(body: bytearray, chance: random.Random) -> None:
    body[chance.randrange(len(body))] = chance.randrange(256)


def repeat(body: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(body))
    body[start:start] = body[start : start + chance.randrange(40)] * chance.randrange(1, 4)


def interesting(body: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(body))
    body[start : start + 1] = chance.choice([
        b"\xff" * 10, b"\0" * 4, b"[[[[", b"{", b'"', b"1e999", b"NaN", b"-", b"9" * 30, b"\n",
        b"\\", b",", b"=", b" ", b"\x0b\x0c", b"\x12\x00", b"\x80\x80\x80\x80\x80\x00",
    ])  # fmt: skip


STEPS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    flip, flip, flip, repeat, interesting, cut
)  # fmt: skip


@pytest.mark.parametrize("family", sorted(WHOLE))
def test_changed_messages_are_read_or_refused(family: str) -> None:
    chance = random.Random(family)  # noqa: S311 - repeatable
    families, counters = reader()
    n_samples = 0

    for number in range(N_MUTATED):
        body = bytearray(chance.choice(WHOLE[family]))
        for _ in range(chance.randrange(4)):
            if body:
                chance.choice(STEPS)(body, chance)
        n_samples += feed(families, topic_of(family, chance), bytes(body), number / 100)

    assert counters.faults == 0
    assert n_samples > N_MUTATED / 10, "hardly anything was read, so little was tried"


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.sampled_from([*WHOLE, "nowhere", ""]), st.binary(max_size=300)), max_size=6
    ),
    st.integers(0, 2**16),
)
def test_any_bytes_on_any_topic_are_read_or_refused(
    messages: list[tuple[str, bytes]], seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable
    families, counters = reader()

    for family, payload in messages:
        feed(families, topic_of(family, chance), payload, 0.0)

    assert counters.faults == 0


NESTED = b"[" * 300_000
BOMBS: dict[str, tuple[str, bytes]] = {
    "deep JSON": ("own/m", NESTED),
    "deep mapped JSON": ("json/m", b'{"rows":' + NESTED),
    "many samples": ("json/m", b'{"rows":[' + b"{}," * 300_000 + b"{}]}"),
    "a long number": ("bare/m/power_kw", b"9" * 900_000),
    "many signals": ("own/m", b'{"time_ns":1,"values":{' + b",".join(
        b'"s%d_c":1' % n for n in range(60_000)) + b"}}"),
    "many lines": ("lines/x", b"a,machine=m b_c=1\n" * 55_000),
    "an open quote": ("lines/x", b'a,machine=m b="' + b"\\\\" * 490_000),
    "empty metrics": ("spBv1.0/g/NBIRTH/n", b"\x12\x00" * 49_000),
    "too many metrics": ("spBv1.0/g/NBIRTH/n", b"\x12\x00" * 1_900_000),
    "a long varint": ("spBv1.0/g/NDATA/n", b"\x08" + b"\xff" * 900_000),
    "a huge length": ("spBv1.0/g/NDATA/n", b"\x12\xff\xff\xff\xff\x7f"),
    "too large": ("own/m", b" " * 4_900_000),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_a_bomb_takes_bounded_memory(name: str) -> None:
    topic, payload = BOMBS[name]
    families, counters = reader()

    tracemalloc.start()
    try:
        done = families.read(Message(topic, payload, NOW_NS), object(), 0.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(done) == 1
    assert counters.faults == 0
    assert peak < MAX_MIB * 2**20


def test_invented_nodes_and_devices_do_not_fill_the_memory() -> None:
    families, counters = reader()
    body = sparkplug("DBIRTH")

    for number in range(3000):
        feed(families, f"spBv1.0/g/DBIRTH/n{number}/d", body, 0.0)

    (sparkplug_reader,) = families._sparkplug()
    assert sparkplug_reader._nodes.n_nodes == 1000
    assert counters.faults == 0
