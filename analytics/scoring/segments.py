"""Anomalies and alarms as stretches of time: found, missed, late, false."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.arrays import BoolArray, DomainError, FloatArray, ShapeError

HOURS_PER_MONTH: Final = 730.5
"""A twelfth of 365.25 days. [h]"""


def segments_of(flags: BoolArray) -> list[tuple[int, int]]:
    """Find stretches of true.

    Parameters
    ----------
    flags : ndarray of bool, shape (n,)
        Labels or alarms.

    Returns
    -------
    list of tuple of int
        First and last place of each, in order.

    Examples
    --------
    >>> segments_of(np.array([True, True, False, True]))
    [(0, 1), (3, 3)]
    """
    change = np.diff(flags.astype(np.int8), prepend=0, append=0)
    firsts, ends = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
    return [(int(first), int(end) - 1) for first, end in zip(firsts, ends, strict=True)]


@dataclass(frozen=True, slots=True)
class EventScores:
    """What a person on call would have seen.

    Parameters
    ----------
    n_events : int
        Anomalies in the truth.
    n_found : int
        Those with an alarm raised or standing within them (and the tolerance after).
    n_false : int
        Alarms that touch no anomaly.
    median_delay_h : float
        From the beginning of a found anomaly to its alarm; 0 if it stood already. [h]
    hours : float
        Time watched. [h]
    """

    n_events: int
    n_found: int
    n_false: int
    median_delay_h: float
    hours: float

    @property
    def found_ratio(self) -> float:
        """Part of the anomalies found; ``nan`` without any."""
        return self.n_found / self.n_events if self.n_events else float("nan")

    @property
    def false_per_month(self) -> float:
        """False alarms per machine-month."""
        return self.n_false / (self.hours / HOURS_PER_MONTH)


def score_events(
    is_anomaly: BoolArray,
    is_alarm: BoolArray,
    time_h: FloatArray,
    *,
    tolerance_h: float = 0.0,
    merge_h: float = 0.0,
) -> EventScores:
    """Match alarms with anomalies.

    Parameters
    ----------
    is_anomaly, is_alarm : ndarray of bool, shape (n,)
        Truth and alarms at each sample.
    time_h : ndarray of shape (n,)
        When, rising. [h]
    tolerance_h : float
        An alarm this much after the end of an anomaly still belongs to it. [h]
    merge_h : float
        Alarms with a shorter pause between them are one. [h]

    Returns
    -------
    EventScores
        Of this series; add several up with `add_events`.

    Raises
    ------
    ShapeError
        If the arrays differ in shape.
    DomainError
        If time does not rise.

    Examples
    --------
    >>> truth = np.array([0, 0, 1, 1, 1, 0, 0, 0], bool)
    >>> alarm = np.array([0, 0, 0, 1, 1, 0, 0, 1], bool)
    >>> score_events(truth, alarm, np.arange(8.0))
    EventScores(n_events=1, n_found=1, n_false=1, median_delay_h=1.0, hours=8.0)
    """
    if not is_anomaly.shape == is_alarm.shape == time_h.shape or time_h.ndim != 1:
        msg = (
            f"score_events: shapes {is_anomaly.shape}, {is_alarm.shape} and {time_h.shape}; "
            "give a truth, an alarm and a time per sample"
        )
        raise ShapeError(msg)
    if (np.diff(time_h) <= 0).any():
        msg = "score_events: time_h does not rise; sort the samples and drop repeated times"
        raise DomainError(msg)
    alarms = _merged(segments_of(is_alarm), time_h, merge_h)
    events = segments_of(is_anomaly)
    delays = []
    touches = np.zeros(len(alarms), np.bool_)
    for first, last in events:
        end_h = time_h[last] + tolerance_h
        own = [
            a for a, (begin, end) in enumerate(alarms) if end >= first and time_h[begin] <= end_h
        ]
        touches[own] = True
        if own:
            delays.append(max(float(time_h[alarms[own[0]][0]] - time_h[first]), 0.0))
    step_h = float(np.median(np.diff(time_h))) if time_h.size > 1 else 0.0
    return EventScores(
        n_events=len(events),
        n_found=len(delays),
        n_false=int((~touches).sum()),
        median_delay_h=float(np.median(delays)) if delays else float("nan"),
        hours=float(time_h[-1] - time_h[0]) + step_h if time_h.size else 0.0,
    )


def _merged(
    alarms: list[tuple[int, int]], time_h: FloatArray, merge_h: float
) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in alarms:
        if merged and time_h[first] - time_h[merged[-1][1]] < merge_h:
            merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return merged


def add_events(parts: list[EventScores]) -> EventScores:
    """Add up the scores of several series.

    Parameters
    ----------
    parts : list of EventScores
        Of other machines or times.

    Returns
    -------
    EventScores
        Sums; the delay is the median of the parts' medians.
    """
    delays = [part.median_delay_h for part in parts if part.n_found]
    return EventScores(
        n_events=sum(part.n_events for part in parts),
        n_found=sum(part.n_found for part in parts),
        n_false=sum(part.n_false for part in parts),
        median_delay_h=float(np.median(delays)) if delays else float("nan"),
        hours=sum(part.hours for part in parts),
    )


@dataclass(frozen=True, slots=True)
class SampleScores:
    """Sample by sample.

    Parameters
    ----------
    precision, recall, f1 : float
        Of flagged samples; 0 where not defined.
    false_alarm_ratio : float
        Part of the ordinary samples that are flagged.
    missed_ratio : float
        Part of the anomalous samples that are not.
    """

    precision: float
    recall: float
    f1: float
    false_alarm_ratio: float
    missed_ratio: float


def score_samples(is_anomaly: BoolArray, is_alarm: BoolArray) -> SampleScores:
    """Count samples; several series count as one if they are joined.

    Parameters
    ----------
    is_anomaly, is_alarm : ndarray of bool, shape (n,)
        Truth and alarms.

    Returns
    -------
    SampleScores
        An alarm that always stands reaches a high F1 where anomalies are common: read it beside
        `false_alarm_ratio`.

    Raises
    ------
    ShapeError
        If the two differ in shape.
    """
    if is_anomaly.shape != is_alarm.shape:
        msg = f"score_samples: shapes {is_anomaly.shape} and {is_alarm.shape}; they must agree"
        raise ShapeError(msg)
    both = int((is_anomaly & is_alarm).sum())
    n_alarm, n_anomaly = int(is_alarm.sum()), int(is_anomaly.sum())
    n_ordinary = is_anomaly.size - n_anomaly
    precision, recall = both / max(n_alarm, 1), both / max(n_anomaly, 1)
    return SampleScores(
        precision=precision,
        recall=recall,
        f1=_f1(precision, recall),
        false_alarm_ratio=(n_alarm - both) / max(n_ordinary, 1),
        missed_ratio=1.0 - recall,
    )


def range_f1(is_anomaly: BoolArray, is_alarm: BoolArray, *, existence_weight: float = 0.5) -> float:
    """F1 of ranges [1]_: overlaps count, and touching an anomaly at all counts by itself.

    Positions within a range count alike; several alarms on one anomaly are worth one over their
    number.

    Parameters
    ----------
    is_anomaly, is_alarm : ndarray of bool, shape (n,)
        Truth and alarms.
    existence_weight : float
        Weight of touching an anomaly against covering it, from 0 to 1.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    ShapeError
        If the two differ in shape.

    References
    ----------
    .. [1] N. Tatbul, T. J. Lee, S. Zdonik, M. Alam and J. Gottschlich, "Precision and recall for
       time series", NeurIPS 2018.

    Examples
    --------
    >>> truth = np.array([0, 1, 1, 0, 0], bool)
    >>> range_f1(truth, truth), range_f1(truth, np.array([0, 1, 0, 0, 0], bool)).__round__(3)
    (1.0, 0.857)
    """
    if is_anomaly.shape != is_alarm.shape:
        msg = f"range_f1: shapes {is_anomaly.shape} and {is_alarm.shape}; they must agree"
        raise ShapeError(msg)
    truth, alarms = segments_of(is_anomaly), segments_of(is_alarm)
    recall = _range_reward(truth, alarms, existence_weight)
    return _f1(_range_reward(alarms, truth, 0.0), recall)


def _range_reward(
    ranges: list[tuple[int, int]], others: list[tuple[int, int]], existence_weight: float
) -> float:
    """Mean reward of ranges for how others overlap them."""
    rewards = []
    for first, last in ranges:
        overlaps = [
            min(last, end) - max(first, begin) + 1
            for begin, end in others
            if begin <= last and end >= first
        ]
        covered = sum(overlaps) / (last - first + 1) / max(len(overlaps), 1)
        rewards.append(existence_weight * bool(overlaps) + (1 - existence_weight) * covered)
    return sum(rewards) / len(rewards) if rewards else 0.0


def _f1(precision: float, recall: float) -> float:
    total = precision + recall
    return 2 * precision * recall / total if total > 0 else 0.0


def misleading_point_adjusted_f1(is_anomaly: BoolArray, is_alarm: BoolArray) -> float:
    """F1 after every anomaly that was touched once is counted as wholly found. Do not rank by it.

    Most papers report this figure. Uniform random scores reach 0.9 and more on common data sets
    [1]_, because a long anomaly is nearly always touched somewhere, and the order of detectors
    turns round. Here only so that published figures can be understood.

    Parameters
    ----------
    is_anomaly, is_alarm : ndarray of bool, shape (n,)
        Truth and alarms.

    Returns
    -------
    float
        From 0 to 1, and too high.

    References
    ----------
    .. [1] S. Kim, K. Choi, H.-S. Choi, B. Lee and S. Yoon, "Towards a rigorous evaluation of
       time-series anomaly detection", AAAI 2022.

    Examples
    --------
    >>> truth = np.zeros(1000, bool)
    >>> truth[400:700] = True
    >>> noise = np.random.default_rng(1).random(1000) > 0.98
    >>> misleading_point_adjusted_f1(truth, noise) > 0.9
    True
    """
    adjusted = is_alarm.copy()
    for first, last in segments_of(is_anomaly):
        adjusted[first : last + 1] = is_alarm[first : last + 1].any()
    return score_samples(is_anomaly, adjusted).f1
