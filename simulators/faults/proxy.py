"""A door to a server that can be shut, cut, clogged or made to garble, while both sides live on.

It listens on loopback, connects each client to the server behind it, and passes bytes. What it does
to them can be changed at any time, for connections that are open and for those to come.
"""

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

import numpy as np

from simulators.errors import ScenarioError
from simulators.loopback import LOOPBACK, listen, port_of

ProxyMode: TypeAlias = Literal["pass", "refuse", "reset", "half-open", "slow", "slice", "flip"]
PROXY_MODES: Final[tuple[ProxyMode, ...]] = get_args(ProxyMode)
WORDS: Final[dict[ProxyMode, str]] = {
    "pass": "bytes pass as they come",
    "refuse": "nobody listens: new connections are refused; open ones are cut",
    "reset": "open connections are reset (RST); new ones too, as soon as they are made",
    "half-open": "connections stay open and nothing passes any more, in either direction",
    "slow": "`bytes_per_s` pass in each direction, after `delay_s`",
    "slice": "bytes pass in pieces of `piece_bytes`",
    "flip": "one bit in `every_bytes` is flipped on the way to the client",
}
"""What each mode does, for people."""

_PIECE_BYTES: Final = 65_536
_STOP_TIMEOUT_S: Final = 2.0
_ABORT: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time at all: close sends RST."""


@dataclass(frozen=True, slots=True)
class ProxyState:
    """What a proxy does now.

    Parameters
    ----------
    mode : str
        One of `PROXY_MODES`.
    bytes_per_s : float
        Pace of a slow connection. [byte/s]
    delay_s : float
        How much later bytes come in slow mode. [s]
    piece_bytes : int
        Size of slices.
    every_bytes : int
        Mean distance between flipped bits. [byte]
    """

    mode: ProxyMode = "pass"
    bytes_per_s: float = 10_000.0
    delay_s: float = 0.0
    piece_bytes: int = 3
    every_bytes: int = 1000

    def __post_init__(self) -> None:
        if self.mode not in PROXY_MODES:
            msg = f"mode {self.mode!r} is not known; choose among {', '.join(PROXY_MODES)}"
            raise ScenarioError(msg)
        for name in ("bytes_per_s", "piece_bytes", "every_bytes"):
            if not getattr(self, name) > 0:
                msg = f"{name}: {getattr(self, name)} is not above 0"
                raise ScenarioError(msg)
        if self.delay_s < 0:
            msg = f"delay_s: {self.delay_s:g} is below 0"
            raise ScenarioError(msg)


@dataclass(slots=True)
class ProxyCounts:
    """What went through a proxy."""

    n_connections: int = 0
    n_refused: int = 0
    n_to_server_bytes: int = 0
    n_to_client_bytes: int = 0
    n_flipped_bits: int = 0


@dataclass(eq=False, slots=True)
class _Link:
    """One client and its connection to the server."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)


class Proxy:
    """A door to one server.

    Parameters
    ----------
    target_port : int
        Port of 127.0.0.1 that the server listens on.
    seed : int
        Decides which bits are flipped.
    """

    def __init__(self, target_port: int, *, seed: int = 0) -> None:
        self.target_port = target_port
        self.counts = ProxyCounts()
        self.port = 0
        self._state = ProxyState()
        self._changed = asyncio.Event()
        self._rng = np.random.default_rng(seed)
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._talks: set[asyncio.Task[None]] = set()

    @property
    def state(self) -> ProxyState:
        """What it does now."""
        return self._state

    async def start(self, port: int = 0) -> None:
        """Begin to listen.

        Parameters
        ----------
        port : int
            Port of 127.0.0.1, 0 for any free one.

        Raises
        ------
        StartError
            If the port is in use.
        """
        self._server = await listen(self._serve, port, "--listen")
        self.port = port_of(self._server)

    async def stop(self) -> None:
        """Cut everything and stop listening."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._cut(is_reset=False)
        if self._talks:
            await asyncio.wait(self._talks, timeout=_STOP_TIMEOUT_S)

    async def set(self, state: ProxyState) -> None:
        """Change what is done to bytes from now on.

        Parameters
        ----------
        state : ProxyState
            What to do.
        """
        self._state = state
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        if state.mode in {"refuse", "reset"}:
            self._cut(is_reset=state.mode == "reset")
        if state.mode == "refuse" and self._server is not None:
            self._server.close()
            self._server = None
        elif state.mode != "refuse" and self._server is None:
            await self.start(self.port)

    def _cut(self, *, is_reset: bool) -> None:
        for link in list(self._links):
            for writer in (link.client, link.server):
                if writer is not None:
                    _hang_up(writer, is_reset=is_reset)
            for task in link.tasks:
                task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        if talk is not None:
            self._talks.add(talk)
            talk.add_done_callback(self._talks.discard)
        if self._state.mode == "reset":
            self.counts.n_refused += 1
            _hang_up(writer, is_reset=True)
            return
        self.counts.n_connections += 1
        link = _Link(writer)
        self._links.add(link)
        try:
            server_reader, link.server = await asyncio.open_connection(LOOPBACK, self.target_port)
        except OSError:
            # Nobody behind the door: to the client that is a server that hangs up at once.
            self.counts.n_refused += 1
            self._links.discard(link)
            _hang_up(writer, is_reset=True)
            return
        link.tasks = [
            asyncio.create_task(self._pass(reader, link.server, is_to_server=True)),
            asyncio.create_task(self._pass(server_reader, writer, is_to_server=False)),
        ]
        try:
            await asyncio.wait(link.tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._links.discard(link)
            for task in link.tasks:
                task.cancel()
            await asyncio.gather(*link.tasks, return_exceptions=True)
            for each in (writer, link.server):
                with contextlib.suppress(ConnectionError):
                    each.close()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_to_server: bool
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(_PIECE_BYTES):
                while self._state.mode == "half-open":
                    await self._changed.wait()
                if is_to_server:
                    self.counts.n_to_server_bytes += len(piece)
                else:
                    self.counts.n_to_client_bytes += len(piece)
                await self._write(writer, piece, is_to_server=is_to_server)

    async def _write(
        self, writer: asyncio.StreamWriter, piece: bytes, *, is_to_server: bool
    ) -> None:
        state = self._state
        if state.mode == "slow":
            await asyncio.sleep(state.delay_s + len(piece) / state.bytes_per_s)
        elif state.mode == "flip" and not is_to_server:
            piece = self._flipped(piece, state.every_bytes)
        if state.mode != "slice":
            writer.write(piece)
            await writer.drain()
            return
        for start in range(0, len(piece), state.piece_bytes):
            writer.write(piece[start : start + state.piece_bytes])
            await writer.drain()
            # One piece a turn of the loop, or the kernel puts them together again.
            await asyncio.sleep(0)

    def _flipped(self, piece: bytes, every_bytes: int) -> bytes:
        n_flips = int(self._rng.binomial(len(piece), min(1.0, 1.0 / every_bytes)))
        garbled = bytearray(piece)
        for at in self._rng.choice(len(piece), size=n_flips, replace=False).tolist():
            garbled[at] ^= 1 << int(self._rng.integers(8))
        self.counts.n_flipped_bits += n_flips
        return bytes(garbled)


def _hang_up(writer: asyncio.StreamWriter, *, is_reset: bool) -> None:
    link = writer.get_extra_info("socket")
    if is_reset and link is not None:
        with contextlib.suppress(OSError):
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    writer.transport.abort()
