"""Plays recorded engines as live machines, and ends when every sample has been taken.

All engines end together, now; longer records begin earlier. Nothing is said to be done before
each OPC UA value has been acknowledged and each MQTT message taken by its subscriber.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from simulators.errors import DeliveryError, ScenarioError
from simulators.live.play import wait_for_listeners, wait_for_room
from simulators.live.stage import Stage
from simulators.progress import Progress
from simulators.reading import GOOD, NS_PER_H, NS_PER_S, Outlet, Protocol, Readings
from simulators.replay.business import CUSTOMER
from simulators.replay.cmapss import SIGNALS, Engine
from simulators.replay.mapping import Recording

EDGE_SITE: Final = "replay-cmapss"
RECORDED_SITE: Final = "replay-files"
SERVER: Final = "engines"

_TICK_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """Pace of a replay.

    Parameters
    ----------
    cycles_per_s : float
        Cycles of every engine played in one real second. [1/s]
    hours_per_cycle : float
        Machine time between cycles. [h]
    wait_s : float
        How long to wait for listeners, and for the last samples to be taken. [s]
    """

    cycles_per_s: float = 20.0
    hours_per_cycle: float = 1.0
    wait_s: float = 120.0

    def __post_init__(self) -> None:
        for option, value in (
            ("--cycles-per-s", self.cycles_per_s),
            ("--hours-per-cycle", self.hours_per_cycle),
            ("--wait-s", self.wait_s),
        ):
            if not value > 0:
                msg = f"{option}: {value:g} is not above 0; give a positive number"
                raise ScenarioError(msg)


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent of one engine.

    Parameters
    ----------
    outlet : Outlet
        The engine.
    n_cycles : int
        Moments.
    n_samples : int
        Values.
    """

    outlet: Outlet
    n_cycles: int
    n_samples: int


def outlets_of(engines: Sequence[Engine]) -> list[Outlet]:
    """Give each engine a protocol: the first half OPC UA, the rest MQTT.

    Parameters
    ----------
    engines : sequence of Engine
        Engines to play.

    Returns
    -------
    list of Outlet
        In the same order.
    """
    n_opcua = (len(engines) + 1) // 2
    return [
        Outlet(
            machine=engine.machine,
            kind=engine.kind,
            site=EDGE_SITE,
            customer=CUSTOMER,
            protocol="opcua" if number < n_opcua else "mqtt",
            server=SERVER if number < n_opcua else "",
            signals=SIGNALS,
        )
        for number, engine in enumerate(engines)
    ]


def outlets_for(recordings: Sequence[Recording], protocol: Protocol) -> list[Outlet]:
    """Say how recorded machines are seen.

    Parameters
    ----------
    recordings : sequence of Recording
        The machines.
    protocol : {"opcua", "mqtt"}
        What they speak.

    Returns
    -------
    list of Outlet
        In the same order.
    """
    return [
        Outlet(
            machine=recording.machine,
            kind=recording.kind,
            site=RECORDED_SITE,
            customer=CUSTOMER,
            protocol=protocol,
            server=SERVER if protocol == "opcua" else "",
            signals=recording.signals,
        )
        for recording in recordings
    ]


def on_the_clock(readings: Readings, *, now_ns: int, stretch: float = 1.0) -> Readings:
    """Move a record so that it ends now.

    Parameters
    ----------
    readings : Readings
        Samples at the times of the record.
    now_ns : int
        Its last sample is the last whole second by then. [ns since 1970-01-01 UTC]
    stretch : float
        How many times longer it is to last than it did.

    Returns
    -------
    Readings
        The same samples.
    """
    end_ns = now_ns // NS_PER_S * NS_PER_S
    before_ns = np.round((readings.time_ns[-1] - readings.time_ns) * stretch).astype(np.int64)
    return Readings(end_ns - before_ns, readings.values, readings.quality)


