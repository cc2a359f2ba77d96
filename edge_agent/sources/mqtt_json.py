"""JSON of any shape, mapped to samples by the paths in the settings.

Who it is about is never taken from the payload: site and machine come from the settings and the
topic, signals from the settings or the topic.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from edge_agent.errors import PayloadError
from edge_agent.json_path import Absent, JsonPath, parse_path
from edge_agent.records import Priority
from edge_agent.settings_mqtt import MqttTopicSettings
from edge_agent.sources.mqtt_payload import load_json, number_of
from edge_agent.sources.mqtt_reading import (
    Message,
    Reading,
    joined,
    machine_named,
    split_by_priority,
)
from ingest.telemetry import Quality, Series, TelemetryBatch, is_legal_name, unit_of

NS_PER_UNIT: Final = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
MAX_TIME_NS: Final = 2**63 - 1

MAX_SAMPLES: Final = 100_000
"""Entries of the list of samples; a payload of a megabyte has no more that are worth reading."""

MAX_PLANS: Final = 4096
"""Machines and signals named by topics that are remembered."""

_NUMBERS: Final = frozenset({int, float, bool})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_REMEDY: Final = "send what the settings of this topic describe"


class _Wanted(NamedTuple):
    """One value that the settings ask for."""

    value: JsonPath
    quality: JsonPath | None
    series: Series
    text: str


class _Plan(NamedTuple):
    """What is taken from the messages of one topic."""

    wanted: tuple[_Wanted, ...]
    series: tuple[Series, ...]
    rows: tuple[int, ...]
    has_own_quality: bool
    priority_of: Mapping[Series, Priority]


@dataclass(slots=True)
class _Columns:
    """Samples as they are found, column by column."""

    index: list[int] = field(default_factory=list)
    time_ns: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    quality: list[int] = field(default_factory=list)

    def add(self, index: Sequence[int], time_ns: int, value: Sequence[float], quality: int) -> None:
        """Take values of one moment and quality."""
        self.index += index
        self.time_ns += [time_ns] * len(index)
        self.value += value
        self.quality += [quality] * len(index)


@dataclass(slots=True)
class MappedJsonReader:
    """Reads JSON by the paths of the settings.

    Parameters
    ----------
    site : str
        Site of the machines.
    settings : MqttTopicSettings
        Of a family of topics with the format ``json``.
    """

    site: str
    settings: MqttTopicSettings
    _time: JsonPath | None = field(init=False)
    _samples: JsonPath | None = field(init=False)
    _quality: JsonPath | None = field(init=False)
    _value: JsonPath = field(init=False)
    _plans: dict[tuple[str, ...], _Plan] = field(default_factory=dict)

    def __post_init__(self) -> None:
        settings = self.settings
        self._time = None if settings.time is None else parse_path(settings.time)
        self._samples = None if settings.samples is None else parse_path(settings.samples)
        self._quality = None if settings.quality is None else parse_path(settings.quality)
        self._value = (
            JsonPath((), is_from_root=False)
            if settings.value is None
            else parse_path(settings.value)
        )

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

        Raises
        ------
        PayloadError
            If nothing of it can be read.
        """
        if message.is_retained and self._time is None:
            # The broker's last value, of which nobody knows when it was measured.
            return Reading(())
        plan = self._plan(places)
        root = load_json(message.payload, _REMEDY)
        columns, faults = _Columns(), list[str]()
        for number, sample in enumerate(self._samples_in(root)):
            where = "" if self._samples is None else f"sample {number}: "
            try:
                time_ns = self._time_ns(root, sample, message)
            except PayloadError as error:
                faults.append(f"{where}{error}")
                continue
            if not self._take_whole(plan, root, sample, time_ns, columns):
                wrong = self._take_each(plan, root, sample, time_ns, columns)
                faults += [f"{where}{fault}" for fault in wrong]
        if not columns.index:
            raise PayloadError(joined(faults) or "its list of samples is empty")
        batch = TelemetryBatch.of(
            plan.series, columns.index, columns.time_ns, columns.value, columns.quality
        )
        parts = split_by_priority(batch, self.settings.priority, plan.priority_of)
        return Reading(parts, joined(faults))

    def _take_whole(
        self, plan: _Plan, root: object, sample: object, time_ns: int, columns: _Columns
    ) -> bool:
        """Take a sample in which every value is there and a number; False if one may not be."""
        if plan.has_own_quality:
            return False
        try:
            values: list[Any] = [one.value.find(root, sample) for one in plan.wanted]
            if not _NUMBERS.issuperset(map(type, values)) or not math.isfinite(sum(values)):
                return False
            numbers = list(map(float, values))
        except (Absent, OverflowError):
            return False
        columns.add(plan.rows, time_ns, numbers, self._quality_at(self._quality, root, sample))
        return True

    def _take_each(
        self, plan: _Plan, root: object, sample: object, time_ns: int, columns: _Columns
    ) -> list[str]:
        """Take what can be taken of a sample, and say what can't."""
        faults: list[str] = []
        n_before = len(columns.index)
        for one, index in zip(plan.wanted, plan.rows, strict=True):
            try:
                told = one.value.find(root, sample)
                quality = self._quality_at(one.quality, root, sample)
                if told is None:
                    value, quality = math.nan, int(Quality.BAD)
                else:
                    value = number_of(told, one.text)
            except Absent:
                continue
            except PayloadError as error:
                faults.append(str(error))
                continue
            columns.add((index,), time_ns, (value,), quality)
        if len(columns.index) == n_before and not faults:
            paths = ", ".join(one.text for one in plan.wanted[:3])
            faults.append(f"nothing stands at {paths}{' …' if plan.wanted[3:] else ''}")
        return faults

    def _plan(self, places: Mapping[str, str]) -> _Plan:
        key = tuple(places.values())
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            plan = self._plans[key] = self._new_plan(places)
        return plan

    def _new_plan(self, places: Mapping[str, str]) -> _Plan:
        wanted, priority_of = [], dict[Series, Priority]()
        if not self.settings.signals:
            machine, signal = machine_named(places, self.settings.machine), places["signal"]
            if not is_legal_name(signal) or unit_of(signal) is None:
                msg = f"the topic names the signal {signal!r}, which ends in no known unit"
                raise PayloadError(msg)
            series = Series(self.site, machine, signal)
            wanted.append(_Wanted(self._value, self._quality, series, self.settings.value or "$"))
        for one in self.settings.signals:
            machine = one.machine or machine_named(places, self.settings.machine)
            series = Series(self.site, machine, one.signal)
            quality = self._quality if one.quality is None else parse_path(one.quality)
            wanted.append(_Wanted(parse_path(one.source), quality, series, one.source))
            if one.priority is not None:
                priority_of[series] = one.priority
        row_of: dict[Series, int] = {}
        index = tuple(row_of.setdefault(one.series, len(row_of)) for one in wanted)
        return _Plan(
            tuple(wanted),
            tuple(row_of),
            index,
            any(one.quality is not self._quality for one in wanted),
            priority_of,
        )

    def _samples_in(self, root: object) -> list[object]:
        if self._samples is None:
            return [root]
        try:
            found = self._samples.find(root, root)
        except Absent as error:
            msg = f"nothing stands at {self.settings.samples}; {_REMEDY}"
            raise PayloadError(msg) from error
        samples = found if isinstance(found, list) else [found]
        if len(samples) > MAX_SAMPLES:
            msg = f"{len(samples)} samples, at most {MAX_SAMPLES} are taken; send smaller messages"
            raise PayloadError(msg)
        return samples

    def _time_ns(self, root: object, sample: object, message: Message) -> int:
        if self._time is None:
            return message.received_at_ns
        try:
            told = self._time.find(root, sample)
        except Absent as error:
            msg = f"no time stands at {self.settings.time}"
            raise PayloadError(msg) from error
        time_ns = time_ns_of(told, self.settings.time_unit or "ms")
        if not 0 < time_ns <= MAX_TIME_NS:
            msg = f"the time {told!r:.40} is not between 1970 and 2262; see that time_unit is right"
            raise PayloadError(msg)
        return time_ns

    def _quality_at(self, path: JsonPath | None, root: object, sample: object) -> int:
        if path is None:
            return int(Quality.GOOD)
        try:
            return int(self._quality_of(path.find(root, sample)))
        except Absent:
            # A device that tells its quality only when something is wrong.
            return int(Quality.GOOD)

    def _quality_of(self, told: object) -> Quality:
        if _is_among(told, self.settings.quality_good):
            return Quality.GOOD
        if _is_among(told, self.settings.quality_uncertain):
            return Quality.UNCERTAIN
        return Quality.BAD


