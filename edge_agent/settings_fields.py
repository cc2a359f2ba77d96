"""What fields of the settings share: kinds of values, and rules for addresses and users."""

import ipaddress
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import SplitResult

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edge_agent.settings_errors import Remedy
from ingest.telemetry import is_legal_name

NAME_REMEDY: Final = "use letters, digits and _ . - , at most 64, beginning with a letter or digit"
"""How a site, machine or signal is written."""


def _legal_name(name: str) -> str:
    if not is_legal_name(name):
        msg = f"{name!r} is not a legal name"
        raise ValueError(msg)
    return name


def _node_identifier(text: str) -> str:
    kind, equals, rest = text.partition("=")
    if kind not in {"s", "i", "g", "b"} or not equals or not rest:
        msg = f"{text!r} is not a node identifier"
        raise ValueError(msg)
    return text


def milliseconds(example: int) -> Remedy:
    """Say how an interval is written.

    Parameters
    ----------
    example : int
        A sensible one. [ms]

    Returns
    -------
    Remedy
        For the annotation of a field.
    """
    return Remedy(f"write the interval in milliseconds, for example {example}")


Name = Annotated[str, AfterValidator(_legal_name), Remedy(NAME_REMEDY)]
Text = Annotated[str, Field(min_length=1), Remedy("write it in quotes, not empty")]
File = Annotated[Path, Remedy('write the path of a file in quotes, for example "token"')]
Folder = Annotated[Path, Remedy('write the path of a folder in quotes, for example "trusted"')]
NodeIdentifier = Annotated[
    str,
    AfterValidator(_node_identifier),
    Remedy(
        'write it without its namespace index, "s=" before a text or "i=" before a number, '
        'for example "s=press-04.vibration_mm_s"'
    ),
]


class Group(BaseModel):
    """A table of the settings file: can't be changed, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself.

    Parameters
    ----------
    host : str
        Host name or address.

    Returns
    -------
    bool
        True for ``localhost`` and loopback addresses.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("10.0.0.5")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def port_of(parts: SplitResult) -> int | None:
    """Port of an address.

    Parameters
    ----------
    parts : SplitResult
        The address, taken apart.

    Returns
    -------
    int or None
        None if there is none, or it is no port.
    """
    try:
        return parts.port
    except ValueError:
        return None


def user_with_password(user: str | None, password_file: Path | None) -> None:
    """See that user and password come together.

    Parameters
    ----------
    user : str or None
        User name.
    password_file : Path or None
        File with the password.

    Raises
    ------
    ValueError
        If one is given without the other.
    """
    if (user is None) != (password_file is None):
        given, missing = ("password_file", "user") if user is None else ("user", "password_file")
        msg = f"{missing}: missing beside {given}; give both, or neither for anonymous"
        raise ValueError(msg)
