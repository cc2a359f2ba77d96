"""A door to a server that can be shut, cut, clogged or made to garble, while both sides live on.

It listens on loopback, connects each client to the server behind it, and passes bytes. What it does
to them can be changed at any time, for connections that are open and for those to come.
"""

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from simulators.faults.network import (
    DIRECTIONS,
    PROXY_MODES,
    WORDS,
    Direction,
    Garbler,
    ProxyMode,
    ProxyState,
    Way,
)
from simulators.loopback import LOOPBACK, listen, port_of

__all__ = [
    "DIRECTIONS",
    "PROXY_MODES",
    "WORDS",
    "Direction",
    "Proxy",
    "ProxyCounts",
    "ProxyMode",
    "ProxyState",
]

_PIECE_BYTES: Final = 65_536
_MOST_PIECES: Final = 32
"""Read and not yet passed on, in each direction; beyond that the sender has to wait."""

_SLOW_TICK_S: Final = 0.02
_STOP_TIMEOUT_S: Final = 2.0
_ABORT: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time at all: close sends RST."""


class _CutError(Exception):
    """A connection has passed what it may."""


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
    is_cut: bool = False


@dataclass(slots=True)
class _Pipe:
    """One direction of a link."""

    way: Way
    writer: asyncio.StreamWriter
    garbler: Garbler
    jitter: np.random.Generator
    state: ProxyState
    n_since_change: int = 0


class Proxy:
    """A door to one server.

    Parameters
    ----------
    target_port : int
        Port of 127.0.0.1 that the server listens on.
    seed : int
        Decides which bits of which connection are flipped, and how much its pieces are delayed.
    """

    def __init__(self, target_port: int, *, seed: int = 0) -> None:
        self.target_port = target_port
        self.counts = ProxyCounts()
        self.port = 0
        self._state = ProxyState()
        self._changed = asyncio.Event()
        self._turn = asyncio.Lock()
        self._seed = seed
        self._server: asyncio.Server | None = None
        self._kept_port: socket.socket | None = None
        self._links: set[_Link] = set()
        self._pipes: set[int] = set()
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
        self._shut()
        self._free_port()
        self._cut(is_reset=False)
        if self._talks:
            await asyncio.wait(self._talks, timeout=_STOP_TIMEOUT_S)

    async def set(self, state: ProxyState) -> None:
        """Change what is done to bytes from now on, also to those that are held up.

        Parameters
        ----------
        state : ProxyState
            What to do.

        Raises
        ------
        StartError
            If the port can't be listened on again.
        """
        async with self._turn:
            self._state = state
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()
            if state.mode in {"refuse", "reset"}:
                self._cut(is_reset=state.mode == "reset")
            if state.mode == "refuse":
                self._shut()
                self._keep_port()
            elif self._server is None:
                await self.start(self.port)
                self._free_port()

    def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _keep_port(self) -> None:
        """Bind the port without listening: connections are refused, and nobody else takes it."""
        if self._kept_port is None:
            self._kept_port = socket.socket()
            self._kept_port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                self._kept_port.bind((LOOPBACK, self.port))

    def _free_port(self) -> None:
        if self._kept_port is not None:
            self._kept_port.close()
            self._kept_port = None

    def _cut(self, *, is_reset: bool) -> None:
        for link in list(self._links):
            link.is_cut = True
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
        if self._state.mode in {"refuse", "reset"}:
            # Those that the system had let in before the door was shut come here too.
            self.counts.n_refused += 1
            _hang_up(writer, is_reset=True)
            return
        number = self.counts.n_connections
        self.counts.n_connections += 1
        link = _Link(writer)
        self._links.add(link)
        try:
            await self._connect(link, number, reader)
        finally:
            self._links.discard(link)
            for task in link.tasks:
                task.cancel()
            await asyncio.gather(*link.tasks, return_exceptions=True)
            for each in (link.client, link.server):
                if each is not None:
                    with contextlib.suppress(ConnectionError):
                        each.close()

    async def _connect(self, link: _Link, number: int, reader: asyncio.StreamReader) -> None:
        try:
            server_reader, link.server = await asyncio.open_connection(LOOPBACK, self.target_port)
        except OSError:
            # Nobody behind the door: to the client that is a server that hangs up at once.
            self.counts.n_refused += 1
            _hang_up(link.client, is_reset=True)
            return
        if link.is_cut:
            _hang_up(link.server, is_reset=True)
            return
        to_server = self._pipe(number, "to-server", link.server)
        to_client = self._pipe(number, "to-client", link.client)
        link.tasks = [
            asyncio.create_task(self._pass(reader, to_server)),
            asyncio.create_task(self._pass(server_reader, to_client)),
        ]
        # One side may have said all and still listen, so the end of one way is not that of both.
        done, _ = await asyncio.wait(link.tasks, return_when=asyncio.FIRST_EXCEPTION)
        errors = [task.exception() for task in done if not task.cancelled()]
        if any(isinstance(error, OSError) for error in errors):
            for each in (link.client, link.server):
                _hang_up(each, is_reset=True)

    def _pipe(self, number: int, way: Way, writer: asyncio.StreamWriter) -> _Pipe:
        which = DIRECTIONS.index(way)
        rngs = [np.random.default_rng([self._seed, number, which, each]) for each in range(2)]
        return _Pipe(way, writer, Garbler(rngs[0]), rngs[1], self._state)

    async def _pass(self, reader: asyncio.StreamReader, pipe: _Pipe) -> None:
        queue: asyncio.Queue[tuple[float, bytes | OSError]] = asyncio.Queue(_MOST_PIECES)
        reading = asyncio.create_task(_read_into(queue, reader))
        try:
            while True:
                came_s, piece = await queue.get()
                await self._hold(pipe, came_s)
                if isinstance(piece, OSError):
                    raise piece
                if not piece:
                    break
                await self._forward(pipe, piece)
            pipe.writer.write_eof()
        finally:
            reading.cancel()

    async def _hold(self, pipe: _Pipe, came_s: float) -> None:
        """Wait until bytes that came at some time may go on."""
        late = float(pipe.jitter.random())
        while True:
            state = self._state
            mode = state.mode_of(pipe.way)
            if mode == "half-open":
                await self._changed.wait()
                continue
            if mode not in {"slow", "delay"}:
                return
            due_s = came_s + state.delay_s + late * state.jitter_s
            if await self._rest(due_s - asyncio.get_running_loop().time()):
                return

    async def _rest(self, wait_s: float) -> bool:
        """Wait; False if the state has changed meanwhile."""
        if wait_s <= 0:
            return True
        try:
            await asyncio.wait_for(self._changed.wait(), wait_s)
        except TimeoutError:
            return True
        return False

    async def _forward(self, pipe: _Pipe, piece: bytes) -> None:
        rest = memoryview(piece)
        while rest:
            if self._state is not pipe.state:
                pipe.state, pipe.n_since_change = self._state, 0
            state = pipe.state
            mode = state.mode_of(pipe.way)
            n_bytes = await self._room(mode, state, pipe, len(rest))
            if n_bytes == 0:
                continue
            out: bytes | memoryview = rest[:n_bytes]
            rest = rest[n_bytes:]
            if mode == "flip":
                out, n_flips = pipe.garbler.garbled(bytes(out), state.every_bytes)
                self.counts.n_flipped_bits += n_flips
            self._count(pipe, n_bytes)
            pipe.writer.write(out)
            await pipe.writer.drain()
            if mode == "slice":
                # One piece a turn of the loop, or the kernel puts them together again.
                await asyncio.sleep(0)
            if mode == "cut" and pipe.n_since_change >= state.after_bytes:
                raise _CutError

    async def _room(self, mode: ProxyMode, state: ProxyState, pipe: _Pipe, n_bytes: int) -> int:
        """Say how many bytes may go now, after a wait; 0 if the state has changed meanwhile."""
        match mode:
            case "half-open":
                await self._changed.wait()
                return 0
            case "slow":
                n_bytes = min(n_bytes, max(1, int(state.bytes_per_s * _SLOW_TICK_S)))
                return n_bytes if await self._rest(n_bytes / state.bytes_per_s) else 0
            case "slice":
                return min(n_bytes, state.piece_bytes)
            case "cut":
                return min(n_bytes, state.after_bytes - pipe.n_since_change)
            case _:
                return n_bytes

    def _count(self, pipe: _Pipe, n_bytes: int) -> None:
        pipe.n_since_change += n_bytes
        if pipe.way == "to-server":
            self.counts.n_to_server_bytes += n_bytes
        else:
            self.counts.n_to_client_bytes += n_bytes


async def _read_into(
    queue: "asyncio.Queue[tuple[float, bytes | OSError]]", reader: asyncio.StreamReader
) -> None:
    """Note when each piece came; the last is empty, or the error that ended the connection."""
    loop = asyncio.get_running_loop()
    piece: bytes | OSError = b"first"
    while piece and not isinstance(piece, OSError):
        try:
            piece = await reader.read(_PIECE_BYTES)
        except OSError as error:
            piece = error
        await queue.put((loop.time(), piece))


def _hang_up(writer: asyncio.StreamWriter, *, is_reset: bool) -> None:
    link = writer.get_extra_info("socket")
    if is_reset and link is not None:
        with contextlib.suppress(OSError):
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    writer.transport.abort()
