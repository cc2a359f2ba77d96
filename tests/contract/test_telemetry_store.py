"""What every telemetry store promises, whatever is behind it."""

import itertools
import math
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.ports import TelemetryStore
from ingest.rollups import HOUR_NS, MINUTE_NS, Rollups
from ingest.telemetry import Quality, Series, TelemetryBatch
from tests.contract import stores
from tests.naive import rollups as naive
from tests.strategies import batches, rows_of

NOW_NS = 1_700_000_000_000_000_000
YEAR_NS = 31_557_600 * 10**9

# The receiver takes nothing from the future or from more than ten years back.
TIMES_NS = st.integers(NOW_NS - 5 * YEAR_NS, NOW_NS) | st.integers(NOW_NS - 3, NOW_NS)

FLOW = Series("mill-7", "pump-01", "flow_m3_h")
POWER = Series("mill-7", "pump-01", "motor_power_kw")
OTHER = Series("mill-8", "pump-01", "flow_m3_h")

_number = itertools.count(1)

Row = tuple[Series, int, str, int]


@pytest.fixture(
    params=[
        "duckdb",
        pytest.param("influx1", marks=pytest.mark.server("influxd")),
        "influx2-writes",
    ]
)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[stores.OpenStore]:
    match request.param:
        case "duckdb":
            opening = stores.duckdb_store(tmp_path)
        case "influx1":
            opening = stores.influx1_store(request.getfixturevalue("influxdb1_server").url)
        case _:
            opening = stores.influx2_writes(tmp_path, now_ns=NOW_NS + 1_000_000_000)
    with opening as open_it:
        yield open_it


@pytest.fixture
def store(open_store: stores.OpenStore) -> TelemetryStore:
    return open_store()


def batch_of(*rows: tuple[Series, int, float, int]) -> TelemetryBatch:
    table = tuple(dict.fromkeys(row[0] for row in rows))
    return TelemetryBatch.of(
        table,
        [table.index(row[0]) for row in rows],
        [row[1] for row in rows],
        [row[2] for row in rows],
        [row[3] for row in rows],
    )


def all_of(store: TelemetryStore, series: Iterable[Series]) -> list[Row]:
    return rows_of(store.read(tuple(series), NOW_NS - 10 * YEAR_NS, NOW_NS + YEAR_NS))


def expected_rows(written: Iterable[TelemetryBatch], series: tuple[Series, ...]) -> list[Row]:
    """The plain meaning of a store: a dictionary."""
    kept = {}
    for batch in written:
        for row in rows_of(batch):
            kept[row[:2]] = row
    return sorted(
        (row for row in kept.values() if row[0] in series),
        key=lambda row: (series.index(row[0]), row[1]),
    )


def fresh_table() -> tuple[Series, ...]:
    """Series that no other example has written to."""
    site = f"site-{next(_number)}"
    return tuple(
        Series(site, machine, signal)
        for machine in ("pump-02", "pump-01", "Pump.01")
        for signal in ("flow_m3_h", "speed_rpm")
    )


def storable_batches(table: tuple[Series, ...]) -> st.SearchStrategy[TelemetryBatch]:
    """Batches of these series. No store promises the sign of a zero; InfluxDB's JSON has none."""

    def with_plain_zeros(batch: TelemetryBatch) -> TelemetryBatch:
        return replace(batch, value=batch.value + 0.0)

    return batches(series_table=table, times_ns=TIMES_NS, max_samples=12).map(with_plain_zeros)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_store_is_a_dictionary_from_series_and_time_to_the_last_sample_written(
    store: TelemetryStore, data: st.DataObject
) -> None:
    table = fresh_table()
    written = data.draw(st.lists(storable_batches(table), max_size=4))

    for batch in written:
        store.write(batch)

    expected = expected_rows(written, table)
    assert all_of(store, table) == expected
    newest = {row[0]: row for row in expected}
    assert rows_of(store.latest(table)) == list(newest.values())
    assert {each for each in store.series() if each in table} == set(newest)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_samples_in_any_order_in_any_parts_and_twice_are_stored_the_same(
    store: TelemetryStore, data: st.DataObject
) -> None:
    table = fresh_table()
    batch = data.draw(storable_batches(table))
    _, firsts = np.unique(
        np.stack([batch.series_index, batch.source_time_ns], axis=1), axis=0, return_index=True
    )
    parts = [batch.take(np.array([row])) for row in firsts.tolist()]
    order = data.draw(st.permutations(parts + parts[:2]))

    for part in order:
        store.write(part)

    assert all_of(store, table) == expected_rows(parts, table)


def test_the_last_write_wins_also_inside_one_batch(store: TelemetryStore) -> None:
    store.write(batch_of((FLOW, NOW_NS, 1.0, 0), (FLOW, NOW_NS, 2.0, 1), (FLOW, NOW_NS, 3.0, 0)))

    assert all_of(store, [FLOW]) == [(FLOW, NOW_NS, "3.0", 0)]


