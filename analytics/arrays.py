"""Array types, the fleet block, and the errors of the analytics core.

::

    AnalyticsError
    ├── ShapeError            arrays that must agree in shape do not
    ├── NotEnoughDataError    fewer samples, units or customers than the method needs
    └── DomainError           a value outside what the method is defined for
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


class AnalyticsError(ValueError):
    """Base of every error raised by `analytics`."""


class ShapeError(AnalyticsError):
    """Arrays that must agree in shape do not."""


class NotEnoughDataError(AnalyticsError):
    """Fewer samples, units or customers than the method needs."""


class DomainError(AnalyticsError):
    """A value outside what the method is defined for."""


@dataclass(frozen=True, slots=True, eq=False)
class FleetBlock:
    """Signals of many like machines on one time grid, machine axis last and contiguous.

    Parameters
    ----------
    time_h : ndarray of float64, shape (n_times,)
        Evenly spaced hours since the window began. [h]
    signals : tuple of str
        Names, each ending in its unit.
    machines : tuple of str
        Machine names.
    values : ndarray of float32, shape (n_times, n_signals, n_machines)
        ``nan`` where a machine gave no good sample.

    Raises
    ------
    ShapeError
        If `values` does not have one row per time, signal and machine.
    """

    time_h: FloatArray
    signals: tuple[str, ...]
    machines: tuple[str, ...]
    values: Float32Array

    def __post_init__(self) -> None:
        expected = (self.time_h.size, len(self.signals), len(self.machines))
        if self.values.shape != expected:
            msg = (
                f"FleetBlock: values has shape {self.values.shape}, but times, signals and "
                f"machines make {expected}"
            )
            raise ShapeError(msg)
