"""Windows of samples: binned like the plain loop, and the same however they were read."""

from pathlib import Path

import hypothesis
import numpy as np
from hypothesis import strategies as st

from api.blocks import StoreWindow, WindowReader
from api.times import NS_PER_H
from ingest.adapters.duckdb_store import DuckDBStore
from ingest.telemetry import Quality, Series, TelemetryBatch

SIGNALS = ("vibration_mm_s", "oil_temperature_c")
MACHINES = ("press-1", "press-2")
SERIES = [Series("hall", machine, signal) for machine in MACHINES for signal in SIGNALS]
SERIES_OF = {
    machine: {signal: [Series("hall", machine, signal)] for signal in SIGNALS}
    for machine in MACHINES
}
BEGIN_NS = 1000 * NS_PER_H

samples = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, 40 * 4).map(lambda quarter: BEGIN_NS + quarter * NS_PER_H // 4),
        st.floats(-1e3, 1e3, width=32),
        st.sampled_from(list(Quality)),
    ),
    min_size=1,
    max_size=60,
)


def as_batch(rows: list[tuple[int, int, float, Quality]]) -> TelemetryBatch:
    index, time_ns, value, quality = zip(*rows, strict=True)
    return TelemetryBatch.of(SERIES, index, time_ns, value, quality)


def naive_means(stored: TelemetryBatch, window: StoreWindow) -> dict[tuple[int, int, int], float]:
    """Mean of good samples by bin, signal and machine, one sample at a time."""
    found: dict[tuple[int, int, int], list[float]] = {}
    for row in range(len(stored)):
        series = stored.series[int(stored.series_index[row])]
        if stored.quality[row] != Quality.GOOD:
            continue
        place = (int(stored.source_time_ns[row]) - window.start_ns) // window.step_ns
        cell = (place, SIGNALS.index(series.signal), MACHINES.index(series.machine))
        found.setdefault(cell, []).append(float(stored.value[row]))
    return {cell: sum(values) / len(values) for cell, values in found.items()}


@hypothesis.settings(
    max_examples=25, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(parts=st.lists(samples, min_size=1, max_size=4))
def test_reading_what_is_new_gives_the_same_window_as_reading_everything(
    parts: list[list[tuple[int, int, float, Quality]]], tmp_path_factory: object
) -> None:
    folder = tmp_path_factory.mktemp("store")  # type: ignore[attr-defined]
    with DuckDBStore(Path(folder) / "t.duckdb") as store:
        growing = WindowReader(store, SIGNALS, step_h=2.0, window_days=1.0)
        newest_ns = 0
        windows: list[StoreWindow] = []
        for part in parts:
            batch = as_batch(part)
            store.write(batch)
            newest_ns = max(newest_ns, int(batch.source_time_ns.max()))
            dirty_ns = int(batch.source_time_ns.min()) if windows else None
            windows.append(growing.read(SERIES_OF, newest_ns, dirty_ns))
        afresh = WindowReader(store, SIGNALS, step_h=2.0, window_days=1.0).read(
            SERIES_OF, newest_ns
        )
        stored = store.read(SERIES, afresh.start_ns, newest_ns + 1)

    grown = windows[-1]
    np.testing.assert_array_equal(grown.block.values, afresh.block.values)
    for name in ("count", "first_ns", "last_ns"):
        np.testing.assert_array_equal(getattr(grown, name), getattr(afresh, name))
    expected = np.full(afresh.block.values.shape, np.nan)
    for cell, mean in naive_means(stored, afresh).items():
        expected[cell] = mean
    np.testing.assert_allclose(afresh.block.values, expected, rtol=1e-5, atol=1e-4)
    assert int(afresh.count.sum()) == len(stored)


def test_a_machine_without_samples_has_an_empty_column(tmp_path: Path) -> None:
    with DuckDBStore(tmp_path / "t.duckdb") as store:
        store.write(as_batch([(0, BEGIN_NS, 2.0, Quality.GOOD)]))

        window = WindowReader(store, SIGNALS, step_h=2.0, window_days=1.0).read(SERIES_OF, BEGIN_NS)

    assert window.count.sum(axis=0).tolist() == [1, 0]
    assert np.isnan(window.block.values[:, :, 1]).all()
