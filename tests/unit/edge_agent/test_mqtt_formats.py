"""Mapped JSON and line protocol: what the settings ask for is taken, the rest is named."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge_agent.counters import Counters
from edge_agent.errors import PayloadError
from edge_agent.json_path import parse_path
from edge_agent.settings_mqtt import MqttTopicSettings
from edge_agent.sources.mqtt_families import Families
from edge_agent.sources.mqtt_reading import Message, Reading
from ingest.telemetry import Quality

SITE, NOW_NS = "mill-7", 1_700_000_000_000_000_000
Row = tuple[str, str, int, float | None, int, str]


def family(**settings: Any) -> Families:  # noqa: ANN401 - settings of any kind
    return Families(SITE, None, Counters(), [MqttTopicSettings.model_validate(settings)])


def read(
    families: Families, topic: str, payload: object, *, is_retained: bool = False
) -> tuple[list[Row], str | None]:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    ((ticket, reading),) = families.read(Message(topic, body, NOW_NS, is_retained), "ticket", 0.0)
    assert ticket == "ticket"
    if isinstance(reading, PayloadError):
        return [], str(reading)
    assert isinstance(reading, Reading)
    rows: list[Row] = []
    for priority, batch in reading.parts:
        for row in range(len(batch)):
            series = batch.series[int(batch.series_index[row])]
            assert series.site == SITE
            value = float(batch.value[row])
            rows.append((
                series.machine, series.signal, int(batch.source_time_ns[row]),
                None if math.isnan(value) else value, int(batch.quality[row]), priority,
            ))  # fmt: skip
    return rows, reading.fault


ROBOT = {
    "topic": "cells/+/{machine}/state", "format": "json", "time": "ts", "time_unit": "ms",
    "quality": "ok", "quality_good": [True], "quality_uncertain": ["stale"],
    "signals": [
        {"source": "axes[0].current", "signal": "axis_1_current_a"},
        {"source": '["oil temp"]', "signal": "oil_temperature_c", "priority": "alarm"},
        {"source": "door", "signal": "door_open_ratio", "machine": "cell-9", "quality": "door_ok"},
    ],
}  # fmt: skip


def test_json_of_any_shape_is_mapped_by_paths() -> None:
    rows, fault = read(family(**ROBOT), "cells/3/robot-2/state", {
        "ts": 1_700_000_000_123, "ok": True, "axes": [{"current": 4.5}, {"current": 5}],
        "oil temp": 61, "door": False, "door_ok": "stale", "name": "R2", "machine": "not-me",
    })  # fmt: skip

    at = 1_700_000_000_123_000_000
    assert fault is None
    assert sorted(rows) == [
        ("cell-9", "door_open_ratio", at, 0.0, Quality.UNCERTAIN, "raw"),
        ("robot-2", "axis_1_current_a", at, 4.5, Quality.GOOD, "raw"),
        ("robot-2", "oil_temperature_c", at, 61.0, Quality.GOOD, "alarm"),
    ]


def test_values_may_be_missing_null_or_wrong_one_by_one() -> None:
    rows, fault = read(family(**ROBOT), "cells/3/robot-2/state", {
        "ts": 5, "ok": 1, "oil temp": None, "door": "open",
    })  # fmt: skip

    assert rows == [("robot-2", "oil_temperature_c", 5_000_000, None, Quality.BAD, "alarm")]
    assert fault == "door is no number"


def test_a_list_of_samples_has_a_time_each_and_may_share_what_stands_outside() -> None:
    families = family(
        topic="{machine}", format="json", samples="data.rows", time="t", time_unit="s",
        quality="$.q", signals=[{"source": "v", "signal": "flow_m3_h"}],
    )  # fmt: skip

    rows, fault = read(families, "pump-01", {
        "q": "good", "data": {"rows": [{"t": 1.5, "v": 1}, {"t": "x", "v": 2}, {"t": 3, "w": 3}]},
    })  # fmt: skip

    assert rows == [("pump-01", "flow_m3_h", 1_500_000_000, 1.0, Quality.GOOD, "raw")]
    assert fault == "sample 1: the time 'x' is no number; sample 2: nothing stands at v"


@pytest.mark.parametrize(
    ("unit", "told", "time_ns"),
    [
        ("s", 1_700_000_000, NOW_NS), ("ms", 1_700_000_000_000, NOW_NS), ("ns", NOW_NS, NOW_NS),
        ("us", 1_700_000_000_000_000, NOW_NS), ("s", 1_700_000_000.25, NOW_NS + 250_000_000),
        ("iso8601", "2023-11-14T22:13:20Z", NOW_NS),
        ("iso8601", "2023-11-15T00:13:20.000001+02:00", NOW_NS + 1000),
    ],
)  # fmt: skip
def test_times_of_every_unit_are_understood(unit: str, told: object, time_ns: int) -> None:
    families = family(
        topic="{machine}/{signal}", format="json", value="v", time="t", time_unit=unit
    )

    rows, _ = read(families, "m/level_pct", {"v": 1, "t": told})

    assert rows == [("m", "level_pct", time_ns, 1.0, Quality.GOOD, "raw")]


@pytest.mark.parametrize(
    ("unit", "told"),
    [("s", -1), ("ms", 10**30), ("s", True), ("s", "1"), ("s", None), ("iso8601", 5),
     ("iso8601", "2023-11-14T22:13:20"), ("iso8601", "yesterday"), ("s", [1])],
)  # fmt: skip
def test_a_time_that_is_none_is_refused_with_its_reason(unit: str, told: object) -> None:
    families = family(topic="{machine}", format="json", time="t", time_unit=unit,
                      signals=[{"source": "v", "signal": "level_pct"}])  # fmt: skip

    rows, fault = read(families, "m", {"v": 1, "t": told})

    assert rows == []
    assert fault is not None
    assert "time" in fault


def test_a_bare_number_on_a_topic_that_names_the_signal() -> None:
    families = family(topic="meters/{machine}/{signal}", format="json")

    assert read(families, "meters/m/power_kw", b"23.5") == (
        [("m", "power_kw", NOW_NS, 23.5, Quality.GOOD, "raw")], None
    )  # fmt: skip
    assert read(families, "meters/m/power", b"23.5")[1] == (
        "the topic names the signal 'power', which ends in no known unit"
    )
    assert read(families, "meters/a b/power_kw", b"1")[1] is not None
    # Without a time of its own, nobody knows how old a retained value is.
    assert read(families, "meters/m/power_kw", b"23.5", is_retained=True) == ([], None)


def test_a_topic_of_no_family_is_named_and_the_first_family_that_fits_reads() -> None:
    families = Families(SITE, None, Counters(), [
        MqttTopicSettings(topic="a/{machine}"),
        MqttTopicSettings(topic="a/+", machine="other", priority="alarm"),
    ])  # fmt: skip
    payload = {"time_ns": 1, "values": {"flow_m3_h": 1}}

    assert read(families, "a/m", payload)[0] == [("m", "flow_m3_h", 1, 1.0, 0, "raw")]
    assert "earlier subscription" in str(read(families, "b/m", payload)[1])


LINES = {"topic": "telegraf/#", "format": "line-protocol", "machine_tag": "host", "time_unit": "s"}


def test_line_protocol_takes_machine_and_signal_from_tags_or_fields() -> None:
    rows, fault = read(
        family(**LINES), "telegraf/x",
        b"# a comment\n"
        b"cpu,host=press-04,signal=load_pct value=5,quality=1i 7\n"
        b"oil,host=press-05 temperature_c=40i,level_pct=80 8\r\n"
        b"oil,host=press-05 temperature=40i,name=\"x\" 8\n"
        b"oil temperature_c=1 8\noil,host=a\\ b temperature_c=1 8\n"
        b"oil,host=m,site=elsewhere temperature_c=1 8\n"
        b"oil,host=m temperature_c=3",
    )  # fmt: skip

    assert rows == [
        ("press-04", "load_pct", 7_000_000_000, 5.0, Quality.UNCERTAIN, "raw"),
        ("press-05", "temperature_c", 8_000_000_000, 40.0, Quality.GOOD, "raw"),
        ("press-05", "level_pct", 8_000_000_000, 80.0, Quality.GOOD, "raw"),
        ("m", "temperature_c", NOW_NS, 3.0, Quality.GOOD, "raw"),
    ]
    assert fault is not None
    assert "line 4: field name is text" in fault
    assert "line 4: signal 'temperature' ends in no known unit" in fault
    assert "line 5: the tag host is missing" in fault
    assert "line 6: the machine 'a b' has no legal name" in fault
    assert "line 7: it is of site 'elsewhere', and this agent's is mill-7" in fault


def test_line_protocol_of_a_fixed_machine_with_names_of_its_own() -> None:
    families = family(
        topic="line/data", format="line-protocol", machine="press-04",
        signals=[{"source": "T1", "signal": "oil_temperature_c", "priority": "alarm"},
                 {"source": "F", "signal": "force_kn", "machine": "press-05"}],
    )  # fmt: skip

    rows, fault = read(families, "line/data", b"plc,host=liar T1=40.5,F=7,other=1 9")

    assert fault is None
    assert rows == [
        ("press-04", "oil_temperature_c", 9, 40.5, Quality.GOOD, "alarm"),
        ("press-05", "force_kn", 9, 7.0, Quality.GOOD, "raw"),
    ]


def test_retained_lines_without_a_time_are_passed_over() -> None:
    body = b"oil,host=m temperature_c=3\noil,host=m temperature_c=4 9"

    rows, fault = read(family(**LINES), "telegraf/x", body, is_retained=True)

    assert ([row[3] for row in rows], fault) == ([4.0], None)


@pytest.mark.parametrize("text", ["", "a b", ".a", "$a", "a..b", "a[", "a[x]", "a[*]", "a.b[0]c"])
def test_what_is_no_path_is_refused_at_its_column(text: str) -> None:
    with pytest.raises(ValueError, match="is no JSON path"):
        parse_path(text)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"topic": "a/b"}, "names no machine"),
        ({"topic": "a/{machine}/{machine}"}, "topic"),
        ({"topic": "a/{signal}/{machine}"}, "topic"),
        ({"topic": "a/#/{machine}"}, "topic"),
        ({"topic": "a/{machine}", "machine": "m"}, "but the topic names it"),
        ({"topic": "a/+", "machine": "m m"}, "not a legal name"),
        ({"topic": "a/{machine}", "time": "t"}, "time: is for format json"),
        ({"topic": "{machine}", "format": "json"}, "signals: name the values"),
        ({**ROBOT, "topic": "a/{machine}/{signal}"}, "one of the two"),
        ({**ROBOT, "topic": "a/b"}, "machine: missing"),
        ({**ROBOT, "value": "v"}, "value: is for topics with {signal}"),
        ({"topic": "a/{machine}", "format": "line-protocol", "time_unit": "iso8601"}, "as numbers"),
        ({"topic": "spBv1.0", "format": "sparkplug"}, "names no group"),
        ({"topic": "spBv1.0/#", "format": "sparkplug"}, "names no group"),
        ({"topic": "spBv1.0/g", "format": "sparkplug", "machine": "{x}"}, "has another place"),
        ({"topic": "spBv1.0/g", "format": "sparkplug",
          "signals": [{"source": "a", "signal": "b_c", "quality": "q"}]}, "is for format json"),
        ({**ROBOT, "signals": [{"source": "a", "signal": "b_c", "device": "d"}]}, "sparkplug"),
        ({**ROBOT, "signals": [{"source": "a[", "signal": "b_c"}]}, "signals[0].source"),
        ({**ROBOT, "signals": [{"source": "a", "signal": "b"}]}, "ends in no known unit"),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_together_are_explained(
    settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        MqttTopicSettings.model_validate(settings)

    assert said in str(caught.value)


def test_what_did_not_change_keeps_what_it_has_learned() -> None:
    one, two = MqttTopicSettings(topic="a/{machine}"), MqttTopicSettings(topic="b/{machine}")
    families = Families(SITE, None, Counters(), [one])
    before = families._families[0].reader

    families.set([two, MqttTopicSettings(topic="a/{machine}")])

    assert families._families[1].reader is before
    assert families.filters == ["b/+", "a/+"]


def test_numbers_come_out_as_float64_whatever_they_were() -> None:
    rows, _ = read(family(**ROBOT), "cells/3/m/state", {"ts": 1, "door": 2**53, "ok": True})

    assert rows[0][3] == float(np.float64(2**53))


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.just("x"), st.just(10**400),
    st.floats(0, 9), st.floats(0, 9), st.integers(0, 9),
)  # fmt: skip
ROWS = st.lists(
    st.dictionaries(st.sampled_from(["a", "b", "c", "t", "q"]), VALUES, max_size=5)
    | st.fixed_dictionaries({"a": st.floats(0, 9), "b": st.integers(0, 9), "t": st.just(5)}),
    max_size=4,
)


@given(ROWS)
def test_a_sample_taken_as_a_whole_is_what_it_is_value_by_value(rows: list[object]) -> None:
    signals = [{"source": name, "signal": f"{name}_pct"} for name in "ab"]
    asked = {"topic": "{machine}", "format": "json", "samples": "rows", "time": "t",
             "quality": "q", "quality_good": [0, True]}  # fmt: skip
    each = [dict(signals[0], quality="q"), *signals[1:]]

    whole = read(family(**asked, signals=signals), "m", {"rows": rows})

    assert whole == read(family(**asked, signals=each), "m", {"rows": rows})
