"""Ground truth of a simulated plant: written to a file of its own, never through telemetry.

One JSON object per line. ``{"fact": "life", …}`` tells when one life of a machine began, when
wear set in, when it fails, of what, and when it runs again. ``{"fact": "wear", …}`` gives true wear
and true remaining life along the way. Lives reach into the future: a plant left alone will do
what is written there.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from simulators.plant.machine import SimulatedMachine
from simulators.reading import NS_PER_H, NS_PER_S

WEAR_STEP_H: Final = 12.0
LOOK_AHEAD_DAYS: Final = 60.0
"""How far past now lives are written down. [days]"""


def write_truth(
    path: Path, machines: Sequence[SimulatedMachine], *, start_ns: int, now_ns: int
) -> None:
    """Write down what the machines will do.

    Parameters
    ----------
    path : Path
        File to write; an older one is replaced.
    machines : sequence of SimulatedMachine
        The plant.
    start_ns, now_ns : int
        When play begins, and now. [ns since 1970-01-01 UTC]
    """
    lines = [
        json.dumps(fact)
        for machine in machines
        for fact in facts_of(machine, start_ns=start_ns, now_ns=now_ns)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def facts_of(machine: SimulatedMachine, *, start_ns: int, now_ns: int) -> Iterator[dict[str, Any]]:
    """All that is true of one machine.

    Parameters
    ----------
    machine : SimulatedMachine
        The machine.
    start_ns, now_ns : int
        When play begins, and now. [ns since 1970-01-01 UTC]

    Yields
    ------
    dict
        Its lives first, then its wear along the way.
    """
    end_h = now_ns / NS_PER_H + 24.0 * LOOK_AHEAD_DAYS
    lives = machine.lives.until(end_h)
    for life in lives:
        yield {
            "fact": "life",
            "machine": machine.outlet.machine,
            "kind": machine.outlet.kind,
            "mode": machine.kind.modes[0].key,
            "started_at": _iso(life.started_h),
            "onset_at": _iso(life.onset_h),
            "failed_at": _iso(life.failed_h),
            "repaired_at": _iso(life.repaired_h),
        }
    for life in lives:
        first_h = max(life.started_h, start_ns / NS_PER_H)
        time_h = np.arange(first_h, life.failed_h, WEAR_STEP_H)
        for at_h, wear in zip(time_h, life.wear_at(time_h), strict=True):
            yield {
                "fact": "wear",
                "machine": machine.outlet.machine,
                "at": _iso(float(at_h)),
                "wear": round(float(wear), 6),
                "remaining_useful_life_h": round(life.failed_h - float(at_h), 3),
            }


def _iso(time_h: float) -> str:
    moment = datetime.fromtimestamp(round(time_h * NS_PER_H) / NS_PER_S, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
