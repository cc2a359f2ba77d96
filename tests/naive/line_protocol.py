"""Slow, obvious versions of `ingest.telemetry.line_protocol`, for our own form of it."""

import math

from ingest.telemetry import Series, TelemetryBatch


def encode_lines(batch: TelemetryBatch) -> bytes:
    """One line after the other."""
    body = ""
    for position in range(len(batch)):
        site, machine, signal = batch.series[int(batch.series_index[position])]
        value = float(batch.value[position])
        fields = f"quality={int(batch.quality[position])}i"
        if not math.isnan(value):
            fields = f"value={value!r},{fields}"
        body += f"telemetry,site={site},machine={machine},signal={signal} {fields} "
        body += f"{int(batch.source_time_ns[position])}\n"
    return body.encode()


def decode_lines(body: bytes) -> list[tuple[Series, int, float, int]]:
    """One line after the other; knows nothing but what `encode_lines` writes."""
    samples = []
    for line in body.decode().splitlines():
        tags, fields, time_ns = line.split(" ")
        tag = dict(pair.split("=") for pair in tags.split(",")[1:])
        field = dict(pair.split("=") for pair in fields.split(","))
        samples.append((
            Series(tag["site"], tag["machine"], tag["signal"]),
            int(time_ns),
            float(field.get("value", "nan")),
            int(field["quality"].removesuffix("i")),
        ))
    return samples
