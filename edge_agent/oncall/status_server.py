"""Answers those who ask how the agent is: over a socket file, and over HTTP on loopback.

A few lines of HTTP/1.1 on the event loop, in place of a web framework that a field device would
have to carry. Whoever asks can't hurt the agent: a request has few bytes and few seconds, only so
many are open at a time and taken in a second, each page is made at most a few times a second
however many ask, and nothing that is sent changes anything.
"""

import asyncio
import contextlib
import ipaddress
import json
import logging
import os
import socket
import urllib.parse
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from edge_agent.oncall import metrics
from edge_agent.oncall.facts import Facts
from edge_agent.oncall.health import reasons
from edge_agent.oncall.socket_file import reachable
from edge_agent.oncall.status import status_document
from edge_agent.settings_fields import is_loopback
from edge_agent.watches import loop_time_s

logger = logging.getLogger(__name__)

DEADLINE_S: Final = 5.0
"""From the first byte of a request to the last of its answer."""

MAX_HEAD_BYTES: Final = 8192
MAX_OPEN: Final = 16
"""Requests at a time on each socket; more are closed without a word."""

MAX_PER_S: Final = 50
"""Requests taken in a second on each socket; Prometheus asks every few seconds."""

PAGE_LASTS_S: Final = 0.25
"""A page that was made this short ago is given again."""


class _Page(NamedTuple):
    status: str
    kind: str
    body: bytes


def page_for(path: str, facts: Facts) -> _Page:
    """Write one page.

    Parameters
    ----------
    path : str
        ``/healthz``, ``/metrics`` or ``/status``.
    facts : Facts
        How the agent is.

    Returns
    -------
    _Page
        Status, media type and body.
    """
    text = "text/plain; charset=utf-8"
    match path:
        case "/healthz":
            found = reasons(facts)
            body = "".join(f"{code}: {words}\n" for code, words in found) or "ok\n"
            return _Page("503 Service Unavailable" if found else "200 OK", text, body.encode())
        case "/metrics":
            return _Page("200 OK", metrics.CONTENT_TYPE, metrics.expose(facts).encode())
        case _:
            document = json.dumps(status_document(facts), ensure_ascii=False, indent=1)
            return _Page("200 OK", "application/json", f"{document}\n".encode())


PATHS: Final = frozenset({"/healthz", "/metrics", "/status"})


@dataclass(slots=True)
class _Gate:
    """Lets so many requests in at a time, and so many in a second."""

    n_open: int = 0
    second: int = 0
    n_in_second: int = 0

    def enter(self) -> bool:
        second = int(loop_time_s())
        if second != self.second:
            self.second, self.n_in_second = second, 0
        if self.n_open >= MAX_OPEN or self.n_in_second >= MAX_PER_S:
            return False
        self.n_open += 1
        self.n_in_second += 1
        return True

    def leave(self) -> None:
        self.n_open -= 1


class StatusServer:
    """Answers how the agent is.

    Parameters
    ----------
    look : callable
        Sees how the agent is.
    """

    def __init__(self, look: Callable[[], Awaitable[Facts]]) -> None:
        self._look = look
        self._servers: list[asyncio.Server] = []
        self._handling: set[asyncio.Task[None]] = set()
        self._pages: dict[str, tuple[float, _Page]] = {}
        self._making = asyncio.Lock()
        self._path: Path | None = None

    async def listen_at(self, path: Path) -> None:
        """Answer at a socket file, for this user alone.

        Parameters
        ----------
        path : Path
            Where; what lies there from an earlier run is replaced.

        Raises
        ------
        OSError
            If that is not possible.
        """
        await self._listen(_bound_to(path), host=None)
        self._path = path

    async def listen_on(self, host: str, port: int) -> int:
        """Answer over HTTP.

        Parameters
        ----------
        host : str
            Address to listen on.
        port : int
            Port; 0 takes a free one.

        Returns
        -------
        int
            The port.

        Raises
        ------
        OSError
            If that is not possible.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, reuse_port=False)
        await self._listen(listener, host if is_loopback(host) else None)
        return int(listener.getsockname()[1])

    async def close(self) -> None:
        """Answer no more."""
        for server in self._servers:
            server.close()
        for task in self._handling:
            task.cancel()
        if self._handling:
            await asyncio.wait(self._handling, timeout=DEADLINE_S)
        if self._path is not None:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(self._path.unlink)

    async def _listen(self, listener: socket.socket, host: str | None) -> None:
        gate = _Gate()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is None or not gate.enter():
                writer.transport.abort()
                return
            self._handling.add(task)
            try:
                async with asyncio.timeout(DEADLINE_S):
                    await self._serve(reader, writer, host)
            except (TimeoutError, OSError, EOFError, asyncio.LimitOverrunError):
                # Whoever asks too slowly, too much, or goes away, gets nothing.
                pass
            finally:
                gate.leave()
                self._handling.discard(task)
                writer.transport.abort()

        self._servers.append(await asyncio.start_server(serve, sock=listener, limit=MAX_HEAD_BYTES))

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str | None
    ) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        page, is_body_wanted = await self._answer(head.decode("latin-1"), host)
        writer.transport.set_write_buffer_limits(0)
        writer.write(
            f"HTTP/1.1 {page.status}\r\nContent-Type: {page.kind}\r\n"
            f"Content-Length: {len(page.body)}\r\nConnection: close\r\nCache-Control: no-store\r\n"
            f"X-Content-Type-Options: nosniff\r\n\r\n".encode("latin-1")
            + (page.body if is_body_wanted else b"")
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def _answer(self, head: str, host: str | None) -> tuple[_Page, bool]:
        first, *fields = head.split("\r\n")
        method, path = (*first.split(" "), "", "")[:2]
        if method not in {"GET", "HEAD"}:
            return _words("405 Method Not Allowed", "only GET and HEAD are answered"), True
        if host is not None and not _is_for(fields, host):
            # A page in a browser on this machine may have led its own name to our address.
            return _words("421 Misdirected Request", "ask by address, not by name"), True
        path = path.partition("?")[0]
        if path not in PATHS:
            return _words("404 Not Found", f"there are {', '.join(sorted(PATHS))}"), True
        return await self._page(path), method == "GET"

    async def _page(self, path: str) -> _Page:
        async with self._making:
            made_at_s, page = self._pages.get(path, (0.0, None))
            if page is None or loop_time_s() - made_at_s > PAGE_LASTS_S:
                page = page_for(path, await self._look())
                self._pages[path] = loop_time_s(), page
            return page


def _bound_to(path: Path) -> socket.socket:
    """Make a socket file that this user alone may connect to."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Before the file exists, so that there is no moment at which others may connect.
        os.fchmod(listener.fileno(), 0o600)
        with reachable(path) as address:
            listener.bind(address)
        path.chmod(0o600)
    except BaseException:
        listener.close()
        raise
    return listener


def _words(status: str, words: str) -> _Page:
    return _Page(status, "text/plain; charset=utf-8", f"{words}\n".encode())


def _is_for(fields: list[str], host: str) -> bool:
    """Whether the request names us by an address, as ``localhost``, or as the settings do."""
    pairs = (field.partition(":") for field in fields)
    names = [value.strip() for name, _, value in pairs if name.lower() == "host"]
    if len(names) != 1:
        return False
    with contextlib.suppress(ValueError):
        named = urllib.parse.urlsplit(f"//{names[0]}").hostname or ""
        if named in {"localhost", host}:
            return True
        ipaddress.ip_address(named)
        return True
    return False
