"""One recorded day brought to the store in ever other ways: it must be the same day afterwards.

What is compared are bytes: of the stored columns and of every roll-up, from settled hours and from
such as are still to be settled.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ingest.adapters.duckdb_store import DuckDBStore
from ingest.rollups import HOUR_NS, MINUTE_NS
from ingest.telemetry import Quality, Series, TelemetryBatch, encode_lines

START_NS = 1_700_000_000_000_000_000 // HOUR_NS * HOUR_NS
DAY_NS = 24 * HOUR_NS
SIGNALS = ("vibration_mm_s", "bearing_temperature_c", "spindle_power_kw", "flow_m3_h")


@dataclass(frozen=True, slots=True)
class Way:
    """How a day was brought."""

    seed: int
    n_parts: int
    n_doubled: int
    n_settled: int


def recorded_day(n_machines: int, every_s: int, seed: int) -> TelemetryBatch:
    """Samples of a day, some of them bad or uncertain, at times that are a little uneven."""
    rng = np.random.default_rng(seed)
    series = [Series("mill-7", f"press-{m:02d}", s) for m in range(n_machines) for s in SIGNALS]
    n_times = 86_400 // every_s
    index = np.tile(np.arange(len(series)), n_times)
    times_ns = np.repeat(START_NS + np.arange(n_times) * every_s * 10**9, len(series))
    times_ns = times_ns + rng.integers(0, every_s * 10**8, times_ns.size)
    quality = rng.choice([Quality.GOOD] * 30 + [Quality.UNCERTAIN, Quality.BAD], times_ns.size)
    value = np.where(quality == Quality.BAD, np.nan, rng.normal(50.0, 9.0, times_ns.size))
    return TelemetryBatch.of(series, index, times_ns, value, quality)


def bring(day: TelemetryBatch, folder: Path, seed: int) -> tuple[str, Way]:
    """Bring it shuffled, split, doubled and delayed as the seed says; give what is stored."""
    rng = np.random.default_rng(seed)
    rows = np.arange(len(day))
    # Shuffled altogether, by hours, or only delayed in places.
    kind = seed % 3
    if kind == 0:
        rng.shuffle(rows)
    elif kind == 1:
        hours = (day.source_time_ns - START_NS) // HOUR_NS
        rows = rows[np.lexsort((rng.random(rows.size), rng.permutation(24)[hours]))]
    else:
        delay = np.where(rng.random(rows.size) < 0.05, rng.exponential(6 * HOUR_NS, rows.size), 0)
        rows = rows[np.argsort(day.source_time_ns + delay, kind="stable")]
    n_parts = int(rng.integers(1, 40))
    parts = np.split(rows, np.sort(rng.integers(0, rows.size, n_parts - 1)))
    doubled = [parts[k] for k in np.flatnonzero(rng.random(n_parts) < 0.3)]
    order = [*parts, *doubled]
    n_settled = 0
    with DuckDBStore(folder / f"way-{seed}.duckdb") as store:
        for k in rng.permutation(len(order)).tolist():
            store.write(day.take(order[k]))
            if rng.random() < 0.2:
                n_settled += store.maintain()
        if rng.random() < 0.5:
            while store.maintain():
                n_settled += 1
        stored = digest_of(store, day.series)
    return stored, Way(seed, n_parts, len(doubled), n_settled)


def digest_of(store: DuckDBStore, series: tuple[Series, ...]) -> str:
    """Everything that can be read, as text of bytes."""
    batch = store.read(series, START_NS, START_NS + DAY_NS)
    parts = [encode_lines(batch), batch.value.tobytes(), batch.source_time_ns.tobytes()]
    for step_ns in (MINUTE_NS, HOUR_NS):
        steps = store.read_rollups(series, START_NS, START_NS + DAY_NS, step_ns)
        parts += [
            column.tobytes()
            for column in (
                steps.series_index, steps.start_ns, steps.count, steps.n_other, steps.minimum,
                steps.maximum, steps.last, steps.total,
            )
        ]  # fmt: skip
    window = store.read_steps(series, START_NS, MINUTE_NS, 1440)
    parts += [window.mean.tobytes(), window.count.tobytes()]
    return b"".join(parts).hex()
