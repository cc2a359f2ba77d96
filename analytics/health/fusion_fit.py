"""Learning a fusion: what is usual in early life, and how much each signal tells of wear."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.optimize import nnls

from analytics.arrays import BoolArray, FloatArray, IntArray, NotEnoughDataError
from analytics.health.fusion import Fusion, regime_terms
from analytics.health.settings import HealthSettings
from analytics.signals.baseline import MAD_TO_SIGMA, MEAN_DEVIATION_TO_SIGMA, present_median

_CONSTANT_RATIO: Final = 1e-6
"""A signal whose spread is below this part of its level tells nothing."""

_PRESENT_RATIO: Final = 0.5
"""A signal must be there in this part of all steps to be used."""

_REGIME_RIDGE: Final = 1e-6


def fit_standardiser(
    values: FloatArray,
    n_steps: IntArray,
    signals: Sequence[str],
    settings: HealthSettings,
    *,
    kind: str,
) -> Fusion:
    """Learn what is usual from the early lives of all units.

    Parameters
    ----------
    values : ndarray of shape (n_times, n_signals, n_units)
        Lives from new, ``nan`` after their ends.
    n_steps : ndarray of int, shape (n_units,)
        Length of each life. [steps]
    signals : sequence of str
        Names of the signals.
    settings : HealthSettings
        Regime signals, memories, and which part of life is healthy.
    kind : str
        Kind of machine, for messages.

    Returns
    -------
    Fusion
        With weights of 0. Signals that do not move, or are mostly missing, are not used.

    Raises
    ------
    NotEnoughDataError
        If no signal is of use.
    """
    step = np.arange(values.shape[0])[:, np.newaxis]
    is_alive = step < n_steps
    is_healthy = step < np.maximum(settings.healthy_ratio * n_steps, settings.min_samples)
    regime = np.array([i for i, s in enumerate(signals) if s in settings.regime_signals], np.int64)
    rows = np.moveaxis(values, 1, 2)
    early = rows[is_alive & is_healthy]
    present_ratio = np.isfinite(rows[is_alive]).mean(axis=0)
    level = present_median(early)
    spread = _robust_scale(early - level)
    is_used = (present_ratio >= _PRESENT_RATIO) & (spread > _CONSTANT_RATIO * np.abs(level))
    is_used[regime] = False
    used = np.flatnonzero(is_used)
    if not used.size:
        msg = (
            f"kind {kind}: none of the signals {tuple(signals)} moves and is there in "
            f"{_PRESENT_RATIO:.0%} of all steps; check the columns of the table"
        )
        raise NotEnoughDataError(msg)
    regime_centre = level[regime]
    regime_scale = np.where(spread[regime] > 0, spread[regime], 1.0)
    terms = regime_terms(early.T[np.newaxis, regime], regime_centre, regime_scale)[:, 0]
    usual = np.stack([_usual_weights(terms, early[:, i]) for i in used], axis=1)
    residual = early[:, used] - np.einsum("kn,ku->nu", terms, usual)
    centre = present_median(residual)
    usual[0] += centre
    scale = _robust_scale(residual - centre)
    median_life = float(np.median(n_steps))
    memory_steps = np.maximum(1.0, np.asarray(settings.memory_ratios) * median_life)
    return Fusion(
        used=used.astype(np.int64),
        regime=regime,
        regime_centre=regime_centre,
        regime_scale=regime_scale,
        usual=usual,
        # What a regime explains to the last digit must not be divided by nothing.
        scale=np.maximum(scale, _CONSTANT_RATIO * np.abs(level[used])),
        memory_steps=memory_steps,
        weights=np.zeros((used.size, memory_steps.size)),
        intercept=0.0,
    )


def _usual_weights(terms: FloatArray, x: FloatArray) -> FloatArray:
    """Least-squares weights of the regime terms for one signal."""
    is_present = np.isfinite(x) & np.isfinite(terms).all(axis=0)
    if terms.shape[0] == 1:
        return np.zeros(1)
    A, b = terms[:, is_present], x[is_present]
    middle = b.mean()
    gram = A @ A.T + _REGIME_RIDGE * b.size * np.eye(terms.shape[0])
    weights: FloatArray = np.linalg.solve(gram, A @ (b - middle))
    weights[0] += middle
    return weights


def _robust_scale(deviation: FloatArray) -> FloatArray:
    """Robust spread along the first axis of deviations from a centre."""
    size = np.abs(deviation)
    scale = MAD_TO_SIGMA * present_median(size)
    n = np.maximum(np.isfinite(size).sum(axis=0), 1)
    return np.where(scale > 0, scale, MEAN_DEVIATION_TO_SIGMA * np.nansum(size, axis=0) / n)


@dataclass(frozen=True, slots=True, eq=False)
class UnitSums:
    """Sums over each unit's samples from which the weights of any set of units follow.

    Parameters
    ----------
    n : ndarray of shape (n_units,)
        Summed sample weights.
    x : ndarray of shape (n_units, n_features)
        Weighted sums of the moving averages.
    xx : ndarray of shape (n_units, n_features, n_features)
        Of their products.
    y : ndarray of shape (n_labels, n_units)
        Of the damage labels, one row for each candidate.
    xy : ndarray of shape (n_labels, n_units, n_features)
        Of the products of both.
    """

    n: FloatArray
    x: FloatArray
    xx: FloatArray
    y: FloatArray
    xy: FloatArray

    def __add__(self, other: "UnitSums") -> "UnitSums":
        """Join the samples of both."""
        return UnitSums(
            self.n + other.n,
            self.x + other.x,
            self.xx + other.xx,
            self.y + other.y,
            self.xy + other.xy,
        )


def unit_sums(features: FloatArray, labels: FloatArray, *, sample_weight: float) -> UnitSums:
    """Add up each unit's samples.

    Parameters
    ----------
    features : ndarray of shape (n_times, n_features, n_units)
        Moving averages of deviations, ``nan`` before a history begins.
    labels : ndarray of shape (n_labels, n_times, n_units)
        Damage labels, ``nan`` after the end of a life.
    sample_weight : float
        Weight of every sample.

    Returns
    -------
    UnitSums
        Over the samples that have both.
    """
    is_known: BoolArray = np.logical_and.reduce(np.isfinite(features), axis=1)
    is_known &= np.logical_and.reduce(np.isfinite(labels), axis=0)
    n_features, n_units = features.shape[1:]
    x, xx = np.empty((n_units, n_features)), np.empty((n_units, n_features, n_features))
    xy = np.empty((labels.shape[0], n_units, n_features))
    for unit in range(n_units):
        rows = features[is_known[:, unit], :, unit]
        x[unit], xx[unit] = rows.sum(axis=0), rows.T @ rows
        xy[:, unit] = labels[:, is_known[:, unit], unit] @ rows
    n = is_known.sum(axis=0).astype(np.float64)
    y = np.where(is_known, labels, 0.0).sum(axis=1)
    return UnitSums(*(sample_weight * part for part in (n, x, xx, y, xy)))


def fit_weights(
    blank: Fusion, sums: UnitSums, label: int, is_in: BoolArray, *, ridge: float
) -> Fusion:
    """Learn the weights: ridge regression [1]_ of the damage label, each signal in one direction.

    Each signal gets two kinds of weight, one for how far it is out (its shortest average) and
    one for how far it has come lately (its shortest average less each longer one). All of them
    take the sign of the signal's covariance with the label, or are zero [2]_: without that,
    signals that move together cancel in the fit, and a hotter seal could mean less damage.

    Parameters
    ----------
    blank : Fusion
        From `fit_standardiser`.
    sums : UnitSums
        Sums of all units.
    label : int
        Which candidate label.
    is_in : ndarray of bool, shape (n_units,)
        Units to learn from.
    ridge : float
        Penalty on the weights of standardised features.

    Returns
    -------
    Fusion
        With weights.

    References
    ----------
    .. [1] A. E. Hoerl and R. W. Kennard, "Ridge regression: biased estimation for nonorthogonal
       problems", Technometrics, vol. 12, no. 1, pp. 55-67, 1970.
    .. [2] C. L. Lawson and R. J. Hanson, "Solving Least Squares Problems", SIAM, 1995, ch. 23.
    """
    n = sums.n[is_in].sum()
    mean_x, mean_y = sums.x[is_in].sum(axis=0) / n, sums.y[label, is_in].sum() / n
    covariance = sums.xx[is_in].sum(axis=0) / n - np.outer(mean_x, mean_x)
    with_label = sums.xy[label, is_in].sum(axis=0) / n - mean_x * mean_y
    # From here on in signed levels and recent rises, where every weight must be 0 or more.
    turn = _levels_and_rises(with_label.reshape(blank.weights.shape))
    covariance, with_label = turn.T @ covariance @ turn, turn.T @ with_label
    sd = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    sd = np.where(sd > 0, sd, 1.0)
    penalised = covariance / np.outer(sd, sd) + ridge * np.eye(sd.size)
    root = np.linalg.cholesky(penalised)
    w, _ = nnls(root.T, np.linalg.solve(root, with_label / sd), maxiter=100 * sd.size)
    weights = turn @ (w / sd)
    return replace(
        blank,
        weights=weights.reshape(blank.weights.shape),
        intercept=float(mean_y - mean_x @ weights),
    )


def _levels_and_rises(with_label: FloatArray) -> FloatArray:
    """Matrix from weights of levels and rises, in each signal's direction of wear, to weights.

    `with_label` has shape (n_used, n_memories): covariances of the averages with the label.
    """
    n_memories = with_label.shape[1]
    of_one = np.eye(n_memories)
    of_one[0, :] = 1.0
    of_one[range(1, n_memories), range(1, n_memories)] = -1.0
    direction = np.where(with_label[:, 0] < 0, -1.0, 1.0)
    return np.kron(np.diag(direction), of_one)
