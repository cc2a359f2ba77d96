"""The runs of one machine, one after the other: working, wearing, stopped, served, working again.

Every failure mode has a component that wears on its own; whichever is through first stops the
machine. Nothing wears while it stands still.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulators.errors import ScenarioError
from simulators.machines.kind import FailureMode, MachineKind
from simulators.plant.maintenance import MaintenancePolicy, Service, draw_service
from simulators.wear.paths import NEVER, WearPath, draw_wear_paths, draw_worn_path

FloatArray = npt.NDArray[np.float64]

_DRAWS_AT_ONCE = 16
_MOST_DRAWS = 4000
"""A story that fits fewer than one life in thousands is taken for impossible."""
_FIRST_AGE_DAYS = 60.0
"""Machines without a story are up to this old when play begins, so that none begins in step."""


@dataclass(frozen=True, slots=True)
class Story:
    """What the scenario wants to be told of a machine; within it, chance decides.

    A machine with a story wears by its kind's first failure mode alone and is repaired as new.

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
class Component:
    """What one failure mode wears down.

    Parameters
    ----------
    origin_h : float
        When its path began, if it had not stood still in between. [h since 1970-01-01 UTC]
    path : WearPath
        Its wear.
    """

    origin_h: float
    path: WearPath

    @property
    def onset_h(self) -> float:
        """When wear sets in, in hours since 1970-01-01 UTC."""
        return self.origin_h + self.path.onset_h

    @property
    def fails_h(self) -> float:
        """When it would fail if nothing stopped the machine before."""
        return self.origin_h + self.path.failure_h

    def wear_at(self, time_h: FloatArray) -> FloatArray:
        """Wear of the component.

        Parameters
        ----------
        time_h : ndarray
            Hours since 1970-01-01 UTC. [h]

        Returns
        -------
        ndarray of the same shape
            0 to 1.
        """
        return self.path.wear_at(time_h - self.origin_h)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """From one start of a machine to its next stop, and the standstill after it.

    Parameters
    ----------
    started_h : float
        When it began to work. [h since 1970-01-01 UTC]
    stopped_h : float
        When it failed or was stopped for a planned visit. [h since 1970-01-01 UTC]
    resumed_h : float
        When it worked again. [h since 1970-01-01 UTC]
    components : tuple of Component
        One for each failure mode of its kind.
    failed_mode : int or None
        Number of the mode that stopped it; None for a planned visit.
    service : Service
        What was done in the standstill.
    """

    started_h: float
    stopped_h: float
    resumed_h: float
    components: tuple[Component, ...]
    failed_mode: int | None
    service: Service

    def wear_at(self, time_h: FloatArray) -> FloatArray:
        """Wear during this run; from its stop on as it was then.

        Parameters
        ----------
        time_h : ndarray of shape (n_times,)
            Hours since 1970-01-01 UTC. [h]

        Returns
        -------
        ndarray of shape (n_modes, n_times)
            0 to 1.
        """
        working_h = np.minimum(time_h, self.stopped_h)
        return np.stack([component.wear_at(working_h) for component in self.components])

    @property
    def next_failure_h(self) -> float:
        """When it would have failed without any planned visit."""
        return min(component.fails_h for component in self.components)


