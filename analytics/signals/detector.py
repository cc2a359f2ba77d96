"""One score and one alarm for each machine, every tick, for a whole fleet at once.

Robust deviations from each machine's own baseline go through four charts per signal (a single
deviation, EWMA, two-sided CUSUM, Page-Hinkley) and two per machine (Hotelling's T² and SPE).
Each is divided by the value that a healthy machine rarely passes; the largest ratio makes the
score, and an alarm needs it at the limit in ``alarm_k`` of the last ``alarm_n`` ticks. Scoring a
block *is* the tick looped over time, so stream and replay agree to the last bit.
"""

from dataclasses import replace

import numpy as np

from analytics.arrays import BoolArray, DomainError, Float32Array, ShapeError
from analytics.signals import kernels
from analytics.signals.baseline import Baseline
from analytics.signals.detector_state import (
    ALARM_SCORE,
    RESET_REASONS,
    AnomalyScores,
    AnomalyTick,
    DetectorSettings,
    DetectorState,
    FleetStatistics,
    ResetReason,
)
from analytics.signals.limits import DetectorLimits, reciprocal, smoothed_spread, theory_limits
from analytics.signals.projection import Projection

__all__ = [
    "ALARM_SCORE",
    "AnomalyDetector",
    "AnomalyScores",
    "AnomalyTick",
    "DetectorSettings",
    "DetectorState",
    "FleetStatistics",
    "ResetReason",
    "score_block",
]


