"""Sparkplug messages as samples: names from births, machines from settings, nothing guessed."""

import math
from pathlib import Path
from typing import Any

import pytest

from edge_agent.counters import Counters
from edge_agent.errors import PayloadError
from edge_agent.settings_mqtt import MqttTopicSettings
from edge_agent.sources.mqtt_families import Families
from edge_agent.sources.mqtt_reading import Message
from edge_agent.sources.mqtt_sparkplug import Done
from ingest.telemetry import Quality
from ingest.telemetry.sparkplug import DataType, MetricToSend, encode_payload
from ingest.telemetry.sparkplug_node import sparkplug_place

SITE, NOW_MS = "mill-7", 1_700_000_000_000
MS = 1_000_000
Row = tuple[str, str, int, float | None, int, str]


class Plant:
    """One node that numbers its messages, and a reader of them."""

    def __init__(self, folder: Path | None = None, **settings: Any) -> None:  # noqa: ANN401
        self.counters = Counters()
        asked = {"topic": "spBv1.0/plant", "format": "sparkplug", **settings}
        topic = MqttTopicSettings.model_validate(asked)
        self.families = Families(SITE, folder, self.counters, [topic])
        self.seq = 0
        self.faults: list[str] = []

    def say(
        self, kind: str, *metrics: MetricToSend, device: str = "", now_s: float = 0.0,
        is_retained: bool = False, bd_seq: int = 3,
    ) -> list[Row]:  # fmt: skip
        sent = list(metrics)
        if kind in {"NBIRTH", "NDEATH"}:
            sent.append(MetricToSend(DataType.INT64, bd_seq, name="bdSeq", time_ms=NOW_MS))
        if kind == "NBIRTH":
            self.seq = 0
        body = encode_payload(
            sent, timestamp_ms=NOW_MS, seq=None if kind == "NDEATH" else self.seq % 256
        )
        self.seq += kind != "NDEATH"
        topic = f"spBv1.0/plant/{kind}/line-2" + (f"/{device}" if device else "")
        message = Message(topic, body, (NOW_MS + 5) * MS, is_retained)
        return self.rows(self.families.read(message, object(), now_s))

    def rows(self, read: list[Done]) -> list[Row]:
        rows: list[Row] = []
        for done in read:
            if isinstance(done.reading, PayloadError):
                self.faults.append(str(done.reading))
                continue
            if done.reading.fault is not None:
                self.faults.append(done.reading.fault)
            for priority, batch in done.reading.parts:
                for row in range(len(batch)):
                    series = batch.series[int(batch.series_index[row])]
                    value = float(batch.value[row])
                    rows.append((
                        series.machine, series.signal, int(batch.source_time_ns[row]) // MS,
                        None if math.isnan(value) else value, int(batch.quality[row]), priority,
                    ))  # fmt: skip
        return rows


def metric(
    value: float | str | None, *, name: str | None = None, alias: int | None = None,
    kind: DataType = DataType.DOUBLE, at: int = NOW_MS, **more: Any,  # noqa: ANN401
) -> MetricToSend:  # fmt: skip
    return MetricToSend(kind, value, name=name, alias=alias, time_ms=at, **more)


OIL: dict[str, Any] = {"name": "oil_temperature_c", "alias": 0}
LOAD: dict[str, Any] = {"name": "load_pct", "alias": 7}


def test_data_by_alias_are_the_series_of_the_birth() -> None:
    plant = Plant()
    plant.say("NBIRTH", metric(1.0, name="cabinet_temperature_c", alias=1))

    born = plant.say("DBIRTH", metric(40.0, **OIL), metric(7, kind=DataType.INT16, **LOAD),
                     device="press-04")  # fmt: skip
    data = plant.say(
        "DDATA",
        metric(41.5, alias=0, at=NOW_MS + 1),
        metric(-3, alias=7, kind=DataType.INT16),
        metric(None, alias=0, at=NOW_MS + 2),
        metric(39.0, alias=0, at=NOW_MS - 9000, is_historical=True),
        metric(1.0, alias=7, properties={"Quality": 500}),
        metric(2.0, alias=7, properties={"Quality": 0}),
        device="press-04",
    )  # fmt: skip

    assert plant.faults == []
    assert born == [
        ("press-04", "oil_temperature_c", NOW_MS, 40.0, Quality.GOOD, "raw"),
        ("press-04", "load_pct", NOW_MS, 7.0, Quality.GOOD, "raw"),
    ]
    assert data == [
        ("press-04", "oil_temperature_c", NOW_MS + 1, 41.5, Quality.GOOD, "raw"),
        ("press-04", "load_pct", NOW_MS, -3.0, Quality.GOOD, "raw"),
        ("press-04", "oil_temperature_c", NOW_MS + 2, None, Quality.BAD, "raw"),
        ("press-04", "oil_temperature_c", NOW_MS - 9000, 39.0, Quality.GOOD, "raw"),
        ("press-04", "load_pct", NOW_MS, 1.0, Quality.UNCERTAIN, "raw"),
        ("press-04", "load_pct", NOW_MS, 2.0, Quality.BAD, "raw"),
    ]
    assert plant.families.to_be_asked(0.0) == []


