"""How well scores put anomalous samples above ordinary ones, whatever the threshold.

Sample by sample (AUC-PR, AUC-ROC) and forgiving about the exact borders of an anomaly (VUS-PR,
VUS-ROC).
"""

from dataclasses import dataclass

import numpy as np

from analytics.arrays import BoolArray, DomainError, FloatArray, IntArray, ShapeError
from analytics.scoring.segments import segments_of

_N_THRESHOLDS = 250


def auc_pr(is_anomaly: BoolArray, score: FloatArray) -> float:
    """Area under precision over recall, as average precision; equal scores count together.

    Parameters
    ----------
    is_anomaly : ndarray of bool, shape (n,)
        The truth.
    score : ndarray of shape (n,)
        Higher is more anomalous.

    Returns
    -------
    float
        From 0 to 1; noise reaches the part of anomalous samples.

    Examples
    --------
    >>> auc_pr(np.array([False, True, False, True]), np.array([0.1, 0.9, 0.5, 0.4])).__round__(3)
    0.833
    """
    n_true, n_flagged = _counts(is_anomaly, score)
    precision = n_true / n_flagged
    recall = n_true / n_true[-1]
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def auc_roc(is_anomaly: BoolArray, score: FloatArray) -> float:
    """Probability that an anomalous sample scores higher than an ordinary one; ties count half.

    Parameters
    ----------
    is_anomaly : ndarray of bool, shape (n,)
        The truth.
    score : ndarray of shape (n,)
        Higher is more anomalous.

    Returns
    -------
    float
        0.5 is noise.

    Examples
    --------
    >>> auc_roc(np.array([False, True, False, True]), np.array([0.1, 0.9, 0.5, 0.4]))
    0.75
    """
    n_true, n_flagged = _counts(is_anomaly, score)
    hit = np.concatenate([[0.0], n_true / n_true[-1]])
    false = np.concatenate([[0.0], (n_flagged - n_true) / (n_flagged[-1] - n_true[-1])])
    return float((np.diff(false) * (hit[1:] + hit[:-1]) / 2).sum())