class AnomalyDetector:
    """Streaming detector over all machines of one kind.

    A missing sample leaves its signal's charts where they are. A tick in which a machine sends
    nothing leaves all of that machine's state, its alarm too, as it was. A signal without a
    baseline is not looked at; a machine with none has no score (``nan``).

    Samples may come irregularly: say in `tick` how many usual steps have passed, and the
    averages forget accordingly.

    Parameters
    ----------
    baseline : Baseline
        What is usual, of shape (n_signals, n_machines).
    settings : DetectorSettings
        How to weigh evidence.
    limits : DetectorLimits, optional
        Where healthy ends; `theory_limits` unless told, which look at the EWMA alone.
    projection : Projection, optional
        The plane in which healthy machines move, for T² and SPE.

    Raises
    ------
    ShapeError
        If limits or projection are of other signals or machines.

    Examples
    --------
    >>> usual = Baseline(centre=np.array([[2.0]]), scale=np.array([[0.1]]))
    >>> detector = AnomalyDetector(usual, DetectorSettings(alarm_k=2, alarm_n=3))
    >>> [
    ...     bool(detector.tick(np.array([[x]], np.float32)).is_alarm[0])
    ...     for x in (2.0, 2.1, 3.0, 3.0, 3.0)
    ... ]
    [False, False, False, True, True]
    """

    def __init__(
        self,
        baseline: Baseline,
        settings: DetectorSettings,
        *,
        limits: DetectorLimits | None = None,
        projection: Projection | None = None,
    ) -> None:
        limits = theory_limits(baseline, settings) if limits is None else limits
        shape: tuple[int, ...] = baseline.centre.shape
        _check_parts(shape, limits, projection)
        self._settings = settings
        self._clear_score = np.float32(settings.clear_score)
        self._centre = baseline.centre.astype(np.float32)
        self._per_scale = reciprocal(baseline.scale)
        self._per_spread = reciprocal(smoothed_spread(baseline, settings.alpha))
        self._per_limit = {
            name: reciprocal(getattr(limits, name))
            for name in ("z", "ewma", "cusum", "drift", "t2", "spe")
        }
        self._watches = {
            name: bool(np.isfinite(getattr(limits, name)).any()) for name in self._per_limit
        }
        self._loadings = self._per_variance = None
        if projection is not None:
            self._loadings = projection.loadings.astype(np.float32)
            self._per_variance = reciprocal(projection.variance)[:, np.newaxis]
        self._charts = np.zeros((2 + kernels.N_SUMS, *shape), np.float32)
        self._z = self._charts[1]
        self._state = self._held(DetectorState.new(shape[0], shape[1], settings))
        self._is_all_seen = False
        self._make_scratch(shape, limits)

    def _make_scratch(self, shape: tuple[int, ...], limits: DetectorLimits) -> None:
        n_machines = shape[1]
        self._highest = np.full(shape, self._settings.z_clip, np.float32)
        self._lowest = -self._highest
        # Twice the limit: an alarm outlasts its cause by a bounded time.
        bounds = np.stack([limits.cusum, limits.cusum, limits.drift, limits.drift])
        bounds = np.where(np.isfinite(bounds), 2.0 * bounds, np.inf)
        up = np.array([True, False, True, False])[:, np.newaxis, np.newaxis]
        self._sums_highest = np.where(up, bounds, 0.0).astype(np.float32)
        self._sums_lowest = np.where(up, 0.0, -bounds).astype(np.float32)
        one_by_one = [self._per_limit[name] for name in ("ewma", "z", "cusum", "drift")]
        ewma, z, cusum, drift = one_by_one
        self._per_chart_limit = np.stack([ewma, z, cusum, -cusum, drift, -drift])
        self._slacks = np.empty((2, *shape), np.float32)
        self._slacks[0], self._slacks[1] = self._settings.cusum_slack, self._settings.drift_slack
        self._masked_slacks = np.empty_like(self._slacks)
        self._present = np.zeros(shape, np.bool_)
        self._presence = np.zeros(shape, np.float32)
        self._ratios = np.zeros((2 + kernels.N_SUMS, *shape), np.float32)
        self._scratch = np.zeros((kernels.N_SUMS, *shape), np.float32)
        n_components = 0 if self._loadings is None else self._loadings.shape[0]
        self._along = np.zeros((n_components, n_machines), np.float32)
        self._whole = np.zeros((2, n_machines), np.float32)
        self._per_whole_limit = np.stack([self._per_limit["t2"], self._per_limit["spe"]])
        self._peak = np.zeros(n_machines, np.float32)
        self._evidence = np.zeros(n_machines, np.bool_)
        self._bits = np.zeros((2, n_machines), np.bool_)
        self._shifted = np.zeros((2, n_machines), self._settings.register_type)

    @property
    def watches_sums(self) -> bool:
        """Whether a limit of CUSUM or Page-Hinkley is set."""
        return self._watches["cusum"] or self._watches["drift"]

    def tick(self, x: Float32Array, *, n_steps: float = 1.0) -> AnomalyTick:
        """Take one sample of every signal of every machine.

        Parameters
        ----------
        x : ndarray of float32, shape (n_signals, n_machines)
            Samples of this tick, each in its signal's unit; ``nan`` or infinite where missing.
        n_steps : float
            Time since the last tick in usual steps. [steps]

        Returns
        -------
        AnomalyTick
            Arrays of its own, which later ticks leave alone.

        Raises
        ------
        ShapeError
            If `x` has not the shape of the baseline.
        DomainError
            If no time has passed.
        """
        if x.shape != self._z.shape:
            msg = (
                f"AnomalyDetector.tick: x has shape {x.shape} but the baseline has "
                f"{self._z.shape}; give one sample per signal and machine. For machines that "
                "joined, make a detector with their baselines too and restore "
                "snapshot().joined(...) into it"
            )
            raise ShapeError(msg)
        if not 0 < n_steps < np.inf:
            msg = (
                f"AnomalyDetector.tick: n_steps is {n_steps}; time must move on between ticks, "
                "so drop repeated samples and sort late ones in"
            )
            raise DomainError(msg)
        n_machines = x.shape[1]
        out = AnomalyTick(
            np.empty(n_machines, np.float32),
            np.empty(x.shape, np.float32),
            np.empty(x.shape, np.float32),
            np.empty(n_machines, np.bool_),
        )
        with np.errstate(invalid="ignore", over="ignore"):
            self._advance(x, n_steps)
            self._judge(out.score, out.z, out.signal_ratio, out.is_alarm)
        return out

    def statistics(self, x: Float32Array) -> FleetStatistics:
        """Take one sample like `tick`, and give the bare statistics without judging them.

        Parameters
        ----------
        x : ndarray of float32, shape (n_signals, n_machines)
            Samples of this tick; ``nan`` or infinite where missing.

        Returns
        -------
        FleetStatistics
            From which limits are measured; ``nan`` where the sample is missing.
        """
        with np.errstate(invalid="ignore", over="ignore"):
            self._advance(x, 1.0, with_sums=True)
        state, missing = self._state, ~self._present
        sums = state.sums
        of_signals = (
            np.abs(self._z),
            np.abs(state.smoothed),
            np.maximum(sums[0], -sums[1]),
            np.maximum(sums[2], -sums[3]),
        )
        is_silent = missing.all(axis=0)
        of_machines = (self._whole[0].copy(), self._whole[1].copy())
        for part in of_signals:
            part[missing] = np.nan
        for whole in of_machines:
            whole[is_silent] = np.nan
        return FleetStatistics(*of_signals, *of_machines)

    def _advance(self, x: Float32Array, n_steps: float, *, with_sums: bool = False) -> None:
        """Move the state by one tick, in place."""
        state, settings, z, scratch = self._state, self._settings, self._z, self._scratch
        alpha, drift = settings.alpha, settings.drift_alpha
        if n_steps != 1.0:
            alpha, drift = 1.0 - (1.0 - alpha) ** n_steps, 1.0 - (1.0 - drift) ** n_steps
        is_complete = kernels.standardise(
            x, self._centre, self._per_scale, self._highest, self._lowest,
            z=z, present=self._present, presence=self._presence,
        )  # fmt: skip
        presence = None if is_complete else self._presence
        kernels.smooth(state.smoothed, z, np.float32(alpha), presence, scratch=scratch[0])
        if with_sums or self.watches_sums:
            kernels.add_to_sums(
                state.sums, state.slow_mean, z, presence,
                slacks=self._slacks, drift_weight=np.float32(drift), lowest=self._sums_lowest,
                highest=self._sums_highest, scratch=scratch, masked_slacks=self._masked_slacks,
            )  # fmt: skip
        if self._loadings is not None and self._per_variance is not None:
            kernels.project(
                z, self._loadings, self._per_variance, along=self._along, t2=self._whole[0],
                spe=self._whole[1], scratch=scratch[0],
            )  # fmt: skip
        if not self._is_all_seen:
            np.logical_or(state.is_seen, self._present, out=state.is_seen)
            self._is_all_seen = bool(state.is_seen.all())

    def _judge(
        self,
        score: Float32Array,
        z_out: Float32Array,
        ratio: Float32Array,
        is_alarm: BoolArray,
    ) -> None:
        """Hold the state against the limits, and write what it means."""
        state, ratios = self._state, self._ratios
        np.multiply(state.smoothed, self._per_spread, out=z_out)
        n_charts = ratios.shape[0] if self.watches_sums else 2
        np.multiply(
            self._charts[:n_charts], self._per_chart_limit[:n_charts], out=ratios[:n_charts]
        )
        np.abs(ratios[:2], out=ratios[:2])
        if self.watches_sums:
            np.maximum(ratios[:3], ratios[3:], out=ratios[:3])
            np.maximum(ratios[0], ratios[2], out=ratios[0])
        np.maximum(ratios[0], ratios[1], out=ratio)
        if not self._is_all_seen:
            unseen = ~state.is_seen
            np.copyto(z_out, np.float32(np.nan), where=unseen)
            np.copyto(ratio, np.float32(np.nan), where=unseen)
        peak = self._peak
        np.fmax.reduce(ratio, axis=0, initial=np.nan, out=peak)
        np.square(peak, out=peak)
        if self._watches["t2"] or self._watches["spe"]:
            # Both are squares of deviations already.
            np.multiply(self._whole, self._per_whole_limit, out=self._whole)
            np.maximum(peak, self._whole[0], out=peak)
            np.maximum(peak, self._whole[1], out=peak)
        np.add(peak, np.float32(1), out=score)
        np.divide(peak, score, out=score)
        np.logical_or.reduce(self._present, axis=0, out=self._evidence)
        np.greater_equal(score, np.float32(ALARM_SCORE), out=self._bits[0])
        np.less(score, self._clear_score, out=self._bits[1])
        kernels.persist(
            state.registers, state.is_alarm, self._bits, has_evidence=self._evidence,
            k=self._settings.alarm_k, n=self._settings.alarm_n, scratch=self._shifted,
        )  # fmt: skip
        np.copyto(is_alarm, state.is_alarm)

    def _held(self, state: DetectorState) -> DetectorState:
        """Move smoothed deviations and sums beside each other, so that one product takes them all.

        The detector's charts are smoothed deviations, bare deviations and sums, in this order.
        """
        self._charts[0], self._charts[2:] = state.smoothed, state.sums
        return replace(state, smoothed=self._charts[0], sums=self._charts[2:])

    def snapshot(self) -> DetectorState:
        """Copy all that the detector remembers.

        Returns
        -------
        DetectorState
            Give it to `restore`, of this or of a like detector, to go on from here.
        """
        return self._state.copy()

    def restore(self, state: DetectorState) -> None:
        """Go on from a snapshot.

        Parameters
        ----------
        state : DetectorState
            From `snapshot`; copied.

        Raises
        ------
        ShapeError
            If it was taken over other signals or machines.
        """
        if state.smoothed.shape != self._z.shape:
            msg = (
                f"AnomalyDetector.restore: the snapshot has shape {state.smoothed.shape} but the "
                f"baseline has {self._z.shape}; restore it into a detector of the same machines"
            )
            raise ShapeError(msg)
        self._state = self._held(state.copy())
        self._is_all_seen = bool(state.is_seen.all())

    def reset(self, is_reset: BoolArray, reason: ResetReason = ResetReason.MAINTENANCE) -> None:
        """Forget machines that have been repaired; their alarms clear.

        Parameters
        ----------
        is_reset : ndarray of bool, shape (n_machines,)
            Which machines start afresh.
        reason : ResetReason
            Why; kept in the state.

        Raises
        ------
        ShapeError
            If there is not one entry per machine.
        """
        state = self._state
        if is_reset.shape != state.is_alarm.shape:
            msg = (
                f"AnomalyDetector.reset: is_reset has shape {is_reset.shape} but there are "
                f"{state.is_alarm.size} machines; give one entry per machine"
            )
            raise ShapeError(msg)
        for of_signals in (state.smoothed, state.slow_mean, state.sums):
            of_signals[..., is_reset] = 0
        state.is_seen[:, is_reset] = False
        state.registers[:, is_reset] = 0
        state.is_alarm[is_reset] = False
        state.reset_reason[is_reset] = RESET_REASONS.index(reason)
        self._is_all_seen = False

    def score(self, block: Float32Array) -> AnomalyScores:
        """Take a block of ticks.

        Parameters
        ----------
        block : ndarray of float32, shape (n_times, n_signals, n_machines)
            Samples on an even grid, each in its signal's unit; ``nan`` or infinite where missing.

        Returns
        -------
        AnomalyScores
            What `tick` would have said at each time, to the last bit.

        Raises
        ------
        ShapeError
            If the block's signals and machines are not those of the baseline.
        """
        if block.shape[1:] != self._z.shape:
            msg = (
                f"AnomalyDetector.score: block has shape {block.shape} but the baseline has "
                f"{self._z.shape}; give (n_times, n_signals, n_machines)"
            )
            raise ShapeError(msg)
        n_times, n_signals, n_machines = block.shape
        scores = AnomalyScores(
            np.empty((n_times, n_machines), np.float32),
            np.empty((n_times, n_signals, n_machines), np.float32),
            np.empty((n_times, n_signals, n_machines), np.float32),
            np.empty((n_times, n_machines), np.bool_),
        )
        rows = zip(block, scores.score, scores.z, scores.signal_ratio, scores.is_alarm, strict=True)
        with np.errstate(invalid="ignore", over="ignore"):
            for x, *out in rows:
                self._advance(x, 1.0)
                self._judge(*out)
        return scores


