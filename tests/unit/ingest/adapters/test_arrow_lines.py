"""Lines written by Arrow: the same samples as those written without it."""

import math

import numpy as np
import pytest
from hypothesis import given

from ingest.adapters.arrow_lines import encode_lines_with_arrow
from ingest.errors import LineProtocolError
from ingest.telemetry import Quality, Series, TelemetryBatch, decode_lines, encode_lines
from tests.strategies import batches, rows_of

PRESS = Series("mill-7", "press-04", "vibration_mm_s")


@given(batches(max_samples=40))
def test_lines_of_arrow_decode_to_the_same_samples(batch: TelemetryBatch) -> None:
    decoded = decode_lines(encode_lines_with_arrow(batch), received_at_ns=0)

    assert decoded.rejected == ()
    assert rows_of(decoded.batch) == rows_of(batch)


def test_arrow_differs_from_numpy_in_nothing_but_the_zero_of_whole_numbers() -> None:
    value = np.array([2.31, -0.1, math.nan, 17.0, 1.25])
    batch = TelemetryBatch.of([PRESS], [0] * 5, range(5), value, [0, 1, Quality.BAD, 0, 2])

    assert encode_lines_with_arrow(batch) == encode_lines(batch).replace(b"17.0,", b"17,")


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        (TelemetryBatch.of([Series("a", "b c", "d")], [0], [7], [1.0], [0]), r"can't be written"),
        (TelemetryBatch.of([PRESS], [0], [7], [math.inf], [0]), r"no way to write inf"),
        (TelemetryBatch.of([PRESS], [0], [7], [1.0], [3]), r"quality 3"),
    ],
)
def test_what_has_no_place_in_a_line_is_refused(batch: TelemetryBatch, reason: str) -> None:
    with pytest.raises(LineProtocolError, match=reason):
        encode_lines_with_arrow(batch)
