"""The plant's clock: which machine times are due after how much real time.

Play has three phases. History is played fast, then slower so that a watcher can follow the last
days, and from now on the plant lives at the pace of the wall clock. No machine time ever lies
in the future. The clock reads no clock: it is told the time, so days are tested in no time.
"""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from simulators.errors import ScenarioError
from simulators.reading import NS_PER_H, NS_PER_S

Phase: TypeAlias = Literal["fast", "slow", "live"]


@dataclass(frozen=True, slots=True)
class ClockSettings:
    """Pace of the plant.

    Parameters
    ----------
    history_days : float
        How far before now the play begins. [days]
    slow_days : float
        How much of that, at its end, is played slowly. [days]
    fast_h_per_s : float
        Machine hours per real second in the first phase. [h/s]
    slow_h_per_s : float
        Machine hours per real second in the second. [h/s]
    history_step_s : int
        Machine time between samples in both. [s]
    live_step_s : int
        Time between samples from then on. [s]
    live_catch_up_s : int
        After a pause of the whole computer, samples of at most this long ago are made up. [s]
    """

    history_days: float = 60.0
    slow_days: float = 10.0
    fast_h_per_s: float = 100.0
    slow_h_per_s: float = 4.0
    history_step_s: int = 7200
    live_step_s: int = 1
    live_catch_up_s: int = 60

    def __post_init__(self) -> None:
        if not 0 <= self.slow_days <= self.history_days:
            msg = (
                f"--slow-days: {self.slow_days:g} does not fit into --history-days "
                f"{self.history_days:g}; give a number from 0 to {self.history_days:g}"
            )
            raise ScenarioError(msg)
        if min(self.fast_h_per_s, self.slow_h_per_s) <= 0:
            msg = (
                f"--fast-h-per-s {self.fast_h_per_s:g}, --slow-h-per-s {self.slow_h_per_s:g}: a "
                "pace must be above 0 machine hours per second"
            )
            raise ScenarioError(msg)


@dataclass(frozen=True, slots=True, eq=False)
class Due:
    """Machine times to play now.

    Parameters
    ----------
    phase : {"fast", "slow", "live"}
        Where the play stands after them.
    time_ns : ndarray of int64, shape (n_times,)
        Rising, none in the future. [ns since 1970-01-01 UTC]
    step_ns : int
        Grid they lie on. [ns]
    """

    phase: Phase
    time_ns: npt.NDArray[np.int64]
    step_ns: int


@dataclass(slots=True)
class PlantClock:
    """Deals out machine time.

    Parameters
    ----------
    settings : ClockSettings
        The pace.
    now_ns : int
        The wall clock when the plant was set up. [ns since 1970-01-01 UTC]
    """

    settings: ClockSettings
    now_ns: int
    _next_ns: int = field(init=False)
    _is_live: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._next_ns = self.start_ns

    @property
    def history_step_ns(self) -> int:
        """Machine time between samples of the past, in ns."""
        return self.settings.history_step_s * NS_PER_S

    @property
    def start_ns(self) -> int:
        """First machine time of the play, a whole number of history steps."""
        start_ns = self.now_ns - round(self.settings.history_days * 24 * NS_PER_H)
        return -(-start_ns // self.history_step_ns) * self.history_step_ns

    @property
    def slow_from_ns(self) -> int:
        """Machine time at which the second phase begins."""
        return self.now_ns - round(self.settings.slow_days * 24 * NS_PER_H)

    def due(self, elapsed_s: float, now_ns: int) -> Due:
        """Machine times that have come due since the last call.

        Parameters
        ----------
        elapsed_s : float
            Real time since play began, never less than in the last call. [s]
        now_ns : int
            The wall clock. [ns since 1970-01-01 UTC]

        Returns
        -------
        Due
            Each machine time is dealt out once.
        """
        if not self._is_live:
            due = self._due_history(elapsed_s, now_ns)
            if self._next_ns <= now_ns or due.time_ns.size:
                return due
            self._is_live = True
            # The present second is due at once; the hours since the last step are not made up.
            self._next_ns = now_ns // self._live_step_ns * self._live_step_ns
        return self._due_live(now_ns)

    @property
    def _live_step_ns(self) -> int:
        return self.settings.live_step_s * NS_PER_S

    def _due_history(self, elapsed_s: float, now_ns: int) -> Due:
        fast_s = max(
            0.0, (self.slow_from_ns - self.start_ns) / NS_PER_H / self.settings.fast_h_per_s
        )
        hours = (
            self.settings.fast_h_per_s * min(elapsed_s, fast_s)
            + self.settings.slow_h_per_s * max(0.0, elapsed_s - fast_s)
        )  # fmt: skip
        reached_ns = min(self.start_ns + int(hours * NS_PER_H), now_ns)
        time_ns = np.arange(self._next_ns, reached_ns + 1, self.history_step_ns, dtype=np.int64)
        self._next_ns += time_ns.size * self.history_step_ns
        phase: Phase = "fast" if reached_ns < self.slow_from_ns else "slow"
        return Due(phase, time_ns, self.history_step_ns)

    def _due_live(self, now_ns: int) -> Due:
        step_ns = self._live_step_ns
        oldest_ns = now_ns - self.settings.live_catch_up_s * NS_PER_S
        first_ns = max(self._next_ns, -(-oldest_ns // step_ns) * step_ns)
        time_ns = np.arange(first_ns, now_ns + 1, step_ns, dtype=np.int64)
        if time_ns.size:
            self._next_ns = int(time_ns[-1]) + step_ns
        return Due("live", time_ns, step_ns)
