"""What `check` finds: one line for each thing that was looked at."""

from collections.abc import Callable
from typing import NamedTuple

from edge_agent.errors import EdgeError


class Finding(NamedTuple):
    """One thing that was looked at."""

    is_good: bool
    text: str


def look(place: str, find: Callable[[], str]) -> Finding:
    """Look at one thing.

    Parameters
    ----------
    place : str
        Where in the settings, or what.
    find : callable
        Says what is there, or raises what is wrong with it.

    Returns
    -------
    Finding
        Good, unless an `EdgeError` was raised.
    """
    try:
        return Finding(is_good=True, text=f"{place}: {find()}")
    except EdgeError as error:
        return Finding(is_good=False, text=f"{place}: {error}")
