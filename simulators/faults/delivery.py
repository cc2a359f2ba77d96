"""Samples on their way out of a machine: wrong clocks, repeats, delays and disorder.

A courier is told the time and what was measured, and says what to hand over now. Nothing is lost
with it: each sample comes out once, or twice if it is repeated.
"""

import heapq
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from simulators.errors import ScenarioError
from simulators.reading import NS_PER_S, Moment, Outlet

_PPM: Final = 1e-6
_LIMITS: Final[dict[str, tuple[float, float]]] = {
    "duplicate_probability": (0.0, 1.0),
    "late_probability": (0.0, 1.0),
    "late_s": (1e-3, 2_592_000.0),
    "clock_offset_s": (-315_576_000.0, 315_576_000.0),
    "clock_skew_ppm": (-10_000.0, 10_000.0),
}
"""Delays of up to 30 days and clocks wrong by up to ten years; times fit into every protocol."""


@dataclass(frozen=True, slots=True)
class DeliveryFaults:
    """What happens on the way.

    Parameters
    ----------
    duplicate_probability : float
        That a sample comes twice.
    late_probability : float
        That it comes late, and so perhaps after newer ones.
    late_s : float
        By how much on average, exponentially distributed. [s]
    clock_offset_s : float
        How far machine clocks are ahead. [s]
    clock_skew_ppm : float
        How much faster they run, from the first sample on that meets these faults. [1e-6]

    Raises
    ------
    ScenarioError
        If a number is out of bounds.
    """

    duplicate_probability: float = 0.0
    late_probability: float = 0.0
    late_s: float = 30.0
    clock_offset_s: float = 0.0
    clock_skew_ppm: float = 0.0

    def __post_init__(self) -> None:
        for name, (low, high) in _LIMITS.items():
            if not low <= getattr(self, name) <= high:
                msg = (
                    f"delivery: {name} {getattr(self, name):g} is not between {low:g} and {high:g}"
                )
                raise ScenarioError(msg)


@dataclass(order=True, slots=True)
class _Parcel:
    due_ns: int
    number: int
    outlet: Outlet = field(compare=False)
    moment: Moment = field(compare=False)


class Courier:
    """Carries samples, well or badly.

    Parameters
    ----------
    faults : DeliveryFaults
        What happens on the way; may be changed as it goes.
    rng : numpy.random.Generator
        Source of chance.
    """

    def __init__(self, faults: DeliveryFaults, rng: np.random.Generator) -> None:
        self._faults = faults
        self.n_late = self.n_repeated = 0
        self._rng = rng
        self._waiting: list[_Parcel] = []
        self._n_taken = 0
        self._skewed_from_ns: int | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def faults(self) -> DeliveryFaults:
        """What happens on the way. A skew that is set starts from clocks that are right."""
        return self._faults

    @faults.setter
    def faults(self, faults: DeliveryFaults) -> None:
        if faults.clock_skew_ppm != self._faults.clock_skew_ppm:
            self._skewed_from_ns = None
        self._faults = faults

    def take(self, now_ns: int, outlet: Outlet, moment: Moment) -> None:
        """Take a sample.

        Parameters
        ----------
        now_ns : int
            The present. [ns]
        outlet : Outlet
            Whose it is.
        moment : Moment
            What was measured, and when.
        """
        faults = self.faults
        if self._skewed_from_ns is None:
            self._skewed_from_ns = moment.time_ns
        ahead_ns = faults.clock_offset_s * NS_PER_S
        ahead_ns += faults.clock_skew_ppm * _PPM * (moment.time_ns - self._skewed_from_ns)
        if ahead_ns:
            moment = replace(moment, time_ns=moment.time_ns + round(ahead_ns))
        n_copies = 1
        if faults.duplicate_probability and self._rng.random() < faults.duplicate_probability:
            n_copies, self.n_repeated = 2, self.n_repeated + 1
        for _ in range(n_copies):
            due_ns = now_ns
            if faults.late_probability and self._rng.random() < faults.late_probability:
                due_ns += round(float(self._rng.exponential(faults.late_s)) * NS_PER_S)
                self.n_late += 1
            heapq.heappush(self._waiting, _Parcel(due_ns, self._n_taken, outlet, moment))
            self._n_taken += 1

    def due(self, now_ns: int) -> list[tuple[Outlet, Moment]]:
        """Hand over what has arrived by now.

        Parameters
        ----------
        now_ns : int
            The present. [ns]

        Returns
        -------
        list of (Outlet, Moment)
            In the order of arrival.
        """
        arrived = []
        while self._waiting and self._waiting[0].due_ns <= now_ns:
            parcel = heapq.heappop(self._waiting)
            arrived.append((parcel.outlet, parcel.moment))
        return arrived
