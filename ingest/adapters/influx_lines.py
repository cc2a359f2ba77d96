"""How a batch looks inside InfluxDB: measurement ``telemetry``, fields ``value`` and ``quality``.

InfluxDB merges the fields of points with the same series and time, so a bad sample without a
value, written over an earlier one, would leave the earlier value standing. Such a sample is
therefore kept as ``quality=3i``: the fourth state of OPC UA's two severity bits, which its
readers must treat as bad. Coming back, here and in our own receiver, it has no value and is
`Quality.BAD`, whatever value stands beside it.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from ingest.adapters.columns import last_of_each, one_of_each
from ingest.telemetry import Quality, Series, TelemetryBatch, encode_lines
from ingest.telemetry.lines import BAD_WITHOUT_VALUE

MIN_TIME_NS: Final = -(2**63) + 2
MAX_TIME_NS: Final = 2**63 - 2
"""Times that InfluxDB can hold, a little less than an int64. [ns]"""

# About 5 MB of lines; InfluxDB 1.x refuses bodies above 25 MB (``max-body-size``).
_SAMPLES_PER_REQUEST: Final = 50_000


def bodies_of(batch: TelemetryBatch) -> Iterator[bytes]:
    """Write a batch as line protocol for InfluxDB, in bodies it will take.

    Parameters
    ----------
    batch : TelemetryBatch
        Validated samples in the order they were written.

    Yields
    ------
    bytes
        Lines sorted by series and time, each (series, time) once in all.
    """
    batch = one_of_each(batch)
    for start in range(0, len(batch), _SAMPLES_PER_REQUEST):
        body = _encoder()(
            batch.take(np.arange(start, min(start + _SAMPLES_PER_REQUEST, len(batch))))
        )
        # Only in a line without a value does a space stand before the quality.
        yield body.replace(
            f" quality={int(Quality.BAD)}i ".encode(), f" quality={BAD_WITHOUT_VALUE}i ".encode()
        )


@cache
def _encoder() -> Callable[[TelemetryBatch], bytes]:
    """Take Arrow where it is installed, as on a server; it is loaded only when it is needed."""
    try:
        from ingest.adapters.arrow_lines import encode_lines_with_arrow
    except ImportError:
        return encode_lines
    return encode_lines_with_arrow


def batch_from_columns(
    series: tuple[Series, ...],
    series_index: npt.NDArray[np.uint32],
    source_time_ns: npt.NDArray[np.int64],
    value: npt.NDArray[np.float64],
    quality: npt.NDArray[np.float64],
) -> TelemetryBatch:
    """Build a batch from what InfluxDB gave back.

    Parameters
    ----------
    series : tuple of Series
        The series table.
    series_index, source_time_ns, value : ndarray of shape (n_samples,)
        The columns; ``nan`` where a point has no value.
    quality : ndarray of float64, shape (n_samples,)
        As stored; ``nan`` where a point, written by someone else, has none, which counts as good.

    Returns
    -------
    TelemetryBatch
        Sorted by series and time, points with neither value nor quality left out.
    """
    is_point = ~(np.isnan(value) & np.isnan(quality))
    quality = np.where(np.isnan(quality), float(Quality.GOOD), quality)
    is_empty = (quality == BAD_WITHOUT_VALUE) | np.isnan(value)
    batch = TelemetryBatch.of(
        series,
        series_index,
        source_time_ns,
        np.where(is_empty, np.nan, value),
        np.where(is_empty, float(Quality.BAD), np.clip(quality, Quality.GOOD, Quality.BAD)),
    )
    order = last_of_each(batch.series_index, batch.source_time_ns)
    return batch.take(order[is_point[order]])
