"""From MQTT payload to durable record, JSON and Sparkplug B, against reading value by value.

Each payload has 100 metrics, all different from the last. Decoded means columns in memory; durable
means that the outbox's file has them after `fsync`, in commits of 128 messages as the agent
makes them under load. Rates are per core: metrics divided by processor time, system time included.
"""

import json
import random
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from edge_agent.counters import Counters
from edge_agent.outbox import Outbox
from edge_agent.records import Entry
from edge_agent.settings_mqtt import MqttTopicSettings
from edge_agent.sources.mqtt_families import Families
from edge_agent.sources.mqtt_reading import Message, Reading
from ingest.telemetry import TelemetryBatch
from ingest.telemetry.sparkplug import DataType, MetricToSend, decode_payload, encode_payload
from simulators.mqtt.sparkplug.payload import Payload
from tests.benchmarks.common import cpu_s, report

N_METRICS, N_MESSAGES, PER_COMMIT = 100, 512, 128
START_MS = 1_700_000_000_000
SIGNALS = [f"channel_{number:03}_mm_s" for number in range(N_METRICS)]
# Two rounds of sequence numbers: repeats of a run follow on each other.
N_PLAIN = 40
"""Messages for the plain versions, which are slow."""


def json_payloads(n_messages: int) -> list[bytes]:
    chance = random.Random(1)  # noqa: S311 - repeatable
    return [
        json.dumps({
            "time_ns": (START_MS + n) * 1_000_000,
            "values": {signal: round(chance.uniform(0, 500), 3) for signal in SIGNALS},
        }).encode()
        for n in range(n_messages)
    ]


def sparkplug_payloads(
    n_messages: int, *, is_birth: bool = False, mixed: bool = False, varying: bool = False
) -> list[bytes]:
    """All doubles; mixed with floats and counters; or with integers of ever other lengths."""
    chance = random.Random(2)  # noqa: S311 - repeatable
    kinds = [DataType.DOUBLE] * N_METRICS
    if mixed or varying:
        thirds = (DataType.INT32, DataType.FLOAT, DataType.DOUBLE)
        kinds = [thirds[n % 3] for n in range(N_METRICS)]
    return [
        encode_payload(
            [
                MetricToSend(
                    kind,
                    (chance.randint(-500, 500) if varying else 20_000 + 10 * alias + n)
                    if kind == DataType.INT32
                    else round(chance.uniform(0, 500), 3),
                    name=signal if is_birth else None,
                    alias=alias,
                    time_ms=START_MS + n,
                )
                for alias, (signal, kind) in enumerate(zip(SIGNALS, kinds, strict=True))
            ],
            timestamp_ms=START_MS + n,
            seq=(n + (0 if is_birth else 1)) % 256,
        )
        for n in range(n_messages)
    ]


class Reader:
    """The source's own way from payload to columns."""

    def __init__(self, form: str, **kinds: bool) -> None:
        self.topic = "plant/press-04/telemetry"
        settings = MqttTopicSettings(topic="plant/{machine}/telemetry")
        if form == "json_mapped":
            signals = [{"source": f"values.{signal}", "signal": signal} for signal in SIGNALS]
            settings = MqttTopicSettings.model_validate({
                "topic": settings.topic, "format": "json", "time": "time_ns", "time_unit": "ns",
                "signals": signals,
            })  # fmt: skip
        if form == "sparkplug":
            self.topic = "spBv1.0/plant/NDATA/press-04"
            settings = MqttTopicSettings(topic="spBv1.0/plant", format="sparkplug")
        self.families = Families("mill-7", None, Counters(), [settings])
        if form == "sparkplug":
            (birth,) = sparkplug_payloads(1, is_birth=True, **kinds)
            self.read("spBv1.0/plant/NBIRTH/press-04", birth)

    def read(self, topic: str, payload: bytes) -> TelemetryBatch:
        ((_, reading),) = self.families.read(Message(topic, payload, 0), None, 0.0)
        assert isinstance(reading, Reading)
        assert reading.fault is None
        ((_, batch),) = reading.parts
        return batch

    def batches(self, payloads: list[bytes]) -> Iterator[TelemetryBatch]:
        return (self.read(self.topic, payload) for payload in payloads)


def decoded(reader: Reader, payloads: list[bytes]) -> None:
    for batch in reader.batches(payloads):
        assert len(batch) == N_METRICS


