"""The one address that simulated servers listen on."""

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from simulators.errors import StartError

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


async def listen(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    port: int,
    option: str,
    *,
    most_line_bytes: int = 65_536,
) -> asyncio.Server:
    """Begin to listen.

    Parameters
    ----------
    serve : callable
        Serves one connection.
    port : int
        Port, 0 for any free one.
    option : str
        Option of the command line that chose it.
    most_line_bytes : int
        Longest line that is read at once. [byte]

    Returns
    -------
    asyncio.Server
        Listening.

    Raises
    ------
    StartError
        If the port is in use.
    """
    try:
        return await asyncio.start_server(serve, LOOPBACK, port, limit=most_line_bytes)
    except OSError as error:
        msg = (
            f"{option}: {LOOPBACK}:{port} can't be listened on ({error.strerror}); choose another "
            "port, or leave the option out for a free one"
        )
        raise StartError(msg) from error


def port_of(server: asyncio.Server | None) -> int:
    """Say where a server listens.

    Parameters
    ----------
    server : asyncio.Server or None
        The server.

    Returns
    -------
    int
        Its port, 0 for none.
    """
    return 0 if server is None else int(server.sockets[0].getsockname()[1])
