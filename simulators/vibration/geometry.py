"""Rolling bearings and the frequencies at which their faults strike."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from simulators.errors import ScenarioError


@dataclass(frozen=True, slots=True)
class BearingGeometry:
    """A rolling bearing with a turning inner and a resting outer ring.

    Its fault frequencies follow from rolling without slip. [1]_

    Parameters
    ----------
    n_balls : int
        Rolling elements.
    ball_mm : float
        Their diameter. [mm]
    pitch_mm : float
        Diameter of the circle their centres run on. [mm]
    contact_deg : float
        Contact angle. [°]

    References
    ----------
    .. [1] R. B. Randall and J. Antoni, "Rolling element bearing diagnostics: a tutorial",
       Mechanical Systems and Signal Processing, vol. 25, no. 2, pp. 485-520, 2011.
    """

    n_balls: int
    ball_mm: float
    pitch_mm: float
    contact_deg: float = 0.0

    def __post_init__(self) -> None:
        if not (self.n_balls > 0 and 0 < self.ball_mm < self.pitch_mm):
            msg = f"{self}: no such bearing; balls must be smaller than the circle they run on"
            raise ScenarioError(msg)

    @property
    def _ratio(self) -> float:
        return self.ball_mm / self.pitch_mm * float(np.cos(np.deg2rad(self.contact_deg)))

    @property
    def outer_order(self) -> float:
        """Balls passing a point of the outer race for each turn of the shaft (BPFO)."""
        return self.n_balls / 2 * (1 - self._ratio)

    @property
    def inner_order(self) -> float:
        """Balls passing a point of the inner race for each turn of the shaft (BPFI)."""
        return self.n_balls / 2 * (1 + self._ratio)

    @property
    def spin_order(self) -> float:
        """Turns of a ball about itself for each turn of the shaft (BSF)."""
        return self.pitch_mm / (2 * self.ball_mm) * (1 - self._ratio**2)

    @property
    def cage_order(self) -> float:
        """Turns of the cage for each turn of the shaft (FTF)."""
        return (1 - self._ratio) / 2


BEARINGS: Final = {
    # Dimensions as published by the Case Western Reserve University Bearing Data Center.
    "6205": BearingGeometry(n_balls=9, ball_mm=7.94, pitch_mm=39.04),
    # Test bearing of the PRONOSTIA rig, P. Nectoux et al., IEEE PHM 2012.
    "pronostia": BearingGeometry(n_balls=13, ball_mm=3.5, pitch_mm=25.6),
}
"""Real bearings by name."""