def _counts(is_anomaly: BoolArray, score: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Count true and all flagged samples at every distinct threshold, the highest first."""
    _check("auc", is_anomaly, score)
    order = np.argsort(-score, kind="stable")
    is_last = np.append(np.diff(score[order]) != 0, True)
    n_true = np.cumsum(is_anomaly[order])[is_last].astype(np.float64)
    n_flagged = (np.flatnonzero(is_last) + 1).astype(np.float64)
    return n_true, n_flagged


@dataclass(frozen=True, slots=True)
class Volumes:
    """Volumes under the surfaces.

    Parameters
    ----------
    vus_pr, vus_roc : float
        From 0 to 1.
    """

    vus_pr: float
    vus_roc: float


def volumes_under_surface(
    is_anomaly: BoolArray, score: FloatArray, buffer: int, *, n_thresholds: int = _N_THRESHOLDS
) -> Volumes:
    """Average range-aware areas over every width of a buffer around the anomalies [1]_.

    Follows the published evaluation of TSB-AD: labels fall off as a square root within half the
    width on either side, recall is multiplied by the part of anomalies touched at all, and areas
    are taken over `n_thresholds` ranks.

    Parameters
    ----------
    is_anomaly : ndarray of bool, shape (n,)
        The truth.
    score : ndarray of shape (n,)
        Higher is more anomalous.
    buffer : int
        Largest width; TSB-AD takes the period of the series. [samples]
    n_thresholds : int
        Ranks looked at.

    Returns
    -------
    Volumes
        Of precision-recall and of ROC.

    Raises
    ------
    DomainError
        If `buffer` is below 0.

    References
    ----------
    .. [1] J. Paparrizos, P. Boniol, T. Palpanas, R. Tsay, A. Elmore and M. Franklin, "Volume
       under the surface: a new accuracy evaluation measure for time-series anomaly detection",
       VLDB 2022.

    Examples
    --------
    >>> truth = np.zeros(200, bool)
    >>> truth[80:100] = True
    >>> found = volumes_under_surface(truth, truth + 0.0, buffer=10)
    >>> found.vus_pr > 0.9
    True
    """
    _check("volumes_under_surface", is_anomaly, score)
    if buffer < 0:
        msg = f"volumes_under_surface: buffer is {buffer}; give a number of samples, at least 0"
        raise DomainError(msg)
    n = score.size
    order = np.argsort(-score, kind="stable")
    ranks = np.linspace(0, n - 1, n_thresholds).astype(np.int64)
    thresholds = score[order][ranks]
    ascending = -score[order]
    n_flagged = np.searchsorted(ascending, -thresholds, side="right")
    segments = segments_of(is_anomaly)
    n_inside = np.cumsum(is_anomaly[order], dtype=np.int64)[n_flagged - 1]
    areas = [
        _areas(is_anomaly, score, order, thresholds, n_flagged, n_inside, segments, width)
        for width in range(buffer + 1)
    ]
    roc, pr = np.mean(areas, axis=0)
    return Volumes(vus_pr=float(pr), vus_roc=float(roc))


def _areas(
    is_anomaly: BoolArray,
    score: FloatArray,
    order: IntArray,
    thresholds: FloatArray,
    n_flagged: IntArray,
    n_inside: IntArray,
    segments: list[tuple[int, int]],
    width: int,
) -> tuple[float, float]:
    """Areas under ROC and precision-recall with one width of the buffer."""
    soft = _softened(is_anomaly, segments, width)
    hits = np.cumsum(soft[order])[n_flagged - 1]
    n_labels = int(is_anomaly.sum())
    # Flagged parts of the buffer count as half true and half not.
    n_positive = n_labels + (hits - n_inside) / 2
    touched = _joined(segments, width, score.size)
    peaks = np.array([score[first : last + 1].max() for first, last in touched])
    existence = (peaks[np.newaxis] >= thresholds[:, np.newaxis]).mean(axis=1)
    recall = np.minimum(hits / n_positive, 1.0) * existence
    false = (n_flagged - hits) / (score.size - n_positive)
    precision = hits / n_flagged
    hit_axis = np.concatenate([[0.0], recall, [1.0]])
    false_axis = np.concatenate([[0.0], false, [1.0]])
    roc = float((np.diff(false_axis) * (hit_axis[1:] + hit_axis[:-1]) / 2).sum())
    return roc, float((np.diff(hit_axis[:-1]) * precision).sum())


def _softened(is_anomaly: BoolArray, segments: list[tuple[int, int]], width: int) -> FloatArray:
    soft = is_anomaly.astype(np.float64)
    reach = width // 2
    for first, last in segments:
        after = np.arange(last + 1, min(last + reach + 1, soft.size))
        soft[after] += np.sqrt(1 - (after - last) / max(width, 1))
        before = np.arange(max(first - reach, 0), first)
        soft[before] += np.sqrt(1 - (first - before) / max(width, 1))
    return np.minimum(soft, 1.0)


def _joined(segments: list[tuple[int, int]], width: int, n: int) -> list[tuple[int, int]]:
    """Anomalies with their buffers; those whose buffers touch become one."""
    reach = width // 2
    joined: list[tuple[int, int]] = []
    for first, last in segments:
        begin, end = max(first - reach, 0), min(last + reach, n - 1)
        if joined and joined[-1][1] >= begin:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return joined


def _check(name: str, is_anomaly: BoolArray, score: FloatArray) -> None:
    if is_anomaly.shape != score.shape or score.ndim != 1:
        msg = (
            f"{name}: is_anomaly has shape {is_anomaly.shape} and score {score.shape}; "
            "give one of each per sample"
        )
        raise ShapeError(msg)
    if not np.isfinite(score).all():
        msg = f"{name}: {int((~np.isfinite(score)).sum())} scores are missing; leave those out"
        raise DomainError(msg)
    if is_anomaly.all() or not is_anomaly.any():
        msg = f"{name}: all {score.size} samples are of one kind; nothing can be ranked"
        raise DomainError(msg)
