"""Telemetry of simulated machines, one sample of one signal after the other."""

import numpy as np

from simulators.chance import chance
from simulators.conditions import conditions_of
from simulators.plant.lives import MachineLives
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


def state(lives: MachineLives, time_h: float) -> tuple[list[float], bool]:
    """Wear of each mode and whether the machine stands, at one time."""
    runs = lives.until(time_h + 1.0)
    n_modes = len(runs[0].components) if runs else len(lives.until(1e9)[0].components)
    for run in runs:
        if run.started_h <= time_h < run.resumed_h:
            age_of = min(time_h, run.stopped_h)
            wear = [float(c.wear_at(np.array([age_of]))[0]) for c in run.components]
            return wear, time_h >= run.stopped_h
    return [0.0] * n_modes, False


def noise(
    seed: int, machine: str, time_ns: list[int], step_s: int, n_signals: int
) -> list[list[float]]:
    """Noise of each time, from its block drawn anew; shape (n_times, n_signals)."""
    rows = []
    for at_ns in time_ns:
        block, row = divmod(at_ns // (step_s * 10**9), BLOCK)
        rng = chance(seed, machine, "noise", step_s, block)
        drawn = rng.standard_normal((n_signals, BLOCK), dtype=np.float32)
        rows.append([float(drawn[signal, row]) for signal in range(n_signals)])
    return rows
