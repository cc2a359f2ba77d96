"""An OPC UA source in a process of its own, as the agent sees it.

The process is started at the first `ReaderSource.serve` and outlives lost connections, so that it
can resume its session with the server. One that says nothing for too long, says what can't be, or
has ended is killed, counted, and started anew the next time the source is to be connected.
"""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge_agent.counters import Counters
from edge_agent.errors import SourceError
from edge_agent.ports import Intake
from edge_agent.reader.begin import Begin, series_of
from edge_agent.reader.child import EXIT_NO_MEMORY
from edge_agent.reader.counts import ReaderCounts
from edge_agent.reader.frames import (
    STREAM_LIMIT_BYTES,
    FrameError,
    Kind,
    durable_frame,
    frame,
    json_frame,
    read_frame,
    read_json,
    read_series,
    read_submission,
)
from edge_agent.settings_opcua import OpcuaSettings
from edge_agent.settings_reader import ReaderSettings
from ingest.telemetry import Series

logger = logging.getLogger(__name__)

BEAT_INTERVAL_S: Final = 1.0
START_TIMEOUT_S: Final = 60.0
"""To load the OPC UA library on a slow device whose flash is cold."""

STOP_TIMEOUT_S: Final = 5.0
"""To say goodbye to the server; the agent itself has 8 s."""

APPLY_TIMEOUT_S: Final = 30.0
KILL_TIMEOUT_S: Final = 5.0

MAX_SERIES: Final = 1_000_000
"""Series of one reader, with those it has told since it was started."""

Command = Callable[[int], list[str]]


def reader_command(descriptor: int) -> list[str]:
    """Command line of a reader process.

    Parameters
    ----------
    descriptor : int
        Its socket.

    Returns
    -------
    list of str
        The command.
    """
    return [sys.executable, "-m", "edge_agent.reader", str(descriptor), str(os.getpid())]


@dataclass(slots=True, eq=False)
class ReaderSource:
    """One OPC UA server, read by a process of its own.

    Parameters
    ----------
    settings : OpcuaSettings
        Where it is and what to read.
    site : str
        Site of its machines.
    state_dir : Path
        State folder of the agent.
    bounds : ReaderSettings
        What the process may need.
    counters : Counters
        Where to count.
    command : callable
        Makes the command line of the process.
    """

    settings: OpcuaSettings
    site: str
    state_dir: Path
    bounds: ReaderSettings
    counters: Counters
    command: Command = reader_command
    _process: "_Process | None" = None

    @property
    def name(self) -> str:
        """What it is called in logs."""
        return f"opcua {self.settings.name}"

    @property
    def process_id(self) -> int | None:
        """Number of the reader process, None if there is none."""
        return None if self._process is None else self._process.pid

    async def serve(self, intake: Intake) -> None:
        """Let the reader connect, and take what it delivers until its connection is lost.

        Parameters
        ----------
        intake : Intake
            Where to deliver.

        Raises
        ------
        SourceError
            Why it could not connect, why it ended, or why the process had to be given up.
        CancelledError
            If the agent stops.
        """
        process = self._process
        if process is None or not process.is_alive:
            process = self._process = await self._start()
        try:
            reason = await process.serve(intake)
        except _GivenUpError as error:
            self._process = None
            await process.kill()
            self.counters.reader_restarts += 1
            msg = f"{self.name}: its reader process {error}; it is started anew"
            raise SourceError(msg) from error
        except asyncio.CancelledError:
            self._process = None
            await asyncio.shield(process.stop())
            raise
        raise SourceError(reason)

    async def apply(self, settings: OpcuaSettings) -> bool:
        """Take changed settings without disturbing what did not change.

        Parameters
        ----------
        settings : OpcuaSettings
            The settings from now on.

        Returns
        -------
        bool
            False if the source must be served anew.
        """
        process = self._process
        if process is None or not process.is_alive:
            return False
        is_taken = await process.apply(settings)
        if is_taken:
            self.settings = settings
        return is_taken

    async def _start(self) -> "_Process":
        series = series_of(self.settings, self.site)
        ours, theirs = socket.socketpair()
        with theirs:
            begin = Begin(
                self.settings,
                series,
                self.state_dir,
                self.bounds.max_memory_bytes,
                logger.getEffectiveLevel(),
                logging.getLogger("asyncua").isEnabledFor(logging.INFO),
            )
            try:
                # Not in a thread: the kernel ends the process together with the thread it is of.
                child = subprocess.Popen(  # noqa: S603, ASYNC220 - our own interpreter and module
                    self.command(theirs.fileno()),
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    # A second thread for matrices would only cost memory here.
                    env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                )
            except OSError as error:
                ours.close()
                msg = f"{self.name}: its reader process can't be started: {error.strerror or error}"
                raise SourceError(msg) from error
        streams = await asyncio.open_connection(sock=ours, limit=STREAM_LIMIT_BYTES)
        counts = ReaderCounts(self.counters)
        process = _Process(self.name, child, streams, self.bounds.silent_s, counts, series)
        process.say(json_frame(Kind.BEGIN, begin.to_json()))
        return process


class _GivenUpError(Exception):
    """The process is of no more use; says what it did."""


