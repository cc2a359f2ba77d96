"""Line protocol written by Apache Arrow, which the server has: several times as fast as numpy.

The same lines as `ingest.telemetry.encode_lines` writes, except that a whole number is written
without ``.0``; read back, both are the same samples to the last bit.
"""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.telemetry import Quality, TelemetryBatch
from ingest.telemetry.line_writer import check_writable, head_of

_WITH_VALUE: Final = pa.array([f",quality={int(quality)}i " for quality in Quality])
_WITHOUT_VALUE: Final = pa.array([f"quality={int(quality)}i " for quality in Quality])


def encode_lines_with_arrow(batch: TelemetryBatch) -> bytes:
    r"""Write a batch as line protocol.

    Parameters
    ----------
    batch : TelemetryBatch
        Samples to write; ``nan`` values are left out, so that only the quality is sent.

    Returns
    -------
    bytes
        One line for each sample in the order given, each ended by a line break.

    Raises
    ------
    LineProtocolError
        If a name that is used is not legal, a value is infinite, or a quality is not a `Quality`.

    Examples
    --------
    >>> from ingest.telemetry import Series
    >>> batch = TelemetryBatch.of([Series("a", "m", "flow_m3_h")], [0], [7], [2.5], [0])
    >>> encode_lines_with_arrow(batch)
    b'telemetry,site=a,machine=m,signal=flow_m3_h value=2.5,quality=0i 7\n'
    """
    check_writable(batch)
    if not len(batch):
        return b""
    row = pa.array(batch.series_index)
    heads = [head_of(series) for series in batch.series]
    head = pa.array([f"{text}value=" for text in heads]).take(row)
    value = pc.cast(pa.array(batch.value), pa.string())
    quality = _WITH_VALUE.take(pa.array(batch.quality))
    is_nan = np.isnan(batch.value)
    if is_nan.any():
        without = pa.array(is_nan)
        head = pc.if_else(without, pa.array(heads).take(row), head)
        value = pc.if_else(without, "", value)
        quality = pc.if_else(without, _WITHOUT_VALUE.take(pa.array(batch.quality)), quality)
    time = pc.cast(pa.array(batch.source_time_ns), pa.string())
    lines = pc.binary_join_element_wise(head, value, quality, time, "\n", "")
    # The lines lie one after the other in the array's own buffer.
    text: bytes = lines.buffers()[2].to_pybytes()
    return text
