"""Our own JSON form: one time, and the values of one machine by their signals.

What is as it should be takes the fast way: the signals of a message are looked up as a whole, for
machines send the same ones each time. Anything else is taken apart value by value, so that what
can be read is kept and what can't is named.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from edge_agent.errors import PayloadError
from edge_agent.records import Priority
from edge_agent.sources.mqtt_reading import Message, Reading, check_size, joined, machine_named
from ingest.telemetry import Quality, Series, TelemetryBatch, is_legal_name, unit_of

MAX_SHAPES: Final = 4096
"""Sets of signals that are remembered; a machine has one or a few."""

_MAX_TIME_NS: Final = 2**63 - 1
_KEYS: Final = frozenset({"time_ns", "values", "quality"})
_QUALITIES: Final = frozenset(int(quality) for quality in Quality)
_NUMBERS: Final = frozenset({int, float, bool, type(None)})
_SHAPE: Final = 'send {"time_ns": 1700000000000000000, "values": {"vibration_mm_s": 2.3}}'


@dataclass(slots=True)
class OwnJsonReader:
    """Reads our own JSON form.

    Parameters
    ----------
    site : str
        Site of the machines.
    machine : str or None
        Machine, where the topic names none.
    priority : {"raw", "alarm"}
        Of all samples.
    """

    site: str
    machine: str | None
    priority: Priority
    _series_of: dict[tuple[str, ...], tuple[Series, ...]] = field(default_factory=dict)

    def read(self, message: Message, places: Mapping[str, str]) -> Reading:
        """Read one message; see `edge_agent.sources.mqtt_reading.Reader`.

        Parameters
        ----------
        message : Message
            The message.
        places : mapping of str to str
            What the topic says.

        Returns
        -------
        Reading
            Its samples, and what is wrong with the rest.
        """
        machine = machine_named(places, self.machine)
        document = load_object(message.payload)
        batch, fault = self._whole(document, machine), None
        if batch is None:
            batch, fault = read_document(document, self.site, machine)
        return Reading(((self.priority, batch),) if len(batch) else (), fault)

    def _whole(self, document: dict[str, Any], machine: str) -> TelemetryBatch | None:
        """Take a message in which nothing is wrong; None if something may be."""
        time_ns, values = document.get("time_ns"), document.get("values")
        if (
            type(time_ns) is not int
            or not 0 < time_ns <= _MAX_TIME_NS
            or type(values) is not dict
            or not values
            or not document.keys() <= _KEYS
            or not _NUMBERS.issuperset(map(type, values.values()))
        ):
            return None
        signals = tuple(values)
        series = self._series_of.get((machine, *signals)) or self._learn(machine, signals)
        quality = _qualities(signals, document.get("quality"))
        if series is None or quality is None:
            return None
        numbers = list(values.values())
        is_null = [number is None for number in numbers]
        if any(is_null):
            numbers = [math.nan if number is None else number for number in numbers]
        try:
            value = np.array(numbers, dtype=np.float64)
        except OverflowError:
            return None
        if any(is_null):
            quality[is_null] = Quality.BAD
            if not np.isfinite(value[~np.array(is_null)]).all():
                return None
        elif not np.isfinite(value).all():
            return None
        return TelemetryBatch(
            series,
            np.arange(len(series), dtype=np.uint32),
            np.full(len(series), time_ns, dtype=np.int64),
            value,
            quality,
        )

    def _learn(self, machine: str, signals: tuple[str, ...]) -> tuple[Series, ...] | None:
        if not all(is_legal_name(signal) and unit_of(signal) for signal in signals):
            return None
        if len(self._series_of) >= MAX_SHAPES:
            self._series_of.clear()
        series = tuple(Series(self.site, machine, signal) for signal in signals)
        self._series_of[machine, *signals] = series
        return series


def _qualities(signals: tuple[str, ...], told: object) -> "np.ndarray[Any, Any] | None":
    if told is None:
        return np.zeros(len(signals), dtype=np.uint8)
    if not isinstance(told, dict) or not told.keys() <= set(signals):
        return None
    if not all(type(quality) is int and quality in _QUALITIES for quality in told.values()):
        return None
    return np.array([told.get(signal, 0) for signal in signals], dtype=np.uint8)


def read_document(
    document: dict[str, Any], site: str, machine: str
) -> tuple[TelemetryBatch, str | None]:
    """Read a message value by value.

    Parameters
    ----------
    document : dict
        The message.
    site, machine : str
        Where it comes from; both are known from the settings and the topic, never the payload.

    Returns
    -------
    batch : TelemetryBatch
        Samples that could be read.
    fault : str or None
        What could not.

    Raises
    ------
    PayloadError
        If nothing of it can be read.
    """
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
    return batch, joined(faults)


def load_object(payload: bytes) -> dict[str, Any]:
    """Read a payload as a JSON object.

    Parameters
    ----------
    payload : bytes
        What was published.

    Returns
    -------
    dict
        The object.

    Raises
    ------
    PayloadError
        If it is none, or too large.
    """
    document = load_json(payload, _SHAPE)
    if not isinstance(document, dict):
        msg = f"JSON, but no object; {_SHAPE}"
        raise PayloadError(msg)
    return document


def load_json(payload: bytes, remedy: str) -> object:
    """Read a payload as JSON.

    Parameters
    ----------
    payload : bytes
        What was published.
    remedy : str
        What to send instead.

    Returns
    -------
    object
        What it says.

    Raises
    ------
    PayloadError
        If it is no JSON, or too large.
    """
    check_size(payload)
    try:
        document: object = json.loads(payload)
    except UnicodeDecodeError as error:
        msg = f"not UTF-8: {error}; {remedy}"
        raise PayloadError(msg) from error
    except (ValueError, RecursionError) as error:
        msg = f"not JSON: {error}; {remedy}"
        raise PayloadError(msg) from error
    return document


def number_of(value: object, name: str) -> float:
    """Read a JSON value as a number.

    Parameters
    ----------
    value : object
        What was sent; booleans count as 1 and 0.
    name : str
        What it is called, for the message.

    Returns
    -------
    float
        The number.

    Raises
    ------
    PayloadError
        If it is no number, or not finite.
    """
    if not isinstance(value, int | float):
        msg = f"{name} is no number"
        raise PayloadError(msg)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        msg = f"{name} is not finite; send null where there is no value"
        raise PayloadError(msg)
    return number


def _time_ns(document: Mapping[str, object]) -> int:
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
    return number_of(value, signal), quality