def time_ns_of(told: object, unit: str) -> int:
    """Read a time.

    Parameters
    ----------
    told : object
        A number, or text where the unit is ``iso8601``.
    unit : {"s", "ms", "us", "ns", "iso8601"}
        Its unit.

    Returns
    -------
    int
        Nanoseconds since 1970-01-01 UTC.

    Raises
    ------
    PayloadError
        If it is no such time.

    Examples
    --------
    >>> time_ns_of(1.5, "s"), time_ns_of("1970-01-01T01:00:00.25+01:00", "iso8601")
    (1500000000, 250000000)
    """
    if unit == "iso8601":
        if not isinstance(told, str):
            msg = f"the time {told!r:.40} is no text like 2026-11-29T10:00:00Z"
            raise PayloadError(msg)
        try:
            moment = datetime.fromisoformat(told)
        except ValueError as error:
            msg = f"the time {told!r:.40} is not like 2026-11-29T10:00:00Z"
            raise PayloadError(msg) from error
        if moment.tzinfo is None:
            msg = f"the time {told!r:.40} has no zone; send it with Z or an offset such as +01:00"
            raise PayloadError(msg)
        return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
    if isinstance(told, bool) or not isinstance(told, int | float):
        msg = f"the time {told!r:.40} is no number"
        raise PayloadError(msg)
    if isinstance(told, int):
        return told * NS_PER_UNIT[unit]
    if not math.isfinite(told):
        msg = f"the time {told} is not finite"
        raise PayloadError(msg)
    whole = math.floor(told)
    return whole * NS_PER_UNIT[unit] + round((told - whole) * NS_PER_UNIT[unit])


def _is_among(told: object, known: tuple[str | int | bool, ...]) -> bool:
    # 1 == True in Python, but not in JSON.
    return any(told == one and isinstance(told, bool) == isinstance(one, bool) for one in known)
