"""How long each machine has left, as a distribution that a planner can bet on."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.arrays import BoolArray, DomainError, FloatArray, IntArray, ShapeError
from analytics.health.fusion import moving_averages
from analytics.health.model import HealthModel
from analytics.health.similarity import liken

WEAK_EVIDENCE_UNITS: Final = 2.0
"""Fewer library units than this behind an estimate are said aloud."""

FAR_BANDWIDTHS: Final = 5.0
"""A machine further than this from anything in the library is said to be unlike it."""

_N_NEAR_STEPS: Final = 48
_N_FAR_STEPS: Final = 112


@dataclass(frozen=True, slots=True, eq=False)
class RulEstimate:
    """Remaining useful life of several machines, counted from each one's newest sample.

    Parameters
    ----------
    horizon_h : ndarray of shape (n_horizons,)
        Times ahead, rising from 0. [h]
    survival : ndarray of shape (n_machines, n_horizons)
        Probability of still running then: from 1, never rising; ``nan`` where not known.
    median_h, lower_h, upper_h : ndarray of shape (n_machines,)
        Median and ends of the central interval; ``nan`` where not known. [h]
    n_evidence : ndarray of shape (n_machines,)
        Effective number of run-to-failure units that looked like it; 0 where not known.
    note : tuple of str or None
        Why an answer is missing or weak, for each machine.
    interval : float
        Probability that the central interval is meant to hold.
    """

    horizon_h: FloatArray
    survival: FloatArray
    median_h: FloatArray
    lower_h: FloatArray
    upper_h: FloatArray
    n_evidence: FloatArray
    note: tuple[str | None, ...]
    interval: float

    def survival_at(self, time_h: FloatArray) -> FloatArray:
        """Probability of still running at any times ahead, straight between the horizons.

        Parameters
        ----------
        time_h : ndarray of shape (n_times,)
            Times ahead, 0 or more; beyond the last horizon it stays as it was there. [h]

        Returns
        -------
        ndarray of shape (n_machines, n_times)
            ``nan`` where not known.
        """
        rows = [np.interp(time_h, self.horizon_h, row) for row in self.survival]
        return np.stack(rows) if rows else np.empty((0, time_h.size))


def estimate_rul(model: HealthModel, damage: FloatArray, *, interval: float = 0.8) -> RulEstimate:
    """Estimate the life each machine has left from how its damage went so far.

    The course of damage, averaged over a short, a middle and a long memory, is likened to every
    moment in the lives of the units that the model was fitted from; what those had left, weighted
    by likeness, is the answer. A machine without any wear yet gets the wide distribution of lives
    left to healthy units that had been watched for about as long.

    Parameters
    ----------
    model : HealthModel
        Of this kind of machine.
    damage : ndarray of shape (n_times, n_machines)
        From `analytics.health.indicator.health_indicator`; ``nan`` before a machine's history
        begins and where it sent nothing.
    interval : float
        Probability that the central interval shall hold.

    Returns
    -------
    RulEstimate
        Marked with a note, and ``nan``, where a machine has fewer samples than
        ``model.min_samples``.

    Raises
    ------
    ShapeError
        If `damage` has not two axes.
    DomainError
        If `interval` is not between 0 and 1.

    Examples
    --------
    Pumps whose vibration grows to 40 mm/s, one of them seen for the first 60 of its 150 hours,
    another for an hour only.

    >>> from analytics.health.indicator import health_indicator
    >>> from analytics.health.model import RunToFailure, fit_health_model
    >>> age_h = np.arange(200.0)
    >>> def vibration_mm_s(life_h):
    ...     wear = np.exp(np.log(40.0) * age_h[:life_h] / life_h)
    ...     return (wear + 0.1 * np.cos(age_h[:life_h]))[:, np.newaxis]
    >>> histories = [
    ...     RunToFailure(f"pump-{life_h}", age_h[:life_h], vibration_mm_s(life_h))
    ...     for life_h in range(100, 201, 10)
    ... ]
    >>> model = fit_health_model("pump", ["vibration_mm_s"], histories, step_h=1.0)
    >>> values = np.full((60, 1, 2), np.nan)
    >>> values[:, 0, 0] = vibration_mm_s(150)[:60, 0]
    >>> values[-1, 0, 1] = 1.0
    >>> estimate = estimate_rul(model, health_indicator(model, values))
    >>> abs(estimate.median_h[0] - 90.0) < 20.0
    np.True_
    >>> estimate.note
    (None, 'not enough data: 1 of 24 samples')
    """
    if damage.ndim != 2:
        msg = f"estimate_rul: damage has shape {damage.shape}; give (n_times, n_machines)"
        raise ShapeError(msg)
    if not 0 < interval < 1:
        msg = f"estimate_rul: interval is {interval}; give a probability between 0 and 1"
        raise DomainError(msg)
    is_present = np.isfinite(damage)
    n_present = is_present.sum(axis=0)
    is_known = n_present >= max(model.min_samples, 1)
    known = np.flatnonzero(is_known)

    trajectory = np.empty((model.memory_steps.size, 0))
    if known.size:
        # The averages stand still after the newest sample, so the last row is as of then.
        trajectory = moving_averages(damage[:, known], model.memory_steps)[-1]
    history_steps = _history_steps(is_present[:, known])
    said = liken(model.library, model.kernel, trajectory, history_steps).stretched(model.stretch)

    horizon_steps = _horizon_steps(float(said.edges_steps[-1]))
    n_machines = damage.shape[1]
    survival = np.full((n_machines, horizon_steps.size), np.nan)
    survival[known] = said.survival(horizon_steps)
    tail = 0.5 * (1.0 - interval)
    quantiles = np.full((3, n_machines), np.nan)
    for row, probability in enumerate((0.5, tail, 1.0 - tail)):
        quantiles[row, known] = said.quantile_steps(probability) * model.step_h
    n_evidence = np.zeros(n_machines)
    n_evidence[known] = said.n_evidence
    distance = np.full(n_machines, np.inf)
    distance[known] = said.distance
    return RulEstimate(
        horizon_h=horizon_steps * model.step_h,
        survival=survival,
        median_h=quantiles[0],
        lower_h=quantiles[1],
        upper_h=quantiles[2],
        n_evidence=n_evidence,
        note=tuple(
            _note(model, int(n), float(units), float(far))
            for n, units, far in zip(n_present, n_evidence, distance, strict=True)
        ),
        interval=interval,
    )


def _history_steps(is_present: BoolArray) -> IntArray:
    """Count the steps from each machine's first sample to its last, both included."""
    n_times, n_machines = is_present.shape
    if n_machines == 0:
        return np.zeros(0, dtype=np.int64)
    first = is_present.argmax(axis=0)
    last = n_times - 1 - is_present[::-1].argmax(axis=0)
    return np.asarray(last - first + 1, dtype=np.int64)


def _horizon_steps(last: float) -> FloatArray:
    """Every step at first, then ever longer ones, up to the longest life left."""
    near = np.arange(min(_N_NEAR_STEPS, int(last)) + 1, dtype=np.float64)
    far = np.geomspace(max(near[-1], 1.0), last, _N_FAR_STEPS)
    return np.unique(np.concatenate([near, far]))


def _note(model: HealthModel, n_present: int, n_evidence: float, distance: float) -> str | None:
    if n_present < model.min_samples:
        return f"not enough data: {n_present} of {model.min_samples} samples"
    if distance > FAR_BANDWIDTHS * model.kernel.bandwidth:
        return (
            f"weak evidence: its damage went unlike that of all {model.library.n_units} units "
            "the model knows"
        )
    if n_evidence < WEAK_EVIDENCE_UNITS:
        return (
            f"weak evidence: {n_evidence:.1f} of the {model.library.n_units} units the model "
            "knows looked like this"
        )
    return None