def test_a_bad_sample_without_value_replaces_a_value_and_a_value_replaces_it(
    store: TelemetryStore,
) -> None:
    store.write(batch_of((FLOW, NOW_NS, 1.0, Quality.GOOD), (POWER, NOW_NS, 1.5, Quality.BAD)))
    store.write(batch_of((FLOW, NOW_NS, math.nan, Quality.BAD)))
    assert all_of(store, [FLOW, POWER]) == [
        (FLOW, NOW_NS, "nan", Quality.BAD),
        (POWER, NOW_NS, "1.5", Quality.BAD),
    ]

    store.write(batch_of((FLOW, NOW_NS, 2.0, Quality.UNCERTAIN)))
    assert all_of(store, [FLOW]) == [(FLOW, NOW_NS, "2.0", Quality.UNCERTAIN)]


def test_a_window_has_its_first_moment_and_not_its_last(store: TelemetryStore) -> None:
    store.write(batch_of(*((FLOW, NOW_NS + step, float(step), 0) for step in range(-2, 3))))

    assert store.read([FLOW], NOW_NS - 1, NOW_NS + 1).value.tolist() == [-1.0, 0.0]
    assert len(store.read([FLOW], NOW_NS, NOW_NS)) == 0
    assert len(store.read([FLOW], NOW_NS + 1, NOW_NS - 1)) == 0
    assert len(store.read([FLOW], -(2**63), 2**63 - 1)) == 5


def test_the_series_asked_for_become_the_table_in_the_order_asked(store: TelemetryStore) -> None:
    store.write(
        batch_of((OTHER, NOW_NS, 1.0, 0), (FLOW, NOW_NS, 2.0, 0), (FLOW, NOW_NS - 1, 3.0, 0))
    )
    never = Series("mill-9", "pump-01", "flow_m3_h")

    found = store.read([OTHER, never, FLOW, OTHER], NOW_NS - 10, NOW_NS + 10)

    assert found.series == (OTHER, never, FLOW)
    assert found.series_index.tolist() == [0, 2, 2]
    assert found.value.tolist() == [1.0, 3.0, 2.0]
    newest = store.latest([never, FLOW])
    assert newest.series == (never, FLOW)
    assert newest.value.tolist() == [2.0]


def test_an_empty_store_answers_with_nothing(store: TelemetryStore) -> None:
    store.write(TelemetryBatch.empty([FLOW]))

    assert store.series() == ()
    assert len(store.read([FLOW], 0, NOW_NS)) == 0
    assert len(store.read([], 0, NOW_NS)) == 0
    assert len(store.latest([FLOW])) == 0
    assert len(store.latest([])) == 0


def test_names_are_values_and_never_part_of_a_query(store: TelemetryStore) -> None:
    store.write(batch_of((FLOW, NOW_NS, 1.0, 0)))

    for name in ("x' or '1'='1", 'x" or true or "', "pump-01' OR site =~ /.*/ --", "$site0", "\\"):
        hostile = Series("mill-7", name, "flow_m3_h")
        assert len(store.read([hostile], 0, NOW_NS + 1)) == 0
        assert len(store.latest([hostile])) == 0


def test_what_was_written_is_there_after_opening_the_store_again(
    open_store: stores.OpenStore,
) -> None:
    open_store().write(batch_of((FLOW, NOW_NS, 1.0, 0), (OTHER, NOW_NS, 2.0, 0)))

    store = open_store()

    assert store.series() == (FLOW, OTHER)
    store.write(batch_of((FLOW, NOW_NS, 3.0, 0)))
    assert all_of(store, [FLOW, OTHER]) == [(FLOW, NOW_NS, "3.0", 0), (OTHER, NOW_NS, "2.0", 0)]


def test_many_samples_come_back_whole_and_sorted(store: TelemetryStore) -> None:
    n_samples = 25_000
    rng = np.random.default_rng(7)
    series = tuple(Series("mill-7", f"pump-{number:02}", "flow_m3_h") for number in range(5))
    index = rng.integers(0, 5, n_samples)
    time_ns = NOW_NS + rng.permutation(n_samples) * 1_000_003
    batch = TelemetryBatch.of(
        series, index, time_ns, rng.normal(size=n_samples), np.zeros(n_samples)
    )

    store.write(batch)

    found = store.read(series, NOW_NS, NOW_NS + YEAR_NS)
    order = np.lexsort((time_ns, index))
    np.testing.assert_array_equal(found.series_index, index[order])
    np.testing.assert_array_equal(found.source_time_ns, time_ns[order])
    np.testing.assert_array_equal(found.value, batch.value[order])


def test_threads_write_and_read_at_once_and_nothing_is_lost(store: TelemetryStore) -> None:
    n_threads, n_writes = 4, 10
    errors: list[BaseException] = []

    def work(thread: int) -> None:
        series = Series("mill-7", f"pump-{thread:02}", "flow_m3_h")
        try:
            for write in range(n_writes):
                store.write(batch_of(*((series, NOW_NS + write * 5 + i, i, 0) for i in range(5))))
                assert len(store.read([series], 0, NOW_NS + YEAR_NS)) == 5 * (write + 1)
        except BaseException as error:  # noqa: BLE001 - shown by the test itself
            errors.append(error)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert len(store.series()) == n_threads
    assert len(store.read(store.series(), 0, NOW_NS + YEAR_NS)) == n_threads * n_writes * 5


