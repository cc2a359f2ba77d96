"""Units of simulated signals, read from the end of their names, and their codes in OPC UA.

OPC UA names a unit by the number that its UNECE common code spells in ASCII (OPC 10000-8,
5.6.4.3), so that no two vendors write it differently.
"""

from dataclasses import dataclass
from typing import Final

from simulators.errors import ScenarioError


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of measurement.

    Parameters
    ----------
    text : str
        How people write it.
    unece_code : str
        Common code of UNECE Recommendation 20; empty where there is none.
    """

    text: str
    unece_code: str

    @property
    def unece_number(self) -> int:
        """The code as OPC UA counts it, -1 where there is none."""
        return int.from_bytes(self.unece_code.encode("ascii"), "big") if self.unece_code else -1


_UNITS: Final[dict[str, Unit]] = {
    "mm_s": Unit("mm/s", "C16"),
    "m_s2": Unit("m/s²", "MSK"),
    "g": Unit("g", "K40"),
    "hz": Unit("Hz", "HTZ"),
    "s": Unit("s", "SEC"),
    "c": Unit("°C", "CEL"),
    "rankine": Unit("°R", "A48"),
    "bar": Unit("bar", "BAR"),
    "mbar": Unit("mbar", "MBR"),
    "kpa": Unit("kPa", "KPA"),
    "mpa": Unit("MPa", "MPA"),
    "psia": Unit("psi", "PS"),
    "kw": Unit("kW", "KWT"),
    "a": Unit("A", "AMP"),
    "v": Unit("V", "VLT"),
    "mohm": Unit("MΩ", "B75"),
    "rpm": Unit("1/min", "RPM"),
    "nm": Unit("N·m", "NU"),
    "kn": Unit("kN", "B47"),
    "l_min": Unit("l/min", "L2"),
    "kg_s": Unit("kg/s", "KGS"),
    "kg_h": Unit("kg/h", "E93"),
    "kscmh": Unit("1000 Nm³/h", ""),
    "m3_h": Unit("m³/h", "MQH"),
    "lbm_s": Unit("lbm/s", ""),
    "pps_psi": Unit("pps/psi", ""),
    "kft": Unit("1000 ft", ""),
    "pct": Unit("%", "P1"),
    "ratio": Unit("1", "C62"),
    "count": Unit("1", "C62"),
    "mach": Unit("Ma", ""),
}


def unit_of(signal: str) -> Unit:
    """Read the unit of a simulated signal.

    Parameters
    ----------
    signal : str
        Its name, ending in the unit.

    Returns
    -------
    Unit
        The unit.

    Raises
    ------
    ScenarioError
        If the name ends in no known unit.

    Examples
    --------
    >>> unit_of("vibration_mm_s").text, unit_of("speed_rpm").text
    ('mm/s', '1/min')
    """
    words = signal.split("_")
    for start in range(1, len(words)):
        unit = _UNITS.get("_".join(words[start:]))
        if unit is not None:
            return unit
    msg = f"signal {signal!r} ends in no known unit; end it in one of {', '.join(_UNITS)}"
    raise ScenarioError(msg)
