"""What a kind of machine is: its signals, how it wears, what it costs, how it sounds."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from simulators.conditions import Conditions
from simulators.degradation import WearLaw

FloatArray = npt.NDArray[np.float64]


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


class Measure(Protocol):
    """Signals as a plain function of what a machine is under; chance comes in as an argument."""

    def __call__(self, conditions: Conditions, traits: FloatArray, noise: FloatArray) -> FloatArray:
        """Read all sensors of a machine.

        Parameters
        ----------
        conditions : Conditions
            What it is under, arrays of shape (n_times,).
        traits : ndarray of shape (n_traits,)
            How this unit differs from the next, standard normal.
        noise : ndarray of shape (n_times, n_signals)
            Sensor noise, standard normal.

        Returns
        -------
        ndarray of shape (n_times, n_signals)
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
    signals : tuple of str
        Signal names, each ending in its unit.
    n_traits : int
        How many numbers tell one unit from the next.
    wear_law : WearLaw
        How it wears.
    failure_mode : str
        What breaks in the end.
    thermal_lag_h : float
        How long its metal remembers a load. [h]
    standstill_range_h : tuple of float
        Standstill after a failure, from the failure to running as new. [h]
    costs : KindCosts
        Typical service costs.
    measure : Measure
        Its signals.
    """

    key: str
    model: str
    signals: tuple[str, ...]
    n_traits: int
    wear_law: WearLaw
    failure_mode: str
    thermal_lag_h: float
    standstill_range_h: tuple[float, float]
    costs: KindCosts
    measure: Measure


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