def test_metrics_of_the_node_itself_are_of_a_machine_called_as_the_node() -> None:
    plant = Plant()

    assert plant.say("NBIRTH", metric(1.0, name="cabinet_temperature_c", alias=1)) == [
        ("line-2", "cabinet_temperature_c", NOW_MS, 1.0, Quality.GOOD, "raw")
    ]
    assert plant.say("NDATA", metric(2.0, alias=1))[0][3] == 2.0


def test_settings_give_metrics_their_names_and_machines() -> None:
    plant = Plant(
        machine="{node}-{device}",
        signals=[
            {"source": "Hydraulics/Oil", "signal": "oil_temperature_c", "priority": "alarm"},
            {"source": "T", "signal": "tool_temperature_c", "device": "b", "machine": "tool-b"},
            {"source": "T", "signal": "table_temperature_c"},
        ],
    )
    metrics = (metric(1.0, name="Hydraulics/Oil", alias=1), metric(2.0, name="T", alias=2),
               metric(3.0, name="other_c", alias=3))  # fmt: skip
    plant.say("NBIRTH")

    first = plant.say("DBIRTH", *metrics, device="a")
    second = plant.say("DBIRTH", *metrics, device="b")

    assert {row[:2] + row[5:] for row in first} == {
        ("line-2-a", "oil_temperature_c", "alarm"), ("line-2-a", "table_temperature_c", "raw"),
    }  # fmt: skip
    assert {row[:2] for row in second} == {
        ("line-2-b", "oil_temperature_c"), ("tool-b", "tool_temperature_c"),
    }  # fmt: skip
    assert plant.faults == []


def test_what_is_no_number_is_named_once_and_set_aside() -> None:
    plant = Plant()
    plant.say("NBIRTH")
    told = (metric("R2-D2", name="serial", kind=DataType.STRING, alias=1),
            metric(5.0, name="speed", alias=2), metric(1.0, **OIL),
            metric(True, name="Device Control/Reboot", kind=DataType.BOOLEAN))  # fmt: skip

    rows = plant.say("DBIRTH", *told, device="press-04")
    again = plant.say("DDATA", metric("x", alias=1, kind=DataType.STRING), metric(2.0, alias=0),
                      metric(True, name="Device Control/Reboot", kind=DataType.BOOLEAN),
                      device="press-04")  # fmt: skip

    assert [row[1] for row in rows + again] == ["oil_temperature_c"] * 2
    assert plant.faults == [
        "serial is no number (text, a date, a dataset, a template or bytes); 'speed' ends in no "
        "known unit; name it in [[mqtt.topics.signals]]"
    ]


def test_a_birth_that_tells_another_unit_than_the_signal_is_told() -> None:
    plant = Plant()

    rows = plant.say(
        "NBIRTH",
        metric(1.0, name="oil_temperature_c", properties={"engUnit": "K"}),
        metric(1.0, name="system_pressure_bar", properties={"engUnit": "bar"}),
        metric(1.0, name="flow_m3_h", properties={"engUnit": "cubic metres"}),
    )

    assert len(rows) == 3
    assert plant.faults == [
        "oil_temperature_c is in K, and oil_temperature_c in °C; correct the signal's name (its "
        "values are kept)"
    ]


def test_booleans_and_unsigned_integers_are_numbers() -> None:
    plant = Plant()
    rows = plant.say(
        "NBIRTH",
        metric(True, name="door_open_ratio", kind=DataType.BOOLEAN),
        metric(2**32 - 1, name="cycles_count", kind=DataType.UINT32),
        metric(2**53, name="energy_kwh", kind=DataType.UINT64),
        metric(2**53 + 1, name="parts_count", kind=DataType.UINT64),
        metric(0.5, name="fill_ratio", kind=DataType.FLOAT),
    )

    assert [row[3] for row in rows] == [1.0, 2.0**32 - 1, 2.0**53, 0.5]
    assert plant.faults == [
        "parts_count can't be kept exactly as a float64; send it rounded or as a Double"
    ]


def test_data_before_a_birth_are_set_aside_and_the_node_is_asked_once() -> None:
    plant = Plant()

    assert plant.say("DDATA", metric(1.0, alias=4), device="press-04") == []
    assert plant.faults == ["alias 4 is in no birth that was heard"]
    assert plant.families.to_be_asked(0.0) == ["spBv1.0/plant/NCMD/line-2"]
    assert plant.families.to_be_asked(1.0) == []


def test_no_node_is_asked_where_the_settings_say_so() -> None:
    plant = Plant(rebirth=False)
    plant.say("NDATA", metric(1.0, alias=4))

    assert plant.families.to_be_asked(0.0) == []


