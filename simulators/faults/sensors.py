"""Sensors that do not tell what is so: a broken sensor is not a broken machine.

A fault is a plain function of time, as the samples are: in whatever pieces samples are asked for,
the same ones are spoilt in the same way.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, assert_never, get_args

import numpy as np
import numpy.typing as npt

from simulators.chance import chance
from simulators.errors import ScenarioError
from simulators.reading import BAD, GOOD, NS_PER_H, NS_PER_S, UNCERTAIN, Readings

FloatArray = npt.NDArray[np.float64]
TimeArray = npt.NDArray[np.int64]

SensorFaultKind: TypeAlias = Literal[
    "drift", "stuck", "spikes", "dropout", "coarse", "not-a-number", "bad", "uncertain"
]
SENSOR_FAULT_KINDS: Final[tuple[SensorFaultKind, ...]] = get_args(SensorFaultKind)
WORDS: Final[dict[SensorFaultKind, str]] = {
    "drift": "its value runs away by `size` per hour",
    "stuck": "it repeats the value it had when the fault began",
    "spikes": "single values are off by `size`, one `every_h` on average",
    "dropout": "it gives nothing for `lasting_h`, `every_h` on average",
    "coarse": "it resolves steps of `size` only",
    "not-a-number": "single values are NaN though their status is good, one `every_h` on average",
    "bad": "its values come with status Bad",
    "uncertain": "its values come with status Uncertain",
}
"""What each fault is, for people."""

_NEEDS: Final[dict[SensorFaultKind, tuple[str, ...]]] = {
    "drift": ("size",),
    "spikes": ("size", "every_h"),
    "dropout": ("every_h", "lasting_h"),
    "coarse": ("size",),
    "not-a-number": ("every_h",),
}
HOLD_STEP_NS: Final = NS_PER_S
"""Grid of the times at which sensors get stuck; what they hold must not hang on how often they are
asked. [ns]"""

_LIMITS: Final[dict[str, tuple[float, float]]] = {
    "size": (1e-6, 1e9),
    "every_h": (1 / 3600, 87_660.0),
    "lasting_h": (1 / 3600, 744.0),
}
"""From a second to ten years between two of a kind, and to a month for each."""

_BLOCK: Final = 4096
_NS_PER_DAY: Final = 24 * NS_PER_H
_BLOCKS_KEPT: Final = 256


@dataclass(frozen=True, slots=True)
class SensorFault:
    """One fault of one sensor.

    Parameters
    ----------
    machine, signal : str
        Which sensor.
    kind : str
        What is wrong with it, one of `SENSOR_FAULT_KINDS`.
    from_ns, until_ns : int
        When; the end is not part of it. [ns since 1970-01-01 UTC]
    size : float or None
        How much, in the signal's unit; per hour for a drift.
    every_h : float or None
        Mean time between two of it. [h]
    lasting_h : float or None
        How long each lasts. [h]
    """

    machine: str
    signal: str
    kind: SensorFaultKind
    from_ns: int
    until_ns: int
    size: float | None = None
    every_h: float | None = None
    lasting_h: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in SENSOR_FAULT_KINDS:
            msg = f"fault {self.kind!r} is not known; choose among {', '.join(SENSOR_FAULT_KINDS)}"
            raise ScenarioError(msg)
        for name in _NEEDS.get(self.kind, ()):
            value = getattr(self, name)
            low, high = _LIMITS[name]
            # A drift may go down as well as up.
            size = abs(value) if self.kind == "drift" and value is not None else value
            if size is None or not low <= size <= high:
                given = "it is missing" if value is None else f"{value:g} is not"
                msg = (
                    f"fault {self.kind} of {self.machine} {self.signal}: give {name} from "
                    f"{low:.3g} to {high:g}; {given}"
                )
                raise ScenarioError(msg)
        if self.from_ns >= self.until_ns:
            msg = f"fault {self.kind} of {self.machine} {self.signal}: it ends before it begins"
            raise ScenarioError(msg)

    def fact(self) -> dict[str, Any]:
        """Put the fault into a line of the truth.

        Returns
        -------
        dict
            Its parameters; times in ns.
        """
        return {
            "fact": "sensor-fault",
            "machine": self.machine,
            "signal": self.signal,
            "fault": self.kind,
            "from_ns": self.from_ns,
            "until_ns": self.until_ns,
            "size": self.size,
            "every_h": self.every_h,
            "lasting_h": self.lasting_h,
        }


ReadAgain: TypeAlias = Callable[[int], float]
"""Gives the sound value of the faulty signal at a time in ns."""


def spoil(
    readings: Readings,
    signals: Sequence[str],
    faults: Sequence[SensorFault],
    *,
    seed: int,
    step_ns: int,
    read_again: Callable[[TimeArray], Readings],
) -> Readings:
    """Let a machine's sensors fail.

    Parameters
    ----------
    readings : Readings
        What sound sensors give.
    signals : sequence of str
        Names of the columns.
    faults : sequence of SensorFault
        Faults of this machine, applied one after the other.
    seed : int
        Seed of the plant.
    step_ns : int
        Grid that the times lie on. [ns]
    read_again : callable
        Gives what sound sensors would read at other times, each a multiple of `HOLD_STEP_NS`. Where
        samples lie on several grids, it must give the same for all of them.

    Returns
    -------
    Readings
        A copy where a fault is at work, else the readings themselves.
    """
    values, quality = readings.values, readings.quality
    for number, fault in enumerate(faults):
        is_at_work = (readings.time_ns >= fault.from_ns) & (readings.time_ns < fault.until_ns)
        if not is_at_work.any():
            continue
        if values is readings.values:
            values, quality = values.copy(), quality.copy()
        column = signals.index(fault.signal)
        at_work = np.flatnonzero(is_at_work)
        draw = _Draws(seed, fault, number, step_ns)
        told, status = _told(
            fault, readings.time_ns[at_work], values[at_work, column], quality[at_work, column],
            draw, lambda time_ns, column=column: float(  # type: ignore[misc]  # bound as it is now
                read_again(np.array([time_ns], dtype=np.int64)).values[0, column]
            ),
        )  # fmt: skip
        values[at_work, column], quality[at_work, column] = told, status
    return Readings(readings.time_ns, values, quality)


@dataclass(frozen=True, slots=True)
class _Draws:
    """Chance of one fault, by time."""

    seed: int
    fault: SensorFault
    number: int
    step_ns: int

    def uniform(self, time_ns: TimeArray) -> FloatArray:
        """Two uniform draws for each time, shape (2, n_times)."""
        point = time_ns // self.step_ns
        block = point // _BLOCK
        drawn = np.empty((2, time_ns.size))
        for each in np.unique(block).tolist():
            is_here = block == each
            whole = _uniform_block(
                self.seed, self.fault.machine, self.number, self.step_ns // NS_PER_S, each
            )
            drawn[:, is_here] = whole[:, point[is_here] - each * _BLOCK]
        return drawn

    def is_out(self, time_ns: TimeArray) -> npt.NDArray[np.bool_]:
        """Whether an outage covers each time."""
        assert self.fault.every_h is not None  # noqa: S101 - checked when the fault was made
        assert self.fault.lasting_h is not None  # noqa: S101 - checked when the fault was made
        lasting_ns = round(self.fault.lasting_h * NS_PER_H)
        first_day = int(time_ns.min() - lasting_ns) // _NS_PER_DAY
        last_day = int(time_ns.max()) // _NS_PER_DAY
        begins = np.sort(np.concatenate([
            _outages_of_day(self.seed, self.fault.machine, self.number, self.fault.every_h, day)
            for day in range(first_day, last_day + 1)
        ]))  # fmt: skip
        latest = np.searchsorted(begins, time_ns, side="right") - 1
        is_out = latest >= 0
        is_out[is_out] = time_ns[is_out] - begins[latest[is_out]] < lasting_ns
        return np.asarray(is_out, dtype=np.bool_)


@functools.lru_cache(maxsize=_BLOCKS_KEPT)
def _uniform_block(seed: int, machine: str, number: int, step_s: int, block: int) -> FloatArray:
    return chance(seed, machine, "fault", number, step_s, block).random((2, _BLOCK))


@functools.lru_cache(maxsize=_BLOCKS_KEPT)
def _outages_of_day(seed: int, machine: str, number: int, every_h: float, day: int) -> TimeArray:
    rng = chance(seed, machine, "fault", number, 0, day)
    begins_h = rng.uniform(0.0, 24.0, size=int(rng.poisson(24.0 / every_h)))
    return day * _NS_PER_DAY + np.round(begins_h * NS_PER_H).astype(np.int64)


def _told(
    fault: SensorFault,
    time_ns: TimeArray,
    value: FloatArray,
    quality: npt.NDArray[np.uint8],
    draw: _Draws,
    read_again: ReadAgain,
) -> tuple[FloatArray, npt.NDArray[np.uint8]]:
    """Give what the sensor tells instead; a machine that gives nothing still gives nothing."""
    size = fault.size if fault.size is not None else 0.0
    match fault.kind:
        case "drift":
            return value + size * (time_ns - fault.from_ns) / NS_PER_H, quality
        case "stuck":
            held = read_again(fault.from_ns // HOLD_STEP_NS * HOLD_STEP_NS)
            told = np.where(np.isnan(value), value, held)
            # If the machine stood still when it got stuck, there is nothing to repeat.
            return told, _marked(quality, np.isnan(told), BAD)
        case "spikes":
            happens, sign = draw.uniform(time_ns)
            is_hit = happens < draw.step_ns / ((fault.every_h or 1.0) * NS_PER_H)
            return value + np.where(is_hit, np.where(sign < 0.5, -size, size), 0.0), quality
        case "dropout":
            is_out = draw.is_out(time_ns)
            return np.where(is_out, np.nan, value), _marked(quality, is_out, BAD)
        case "coarse":
            return np.round(value / size) * size, quality
        case "not-a-number":
            happens, _ = draw.uniform(time_ns)
            is_hit = happens < draw.step_ns / ((fault.every_h or 1.0) * NS_PER_H)
            return np.where(is_hit & (quality == GOOD), np.nan, value), quality
        case "bad":
            return value, np.full_like(quality, BAD)
        case "uncertain":
            return value, _marked(quality, quality == GOOD, UNCERTAIN)
    assert_never(fault.kind)


def _marked(
    quality: npt.NDArray[np.uint8], is_marked: npt.NDArray[np.bool_], mark: int
) -> npt.NDArray[np.uint8]:
    return np.where(is_marked, np.uint8(mark), quality)
