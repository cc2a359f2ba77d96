"""Telemetry of whole fleets made offline: straight to columns, or to Parquet.

The values are those that the same machines would send when played live, before rounding. Every
machine draws from its own sources of chance, so the number of processes changes nothing.
"""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from simulators.conditions import HOURS_PER_YEAR
from simulators.errors import ScenarioError
from simulators.machines import KINDS
from simulators.plant.machine import KNOT_NS, Role, SimulatedMachine, build_plant, spread_of
from simulators.plant.noise import NOISE_BLOCK, Float32Array, draw_noise
from simulators.plant.truth import write_truth
from simulators.reading import NS_PER_H, NS_PER_S, Outlet

_KNOT_S: Final = KNOT_NS // NS_PER_S
_LAST_NS: Final = 230 * round(HOURS_PER_YEAR) * NS_PER_H
"""Time is counted in 64 bits of ns, which end in 2262, and truth looks ahead. [ns]"""


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """Which machines to make telemetry of, and over what time.

    Parameters
    ----------
    roles : tuple of Role
        The machines.
    seed : int
        Zero or above.
    start_ns : int
        First sample, a multiple of `step_s`. [ns since 1970-01-01 UTC]
    days : float
        How long. [d]
    step_s : int
        Time between samples; divides ten minutes or is divided by them. [s]
    """

    roles: tuple[Role, ...]
    seed: int
    start_ns: int
    days: float
    step_s: int

    def __post_init__(self) -> None:
        if self.step_s <= 0 or (_KNOT_S % self.step_s and self.step_s % _KNOT_S):
            msg = (
                f"--step-s: {self.step_s} neither divides ten minutes nor is a multiple of them; "
                "give for example 1, 10, 60 or 600"
            )
            raise ScenarioError(msg)
        _check_days(self.days)
        if self.start_ns % (self.step_s * NS_PER_S):
            msg = f"start {self.start_ns} ns is not a multiple of the step of {self.step_s} s"
            raise ScenarioError(msg)
        if self.start_ns < 0 or self.end_ns > _LAST_NS:
            msg = (
                f"--until, --days: {self.days:g} days do not all lie between the years 1970 and "
                "2200; give for example --until 2026-01-31 --days 30"
            )
            raise ScenarioError(msg)
        if self.end_ns - self.start_ns < self.step_s * NS_PER_S:
            msg = f"--days: {self.days:g} is less than one step of {self.step_s} s; give more"
            raise ScenarioError(msg)

    @classmethod
    def until(
        cls, end_ns: int, roles: tuple[Role, ...], seed: int, *, days: float, step_s: int
    ) -> "FleetPlan":
        """Plan samples that end at some moment, or less than a step before it.

        Parameters
        ----------
        end_ns : int
            The moment. [ns since 1970-01-01 UTC]
        roles : tuple of Role
            The machines.
        seed : int
            Zero or above.
        days : float
            How long. [d]
        step_s : int
            Time between samples. [s]

        Returns
        -------
        FleetPlan
            The plan.

        Raises
        ------
        ScenarioError
            If there can be no such samples.
        """
        _check_days(days)
        step_ns = max(step_s, 1) * NS_PER_S
        start_ns = (end_ns - round(days * 24 * NS_PER_H)) // step_ns * step_ns
        return cls(roles, seed, start_ns, days, step_s)

    @property
    def time_ns(self) -> npt.NDArray[np.int64]:
        """Times of the samples, shape (n_times,), in ns since 1970-01-01 UTC."""
        step_ns = self.step_s * NS_PER_S
        n_times = int(self.days * 24 * NS_PER_H / step_ns)
        return self.start_ns + step_ns * np.arange(n_times, dtype=np.int64)

    @property
    def end_ns(self) -> int:
        """Where the samples end, in ns since 1970-01-01 UTC."""
        return self.start_ns + round(self.days * 24 * NS_PER_H)


def _check_days(days: float) -> None:
    if not 0 < days < np.inf:
        msg = f"--days: {days:g} is not a number above 0; give for example 30"
        raise ScenarioError(msg)


def fleet_of(
    kinds: Sequence[str], n_machines: int, *, site: str = "fleet", customer: str = "cust-fleet"
) -> tuple[Role, ...]:
    """Name machines of some kinds in turn.

    Parameters
    ----------
    kinds : sequence of str
        Keys of `simulators.machines.KINDS`.
    n_machines : int
        How many machines in all.
    site, customer : str
        Where they stand and whose they are.

    Returns
    -------
    tuple of Role
        Machines without a story.

    Raises
    ------
    ScenarioError
        If a kind is not known or there is to be no machine.
    """
    for key in kinds:
        if key not in KINDS:
            msg = f"--kinds: {key!r} is not known; choose among {', '.join(KINDS)}"
            raise ScenarioError(msg)
    if n_machines < 1 or not kinds:
        msg = f"--machines: {n_machines} is below 1; give at least one machine"
        raise ScenarioError(msg)
    roles = []
    for number in range(n_machines):
        kind = KINDS[kinds[number % len(kinds)]]
        name = f"{kind.key}-{number + 1:05}"
        outlet = Outlet(name, kind.key, site, customer, "mqtt", "", kind.signals)
        roles.append(Role(outlet))
    return tuple(roles)


