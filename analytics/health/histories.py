"""Run-to-failure histories, checked and brought onto one grid."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.arrays import (
    BoolArray,
    DomainError,
    FloatArray,
    IntArray,
    NotEnoughDataError,
    ShapeError,
)
from analytics.signals.resample import bin_means

MIN_UNITS: Final = 3
"""Fewer units can't be both learned from and checked against."""


@dataclass(frozen=True, slots=True, eq=False)
class RunToFailure:
    """One machine, watched from new until it failed.

    Parameters
    ----------
    unit : str
        Its name.
    time_h : ndarray of shape (n,)
        When it was sampled, not falling; it fails right after the last. [h]
    values : ndarray of shape (n, n_signals)
        Samples, each in its signal's unit; ``nan`` where missing.

    Raises
    ------
    ShapeError
        If times and samples do not fit each other.
    DomainError
        If times are missing or fall.
    """

    unit: str
    time_h: FloatArray
    values: FloatArray

    def __post_init__(self) -> None:
        if self.time_h.ndim != 1 or self.values.ndim != 2 or not self.time_h.size:
            msg = (
                f"unit {self.unit}: time_h has shape {self.time_h.shape} and values "
                f"{self.values.shape}; give (n,) and (n, n_signals), at least one sample"
            )
            raise ShapeError(msg)
        if self.time_h.size != self.values.shape[0]:
            msg = (
                f"unit {self.unit}: {self.time_h.size} times but {self.values.shape[0]} rows of "
                "values; give one row per time"
            )
            raise ShapeError(msg)
        if not (np.isfinite(self.time_h).all() and (np.diff(self.time_h) >= 0).all()):
            msg = f"unit {self.unit}: times are missing or fall; sort its rows by time"
            raise DomainError(msg)


@dataclass(frozen=True, slots=True, eq=False)
class GriddedHistories:
    """All units on one grid of steps since each one's first sample.

    Parameters
    ----------
    units : tuple of str
        Names, sorted.
    values : ndarray of shape (n_times, n_signals, n_units)
        ``nan`` where missing and after the end of a shorter life.
    n_steps : ndarray of int, shape (n_units,)
        Length of each life. [steps]
    left_out : dict of str to str
        Units that are of no use, and why.
    """

    units: tuple[str, ...]
    values: FloatArray
    n_steps: IntArray
    left_out: dict[str, str]

    def without_silent_units(
        self, signals: Sequence[str], used: IntArray, *, min_samples: int
    ) -> "GriddedHistories":
        """Leave out units that don't tell enough of the signals that matter.

        Parameters
        ----------
        signals : sequence of str
            Names of the signals.
        used : ndarray of int, shape (n_used,)
            Positions of those that matter.
        min_samples : int
            Steps that a unit must have left once each of them has been seen.

        Returns
        -------
        GriddedHistories
            With the reasons.
        """
        is_present = np.isfinite(self.values[:, used])
        # A signal that never comes counts as first seen when the life is over.
        first = np.where(is_present.any(axis=0), is_present.argmax(axis=0), self.n_steps)
        is_told: BoolArray = np.logical_and.reduce(self.n_steps - first >= min_samples, axis=0)
        latest = used[first.argmax(axis=0)]
        reasons = {
            unit: f"{signals[signal]} is missing for the first {steps} of {n} steps"
            for unit, signal, steps, n, is_fine in zip(
                self.units, latest, first.max(axis=0), self.n_steps, is_told, strict=True
            )
            if not is_fine
        }
        return GriddedHistories(
            tuple(unit for unit in self.units if unit not in reasons),
            self.values[:, :, is_told],
            self.n_steps[is_told],
            self.left_out | reasons,
        )


def grid_histories(
    kind: str,
    signals: Sequence[str],
    histories: Sequence[RunToFailure],
    *,
    step_h: float,
    min_samples: int,
) -> GriddedHistories:
    """Check histories, sort them by unit, and bring them onto one grid.

    Several samples within half a step of a grid point become their mean. A unit that lived for
    fewer than `min_samples` steps is left out, and said so; nothing beside it is lost.

    Parameters
    ----------
    kind : str
        Kind of machine, for messages.
    signals : sequence of str
        Names of the columns of each history.
    histories : sequence of RunToFailure
        Units in any order.
    step_h : float
        Step of the grid. [h]
    min_samples : int
        Shortest life that is of use. [steps]

    Returns
    -------
    GriddedHistories
        The same for any order of `histories`.

    Raises
    ------
    ShapeError
        If a history has not one column per signal.
    DomainError
        If the step is not above 0 or two units share a name.
    NotEnoughDataError
        If fewer than three units are of use.
    """
    if not step_h > 0:
        msg = f"kind {kind}: step_h is {step_h}; give the length of a step in hours, above 0"
        raise DomainError(msg)
    ordered = sorted(histories, key=lambda history: history.unit)
    names = [history.unit for history in ordered]
    for name, next_name in itertools.pairwise(names):
        if name == next_name:
            msg = f"kind {kind}: two histories are of unit {name}; give each unit its own name"
            raise DomainError(msg)
    left_out: dict[str, str] = {}
    kept: list[tuple[str, FloatArray]] = []
    for history in ordered:
        if history.values.shape[1] != len(signals):
            msg = (
                f"kind {kind}, unit {history.unit}: {history.values.shape[1]} columns but "
                f"{len(signals)} signals {tuple(signals)}; give one column per signal"
            )
            raise ShapeError(msg)
        steps = _on_grid(history, step_h)
        if steps.shape[0] < min_samples:
            left_out[history.unit] = (
                f"lived {steps.shape[0]} steps of {step_h:g} h, {min_samples} are needed"
            )
        else:
            kept.append((history.unit, steps))
    if len(kept) < MIN_UNITS:
        raise NotEnoughDataError(too_few_units(kind, len(kept), left_out))
    n_steps = np.array([steps.shape[0] for _, steps in kept], dtype=np.int64)
    values = np.full((int(n_steps.max()), len(signals), len(kept)), np.nan)
    for column, (_, steps) in enumerate(kept):
        values[: steps.shape[0], :, column] = steps
    return GriddedHistories(tuple(unit for unit, _ in kept), values, n_steps, left_out)


def too_few_units(kind: str, n_units: int, left_out: dict[str, str]) -> str:
    """Say that too few units are of use, and what is wrong with the others.

    Parameters
    ----------
    kind : str
        Kind of machine.
    n_units : int
        Units that are of use.
    left_out : dict of str to str
        Units that are not, and why.

    Returns
    -------
    str
        For an error.
    """
    reasons = "".join(f"; unit {unit}: {reason}" for unit, reason in left_out.items())
    return (
        f"kind {kind}: {n_units} usable run-to-failure histories, {MIN_UNITS} are needed{reasons}"
    )


def _on_grid(history: RunToFailure, step_h: float) -> FloatArray:
    """One history on its own grid, of shape (n_steps, n_signals)."""
    n, n_signals = history.values.shape
    # Half a step early: a clock that is a little slow must not push samples into other steps.
    start_h = float(history.time_h[0]) - 0.5 * step_h
    n_steps = int((float(history.time_h[-1]) - start_h) / step_h) + 1
    return bin_means(
        np.repeat(np.arange(n_signals), n),
        np.tile(history.time_h, n_signals),
        history.values.T.ravel(),
        n_series=n_signals,
        start_h=start_h,
        step_h=step_h,
        n_steps=n_steps,
    )