def durable(reader: Reader, payloads: list[bytes], folder: Path) -> None:
    """As the agent does it: one commit for many messages."""
    path = Path(tempfile.mkdtemp(dir=folder)) / "outbox.sqlite"
    with Outbox(path, 1_000_000_000) as outbox:
        for start in range(0, len(payloads), PER_COMMIT):
            batches = tuple(reader.batches(payloads[start : start + PER_COMMIT]))
            outbox.append([Entry("raw", b"", N_METRICS * len(batches), batches)])
        assert outbox.counts().n_samples == N_METRICS * len(payloads)


# --- the plain versions: value by value, as a first program would have it ------------------------


def plain_json(payload: bytes) -> list[tuple[str, int, float]]:
    document = json.loads(payload)
    return [
        (signal, document["time_ns"], float(value)) for signal, value in document["values"].items()
    ]


def plain_sparkplug(payload: bytes) -> list[tuple[str, int, float]]:
    rows = []
    for metric in Payload.FromString(payload).metrics:
        value = getattr(metric, metric.WhichOneof("value"))
        if metric.datatype == DataType.INT32 and value >= 2**31:
            value -= 2**32
        rows.append((SIGNALS[metric.alias], metric.timestamp * 1_000_000, float(value)))
    return rows


def plain_durable(
    read: Callable[[bytes], list[tuple[str, int, float]]], payloads: list[bytes], folder: Path
) -> None:
    """A row for each value, a commit for each message."""
    path = Path(tempfile.mkdtemp(dir=folder)) / "plain.sqlite"
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE point (id INTEGER PRIMARY KEY, line TEXT)")
    for payload in payloads:
        database.execute("BEGIN")
        for signal, time_ns, value in read(payload):
            line = (
                f"telemetry,site=mill-7,machine=press-04,signal={signal} "
                f"value={value},quality=0i {time_ns}"
            )
            database.execute("INSERT INTO point (line) VALUES (?)", (line,))
        database.execute("COMMIT")
    database.close()


def run(data: Path) -> dict[str, Any]:
    """Measure; needs no real data."""
    forms = {
        "json": (Reader("json"), json_payloads(N_MESSAGES), plain_json),
        "json_mapped": (Reader("json_mapped"), json_payloads(N_MESSAGES), plain_json),
        "sparkplug": (Reader("sparkplug"), sparkplug_payloads(N_MESSAGES), plain_sparkplug),
        "sparkplug_mixed": (
            Reader("sparkplug", mixed=True),
            sparkplug_payloads(N_MESSAGES, mixed=True),
            plain_sparkplug,
        ),
        "sparkplug_varying": (
            Reader("sparkplug", varying=True),
            sparkplug_payloads(N_MESSAGES, varying=True),
            plain_sparkplug,
        ),
    }
    figures: dict[str, float] = {}
    against: dict[str, float] = {}
    ratios: dict[str, float] = {}
    bare = forms["sparkplug"][1]
    figures["sparkplug_payload_metrics_per_s"] = _rate(
        lambda: [decode_payload(payload) for payload in bare], N_MESSAGES
    )
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for form, (reader, payloads, plain) in forms.items():
            few, name = payloads[:N_PLAIN], f"{form}_durable_metrics_per_s"
            works: list[tuple[dict[str, float], str, Callable[[], None], int]] = [
                (figures, f"{form}_decoded_metrics_per_s", partial(decoded, reader, payloads), 1),
                (figures, name, partial(durable, reader, payloads, folder), 1),
                (against, f"plain_{name}", partial(plain_durable, plain, few, folder), 0),
            ]
            for rates, figure, work, is_all in works:
                rates[figure] = _rate(work, N_MESSAGES if is_all else N_PLAIN)
            ratios[f"{form}_durable_to_plain"] = round(figures[name] / against[f"plain_{name}"], 1)
    print(f"metrics per second of one core, {N_METRICS} metrics to a payload:")
    for name, rate in (figures | against).items():
        print(f"  {name:44} {rate:12,.0f}")
    return report(
        "edge_mqtt",
        figures,
        against=against,
        ratios=ratios,
        targets=[
            ("json_durable_metrics_per_s", ">=", 500_000.0),
            ("json_mapped_durable_metrics_per_s", ">=", 500_000.0),
            ("json_decoded_metrics_per_s", ">=", 500_000.0),
            ("sparkplug_decoded_metrics_per_s", ">=", 1_000_000.0),
            ("sparkplug_mixed_decoded_metrics_per_s", ">=", 1_000_000.0),
        ],
    )


def _rate(work: Callable[[], object], n_messages: int) -> float:
    return round(n_messages * N_METRICS / cpu_s(work, n_repeats=3))
