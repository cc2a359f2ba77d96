"""The one address that simulated servers listen on."""

import random
import socket
from typing import Final

LOOPBACK: Final = "127.0.0.1"

_PORTS: Final = range(20_000, 32_000)
"""Below those that systems give to outgoing connections, which could take one meanwhile."""


def free_port() -> int:
    """Find a port of loopback that nobody listens on.

    Returns
    -------
    int
        Free a moment ago; found at random, so that two who look at once find two.
    """
    while True:
        port = random.choice(_PORTS)  # noqa: S311 - keeps no secret
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
