"""The one address that simulated servers listen on."""

import socket
from typing import Final

LOOPBACK: Final = "127.0.0.1"


def free_port() -> int:
    """Find a port of loopback that nobody listens on.

    Returns
    -------
    int
        Free a moment ago.
    """
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
