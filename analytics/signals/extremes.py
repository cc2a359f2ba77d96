"""Thresholds that need no labels: the tail of what is usual, extrapolated (POT, SPOT, DSPOT).

Excesses over a high quantile follow a generalised Pareto law, whatever the law of the rest. Its
two parameters come from L-moments in closed form, so that a thousand series are fitted as fast as
one, and an excess far out can't make the fit fail as a search for the likelihood's peak can.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from analytics.arrays import BoolArray, DomainError, FloatArray, NotEnoughDataError, ShapeError

MIN_EXCESSES: Final = 10
"""Fewer excesses than this say nothing of their law."""

_LARGEST_SHAPE: Final = 0.45
"""L-moment fits are good up to a half; heavier tails are not taken from so few excesses."""


@dataclass(frozen=True, slots=True, eq=False)
class ParetoTail:
    """Law of the excesses over a level, for many series.

    Parameters
    ----------
    level : ndarray of shape (n_series,)
        Where the tail begins, in the unit of the series.
    rate : ndarray of shape (n_series,)
        Part of the samples above it.
    shape : ndarray of shape (n_series,)
        0 is exponential, above 0 heavier, below 0 bounded.
    scale : ndarray of shape (n_series,)
        Size of the excesses, in the unit of the series.
    """

    level: FloatArray
    rate: FloatArray
    shape: FloatArray
    scale: FloatArray

    def quantile(self, exceeded_ratio: float) -> FloatArray:
        """Value that is exceeded this rarely.

        Parameters
        ----------
        exceeded_ratio : float
            Part of the samples above it, below `rate` to lie in the tail.

        Returns
        -------
        ndarray of shape (n_series,)
            In the unit of the series; at least `level`.

        Raises
        ------
        DomainError
            If the ratio is not between 0 and 1.
        """
        if not 0 < exceeded_ratio < 1:
            msg = f"ParetoTail.quantile: exceeded_ratio is {exceeded_ratio}; give one in (0, 1)"
            raise DomainError(msg)
        log_ratio = np.log(np.maximum(self.rate, exceeded_ratio) / exceeded_ratio)
        is_exponential = np.abs(self.shape) < 1e-6
        shape = np.where(is_exponential, 1.0, self.shape)
        growth = np.where(is_exponential, log_ratio, np.expm1(shape * log_ratio) / shape)
        return self.level + self.scale * growth


def fit_tail(values: npt.NDArray[np.floating], *, tail_ratio: float = 0.02) -> ParetoTail:
    """Fit the upper tail of many series by L-moments [1]_.

    Parameters
    ----------
    values : ndarray of shape (n, n_series)
        Healthy values; missing ones (``nan``) are left out.
    tail_ratio : float
        Part of the samples that count as tail. [2]_ takes 2 %.

    Returns
    -------
    ParetoTail
        ``nan`` for a series without a value. Where fewer than `MIN_EXCESSES` lie above the level
        the tail is taken as exponential, the level lowered to have `MIN_EXCESSES` if there are.

    Raises
    ------
    ShapeError
        If `values` has not two axes.
    DomainError
        If `tail_ratio` is not between 0 and 1.

    References
    ----------
    .. [1] J. R. M. Hosking and J. R. Wallis, "Parameter and quantile estimation for the
       generalized Pareto distribution", Technometrics, vol. 29, no. 3, pp. 339-349, 1987.
    .. [2] A. Siffer, P.-A. Fouque, A. Termier and C. Largouët, "Anomaly detection in streams with
       extreme value theory", KDD 2017.

    Examples
    --------
    >>> rng = np.random.default_rng(5)
    >>> tail = fit_tail(rng.exponential(2.0, size=(20_000, 1)))
    >>> bool(abs(tail.quantile(1e-4).item() - 2.0 * np.log(1e4)) < 2.0)
    True
    """
    if values.ndim != 2:
        msg = f"fit_tail: values has shape {values.shape}; give (n, n_series)"
        raise ShapeError(msg)
    if not 0 < tail_ratio < 1:
        msg = f"fit_tail: tail_ratio is {tail_ratio}; give a part between 0 and 1"
        raise DomainError(msg)
    x = values.astype(np.float64)
    x[~np.isfinite(x)] = np.nan
    ordered = -np.sort(-x, axis=0)  # the largest first, nan last
    n = np.isfinite(x).sum(axis=0)
    n_tail = np.maximum(np.ceil(tail_ratio * n), MIN_EXCESSES).astype(np.int64)
    n_tail = np.clip(n_tail, 0, np.maximum(n - 1, 0))
    if x.shape[0] == 0:
        unknown = np.full(x.shape[1], np.nan)
        return ParetoTail(unknown, unknown.copy(), unknown.copy(), unknown.copy())
    level = np.take_along_axis(ordered, n_tail[np.newaxis], axis=0)[0]
    height = int(n_tail.max(initial=0))
    rank = np.arange(height)[:, np.newaxis]
    excess = np.where(rank < n_tail, ordered[:height] - level, 0.0)
    shape, scale = _l_moment_fit(excess, rank, n_tail)
    is_known = n > 0
    rate = n_tail / np.maximum(n, 1)
    return ParetoTail(
        *(np.where(is_known, part, np.nan) for part in (level, rate, shape, scale))
    )  # fmt: skip


def _l_moment_fit(
    excess: FloatArray, rank: npt.NDArray[np.int64], n_tail: npt.NDArray[np.int64]
) -> tuple[FloatArray, FloatArray]:
    """Shape and scale from the first two L-moments of the excesses, the largest first."""
    count = np.maximum(n_tail, 1)
    mean = excess.sum(axis=0) / count
    # Weight of an excess: part of the others below it.
    below = (n_tail - 1 - rank) / np.maximum(n_tail - 1, 1)
    first = (np.where(rank < n_tail, below, 0.0) * excess).sum(axis=0) / count
    half_gap = 2.0 * first - mean
    k = np.zeros_like(mean)
    is_fit = (half_gap > 0) & (n_tail >= MIN_EXCESSES)
    np.divide(mean, half_gap, out=k, where=is_fit)
    k = np.where(is_fit, k - 2.0, 0.0)
    shape = np.clip(-k, -0.5, _LARGEST_SHAPE)
    return shape, mean * (1.0 - shape)


def pot_threshold(
    values: npt.NDArray[np.floating], exceeded_ratio: float, *, tail_ratio: float = 0.02
) -> FloatArray:
    """Value of each series that healthy samples exceed this rarely (peaks over threshold).

    Parameters
    ----------
    values : ndarray of shape (n, n_series)
        Healthy values; missing ones are left out.
    exceeded_ratio : float
        Allowed part of the samples above the threshold; may be rarer than one in `n`.
    tail_ratio : float
        Part of the samples that count as tail.

    Returns
    -------
    ndarray of shape (n_series,)
        Thresholds, ``nan`` for a series without a value.
    """
    tail_ratio = max(tail_ratio, exceeded_ratio)
    return fit_tail(values, tail_ratio=tail_ratio).quantile(exceeded_ratio)


@dataclass(slots=True)
class Spot:
    """Streaming threshold for one series (SPOT, and DSPOT for a series that drifts) [1]_.

    An anomaly leaves the tail as it was; every other excess refines it. With `depth` the series
    is first taken relative to the mean of its last `depth` ordinary samples, so that it may
    drift.

    Parameters
    ----------
    exceeded_ratio : float
        Allowed part of healthy samples above the threshold.
    depth : int
        Samples of the moving mean; 0 for a series that does not drift. [samples]
    tail_ratio : float
        Part of the samples that count as tail.
    refit_every : int
        Excesses after which the tail is fitted anew.

    References
    ----------
    .. [1] A. Siffer, P.-A. Fouque, A. Termier and C. Largouët, "Anomaly detection in streams with
       extreme value theory", KDD 2017.

    Examples
    --------
    >>> rng = np.random.default_rng(2)
    >>> spot = Spot(exceeded_ratio=1e-4)
    >>> spot.start(rng.normal(size=1000))
    >>> [bool(spot.step(x)) for x in (0.3, 2.0, 9.0)]
    [False, False, True]
    """

    exceeded_ratio: float = 1e-4
    depth: int = 0
    tail_ratio: float = 0.02
    refit_every: int = 8
    threshold: float = field(default=np.inf, init=False)
    level: float = field(default=np.inf, init=False)
    n_seen: int = field(default=0, init=False)
    _excesses: list[float] = field(default_factory=list, init=False)
    _recent: deque[float] = field(default_factory=deque, init=False)
    _n_new: int = field(default=0, init=False)

    def start(self, values: FloatArray) -> None:
        """Learn the tail from a first stretch.

        Parameters
        ----------
        values : ndarray of shape (n,)
            Mostly healthy; missing ones are left out.

        Raises
        ------
        NotEnoughDataError
            If there are fewer than ten excesses' worth of samples.
        """
        known = values[np.isfinite(values)].astype(np.float64)
        needed = 2 * MIN_EXCESSES + self.depth
        if known.size < needed:
            msg = (
                f"Spot.start: not enough data: {known.size} of {needed} samples; "
                "give a longer first stretch"
            )
            raise NotEnoughDataError(msg)
        relative = known
        if self.depth:
            total = np.concatenate([[0.0], np.cumsum(known)])
            means = (total[self.depth : -1] - total[: -self.depth - 1]) / self.depth
            relative = known[self.depth :] - means
            self._recent = deque(known[-self.depth :].tolist(), maxlen=self.depth)
        tail = fit_tail(relative[:, np.newaxis], tail_ratio=self.tail_ratio)
        self.level, self.n_seen = float(tail.level[0]), relative.size
        self._excesses = (relative[relative > self.level] - self.level).tolist()
        self.threshold = float(tail.quantile(self.exceeded_ratio)[0])

    def step(self, value: float) -> bool:
        """Judge one sample, and learn from it if it is ordinary.

        Parameters
        ----------
        value : float
            The sample; a missing one is passed over.

        Returns
        -------
        bool
            Whether it lies above the threshold.
        """
        if not np.isfinite(value):
            return False
        mean = sum(self._recent) / self.depth if self.depth else 0.0
        relative = value - mean
        if relative > self.threshold:
            return True
        if self.depth:
            self._recent.append(value)
        self.n_seen += 1
        if relative > self.level:
            self._excesses.append(relative - self.level)
            self._n_new += 1
            if self._n_new >= self.refit_every:
                self._refit()
        return False

    def _refit(self) -> None:
        self._n_new = 0
        ordered = np.sort(np.array(self._excesses))[::-1][:, np.newaxis]
        rank = np.arange(ordered.shape[0])[:, np.newaxis]
        n_tail = np.array([ordered.shape[0]])
        shape, scale = _l_moment_fit(ordered, rank, n_tail)
        tail = ParetoTail(np.array([self.level]), n_tail / self.n_seen, shape, scale)
        self.threshold = float(tail.quantile(self.exceeded_ratio)[0])


def spot_flags(values: FloatArray, n_start: int, spot: Spot) -> BoolArray:
    """Run SPOT along a series.

    Parameters
    ----------
    values : ndarray of shape (n,)
        The series.
    n_start : int
        Samples of the first stretch, which is not judged.
    spot : Spot
        Fresh; moved.

    Returns
    -------
    ndarray of bool, shape (n,)
        Above the threshold.
    """
    spot.start(values[:n_start])
    flags = np.zeros(values.size, np.bool_)
    flags[n_start:] = [spot.step(float(value)) for value in values[n_start:]]
    return flags
