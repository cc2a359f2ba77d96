"""What a health model would have said about units it has never seen.

Units are split into folds; a unit's damage is computed by a fusion that was learned without its
fold, and it is likened only to units of other folds. From these honest answers come the choice
of label and bandwidth, the stretch that makes intervals hold what they promise, and the figures
on the model card. Only what is usual in early life (centre and scale) is shared by all folds.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.arrays import BoolArray, FloatArray, IntArray
from analytics.health.calibration import Calibration, Trial, calibrate
from analytics.health.fusion import Fusion, moving_averages
from analytics.health.fusion_fit import UnitSums, fit_weights, unit_sums
from analytics.health.settings import HealthSettings
from analytics.health.similarity import Kernel, Library, build_library, liken
from analytics.signals.baseline import present_median
from analytics.signals.rolling import ewma

N_AGES: Final = 6
"""Ages at which each left-out unit is cut off, for each start of its history."""

CLIP_RATIO: Final = 0.6
"""Lives beyond this part of the median life score alike: nobody plans that far ahead."""

_MAX_POSITIONS: Final = 5000
_LEAST_SPAN: Final = 0.1
_GOLDEN_RATIO: Final = 0.5 * (5.0**0.5 - 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class CrossValidation:
    """What was chosen, and how good it is.

    Parameters
    ----------
    fusion : Fusion
        Learned from all units.
    library : Library
        Damage of each unit as a fusion saw it that did not know the unit.
    kernel : Kernel
        With the chosen bandwidth.
    label_ratio : float
        The chosen label.
    rise_by_signal : ndarray of shape (n_used,)
        What each used signal adds to damage between early life and failure, typically.
    calibration : Calibration
        Stretch, and scores on left-out units.
    """

    fusion: Fusion
    library: Library
    kernel: Kernel
    label_ratio: float
    rise_by_signal: FloatArray
    calibration: Calibration


def crossvalidate(
    blank: Fusion, values: FloatArray, n_steps: IntArray, settings: HealthSettings
) -> CrossValidation:
    """Choose label, bandwidth and stretch by unit-wise cross-validation, and fit on all units.

    Parameters
    ----------
    blank : Fusion
        From `fit_standardiser`.
    values : ndarray of shape (n_times, n_signals, n_units)
        Lives from new, ``nan`` after their ends.
    n_steps : ndarray of int, shape (n_units,)
        Length of each life. [steps]
    settings : HealthSettings
        Candidates and fixed choices.

    Returns
    -------
    CrossValidation
        The candidate with the least mean continuous ranked probability score.
    """
    median_life = float(np.median(n_steps))
    fold = np.arange(n_steps.size) % min(settings.n_folds, n_steps.size)
    start_steps = (np.asarray(settings.start_ratios)[:, np.newaxis] * n_steps).astype(np.int64)
    step = np.arange(values.shape[0])[:, np.newaxis]
    histories = [np.where((step >= start)[:, np.newaxis], values, np.nan) for start in start_steps]
    features = [blank.features(history) for history in histories]
    labels = _labels(n_steps, values.shape[0], median_life, settings)
    sums = _joined_sums(features, labels, settings)
    candidates = []
    for label, label_ratio in enumerate(settings.label_ratios):
        folds = [
            fit_weights(blank, sums, label, fold != k, ridge=settings.ridge)
            for k in range(int(fold.max()) + 1)
        ]
        damage = np.stack([_left_out_damage(folds, fold, x) for x in features])
        healthy, failed = _levels(damage[0], n_steps, settings)
        everyone = np.ones(n_steps.size, np.bool_)
        trials = _Trials(
            label_ratio=label_ratio,
            fusion=fit_weights(blank, sums, label, everyone, ridge=settings.ridge).rescaled(
                healthy, failed
            ),
            trajectory=_trajectories((damage - healthy) / (failed - healthy), n_steps, settings),
            n_steps=n_steps,
            start_steps=start_steps,
            fold=fold,
        )
        for bandwidth in settings.bandwidths:
            kernel = Kernel(
                bandwidth=bandwidth,
                history_memory_steps=float(blank.memory_steps.max()),
                history_spread=settings.history_spread,
            )
            candidates.append((trials, kernel, trials.calibration(kernel, settings)))
    trials, kernel, calibration = min(candidates, key=lambda candidate: candidate[2].crps_steps)
    return CrossValidation(
        fusion=trials.fusion,
        library=trials.library(np.ones(n_steps.size, np.bool_), settings, settings.max_positions),
        kernel=kernel,
        label_ratio=trials.label_ratio,
        rise_by_signal=_rise_by_signal(trials.fusion, features[0], n_steps, settings),
        calibration=calibration,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Trials:
    """Damage of every unit as seen by a fusion that did not know it, for one label.

    Parameters
    ----------
    label_ratio : float
        The label.
    fusion : Fusion
        Learned from all units.
    trajectory : ndarray of shape (n_starts, n_times, n_memories, n_units)
        Moving averages of damage.
    n_steps, fold : ndarray of int, shape (n_units,)
        Length of each life, and its fold.
    start_steps : ndarray of int, shape (n_starts, n_units)
        Age at which each history begins. [steps]
    """

    label_ratio: float
    fusion: Fusion
    trajectory: FloatArray
    n_steps: IntArray
    start_steps: IntArray
    fold: IntArray

    def library(self, is_in: BoolArray, settings: HealthSettings, max_positions: int) -> Library:
        """Collect the library of some units."""
        return build_library(
            self.trajectory[..., is_in],
            self.n_steps[is_in],
            self.start_steps[:, is_in],
            min_samples=settings.min_samples,
            max_positions=max_positions,
        )

    def calibration(self, kernel: Kernel, settings: HealthSettings) -> Calibration:
        """Estimate the life left of every unit at several ages, from the other folds."""
        start, time, unit = self._cases(settings)
        trials = []
        for k in range(int(self.fold.max()) + 1):
            mine = self.fold[unit] == k
            said = liken(
                self.library(self.fold != k, settings, _MAX_POSITIONS),
                kernel,
                self.trajectory[start[mine], time[mine], :, unit[mine]].T,
                time[mine] - self.start_steps[start[mine], unit[mine]] + 1,
            )
            trials.append(Trial(said, self.n_steps[unit[mine]] - 1 - time[mine] + 0.5))
        clip_steps = CLIP_RATIO * float(np.median(self.n_steps))
        return calibrate(trials, clip_steps=clip_steps, interval_ratio=settings.interval_ratio)

    def _cases(self, settings: HealthSettings) -> tuple[IntArray, IntArray, IntArray]:
        """Start, time and unit of each case: ages spread evenly, differently for each unit."""
        n_starts, n_units = self.start_steps.shape
        # Multiples of the golden ratio fall evenly into [0, 1), however many there are.
        offset = (np.arange(n_units) * _GOLDEN_RATIO) % 1.0
        share = (np.arange(N_AGES)[:, np.newaxis] + offset) / N_AGES
        time = np.broadcast_to((share * self.n_steps).astype(np.int64), (n_starts, N_AGES, n_units))
        history = time - self.start_steps[:, np.newaxis] + 1
        start, age, unit = np.nonzero(history >= settings.min_samples)
        time = time[start, age, unit]
        is_known = np.isfinite(self.trajectory[start, time, :, unit]).all(axis=1)
        return start[is_known], time[is_known], unit[is_known]


def _labels(
    n_steps: IntArray, n_times: int, median_life: float, settings: HealthSettings
) -> FloatArray:
    """Damage labels of shape (n_labels, n_times, n_units): 0, then straight up to 1 at the end."""
    left = (n_steps - 1) - np.arange(n_times)[:, np.newaxis]
    ramp_steps = np.asarray(settings.label_ratios)[:, np.newaxis, np.newaxis] * median_life
    label = 1.0 - np.minimum(left, ramp_steps) / ramp_steps
    return np.where(left >= 0, label, np.nan)


def _joined_sums(
    features: list[FloatArray], labels: FloatArray, settings: HealthSettings
) -> UnitSums:
    """Add up samples of histories from new and of late ones."""
    sums = unit_sums(features[0], labels, sample_weight=1.0)
    for late in features[1:]:
        sums += unit_sums(late, labels, sample_weight=settings.late_start_weight)
    return sums


def _left_out_damage(folds: list[Fusion], fold: IntArray, features: FloatArray) -> FloatArray:
    """Damage of every unit by the fusion that was learned without its fold."""
    damage = np.empty((features.shape[0], features.shape[2]))
    for k, fusion in enumerate(folds):
        damage[:, fold == k] = fusion.damage(features[:, :, fold == k])
    return damage


def _levels(damage: FloatArray, n_steps: IntArray, settings: HealthSettings) -> tuple[float, float]:
    """Typical damage in early life, and right before failure."""
    step = np.arange(damage.shape[0])[:, np.newaxis]
    healthy = present_median(damage[step < settings.healthy_ratio * n_steps])
    failed = present_median(_last_known(damage, n_steps))
    # Where the signals say nothing of wear, noise must not be blown up to the full scale.
    return float(healthy), float(max(failed, healthy + _LEAST_SPAN))


def _last_known(values: FloatArray, n_steps: IntArray) -> FloatArray:
    """Newest value of each unit before its end, units on the last axis."""
    carried = ewma(values, 1.0)
    return np.stack([carried[last, ..., unit] for unit, last in enumerate(n_steps - 1)], axis=-1)


def _rise_by_signal(
    fusion: Fusion, features: FloatArray, n_steps: IntArray, settings: HealthSettings
) -> FloatArray:
    """Split the typical rise of damage over a life by signal."""
    is_early = np.arange(features.shape[0])[:, np.newaxis] < settings.healthy_ratio * n_steps
    early = present_median(np.moveaxis(features, 1, 2)[is_early])
    late = present_median(_last_known(features, n_steps).T)
    rise = fusion.weights * (late - early).reshape(fusion.weights.shape)
    return np.asarray(rise.sum(axis=1))


def _trajectories(damage: FloatArray, n_steps: IntArray, settings: HealthSettings) -> FloatArray:
    """Average damage; the answer has shape (n_starts, n_times, n_memories, n_units)."""
    memory_steps = trajectory_memory_steps(float(np.median(n_steps)), settings)
    return np.stack([moving_averages(one, memory_steps) for one in damage])


def trajectory_memory_steps(median_life_steps: float, settings: HealthSettings) -> FloatArray:
    """Count the memories by which machines are likened.

    Parameters
    ----------
    median_life_steps : float
        Median life of the units. [steps]
    settings : HealthSettings
        Their ratios of it.

    Returns
    -------
    ndarray of shape (n_memories,)
        At least one step each. [steps]
    """
    return np.maximum(1.0, np.asarray(settings.trajectory_ratios) * median_life_steps)
