"""The Numenta Anomaly Benchmark's score: windows found early count more, false alarms cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.arrays import BoolArray, DomainError, FloatArray, IntArray

_FAR_BEHIND: Final = 3.0
"""A false alarm this many window lengths behind a window costs its full weight."""

_PROBATION_RATIO: Final = 0.15
_PROBATION_ROWS: Final = 5000


@dataclass(frozen=True, slots=True)
class NabProfile:
    """Weights of hits, false alarms and misses.

    Parameters
    ----------
    hit, false, missed : float
        As published.
    """

    hit: float
    false: float
    missed: float


STANDARD: Final = NabProfile(hit=1.0, false=0.11, missed=1.0)
REWARD_LOW_FALSE: Final = NabProfile(hit=1.0, false=0.22, missed=1.0)
REWARD_LOW_MISSED: Final = NabProfile(hit=1.0, false=0.11, missed=2.0)


@dataclass(frozen=True, slots=True)
class NabPart:
    """Raw score of one series.

    Parameters
    ----------
    raw : float
        Sum of weighted hits, false alarms and misses.
    n_windows : int
        Windows that could be found.
    """

    raw: float
    n_windows: int


def probation_rows(n_rows: int) -> int:
    """Rows at the beginning of a series that are not scored.

    Parameters
    ----------
    n_rows : int
        Length of the series.

    Returns
    -------
    int
        15 %, of at most 5000 rows.

    Examples
    --------
    >>> probation_rows(1000), probation_rows(20_000)
    (150, 750)
    """
    return int(min(np.floor(_PROBATION_RATIO * n_rows), _PROBATION_RATIO * _PROBATION_ROWS))


def nab_part(
    is_alarm: BoolArray, windows: Sequence[tuple[int, int]], profile: NabProfile = STANDARD
) -> NabPart:
    """Score one series [1]_.

    Parameters
    ----------
    is_alarm : ndarray of bool, shape (n,)
        Rows at or above the threshold.
    windows : sequence of tuple of int
        First and last row of each labelled window, in order.
    profile : NabProfile
        Weights.

    Returns
    -------
    NabPart
        Raw score.

    Raises
    ------
    DomainError
        If a window lies outside the series or windows overlap.

    References
    ----------
    .. [1] A. Lavin and S. Ahmad, "Evaluating real-time anomaly detection algorithms: the Numenta
       Anomaly Benchmark", IEEE ICMLA 2015.

    Examples
    --------
    >>> alarm = np.zeros(100, bool)
    >>> alarm[50] = True
    >>> nab_part(alarm, [(50, 59)])
    NabPart(raw=1.0, n_windows=1)
    """
    n = is_alarm.size
    first_scored = probation_rows(n)
    gain = np.full(n, -profile.false)
    window_of = np.full(n, -1, np.int64)
    for place, (first, last) in enumerate(windows):
        if not 0 <= first <= last < n or (place and first <= windows[place - 1][1]):
            msg = (
                f"nab_part: window {place} runs from row {first} to {last} of {n}; give windows "
                "inside the series, in order, that do not overlap"
            )
            raise DomainError(msg)
        _fill(gain, window_of, place, first, last, profile)
    scored = np.arange(n) >= first_scored
    is_false = is_alarm & scored & (window_of < 0)
    raw = float(gain[is_false].sum())
    open_windows = _scored_windows(window_of, scored)
    for place in open_windows:
        own = is_alarm & scored & (window_of == place)
        raw += float(gain[own].max()) if own.any() else -profile.missed
    return NabPart(raw=raw, n_windows=len(open_windows))


def nab_score(parts: Sequence[NabPart], profile: NabProfile = STANDARD) -> float:
    """Normalise raw scores: 0 for a detector that never alarms, 100 for a perfect one.

    Parameters
    ----------
    parts : sequence of NabPart
        Of every series.
    profile : NabProfile
        The one they were scored with.

    Returns
    -------
    float
        At most 100; below 0 where false alarms outweigh what was found.

    Raises
    ------
    DomainError
        If there is no window at all.
    """
    n_windows = sum(part.n_windows for part in parts)
    if n_windows == 0:
        msg = "nab_score: no series has a window; there is nothing to find"
        raise DomainError(msg)
    nothing = -profile.missed * n_windows
    perfect = profile.hit * n_windows
    raw = sum(part.raw for part in parts)
    return 100.0 * (raw - nothing) / (perfect - nothing)


def _fill(
    gain: FloatArray,
    window_of: IntArray,
    place: int,
    first: int,
    last: int,
    profile: NabProfile,
) -> None:
    """Write what an alarm in a window, or behind it, is worth."""
    width = last - first + 1
    inside = np.arange(first, last + 1)
    gain[inside] = _sigmoid(-(last - inside + 1) / width) * profile.hit / _sigmoid(np.array(-1.0))
    window_of[inside] = place
    behind = np.arange(last + 1, gain.size)
    distance = (behind - last) / max(width - 1, 1)
    cost = np.where(distance >= _FAR_BEHIND, -1.0, _sigmoid(np.minimum(distance, _FAR_BEHIND)))
    gain[behind] = cost * profile.false


def _sigmoid(position: FloatArray) -> FloatArray:
    return np.asarray(2.0 / (1.0 + np.exp(5.0 * position)) - 1.0)


def _scored_windows(window_of: IntArray, scored: BoolArray) -> list[int]:
    found = np.unique(window_of[scored])
    return [int(place) for place in found if place >= 0]
