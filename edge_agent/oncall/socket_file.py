"""The socket file that a running agent answers at, and how it is asked."""

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge_agent.errors import EdgeError
from edge_agent.oncall.status import Document

MAX_PATH_BYTES: Final = 100
"""Linux takes 107; a file that lies deeper is reached through its folder's descriptor."""

ASK_TIMEOUT_S: Final = 5.0
MAX_ANSWER_BYTES: Final = 10_000_000


class NotRunningError(EdgeError):
    """Nobody answers at the socket file."""


@contextlib.contextmanager
def reachable(path: Path) -> Iterator[str]:
    """Give a short address of a socket file, however deep it lies.

    Parameters
    ----------
    path : Path
        The file.

    Yields
    ------
    str
        To bind or connect to.
    """
    if len(os.fsencode(path)) <= MAX_PATH_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def ask(path: Path) -> Document:
    """Ask a running agent how it is.

    Parameters
    ----------
    path : Path
        Its socket file.

    Returns
    -------
    dict
        As of `edge_agent.oncall.status.status_document`.

    Raises
    ------
    NotRunningError
        If nobody answers.
    EdgeError
        If the agent can't be asked, or hangs.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link, reachable(path) as address:
            link.settimeout(ASK_TIMEOUT_S)
            link.connect(address)
            link.sendall(b"GET /status HTTP/1.1\r\nConnection: close\r\n\r\n")
            answer = _all_of(link)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        msg = (
            f"the agent is not running: nobody answers at {path}; start it with `systemctl start "
            "staybolt-edge`, and see why it ended with `journalctl -u staybolt-edge`"
        )
        raise NotRunningError(msg) from error
    except PermissionError as error:
        msg = f"{path}: this user may not ask; run this as root or as the agent's own user"
        raise EdgeError(msg) from error
    except TimeoutError as error:
        msg = (
            f"the agent does not answer at {path} within {ASK_TIMEOUT_S:.0f} s: it hangs or the "
            "machine is overloaded; look at `top`, then `systemctl restart staybolt-edge`"
        )
        raise EdgeError(msg) from error
    except OSError as error:
        msg = f"{path}: can't be asked: {error.strerror or error}; try again"
        raise EdgeError(msg) from error
    try:
        document = json.loads(answer.partition(b"\r\n\r\n")[2])
    except ValueError as error:
        msg = f"{path}: the agent gave no answer that can be read; it is busy, try again"
        raise EdgeError(msg) from error
    return dict(document)


def _all_of(link: socket.socket) -> bytes:
    parts, n_bytes = [], 0
    while (part := link.recv(65_536)) and n_bytes < MAX_ANSWER_BYTES:
        parts.append(part)
        n_bytes += len(part)
    return b"".join(parts)
