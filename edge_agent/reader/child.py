"""The reader process: runs one OPC UA source, and hands what it delivers to the agent.

It ends when the agent does, whatever it is doing, and when it needs more memory than it may have.
"""

import asyncio
import contextlib
import ctypes
import dataclasses
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from edge_agent.counters import Counters
from edge_agent.errors import EdgeError, SourceError
from edge_agent.memory import give_back_forever, use_one_arena
from edge_agent.oncall.log_lines import LineHandler
from edge_agent.reader.begin import Begin, read_settings
from edge_agent.reader.frames import (
    STREAM_LIMIT_BYTES,
    Kind,
    json_frame,
    read_durable,
    read_frame,
    read_json,
)
from edge_agent.reader.intake import RemoteIntake

if TYPE_CHECKING:
    from edge_agent.sources.opcua import OpcuaSource

logger = logging.getLogger(__name__)

BEAT_INTERVAL_S: Final = 1.0
IDLE_MAX_S: Final = 120.0
"""A reader that is not asked to serve for so long is not needed any more."""

EXIT_NO_MEMORY: Final = 70
"""Exit status of a reader that reached its memory limit."""

_PR_SET_PDEATHSIG: Final = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the reader process; the agent starts it.

    Parameters
    ----------
    arguments : sequence of str, optional
        Number of the socket's descriptor, and of the agent's process; None takes the command line.

    Returns
    -------
    int
        0.
    """
    descriptor, agent_pid = map(int, sys.argv[1:] if arguments is None else arguments)
    _die_with(agent_pid)
    use_one_arena()
    # A service manager and a terminal signal every process: the agent says when we stop.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        asyncio.run(_Reader(socket.socket(fileno=descriptor)).run())
    except MemoryError:
        os._exit(EXIT_NO_MEMORY)
    return 0


def _die_with(agent_pid: int) -> None:
    """Let the kernel kill us when the agent ends, even if we hang."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != agent_pid:
        sys.exit("the agent has ended already")


def limit_memory(max_bytes: int) -> None:
    """Let the process have no more memory than this, whatever it is asked to build.

    Parameters
    ----------
    max_bytes : int
        Limit on its data. [byte]
    """
    resource.setrlimit(resource.RLIMIT_DATA, (max_bytes, max_bytes))
    # A core dump of hostile bytes and of our keys is of no use to anybody.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class _Reader:
    def __init__(self, to_agent: socket.socket) -> None:
        self._socket = to_agent
        self._counters = Counters()
        self._serving: asyncio.Task[None] | None = None
        self._idle_since_s = 0.0

    async def run(self) -> None:
        reader, writer = await asyncio.open_connection(sock=self._socket, limit=STREAM_LIMIT_BYTES)
        first = await read_frame(reader)
        if first is None or first[0] is not Kind.BEGIN:
            return
        begin = Begin.of_json(read_json(first[1]))
        limit_memory(begin.max_memory_bytes)
        logging.basicConfig(level=begin.log_level, handlers=[LineHandler(sys.stderr, os.environ)])
        logging.getLogger("asyncua").setLevel(
            logging.INFO if begin.is_verbose else logging.CRITICAL
        )
        self._idle_since_s = asyncio.get_running_loop().time()
        beating = asyncio.create_task(self._beat_forever(reader, writer))
        trimming = asyncio.create_task(give_back_forever())
        try:
            await self._obey(begin, reader, writer)
        finally:
            beating.cancel()
            trimming.cancel()
            await self._stop_serving()
            self._say_counters(writer)
            with contextlib.suppress(OSError):
                writer.close()
                await writer.wait_closed()

    async def _obey(
        self, begin: Begin, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Do what the agent says until it says stop or ends."""
        try:
            source = begin.make_source(self._counters)
        except EdgeError as error:
            await self._refuse(str(error), reader, writer)
            return
        intake = RemoteIntake(writer, begin.series)
        while (said := await read_frame(reader)) is not None:
            kind, body = said
            match kind:
                case Kind.SERVE if self._serving is None:
                    self._serving = asyncio.create_task(self._serve(source, intake, writer))
                case Kind.DURABLE:
                    intake.durable(read_durable(body))
                case Kind.APPLY:
                    is_taken = await source.apply(read_settings(read_json(body)))
                    writer.write(json_frame(Kind.APPLIED, {"is_taken": is_taken}))
                case Kind.STOP:
                    return
                case _:
                    continue

    @staticmethod
    async def _refuse(
        reason: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Say why there is no source, as often as it is asked for."""
        while (said := await read_frame(reader)) is not None and said[0] is not Kind.STOP:
            if said[0] is Kind.SERVE:
                writer.write(json_frame(Kind.ENDED, {"reason": reason}))

    async def _serve(
        self, source: "OpcuaSource", intake: RemoteIntake, writer: asyncio.StreamWriter
    ) -> None:
        try:
            await source.serve(intake)
            reason = f"{source.name}: ended without a reason"
        except SourceError as error:
            reason = str(error)
        except MemoryError:
            # There may not be enough left to say so; the exit status does.
            os._exit(EXIT_NO_MEMORY)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # A library cancelled what we were waiting for; that must not end the source.
            reason = f"{source.name}: the connection was given up"
        except Exception as error:
            # The top of the source: whatever this is, the source is connected anew.
            logger.exception("%s: fault in the source; it is connected anew", source.name)
            self._counters.faults += 1
            reason = f"{source.name}: {error!r}"
        self._serving, self._idle_since_s = None, asyncio.get_running_loop().time()
        self._say_counters(writer)
        writer.write(json_frame(Kind.ENDED, {"reason": reason}))

    async def _stop_serving(self) -> None:
        task, self._serving = self._serving, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _beat_forever(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Say that we are still here; end when nobody has asked for anything for long."""
        now_s = asyncio.get_running_loop().time
        while self._serving is not None or now_s() < self._idle_since_s + IDLE_MAX_S:
            self._say_counters(writer)
            await asyncio.sleep(BEAT_INTERVAL_S)
        reader.feed_eof()

    def _say_counters(self, writer: asyncio.StreamWriter) -> None:
        counts: dict[str, Any] = dataclasses.asdict(self._counters)
        writer.write(json_frame(Kind.BEAT, counts))
