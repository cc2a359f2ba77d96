"""Ground truth of a simulated plant: written to a file of its own, never through telemetry.

One JSON object per line. ``{"fact": "life", …}`` tells when one run of a machine began, when wear
set in, when it fails, of what, and when it runs again; a run may also be ended by a planned visit.
A mode whose wear had not set in by then has a null onset.
``{"fact": "maintenance", …}`` tells what the service at its end did to the wear of each failure
mode. ``{"fact": "wear", …}`` gives true wear and true remaining life along the way. Runs reach
into the future: a plant left alone will do what is written there.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from simulators.plant.lives import Run
from simulators.plant.machine import SimulatedMachine
from simulators.reading import NS_PER_H, NS_PER_S

WEAR_STEP_H: Final = 12.0
LOOK_AHEAD_DAYS: Final = 60.0
"""How far past now lives are written down. [days]"""


def write_truth(
    path: Path,
    machines: Sequence[SimulatedMachine],
    *,
    start_ns: int,
    now_ns: int,
    faults: Sequence[dict[str, Any]] = (),
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
    faults : sequence of dict
        What is wrong with its sensors from the beginning.
    """
    lines = [
        json.dumps(fact)
        for machine in machines
        for fact in facts_of(machine, start_ns=start_ns, now_ns=now_ns)
    ]
    lines += [json.dumps(fault) for fault in faults]
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
        Its runs first, then its wear along the way.
    """
    end_h = now_ns / NS_PER_H + 24.0 * LOOK_AHEAD_DAYS
    modes = [mode.key for mode in machine.kind.modes]
    runs = machine.lives.until(end_h)
    for run in runs:
        failed = run.failed_mode
        onset_h = [component.onset_h for component in run.components]
        yield {
            "fact": "life",
            "machine": machine.outlet.machine,
            "kind": machine.outlet.kind,
            "ended_by": "planned-visit" if failed is None else "failure",
            "mode": None if failed is None else modes[failed],
            "started_at": _iso(run.started_h),
            "onset_at": _iso(min(onset_h) if failed is None else onset_h[failed]),
            "onset_at_by_mode": {
                mode: _iso(at_h) if at_h < run.stopped_h else None
                for mode, at_h in zip(modes, onset_h, strict=True)
            },
            "failed_at": _iso(run.stopped_h),
            "repaired_at": _iso(run.resumed_h),
        }
        following = machine.lives.after(run)
        yield {
            "fact": "maintenance",
            "machine": machine.outlet.machine,
            "at": _iso(run.resumed_h),
            "effect": run.service.effect,
            "wear_before": _by_mode(modes, run, run.stopped_h),
            "wear_after": _by_mode(modes, following, following.started_h),
        }
    for run in runs:
        first_h = max(run.started_h, start_ns / NS_PER_H)
        time_h = np.arange(first_h, run.stopped_h, WEAR_STEP_H)
        for at_h, wear in zip(time_h.tolist(), run.wear_at(time_h).T, strict=True):
            yield {
                "fact": "wear",
                "machine": machine.outlet.machine,
                "at": _iso(at_h),
                "wear": round(float(wear.max()), 6),
                "wear_by_mode": dict(zip(modes, np.round(wear, 6).tolist(), strict=True)),
                "remaining_useful_life_h": round(run.next_failure_h - at_h, 3),
            }


def _by_mode(modes: Sequence[str], run: Run, time_h: float) -> dict[str, float]:
    wear = run.wear_at(np.array([time_h]))[:, 0]
    return dict(zip(modes, np.round(wear, 6).tolist(), strict=True))


def _iso(time_h: float) -> str:
    moment = datetime.fromtimestamp(round(time_h * NS_PER_H) / NS_PER_S, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
