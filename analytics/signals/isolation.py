"""Isolation forest: samples that few random cuts set apart from all others."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.arrays import DomainError, FloatArray, IntArray, NotEnoughDataError

_EULER: Final = 0.5772156649015329
_LEAST_SAMPLES: Final = 32


@dataclass(frozen=True, slots=True, eq=False)
class IsolationForest:
    """Trees of random cuts, as arrays; a node's children are ``2 * i + 1`` and ``2 * i + 2``.

    Parameters
    ----------
    signal : ndarray of int, shape (n_trees, n_nodes)
        Signal that a node cuts; -1 for a leaf.
    cut : ndarray of shape (n_trees, n_nodes)
        Below goes left.
    depth : ndarray of shape (n_trees, n_nodes)
        Depth of a leaf, with what it would take to set apart the samples left in it.
    usual_depth : float
        Mean depth of a search among as many samples.
    """

    signal: IntArray
    cut: FloatArray
    depth: FloatArray
    usual_depth: float

    def score(self, x: FloatArray) -> FloatArray:
        """Score samples: near 0.5 as usual, towards 1 the fewer cuts set it apart [1]_.

        Parameters
        ----------
        x : ndarray of shape (n, n_signals)
            Samples.

        Returns
        -------
        ndarray of shape (n,)
            From 0 to 1; ``nan`` for a sample with a missing signal.

        References
        ----------
        .. [1] F. T. Liu, K. M. Ting and Z.-H. Zhou, "Isolation forest", IEEE ICDM 2008.
        """
        whole = np.isfinite(x).all(axis=1)
        rows = np.arange(int(whole.sum()))
        known = x[whole]
        total = np.zeros(rows.size)
        for signal, cut, depth in zip(self.signal, self.cut, self.depth, strict=True):
            node = np.zeros(rows.size, np.int64)
            while True:
                at = signal[node]
                inner = at >= 0
                if not inner.any():
                    break
                goes_right = known[rows, np.maximum(at, 0)] >= cut[node]
                node = np.where(inner, 2 * node + 1 + goes_right, node)
            total += depth[node]
        out = np.full(x.shape[0], np.nan)
        out[whole] = 2.0 ** (-total / self.depth.shape[0] / self.usual_depth)
        return out


def fit_isolation_forest(
    x: FloatArray, rng: np.random.Generator, *, n_trees: int = 100, n_samples: int = 256
) -> IsolationForest:
    """Grow trees of random cuts.

    Parameters
    ----------
    x : ndarray of shape (n, n_signals)
        Mostly healthy samples; those with a missing signal are left out.
    rng : numpy.random.Generator
        Source of chance.
    n_trees : int
        How many trees.
    n_samples : int
        Samples drawn for each.

    Returns
    -------
    IsolationForest
        Which never changes again.

    Raises
    ------
    NotEnoughDataError
        If there are fewer than 32 whole samples.
    DomainError
        If `n_trees` is below 1 or `n_samples` below 2.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> forest = fit_isolation_forest(rng.normal(size=(500, 2)), rng)
    >>> usual, odd = forest.score(np.array([[0.0, 0.0], [6.0, 6.0]]))
    >>> bool(usual < 0.5 < odd)
    True
    """
    if n_trees < 1 or n_samples < 2:
        msg = f"fit_isolation_forest: {n_trees} trees of {n_samples} samples; give 1 of 2 or more"
        raise DomainError(msg)
    known = x[np.isfinite(x).all(axis=1)].astype(np.float64)
    if known.shape[0] < _LEAST_SAMPLES:
        msg = (
            f"fit_isolation_forest: not enough data: {known.shape[0]} of {_LEAST_SAMPLES} samples "
            "with all signals; give a longer window or fewer signals"
        )
        raise NotEnoughDataError(msg)
    n_drawn = min(n_samples, known.shape[0])
    limit = int(np.ceil(np.log2(n_drawn)))
    n_nodes = 2 ** (limit + 1) - 1
    signal = np.full((n_trees, n_nodes), -1, np.int64)
    cut, depth = np.zeros((n_trees, n_nodes)), np.zeros((n_trees, n_nodes))
    for tree in range(n_trees):
        drawn = known[rng.choice(known.shape[0], n_drawn, replace=False)]
        _grow(drawn, rng, limit, signal[tree], cut[tree], depth[tree])
    return IsolationForest(signal, cut, depth, search_depth(n_drawn))


def _grow(
    drawn: FloatArray,
    rng: np.random.Generator,
    limit: int,
    signal: IntArray,
    cut: FloatArray,
    depth: FloatArray,
) -> None:
    waiting = [(0, 0, drawn)]
    while waiting:
        node, level, part = waiting.pop()
        low, high = part.min(axis=0), part.max(axis=0)
        movable = np.flatnonzero(high > low)
        if level == limit or part.shape[0] <= 1 or not movable.size:
            depth[node] = level + search_depth(part.shape[0])
            continue
        signal[node] = rng.choice(movable)
        # A cut at the lowest value itself would leave nothing on its left.
        share = 1.0 - rng.random()
        cut[node] = low[signal[node]] + share * (high[signal[node]] - low[signal[node]])
        right = part[:, signal[node]] >= cut[node]
        waiting += [
            (2 * node + 1, level + 1, part[~right]),
            (2 * node + 2, level + 1, part[right]),
        ]


def search_depth(n: int) -> float:
    """Mean depth at which a binary search tree of so many samples ends.

    Parameters
    ----------
    n : int
        Samples.

    Returns
    -------
    float
        Levels.

    Examples
    --------
    >>> search_depth(1), search_depth(2), round(search_depth(256), 2)
    (0.0, 1.0, 10.24)
    """
    if n < 2:
        return 0.0
    if n == 2:
        return 1.0
    return 2.0 * (float(np.log(n - 1)) + _EULER) - 2.0 * (n - 1) / n
