"""Settings of what the agent tells about itself."""

import re
import socket
from typing import Annotated

from pydantic import Field

from edge_agent.settings_errors import Remedy
from edge_agent.settings_fields import Group, Text

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]")


class StatusSettings(Group):
    """What the agent tells about itself, and when it calls itself unhealthy."""

    host: Text = "127.0.0.1"
    """Address to answer ``/healthz``, ``/metrics`` and ``/status`` at."""
    port: Annotated[
        int,
        Field(ge=0, le=65535, strict=True),
        Remedy("write a port number, for example 9640, or 0 for none"),
    ] = 9640
    """Port of it; 0 for none."""
    heartbeat_s: Annotated[
        float,
        Field(ge=0, le=86_400, strict=True),
        Remedy("write the interval in seconds, for example 60, or 0 for none"),
    ] = 60.0
    """How often the agent's own counts are sent upstream; 0 for never."""
    source_silent_s: Annotated[
        float,
        Field(ge=0, le=604_800, strict=True),
        Remedy("write a time in seconds, for example 300, or 0 for never"),
    ] = 300.0
    """A source that delivers nothing for so long is a reason to be unhealthy; 0 for never."""
    uplink_down_s: Annotated[
        float,
        Field(gt=0, le=604_800, strict=True),
        Remedy("write a time in seconds, for example 300"),
    ] = 300.0
    """A store that takes nothing for so long is a reason to be unhealthy."""


def default_agent_name() -> str:
    """Name of an agent on this machine.

    Returns
    -------
    str
        The host name, made legal; ``edge`` if nothing of it can be used.
    """
    return legal_name_of(socket.gethostname())


def legal_name_of(host: str) -> str:
    """Make a host name a legal name of an agent.

    Parameters
    ----------
    host : str
        What the machine is called.

    Returns
    -------
    str
        At most 64 letters, digits and ``_ . -``, beginning with a letter or digit.

    Examples
    --------
    >>> legal_name_of("mill 7/edge"), legal_name_of("-")
    ('mill-7-edge', 'edge')
    """
    return _NOT_IN_A_NAME.sub("-", host).lstrip("_.-")[:64] or "edge"
