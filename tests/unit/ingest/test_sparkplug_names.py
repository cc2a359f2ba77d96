"""What metrics are called by ingest, and what becomes of names that are not legal."""

import math

from hypothesis import given
from hypothesis import strategies as st

from ingest.settings_mqtt import SparkplugSettings
from ingest.sparkplug_names import HostNaming, lines_of
from ingest.telemetry import Series, TelemetryBatch, decode_lines, encode_lines
from ingest.telemetry.sparkplug import DataType, MetricToSend, decode_payload, encode_payload
from ingest.telemetry.sparkplug_births import Births
from ingest.telemetry.sparkplug_node import Place

PRESS = Place("DDATA", "Plant 7", "line-2", "press-04")
NODE = Place("NDATA", "Plant 7", "line-2", "")


def naming(**more: object) -> HostNaming:
    asked = {"host": "::1", "host_id": "h", "sites": {"Plant 7": "mill-7"}, **more}
    return HostNaming(SparkplugSettings.model_validate(asked))


def series(names: HostNaming, place: Place, name: str, datatype: int = 10) -> Series | None:
    wanted = names.want(place, name, datatype)
    return None if wanted is None else wanted.series


def test_the_group_is_the_site_and_the_device_the_machine() -> None:
    names = naming()

    assert series(names, PRESS, "flow_m3_h") == ("mill-7", "press-04", "flow_m3_h")
    assert series(names, NODE, "flow_m3_h") == ("mill-7", "line-2", "flow_m3_h")
    other = PRESS._replace(group="mill-8")
    assert series(names, other, "flow_m3_h") == ("mill-8", "press-04", "flow_m3_h")
    assert series(names, PRESS, "serial", int(DataType.STRING)) is None


def test_machines_and_metrics_are_called_as_the_settings_say() -> None:
    names = naming(
        machine="{node}-{device}",
        signals=[
            {"source": "Oil", "signal": "oil_temperature_c", "device": "press-04", "machine": "p4"},
            {"source": "Oil", "signal": "oil_pressure_bar"},
        ],
    )

    assert series(names, PRESS, "Oil") == ("mill-7", "p4", "oil_temperature_c")
    assert series(names, PRESS._replace(device="x"), "Oil") == (
        "mill-7", "line-2-x", "oil_pressure_bar"
    )  # fmt: skip
    assert series(names, NODE, "flow_m3_h") == ("mill-7", "line-2", "flow_m3_h")


def test_a_birth_announces_units_and_ranges_and_tells_what_is_no_number() -> None:
    names = naming()
    births = Births(lambda name, datatype: names.want(PRESS, name, datatype), "raw")
    metrics = decode_payload(
        encode_payload(
            [
                MetricToSend(DataType.DOUBLE, 1.0, "flow_m3_h", properties={
                    "engUnit": "m³/h", "engLow": 0.0, "engHigh": 50}),
                MetricToSend(DataType.INT32, 1, "count", properties={"engLow": True}),
                MetricToSend(DataType.DOUBLE, 1.0, "Hydraulics/Oil"),
                MetricToSend(DataType.STRING, "x", "serial"),
                MetricToSend(DataType.BOOLEAN, False, "Node Control/Rebirth"),
            ],
            timestamp_ms=1_700_000_000_000, seq=0,
        )
    ).metrics  # fmt: skip
    births.learn(list(zip(metrics.names, metrics.aliases, metrics.datatype.tolist(), strict=True)))

    faults = list(names.judge(PRESS, births, metrics))

    assert len(faults) == 1
    assert faults[0].startswith("serial is no number")
    assert [(one.series.signal, *one[1:]) for one in names.announced()] == [
        ("flow_m3_h", 0, "m³/h", 0.0, 50.0), ("count", 0, None, None, None)
    ]  # fmt: skip
    assert names.announced() == []


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
            st.floats(allow_infinity=False),
            st.integers(1, 2**62),
        ),
        min_size=1, max_size=6, unique_by=lambda row: row[0],
    )
)  # fmt: skip
def test_every_sample_is_a_line_or_can_be_mended(rows: list[tuple[str, float, int]]) -> None:
    batch = TelemetryBatch.of(
        [Series("mill-7", "p", name) for name, _, _ in rows],
        range(len(rows)),
        [time_ns for _, _, time_ns in rows],
        [value for _, value, _ in rows],
        [2 if math.isnan(value) else 0 for _, value, _ in rows],
    )

    lines, rejected = lines_of(batch)

    assert len(lines.splitlines()) + len(rejected) == len(rows)
    assert all("is not a legal name" in each.reason for each in rejected)
    for each in rejected:
        assert "\n" not in each.line
        start = each.line.index(",signal=") + len(",signal=")
        end = each.line.rindex(" value=") if " value=" in each.line else each.line.rindex(" qual")
        mended = f"{each.line[:start]}mended_c{each.line[end:]}"
        again = decode_lines(mended.encode(), precision="ns", received_at_ns=0).batch
        assert encode_lines(again).decode().strip() == mended
