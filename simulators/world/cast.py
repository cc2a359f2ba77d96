"""Who plays in the simulated world: customers, their towns, and the technicians.

All companies and people are invented; the towns and their coordinates are real.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Town:
    """A town with a site.

    Parameters
    ----------
    name : str
        Its name.
    latitude_deg, longitude_deg : float
        Where it lies. [°]
    """

    name: str
    latitude_deg: float
    longitude_deg: float


@dataclass(frozen=True, slots=True)
class Region:
    """An area served by its own technicians.

    Parameters
    ----------
    name : str
        Its name.
    utc_offset_h : int
        Hours ahead of UTC, without summer time; it only sets the working day. [h]
    """

    name: str
    utc_offset_h: int


CENTRAL_EUROPE: Final = Region("central-europe", 1)
IBERIA: Final = Region("iberia", 1)
CHINA: Final = Region("china", 8)


@dataclass(frozen=True, slots=True)
class Company:
    """A customer of the maker.

    Parameters
    ----------
    name : str
        Company name.
    segment : str
        Its trade.
    region : Region
        Where it is served from.
    town : Town
        Where its site is.
    time_zone : str
        IANA name.
    machines : str
        One letter for each machine: ``c`` conveyor, ``p`` pump, ``s`` spindle.
    """

    name: str
    segment: str
    region: Region
    town: Town
    time_zone: str
    machines: str


def _central(name: str, segment: str, town: Town, zone: str, machines: str) -> Company:
    return Company(name, segment, CENTRAL_EUROPE, town, zone, machines)


def _iberian(name: str, segment: str, town: Town, zone: str, machines: str) -> Company:
    return Company(name, segment, IBERIA, town, zone, machines)


def _chinese(name: str, segment: str, town: Town, machines: str) -> Company:
    return Company(name, segment, CHINA, town, "Asia/Shanghai", machines)


_BERLIN, _WARSAW, _MADRID = "Europe/Berlin", "Europe/Warsaw", "Europe/Madrid"

# The first four own the connected machines of the simulated plant, three each.
COMPANIES: Final = (
    _central("Havelbrück Papier", "paper", Town("Magdeburg", 52.12, 11.63), _BERLIN, "cps"),
    _chinese("Suzhou Mingrui Precision", "machining", Town("Suzhou", 31.30, 120.58), "cps"),
    _iberian("Embalajes Ribalta", "packaging", Town("Zaragoza", 41.65, -0.88), _MADRID, "cps"),
    _central("Wiślana Foods", "food", Town("Kraków", 50.06, 19.94), _WARSAW, "cps"),
    _central("Nordhelm Getriebe", "automotive", Town("Bremen", 53.08, 8.80), _BERLIN, "ssc"),
    _central("Tuchwerk Albstein", "textiles", Town("Reutlingen", 48.49, 9.20), _BERLIN, "cc"),
    _central("Brauhaus Kaltenfurt", "food", Town("Bamberg", 49.89, 10.89), _BERLIN, "ppc"),
    _central(
        "Sächsische Feinguss Lohmar", "metals", Town("Chemnitz", 50.83, 12.92), _BERLIN, "sscp"
    ),
    _central("Rheinau Chemie", "chemicals", Town("Ludwigshafen", 49.48, 8.45), _BERLIN, "ppp"),
    _central("Baltex Opakowania", "packaging", Town("Gdańsk", 54.35, 18.65), _WARSAW, "cc"),
    _central("Odra Precyzja", "machining", Town("Wrocław", 51.11, 17.04), _WARSAW, "sss"),
    _central(
        "Moravská Pila Hostek", "timber", Town("Olomouc", 49.59, 17.25), "Europe/Prague", "cccp"
    ),
    _central("Donauglas Ybbsau", "glass", Town("Linz", 48.31, 14.29), "Europe/Vienna", "cp"),
    _iberian("Aceites Valdeoliva", "food", Town("Jaén", 37.77, -3.79), _MADRID, "ppc"),
    _iberian("Mecanizados Ibarluz", "machining", Town("Bilbao", 43.26, -2.93), _MADRID, "ssp"),
    _iberian("Cerámicas Monteluz", "ceramics", Town("Castellón", 39.99, -0.04), _MADRID, "cc"),
    _iberian("Moldes do Liz", "plastics", Town("Leiria", 39.74, -8.81), "Europe/Lisbon", "ss"),
    _chinese("Ningbo Haiyue Pumps", "castings", Town("Ningbo", 29.87, 121.54), "spp"),
    _chinese("Wuxi Taihu Textile", "textiles", Town("Wuxi", 31.49, 120.31), "ccc"),
    _chinese("Qingdao Lanshan Foods", "food", Town("Qingdao", 36.07, 120.38), "pc"),
    _chinese("Foshan Yulin Ceramics", "ceramics", Town("Foshan", 23.02, 113.12), "ccpp"),
    _chinese("Changzhou Hengda Gear", "automotive", Town("Changzhou", 31.81, 119.97), "sss"),
    _chinese("Xiamen Gulang Packaging", "packaging", Town("Xiamen", 24.48, 118.09), "cc"),
    _chinese("Chengdu Jinjiang Medical", "machining", Town("Chengdu", 30.57, 104.07), "ssp"),
)

KIND_BY_LETTER: Final = {"c": "bearing-conveyor", "p": "centrifugal-pump", "s": "machining-spindle"}

N_CAST: Final = len(COMPANIES)
"""Customers with a part of their own; `crowd` adds their likes."""

N_CONNECTED: Final = 4
"""Customers of the simulated plant; they stay, so that the demo has somebody to keep."""
JOINING_MONTHS: Final = {9: 8, 15: 10, 20: 13, 23: 17}
"""Customer number to the month of history in which its first contract starts."""
RENEWAL_DAYS_AHEAD: Final = {0: 75, 1: 140, 2: 215, 3: 285}
"""Connected customer to the days from the end of history to its renewal. [d]"""
SCRIPTED_PACE: Final = {2: 0.4}
"""Customer number to a pace of ageing set by hand: cust-003 treats its machines well."""


@dataclass(frozen=True, slots=True)
class ScriptedFailure:
    """A failure of a connected machine that happens whatever the dice say.

    Parameters
    ----------
    machine_key : str
        The machine.
    days_before_end : float
        When, counted back from the end of history. [d]
    is_fixed_first_time : bool
        Whether the first visit succeeds; the second always does.
    response_gain : float
        How many times longer than usual the technician takes.
    """

    machine_key: str
    days_before_end: float
    is_fixed_first_time: bool
    response_gain: float


# The plant's machines send telemetry for the last 60 days and break by their own wear there, so
# the history leaves those days alone: what has to matter at the end lies just before them, yet
# within the 90 days that count.
SCRIPTED_FAILURES: Final = (
    ScriptedFailure("conveyor-01", 84.0, False, 1.5),
    ScriptedFailure("spindle-01", 77.0, True, 1.5),
    ScriptedFailure("pump-01", 71.0, True, 1.5),
    ScriptedFailure("pump-02", 79.0, True, 1.0),
    ScriptedFailure("spindle-04", 75.0, True, 1.0),
)
CONNECTED_CHANCE_ENDS_DAYS: Final = 105.0
"""Days before the end after which connected machines fail by script only. [d]"""
CONNECTED_PLANNED_ENDS_DAYS: Final = 64.0
"""Days before the end after which connected machines have no planned visit. [d]"""


@dataclass(frozen=True, slots=True)
class Person:
    """A technician.

    Parameters
    ----------
    name : str
        Their name.
    region : Region
        Whom they serve.
    home : Town
        Where they set out from.
    skills : tuple of str
        Machine kinds they are trained for.
    """

    name: str
    region: Region
    home: Town
    skills: tuple[str, ...]


_C, _P, _S = KIND_BY_LETTER.values()
PEOPLE: Final = (
    Person("Jana Reinholt", CENTRAL_EUROPE, Town("Leipzig", 51.34, 12.37), (_C, _S)),
    Person("Tobias Kern", CENTRAL_EUROPE, Town("Hannover", 52.37, 9.73), (_C, _P)),
    Person("Marta Zielińska", CENTRAL_EUROPE, Town("Poznań", 52.41, 16.93), (_C, _P, _S)),
    Person("Pavel Dvorský", CENTRAL_EUROPE, Town("Brno", 49.20, 16.61), (_P, _S)),
    Person("Lukas Amann", CENTRAL_EUROPE, Town("Stuttgart", 48.78, 9.18), (_C, _S)),
    Person("Lucía Ferrán", IBERIA, Town("Madrid", 40.42, -3.70), (_C, _P, _S)),
    Person("Iker Olabarri", IBERIA, Town("Vitoria", 42.85, -2.67), (_C, _S)),
    Person("Rui Tavares", IBERIA, Town("Porto", 41.15, -8.61), (_P, _S)),
    Person("Chen Yuting", CHINA, Town("Shanghai", 31.23, 121.47), (_C, _P, _S)),
    Person("Wang Haoran", CHINA, Town("Hangzhou", 30.27, 120.16), (_C, _P)),
    Person("Liu Meilin", CHINA, Town("Guangzhou", 23.13, 113.26), (_C, _P)),
    Person("Zhao Kai", CHINA, Town("Wuhan", 30.59, 114.31), (_C, _S)),
)
