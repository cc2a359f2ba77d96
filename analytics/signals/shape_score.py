"""One score along one signal from four views of its shape."""

from typing import Final

import numpy as np

from analytics.arrays import FloatArray, NotEnoughDataError
from analytics.signals.baseline import MAD_TO_SIGMA
from analytics.signals.profiles import DAY_H, fit_profile
from analytics.signals.rolling import rolling_mean_std
from analytics.signals.subsequences import (
    fit_shape_plane,
    nearest_distances,
    over_windows,
    period_of,
)

_CLIP: Final = 10.0
"""No view alone outweighs the others by more than this many of its usual spreads."""

_LEAST_WINDOWS: Final = 5
_LEAST_CYCLES: Final = 1.9
"""Nearly two: with two days, most hours of the day were seen twice."""

_SHORTEST: Final = 8


VIEWS: Final = ("plane", "discord", "level", "roughness")
"""Distance from the plane of ordinary windows; to the most alike other; size of the level and
of the roughness against what is usual."""


def shape_views(
    x: FloatArray, n_train: int, *, is_causal: bool = False, width: int | None = None
) -> FloatArray:
    """Look at the windows around every sample in four ways.

    Parameters
    ----------
    x : ndarray of shape (n,)
        The series.
    n_train : int
        Samples at its beginning that are taken to be ordinary. The period and, if causal, the plane
        and the usual levels are learned from them alone.
    is_causal : bool
        Use nothing that comes after a sample.
    width : int, optional
        Length of a window; the period unless told, at most a fifth of the ordinary part. [samples]

    Returns
    -------
    ndarray of shape (4, n)
        Each of `VIEWS` in its own usual spreads above its usual level; ``nan`` where nothing can be
        said.

    Raises
    ------
    NotEnoughDataError
        If the ordinary part is shorter than five windows.
    """
    if width is None:
        width = period_of(x[:n_train], longest=max(n_train // _LEAST_WINDOWS, 1))
        width = max(min(width, n_train // _LEAST_WINDOWS), _SHORTEST)
    if n_train < _LEAST_WINDOWS * width:
        msg = (
            f"shape_score: not enough data: {n_train} of {_LEAST_WINDOWS * width} ordinary samples "
            f"for windows of {width}; give a longer ordinary part or a shorter window"
        )
        raise NotEnoughDataError(msg)
    learned = x[:n_train] if is_causal else x
    plane = fit_shape_plane(learned, width).distance(x)
    discord = nearest_distances(x, width, is_causal=is_causal)
    mean, _ = rolling_mean_std(x, width)
    middle = np.median(mean[:n_train][np.isfinite(mean[:n_train])])
    _, roughness = rolling_mean_std(np.diff(x, prepend=x[0]), width)
    of_windows = [plane, discord, np.abs(mean - middle)[width - 1 :], roughness[width - 1 :]]
    last = n_train - width if is_causal else x.size
    return np.stack([
        over_windows(_usual_units(one, last), x.size, width, is_causal=is_causal)
        for one in of_windows
    ])


def shape_score(
    x: FloatArray, n_train: int, *, is_causal: bool = False, width: int | None = None
) -> FloatArray:
    """Score every sample of a series by how unusual its surroundings look: the mean of the views.

    Parameters
    ----------
    x : ndarray of shape (n,)
        The series.
    n_train : int
        Samples at its beginning that are taken to be ordinary.
    is_causal : bool
        Use nothing that comes after a sample.
    width : int, optional
        Length of a window; the period unless told. [samples]

    Returns
    -------
    ndarray of shape (n,)
        Higher is more unusual; 0 where nothing can be said. No view counts for more than 10 of
        its usual spreads.
    """
    views = shape_views(x, n_train, is_causal=is_causal, width=width)
    score = np.where(np.isfinite(views), np.clip(views, -_CLIP, _CLIP), 0.0).mean(axis=0)
    if is_causal:
        return np.asarray(score)
    # What is unusual lasts about a window: offline, neighbours on both sides speak for each other.
    if width is None:
        width = period_of(x[:n_train], longest=max(n_train // _LEAST_WINDOWS, 1))
    return _neighbourhood(np.asarray(score), width)


def _neighbourhood(score: FloatArray, width: int) -> FloatArray:
    behind, _ = rolling_mean_std(score, width, min_samples=1)
    ahead, _ = rolling_mean_std(score[::-1], width, min_samples=1)
    return np.asarray(0.5 * (behind + ahead[::-1]))


def _usual_units(view: FloatArray, last: int) -> FloatArray:
    """Write a view in its usual spreads above its usual level."""
    usual = view[:last][np.isfinite(view[:last])]
    if not usual.size:
        return np.full(view.size, np.nan)
    middle = float(np.median(usual))
    spread = MAD_TO_SIGMA * float(np.median(np.abs(usual - middle)))
    spread = max(spread, 0.1 * float(np.abs(usual - middle).max()), 1e-12)
    return (view - middle) / spread


def phase_view(
    x: FloatArray, time_h: FloatArray, n_train: int, *, cycle_h: float = DAY_H, n_bins: int = 24
) -> FloatArray:
    """Say how far each sample's last hour is from what is usual at that hour of the day.

    Parameters
    ----------
    x : ndarray of shape (n,)
        The series.
    time_h : ndarray of shape (n,)
        When, rising, counted from a moment at which a cycle begins. [h]
    n_train : int
        Samples at its beginning that are taken to be ordinary, and alone learned from.
    cycle_h : float
        Length of the cycle. [h]
    n_bins : int
        Phases told apart.

    Returns
    -------
    ndarray of shape (n,)
        Size of the smoothed deviation, in usual spreads; ``nan`` where the ordinary part is shorter
        than two cycles or had no sample at that phase.
    """
    train_h = float(time_h[min(n_train, time_h.size) - 1] - time_h[0]) if x.size else 0.0
    if train_h < _LEAST_CYCLES * cycle_h:
        return np.full(x.size, np.nan)
    profile = fit_profile(x[:n_train, np.newaxis], time_h[:n_train], cycle_h=cycle_h, n_bins=n_bins)
    z = profile.standardise(x[:, np.newaxis], time_h)[:, 0]
    step_h = float(np.median(np.diff(time_h)))
    width = max(round(cycle_h / n_bins / max(step_h, 1e-9)), 1)
    mean, _ = rolling_mean_std(z, width, min_samples=1)
    return np.asarray(np.abs(mean))
