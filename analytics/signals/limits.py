"""Where healthy ends: the limit of every statistic that the fleet's detector watches.

Limits come from theory, for an EWMA over a first-order autoregressive signal, or from healthy
samples, by what their statistics rarely reach. Nothing here looks at labels.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from analytics.arrays import Float32Array, FloatArray, ShapeError
from analytics.signals.baseline import Baseline
from analytics.signals.detector_state import DetectorSettings

_MEDIAN_VARIANCE = np.pi / 2
"""Variance of a median over that of a mean, for a normal distribution."""


@dataclass(frozen=True, slots=True, eq=False)
class DetectorLimits:
    """Value of each statistic at which the score is 0.5; infinite where it is not looked at.

    Parameters
    ----------
    z, ewma, cusum, drift : ndarray of shape (n_signals, n_machines)
        Limits of a single deviation, its EWMA, its CUSUM and its Page-Hinkley sum, in healthy
        standard deviations; ``nan`` where the signal has no baseline.
    t2, spe : ndarray of shape (n_machines,)
        Limits of Hotelling's T² and of the squared distance from the usual plane.

    Raises
    ------
    ShapeError
        If the arrays do not fit together.
    """

    z: FloatArray
    ewma: FloatArray
    cusum: FloatArray
    drift: FloatArray
    t2: FloatArray
    spe: FloatArray

    def __post_init__(self) -> None:
        of_signals = {part.shape for part in (self.z, self.ewma, self.cusum, self.drift)}
        of_machines = {part.shape for part in (self.t2, self.spe)}
        if len(of_signals) != 1 or of_machines != {self.ewma.shape[1:]}:
            msg = (
                f"DetectorLimits: shapes {of_signals} by signal and {of_machines} by machine; "
                "give (n_signals, n_machines) and (n_machines,)"
            )
            raise ShapeError(msg)

    def of_machines(self, chosen: slice) -> "DetectorLimits":
        """Take some of the machines.

        Parameters
        ----------
        chosen : slice
            Which.

        Returns
        -------
        DetectorLimits
            Of those.
        """
        return DetectorLimits(
            self.z[:, chosen],
            self.ewma[:, chosen],
            self.cusum[:, chosen],
            self.drift[:, chosen],
            self.t2[chosen],
            self.spe[chosen],
        )


def theory_limits(baseline: Baseline, settings: DetectorSettings) -> DetectorLimits:
    """Limits of the EWMA alone, for independent normal signals.

    The spread of a smoothed deviation is that of an EWMA over a first-order autoregressive
    signal [1]_, widened by what a baseline from few samples can't know. The other statistics
    depend on the shape of the tails and are left out: measure them (`measured_limits`).

    Parameters
    ----------
    baseline : Baseline
        What is usual.
    settings : DetectorSettings
        With the false alarms that are allowed.

    Returns
    -------
    DetectorLimits
        Infinite but for the EWMA.

    References
    ----------
    .. [1] C.-W. Lu and M. R. Reynolds, "EWMA control charts for monitoring the mean of
       autocorrelated processes", Journal of Quality Technology, vol. 31, no. 2,
       pp. 166-188, 1999.
    """
    n_signals = np.isfinite(baseline.centre).sum(axis=0)
    # Bonferroni: each signal gets its share of the machine's false alarms, on either side.
    tail = settings.false_alarm_ratio / (2.0 * np.maximum(n_signals, 1))
    limit = smoothed_spread(baseline, settings.alpha) * np.asarray(-ndtri(tail))
    never = np.where(np.isfinite(baseline.centre), np.inf, np.nan)
    nowhere = np.full(baseline.centre.shape[1], np.inf)
    return DetectorLimits(z=never, ewma=limit, cusum=never, drift=never, t2=nowhere, spe=nowhere)


def smoothed_spread(baseline: Baseline, alpha: float) -> FloatArray:
    """Healthy standard deviation of the smoothed deviation, per unit of baseline scale.

    Parameters
    ----------
    baseline : Baseline
        What is usual.
    alpha : float
        Weight of the newest sample. [1/tick]

    Returns
    -------
    ndarray of shape (n_signals, n_machines)
        Bare numbers, ``nan`` where there is no baseline.

    Examples
    --------
    >>> usual = Baseline(centre=np.array([[2.0]]), scale=np.array([[0.1]]))
    >>> smoothed_spread(usual, 0.2).round(4)
    array([[0.3333]])
    """
    rho = (
        np.zeros_like(baseline.centre)
        if baseline.autocorrelation is None
        else baseline.autocorrelation
    )
    kept = rho * (1.0 - alpha)
    variance = alpha / (2.0 - alpha) * (1.0 + kept) / (1.0 - kept)
    if baseline.n_samples is not None:
        n_independent = np.maximum(baseline.n_samples, 1) * (1.0 - rho) / (1.0 + rho)
        variance = variance + _MEDIAN_VARIANCE / n_independent
    return np.where(np.isfinite(baseline.centre), np.sqrt(variance), np.nan)


def reciprocal(values: FloatArray) -> Float32Array:
    """One over each value as float32, ``nan`` staying ``nan`` and infinite becoming 0.

    Parameters
    ----------
    values : ndarray
        Not 0.

    Returns
    -------
    ndarray of float32 of the same shape
        Reciprocals.
    """
    return (1.0 / values).astype(np.float32)