def readings_of(engine: Engine, *, now_ns: int, hours_per_cycle: float) -> Readings:
    """Put an engine's record on the clock.

    Parameters
    ----------
    engine : Engine
        The record.
    now_ns : int
        Its last cycle is the last whole second by then. [ns since 1970-01-01 UTC]
    hours_per_cycle : float
        Time between cycles. [h]

    Returns
    -------
    Readings
        One row for each cycle, all good.
    """
    n_cycles = len(engine.values)
    end_ns = now_ns // NS_PER_S * NS_PER_S
    cycle_ns = round(hours_per_cycle * NS_PER_H)
    time_ns = end_ns - cycle_ns * np.arange(n_cycles - 1, -1, -1, dtype=np.int64)
    return Readings(time_ns, engine.values, np.full(engine.values.shape, GOOD, dtype=np.uint8))


async def replay(
    stage: Stage,
    records: Sequence[Readings],
    settings: ReplaySettings,
    progress: Progress,
    stop: asyncio.Event,
    beside: Callable[[int], None] | None = None,
) -> list[Sent]:
    """Play engines to the end of their records.

    Parameters
    ----------
    stage : Stage
        The servers, started.
    records : sequence of Readings
        What to play, in the order of the stage's outlets.
    settings : ReplaySettings
        How fast.
    progress : Progress
        Where to say how far it is.
    stop : asyncio.Event
        Ends the play early.
    beside : callable, optional
        Called with the number of each step, from 0, when its samples have been handed over.

    Returns
    -------
    list of Sent
        What was sent; every value of it has been taken.

    Raises
    ------
    DeliveryError
        If nobody listens, or samples were not taken, or the play was stopped early.
    """
    await wait_for_listeners(stage, progress, stop, timeout_s=settings.wait_s)
    progress.say("every node and topic is subscribed to; replay begins")
    n_steps = max(len(record) for record in records)
    began_s = time.monotonic()
    for step in range(n_steps):
        await wait_for_room(stage, progress, stop, timeout_s=settings.wait_s)
        if stop.is_set():
            msg = f"replay stopped after {step} of {n_steps} cycles"
            raise DeliveryError(msg)
        await _send_step(stage, records, n_steps - step)
        if beside is not None:
            beside(step)
        progress.show(f"  cycle {step + 1} of {n_steps}")
        ahead_s = began_s + (step + 1) / settings.cycles_per_s - time.monotonic()
        await asyncio.sleep(max(0.0, ahead_s))
    await _wait_until_taken(stage, settings.wait_s, stop)
    return [
        Sent(outlet, len(record), record.values.size)
        for outlet, record in zip(stage.outlets, records, strict=True)
    ]


async def _send_step(stage: Stage, records: Sequence[Readings], n_left: int) -> None:
    """Send the cycle that has `n_left - 1` cycles after it, of engines whose record has it."""
    for outlet, record in zip(stage.outlets, records, strict=True):
        row = len(record) - n_left
        if row >= 0:
            await stage.send(outlet, record.moment(row))


async def _wait_until_taken(stage: Stage, patience_s: float, stop: asyncio.Event) -> None:
    """Wait until nothing is under way; patience starts anew whenever something is taken.

    Raises
    ------
    DeliveryError
        If patience ends first, or something was lost on the way.
    """
    fewest, since_s = stage.under_way().n_waiting, time.monotonic()
    while (under_way := stage.under_way()).n_waiting and not stop.is_set():
        if under_way.n_waiting < fewest:
            fewest, since_s = under_way.n_waiting, time.monotonic()
        if time.monotonic() - since_s > patience_s:
            break
        await asyncio.sleep(_TICK_S)
    if under_way.n_waiting or under_way.n_lost:
        msg = (
            f"{under_way.n_waiting} values and messages were sent but not taken, and "
            f"{under_way.n_lost} went down with their subscription; see what the edge agent says, "
            "then replay again: samples already stored are not doubled by that"
        )
        raise DeliveryError(msg)
