"""Telemetry of simulated machines, one sample of one signal after the other."""

import numpy as np

from simulators.chance import chance
from simulators.conditions import conditions_of
from simulators.plant.machine import SimulatedMachine

KNOT_S = 600
BLOCK = 4096


def telemetry(machine: SimulatedMachine, time_ns: np.ndarray, step_s: int) -> np.ndarray:
    """Shape (n_signals, n_times), nan while the machine stands still."""
    kind = machine.kind
    samples = np.empty((len(kind.sensors), time_ns.size))
    for column, at_ns in enumerate(time_ns.tolist()):
        at_s = at_ns / 1e9
        _, standing = machine.lives.state_at(np.array([at_s / 3600]))
        before, share = divmod(at_s, KNOT_S)
        low, high = (level_at(machine, (before + knot) * KNOT_S / 3600) for knot in (0, 1))
        block, row = divmod(at_ns // (step_s * 10**9), BLOCK)
        rng = chance(machine.seed, machine.outlet.machine, "noise", step_s, block)
        noise = rng.standard_normal((len(kind.sensors), BLOCK), dtype=np.float32)[:, row]
        for number, sensor in enumerate(kind.sensors):
            level = low[number] + (high[number] - low[number]) * share / KNOT_S
            spread = sensor.noise_ratio * level + sensor.noise
            value = level + spread * float(noise[number])
            samples[number, column] = np.nan if standing[0] else value
    return samples


def level_at(machine: SimulatedMachine, time_h: float) -> np.ndarray:
    """Signals without noise at a knot."""
    times = np.array([time_h])
    wear, _ = machine.lives.state_at(times)
    conditions = conditions_of(
        machine.climate, machine.phase, times, wear,
        lag_h=machine.kind.thermal_lag_h, regime=machine.regime,
    )  # fmt: skip
    return machine.kind.levels(conditions, machine.traits)[:, 0]
