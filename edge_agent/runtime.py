"""The shell around the core: waits, reads, writes and sends, and holds no rules of its own.

One event loop for the sources and timers, one thread for the disk, one for each lane of the uplink.
Whatever happens becomes an event; what the core answers is carried out here, in order.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Final, TypeVar, assert_never

from edge_agent.core import AgentCore
from edge_agent.counters import Counters, report_line
from edge_agent.disk import Disk
from edge_agent.errors import OutboxError
from edge_agent.messages import (
    Acknowledge,
    Commit,
    CommitAfter,
    CommitFailed,
    CommitTimerFired,
    ConnectSource,
    Event,
    Finish,
    Forget,
    ForgetFailed,
    Instruction,
    ParcelReceived,
    ParcelsCommitted,
    ReadFailed,
    ReadRecords,
    Record,
    RecordsRead,
    RetryUplinkAfter,
    Send,
    SetAside,
    SourceHeard,
    Started,
    StopRequested,
    StoreAnswered,
    TakeApart,
    UplinkTimerFired,
)
from edge_agent.outbox import Outbox
from edge_agent.parcels import LINE_BYTES, Parcel, entries_of, pack
from edge_agent.ports import Source, Uplink
from edge_agent.records import LANES, Lane, Misfit, Priority
from edge_agent.serving import STOP_TIMEOUT_S, Serving
from edge_agent.uplink_lane import UplinkLane
from edge_agent.watches import Trouble, loop_time_s
from edge_agent.worker import Calls, Worker
from ingest.telemetry import TelemetryBatch

logger = logging.getLogger(__name__)

REPORT_INTERVAL_S: Final = 60.0

Result = TypeVar("Result")


class Runtime:
    """Runs one agent.

    Parameters
    ----------
    core : AgentCore
        The rules.
    outbox : Outbox
        Where samples are kept.
    make_uplink : callable
        Makes a lane's connection to the store; called again if one has to be given up.
    sources : sequence of Source
        Where samples come from.
    counters : Counters
        What the sources count in, too.
    jitter : callable
        Uniform chance in [0, 1), for pauses.
    make_worker : callable
        Makes what runs the calls to the disk (``outbox``) or to the store (``uplink alarm`` and
        ``uplink backlog``).
    """

    def __init__(
        self,
        core: AgentCore,
        outbox: Outbox,
        make_uplink: Callable[[Lane], Uplink],
        sources: Sequence[Source],
        counters: Counters,
        jitter: Callable[[], float] = random.random,  # noqa: S311 - spreads pauses, keeps no secret
        make_worker: Callable[[str], Calls] = Worker,
    ) -> None:
        self._core = core
        self.serving = Serving(sources, self, self._handle, counters, jitter)
        self.disk_trouble = Trouble(loop_time_s)
        self.counters = counters
        self._jitter = jitter
        self._disk = Disk(outbox, make_worker("outbox"), counters, 2.0 * core.intake.group_commit_s)
        self._lanes = {
            lane: UplinkLane(lane, make_uplink, make_worker, Trouble(loop_time_s), counters)
            for lane in LANES
        }
        self._parcels: dict[int, Parcel] = {}
        self._next_ticket = 0
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._finished = asyncio.Event()

    # --- what sources call (edge_agent.ports.Intake) -------------------------------------------

    def submit(
        self,
        batch: TelemetryBatch | None,
        misfits: Sequence[Misfit] = (),
        *,
        is_urgent: bool = False,
        priority: Priority = "raw",
    ) -> asyncio.Future[None]:
        """Take samples; see `edge_agent.ports.Intake`.

        Parameters
        ----------
        batch : TelemetryBatch or None
            Samples.
        misfits : sequence of Misfit
            What came with them and could not be read.
        is_urgent : bool
            Whether the source can't go on before these are durable.
        priority : {"raw", "alarm"}
            Of all samples of the batch.

        Returns
        -------
        asyncio.Future
            Done when all of it is durable.
        """
        parcel = pack(batch, misfits, priority, self.counters)
        if not parcel.durable.done():
            self._next_ticket += 1
            self._parcels[self._next_ticket] = parcel
            self._handle(ParcelReceived(self._next_ticket, parcel.n_bytes, is_urgent))
        return parcel.durable

    def heard(self, source: str) -> None:
        """Note that a source delivers; see `edge_agent.ports.Intake`.

        Parameters
        ----------
        source : str
            Its name.
        """
        self._handle(SourceHeard(source))

    # --- what is told of it (edge_agent.oncall) ------------------------------------------------

    @property
    def place(self) -> str:
        """Where samples go."""
        return self._lanes["backlog"].place

    @property
    def n_parcels(self) -> int:
        """Deliveries that are not durable yet."""
        return len(self._parcels)

    def lanes(self) -> list[tuple[Lane, Trouble, int]]:
        """See how each lane of the uplink is.

        Returns
        -------
        list of tuple of (Lane, Trouble, int)
            Lane, what is wrong with it, and how many records the store has not answered for.
        """
        return [
            (name, lane.trouble, len(self._core.uplink.lanes[name].held))
            for name, lane in self._lanes.items()
        ]

    def ask_outbox(self, question: Callable[[Outbox], Result]) -> "asyncio.Future[Result]":
        """Look at the outbox in the thread that owns it.

        Parameters
        ----------
        question : callable
            Reads, and changes nothing.

        Returns
        -------
        asyncio.Future
            The answer, or the outbox's error.
        """
        return self._disk.ask(question)

    # --- running -------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Run until asked to stop, then make everything durable.

        Parameters
        ----------
        stop : asyncio.Event
            Set to ask for the end.
        """
        reporting = asyncio.create_task(self._report_forever())
        try:
            self._handle(Started(self.serving.names))
            await stop.wait()
            await self._stop()
        finally:
            reporting.cancel()
            for timer in self._timers.values():
                timer.cancel()
            self.serving.cancel()
            for task in self._tasks:
                task.cancel()
            await self._report()
            for lane in self._lanes.values():
                lane.close()
            self._disk.close(STOP_TIMEOUT_S)

    async def _stop(self) -> None:
        logger.info("stopping: closing the sources, making everything durable")
        await self.serving.stop()
        self._handle(StopRequested())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._finished.wait()
        if self._core.intake.is_empty:
            logger.info("stopped; what the store does not have yet is in %s", self._disk.place)
        else:
            logger.error(
                "stopped, but the last samples could not be written to %s; they were not "
                "acknowledged, so sources that can send them again will",
                self._disk.place,
            )

    def _handle(self, event: Event) -> None:
        for instruction in self._core.handle(event):
            self._carry_out(instruction)

    def _carry_out(self, instruction: Instruction) -> None:  # noqa: C901 - one line each
        match instruction:
            case CommitAfter(delay_s):
                self._set_timer("commit", delay_s, CommitTimerFired())
            case RetryUplinkAfter(lane, delay_s):
                self._set_timer(f"uplink {lane}", delay_s, UplinkTimerFired(lane))
            case Commit():
                self._start(self._commit(instruction))
            case Acknowledge(tickets):
                for ticket in tickets:
                    durable = self._parcels.pop(ticket).durable
                    if not durable.done():
                        durable.set_result(None)
            case ReadRecords():
                self._start(self._read(instruction))
            case Send():
                self._start(self._send(instruction))
            case Forget() | SetAside() | TakeApart():
                self._start(self._leave_outbox(instruction))
            case ConnectSource(name, delay_s):
                self.serving.connect(name, delay_s)
            case Finish():
                self._finished.set()
            case _:
                assert_never(instruction)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        # The disk works in the order of these calls, so instructions keep their order.
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("fault in the agent; it goes on", exc_info=error)
            self.counters.faults += 1

    def _set_timer(self, name: str, delay_s: float, event: Event) -> None:
        if name in self._timers:
            self._timers[name].cancel()
        loop = asyncio.get_running_loop()
        self._timers[name] = loop.call_later(delay_s, self._handle, event)

    # --- the disk and the store ----------------------------------------------------------------

    async def _commit(self, step: Commit) -> None:
        parcels = [self._parcels[ticket] for ticket in step.tickets]
        entries = entries_of(parcels)
        n_samples = sum(entry.n_samples for entry in entries)
        misfits = [misfit for parcel in parcels for misfit in parcel.misfits]
        try:
            sequences = await self._disk.append(entries, misfits, step.protected)
        except OutboxError as error:
            logger.error("%s; %d samples wait in memory", error, n_samples)  # noqa: TRY400 - told in full
            self.disk_trouble.begin(str(error))
            self._handle(CommitFailed(step.tickets))
            return
        self.disk_trouble.end()
        self.counters.stored += n_samples
        records = tuple(
            Record(sequence, LINE_BYTES * entry.n_samples, entry.n_samples, entry.priority)
            for sequence, entry in zip(sequences, entries, strict=True)
        )
        self._handle(ParcelsCommitted(step.tickets, records))

    async def _read(self, step: ReadRecords) -> None:
        try:
            records = await self._disk.read(step.lane, step.max_bytes, step.max_records)
        except OutboxError as error:
            logger.error("%s", error)  # noqa: TRY400 - told in full
            self._handle(ReadFailed(step.lane, self._jitter()))
            return
        self._handle(RecordsRead(step.lane, self._lanes[step.lane].load(records)))

    async def _send(self, step: Send) -> None:
        answer = await self._lanes[step.lane].send(step)
        self._handle(StoreAnswered(step.lane, step.pieces, answer, self._jitter()))

    async def _leave_outbox(self, step: Forget | SetAside | TakeApart) -> None:
        lane = self._lanes[step.lane]
        try:
            match step:
                case Forget(_, sequences):
                    self.counters.acknowledged += lane.n_samples(sequences)
                    await self._disk.forget(sequences)
                case SetAside(_, sequences, reason):
                    self._tell_refused(lane.n_samples(sequences), reason)
                    await self._disk.set_aside(sequences, reason)
                case TakeApart(_, sequence, bad):
                    self.counters.acknowledged += lane.n_samples((sequence,)) - len(bad)
                    self._tell_refused(len(bad), bad[0][1])
                    lines = lane.lines(sequence, [place for place, _ in bad])
                    reasons = [reason for _, reason in bad]
                    await self._disk.take_apart(sequence, list(zip(lines, reasons, strict=True)))
        except OutboxError as error:
            # They are sent once more, which the store takes as the same samples.
            logger.error("%s", error)  # noqa: TRY400 - told in full
            self._handle(ForgetFailed(step.lane, self._jitter()))

    def _tell_refused(self, n_samples: int, reason: str) -> None:
        self.counters.refused += n_samples
        logger.warning(
            "the store refused %d samples, which are set aside: %s "
            "(`staybolt-edge outbox` lists them)",
            n_samples,
            reason,
        )

    # --- one line a minute ---------------------------------------------------------------------

    async def _report_forever(self) -> None:
        while True:
            await asyncio.sleep(REPORT_INTERVAL_S)
            await self._report()

    async def _report(self) -> None:
        try:
            counts = await self._disk.counts()
        except OutboxError as error:
            logger.error("%s", error)  # noqa: TRY400 - told in full
            return
        logger.info("%s", report_line(self.counters, counts))
