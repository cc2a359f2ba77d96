"""A machine with many signals, watched as a whole: what is judged, and who is to blame.

`analytics.signals.monitor_fit` learns a monitor from healthy samples.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from analytics.arrays import BoolArray, DomainError, FloatArray
from analytics.signals import kernels
from analytics.signals.monitor_charts import (
    CHARTS,
    CLIP,
    SLOWER,
    chart_statistics,
    regime_of,
    smoothed_noise,
)
from analytics.signals.projection import Projection
from analytics.signals.regimes import RegimeBaseline, Regimes

_SLOWER_IN_ALARM: Final = 4.0


@dataclass(frozen=True, slots=True)
class MonitorSettings:
    """How the monitor weighs evidence.

    Parameters
    ----------
    alpha : float
        Weight of the newest sample in the smoothed deviation. [1/sample]
    false_alarm_ratio : float
        Part of healthy samples that may pass the limit, before persistence.
    explained_ratio : float
        Part of the variance that lies in the plane.
    k, n : int
        An alarm is raised by `k` of the last `n` samples at or over the limit, and cleared by as
        many below `clear_score`.
    clear_score : float
        Up to 0.5.

    Raises
    ------
    DomainError
        If a setting is out of its range.
    """

    alpha: float = 0.1
    false_alarm_ratio: float = 1e-3
    explained_ratio: float = 0.9
    k: int = 4
    n: int = 6
    clear_score: float = 0.4

    def __post_init__(self) -> None:
        is_fine = (
            0 < self.alpha <= 1
            and 0 < self.false_alarm_ratio < 1
            and 0 < self.explained_ratio <= 1
            and self.n / 2 < self.k <= self.n <= 32
            and 0 <= self.clear_score <= 0.5
        )
        if not is_fine:
            msg = (
                f"MonitorSettings: {self}; write weights and ratios between 0 and 1, k more than "
                "half of at most 32, and a clear_score up to 0.5"
            )
            raise DomainError(msg)


@dataclass(frozen=True, slots=True, eq=False)
class MonitorScores:
    """What the monitor thinks at each sample.

    Parameters
    ----------
    score : ndarray of shape (n,)
        0 as usual, 0.5 at the limit, towards 1 far beyond; ``nan`` before the first sample.
    is_alarm : ndarray of bool, shape (n,)
        After persistence and hysteresis.
    chart_ratio : ndarray of shape (n, 3)
        Statistic over limit of each of `CHARTS`.
    smoothed : ndarray of shape (n, n_signals)
        Smoothed deviations, in healthy standard deviations.
    signal_score : ndarray of shape (n, n_signals)
        Score of each signal by itself.
    """

    score: FloatArray
    is_alarm: BoolArray
    chart_ratio: FloatArray
    smoothed: FloatArray
    signal_score: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Monitor:
    """What was learned of one machine, or of machines alike in every respect.

    Parameters
    ----------
    settings : MonitorSettings
        How it was fitted.
    regimes : Regimes or None
        What the machine may be asked to do; None for one regime.
    baseline : RegimeBaseline
        What is usual in each.
    whole : Projection
        All directions, for T².
    plane : Projection
        The usual plane, for SPE and contributions.
    limits : ndarray of shape (n_regimes, 3)
        Of each of `CHARTS` in each regime.
    wanders : ndarray of bool, shape (n_signals,)
        Signals that are held against their own slow mean.
    level : tuple of ndarray of shape (n_signals,)
        Slow levels at the end of the healthy samples, where scoring goes on from, and how far a
        sample may be from them to count in full; ``nan`` for signals that do not wander.
    """

    settings: MonitorSettings
    regimes: Regimes | None
    baseline: RegimeBaseline
    whole: Projection
    plane: Projection
    limits: FloatArray
    wanders: BoolArray
    level: tuple[FloatArray, FloatArray]

    def score(self, x: npt.NDArray[np.floating]) -> MonitorScores:
        """Judge samples in the order of time, each by itself and those before it.

        Parameters
        ----------
        x : ndarray of shape (n, n_signals)
            Each in its signal's unit; missing ones leave their average where it is.

        Returns
        -------
        MonitorScores
            For every sample.
        """
        x = x.astype(np.float64)
        regime = regime_of(self.regimes, x)
        limits = self.limits[np.maximum(regime, 0)]
        has_evidence = np.isfinite(x).any(axis=1)
        run = _Run(self)
        smoothed, ratio = np.empty(x.shape), np.empty((x.shape[0], len(CHARTS)))
        score, is_alarm = np.empty(x.shape[0]), np.empty(x.shape[0], np.bool_)
        for t, sample in enumerate(x):
            smoothed[t] = run.smooth(sample, int(regime[t]))
            raw = chart_statistics(smoothed[t : t + 1], self.whole, self.plane)[0]
            # Squares of deviations beside a deviation: all as deviations over limit.
            ratio[t] = np.sqrt(raw / limits[t])
            score[t], is_alarm[t] = run.judge(ratio[t], bool(has_evidence[t]))
        own = smoothed**2 / limits[:, :1]
        return MonitorScores(
            score=score,
            is_alarm=is_alarm,
            chart_ratio=ratio,
            smoothed=smoothed,
            signal_score=own / (1.0 + own),
        )

    def contributions(self, smoothed: FloatArray) -> FloatArray:
        """Say how much each signal adds to the alarm: by itself, in T² and off the plane.

        Parameters
        ----------
        smoothed : ndarray of shape (n, n_signals)
            From `MonitorScores`.

        Returns
        -------
        ndarray of shape (n, n_signals)
            Shares that add up to 1 for each sample; the largest is the first to look at.
        """
        known = np.where(np.isfinite(smoothed), smoothed, 0.0)
        parts = (
            known**2,
            np.maximum(self.whole.t2_contributions(known), 0.0),
            self.plane.spe_reconstructions(known),
        )
        shares = [part / np.maximum(part.sum(axis=1, keepdims=True), 1e-12) for part in parts]
        return np.asarray(sum(shares) / len(shares))


class _Run:
    """What scoring remembers from sample to sample."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        n_signals = monitor.wanders.size
        self._level, self._bound = (part.copy() for part in monitor.level)
        self._average = np.full(n_signals, np.nan)
        self._n_seen = np.zeros(n_signals)
        self._registers = np.zeros((2, 1), np.uint32)
        self._is_alarm = np.zeros(1, np.bool_)

    def smooth(self, sample: FloatArray, regime: int) -> FloatArray:
        monitor, alpha = self._monitor, self._monitor.settings.alpha
        wanders = monitor.wanders
        gap = sample - self._level
        levelled = np.where(wanders, gap, sample)
        usual = monitor.baseline
        z = np.clip((levelled - usual.centre[regime]) / usual.scale[regime], -CLIP, CLIP)
        known = np.isfinite(z) & (regime >= 0)
        self._n_seen += known
        weight = np.maximum(alpha, 1.0 / np.maximum(self._n_seen, 1.0))
        before = np.where(np.isfinite(self._average), self._average, z)
        self._average = np.where(known, before + weight * (z - before), self._average)
        # In alarm the level all but stands still: what is wrong must not soon become usual, yet an
        # alarm on a signal that has only wandered must end.
        pace = alpha / SLOWER / (_SLOWER_IN_ALARM if self._is_alarm[0] else 1.0)
        step = pace * np.clip(gap, -self._bound, self._bound)
        self._level = np.where(np.isfinite(step), self._level + step, self._level)
        return self._average / smoothed_noise(self._n_seen, alpha)

    def judge(self, ratio: FloatArray, has_evidence: bool) -> tuple[float, bool]:
        settings = self._monitor.settings
        if not np.isfinite(self._average).any():
            return float("nan"), False
        peak = float(ratio.max()) ** 2
        score = peak / (1.0 + peak)
        kernels.persist(
            self._registers,
            self._is_alarm,
            np.array([[score >= 0.5], [score < settings.clear_score]]),
            has_evidence=np.array([has_evidence]),
            k=settings.k,
            n=settings.n,
            scratch=np.zeros_like(self._registers),
        )
        return score, bool(self._is_alarm[0])
