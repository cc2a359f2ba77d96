"""The demo plant: twelve machines of three kinds at four sites, and what they measure.

A sample is a plain function of seed, machine and machine time: it does not matter when, in what
order or in how many pieces it is asked for.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from simulators.chance import chance, check_seed
from simulators.conditions import Climate, conditions_of, draw_climate
from simulators.errors import ScenarioError
from simulators.machines import BEARING_CONVEYOR, CENTRIFUGAL_PUMP, KINDS, MACHINING_SPINDLE
from simulators.machines.kind import MachineKind, sensed
from simulators.plant.lives import MachineLives, Story, draw_lives
from simulators.reading import BAD, GOOD, NS_PER_H, NS_PER_S, Outlet, Readings

FloatArray = npt.NDArray[np.float64]

EDGE_SITE: Final = "plant-demo"
"""The demo's one edge agent serves the whole plant under this site name."""

HISTORY_DAYS: Final = 60.0
"""How far before now the play begins. [days]"""

DECIMALS: Final = 4
"""What sensors resolve; nothing here is measured to more digits."""

_NOISE_BLOCK: Final = 512
_SITE_UTC_OFFSETS_H: Final = {"site-01": 1.0, "site-02": 1.0, "site-03": 8.0, "site-04": 1.0}

_HEALTHY: Final = Story(fails_in_days=(26.0, 42.0), wear_now=(0.0, 0.0))
_FAILS_WITHIN_A_WEEK: Final = Story(fails_in_days=(4.0, 6.5), wear_now=(0.35, 0.6))
_WEARS: Final = Story(fails_in_days=(11.0, 18.0), wear_now=(0.18, 0.36))
_WAS_REPAIRED: Final = Story(fails_in_days=(-34.0, -24.0), wear_now=(0.0, 0.0))


@dataclass(frozen=True, slots=True)
class Role:
    """One machine's part in a scenario.

    Parameters
    ----------
    outlet : Outlet
        How it is seen.
    story : Story
        What is to become of it.
    """

    outlet: Outlet
    story: Story


def _role(kind: MachineKind, name: str, number: int, story: Story) -> Role:
    is_pump = kind is CENTRIFUGAL_PUMP
    outlet = Outlet(
        machine=f"{name}-{number:02}",
        kind=kind.key,
        site=f"site-{number:02}",
        customer=f"cust-{number:03}",
        protocol="mqtt" if is_pump else "opcua",
        server="" if is_pump else f"{name}s",
        signals=kind.signals,
    )
    return Role(outlet, story)


SCENARIOS: Final[dict[str, tuple[Role, ...]]] = {
    "demo": (
        _role(BEARING_CONVEYOR, "conveyor", 1, _FAILS_WITHIN_A_WEEK),
        _role(BEARING_CONVEYOR, "conveyor", 2, _HEALTHY),
        _role(BEARING_CONVEYOR, "conveyor", 3, _HEALTHY),
        _role(BEARING_CONVEYOR, "conveyor", 4, _HEALTHY),
        _role(CENTRIFUGAL_PUMP, "pump", 1, _HEALTHY),
        _role(CENTRIFUGAL_PUMP, "pump", 2, _HEALTHY),
        _role(CENTRIFUGAL_PUMP, "pump", 3, _WAS_REPAIRED),
        _role(CENTRIFUGAL_PUMP, "pump", 4, _HEALTHY),
        _role(MACHINING_SPINDLE, "spindle", 1, _HEALTHY),
        _role(MACHINING_SPINDLE, "spindle", 2, _WEARS),
        _role(MACHINING_SPINDLE, "spindle", 3, _HEALTHY),
        _role(MACHINING_SPINDLE, "spindle", 4, _HEALTHY),
    )
}
"""Every scenario by name."""


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
        time_h = time_ns / NS_PER_H
        wear, is_standing = self.lives.state_at(time_h)
        conditions = conditions_of(
            self.climate, self.phase, time_h, wear[np.newaxis], lag_h=self.kind.thermal_lag_h
        )
        level = self.kind.levels(conditions, self.traits)
        noise = self._noise(time_ns, step_ns).T
        values = np.round(sensed(self.kind, level, noise).T, DECIMALS)
        values[is_standing] = np.nan
        quality = np.full(values.shape, GOOD, dtype=np.uint8)
        quality[is_standing] = BAD
        return Readings(time_ns, values, quality)

    def _noise(self, time_ns: npt.NDArray[np.int64], step_ns: int) -> FloatArray:
        point = time_ns // step_ns
        block = point // _NOISE_BLOCK
        noise = np.empty((time_ns.size, len(self.kind.signals)))
        for number in np.unique(block):
            rng = chance(self.seed, self.outlet.machine, "noise", step_ns // NS_PER_S, int(number))
            drawn = rng.standard_normal((_NOISE_BLOCK, noise.shape[1]))
            is_here = block == number
            noise[is_here] = drawn[point[is_here] - number * _NOISE_BLOCK]
        return noise


def build_plant(
    scenario: str, *, seed: int, now_ns: int, history_days: float = HISTORY_DAYS
) -> tuple[SimulatedMachine, ...]:
    """Build the machines of a scenario.

    Parameters
    ----------
    scenario : str
        One of `SCENARIOS`.
    seed : int
        Zero or above; the same seed and now give the same samples.
    now_ns : int
        The moment the scenario's stories are told from. [ns since 1970-01-01 UTC]
    history_days : float
        How long before now the machines run already. [days]

    Returns
    -------
    tuple of SimulatedMachine
        In the order of the scenario.

    Raises
    ------
    ScenarioError
        If the scenario is not known or the seed is below zero.
    """
    if scenario not in SCENARIOS:
        msg = f"--scenario: {scenario!r} is not known; choose one of {', '.join(SCENARIOS)}"
        raise ScenarioError(msg)
    check_seed(seed)
    now_h = now_ns / NS_PER_H
    return tuple(
        _build_machine(role, seed, now_h - 24.0 * history_days, now_h)
        for role in SCENARIOS[scenario]
    )


def _build_machine(role: Role, seed: int, start_h: float, now_h: float) -> SimulatedMachine:
    outlet, kind = role.outlet, KINDS[role.outlet.kind]
    rng = chance(seed, outlet.machine, "machine")
    climate_rng = chance(seed, outlet.site, "climate")
    return SimulatedMachine(
        outlet=outlet,
        kind=kind,
        seed=seed,
        climate=draw_climate(climate_rng, _SITE_UTC_OFFSETS_H.get(outlet.site, 0.0)),
        phase=rng.uniform(0.0, 2 * np.pi, size=3),
        traits=rng.standard_normal(kind.n_traits),
        lives=draw_lives(kind, role.story, rng, start_h=start_h, now_h=now_h),
    )
