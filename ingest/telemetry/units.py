"""Units live in signal names: ``bearing_vibration_mm_s`` is in mm/s.

One place to say the unit means that it can't be said twice and differently, and that it
survives every wire format without a field of its own (``docs/decisions/units-in-signal-names.md``).
"""

from typing import Final

UNIT_BY_SUFFIX: Final[dict[str, str]] = {
    "mm_s": "mm/s",
    "m_s2": "m/s²",
    "g": "g",
    "c": "°C",
    "k": "K",
    "rankine": "°R",
    "bar": "bar",
    "mbar": "mbar",
    "kpa": "kPa",
    "mpa": "MPa",
    "psia": "psi",
    "kw": "kW",
    "kwh": "kWh",
    "w": "W",
    "a": "A",
    "v": "V",
    "ohm": "Ω",
    "mohm": "MΩ",
    "hz": "Hz",
    "rpm": "1/min",
    "nm": "N·m",
    "kn": "kN",
    "m3_h": "m³/h",
    "l_min": "l/min",
    "kg_s": "kg/s",
    "kg_h": "kg/h",
    "kscmh": "1000 Nm³/h",
    "lbm_s": "lbm/s",
    "pps_psi": "pps/psi",
    "kft": "1000 ft",
    "um": "µm",
    "mm": "mm",
    "pct": "%",
    "s": "s",
    "h": "h",
    "ratio": "1",
    "count": "1",
    "mach": "Ma",
    "deg": "°",
}
"""Ending of a signal's name and the unit it stands for."""


def unit_of(signal: str) -> str | None:
    """Read the unit of a signal from the end of its name.

    Parameters
    ----------
    signal : str
        Signal name such as ``bearing_vibration_mm_s``.

    Returns
    -------
    str or None
        The unit, ``"1"`` for bare numbers, None if the name ends in no known unit.

    Examples
    --------
    >>> unit_of("bearing_vibration_mm_s"), unit_of("flow_m3_h"), unit_of("speed")
    ('mm/s', 'm³/h', None)
    """
    words = signal.split("_")
    for start in range(1, len(words)):
        unit = UNIT_BY_SUFFIX.get("_".join(words[start:]))
        if unit is not None:
            return unit
    return None
