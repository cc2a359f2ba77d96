"""Customers and technicians beyond the named cast: as many branches as it takes.

A branch is the cast once more, elsewhere: twenty-four customers of the same trades and sizes, with
names of their own, served by twelve technicians of their own. Its regions are apart from those of
other branches, so the wait for a technician does not depend on how large the world is. Branches
take turns in the kinds of machine they run.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from simulators.world.cast import (
    COMPANIES,
    KIND_BY_LETTER,
    PEOPLE,
    Company,
    Person,
    Region,
    Town,
)

_KINDS_BY_LETTER: Final = (
    KIND_BY_LETTER,
    {"c": "gearbox", "p": "reciprocating-compressor", "s": "hydraulic-press"},
    {"c": "electric-motor", "p": "centrifugal-pump", "s": "machining-spindle"},
)
"""What the letters of the cast stand for, branch after branch."""

_FIRST_WORDS: Final = (
    "Ahlen", "Brenta", "Corvin", "Dalmar", "Elbgau", "Fjordal", "Gavran", "Hanse", "Iseran",
    "Juvela", "Kestral", "Lindau", "Morava", "Nortek", "Orvieto", "Palmar", "Quellin", "Rovigo",
    "Skagen", "Tarvis", "Ulmen", "Varese", "Westra", "Xantor", "Ystad", "Zelena",
)  # fmt: skip
_DRIFT_DEG: Final = 0.6
"""Sites of later branches lie about so far from the town of their model. [°]"""


def branch_of(number: int) -> int:
    """Say which branch a customer belongs to.

    Parameters
    ----------
    number : int
        Number of the customer, from 0.

    Returns
    -------
    int
        0 for the named cast.
    """
    return number // len(COMPANIES)


def kind_of(number: int, letter: str) -> str:
    """Say what kind of machine a letter stands for.

    Parameters
    ----------
    number : int
        Number of the customer, from 0.
    letter : str
        ``c``, ``p`` or ``s``, as in the cast.

    Returns
    -------
    str
        Key of the kind.
    """
    return _KINDS_BY_LETTER[branch_of(number) % len(_KINDS_BY_LETTER)][letter]


def company_of(number: int, regions: dict[str, Region]) -> Company:
    """Name a customer.

    Parameters
    ----------
    number : int
        Its number, from 0.
    regions : dict of str to Region
        Regions met so far; those that are missing are added.

    Returns
    -------
    Company
        One of the cast, or its like in a later branch.
    """
    branch, place = divmod(number, len(COMPANIES))
    model = COMPANIES[place]
    if branch == 0:
        return model
    word = _FIRST_WORDS[(7 * number + branch) % len(_FIRST_WORDS)]
    return replace(
        model,
        name=f"{word} {model.segment.capitalize()} {number + 1}",
        region=_region(model.region, branch, regions),
        town=_near(model.town, number),
    )


def people_of(branch: int, regions: dict[str, Region]) -> list[Person]:
    """Name the technicians of a branch.

    Parameters
    ----------
    branch : int
        Its number, from 0.
    regions : dict of str to Region
        Regions met so far; those that are missing are added.

    Returns
    -------
    list of Person
        As many as in the cast.
    """
    if branch == 0:
        return list(PEOPLE)
    letter_of = {kind: letter for letter, kind in KIND_BY_LETTER.items()}
    first = branch * len(COMPANIES)
    return [
        replace(
            model,
            name=f"{model.name.split()[0]} {_FIRST_WORDS[(5 * branch + place) % 26]}",
            region=_region(model.region, branch, regions),
            skills=tuple(kind_of(first, letter_of[skill]) for skill in model.skills),
        )
        for place, model in enumerate(PEOPLE)
    ]


def _region(model: Region, branch: int, regions: dict[str, Region]) -> Region:
    name = f"{model.name}-{branch + 1}"
    return regions.setdefault(name, Region(name, model.utc_offset_h))


def _near(town: Town, number: int) -> Town:
    """Pick a place not far from a town; the golden ratio spreads sites evenly around it."""
    angle = 2 * np.pi * (number * (np.sqrt(5.0) - 1.0) / 2.0 % 1.0)
    return Town(
        f"near {town.name}",
        round(town.latitude_deg + _DRIFT_DEG * float(np.sin(angle)), 4),
        round(town.longitude_deg + _DRIFT_DEG * float(np.cos(angle)), 4),
    )