class MachineLives:
    """All runs of one machine, drawn on as time goes by.

    Parameters
    ----------
    kind : MachineKind
        How it wears and how long it stands still.
    modes : sequence of str
        Failure modes that it can suffer from.
    policy : MaintenancePolicy
        How well it is looked after.
    runs : list of Run
        The first ones.
    rng : numpy.random.Generator
        Source of chance for those to come.
    """

    def __init__(
        self,
        kind: MachineKind,
        modes: Sequence[str],
        policy: MaintenancePolicy,
        runs: list[Run],
        rng: np.random.Generator,
    ) -> None:
        self._kind, self._modes, self._policy = kind, tuple(modes), policy
        self._runs, self._rng = runs, rng

    def until(self, time_h: float) -> list[Run]:
        """Give the runs begun before a time.

        Parameters
        ----------
        time_h : float
            Hours since 1970-01-01 UTC. [h]

        Returns
        -------
        list of Run
            In order; each but the last has ended and been followed by work before `time_h`.
        """
        while self._runs[-1].resumed_h <= time_h:
            self._runs.append(self._following(self._runs[-1]))
        return [run for run in self._runs if run.started_h < time_h]

    def after(self, run: Run) -> Run:
        """Run that follows another.

        Parameters
        ----------
        run : Run
            One of this machine.

        Returns
        -------
        Run
            The next.
        """
        self.until(run.resumed_h)
        return self._runs[self._runs.index(run) + 1]

    def state_at(self, time_h: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Wear, and whether the machine stands still.

        Parameters
        ----------
        time_h : ndarray of shape (n_times,)
            Hours since 1970-01-01 UTC, in any order. [h]

        Returns
        -------
        wear : ndarray of shape (n_modes, n_times)
            0 to 1, a row for each failure mode of the kind.
        is_standing : ndarray of bool, shape (n_times,)
            True from a stop until work begins again.
        """
        wear = np.zeros((len(self._kind.modes), time_h.size))
        is_standing = np.zeros(time_h.shape, dtype=np.bool_)
        if time_h.size == 0:
            return wear, is_standing
        for run in self.until(float(time_h.max()) + 1.0):
            is_in_run = (time_h >= run.started_h) & (time_h < run.resumed_h)
            if is_in_run.any():
                wear[:, is_in_run] = run.wear_at(time_h[is_in_run])
                is_standing |= is_in_run & (time_h >= run.stopped_h)
        return wear, is_standing

    def _following(self, run: Run) -> Run:
        return _draw_run(
            self._kind, self._policy, self._served(run), run.resumed_h, self._rng
        )  # fmt: skip

    def _served(self, run: Run) -> tuple[Component, ...]:
        """Components after the service that ends a run."""
        components = []
        for number, mode in enumerate(self._kind.modes):
            component, has_failed = run.components[number], number == run.failed_mode
            is_touched = mode.key in self._modes and self._policy.touches(
                mode.key, is_failed=has_failed, is_planned=run.failed_mode is None
            )
            if not is_touched or (run.service.effect == "none" and not has_failed):
                standstill_h = run.resumed_h - run.stopped_h
                components.append(Component(component.origin_h + standstill_h, component.path))
                continue
            # Read off its path, wear at failure is 1 but for rounding, and a patch must see it.
            wear = 1.0 if has_failed else float(component.wear_at(np.array([run.stopped_h]))[0])
            path, entered_h = draw_worn_path(mode.law, self._rng, run.service.wear_left(wear))
            components.append(Component(run.resumed_h - entered_h, path))
        return tuple(components)


def _draw_path(mode: FailureMode, modes: Sequence[str], rng: np.random.Generator) -> WearPath:
    return draw_wear_paths(mode.law, rng, 1)[0] if mode.key in modes else NEVER


def _draw_run(
    kind: MachineKind,
    policy: MaintenancePolicy,
    components: tuple[Component, ...],
    started_h: float,
    rng: np.random.Generator,
) -> Run:
    fails_h = [component.fails_h for component in components]
    failed_mode: int | None = int(np.argmin(fails_h))
    stopped_h, standstill_h = min(fails_h), _draw_standstill_h(kind, rng)
    if policy.planned_every_days is not None:
        planned_h = started_h + 24.0 * policy.planned_every_days
        if planned_h < stopped_h:
            failed_mode, stopped_h, standstill_h = None, planned_h, policy.planned_standstill_h
    service = draw_service(policy, rng, is_planned=failed_mode is None)
    return Run(started_h, stopped_h, stopped_h + standstill_h, components, failed_mode, service)


def draw_lives(
    kind: MachineKind,
    story: Story | None,
    rng: np.random.Generator,
    *,
    start_h: float,
    now_h: float,
    modes: Sequence[str] = (),
    policy: MaintenancePolicy = MaintenancePolicy(),  # noqa: B008 - frozen
) -> MachineLives:
    """Draw a machine's runs, so that its story comes true if it has one.

    Lives are drawn from the kind's own wear law and only those that fit the story are kept, so
    what fits is distributed as nature would have it.

    Parameters
    ----------
    kind : MachineKind
        How it wears.
    story : Story or None
        What must be so; None leaves all to chance.
    rng : numpy.random.Generator
        Source of chance.
    start_h, now_h : float
        When play begins, and the moment the story is told from. [h since 1970-01-01 UTC]
    modes : sequence of str
        Failure modes that it can suffer from; all of its kind if empty.
    policy : MaintenancePolicy
        How well it is looked after, if it has no story.

    Returns
    -------
    MachineLives
        Running when play begins.

    Raises
    ------
    ScenarioError
        If no life of this kind fits the story, or a mode is not one of the kind's.
    """
    known = [mode.key for mode in kind.modes]
    for key in (*modes, *policy.planned_modes):
        if key not in known:
            msg = f"modes: a {kind.key} has no {key!r}; choose among {', '.join(known)}"
            raise ScenarioError(msg)
    if story is None:
        chosen = tuple(modes) or tuple(known)
        born_h = start_h - 24.0 * float(rng.uniform(0.0, _FIRST_AGE_DAYS))
        components = tuple(Component(born_h, _draw_path(mode, chosen, rng)) for mode in kind.modes)
        first = _draw_run(kind, policy, components, born_h, rng)
        return MachineLives(kind, chosen, policy, [first], rng)
    return _draw_story(kind, story, rng, start_h=start_h, now_h=now_h)


def _draw_story(
    kind: MachineKind, story: Story, rng: np.random.Generator, *, start_h: float, now_h: float
) -> MachineLives:
    modes = (kind.modes[0].key,)
    fails_h = now_h + 24.0 * float(rng.uniform(*story.fails_in_days))
    for path in _draws(kind, rng):
        run = _story_run(kind, path, fails_h - path.failure_h, rng)
        if run.started_h <= start_h and (fails_h < now_h or _has_wear(run, story, now_h)):
            break
    else:
        raise ScenarioError(_no_life_fits(kind, story))
    runs = [run]
    if fails_h >= now_h:
        return MachineLives(kind, modes, MaintenancePolicy(), runs, rng)
    for path in _draws(kind, rng):
        run = _story_run(kind, path, runs[0].resumed_h, rng)
        if run.stopped_h > now_h and _has_wear(run, story, now_h):
            return MachineLives(kind, modes, MaintenancePolicy(), [*runs, run], rng)
    raise ScenarioError(_no_life_fits(kind, story))


def _story_run(
    kind: MachineKind, path: WearPath, started_h: float, rng: np.random.Generator
) -> Run:
    others = (Component(started_h, NEVER),) * (len(kind.modes) - 1)
    stopped_h = started_h + path.failure_h
    return Run(
        started_h,
        stopped_h,
        stopped_h + _draw_standstill_h(kind, rng),
        (Component(started_h, path), *others),
        0,
        Service("perfect", 0.0),
    )


def _draws(kind: MachineKind, rng: np.random.Generator) -> Iterator[WearPath]:
    for _ in range(0, _MOST_DRAWS, _DRAWS_AT_ONCE):
        yield from draw_wear_paths(kind.modes[0].law, rng, _DRAWS_AT_ONCE)


def _draw_standstill_h(kind: MachineKind, rng: np.random.Generator) -> float:
    return float(rng.uniform(*kind.standstill_range_h))


def _has_wear(run: Run, story: Story, time_h: float) -> bool:
    low, high = story.wear_now
    return low <= float(run.wear_at(np.array([time_h])).max()) <= high


def _no_life_fits(kind: MachineKind, story: Story) -> str:
    return (
        f"no {kind.key} in {_MOST_DRAWS} fails in {story.fails_in_days} days with a wear of "
        f"{story.wear_now} now; widen the ranges of the story"
    )
