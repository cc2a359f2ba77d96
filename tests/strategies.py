"""Hypothesis strategies for our own types."""

import numpy as np
from hypothesis import strategies as st

from ingest.telemetry import NAME_PATTERN, Quality, Series, TelemetryBatch

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1


def names() -> st.SearchStrategy[str]:
    """Every name a site, machine or signal may have."""
    return st.from_regex(NAME_PATTERN, fullmatch=True)


def series() -> st.SearchStrategy[Series]:
    """Every series."""
    return st.builds(Series, names(), names(), names())


def values() -> st.SearchStrategy[float]:
    """Every value a machine can have measured."""
    return st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def batches(
    draw: st.DrawFn,
    *,
    max_samples: int = 20,
    series_table: tuple[Series, ...] | None = None,
    times_ns: st.SearchStrategy[int] | None = None,
) -> TelemetryBatch:
    """Legal batches: any names, times and values, nan only beside bad quality."""
    if series_table is None:
        series_table = tuple(draw(st.lists(series(), min_size=1, max_size=4, unique=True)))
    times_ns = st.integers(INT64_MIN, INT64_MAX) if times_ns is None else times_ns
    good = st.tuples(values(), st.sampled_from(Quality))
    empty = st.tuples(st.just(np.nan), st.just(Quality.BAD))
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, len(series_table) - 1), times_ns, good | empty),
            max_size=max_samples,
        )
    )
    return TelemetryBatch.of(
        series_table,
        [row for row, _, _ in rows],
        [time_ns for _, time_ns, _ in rows],
        [value for _, _, (value, _) in rows],
        [quality for _, _, (_, quality) in rows],
    )


def rows_of(batch: TelemetryBatch) -> list[tuple[Series, int, str, int]]:
    """A batch as plain rows, in order; values as text: nan equals nan, and -0.0 is not 0.0."""
    return [
        (batch.series[row], time_ns, repr(value), quality)
        for row, time_ns, value, quality in zip(
            batch.series_index.tolist(),
            batch.source_time_ns.tolist(),
            batch.value.tolist(),
            batch.quality.tolist(),
            strict=True,
        )
    ]
