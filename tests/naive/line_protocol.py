"""Slow, obvious versions of the fast ways of `ingest.telemetry` with line protocol."""

import math

from ingest.telemetry import Series, TelemetryBatch
from ingest.telemetry.lines import parse_line


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


def decode_one_by_one(
    body: bytes, ns_per_tick: int, received_at_ns: int
) -> tuple[list[tuple[int, Series, int, str, int]], list[tuple[int, str]]]:
    """Every line by itself: samples with the number of their line, and reasons with theirs."""
    samples, reasons = [], []
    for number, raw in enumerate(body.split(b"\n"), start=1):
        line = raw.removesuffix(b"\r").lstrip(b" \t")
        if not line or line.startswith(b"#"):
            continue
        taken, faults = parse_line(line, ns_per_tick, received_at_ns)
        samples += [
            (number, one.series, one.time_ns, repr(one.value), int(one.quality)) for one in taken
        ]
        reasons += [(number, fault.reason) for fault in faults]
    return samples, reasons


def parse_by_character(body: bytes) -> list[tuple[str, dict[str, str], dict[str, object], int]]:
    """Any legal line protocol, one character after the other, as a plain program would."""
    found = []
    for line in body.decode().splitlines():
        words, word, is_escaped, is_quoted = [], "", False, False
        for character in line:
            if is_escaped:
                word, is_escaped = word + character, False
            elif character == "\\":
                is_escaped = True
            elif character == '"':
                is_quoted, word = not is_quoted, word + character
            elif character in ", =" and not is_quoted:
                words += [word, character]
                word = ""
            else:
                word += character
        words.append(word)
        measurement, position = words[0], 1
        tags: dict[str, str] = {}
        while words[position] == ",":
            tags[words[position + 1]] = words[position + 3]
            position += 4
        fields: dict[str, object] = {}
        while words[position] in {",", " "} and position + 2 < len(words):
            text = words[position + 3]
            fields[words[position + 1]] = _value_of(text)
            position += 4
        found.append((measurement, tags, fields, int(words[-1])))
    return found


def _value_of(text: str) -> object:
    if text.startswith('"'):
        return text[1:-1]
    if text in {"t", "T", "true", "True", "TRUE", "f", "F", "false", "False", "FALSE"}:
        return text[0] in "tT"
    return int(text[:-1]) if text[-1] in "iu" else float(text)


def read_decimal(text: bytes) -> float | None:
    """One decimal number without exponent, None for anything else."""
    unsigned = text.removeprefix(b"-")
    if unsigned.count(b".") > 1 or not unsigned.replace(b".", b"").isdigit():
        return None
    return float(text)


def number_texts(texts: list[bytes]) -> tuple[list[int], list[int]]:
    """The number of each text, and where each number is first given."""
    number_of: dict[bytes, int] = {}
    first = []
    for place, text in enumerate(texts):
        if text not in number_of:
            number_of[text] = len(number_of)
            first.append(place)
    return [number_of[text] for text in texts], first
