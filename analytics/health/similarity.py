"""What was left to those that looked like this: residual lives from a library of whole lives.

Each library position is a moment in the life of a unit that later failed: how damaged it looked
over several memories, how long it had been watched, and how long it had left. A machine is
likened to every position with a Gaussian kernel, and the weighted lives left are its predictive
distribution. [1]_

References
----------
.. [1] T. Wang, J. Yu, D. Siegel and J. Lee, "A similarity-based prognostics approach for
   remaining useful life estimation of engineered systems", International Conference on
   Prognostics and Health Management, 2008.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from analytics.arrays import Float32Array, FloatArray, IntArray

_CHUNK_WEIGHTS: Final = 1 << 19
"""Kernel weights worked on at once; a few arrays of this size stay near the cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Library:
    """Moments in the lives of units that ran to failure, sorted by the life left.

    Parameters
    ----------
    trajectory : ndarray of float32, shape (n_memories, n_positions)
        Moving averages of damage.
    life_steps : ndarray of float32, shape (n_positions,)
        Life left, rising. Failure falls half a step after the last sample. [steps]
    history_steps : ndarray of float32, shape (n_positions,)
        How long it had been watched: its age, or less where it was first seen in mid-life. [steps]
    unit : ndarray of int32, shape (n_positions,)
        Which unit.
    n_units : int
        How many units there are.
    """

    trajectory: Float32Array
    life_steps: Float32Array
    history_steps: Float32Array
    unit: npt.NDArray[np.int32]
    n_units: int


@dataclass(frozen=True, slots=True)
class Kernel:
    """How alike two moments are.

    Parameters
    ----------
    bandwidth : float
        Root mean square difference in damage at which the weight has fallen to 0.61.
    history_memory_steps : float
        History lengths are compared as ``log(1 + length / this)``. [steps]
    history_spread : float
        Difference of those logarithms at which the weight has fallen to 0.61.
    """

    bandwidth: float
    history_memory_steps: float
    history_spread: float


@dataclass(frozen=True, slots=True, eq=False)
class LifeDistribution:
    """Predictive distributions of the life left of several machines.

    Each is piecewise uniform between common edges, then stretched around its median on a
    logarithmic scale: a life of twice the median becomes one of ``2 ** stretch`` times.

    Parameters
    ----------
    edges_steps : ndarray of shape (n_edges,)
        Rising from 0. [steps]
    cdf : ndarray of shape (n_machines, n_edges)
        Probability of failing by each edge, before stretching: from 0 to 1.
    n_evidence : ndarray of shape (n_machines,)
        Effective number of library units behind it. [1]_
    distance : ndarray of shape (n_machines,)
        Root mean square difference in damage to the nearest position.
    stretch : float
        1 leaves the spread as it is.

    References
    ----------
    .. [1] L. Kish, "Survey Sampling", Wiley, 1965: effective sample size under weights.
    """

    edges_steps: FloatArray
    cdf: FloatArray
    n_evidence: FloatArray
    distance: FloatArray
    stretch: float = 1.0

    def stretched(self, stretch: float) -> "LifeDistribution":
        """Change the spread, not the median.

        Parameters
        ----------
        stretch : float
            Above 0; replaces the present one.

        Returns
        -------
        LifeDistribution
            The same but for its spread.
        """
        return replace(self, stretch=stretch)

    def quantile_steps(self, probability: float) -> FloatArray:
        """Life that is outlived with probability ``1 - probability``.

        Parameters
        ----------
        probability : float
            Above 0, below 1.

        Returns
        -------
        ndarray of shape (n_machines,)
            Quantiles. [steps]
        """
        median = self._unstretched(0.5)
        return median * (self._unstretched(probability) / median) ** self.stretch

    def survival(self, life_steps: FloatArray) -> FloatArray:
        """Probability of still running at given times ahead.

        Parameters
        ----------
        life_steps : ndarray of shape (n_lives,)
            Times ahead, 0 or more. [steps]

        Returns
        -------
        ndarray of shape (n_machines, n_lives)
            From 1 at time 0, never rising with time.
        """
        median = self._unstretched(0.5)[:, np.newaxis]
        asked = median * (life_steps / median) ** (1.0 / self.stretch)
        edges = self.edges_steps
        left = np.clip(np.searchsorted(edges, asked, side="right") - 1, 0, edges.size - 2)
        share = np.clip((asked - edges[left]) / (edges[left + 1] - edges[left]), 0.0, 1.0)
        low = np.take_along_axis(self.cdf, left, axis=1)
        high = np.take_along_axis(self.cdf, left + 1, axis=1)
        survival: FloatArray = 1.0 - (low + share * (high - low))
        return survival

    def _unstretched(self, probability: float) -> FloatArray:
        row = np.arange(self.cdf.shape[0])
        right = (self.cdf < probability).sum(axis=1)
        low, high = self.cdf[row, right - 1], self.cdf[row, right]
        edges = self.edges_steps
        share = (probability - low) / (high - low)
        quantile: FloatArray = edges[right - 1] + share * (edges[right] - edges[right - 1])
        return quantile