@pytest.mark.parametrize("n_series", [1, 130])
def test_more_series_than_fit_one_query_are_all_read(store: TelemetryStore, n_series: int) -> None:
    series = tuple(Series("mill-7", f"pump-{number:03}", "flow_m3_h") for number in range(n_series))
    store.write(batch_of(*((each, NOW_NS, float(i), 0) for i, each in enumerate(series))))

    assert (
        store.read(series[::-1], NOW_NS, NOW_NS + 1).value.tolist() == list(range(n_series))[::-1]
    )
    assert store.latest(series).value.tolist() == list(range(n_series))
    assert store.series() == series


# --- windows and roll-ups ------------------------------------------------------------------------

CLOSE_TIMES_NS = st.integers(NOW_NS - 3 * HOUR_NS, NOW_NS) | st.sampled_from([
    NOW_NS // HOUR_NS * HOUR_NS,
    NOW_NS // HOUR_NS * HOUR_NS - 1,
    NOW_NS // MINUTE_NS * MINUTE_NS,
])


def close_batches(table: tuple[Series, ...]) -> st.SearchStrategy[TelemetryBatch]:
    def with_plain_zeros(batch: TelemetryBatch) -> TelemetryBatch:
        # Sums of numbers of every size overflow; measured values do not.
        return replace(batch, value=np.clip(batch.value, -1e9, 1e9) + 0.0)

    return batches(series_table=table, times_ns=CLOSE_TIMES_NS, max_samples=20).map(
        with_plain_zeros
    )


def steps_of(steps: Rollups) -> list[naive.Step]:
    columns = (steps.minimum, steps.maximum, steps.last, steps.total)
    return [
        (steps.series[row], start_ns, count, n_other, *(repr(number + 0.0) for number in numbers))
        for row, start_ns, count, n_other, *numbers in zip(
            steps.series_index.tolist(),
            steps.start_ns.tolist(),
            steps.count.tolist(),
            steps.n_other.tolist(),
            *(column.tolist() for column in columns),
            strict=True,
        )
    ]


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_roll_ups_are_those_of_the_samples_whatever_came_late_and_whenever_they_are_settled(
    store: TelemetryStore, data: st.DataObject
) -> None:
    table = fresh_table()
    start_ns, end_ns = NOW_NS // HOUR_NS * HOUR_NS - 3 * HOUR_NS, NOW_NS + HOUR_NS

    for batch in data.draw(st.lists(close_batches(table), min_size=1, max_size=4)):
        store.write(batch)
        if data.draw(st.booleans()):
            while store.maintain():
                pass
        samples = store.read(table, start_ns, end_ns)
        for step_ns in (MINUTE_NS, HOUR_NS):
            found = steps_of(store.read_rollups(table, start_ns, end_ns, step_ns))
            assert found == naive.roll_up(samples, step_ns)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_window_on_a_grid_holds_the_means_of_the_good_samples_of_each_step(
    store: TelemetryStore, data: st.DataObject
) -> None:
    table = fresh_table()
    start_ns, step_ns, n_steps = NOW_NS - 2 * HOUR_NS, 20 * MINUTE_NS, 7
    for batch in data.draw(st.lists(close_batches(table), max_size=3)):
        store.write(batch)

    found = store.read_steps(table, start_ns, step_ns, n_steps)

    samples = store.read(table, NOW_NS - 10 * YEAR_NS, NOW_NS + YEAR_NS)
    assert [
        [(repr(mean + 0.0), count) for mean, count in zip(means, counts, strict=True)]
        for means, counts in zip(found.mean.tolist(), found.count.tolist(), strict=True)
    ] == naive.step_means(samples, start_ns, step_ns, n_steps)


def test_a_good_sample_that_was_corrected_to_a_bad_one_is_in_no_mean(store: TelemetryStore) -> None:
    store.write(batch_of((FLOW, NOW_NS, 5.0, 0), (POWER, NOW_NS, 7.0, 0)))
    store.write(batch_of((FLOW, NOW_NS, math.nan, Quality.BAD)))

    found = store.read_steps([FLOW, POWER], NOW_NS, 10, 1)

    assert np.isnan(found.mean[0, 0])
    assert (found.mean[0, 1], found.count.tolist()) == (7.0, [[0, 1]])


def test_there_are_roll_ups_of_minutes_and_hours_only(store: TelemetryStore) -> None:
    store.write(batch_of((FLOW, NOW_NS, 1.0, 0)))

    with pytest.raises(ValueError, match=r"neither a minute .* nor an hour"):
        store.read_rollups([FLOW], NOW_NS - HOUR_NS, NOW_NS, 1000)
