"""Quantiles of streams in bounded memory, for a whole fleet at once."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from analytics.arrays import DomainError, FloatArray, IntArray, ShapeError

_BINS_PER_SIDE: Final = 256


@dataclass(frozen=True, slots=True, eq=False)
class QuantileSketch:
    """Counts on a grid that is even near the middle and logarithmic far out, as in [1]_.

    The order of the samples does not matter to the bit, sketches of parts add up to the sketch
    of the whole, and memory does not grow. A quantile lies within `relative_error` of a sample
    of that rank, relative to its distance from the middle, or within that many scales of it.

    Parameters
    ----------
    middle : ndarray of shape (...)
        Around which the grid lies, such as a baseline's centre, in the unit of the signal.
    scale : ndarray of shape (...)
        Where even turns into logarithmic, such as a baseline's scale; above 0.
    relative_error : float
        Half width of a bin over its distance from the middle.
    counts : ndarray of int64, shape (n_bins, ...)
        Samples in each bin.

    References
    ----------
    .. [1] C. Masson, J. E. Rim and H. K. Lee, "DDSketch: a fast and fully-mergeable quantile
       sketch with relative-error guarantees", VLDB 2019.

    Examples
    --------
    >>> sketch = QuantileSketch.empty(np.zeros(1), np.ones(1))
    >>> for value in range(1, 101):
    ...     sketch.add(np.array([float(value)]))
    >>> sketch.quantile(0.5).round(0)
    array([49.])
    """

    middle: FloatArray
    scale: FloatArray
    relative_error: float
    counts: IntArray

    @classmethod
    def empty(
        cls, middle: FloatArray, scale: FloatArray, *, relative_error: float = 0.02
    ) -> "QuantileSketch":
        """Know nothing yet.

        Parameters
        ----------
        middle, scale : ndarray of shape (...)
            Grid of each series; ``nan`` for series that are not looked at.
        relative_error : float
            See the class.

        Returns
        -------
        QuantileSketch
            Without counts.

        Raises
        ------
        ShapeError
            If the two differ in shape.
        DomainError
            If `relative_error` or a scale is out of range.
        """
        if middle.shape != scale.shape:
            msg = (
                f"QuantileSketch.empty: middle has shape {middle.shape} but scale {scale.shape}; "
                "give one scale per middle"
            )
            raise ShapeError(msg)
        if not 0 < relative_error < 1 or (scale <= 0).any():
            msg = (
                f"QuantileSketch.empty: relative_error is {relative_error} and the least scale "
                f"{np.min(scale, initial=np.inf)}; give an error between 0 and 1, scales above 0"
            )
            raise DomainError(msg)
        counts = np.zeros((2 * _BINS_PER_SIDE + 1, *middle.shape), np.int64)
        return cls(middle, scale, relative_error, counts)

    @property
    def n_samples(self) -> IntArray:
        """Samples seen, of shape (...)."""
        return np.asarray(self.counts.sum(axis=0))

    def add(self, x: npt.NDArray[np.floating]) -> None:
        """Count one sample of each series.

        Parameters
        ----------
        x : ndarray of shape (...)
            Missing ones are passed over.

        Raises
        ------
        ShapeError
            If there is not one sample per series.
        """
        if x.shape != self.middle.shape:
            msg = (
                f"QuantileSketch.add: x has shape {x.shape} but the sketch {self.middle.shape}; "
                "give one sample per series"
            )
            raise ShapeError(msg)
        with np.errstate(invalid="ignore", over="ignore"):
            z = (x - self.middle) / self.scale
        known = np.isfinite(z)
        place = np.rint(np.arcsinh(z, where=known, out=np.zeros_like(z)) / self._width)
        row = np.clip(place, -_BINS_PER_SIDE, _BINS_PER_SIDE).astype(np.int64) + _BINS_PER_SIDE
        flat = self.counts.reshape(self.counts.shape[0], -1)
        series = np.flatnonzero(known)
        flat[row.reshape(-1)[series], series] += 1

    def merged(self, other: "QuantileSketch") -> "QuantileSketch":
        """Add another sketch of the same series on the same grid.

        Parameters
        ----------
        other : QuantileSketch
            Of other samples.

        Returns
        -------
        QuantileSketch
            Of both.

        Raises
        ------
        ShapeError
            If the grids differ.
        """
        same = (
            self.counts.shape == other.counts.shape
            and self.relative_error == other.relative_error
            and np.array_equal(self.middle, other.middle, equal_nan=True)
            and np.array_equal(self.scale, other.scale, equal_nan=True)
        )
        if not same:
            msg = "QuantileSketch.merged: the grids differ; sketch both parts on the same grid"
            raise ShapeError(msg)
        return QuantileSketch(
            self.middle, self.scale, self.relative_error, self.counts + other.counts
        )

    def quantile(self, q: float) -> FloatArray:
        """Value below which a part of the samples lies.

        Parameters
        ----------
        q : float
            From 0 to 1.

        Returns
        -------
        ndarray of shape (...)
            Centre of the bin of that rank; ``nan`` for series without a sample.

        Raises
        ------
        DomainError
            If `q` is out of range.
        """
        if not 0 <= q <= 1:
            msg = f"QuantileSketch.quantile: q is {q}; give a part from 0 to 1"
            raise DomainError(msg)
        total = self.n_samples
        rank = np.maximum(np.ceil(q * total), 1)
        row = (np.cumsum(self.counts, axis=0) >= rank).argmax(axis=0)
        value = self.middle + self.scale * np.sinh((row - _BINS_PER_SIDE) * self._width)
        return np.where(total > 0, value, np.nan)

    @property
    def _width(self) -> float:
        """Width of a bin on the arcsinh axis; far out, e to this power is the ratio of bins."""
        return 2.0 * float(np.log1p(self.relative_error))
