"""Sources of chance: one for each thing that is drawn, so that no draw disturbs another."""

import zlib
from typing import Final, Literal, TypeAlias

import numpy as np

from simulators.errors import ScenarioError

Purpose: TypeAlias = Literal["climate", "machine", "noise", "vibration", "fault", "delivery"]
_PURPOSES: Final[dict[Purpose, int]] = {
    "climate": 1,
    "machine": 2,
    "noise": 3,
    "vibration": 4,
    "fault": 5,
    "delivery": 6,
}


def chance(seed: int, name: str, purpose: Purpose, *more: int) -> np.random.Generator:
    """Source of chance of one thing in the plant, independent of all others.

    Parameters
    ----------
    seed : int
        Seed of the plant, zero or above.
    name : str
        Machine or site.
    purpose : {"climate", "machine", "noise", "vibration", "fault", "delivery"}
        What is to be drawn.
    *more : int
        Further numbers, such as a block of time.

    Returns
    -------
    numpy.random.Generator
        The same for the same arguments, whatever else was drawn before, and in which process.
    """
    return np.random.default_rng([seed, zlib.crc32(name.encode()), _PURPOSES[purpose], *more])


def check_seed(seed: int) -> None:
    """Refuse a seed that no generator takes.

    Parameters
    ----------
    seed : int
        What the caller asked for.

    Raises
    ------
    ScenarioError
        If it is below zero.
    """
    if seed < 0:
        msg = f"--seed: {seed} is below zero; give a whole number from 0 up, for example 7"
        raise ScenarioError(msg)
