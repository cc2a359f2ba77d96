"""The telemetry contract: one type from machine to numpy, and its wire form.

Standard library, numpy and protobuf only, because field devices carry it. Sparkplug B is in
`ingest.telemetry.sparkplug`, which only its users import.
"""

from ingest.telemetry.batch import Priority, Quality, Series, TelemetryBatch
from ingest.telemetry.line_protocol import (
    DecodedLines,
    RejectedLine,
    decode_lines,
)
from ingest.telemetry.line_writer import encode_lines
from ingest.telemetry.names import NAME_PATTERN, is_legal_name
from ingest.telemetry.units import UNIT_BY_SUFFIX, unit_of

__all__ = [
    "NAME_PATTERN",
    "UNIT_BY_SUFFIX",
    "DecodedLines",
    "Priority",
    "Quality",
    "RejectedLine",
    "Series",
    "TelemetryBatch",
    "decode_lines",
    "encode_lines",
    "is_legal_name",
    "unit_of",
]
