"""What machines show, a moment at a time: no moment may know of another."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from simulators.conditions import Conditions
from simulators.machines.kind import MachineKind

FloatArray = npt.NDArray[np.float64]


def levels_moment_by_moment(
    kind: MachineKind, conditions: Conditions, traits: FloatArray
) -> FloatArray:
    """Ask for every moment alone and put the answers side by side."""
    columns = []
    for at in range(len(conditions.time_h)):
        moment = slice(at, at + 1)
        alone = replace(
            conditions,
            time_h=conditions.time_h[moment],
            wear=conditions.wear[:, moment],
            load_ratio=conditions.load_ratio[moment],
            lagged_load_ratio=conditions.lagged_load_ratio[moment],
            ambient_c=conditions.ambient_c[moment],
            program=conditions.program[moment],
            is_idle=conditions.is_idle[moment],
        )
        columns.append(kind.levels(alone, traits)[:, 0])
    return np.array(columns).T


def steady(
    kind: MachineKind,
    wear: dict[str, float | FloatArray] | None = None,
    *,
    load: float | FloatArray = 1.0,
    warmth: float | FloatArray | None = None,
    ambient: float | FloatArray = 20.0,
    program: int = 1,
    is_idle: bool = False,
) -> dict[str, FloatArray]:
    """Signals by name of a usual unit that has been under one load for long."""
    by_mode = wear or {}
    unknown = set(by_mode) - {mode.key for mode in kind.modes}
    assert not unknown, unknown
    load = 0.0 if is_idle else load
    warmth = load if warmth is None else warmth
    rows = [by_mode.get(mode.key, 0.0) for mode in kind.modes]
    arrays = np.broadcast_arrays(np.zeros(1), load, warmth, ambient, *rows)
    _, load_ratio, lagged, ambient_c, *worn = [np.array(each, dtype=np.float64) for each in arrays]
    n_times = load_ratio.size
    conditions = Conditions(
        time_h=np.zeros(n_times),
        wear=np.array(worn),
        load_ratio=load_ratio,
        lagged_load_ratio=lagged,
        ambient_c=ambient_c,
        program=np.full(n_times, program, dtype=np.int64),
        is_idle=np.full(n_times, is_idle),
    )
    values = kind.levels(conditions, np.zeros(kind.n_traits))
    return dict(zip(kind.signals, values, strict=True))