def telemetry_of(machine: SimulatedMachine, plan: FleetPlan) -> Float32Array:
    """Work out all samples of one machine.

    Parameters
    ----------
    machine : SimulatedMachine
        The machine.
    plan : FleetPlan
        Over what time; `FleetPlan.time_ns` are the times.

    Returns
    -------
    ndarray of float32, shape (n_signals, n_times)
        In the units of the signals, ``nan`` while it stands still.
    """
    time_ns = plan.time_ns
    n_times, step_ns = time_ns.size, plan.step_s * NS_PER_S
    level = _dense_levels(machine, plan, n_times)
    _add_noise(machine, plan, level)
    # Standing or not changes only where a run ends or begins.
    for run in machine.lives.until(plan.end_ns / NS_PER_H):
        first = -(-round(run.stopped_h * NS_PER_H) // step_ns) - plan.start_ns // step_ns
        last = -(-round(run.resumed_h * NS_PER_H) // step_ns) - plan.start_ns // step_ns
        level[:, max(0, first) : max(0, last)] = np.nan
    return level


def _dense_levels(machine: SimulatedMachine, plan: FleetPlan, n_times: int) -> Float32Array:
    """Signals without noise at every step; knots between which they run straight come cheap."""
    if plan.step_s >= _KNOT_S:
        return machine.levels_at_knots(plan.time_ns // KNOT_NS)
    n_inner = _KNOT_S // plan.step_s
    first = plan.start_ns // KNOT_NS
    last = int(plan.time_ns[-1] // KNOT_NS) + 1
    knots = machine.levels_at_knots(np.arange(first, last + 1, dtype=np.int64))
    share = (np.arange(n_inner) * plan.step_s * NS_PER_S / KNOT_NS).astype(np.float32)
    between = knots[:, :-1, np.newaxis], np.diff(knots, axis=1)[:, :, np.newaxis]
    dense = np.multiply(between[1], share)
    dense += between[0]
    skipped = (plan.start_ns - first * KNOT_NS) // (plan.step_s * NS_PER_S)
    return dense.reshape(len(knots), -1)[:, skipped : skipped + n_times]


def _add_noise(machine: SimulatedMachine, plan: FleetPlan, level: Float32Array) -> None:
    """Add sensor noise in place, block by block, while the block is in the cache."""
    point = plan.start_ns // (plan.step_s * NS_PER_S)
    n_signals, n_times = level.shape
    done = 0
    while done < n_times:
        block, skipped = divmod(point + done, NOISE_BLOCK)
        n = min(NOISE_BLOCK - skipped, n_times - done)
        noise = draw_noise(machine.seed, machine.outlet.machine, plan.step_s, block, n_signals)
        here = level[:, done : done + n]
        spread = spread_of(machine.kind, here)
        spread *= noise[:, skipped : skipped + n]
        here += spread
        done += n


def fleet_telemetry(plan: FleetPlan) -> Iterator[tuple[SimulatedMachine, Float32Array]]:
    """Work out the samples of every machine, one after the other.

    Parameters
    ----------
    plan : FleetPlan
        The fleet.

    Yields
    ------
    machine : SimulatedMachine
        A machine.
    values : ndarray of float32, shape (n_signals, n_times)
        Its samples; see `telemetry_of`.
    """
    for role in plan.roles:
        (machine,) = _build(plan, role)
        yield machine, telemetry_of(machine, plan)


def write_fleet(folder: Path, plan: FleetPlan, *, n_processes: int = 1) -> Iterator[int]:
    """Write a Parquet file for each machine, and the truth beside them.

    ``telemetry/<machine>.parquet`` holds ``time`` (timestamp in ns, UTC) and a float32 column for
    each signal, null while the machine stands still; ``truth/<machine>.jsonl`` what is true.

    Parameters
    ----------
    folder : Path
        Where to write; made if missing.
    plan : FleetPlan
        The fleet.
    n_processes : int
        How many processes share the work; they don't change a byte.

    Yields
    ------
    int
        Samples written, machine after machine.

    Raises
    ------
    ScenarioError
        If there is to be no process.
    """
    if n_processes < 1:
        msg = f"--processes: {n_processes} is below 1; give at least one"
        raise ScenarioError(msg)
    for name in ("telemetry", "truth"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if n_processes == 1:
        for role in plan.roles:
            yield _write_machine(folder, plan, role)
        return
    # A forked child would inherit threads of Arrow in the middle of their work.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_processes, mp_context=context) as pool:
        n_roles = len(plan.roles)
        yield from pool.map(_write_machine, [folder] * n_roles, [plan] * n_roles, plan.roles)


def _build(plan: FleetPlan, role: Role) -> tuple[SimulatedMachine, ...]:
    return build_plant([role], seed=plan.seed, now_ns=plan.end_ns, history_days=plan.days)


def _write_machine(folder: Path, plan: FleetPlan, role: Role) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (machine,) = _build(plan, role)
    values = telemetry_of(machine, plan)
    columns = [pa.array(plan.time_ns, pa.timestamp("ns", "UTC"))]
    columns += [pa.array(row, pa.float32(), from_pandas=True) for row in values]
    table = pa.Table.from_arrays(columns, ["time", *machine.outlet.signals])
    name = machine.outlet.machine
    pq.write_table(table, folder / "telemetry" / f"{name}.parquet", compression="zstd")
    write_truth(
        folder / "truth" / f"{name}.jsonl", [machine], start_ns=plan.start_ns, now_ns=plan.end_ns
    )
    return int(np.isfinite(values).sum())
