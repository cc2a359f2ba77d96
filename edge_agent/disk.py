"""The outbox as the runtime uses it: from a thread of its own, begun anew if it is damaged."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from edge_agent.counters import Counters
from edge_agent.errors import OutboxDamagedError, OutboxError
from edge_agent.outbox import Outbox
from edge_agent.records import Entry, Lane, Misfit, OutboxCounts, StoredRecord
from edge_agent.worker import Calls

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class Disk:
    """Runs the calls to one outbox, one after the other, in the order in which they are made.

    Every method raises `OutboxError` if the disk does not let it; then nothing was changed, and the
    same call may succeed later.

    Parameters
    ----------
    outbox : Outbox
        The outbox; nobody else may use it.
    worker : Calls
        What runs the calls.
    counters : Counters
        Where to count faults.
    tidy_after_s : float
        What the store has is deleted with the next commit, or after this time if none comes. [s]
    """

    def __init__(
        self, outbox: Outbox, worker: Calls, counters: Counters, tidy_after_s: float = 0.0
    ) -> None:
        self._outbox = outbox
        self._worker = worker
        self._counters = counters
        self._tidy_after_s = tidy_after_s
        self._tidying: asyncio.TimerHandle | None = None

    @property
    def place(self) -> str:
        """Where samples are kept, for messages."""
        return str(self._outbox.path)

    async def append(
        self, entries: Sequence[Entry], misfits: Sequence[Misfit], protected: Sequence[int]
    ) -> list[int]:
        """Make one group commit durable; see `edge_agent.outbox.Outbox.append`.

        Parameters
        ----------
        entries : sequence of Entry
            At most one for each priority.
        misfits : sequence of Misfit
            What is set aside with them.
        protected : sequence of int
            Sequence numbers that may not be dropped to make room.

        Returns
        -------
        list of int
            The sequence number of each entry.
        """
        return await self._call(lambda: self._outbox.append(entries, misfits, protected))

    async def read(self, lane: Lane, max_bytes: int, max_records: int) -> list[StoredRecord]:
        """Read a lane's records; see `edge_agent.messages.ReadRecords`.

        Parameters
        ----------
        lane : {"alarm", "backlog"}
            The lane.
        max_bytes, max_records : int
            Bounds; one record is read in any case.

        Returns
        -------
        list of StoredRecord
            In the order in which to send them.
        """
        if lane == "alarm":
            return await self._call(lambda: self._outbox.read_newest_alarms(max_bytes, max_records))
        return await self._call(lambda: self._outbox.read_oldest(max_bytes, max_records))

    async def forget(self, sequences: Sequence[int]) -> None:
        """Delete records that the store has.

        Parameters
        ----------
        sequences : sequence of int
            Their sequence numbers.
        """
        await self._call(lambda: self._outbox.forget(sequences))
        if self._tidying is None:
            loop = asyncio.get_running_loop()
            self._tidying = loop.call_later(self._tidy_after_s, self._tidy)

    async def set_aside(self, sequences: Sequence[int], reason: str) -> None:
        """Move records to the quarantine.

        Parameters
        ----------
        sequences : sequence of int
            Their sequence numbers.
        reason : str
            Why the store will never take them.
        """
        await self._call(lambda: self._outbox.set_aside(sequences, reason))

    async def take_apart(self, sequence: int, bad: Sequence[tuple[bytes, str]]) -> None:
        """End a record of which the store has every line but the bad ones.

        Parameters
        ----------
        sequence : int
            Of the record.
        bad : sequence of (bytes, str)
            Lines for the quarantine, with the store's reasons.
        """
        await self._call(lambda: self._outbox.take_apart(sequence, bad))

    async def counts(self) -> OutboxCounts:
        """Count what is in the outbox.

        Returns
        -------
        OutboxCounts
            Counts as of now.
        """
        return await self._worker.call(self._outbox.counts)

    def ask(self, question: Callable[[Outbox], Result]) -> "asyncio.Future[Result]":
        """Look at the outbox.

        Parameters
        ----------
        question : callable
            Reads, and changes nothing.

        Returns
        -------
        asyncio.Future
            The answer, or the outbox's error.
        """
        return self._worker.call(lambda: question(self._outbox))

    def _tidy(self) -> None:
        self._tidying = None
        # What could not be deleted is tried again with the next commit.
        self._worker.call(self._outbox.tidy).add_done_callback(lambda done: done.exception())

    def close(self, timeout_s: float) -> None:
        """End after the calls there are, and close the outbox.

        Parameters
        ----------
        timeout_s : float
            Longest wait. [s]
        """
        if self._tidying is not None:
            self._tidying.cancel()
        self._worker.stop(timeout_s)
        self._outbox.close()

    async def _call(self, call: Callable[[], Result]) -> Result:
        try:
            return await self._worker.call(call)
        except OutboxDamagedError as error:
            damage = error
            await self._worker.call(lambda: self._outbox.begin_anew(damage))
            return await self._worker.call(call)
        except OutboxError:
            raise
        except Exception as error:
            # The top of the disk: whatever this is, nothing was changed, and it is tried again.
            logger.exception("fault in the outbox")
            self._counters.faults += 1
            msg = f"fault in the outbox: {error!r}"
            raise OutboxError(msg) from error