def _check_parts(
    shape: tuple[int, ...], limits: DetectorLimits, projection: Projection | None
) -> None:
    if limits.ewma.shape != shape:
        msg = (
            f"AnomalyDetector: limits have shape {limits.ewma.shape} but the baseline has {shape}; "
            "measure them over the same signals and machines"
        )
        raise ShapeError(msg)
    if projection is not None and projection.loadings.shape[1] != shape[0]:
        msg = (
            f"AnomalyDetector: the projection is of {projection.loadings.shape[1]} signals but the "
            f"baseline has {shape[0]}; fit it over the same signals"
        )
        raise ShapeError(msg)


def score_block(
    block: Float32Array,
    baseline: Baseline,
    settings: DetectorSettings,
    *,
    limits: DetectorLimits | None = None,
    projection: Projection | None = None,
) -> AnomalyScores:
    """Score a whole block: the tick looped over time, to the last bit.

    Parameters
    ----------
    block : ndarray of float32, shape (n_times, n_signals, n_machines)
        Samples on an even grid, each in its signal's unit; ``nan`` or infinite where missing.
    baseline : Baseline
        What is usual, of shape (n_signals, n_machines).
    settings : DetectorSettings
        How to weigh evidence.
    limits : DetectorLimits, optional
        Where healthy ends.
    projection : Projection, optional
        The plane in which healthy machines move.

    Returns
    -------
    AnomalyScores
        What `AnomalyDetector.tick` would have said at each time.
    """
    detector = AnomalyDetector(baseline, settings, limits=limits, projection=projection)
    return detector.score(block)
