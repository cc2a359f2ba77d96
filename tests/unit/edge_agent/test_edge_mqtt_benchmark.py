"""The benchmark of the MQTT source, at a small size: what it measures is right."""

from pathlib import Path

import pytest

from tests.benchmarks import edge_mqtt


@pytest.mark.parametrize(
    "form", ["json", "json_mapped", "sparkplug", "sparkplug_mixed", "sparkplug_varying"]
)
def test_what_is_measured_says_what_the_plain_version_says(form: str, tmp_path: Path) -> None:
    kinds = {kind: form.endswith(kind) for kind in ("mixed", "varying")}
    reader = edge_mqtt.Reader(form.removesuffix("_mixed").removesuffix("_varying"), **kinds)
    payloads, plain = edge_mqtt.json_payloads(20), edge_mqtt.plain_json
    if not form.startswith("json"):
        payloads = edge_mqtt.sparkplug_payloads(20, **kinds)
        plain = edge_mqtt.plain_sparkplug

    batches = list(reader.batches(payloads))

    told = [
        (batch.series[row].signal, time_ns, value)
        for batch in batches
        for row, time_ns, value in zip(
            batch.series_index.tolist(),
            batch.source_time_ns.tolist(),
            batch.value.tolist(),
            strict=True,
        )
    ]
    assert told == [row for payload in payloads for row in plain(payload)]
    edge_mqtt.durable(edge_mqtt.Reader("json"), edge_mqtt.json_payloads(20), tmp_path)
    edge_mqtt.plain_durable(plain, payloads[:2], tmp_path)
