"""Plays a plant: asks the clock what is due, the machines what they measure, and sends it.

While history is played, the play waits for whoever listens, so that fast play loses nothing.
From now on it waits for nobody: a real machine does not either.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from simulators.errors import DeliveryError
from simulators.live.clock import Due, PlantClock
from simulators.live.stage import Stage
from simulators.live.trouble import Trouble
from simulators.plant.machine import SimulatedMachine
from simulators.progress import Progress
from simulators.reading import NS_PER_H, NS_PER_S, Moment, Outlet, Readings

_TICK_S: Final = 0.02
_PATIENCE_S: Final = 10.0


async def wait_for_listeners(
    stage: Stage, progress: Progress, stop: asyncio.Event, *, timeout_s: float | None
) -> None:
    """Wait until every node and topic is subscribed to.

    Parameters
    ----------
    stage : Stage
        The servers.
    progress : Progress
        Where to say so.
    stop : asyncio.Event
        Ends the waiting.
    timeout_s : float or None
        How long to wait; None for ever. [s]

    Raises
    ------
    DeliveryError
        If time is up.
    """
    progress.say(f"waiting for an edge agent to subscribe to {stage.n_channels} nodes and topics")
    began_s = time.monotonic()
    while (unheard := stage.unheard()) and not stop.is_set():
        if timeout_s is not None and time.monotonic() - began_s > timeout_s:
            msg = (
                f"{len(unheard)} of {stage.n_channels} nodes and topics have no subscriber after "
                f"{timeout_s:g} s, such as {unheard[0]}; start `staybolt-edge run --config "
                "edge.toml` and see what it says"
            )
            raise DeliveryError(msg)
        progress.show(f"  {len(unheard)} nodes and topics not yet subscribed to")
        await asyncio.sleep(_TICK_S)


async def wait_for_room(
    stage: Stage, progress: Progress, stop: asyncio.Event, *, timeout_s: float | None
) -> None:
    """Wait until listeners have taken enough for more to be sent.

    Parameters
    ----------
    stage : Stage
        The servers.
    progress : Progress
        Where to say that it takes long.
    stop : asyncio.Event
        Ends the waiting.
    timeout_s : float or None
        How long to wait; None for ever. [s]

    Raises
    ------
    DeliveryError
        If time is up.
    """
    began_s = time.monotonic()
    has_spoken = False
    while not stop.is_set():
        under_way = stage.under_way()
        if under_way.has_room and not stage.unheard():
            return
        waited_s = time.monotonic() - began_s
        if timeout_s is not None and waited_s > timeout_s:
            msg = (
                f"nobody has taken the {under_way.n_waiting} values and messages under way for "
                f"{timeout_s:g} s; see what the edge agent says"
            )
            raise DeliveryError(msg)
        if not has_spoken and waited_s > _PATIENCE_S:
            progress.say("play rests until the edge agent takes what it was sent")
            has_spoken = True
        await asyncio.sleep(_TICK_S)


async def play_plant(
    stage: Stage,
    machines: Sequence[SimulatedMachine],
    clock: PlantClock,
    progress: Progress,
    stop: asyncio.Event,
    *,
    does_wait: bool,
    trouble: Trouble,
) -> None:
    """Play until told to stop.

    Parameters
    ----------
    stage : Stage
        The servers, started.
    machines : sequence of SimulatedMachine
        The plant.
    clock : PlantClock
        Its clock.
    progress : Progress
        Where to say how far it is.
    stop : asyncio.Event
        Ends the play.
    does_wait : bool
        Whether to wait for listeners before and during history.
    trouble : Trouble
        What goes wrong.
    """
    if does_wait:
        await wait_for_listeners(stage, progress, stop, timeout_s=None)
        if not stop.is_set():
            progress.say("every node and topic is subscribed to; play begins")
    film = _Film(machines, clock)
    began_s = time.monotonic()
    phase = ""
    while not stop.is_set():
        due = clock.due(time.monotonic() - began_s, time.time_ns())
        if due.phase != phase and due.phase == "live":
            progress.say(f"history is played ({time.monotonic() - began_s:.0f} s); live from now")
        phase = due.phase
        readings = film.readings(due, trouble)
        for row, time_ns in enumerate(due.time_ns.tolist()):
            if does_wait and due.phase != "live":
                await wait_for_room(stage, progress, stop, timeout_s=None)
            if stop.is_set():
                return
            for machine, read in zip(machines, readings, strict=True):
                trouble.courier.take(time_ns, machine.outlet, read.moment(row))
            for outlet, moment in trouble.courier.due(time_ns):
                await stage.send(outlet, moment)
            progress.show(f"  {due.phase}: {_iso(time_ns)}")
        await asyncio.sleep(_TICK_S)


class _Film:
    """Readings of all machines; history is worked out in one go, the present as it comes."""

    def __init__(self, machines: Sequence[SimulatedMachine], clock: PlantClock) -> None:
        self._machines = machines
        step_ns = clock.history_step_ns
        self._time_ns = np.arange(clock.start_ns, clock.now_ns + 1, step_ns, dtype=np.int64)
        self._step_ns = step_ns
        self._history = [machine.readings(self._time_ns, step_ns=step_ns) for machine in machines]

    def readings(self, due: Due, trouble: Trouble) -> list[Readings]:
        """Give what every machine measures, with faults of its sensors."""
        return [
            trouble.spoiled(machine, readings, step_ns=due.step_ns)
            for machine, readings in zip(self._machines, self._sound(due), strict=False)
        ]

    def _sound(self, due: Due) -> list[Readings]:
        if due.time_ns.size == 0:
            return []
        is_filmed = due.step_ns == self._step_ns and due.time_ns[-1] <= self._time_ns[-1]
        if not is_filmed:
            return [
                machine.readings(due.time_ns, step_ns=due.step_ns) for machine in self._machines
            ]
        rows = (due.time_ns - self._time_ns[0]) // self._step_ns
        return [_rows(readings, rows) for readings in self._history]


def _rows(readings: Readings, rows: npt.NDArray[np.int64]) -> Readings:
    return Readings(readings.time_ns[rows], readings.values[rows], readings.quality[rows])


def first_moments(machines: Sequence[SimulatedMachine], clock: PlantClock) -> dict[Outlet, Moment]:
    """Take what each machine shows when play begins.

    Parameters
    ----------
    machines : sequence of SimulatedMachine
        The plant.
    clock : PlantClock
        Its clock.

    Returns
    -------
    dict of Outlet to Moment
        In the order of the machines.
    """
    time_ns = np.array([clock.start_ns], dtype=np.int64)
    step_ns = clock.history_step_ns
    return {
        machine.outlet: machine.readings(time_ns, step_ns=step_ns).moment(0) for machine in machines
    }


def describe_clock(clock: PlantClock) -> dict[str, Any]:
    """Put a clock into words for plant.json.

    Parameters
    ----------
    clock : PlantClock
        The clock.

    Returns
    -------
    dict
        Its settings, and the machine times at which its phases begin.
    """
    slow_s = clock.settings.slow_days * 24 / clock.settings.slow_h_per_s
    fast_s = (clock.slow_from_ns - clock.start_ns) / NS_PER_H / clock.settings.fast_h_per_s
    return {
        **asdict(clock.settings),
        "plays_from": _iso(clock.start_ns),
        "slow_from": _iso(clock.slow_from_ns),
        "told_from": _iso(clock.now_ns),
        "history_takes_s": round(max(0.0, fast_s) + slow_s, 1),
    }


def _iso(time_ns: int) -> str:
    moment = datetime.fromtimestamp(time_ns / NS_PER_S, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
