"""What stores say about a write they refuse, in each of their forms, and what of it can be used.

========================  ========================================================================
InfluxDB 1                ``{"error": "partial write: unable to parse '<line>': <why> dropped=0"}``,
                          or ``… field type conflict: … dropped=<n>`` without saying which lines
InfluxDB 2                the same words as ``message``; after a line it can't parse it takes none
InfluxDB 3                ``{"error": …, "data": [{"line_number", "original_line", …}]}``
ingest                    InfluxDB 2's form with ``set_aside``, a list of every line it did not
                          take; it has those in its quarantine, and every other line in its store
========================  ========================================================================

Only ingest's list is a promise about the lines it does not name. All else is used as a hint, which
`edge_agent.bisection` checks, and only where it fits the lines that were sent.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from edge_agent.messages import Refused

MAX_REASON_CHARACTERS: Final = 500

_DROPPED: Final = re.compile(r"dropped=(\d+)\s*$")
_UNPARSED: Final = "unable to parse '"
_SHORTEST_ORIGINAL: Final = 8
"""InfluxDB 3 may cut what it repeats of a line; less than this shows nothing."""


def read_document(said: bytes) -> dict[str, Any] | None:
    """Read an answer as the JSON object that every store gives.

    Parameters
    ----------
    said : bytes
        Body of the answer.

    Returns
    -------
    dict or None
        None if it is something else.
    """
    try:
        document = json.loads(said.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def message_of(document: Mapping[str, Any]) -> str:
    """Find the store's own words.

    Parameters
    ----------
    document : mapping
        Its answer.

    Returns
    -------
    str
        In one line, not too long; empty if it says nothing.
    """
    words = document.get("message") or document.get("error") or document.get("detail") or ""
    return _one_line(str(words))


def read_refusal(status: int, document: Mapping[str, Any], body: bytes) -> Refused:
    """Read why a store will not take a body, and which lines it minds.

    Parameters
    ----------
    status : int
        HTTP status, 400 or 422.
    document : mapping
        Its answer.
    body : bytes
        The lines that were sent.

    Returns
    -------
    Refused
        With the lines that it names, where that can be made out.
    """
    reason = f"{status} {message_of(document)}".strip()
    lines = body.removesuffix(b"\n").split(b"\n")
    set_aside = _numbered(document.get("set_aside"), len(lines), "line", "reason")
    dropped = _DROPPED.search(str(document.get("message") or document.get("error") or ""))
    n_dropped = int(dropped[1]) if dropped else None
    if set_aside and document.get("is_rest_stored") is True and len(set_aside) == n_dropped:
        return Refused(reason, tuple(sorted(set_aside.items())), is_rest_stored=True)
    named = _of_influxdb3(document.get("data"), lines) or _unparsed(document, lines)
    return Refused(reason, tuple(sorted(named.items())), is_all=n_dropped == len(lines))


def _numbered(found: object, n_lines: int, number_key: str, reason_key: str) -> dict[int, str]:
    """Read a list of lines by number, from 1; anything strange in it makes it worthless."""
    if not isinstance(found, list):
        return {}
    named: dict[int, str] = {}
    for each in found:
        number = each.get(number_key) if isinstance(each, dict) else None
        if not isinstance(number, int) or not 1 <= number <= n_lines:
            return {}
        named[number - 1] = _one_line(str(each.get(reason_key) or "refused"))
    return named


def _of_influxdb3(data: object, lines: Sequence[bytes]) -> dict[int, str]:
    found = [data] if isinstance(data, dict) else data
    named = _numbered(found, len(lines), "line_number", "error_message")
    if not isinstance(found, list) or len(named) != len(found):
        return {}
    for each in found:
        original = str(each.get("original_line") or "").encode()
        sent = lines[each["line_number"] - 1]
        if len(original) < _SHORTEST_ORIGINAL or not sent.startswith(original.rstrip(b".")):
            return {}
    return named


def _unparsed(document: Mapping[str, Any], lines: Sequence[bytes]) -> dict[int, str]:
    """Find lines that InfluxDB 1 or 2 repeats, one to each line of its message."""
    words = str(document.get("message") or document.get("error") or "")
    if _UNPARSED not in words:
        return {}
    places: dict[bytes, list[int]] = {}
    for place, line in enumerate(lines):
        places.setdefault(line, []).append(place)
    named: dict[int, str] = {}
    for sentence in words.split("\n"):
        _, quote, rest = sentence.partition(_UNPARSED)
        # The line itself may hold the very characters that end it here.
        ends = [found.start() for found in re.finditer("': ", rest)] if quote else []
        for end in ends:
            for place in places.get(rest[:end].encode(), ()):
                named[place] = _one_line(_DROPPED.sub("", rest[end + 3 :]))
    return named


def _one_line(text: str) -> str:
    return " ".join(text.split())[:MAX_REASON_CHARACTERS]
