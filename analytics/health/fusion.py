"""Many signals into one damage figure."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from analytics.arrays import FloatArray, IntArray
from analytics.signals.rolling import ewma

KNEE_Z: Final = 10.0
"""Robust deviations beyond this grow logarithmically: vibration at failure may lie a hundred
deviations out and would outshout everything else."""


@dataclass(frozen=True, slots=True, eq=False)
class Fusion:
    """Learned way from signals to damage.

    Parameters
    ----------
    used : ndarray of int, shape (n_used,)
        Positions of the signals it looks at.
    regime : ndarray of int, shape (n_regime,)
        Positions of the regime signals.
    regime_centre, regime_scale : ndarray of shape (n_regime,)
        Median and spread of the regime signals, in their units.
    usual : ndarray of shape (n_terms, n_used)
        What is usual for each signal: weights of 1, and of the regime signals and their products.
    scale : ndarray of shape (n_used,)
        Robust spread of each signal around what is usual, in its unit.
    memory_steps : ndarray of shape (n_memories,)
        Memories of the moving averages. [steps]
    weights : ndarray of shape (n_used, n_memories)
        Damage per robust deviation of each moving average. A signal that moves further in its
        direction of wear never lowers damage.
    intercept : float
        Damage when everything is as usual.
    """

    used: IntArray
    regime: IntArray
    regime_centre: FloatArray
    regime_scale: FloatArray
    usual: FloatArray
    scale: FloatArray
    memory_steps: FloatArray
    weights: FloatArray
    intercept: float

    def deviations(self, values: npt.NDArray[np.floating]) -> FloatArray:
        """Robust deviations from what is usual, compressed beyond `KNEE_Z`.

        Parameters
        ----------
        values : ndarray of shape (n_times, n_signals, n_machines)
            Samples, each in its signal's unit.

        Returns
        -------
        ndarray of shape (n_times, n_used, n_machines)
            ``nan`` where the sample, or a regime signal beside it, is missing.
        """
        terms = regime_terms(values[:, self.regime], self.regime_centre, self.regime_scale)
        usual = np.einsum("ktm,ku->tum", terms, self.usual)
        x = values[:, self.used].astype(np.float64)
        x[~np.isfinite(x)] = np.nan
        deviation: FloatArray = (x - usual) / self.scale[:, np.newaxis]
        return KNEE_Z * np.arcsinh(deviation / KNEE_Z)

    def features(self, values: npt.NDArray[np.floating]) -> FloatArray:
        """Average the deviations over every memory.

        Parameters
        ----------
        values : ndarray of shape (n_times, n_signals, n_machines)
            Samples on the step grid, each in its signal's unit.

        Returns
        -------
        ndarray of shape (n_times, n_used * n_memories, n_machines)
            Each signal is ``nan`` until it has been seen; all are at steps without any of them.
        """
        z = self.deviations(values)
        averages = moving_averages(z, self.memory_steps)
        features = averages.reshape(z.shape[0], self.weights.size, z.shape[2])
        is_silent = ~np.isfinite(z).any(axis=1, keepdims=True)
        np.copyto(features, np.nan, where=is_silent)
        return features

    def damage(self, features: FloatArray) -> FloatArray:
        """Fuse averaged deviations into damage.

        Parameters
        ----------
        features : ndarray of shape (n_times, n_used * n_memories, n_machines)
            From `features`.

        Returns
        -------
        ndarray of shape (n_times, n_machines)
            ``nan`` where any feature is.
        """
        damage: FloatArray = np.einsum("tfm,f->tm", features, self.weights.ravel())
        damage += self.intercept
        return damage

    def rescaled(self, healthy: float, failed: float) -> "Fusion":
        """Make two levels of damage the new 0 and 1.

        Parameters
        ----------
        healthy, failed : float
            Damage that shall be 0, and damage that shall be 1.

        Returns
        -------
        Fusion
            The same but for a shift and a factor.
        """
        span = failed - healthy
        return replace(
            self, weights=self.weights / span, intercept=(self.intercept - healthy) / span
        )


def moving_averages(values: FloatArray, memory_steps: FloatArray) -> FloatArray:
    """Average along time with several memories, which become the axis before the last.

    Parameters
    ----------
    values : ndarray of shape (n_times, ..., n_machines)
        Missing steps leave the averages where they are.
    memory_steps : ndarray of shape (n_memories,)
        Memories. [steps]

    Returns
    -------
    ndarray of shape (n_times, ..., n_memories, n_machines)
        Averages.
    """
    return ewma(values[..., np.newaxis, :], 1.0 / memory_steps[:, np.newaxis], warm_start=True)


def regime_terms(
    regime: npt.NDArray[np.floating], centre: FloatArray, scale: FloatArray
) -> FloatArray:
    """Stack one, the standardised regime signals, and their products.

    Quadratic terms pass through up to six separate regimes of three settings as well as along a
    smooth range of speeds.

    Parameters
    ----------
    regime : ndarray of shape (n_times, n_regime, n_machines)
        Regime signals in their units.
    centre, scale : ndarray of shape (n_regime,)
        Their medians and spreads.

    Returns
    -------
    ndarray of shape (n_terms, n_times, n_machines)
        ``nan`` where a regime signal is missing.
    """
    n_times, n_regime, n_machines = regime.shape
    r = (regime.astype(np.float64) - centre[:, np.newaxis]) / scale[:, np.newaxis]
    r[~np.isfinite(r)] = np.nan
    products = [r[:, i] * r[:, j] for i in range(n_regime) for j in range(i, n_regime)]
    return np.stack([np.ones((n_times, n_machines)), *np.moveaxis(r, 1, 0), *products])
