"""Where a value stands in a JSON document, as it is written in the settings.

A small part of JSONPath, enough to point at one place: keys separated by dots, ``[0]`` for an
entry of a list, ``["a key"]`` for a key with dots or spaces. ``$.`` in front begins at the whole
message, also where the path is otherwise meant from one of several samples in it.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

MAX_STEPS: Final = 32
"""Deeper than any message of a machine; JSON itself is read up to Python's own depth."""

_STEP: Final = re.compile(
    r"""\.?([A-Za-z_][\w-]*)|\[(\d{1,6})\]|\["([^"\]]+)"\]|\['([^'\]]+)'\]""", re.ASCII
)


class Absent(Exception):  # noqa: N818 - says that nothing is there, which is no error by itself
    """The document has nothing at this place."""


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A place in a document.

    Parameters
    ----------
    steps : tuple of str or int
        Keys of objects and positions in lists, from the outside in.
    is_from_root : bool
        Whether it is meant from the whole message.
    """

    steps: tuple[str | int, ...]
    is_from_root: bool

    def find(self, root: object, sample: object) -> object:
        """Go to the place.

        Parameters
        ----------
        root : object
            The whole message.
        sample : object
            The part of it that one sample is in; the same if there is only one.

        Returns
        -------
        object
            What stands there.

        Raises
        ------
        Absent
            If there is no such place.
        """
        found: Any = root if self.is_from_root else sample
        try:
            for step in self.steps:
                if type(step) is int and type(found) is not list:
                    raise Absent
                found = found[step]
        except (KeyError, IndexError, TypeError) as error:
            raise Absent from error
        return found


def parse_path(text: str) -> JsonPath:
    """Read a path.

    Parameters
    ----------
    text : str
        As in the settings.

    Returns
    -------
    JsonPath
        The place.

    Raises
    ------
    ValueError
        If it is no path, with the column that goes wrong.

    Examples
    --------
    >>> parse_path('data.axes[0]["motor current"]').steps
    ('data', 'axes', 0, 'motor current')
    >>> parse_path("$.header.ts").is_from_root, parse_path("$").steps
    (True, ())
    """
    is_from_root = text.startswith("$")
    rest = text.removeprefix("$")
    steps: list[str | int] = []
    position = 0
    while position < len(rest):
        found = _STEP.match(rest, position)
        # A key needs its dot unless it is the first of a path without $.
        if found is None or (found[1] and rest[position] != "." and (position > 0 or is_from_root)):
            break
        key = found[1] or found[3] or found[4]
        steps.append(key if key is not None else int(found[2]))
        position = found.end()
    is_dot_first = rest.startswith(".") and not is_from_root
    if position < len(rest) or is_dot_first or not text or len(steps) > MAX_STEPS:
        at = len(text) - len(rest) + (0 if is_dot_first else position) + 1
        msg = f"{text!r} is no JSON path (column {at})"
        raise ValueError(msg)
    return JsonPath(tuple(steps), is_from_root)
