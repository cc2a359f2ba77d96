"""What a kind of machine is: its signals, how it fails, what it costs."""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from simulators.conditions import Conditions
from simulators.wear.laws import WearLaw

FloatArray = npt.NDArray[np.float64]

_WARM_FROM_RATIO: Final = 0.5
"""A machine worked round the clock remembers 0.63 of its load on a Sunday night, less at most a
sixth of that for its products: it is warm all the time."""


@dataclass(frozen=True, slots=True)
class KindCosts:
    """Typical service costs of one kind of machine.

    Parameters
    ----------
    planned_visit_cost_eur : float
        Parts and labour of a visit planned ahead. [EUR]
    planned_visit_h : float
        Standstill of a planned visit. [h]
    unplanned_repair_cost_eur : float
        Parts and labour after a failure. [EUR]
    unplanned_repair_h : float
        Standstill after a failure, waiting included. [h]
    downtime_cost_eur_per_h : float
        What one hour of standstill costs the owner. [EUR/h]
    """

    planned_visit_cost_eur: float
    planned_visit_h: float
    unplanned_repair_cost_eur: float
    unplanned_repair_h: float
    downtime_cost_eur_per_h: float


@dataclass(frozen=True, slots=True)
class FailureMode:
    """One way in which a kind of machine fails.

    Parameters
    ----------
    key : str
        Its name, such as ``outer-race-spall``.
    law : WearLaw
        How its wear grows from onset to failure.
    """

    key: str
    law: WearLaw


@dataclass(frozen=True, slots=True)
class Sensor:
    """One measured signal.

    Parameters
    ----------
    signal : str
        Its name, ending in its unit.
    noise_ratio : float
        Standard deviation of its noise as a part of the level.
    noise : float
        Standard deviation of its noise beside that, in the signal's own unit.
    """

    signal: str
    noise_ratio: float = 0.0
    noise: float = 0.0


class Levels(Protocol):
    """What sensors without noise would show: a plain function of what a machine is under."""

    def __call__(self, conditions: Conditions, traits: FloatArray) -> FloatArray:
        """Work out all signals of a machine.

        Parameters
        ----------
        conditions : Conditions
            What it is under, arrays of shape (n_times,), its wear of shape (n_modes, n_times).
        traits : ndarray of shape (n_traits,)
            How this unit differs from the next, standard normal.

        Returns
        -------
        ndarray of shape (n_signals, n_times)
            Signals in the order and units of their names.
        """


@dataclass(frozen=True, slots=True)
class MachineKind:
    """One kind of machine.

    Parameters
    ----------
    key : str
        Its name in registry and telemetry.
    model : str
        A type designation to show people.
    sensors : tuple of Sensor
        What it measures.
    n_traits : int
        How many numbers tell one unit from the next.
    modes : tuple of FailureMode
        What may break, the most usual first; whichever is through first stops the machine.
    thermal_lag_h : float
        How long its metal remembers a load. [h]
    standstill_range_h : tuple of float
        Standstill after a failure, from the failure to running again. [h]
    costs : KindCosts
        Typical service costs.
    levels : Levels
        Its signals without noise.
    """

    key: str
    model: str
    sensors: tuple[Sensor, ...]
    n_traits: int
    modes: tuple[FailureMode, ...]
    thermal_lag_h: float
    standstill_range_h: tuple[float, float]
    costs: KindCosts
    levels: Levels

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of its signals."""
        return tuple(sensor.signal for sensor in self.sensors)


def warmth_ratio(lagged_load_ratio: FloatArray) -> FloatArray:
    """How much of the heat of rubbing parts is there: none long after the last turn.

    Parameters
    ----------
    lagged_load_ratio : ndarray
        Load as a warm body of metal remembers it.

    Returns
    -------
    ndarray of the same shape
        1 from half of the load on, falling straight to 0 below.

    Examples
    --------
    >>> warmth_ratio(np.array([0.0, 0.25, 0.5, 1.1])).tolist()
    [0.0, 0.5, 1.0, 1.0]
    """
    return np.minimum(lagged_load_ratio / _WARM_FROM_RATIO, 1.0)


def joined_levels(*levels: FloatArray) -> FloatArray:
    """Level of independent vibrations together: their energies add.

    Parameters
    ----------
    *levels : ndarray
        Root-mean-square levels, of one shape.

    Returns
    -------
    ndarray of the same shape
        Root of the sum of squares, in the same unit.

    Examples
    --------
    >>> float(joined_levels(np.array(3.0), np.array(4.0)))
    5.0
    """
    return np.asarray(np.sqrt(np.sum(np.square(np.stack(levels)), axis=0)))
