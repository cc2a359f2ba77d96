"""What a simulated machine shows to the outside, before any protocol."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Protocol: TypeAlias = Literal["opcua", "mqtt"]

GOOD: Final = 0
UNCERTAIN: Final = 1
BAD: Final = 2
"""Severity of an OPC UA status code (OPC 10000-4, 7.39): its two highest bits."""

NS_PER_S: Final = 1_000_000_000
NS_PER_H: Final = 3600 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Outlet:
    """How one machine is seen by an edge agent.

    Parameters
    ----------
    machine : str
        Its name.
    kind : str
        Its kind.
    site, customer : str
        Whose it is and where it stands; empty where that means nothing.
    protocol : {"opcua", "mqtt"}
        What it speaks.
    server : str
        Name of the OPC UA server that carries it; empty for MQTT.
    signals : tuple of str
        What it measures, each name ending in its unit.
    """

    machine: str
    kind: str
    site: str
    customer: str
    protocol: Protocol
    server: str
    signals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Moment:
    """What one machine measured at one time.

    Parameters
    ----------
    time_ns : int
        When. [ns since 1970-01-01 UTC]
    values : tuple of float
        One for each signal, ``nan`` where the machine gave none.
    quality : tuple of int
        0 good, 1 uncertain, 2 bad, one for each signal.
    """

    time_ns: int
    values: tuple[float, ...]
    quality: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """Samples of one machine, every signal at each time.

    Parameters
    ----------
    time_ns : ndarray of int64, shape (n_times,)
        When they were measured. [ns since 1970-01-01 UTC]
    values : ndarray of float64, shape (n_times, n_signals)
        ``nan`` where the machine gave none.
    quality : ndarray of uint8, shape (n_times, n_signals)
        0 good, 1 uncertain, 2 bad.
    """

    time_ns: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    quality: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return int(self.time_ns.size)

    def moment(self, row: int) -> Moment:
        """Take one row.

        Parameters
        ----------
        row : int
            Its number, from 0.

        Returns
        -------
        Moment
            All signals at that time.
        """
        values = tuple(self.values[row].tolist())
        quality = tuple(self.quality[row].tolist())
        return Moment(int(self.time_ns[row]), values, quality)