def test_after_a_gap_what_is_known_by_alias_is_uncertain_until_the_next_birth() -> None:
    plant = Plant()
    plant.say("NBIRTH", metric(1.0, **OIL))
    plant.seq += 2

    assert plant.say("NDATA", metric(2.0, alias=0), metric(3.0, name="level_pct")) == []
    late = plant.rows(plant.families.tick(2.0))
    after = plant.say("NDATA", metric(4.0, alias=0), now_s=2.1)
    asked = plant.families.to_be_asked(2.1)
    born = plant.say("NBIRTH", metric(5.0, **OIL), now_s=2.2)
    good = plant.say("NDATA", metric(6.0, alias=0), now_s=2.3)

    assert [row[3:5] for row in late] == [(2.0, Quality.UNCERTAIN), (3.0, Quality.GOOD)]
    assert [row[3:5] for row in after] == [(4.0, Quality.UNCERTAIN)]
    assert asked == ["spBv1.0/plant/NCMD/line-2"]
    assert [row[3:5] for row in born + good] == [(5.0, Quality.GOOD), (6.0, Quality.GOOD)]
    assert plant.counters.sparkplug_missed == 2


def test_a_death_makes_every_series_bad_and_an_old_one_none() -> None:
    plant = Plant()
    plant.say("NBIRTH", metric(1.0, name="cabinet_temperature_c"), bd_seq=3)
    plant.say("DBIRTH", metric(1.0, **OIL), metric("x", name="serial", kind=DataType.STRING),
              device="press-04")  # fmt: skip

    device = plant.say("DDEATH", device="press-04")
    old = plant.say("NDEATH", bd_seq=2)
    node = plant.say("NDEATH", bd_seq=3)

    assert device == [("press-04", "oil_temperature_c", NOW_MS, None, Quality.BAD, "raw")]
    assert old == []
    assert set(node) == {
        ("line-2", "cabinet_temperature_c", NOW_MS + 5, None, Quality.BAD, "raw"),
        ("press-04", "oil_temperature_c", NOW_MS + 5, None, Quality.BAD, "raw"),
    }


def test_births_are_known_again_after_a_restart_but_not_quite_believed(tmp_path: Path) -> None:
    plant = Plant(tmp_path / "births")
    plant.say("NBIRTH")
    plant.say("DBIRTH", metric(1, kind=DataType.INT8, **OIL), device="press-04")
    plant.families.tick(0.0)

    again = Plant(tmp_path / "births")
    again.seq = 9
    body = MetricToSend(DataType.INT8, -2, alias=0, time_ms=NOW_MS)

    assert again.say("DDATA", body, device="press-04") == [
        ("press-04", "oil_temperature_c", NOW_MS, -2.0, Quality.UNCERTAIN, "raw")
    ]
    assert again.families.to_be_asked(0.0) == ["spBv1.0/plant/NCMD/line-2"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"births": {"": [1]}}', b"\xff"])
def test_a_damaged_file_of_births_is_passed_over(tmp_path: Path, content: bytes) -> None:
    plant = Plant(tmp_path)
    plant.say("NBIRTH", metric(1.0, **OIL))
    plant.families.tick(0.0)
    (path,) = tmp_path.glob("*.json")
    path.write_bytes(content)

    again = Plant(tmp_path)

    assert again.say("NDATA", metric(1.0, alias=0)) == []
    assert again.faults == ["alias 0 is in no birth that was heard"]


def test_retained_commands_and_state_are_passed_over() -> None:
    plant = Plant()

    assert plant.say("NBIRTH", metric(1.0, **OIL), is_retained=True) == []
    assert plant.say("NCMD", metric(1.0, **OIL)) == []
    assert sparkplug_place("spBv1.0/STATE/host") is None
    assert sparkplug_place("spBv1.0/plant/NDATA/line-2/device") is None
    assert sparkplug_place("spBv1.0/plant/DDATA/line-2") is None
    assert plant.faults == []


def test_a_device_with_no_legal_name_is_named_and_can_be_given_one() -> None:
    plant = Plant()
    plant.say("NBIRTH")
    called = Plant(signals=[{"source": "oil_temperature_c", "signal": "oil_temperature_c",
                             "device": "Press 4", "machine": "press-04"}])  # fmt: skip
    called.say("NBIRTH")

    assert plant.say("DBIRTH", metric(1.0, **OIL), device="Press 4") == []
    assert "'Press 4' is no legal name for a machine" in plant.faults[0]
    assert [row[0] for row in called.say("DBIRTH", metric(1.0, **OIL), device="Press 4")] == [
        "press-04"
    ]


def test_bytes_that_are_no_payload_are_set_aside() -> None:
    plant = Plant()
    message = Message("spBv1.0/plant/NDATA/line-2", b"{}", 0)

    assert plant.rows(plant.families.read(message, object(), 0.0)) == []
    assert "not a Sparkplug B payload" in plant.faults[0]
