"""What a machine is asked to do: operating regimes, and signals compared at like regimes."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from analytics.arrays import DomainError, FloatArray, IntArray, NotEnoughDataError, ShapeError
from analytics.signals.baseline import SCALE_FLOOR, SCALE_FLOOR_RATIO

_N_ROUNDS: Final = 50
_N_STARTS: Final = 8
_MIN_PER_REGIME: Final = 24
_WORTH_SPLITTING: Final = 0.2
"""Another regime must leave less than this part of the squared distance; cutting a single normal
regime in two leaves 0.36, a uniform one 0.25."""


_WIDTH_OF_NINE_TENTHS: Final = 3.29
"""In standard deviations of a normal law."""


@dataclass(frozen=True, slots=True, eq=False)
class Regimes:
    """Centres of the regimes in the space of the setting signals.

    Parameters
    ----------
    settings : tuple of int
        Places of the signals that say what the machine is asked to do.
    middle, spread : ndarray of shape (n_settings,)
        By which settings are put on one scale.
    centres : ndarray of shape (n_regimes, n_settings)
        Of the scaled settings.
    """

    settings: tuple[int, ...]
    middle: FloatArray
    spread: FloatArray
    centres: FloatArray

    @property
    def n_regimes(self) -> int:
        """How many there are."""
        return int(self.centres.shape[0])

    def assign(self, x: npt.NDArray[np.floating]) -> IntArray:
        """Find the regime of each sample.

        Parameters
        ----------
        x : ndarray of shape (n, n_signals)
            Samples, settings among them.

        Returns
        -------
        ndarray of int, shape (n,)
            Nearest regime; -1 where a setting is missing.
        """
        scaled = (x[:, self.settings].astype(np.float64) - self.middle) / self.spread
        is_known = np.isfinite(scaled).all(axis=1)
        regime = np.full(x.shape[0], -1, np.int64)
        regime[is_known] = _nearest(scaled[is_known], self.centres)
        return regime


def find_regimes(
    x: npt.NDArray[np.floating],
    settings: tuple[int, ...],
    *,
    n_regimes: int | None = None,
    max_regimes: int = 8,
    seed: int = 0,
) -> Regimes:
    """Group samples by what the machine was asked to do (k-means [1]_ from several starts).

    Parameters
    ----------
    x : ndarray of shape (n, n_signals)
        Healthy samples.
    settings : tuple of int
        Places of the setting signals; all signals may be named to find regimes without settings.
    n_regimes : int, optional
        How many; unless told, as many as leave little of the squared distance that one less leaves.
    max_regimes : int
        Most that are looked for.
    seed : int
        Of the starts, so that the same samples give the same regimes.

    Returns
    -------
    Regimes
        In order of their first setting.

    Raises
    ------
    NotEnoughDataError
        If there are fewer than 24 whole samples.
    DomainError
        If no setting is named, or `n_regimes` is below 1.

    References
    ----------
    .. [1] D. Arthur and S. Vassilvitskii, "k-means++: the advantages of careful seeding",
       SODA 2007.

    Examples
    --------
    >>> speed = np.repeat([1450.0, 2950.0], 50)[:, np.newaxis]
    >>> find_regimes(speed, (0,)).n_regimes
    2
    """
    if not settings or (n_regimes is not None and n_regimes < 1):
        msg = (
            f"find_regimes: {len(settings)} setting signals and n_regimes {n_regimes}; name at "
            "least one signal, and ask for at least one regime"
        )
        raise DomainError(msg)
    chosen = x[:, settings].astype(np.float64)
    chosen = chosen[np.isfinite(chosen).all(axis=1)]
    if chosen.shape[0] < _MIN_PER_REGIME:
        msg = (
            f"find_regimes: not enough data: {chosen.shape[0]} of {_MIN_PER_REGIME} samples with "
            "all settings; give a longer window"
        )
        raise NotEnoughDataError(msg)
    middle, spread = chosen.mean(axis=0), chosen.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    scaled = (chosen - middle) / spread
    rng = np.random.default_rng(seed)
    counts = range(1, max_regimes + 1) if n_regimes is None else [n_regimes]
    best, left = _k_means(scaled, counts[0], rng)
    for count in counts[1:]:
        centres, still_left = _k_means(scaled, count, rng)
        is_populated = np.bincount(_nearest(scaled, centres), minlength=count).min()
        if still_left < _WORTH_SPLITTING * left and is_populated >= _MIN_PER_REGIME:
            best = centres
        left = still_left
    order = np.lexsort(best.T[::-1])
    return Regimes(settings, middle, spread, best[order])


def _k_means(
    scaled: FloatArray, n_regimes: int, rng: np.random.Generator
) -> tuple[FloatArray, float]:
    best, least = scaled[:1], np.inf
    for _ in range(_N_STARTS):
        centres = _spread_start(scaled, n_regimes, rng)
        for _ in range(_N_ROUNDS):
            nearest = _nearest(scaled, centres)
            sums = np.zeros_like(centres)
            np.add.at(sums, nearest, scaled)
            n = np.bincount(nearest, minlength=centres.shape[0])[:, np.newaxis]
            moved = np.where(n > 0, sums / np.maximum(n, 1), centres)
            if np.array_equal(moved, centres):
                break
            centres = moved
        distance = float(((scaled - centres[_nearest(scaled, centres)]) ** 2).sum())
        if distance < least:
            best, least = centres, distance
    return best, least


def _spread_start(scaled: FloatArray, n_regimes: int, rng: np.random.Generator) -> FloatArray:
    chosen = [scaled[rng.integers(scaled.shape[0])]]
    while len(chosen) < n_regimes:
        gap = ((scaled[:, np.newaxis] - np.array(chosen)) ** 2).sum(axis=2).min(axis=1)
        total = gap.sum()
        weight = gap / total if total > 0 else np.full(gap.size, 1.0 / gap.size)
        chosen.append(scaled[rng.choice(gap.size, p=weight)])
    return np.array(chosen)


def _nearest(scaled: FloatArray, centres: FloatArray) -> IntArray:
    distance = ((scaled[:, np.newaxis] - centres) ** 2).sum(axis=2)
    return np.asarray(distance.argmin(axis=1), np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class RegimeBaseline:
    """What is usual for each signal in each regime.

    Parameters
    ----------
    centre, scale : ndarray of shape (n_regimes, n_signals)
        In the unit of the signal; ``nan`` where a regime had too few samples.
    """

    centre: FloatArray
    scale: FloatArray

    def standardise(self, x: npt.NDArray[np.floating], regime: IntArray) -> FloatArray:
        """Write samples as deviations from what is usual in their regime.

        Parameters
        ----------
        x : ndarray of shape (n, n_signals)
            Samples, each in its signal's unit.
        regime : ndarray of int, shape (n,)
            Their regimes.

        Returns
        -------
        ndarray of shape (n, n_signals)
            In healthy standard deviations; ``nan`` where the sample or its regime is not known.

        Raises
        ------
        ShapeError
            If signals or samples differ in number.
        """
        if x.shape != (regime.size, self.centre.shape[1]):
            msg = (
                f"RegimeBaseline.standardise: x has shape {x.shape}, but there are {regime.size} "
                f"regimes and a baseline of {self.centre.shape[1]} signals"
            )
            raise ShapeError(msg)
        z = (x - self.centre[regime]) / self.scale[regime]
        z[(regime < 0) | ~np.isfinite(z).any(axis=1)] = np.nan
        z[~np.isfinite(z)] = np.nan
        return np.asarray(z, np.float64)


def regime_baseline(
    x: npt.NDArray[np.floating],
    regime: IntArray,
    n_regimes: int,
    *,
    min_samples: int = _MIN_PER_REGIME,
) -> RegimeBaseline:
    """Take centre and scale of each signal in each regime.

    The centre is the mean of the middle nine tenths, and the scale what makes the width of those
    nine tenths that of a normal law: unlike a median and its deviation they also say how a
    signal moves that shows few distinct values, and a twentieth of the samples on either side
    may be spoilt.

    Parameters
    ----------
    x : ndarray of shape (n, n_signals)
        Healthy samples.
    regime : ndarray of int, shape (n,)
        Their regimes.
    n_regimes : int
        How many there are.
    min_samples : int
        A signal with fewer samples in a regime is not known there.

    Returns
    -------
    RegimeBaseline
        With the smallest scales of `analytics.signals.baseline.robust_baseline`.
    """
    n_signals = x.shape[1]
    centre = np.full((n_regimes, n_signals), np.nan)
    scale = np.full((n_regimes, n_signals), np.nan)
    for one in range(n_regimes):
        rows = x[regime == one].astype(np.float64)
        for signal in range(n_signals):
            known = rows[np.isfinite(rows[:, signal]), signal]
            if known.size >= min_samples:
                low, high = np.quantile(known, [0.05, 0.95])
                centre[one, signal] = np.clip(known, low, high).mean()
                scale[one, signal] = (high - low) / _WIDTH_OF_NINE_TENTHS
    floor = np.maximum(SCALE_FLOOR_RATIO * np.abs(centre), SCALE_FLOOR)
    return RegimeBaseline(centre, np.maximum(scale, floor))
