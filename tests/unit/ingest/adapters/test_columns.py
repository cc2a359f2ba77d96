"""Order and number of samples, against the plain dictionary."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.adapters.columns import one_of_each
from ingest.telemetry import TelemetryBatch
from tests.strategies import batches, rows_of


@given(batches(times_ns=st.integers(-3, 3)))
def test_each_series_and_time_is_there_once_with_its_last_sample_in_order(
    batch: TelemetryBatch,
) -> None:
    last = {}
    for row in rows_of(batch):
        last[row[:2]] = row

    found = rows_of(one_of_each(batch))

    assert found == sorted(last.values(), key=lambda row: (batch.series.index(row[0]), row[1]))
