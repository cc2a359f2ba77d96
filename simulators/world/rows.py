"""One line of what the maker's office wrote down, and how it looks in a file."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

Cell = str | int | float | bool | date | datetime | None

CLOSING_AFTER_OPENING_H: Final = 0.1
"""The second version of a fact is written down at least this long after the first. [h]"""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table.

    Parameters
    ----------
    valid_h : float
        When it became true. [h]
    known_h : float
        When it was written down, not before. [h]
    cells : tuple
        Values of the columns before `valid_at`.
    """

    valid_h: float
    known_h: float
    cells: tuple[Cell, ...]


def is_told(row: Row, history_h: float) -> bool:
    """Whether the office knows of it when history ends.

    Parameters
    ----------
    row : Row
        A row of any table.
    history_h : float
        When history ends. [h]

    Returns
    -------
    bool
        False for what is still to come, or has not been written down.
    """
    return row.known_h <= history_h


def render(cell: Cell) -> str:
    """Write one value as the import reads it.

    Parameters
    ----------
    cell : str, int, float, bool, date, datetime or None
        The value.

    Returns
    -------
    str
        ISO dates, times with ``Z``, ``true`` or ``false``, and nothing for what is not known.

    Examples
    --------
    >>> [render(cell) for cell in (True, None, 2.5, date(2026, 1, 31))]
    ['true', '', '2.5', '2026-01-31']
    """
    return _RENDER[type(cell)](cell)


_RENDER: Final[dict[type, Callable[[Any], str]]] = {
    str: str,
    int: str,
    float: repr,
    bool: lambda cell: "true" if cell else "false",
    date: date.isoformat,
    # All of them are UTC and whole seconds; a zone would double the time this takes.
    datetime: lambda cell: f"{cell.replace(tzinfo=None).isoformat()}Z",
    type(None): lambda _: "",
}