def liken(
    library: Library, kernel: Kernel, trajectory: FloatArray, history_steps: IntArray
) -> LifeDistribution:
    """Liken machines to every library position.

    Parameters
    ----------
    library : Library
        Moments of lives that ended.
    kernel : Kernel
        When two moments are alike.
    trajectory : ndarray of shape (n_memories, n_machines)
        Present moving averages of damage, finite. Beyond the worst or best that the library has
        seen, they count as the worst or best.
    history_steps : ndarray of int, shape (n_machines,)
        How long each machine has been watched; longer than any in the library counts as the
        longest. [steps]

    Returns
    -------
    LifeDistribution
        Not stretched. A machine's answer does not depend on the machines beside it.
    """
    n_machines, n_positions = trajectory.shape[1], library.unit.size
    starts = np.flatnonzero(np.diff(library.life_steps, prepend=-1.0))
    edges = _edges(library.life_steps[starts].astype(np.float64))
    cdf = np.zeros((n_machines, edges.size))
    n_evidence, distance = np.empty(n_machines), np.empty(n_machines)
    chunk = max(1, _CHUNK_WEIGHTS // n_positions)
    for first in range(0, n_machines, chunk):
        some = slice(first, first + chunk)
        weight, distance[some] = _weights(
            library, kernel, trajectory[:, some], history_steps[some].astype(np.float64)
        )
        n_evidence[some] = _effective_units(weight, library)
        np.cumsum(np.add.reduceat(weight, starts, axis=1), axis=1, out=cdf[some, 1:])
    cdf /= cdf[:, -1:]
    return LifeDistribution(edges, cdf, n_evidence, distance)


def _weights(
    library: Library, kernel: Kernel, trajectory: FloatArray, history_steps: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Kernel weights of all positions, the largest 1, and the distance to the nearest."""
    n_memories = trajectory.shape[0]
    squared = np.zeros((trajectory.shape[1], library.unit.size))
    # One memory at a time, not as a matrix product: sums in a fixed order make a machine's
    # answer the same to the last bit in any company.
    for seen, past in zip(trajectory, library.trajectory, strict=True):
        like_past = np.clip(seen, past.min(), past.max())
        squared += (like_past[:, np.newaxis] - past) ** 2
    squared /= n_memories
    distance = np.sqrt(squared.min(axis=1))
    log_weight = squared
    log_weight /= -2.0 * kernel.bandwidth**2
    watched_steps = library.history_steps.astype(np.float64)
    watched = np.log1p(watched_steps / kernel.history_memory_steps)
    mine = np.log1p(np.minimum(history_steps, watched_steps.max()) / kernel.history_memory_steps)
    unlike = mine[:, np.newaxis] - watched
    unlike /= kernel.history_spread
    log_weight -= 0.5 * unlike**2
    log_weight -= log_weight.max(axis=1, keepdims=True)
    return np.exp(log_weight, out=log_weight), distance


def _edges(lives: FloatArray) -> FloatArray:
    """Cells around distinct lives: from 0, halfway between neighbours, and as far past the last."""
    middles = 0.5 * (lives[1:] + lives[:-1])
    last = lives[-1] + (lives[-1] - (middles[-1] if middles.size else 0.0))
    return np.concatenate([[0.0], middles, [last]])


def _effective_units(weight: FloatArray, library: Library) -> FloatArray:
    n_machines = weight.shape[0]
    row = np.arange(n_machines)[:, np.newaxis] * library.n_units
    per_unit = np.bincount(
        (row + library.unit).ravel(), weights=weight.ravel(), minlength=n_machines * library.n_units
    ).reshape(n_machines, library.n_units)
    evidence: FloatArray = per_unit.sum(axis=1) ** 2 / (per_unit**2).sum(axis=1)
    return evidence


def build_library(
    trajectory: FloatArray,
    n_steps: IntArray,
    start_steps: IntArray,
    *,
    min_samples: int,
    max_positions: int,
) -> Library:
    """Collect the moments of all lives.

    Parameters
    ----------
    trajectory : ndarray of shape (n_starts, n_times, n_memories, n_units)
        Moving averages of damage, for histories that begin at several ages.
    n_steps : ndarray of int, shape (n_units,)
        Length of each life. [steps]
    start_steps : ndarray of int, shape (n_starts, n_units)
        Age at which each history begins. [steps]
    min_samples : int
        Moments watched for less than this are left out. [steps]
    max_positions : int
        Lives are thinned out evenly, counting back from failure, to about this many moments.

    Returns
    -------
    Library
        Sorted by life left, then unit, then start.
    """
    step = np.arange(trajectory.shape[1])[np.newaxis, :, np.newaxis]
    left = n_steps - 1 - step
    history = step - start_steps[:, np.newaxis, :] + 1
    is_kept = (left >= 0) & (history >= min_samples) & np.isfinite(trajectory).all(axis=2)
    stride = -(-int(is_kept.sum()) // max_positions)
    is_kept &= left % max(stride, 1) == 0
    start, time, unit = np.nonzero(is_kept)
    life = left[0, time, unit]
    order = np.lexsort((start, unit, life))
    start, time, unit, life = start[order], time[order], unit[order], life[order]
    return Library(
        trajectory=np.ascontiguousarray(trajectory[start, time, :, unit].T, dtype=np.float32),
        life_steps=(life + 0.5).astype(np.float32),
        history_steps=history[start, time, unit].astype(np.float32),
        unit=unit.astype(np.int32),
        n_units=n_steps.size,
    )
