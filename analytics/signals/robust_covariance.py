"""Covariance that a part of spoilt samples can't turn: the minimum covariance determinant."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import chi2

from analytics.arrays import FloatArray, NotEnoughDataError

_N_STARTS: Final = 30
_N_STEPS: Final = 30
_SAMPLES_PER_SIGNAL: Final = 5


@dataclass(frozen=True, slots=True, eq=False)
class RobustCovariance:
    """Middle and covariance of the larger, tighter part of the samples.

    Parameters
    ----------
    middle : ndarray of shape (n_signals,)
        In the units of the signals.
    covariance : ndarray of shape (n_signals, n_signals)
        Consistent for normal samples.
    """

    middle: FloatArray
    covariance: FloatArray

    def distance(self, x: FloatArray) -> FloatArray:
        """Mahalanobis distance of samples.

        Parameters
        ----------
        x : ndarray of shape (n, n_signals)
            Samples.

        Returns
        -------
        ndarray of shape (n,)
            In standard deviations; ``nan`` for a sample with a missing signal.
        """
        return np.sqrt(_squared(x, self.middle, self.covariance))


def robust_covariance(
    x: FloatArray, rng: np.random.Generator, *, kept_ratio: float = 0.75
) -> RobustCovariance:
    """Find the part of the samples whose covariance has the least determinant (FAST-MCD [1]_).

    Parameters
    ----------
    x : ndarray of shape (n, n_signals)
        Samples, up to ``1 - kept_ratio`` of them spoilt; those with a missing signal are left out.
    rng : numpy.random.Generator
        Source of chance for the starts.
    kept_ratio : float
        Part of the samples that is kept, at least a half.

    Returns
    -------
    RobustCovariance
        Of that part, scaled to be consistent for normal samples.

    Raises
    ------
    NotEnoughDataError
        If there are fewer than five whole samples per signal.

    References
    ----------
    .. [1] P. J. Rousseeuw and K. Van Driessen, "A fast algorithm for the minimum covariance
       determinant estimator", Technometrics, vol. 41, no. 3, pp. 212-223, 1999.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x = rng.normal(size=(400, 2))
    >>> x[:80] += 20.0
    >>> bool(np.abs(robust_covariance(x, rng).middle).max() < 0.3)
    True
    """
    known = x[np.isfinite(x).all(axis=1)].astype(np.float64)
    n, n_signals = known.shape
    needed = _SAMPLES_PER_SIGNAL * n_signals
    if n < needed:
        msg = (
            f"robust_covariance: not enough data: {n} of {needed} samples with all {n_signals} "
            "signals; give a longer window or fewer signals"
        )
        raise NotEnoughDataError(msg)
    n_kept = max(int(np.ceil(max(kept_ratio, 0.5) * n)), n_signals + 1)
    best, least = known, np.inf
    for _ in range(_N_STARTS):
        part = known[rng.choice(n, n_signals + 1, replace=False)]
        for _ in range(_N_STEPS):
            order = np.argsort(_squared(known, *_moments(part)), kind="stable")
            closer = known[np.sort(order[:n_kept])]
            if closer.shape == part.shape and np.array_equal(closer, part):
                break
            part = closer
        size = float(np.linalg.slogdet(_moments(part)[1])[1])
        if size < least:
            best, least = part, size
    middle, covariance = _moments(best)
    share = n_kept / n
    # The tighter part of a normal law has a smaller covariance than the whole.
    factor = 1.0 if share >= 1 else share / chi2.cdf(chi2.ppf(share, n_signals), n_signals + 2)
    return RobustCovariance(middle, factor * covariance)


def _moments(part: FloatArray) -> tuple[FloatArray, FloatArray]:
    middle = part.mean(axis=0)
    off = part - middle
    covariance = off.T @ off / part.shape[0]
    # A signal that stands still in this part must not make the matrix singular.
    ridge = 1e-9 * np.maximum(np.diag(covariance), 1e-12 + 1e-12 * middle**2)
    return middle, covariance + np.diag(ridge)


def _squared(x: FloatArray, middle: FloatArray, covariance: FloatArray) -> FloatArray:
    off = x - middle
    known = np.isfinite(off).all(axis=1)
    out = np.full(x.shape[0], np.nan)
    solved = np.linalg.solve(covariance, off[known].T).T
    out[known] = np.maximum((off[known] * solved).sum(axis=1), 0.0)
    return out
