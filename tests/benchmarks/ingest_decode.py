"""Line protocol into columns: our own form, and anybody's, against a plain Python parser."""

from pathlib import Path
from typing import Any

import numpy as np

from ingest.telemetry import Series, TelemetryBatch, decode_lines, encode_lines
from tests.benchmarks.common import cpu_s, report
from tests.naive import line_protocol as naive

N_MACHINES = 50
SIGNALS = ("vibration_mm_s", "bearing_temperature_c", "spindle_power_kw", "flow_m3_h")
N_SAMPLES = 200_000
N_GENERAL_LINES = 20_000
N_FIELDS = 5
START_NS = 1_700_000_000_000_000_000


def own_body(seed: int, n_decimals: int | None) -> bytes:
    """Samples as the edge sends them; every digit of a float64 if `n_decimals` is None."""
    series = [Series("mill-7", f"press-{m:02d}", s) for m in range(N_MACHINES) for s in SIGNALS]
    value = np.random.default_rng(seed).normal(50.0, 10.0, N_SAMPLES)
    if n_decimals is not None:
        value = np.round(value, n_decimals)
    index = np.arange(N_SAMPLES)
    return encode_lines(
        TelemetryBatch.of(
            series,
            index % len(series),
            START_NS + index // len(series) * 1_000_000_000,
            value,
            np.zeros(N_SAMPLES),
        )
    )


def general_body(seed: int) -> bytes:
    """Lines as Telegraf sends them: several fields of several types, and now and then an escape."""
    rng = np.random.default_rng(seed)
    lines = []
    for number in range(N_GENERAL_LINES):
        place = r"hall\ 2" if number % 50 == 0 else "hall-2"
        load, heat = rng.normal(40.0, 9.0), rng.normal(60.0, 3.0)
        lines.append(
            f"cpu,host=h{number % 10},place={place},site=mill-7,machine=press-{number % 50:02d} "
            f"load_pct={load:.2f},heat_c={heat:.3f},starts_count={number % 700}i,"
            f"errors_count={number % 3}u,up_ratio={'true' if number % 9 else 'false'} "
            f"{START_NS + number * 1_000_000}"
        )
    return "\n".join(lines).encode() + b"\n"


def run(data: Path) -> dict[str, Any]:
    """Decode each body several times; the least processor time counts."""
    del data
    short, full, general = own_body(7, 3), own_body(7, None), general_body(7)
    own_s = cpu_s(lambda: decode_lines(short, received_at_ns=0))
    full_s = cpu_s(lambda: decode_lines(full, received_at_ns=0))
    general_s = cpu_s(lambda: decode_lines(general, received_at_ns=0))
    plain_s = cpu_s(lambda: naive.parse_by_character(general), n_repeats=2)
    n_general = N_GENERAL_LINES * N_FIELDS
    figures = {
        "own_values_per_s": N_SAMPLES / own_s,
        "own_17_digits_values_per_s": N_SAMPLES / full_s,
        "general_values_per_s": n_general / general_s,
    }
    against = {"plain_parser_values_per_s": n_general / plain_s}
    ratios = {"general_over_plain_parser": plain_s / general_s}
    print(f"own form, 3 decimals    {figures['own_values_per_s'] / 1e6:6.2f} M values/s per core")
    print(f"own form, 17 digits     {figures['own_17_digits_values_per_s'] / 1e6:6.2f} M values/s")
    print(f"general line protocol   {figures['general_values_per_s'] / 1e6:6.2f} M values/s")
    print(f"  a plain parser        {against['plain_parser_values_per_s'] / 1e6:6.2f} M values/s")
    print(f"  times as fast         {ratios['general_over_plain_parser']:6.1f}")
    return report(
        "ingest_decode",
        figures,
        against=against,
        ratios=ratios,
        targets=[
            ("own_values_per_s", ">=", 2e6),
            ("general_over_plain_parser", ">=", 10.0),
        ],
    )
