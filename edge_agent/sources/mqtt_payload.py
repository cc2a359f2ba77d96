"""From an MQTT message to columns: what can be read is kept, what can't is named.

Plain functions of the payload; nothing here knows of connections.
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from edge_agent.errors import PayloadError
from edge_agent.settings import MACHINE_PLACE
from ingest.telemetry import Quality, Series, TelemetryBatch, is_legal_name, unit_of

MAX_PAYLOAD_BYTES: Final = 1_000_000
"""One message is a moment of one machine; a megabyte of it is a mistake or an attack."""

MAX_FAULTS_TOLD: Final = 5
_MAX_TIME_NS: Final = 2**63 - 1
_KEYS: Final = frozenset({"time_ns", "values", "quality"})
_QUALITIES: Final = frozenset(int(quality) for quality in Quality)
_SHAPE: Final = 'send {"time_ns": 1700000000000000000, "values": {"vibration_mm_s": 2.3}}'


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What one message held.

    Parameters
    ----------
    batch : TelemetryBatch
        Samples that could be read; may be empty.
    fault : str or None
        What could not, in one line; None if all of it could.
    """

    batch: TelemetryBatch
    fault: str | None


def machine_pattern(topic: str) -> re.Pattern[str]:
    """Regular expression that finds the machine in a topic.

    Parameters
    ----------
    topic : str
        Topic of the settings, with ``{machine}`` as one of its levels.

    Returns
    -------
    re.Pattern
        Its group 1 is the machine's level.

    Examples
    --------
    >>> machine_pattern("plant/{machine}/telemetry").fullmatch("plant/press-04/telemetry")[1]
    'press-04'
    """
    before, _, after = topic.partition(MACHINE_PLACE)
    return re.compile(f"{re.escape(before)}([^/]*){re.escape(after)}")


def parse_payload(payload: bytes, site: str, machine: str) -> Reading:
    """Read one message.

    Parameters
    ----------
    payload : bytes
        JSON as the settings describe it.
    site, machine : str
        Where it comes from; both are known from the settings and the topic, never the payload.

    Returns
    -------
    Reading
        Its samples, and what is wrong with the rest.

    Raises
    ------
    PayloadError
        If nothing of it can be read.
    """
    if not is_legal_name(machine):
        msg = f"the topic names the machine {machine!r}, which is not a legal name"
        raise PayloadError(msg)
    if len(payload) > MAX_PAYLOAD_BYTES:
        msg = f"{len(payload)} bytes, at most {MAX_PAYLOAD_BYTES} are taken; send smaller messages"
        raise PayloadError(msg)
    document = _document(payload)
    time_ns, values = _time_ns(document), document.get("values")
    if not isinstance(values, dict) or not values:
        msg = f"values is missing or no object with signals; {_SHAPE}"
        raise PayloadError(msg)
    qualities = document.get("quality", {})
    if not isinstance(qualities, dict):
        msg = f"quality is no object with signals; {_SHAPE}, or leave it out"
        raise PayloadError(msg)
    faults = [f"unknown key {key!r}" for key in document if key not in _KEYS]
    faults += [f"quality of {key!r}, which has no value" for key in qualities if key not in values]
    series: list[Series] = []
    samples: list[tuple[float, int]] = []
    for signal, value in values.items():
        try:
            samples.append(_sample(signal, value, qualities.get(signal, int(Quality.GOOD))))
            series.append(Series(site, machine, signal))
        except PayloadError as error:
            faults.append(str(error))
    batch = TelemetryBatch.of(
        series,
        range(len(series)),
        [time_ns] * len(series),
        [value for value, _ in samples],
        [quality for _, quality in samples],
    )
    return Reading(batch, _joined(faults))


def _document(payload: bytes) -> dict[str, Any]:
    try:
        document = json.loads(payload)
    except UnicodeDecodeError as error:
        msg = f"not UTF-8: {error}; {_SHAPE}"
        raise PayloadError(msg) from error
    except (ValueError, RecursionError) as error:
        msg = f"not JSON: {error}; {_SHAPE}"
        raise PayloadError(msg) from error
    if not isinstance(document, dict):
        msg = f"JSON, but no object; {_SHAPE}"
        raise PayloadError(msg)
    return document


def _time_ns(document: dict[str, Any]) -> int:
    time_ns = document.get("time_ns")
    if type(time_ns) is not int or not 0 < time_ns <= _MAX_TIME_NS:
        msg = "time_ns is missing or no count of nanoseconds since 1970; send a whole number"
        raise PayloadError(msg)
    return time_ns


def _sample(signal: str, value: object, quality: object) -> tuple[float, int]:
    if not is_legal_name(signal) or unit_of(signal) is None:
        msg = f"signal {signal!r} ends in no known unit"
        raise PayloadError(msg)
    if type(quality) is not int or quality not in _QUALITIES:
        msg = f"quality of {signal} is none of 0, 1, 2"
        raise PayloadError(msg)
    if value is None:
        return math.nan, Quality.BAD
    if not isinstance(value, int | float):
        msg = f"{signal} is no number"
        raise PayloadError(msg)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        msg = f"{signal} is not finite; send null where there is no value"
        raise PayloadError(msg)
    return number, quality


def _joined(faults: Sequence[str]) -> str | None:
    if not faults:
        return None
    more = len(faults) - MAX_FAULTS_TOLD
    return "; ".join(faults[:MAX_FAULTS_TOLD]) + (f"; and {more} more" if more > 0 else "")
