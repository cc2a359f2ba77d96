"""Settings of the processes that read OPC UA servers."""

from typing import Annotated

from pydantic import Field

from edge_agent.settings_errors import Remedy
from edge_agent.settings_fields import Group


class ReaderSettings(Group):
    """What the process that reads one OPC UA server may need."""

    max_memory_bytes: Annotated[
        int,
        Field(ge=100_000_000, le=100_000_000_000, strict=True),
        Remedy("write how much memory a reader process may have in bytes, for example 300000000"),
    ] = 300_000_000
    """Memory of one process; one that needs more ends and is started anew."""
    silent_s: Annotated[
        float,
        Field(ge=2, le=3600, strict=True),
        Remedy("write a time in seconds, for example 15"),
    ] = 15.0
    """A process that says nothing for so long hangs: it is killed and started anew."""
