"""The shell around the core: waits, reads, writes and sends, and holds no rules of its own.

One event loop for the sources and timers, one thread for the disk, one for the network. Whatever
happens becomes an event; what the core answers is carried out here, in order.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Final, TypeVar, assert_never

from edge_agent.core import AgentCore
from edge_agent.counters import Counters, report_line
from edge_agent.errors import OutboxDamagedError, OutboxError
from edge_agent.messages import (
    Acknowledge,
    Answer,
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
    NotAllowed,
    OldestRead,
    ParcelReceived,
    ParcelsCommitted,
    ReadFailed,
    ReadOldest,
    Record,
    Refused,
    RetryUplinkAfter,
    Send,
    SetAside,
    SourceHeard,
    Started,
    StopRequested,
    StoreAnswered,
    Stored,
    TooLarge,
    Unavailable,
    UplinkTimerFired,
)
from edge_agent.outbox import Outbox
from edge_agent.parcels import Parcel, entries_of, pack
from edge_agent.ports import Source, Uplink
from edge_agent.records import Entry, Lane, Misfit, Priority, StoredRecord
from edge_agent.serving import STOP_TIMEOUT_S, Serving
from edge_agent.watches import Trouble, loop_time_s
from edge_agent.worker import Calls, Worker
from ingest.telemetry import TelemetryBatch

logger = logging.getLogger(__name__)

SEND_TIMEOUT_S: Final = 600.0
"""A request that is neither answered nor broken off by then is given up with its thread."""

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
        Makes what runs the calls to the disk (``outbox``) or to the store (``uplink``).
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
        self._outbox = outbox
        self._make_uplink = make_uplink
        self._uplink = make_uplink("backlog")
        self.serving = Serving(sources, self, self._handle, counters, jitter)
        self.disk_trouble, self.uplink_trouble = Trouble(loop_time_s), Trouble(loop_time_s)
        self.counters = counters
        self._jitter = jitter
        self._make_worker = make_worker
        self._disk = make_worker("outbox")
        self._network = make_worker("uplink")
        self._parcels: dict[int, Parcel] = {}
        self._next_ticket = 0
        self._loaded: dict[int, StoredRecord] = {}
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
            self._handle(ParcelReceived(self._next_ticket, len(parcel.lines), is_urgent))
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
        return self._uplink.place

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
        return [("backlog", self.uplink_trouble, len(self._core.uplink.in_flight))]

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
        return self._disk.call(lambda: question(self._outbox))

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
            self._disk.stop(STOP_TIMEOUT_S)
            self._network.stop(0.0)
            self._outbox.close()

    async def _stop(self) -> None:
        logger.info("stopping: closing the sources, making everything durable")
        await self.serving.stop()
        self._handle(StopRequested())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._finished.wait()
        if self._core.intake.is_empty:
            logger.info("stopped; what the store does not have yet is in %s", self._outbox.path)
        else:
            logger.error(
                "stopped, but the last samples could not be written to %s; they were not "
                "acknowledged, so sources that can send them again will",
                self._outbox.path,
            )

    def _handle(self, event: Event) -> None:
        for instruction in self._core.handle(event):
            self._carry_out(instruction)

    def _carry_out(self, instruction: Instruction) -> None:  # noqa: C901 - one line each
        match instruction:
            case CommitAfter(delay_s):
                self._set_timer("commit", delay_s, CommitTimerFired())
            case RetryUplinkAfter(delay_s):
                self._set_timer("uplink", delay_s, UplinkTimerFired())
            case Commit():
                self._start(self._commit(instruction))
            case Acknowledge(tickets):
                for ticket in tickets:
                    durable = self._parcels.pop(ticket).durable
                    if not durable.done():
                        durable.set_result(None)
            case ReadOldest():
                self._start(self._read_oldest(instruction))
            case Send():
                self._start(self._send(instruction))
            case Forget(sequences):
                self._start(self._leave_outbox(sequences, None))
            case SetAside(sequences, reason):
                self._start(self._leave_outbox(sequences, reason))
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

    # --- the disk ------------------------------------------------------------------------------

    async def _commit(self, step: Commit) -> None:
        parcels = [self._parcels[ticket] for ticket in step.tickets]
        entries = entries_of(parcels)
        n_samples = sum(entry.n_samples for entry in entries)
        misfits = [misfit for parcel in parcels for misfit in parcel.misfits]
        try:
            sequences = await self._on_disk(lambda: self._append(entries, misfits, step.protected))
        except OutboxError as error:
            logger.error("%s; %d samples wait in memory", error, n_samples)  # noqa: TRY400 - told in full
            self.disk_trouble.begin(str(error))
            self._handle(CommitFailed(step.tickets))
            return
        self.disk_trouble.end()
        self.counters.stored += n_samples
        records = tuple(
            Record(sequence, len(entry.lines), entry.n_samples, entry.priority)
            for sequence, entry in zip(sequences, entries, strict=True)
        )
        self._handle(ParcelsCommitted(step.tickets, records))

    def _append(
        self, entries: Sequence[Entry], misfits: Sequence[Misfit], protected: Sequence[int]
    ) -> list[int]:
        # An outbox that does not know priorities yet takes one record after the other. Should the
        # second fail, the parcels of the first are written once more, which the store takes once.
        sequences = []
        for entry in entries or (Entry("raw", b"", 0),):
            sequence = self._outbox.append(entry.lines, entry.n_samples, misfits, protected)
            misfits = ()
            if sequence is not None:
                sequences.append(sequence)
        return sequences

    async def _read_oldest(self, step: ReadOldest) -> None:
        try:
            records = await self._on_disk(
                lambda: self._outbox.read_oldest(step.max_bytes, step.max_records)
            )
        except OutboxError as error:
            logger.error("%s", error)  # noqa: TRY400 - told in full
            self._handle(ReadFailed(self._jitter()))
            return
        self._loaded = {record.sequence: record for record in records}
        self._handle(
            OldestRead(tuple(Record(r.sequence, len(r.body), r.n_samples) for r in records))
        )

    async def _leave_outbox(self, sequences: tuple[int, ...], reason: str | None) -> None:
        n_samples = sum(self._loaded[sequence].n_samples for sequence in sequences)
        if reason is None:
            self.counters.acknowledged += n_samples
        else:
            self.counters.refused += n_samples
            logger.warning(
                "the store refused %d samples, which are set aside: %s "
                "(`staybolt-edge outbox` lists them)",
                n_samples,
                reason,
            )
        try:
            await self._on_disk(
                lambda: (
                    self._outbox.forget(sequences)
                    if reason is None
                    else self._outbox.set_aside(sequences, reason)
                )
            )
        except OutboxError as error:
            # They are sent once more, which the store takes as the same samples.
            logger.error("%s", error)  # noqa: TRY400 - told in full
            self._handle(ForgetFailed(self._jitter()))

    async def _on_disk(self, call: Callable[[], Result]) -> Result:
        try:
            return await self._disk.call(call)
        except OutboxDamagedError as error:
            damage = error
            await self._disk.call(lambda: self._outbox.begin_anew(damage))
            return await self._disk.call(call)
        except OutboxError:
            raise
        except Exception as error:
            # The top of the disk: whatever this is, nothing was changed, and it is tried again.
            logger.exception("fault in the outbox")
            self.counters.faults += 1
            msg = f"fault in the outbox: {error!r}"
            raise OutboxError(msg) from error

    # --- the network ---------------------------------------------------------------------------

    async def _send(self, step: Send) -> None:
        records = [self._loaded[sequence] for sequence in step.sequences]
        uplink = self._uplink
        answer: Answer
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                answer = await self._network.call(lambda: uplink.send(records, step.max_body_bytes))
        except TimeoutError:
            answer = Unavailable(f"{uplink.place} gave no answer within {SEND_TIMEOUT_S:.0f} s")
            self._network = self._make_worker("uplink")
            self._uplink = self._make_uplink("backlog")
        except Exception as error:
            # The top of the uplink: whatever this is, the samples are kept and tried again.
            logger.exception("fault in the uplink")
            self.counters.faults += 1
            answer = Unavailable(f"fault in the uplink: {error!r}")
        self._tell_answer(answer)
        self._handle(StoreAnswered(step.sequences, answer, self._jitter()))

    def _tell_answer(self, answer: Answer) -> None:
        """Log what the store says when it begins to say it, not each time."""
        said = None
        match answer:
            case Stored():
                if self.uplink_trouble.end():
                    logger.info("uplink to %s works again", self._uplink.place)
            case NotAllowed(reason):
                said = f"uplink to {self._uplink.place} is not allowed: {reason}; samples are kept"
            case Unavailable(reason):
                said = f"uplink to {self._uplink.place} lost: {reason}; samples are kept"
            case Refused() | TooLarge():
                return
        if said is not None and self.uplink_trouble.begin(said):
            logger.warning("%s", said)

    # --- one line a minute ---------------------------------------------------------------------

    async def _report_forever(self) -> None:
        while True:
            await asyncio.sleep(REPORT_INTERVAL_S)
            await self._report()

    async def _report(self) -> None:
        try:
            counts = await self._disk.call(self._outbox.counts)
        except OutboxError as error:
            logger.error("%s", error)  # noqa: TRY400 - told in full
            return
        logger.info("%s", report_line(self.counters, counts))
