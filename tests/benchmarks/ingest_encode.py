"""Columns into line protocol, against influxdb-client's points and a bare Arrow string build."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from influxdb_client.client.write.point import Point
from influxdb_client.domain.write_precision import WritePrecision

from ingest.adapters.arrow_lines import encode_lines_with_arrow
from ingest.telemetry import Series, TelemetryBatch, encode_lines
from ingest.telemetry.line_writer import head_of
from tests.benchmarks.common import cpu_s, report

N_SAMPLES = 200_000
N_POINTS = 20_000
N_MACHINES = 50
SIGNALS = ("vibration_mm_s", "bearing_temperature_c", "spindle_power_kw", "flow_m3_h")
START_NS = 1_700_000_000_000_000_000

new_point: Any = Point


def sample_batch(n_samples: int) -> TelemetryBatch:
    """Samples with three decimals, as sensors give them."""
    series = [Series("mill-7", f"press-{m:02d}", s) for m in range(N_MACHINES) for s in SIGNALS]
    index = np.arange(n_samples)
    value = np.round(np.random.default_rng(7).normal(50.0, 10.0, n_samples), 3)
    return TelemetryBatch.of(
        series,
        index % len(series),
        START_NS + index // len(series) * 1_000_000_000,
        value,
        np.zeros(n_samples),
    )


def points_of(batch: TelemetryBatch) -> bytes:
    """What influxdb-client makes of it, one point after the other."""
    lines = []
    for row, time_ns, value, quality in zip(
        batch.series_index.tolist(),
        batch.source_time_ns.tolist(),
        batch.value.tolist(),
        batch.quality.tolist(),
        strict=True,
    ):
        series = batch.series[row]
        point = new_point("telemetry").tag("site", series.site).tag("machine", series.machine)
        point.tag("signal", series.signal).field("value", value).field("quality", quality)
        lines.append(point.time(time_ns, WritePrecision.NS).to_line_protocol())
    return "\n".join(lines).encode()


def bare_arrow(batch: TelemetryBatch) -> object:
    """The strings alone: nothing is checked, no quality is looked at, no bytes are taken out."""
    heads = pa.array([f"{head_of(series)}value=" for series in batch.series])
    return pc.binary_join_element_wise(
        heads.take(pa.array(batch.series_index)),
        pc.cast(pa.array(batch.value), pa.string()),
        ",quality=0i ",
        pc.cast(pa.array(batch.source_time_ns), pa.string()),
        "\n",
        "",
    )


def run(data: Path) -> dict[str, Any]:
    """Encode the same samples each way; the least processor time counts."""
    del data
    pa.set_cpu_count(1)
    batch, few = sample_batch(N_SAMPLES), sample_batch(N_POINTS)
    arrow_s = cpu_s(lambda: encode_lines_with_arrow(batch)) / N_SAMPLES
    numpy_s = cpu_s(lambda: encode_lines(batch)) / N_SAMPLES
    bare_s = cpu_s(lambda: bare_arrow(batch)) / N_SAMPLES
    point_s = cpu_s(lambda: points_of(few), n_repeats=2) / N_POINTS
    figures = {"arrow_values_per_s": 1 / arrow_s, "numpy_values_per_s": 1 / numpy_s}
    against = {"points_per_s": 1 / point_s, "bare_arrow_values_per_s": 1 / bare_s}
    ratios = {
        "arrow_over_points": point_s / arrow_s,
        "numpy_over_points": point_s / numpy_s,
        "arrow_over_bare_arrow": bare_s / arrow_s,
    }
    print(
        f"with Arrow, on a server   {figures['arrow_values_per_s'] / 1e6:6.2f} M values/s per core"
    )
    print(f"numpy alone, on the edge  {figures['numpy_values_per_s'] / 1e6:6.2f} M values/s")
    print(f"influxdb-client's Point   {against['points_per_s'] / 1e6:6.2f} M values/s")
    print(f"a bare Arrow string build {against['bare_arrow_values_per_s'] / 1e6:6.2f} M values/s")
    print(f"  Arrow over Point {ratios['arrow_over_points']:.0f}, "
          f"over the bare build {ratios['arrow_over_bare_arrow']:.2f}")  # fmt: skip
    return report(
        "ingest_encode",
        figures,
        against=against,
        ratios=ratios,
        targets=[("arrow_over_points", ">=", 25.0), ("arrow_over_bare_arrow", ">=", 0.5)],
    )
