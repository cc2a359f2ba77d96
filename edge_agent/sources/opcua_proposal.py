"""Proposes settings for the variables that a walk of a server found.

Machine and signal are named after the server's own names, made legal; the unit that ends a
signal's name comes from the variable's EngineeringUnits, or from the name itself. What has neither
is written as a comment, for only a person knows what it measures.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Final

from asyncua import ua

from edge_agent.sources.opcua_browse import FoundVariable
from ingest.telemetry import UNIT_BY_SUFFIX, unit_of

UNNAMED: Final = "machine"
MAX_NAME: Final = 64

# UNECE Recommendation 20; OPC 10000-8, 5.6.4.3 writes a code as the number its letters spell.
SUFFIX_BY_CODE: Final = {
    "C16": "mm_s", "MSK": "m_s2", "K40": "g", "CEL": "c", "KEL": "k", "A48": "rankine",
    "BAR": "bar", "MBR": "mbar", "KPA": "kpa", "MPA": "mpa", "PS": "psia", "KWT": "kw",
    "KWH": "kwh", "WTT": "w", "AMP": "a", "VLT": "v", "OHM": "ohm", "B75": "mohm", "HTZ": "hz",
    "RPM": "rpm", "NU": "nm", "B47": "kn", "MQH": "m3_h", "L2": "l_min", "KGS": "kg_s",
    "E93": "kg_h", "4H": "um", "MMT": "mm", "P1": "pct", "SEC": "s", "HUR": "h", "C62": "ratio",
    "DD": "deg",
}  # fmt: skip
_SUFFIX_BY_NUMBER: Final = {
    int.from_bytes(code.encode("ascii"), "big"): suffix for code, suffix in SUFFIX_BY_CODE.items()
}
_SUFFIX_BY_TEXT: Final = {
    **{text: suffix for suffix, text in reversed(UNIT_BY_SUFFIX.items())},
    "degC": "c", "C": "c", "rpm": "rpm", "U/min": "rpm", "Nm": "nm", "Ohm": "ohm", "percent": "pct",
    "m3/h": "m3_h", "m/s2": "m_s2", "m/s^2": "m_s2", "um": "um", "L/min": "l_min", "psi": "psia",
}  # fmt: skip


def block(
    name: str, endpoint: str, trusted_servers_dir: str, found: Sequence[FoundVariable]
) -> str:
    """Write a ``[[opcua]]`` block that reads what was found.

    Parameters
    ----------
    name : str
        What the server is called.
    endpoint : str
        Its address.
    trusted_servers_dir : str
        Folder with its certificate.
    found : sequence of FoundVariable
        Its variables.

    Returns
    -------
    str
        TOML, to be put into a settings file.
    """
    lines = [
        "[[opcua]]",
        f"name = {_text(name)}",
        f"endpoint = {_text(endpoint)}",
        f"trusted_servers_dir = {_text(trusted_servers_dir)}",
    ]
    taken: set[tuple[str, str]] = set()
    for variable in found:
        lines += ["", *_node(variable, taken)]
    return "\n".join(lines) + "\n"


def names_of(variable: FoundVariable) -> tuple[str, str, str | None]:
    """Propose machine and signal.

    Parameters
    ----------
    variable : FoundVariable
        The variable.

    Returns
    -------
    machine : str
        After what it is in.
    signal : str
        After its own name, ending in its unit where that is known.
    unit : str or None
        The unit; None if nothing says it.
    """
    name = variable.path[-1]
    if len(variable.path) > 1:
        machine = _legal(variable.path[-2])
        # A name such as "press-04.vibration" says the machine once more.
        name = name.removeprefix(f"{variable.path[-2]}.")
    else:
        before, dot, after = name.rpartition(".")
        machine, name = (_legal(before), after) if dot and before else (UNNAMED, name)
    signal = _legal(name.replace(".", "_").replace(" ", "_")).lower()
    known = unit_of(signal)
    suffix = suffix_of(variable)
    if suffix is not None and known != UNIT_BY_SUFFIX[suffix]:
        signal = f"{signal[: MAX_NAME - len(suffix) - 1]}_{suffix}"
    return machine, signal, unit_of(signal)


def suffix_of(variable: FoundVariable) -> str | None:
    """Say how a signal's name ends, by what the server says of its unit.

    Parameters
    ----------
    variable : FoundVariable
        The variable.

    Returns
    -------
    str or None
        None if it says nothing, or a unit that is not known here.
    """
    return _SUFFIX_BY_NUMBER.get(variable.unit_code) or _SUFFIX_BY_TEXT.get(
        variable.unit_text.strip()
    )


def _node(variable: FoundVariable, taken: set[tuple[str, str]]) -> Iterator[str]:
    machine, signal, unit = names_of(variable)
    signal = _free(machine, signal, taken)
    yield _comment(f"{'/'.join(variable.path)}: {', '.join(_words(variable))}")
    why_not = variable.why_not or ("" if variable.namespace_uri else "its namespace has no name")
    if not why_not and unit is None:
        why_not = f"its unit is not known; end signal in it, for example {signal}_ratio"
    if why_not:
        yield _comment(f"Left out: {why_not}.")
    mark = "# " if why_not else ""
    yield f"{mark}[[opcua.nodes]]"
    yield f"{mark}namespace_uri = {_text(variable.namespace_uri)}"
    yield f"{mark}node_id = {_text(_identifier(variable.node_id))}"
    yield f"{mark}machine = {_text(machine)}"
    yield f"{mark}signal = {_text(signal)}"
    yield f"{mark}unit = {_text(unit or '1')}"
    if not why_not:
        taken.add((machine, signal))


def _words(variable: FoundVariable) -> Iterator[str]:
    yield variable.data_type
    if variable.unit_text:
        yield f"in {variable.unit_text}"
    if variable.low is not None and variable.high is not None:
        yield f"range {variable.low:g} to {variable.high:g}"
    if variable.has_history:
        yield "with history"


def _free(machine: str, signal: str, taken: set[tuple[str, str]]) -> str:
    if (machine, signal) not in taken:
        return signal
    number = 2
    while (machine, f"n{number}_{signal}"[:MAX_NAME]) in taken:
        number += 1
    return f"n{number}_{signal}"[:MAX_NAME]


def _legal(name: str) -> str:
    kept = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_.-")
    return kept[:MAX_NAME] or "x"


def _identifier(node_id: ua.NodeId) -> str:
    """Leave out the namespace, as in a settings file."""
    text = node_id.to_string()
    return text.partition(";")[2] if text.startswith("ns=") else text


def _comment(text: str) -> str:
    """Write a comment; what a server calls its nodes must not end it."""
    return "# " + re.sub(r"[\x00-\x1f\x7f]", "?", text)


def _text(text: str) -> str:
    """Write a TOML string: JSON's, but for the one character that TOML wants escaped as well."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
