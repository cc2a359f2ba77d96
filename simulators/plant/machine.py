"""A machine that can be asked what it measures at any time.

A sample is a plain function of seed, machine and machine time: it does not matter when, in what
order or in how many pieces it is asked for. What a machine is under is worked out every ten
minutes and its signals run straight in between, so that a shift sets in over ten minutes, and so
that a month at one sample a minute and the present at one a second are cut from the same cloth.
Times of failure and repair are exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from simulators.chance import chance, check_seed
from simulators.conditions import Climate, Regime, conditions_of, draw_climate
from simulators.machines import KINDS
from simulators.machines.kind import MachineKind
from simulators.plant.lives import MachineLives, Story, draw_lives
from simulators.plant.maintenance import MaintenancePolicy
from simulators.plant.noise import Float32Array, noise_at
from simulators.reading import BAD, GOOD, NS_PER_H, Outlet, Readings

FloatArray = npt.NDArray[np.float64]

HISTORY_DAYS: Final = 60.0
"""How far before now the play begins. [days]"""

KNOT_NS: Final = NS_PER_H // 6
"""Time between the knots at which conditions are worked out. [ns]"""

DECIMALS: Final = 4
"""What sensors resolve; nothing here is measured to more digits."""


@dataclass(frozen=True, slots=True)
class Role:
    """One machine's part in a scenario.

    Parameters
    ----------
    outlet : Outlet
        How it is seen.
    story : Story or None
        What is to become of it; None leaves that to chance.
    regime : Regime
        How it is worked.
    modes : tuple of str
        Failure modes that it can suffer from; all of its kind if empty.
    policy : MaintenancePolicy
        How well it is looked after, if it has no story.
    utc_offset_h : float
        Local time of its site less UTC. [h]
    """

    outlet: Outlet
    story: Story | None = None
    regime: Regime = Regime()  # noqa: RUF009 - frozen
    modes: tuple[str, ...] = ()
    policy: MaintenancePolicy = MaintenancePolicy()  # noqa: RUF009 - frozen
    utc_offset_h: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedMachine:
    """One machine that can be asked what it measures at any time.

    Parameters
    ----------
    outlet : Outlet
        How it is seen.
    kind : MachineKind
        What it is.
    seed : int
        Seed of the plant.
    climate : Climate
        Weather and working hours of its site.
    regime : Regime
        How it is worked.
    phase : ndarray of shape (3,)
        Where its product mix stands at time 0. [rad]
    traits : ndarray of shape (n_traits,)
        How this unit differs from the next.
    lives : MachineLives
        How it wears, fails and is repaired.
    """

    outlet: Outlet
    kind: MachineKind
    seed: int
    climate: Climate
    regime: Regime
    phase: FloatArray
    traits: FloatArray
    lives: MachineLives

    def readings(self, time_ns: npt.NDArray[np.int64], *, step_ns: int) -> Readings:
        """Read its sensors.

        Parameters
        ----------
        time_ns : ndarray of int64, shape (n_times,)
            Machine times, each a multiple of `step_ns`. [ns since 1970-01-01 UTC]
        step_ns : int
            Grid the times lie on; noise is drawn for each grid point. [ns]

        Returns
        -------
        Readings
            Bad quality and ``nan`` while it stands still.
        """
        _, is_standing = self.lives.state_at(time_ns / NS_PER_H)
        level = self.levels_at(time_ns)
        noise = noise_at(self.seed, self.outlet.machine, time_ns, step_ns, len(level))
        sensed = level + spread_of(self.kind, level) * noise
        values: FloatArray = sensed.T.astype(np.float64).round(DECIMALS)
        values[is_standing] = np.nan
        quality = np.full(values.shape, GOOD, dtype=np.uint8)
        quality[is_standing] = BAD
        return Readings(time_ns, values, quality)

    def levels_at(self, time_ns: npt.NDArray[np.int64]) -> Float32Array:
        """Signals without noise.

        Parameters
        ----------
        time_ns : ndarray of int64, shape (n_times,)
            Machine times, in any order. [ns since 1970-01-01 UTC]

        Returns
        -------
        ndarray of float32, shape (n_signals, n_times)
            In the units of their names, as if the machine ran.
        """
        before = time_ns // KNOT_NS
        share = ((time_ns - before * KNOT_NS) / KNOT_NS).astype(np.float32)
        knots, place = np.unique(np.concatenate([before, before + 1]), return_inverse=True)
        level = self.levels_at_knots(knots)
        low, high = level[:, place[: before.size]], level[:, place[before.size :]]
        return low + (high - low) * share

    def levels_at_knots(self, knots: npt.NDArray[np.int64]) -> Float32Array:
        """Signals without noise where conditions are worked out.

        Parameters
        ----------
        knots : ndarray of int64, shape (n_knots,)
            Ten-minute steps since 1970-01-01 UTC.

        Returns
        -------
        ndarray of float32, shape (n_signals, n_knots)
            In the units of their names, as if the machine ran.
        """
        time_h: FloatArray = knots.astype(np.float64) * (KNOT_NS / NS_PER_H)
        wear, _ = self.lives.state_at(time_h)
        conditions = conditions_of(
            self.climate,
            self.phase,
            time_h,
            wear,
            lag_h=self.kind.thermal_lag_h,
            regime=self.regime,
        )
        return self.kind.levels(conditions, self.traits).astype(np.float32)


Level = TypeVar("Level", Float32Array, FloatArray)


def spread_of(kind: MachineKind, level: Level) -> Level:
    """Say how much sensors scatter at some level.

    Parameters
    ----------
    kind : MachineKind
        Whose sensors.
    level : ndarray of float32 or float64, shape (n_signals, n_times)
        Signals without noise.

    Returns
    -------
    ndarray of the same type, shape (n_signals, n_times)
        In the units of the signals.
    """
    ratio = np.array([[sensor.noise_ratio] for sensor in kind.sensors], dtype=level.dtype)
    absolute = np.array([[sensor.noise] for sensor in kind.sensors], dtype=level.dtype)
    spread: Level = level * ratio + absolute
    return spread


def build_plant(
    roles: Sequence[Role], *, seed: int, now_ns: int, history_days: float = HISTORY_DAYS
) -> tuple[SimulatedMachine, ...]:
    """Build the machines of a scenario.

    Parameters
    ----------
    roles : sequence of Role
        What each machine is and what is to become of it.
    seed : int
        Zero or above; the same seed and now give the same samples.
    now_ns : int
        The moment stories are told from. [ns since 1970-01-01 UTC]
    history_days : float
        How long before now the machines run already. [days]

    Returns
    -------
    tuple of SimulatedMachine
        In the order of the roles.

    Raises
    ------
    ScenarioError
        If the seed is below zero, or no life fits a story.
    """
    check_seed(seed)
    now_h = now_ns / NS_PER_H
    return tuple(_build_machine(role, seed, now_h - 24.0 * history_days, now_h) for role in roles)


def _build_machine(role: Role, seed: int, start_h: float, now_h: float) -> SimulatedMachine:
    outlet, kind = role.outlet, KINDS[role.outlet.kind]
    rng = chance(seed, outlet.machine, "machine")
    return SimulatedMachine(
        outlet=outlet,
        kind=kind,
        seed=seed,
        climate=draw_climate(chance(seed, outlet.site, "climate"), role.utc_offset_h),
        regime=role.regime,
        phase=rng.uniform(0.0, 2 * np.pi, size=3),
        traits=rng.standard_normal(kind.n_traits),
        lives=draw_lives(
            kind, role.story, rng, start_h=start_h, now_h=now_h, modes=role.modes,
            policy=role.policy,
        ),
    )  # fmt: skip
