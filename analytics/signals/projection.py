"""The plane in which healthy machines move: principal components, T², SPE and who is to blame."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from analytics.arrays import (
    DomainError,
    FloatArray,
    IntArray,
    NotEnoughDataError,
    ShapeError,
)

_LEAST_VARIANCE: Final = 1e-9
"""Directions along which less of the standardised variance lies are rounding."""

_SAMPLES_PER_SIGNAL: Final = 4
"""Fewer samples per signal than this leave a covariance that describes the sample only."""


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """Directions in which standardised healthy signals vary together.

    Parameters
    ----------
    loadings : ndarray of shape (n_components, n_signals)
        Orthonormal directions, the strongest first.
    variance : ndarray of shape (n_components,)
        Healthy variance along each, above 0.

    Raises
    ------
    ShapeError
        If there is not one variance per direction.
    """

    loadings: FloatArray
    variance: FloatArray

    def __post_init__(self) -> None:
        if self.loadings.ndim != 2 or self.variance.shape != self.loadings.shape[:1]:
            msg = (
                f"Projection: loadings of shape {self.loadings.shape} and variance of "
                f"{self.variance.shape}; give one variance per direction"
            )
            raise ShapeError(msg)

    def t2(self, z: FloatArray) -> FloatArray:
        """Hotelling's T² [1]_: squared distance within the plane, in healthy deviations.

        Parameters
        ----------
        z : ndarray of shape (n, n_signals)
            Standardised samples; a missing one counts as usual.

        Returns
        -------
        ndarray of shape (n,)
            Bare numbers.

        References
        ----------
        .. [1] H. Hotelling, "Multivariate quality control", in Techniques of Statistical
           Analysis, McGraw-Hill, 1947.
        """
        along = _present(z) @ self.loadings.T
        return np.asarray((along**2 / self.variance).sum(axis=1))

    def spe(self, z: FloatArray) -> FloatArray:
        """Squared prediction error (Q) [1]_: squared distance from the plane.

        Parameters
        ----------
        z : ndarray of shape (n, n_signals)
            Standardised samples; a missing one counts as usual.

        Returns
        -------
        ndarray of shape (n,)
            In squared healthy standard deviations.

        References
        ----------
        .. [1] J. E. Jackson and G. S. Mudholkar, "Control procedures for residuals associated
           with principal component analysis", Technometrics, vol. 21, no. 3, pp. 341-349, 1979.
        """
        return np.asarray((self.residual(z) ** 2).sum(axis=1))

    def residual(self, z: FloatArray) -> FloatArray:
        """Take away what the plane explains, signal by signal.

        Parameters
        ----------
        z : ndarray of shape (n, n_signals)
            Standardised samples.

        Returns
        -------
        ndarray of shape (n, n_signals)
            Signed.
        """
        known = _present(z)
        return known - (known @ self.loadings.T) @ self.loadings

    def t2_contributions(self, z: FloatArray) -> FloatArray:
        """Share of each signal in T²; the shares of a sample add up to it.

        Parameters
        ----------
        z : ndarray of shape (n, n_signals)
            Standardised samples.

        Returns
        -------
        ndarray of shape (n, n_signals)
            May be below 0 where a signal holds T² down.
        """
        known = _present(z)
        along = known @ self.loadings.T
        return known * ((along / self.variance) @ self.loadings)

    def spe_contributions(self, z: FloatArray) -> FloatArray:
        """Share of each signal in SPE; the shares of a sample add up to it.

        Parameters
        ----------
        z : ndarray of shape (n, n_signals)
            Standardised samples.

        Returns
        -------
        ndarray of shape (n, n_signals)
            At least 0.
        """
        return self.residual(z) ** 2

    def spe_reconstructions(self, z: FloatArray) -> FloatArray:
        """By how much SPE would fall if a signal were what the others say it should be [1]_.

        Unlike the plain share it is not smeared over signals that move together with the guilty
        one.

        Parameters
        ----------
        z : ndarray of shape (n, n_signals)
            Standardised samples.

        Returns
        -------
        ndarray of shape (n, n_signals)
            At least 0; 0 for a signal that lies wholly in the plane.

        References
        ----------
        .. [1] C. F. Alcala and S. J. Qin, "Reconstruction-based contribution for process
           monitoring", Automatica, vol. 45, no. 7, pp. 1593-1600, 2009.
        """
        out_of_plane = 1.0 - (self.loadings**2).sum(axis=0)
        squares = self.residual(z) ** 2
        reduced = np.zeros_like(squares)
        np.divide(squares, out_of_plane, out=reduced, where=out_of_plane > 1e-9)
        return reduced


def fit_projection(
    z: npt.NDArray[np.floating],
    *,
    explained_ratio: float = 0.9,
    n_components: int | None = None,
    clip: float = 5.0,
) -> Projection:
    """Find the plane from standardised healthy samples.

    Parameters
    ----------
    z : ndarray of shape (n, n_signals)
        Healthy samples in healthy standard deviations; rows of several machines of one kind may
        stand below each other. Rows with a missing value are left out.
    explained_ratio : float
        Take so many directions that this part of the variance lies in them.
    n_components : int, optional
        Take this many instead.
    clip : float
        Deviations beyond count as this many, so that a few wild values don't turn the plane.

    Returns
    -------
    Projection
        At least one direction, and at most one less than there are signals unless told.

    Raises
    ------
    NotEnoughDataError
        If there are fewer than four whole rows per signal.
    DomainError
        If `explained_ratio` or `n_components` is out of range.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> common = rng.normal(size=(500, 1))
    >>> plane = fit_projection(common + 0.1 * rng.normal(size=(500, 3)), n_components=1)
    >>> np.abs(plane.loadings).round(1)
    array([[0.6, 0.6, 0.6]])
    """
    n_signals = z.shape[1]
    if not 0 < explained_ratio <= 1:
        msg = f"fit_projection: explained_ratio is {explained_ratio}; give a part up to 1"
        raise DomainError(msg)
    if n_components is not None and not 1 <= n_components <= n_signals:
        msg = f"fit_projection: n_components is {n_components}; give 1 to {n_signals} directions"
        raise DomainError(msg)
    whole = z[np.isfinite(z).all(axis=1)].astype(np.float64)
    needed = _SAMPLES_PER_SIGNAL * n_signals
    if whole.shape[0] < needed:
        msg = (
            f"fit_projection: not enough data: {whole.shape[0]} of {needed} samples in which all "
            f"{n_signals} signals are there; give a longer healthy window or fewer signals"
        )
        raise NotEnoughDataError(msg)
    clipped = np.clip(whole, -clip, clip)
    covariance = np.atleast_2d(np.cov(clipped, rowvar=False))
    variance, vectors = np.linalg.eigh(covariance)
    variance, vectors = variance[::-1], vectors[:, ::-1]
    total = max(float(variance.sum()), _LEAST_VARIANCE)
    kept = n_components or _n_explaining(variance / total, explained_ratio)
    kept = max(1, min(kept, int((variance > _LEAST_VARIANCE * total).sum()) or 1))
    return Projection(vectors[:, :kept].T.copy(), np.maximum(variance[:kept], _LEAST_VARIANCE))


def ranked(contributions: FloatArray) -> IntArray:
    """Order signals from the most to the least to blame.

    Parameters
    ----------
    contributions : ndarray of shape (..., n_signals)
        Of any kind.

    Returns
    -------
    ndarray of int of the same shape
        Places of signals.

    Examples
    --------
    >>> ranked(np.array([0.1, 5.0, 2.0])).tolist()
    [1, 2, 0]
    """
    return np.argsort(-contributions, axis=-1, kind="stable")


def _n_explaining(ratio: FloatArray, wanted: float) -> int:
    n_enough = int(np.searchsorted(np.cumsum(ratio), wanted - 1e-12)) + 1
    # All directions would leave nothing to be out of the plane of.
    return min(n_enough, max(1, ratio.size - 1))


def _present(z: FloatArray) -> FloatArray:
    return np.where(np.isfinite(z), z, 0.0)
