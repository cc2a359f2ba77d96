"""Names that are safe everywhere: in a topic, a tag, a query, a file name and a page."""

import re
from typing import Final

NAME_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
"""What a site, machine or signal may be called: letters, digits, ``_ . -``, at most 64."""

_LEGAL = re.compile(NAME_PATTERN)


def is_legal_name(name: str) -> bool:
    """Whether a site, machine or signal may be called this.

    Parameters
    ----------
    name : str
        The name as it came.

    Returns
    -------
    bool
        True if it matches `NAME_PATTERN` from end to end.

    Examples
    --------
    >>> is_legal_name("press-04"), is_legal_name("a,tenant=b"), is_legal_name("")
    (True, False, False)
    """
    return _LEGAL.fullmatch(name) is not None
