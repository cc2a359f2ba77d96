"""The lives of one machine, one after the other: new, wearing, failed, repaired as new."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulators.errors import ScenarioError
from simulators.machines.kind import MachineKind
from simulators.wear.laws import WearPath, draw_wear_paths

FloatArray = npt.NDArray[np.float64]

_DRAWS_AT_ONCE = 16
_MOST_DRAWS = 4000
"""A story that fits fewer than one life in thousands is taken for impossible."""


@dataclass(frozen=True, slots=True)
class Story:
    """What the scenario wants to be told of a machine; within it, chance decides.

    Parameters
    ----------
    fails_in_days : tuple of float
        The machine's first failure after play begins, uniform between these, counted from
        now; negative means it has failed already. [days]
    wear_now : tuple of float
        Range that its wear must lie in now.
    """

    fails_in_days: tuple[float, float]
    wear_now: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Life:
    """One life of a machine.

    Parameters
    ----------
    started_h : float
        When it ran as new. [h since 1970-01-01 UTC]
    path : WearPath
        Its wear.
    standstill_h : float
        From its failure to running as new. [h]
    """

    started_h: float
    path: WearPath
    standstill_h: float

    @property
    def onset_h(self) -> float:
        """When wear set in, in hours since 1970-01-01 UTC."""
        return self.started_h + self.path.onset_h

    @property
    def failed_h(self) -> float:
        """When it failed, in hours since 1970-01-01 UTC."""
        return self.started_h + self.path.failure_h

    @property
    def repaired_h(self) -> float:
        """When it ran again, in hours since 1970-01-01 UTC."""
        return self.failed_h + self.standstill_h

    def wear_at(self, time_h: FloatArray) -> FloatArray:
        """Wear during this life.

        Parameters
        ----------
        time_h : ndarray
            Hours since 1970-01-01 UTC. [h]

        Returns
        -------
        ndarray of the same shape
            0 before the life, 1 from its failure on.
        """
        return self.path.wear_at(time_h - self.started_h)


class MachineLives:
    """All lives of one machine, drawn on as time goes by.

    Parameters
    ----------
    kind : MachineKind
        How it wears and how long it stands still.
    lives : list of Life
        The first ones.
    rng : numpy.random.Generator
        Source of chance for those to come.
    """

    def __init__(self, kind: MachineKind, lives: list[Life], rng: np.random.Generator) -> None:
        self._kind = kind
        self._lives = lives
        self._rng = rng

    def until(self, time_h: float) -> list[Life]:
        """Lives begun before a time.

        Parameters
        ----------
        time_h : float
            Hours since 1970-01-01 UTC. [h]

        Returns
        -------
        list of Life
            In order; each but the last has ended and been repaired before `time_h`.
        """
        while self._lives[-1].repaired_h <= time_h:
            (path,) = draw_wear_paths(self._kind.modes[0].law, self._rng, 1)
            standstill_h = float(self._rng.uniform(*self._kind.standstill_range_h))
            self._lives.append(Life(self._lives[-1].repaired_h, path, standstill_h))
        return [life for life in self._lives if life.started_h < time_h]

    def state_at(self, time_h: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Wear, and whether the machine stands still.

        Parameters
        ----------
        time_h : ndarray of shape (n_times,)
            Hours since 1970-01-01 UTC, in any order. [h]

        Returns
        -------
        wear : ndarray of shape (n_times,)
            0 to 1.
        is_standing : ndarray of bool, shape (n_times,)
            True from a failure until the repair.
        """
        wear = np.zeros(time_h.shape)
        is_standing = np.zeros(time_h.shape, dtype=np.bool_)
        if time_h.size == 0:
            return wear, is_standing
        for life in self.until(float(time_h.max()) + 1.0):
            is_in_life = (time_h >= life.started_h) & (time_h < life.repaired_h)
            wear[is_in_life] = life.wear_at(time_h[is_in_life])
            is_standing |= is_in_life & (time_h >= life.failed_h)
        return wear, is_standing


def draw_lives(
    kind: MachineKind, story: Story, rng: np.random.Generator, *, start_h: float, now_h: float
) -> MachineLives:
    """Draw a machine's lives so that its story comes true.

    Lives are drawn from the kind's own wear law and only those that fit are kept, so what fits
    is distributed as nature would have it.

    Parameters
    ----------
    kind : MachineKind
        How it wears.
    story : Story
        What must be so.
    rng : numpy.random.Generator
        Source of chance.
    start_h, now_h : float
        When play begins, and the moment the story is told from. [h since 1970-01-01 UTC]

    Returns
    -------
    MachineLives
        Running when play begins.

    Raises
    ------
    ScenarioError
        If no life of this kind fits the story.
    """
    fails_h = now_h + 24.0 * float(rng.uniform(*story.fails_in_days))
    for path in _draws(kind, rng):
        life = Life(fails_h - path.failure_h, path, _draw_standstill_h(kind, rng))
        if life.started_h <= start_h and (fails_h < now_h or _has_wear(life, story, now_h)):
            break
    else:
        raise ScenarioError(_no_life_fits(kind, story))
    lives = [life]
    if fails_h >= now_h:
        return MachineLives(kind, lives, rng)
    for path in _draws(kind, rng):
        life = Life(lives[0].repaired_h, path, _draw_standstill_h(kind, rng))
        if life.failed_h > now_h and _has_wear(life, story, now_h):
            return MachineLives(kind, [*lives, life], rng)
    raise ScenarioError(_no_life_fits(kind, story))


def _draws(kind: MachineKind, rng: np.random.Generator) -> Iterator[WearPath]:
    for _ in range(0, _MOST_DRAWS, _DRAWS_AT_ONCE):
        yield from draw_wear_paths(kind.modes[0].law, rng, _DRAWS_AT_ONCE)


def _draw_standstill_h(kind: MachineKind, rng: np.random.Generator) -> float:
    return float(rng.uniform(*kind.standstill_range_h))


def _has_wear(life: Life, story: Story, time_h: float) -> bool:
    low, high = story.wear_now
    return low <= float(life.wear_at(np.array([time_h]))[0]) <= high


def _no_life_fits(kind: MachineKind, story: Story) -> str:
    return (
        f"no {kind.key} in {_MOST_DRAWS} fails in {story.fails_in_days} days with a wear of "
        f"{story.wear_now} now; widen the ranges of the story"
    )