class _Process:
    """One reader process and the way to it."""

    def __init__(
        self,
        name: str,
        child: "subprocess.Popen[bytes]",
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        silent_s: float,
        counts: ReaderCounts,
        series: tuple[Series, ...],
    ) -> None:
        self._name = name
        self._child = child
        self._reader, self._writer = streams
        self._silent_s = silent_s
        self._counts = counts
        self._series = series
        self._has_spoken = False
        self._heard_at_s = asyncio.get_running_loop().time()
        self._intake: Intake | None = None
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._applied: asyncio.Future[bool] | None = None
        self._listening = asyncio.create_task(self._listen_forever())
        # What it said wrong while nobody served is told when somebody does.
        self._listening.add_done_callback(lambda task: task.cancelled() or task.exception())

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def is_alive(self) -> bool:
        return not self._listening.done()

    def say(self, what: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(what)

    async def serve(self, intake: Intake) -> str:
        """Let it serve once; why that ended.

        Raises
        ------
        _GivenUpError
            If the process is of no more use.
        """
        self._intake, self._ended = intake, asyncio.get_running_loop().create_future()
        self._heard_at_s = asyncio.get_running_loop().time()
        self.say(frame(Kind.SERVE))
        while True:
            before_s = asyncio.get_running_loop().time()
            await self._either(self._ended, BEAT_INTERVAL_S)
            if self._ended.done():
                return self._ended.result()
            if self._listening.done():
                raise _GivenUpError(await self._what_happened())
            self._look(before_s)
            self.say(frame(Kind.BEAT))

    def _look(self, before_s: float) -> None:
        """Give it up if it is silent.

        Raises
        ------
        _GivenUpError
            If it is.
        """
        now_s = asyncio.get_running_loop().time()
        if now_s - before_s > 2 * BEAT_INTERVAL_S:
            # It was us who slept: what it said meanwhile is still to be read.
            self._heard_at_s = now_s
        silent_s = now_s - self._heard_at_s
        if silent_s > (
            self._silent_s if self._has_spoken else max(self._silent_s, START_TIMEOUT_S)
        ):
            msg = f"said nothing for {silent_s:.0f} s and was killed"
            raise _GivenUpError(msg)

    async def _what_happened(self) -> str:
        """Say why it speaks no more."""
        error = self._listening.exception()
        if error is not None:
            return f"said what can't be ({error}) and was killed"
        for _ in range(int(KILL_TIMEOUT_S / 0.05)):
            if self._child.poll() is not None:
                break
            await asyncio.sleep(0.05)
        status = self._child.returncode
        if status == EXIT_NO_MEMORY:
            return "reached its memory limit (reader.max_memory_bytes) and ended"
        if status is not None and status < 0:
            return f"was ended by {signal.Signals(-status).name}"
        return f"ended with status {status}"

    async def _listen_forever(self) -> None:
        """Take what it says until it ends.

        Raises
        ------
        FrameError
            If it says what can't be.
        """
        loop = asyncio.get_running_loop()
        while (said := await read_frame(self._reader)) is not None:
            self._heard_at_s, self._has_spoken = loop.time(), True
            self._take(*said)

    def _take(self, kind: Kind, body: bytes) -> None:
        match kind:
            case Kind.SUBMIT:
                submission = read_submission(body, self._series)
                if self._intake is None:
                    msg = "samples before it was asked for any"
                    raise FrameError(msg)
                word = durable_frame(submission.ticket)
                self._intake.submit(
                    submission.batch,
                    submission.misfits,
                    is_urgent=submission.is_urgent,
                    priority=submission.priority,
                ).add_done_callback(lambda _: self.say(word))
            case Kind.SERIES:
                self._series += read_series(body, self._series[0].site)
                if len(self._series) > MAX_SERIES:
                    msg = f"more than {MAX_SERIES} series"
                    raise FrameError(msg)
            case Kind.HEARD if self._intake is not None:
                self._intake.heard(self._name)
            case Kind.BEAT:
                self._counts.take(read_json(body))
            case Kind.ENDED:
                if not self._ended.done():
                    self._ended.set_result(str(read_json(body).get("reason")))
            case Kind.APPLIED if self._applied is not None and not self._applied.done():
                self._applied.set_result(read_json(body).get("is_taken") is True)
            case _:
                msg = f"{kind.name} out of turn"
                raise FrameError(msg)

    async def apply(self, settings: OpcuaSettings) -> bool:
        """Hand over changed settings; whether it took them."""
        self._applied = asyncio.get_running_loop().create_future()
        self.say(json_frame(Kind.APPLY, settings.model_dump(mode="json")))
        await self._either(self._applied, APPLY_TIMEOUT_S)
        return self._applied.done() and self._applied.result()

    async def _either(self, answer: "asyncio.Future[Any]", timeout_s: float) -> None:
        """Wait for an answer, but not longer than it speaks."""
        either: set[asyncio.Future[Any]] = {answer, self._listening}
        await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)

    async def stop(self) -> None:
        """Let it say goodbye, and end it in any case."""
        self.say(frame(Kind.STOP))
        await asyncio.wait({self._listening}, timeout=STOP_TIMEOUT_S)
        await self.kill()

    async def kill(self) -> None:
        """End it, whatever it is doing."""
        self._child.kill()
        self._listening.cancel()
        self._writer.close()
        self._counts.forget()
        for _ in range(int(KILL_TIMEOUT_S / 0.02)):
            if self._child.poll() is not None:
                return
            await asyncio.sleep(0.02)
        logger.error("reader process %d does not end even when killed", self._child.pid)
