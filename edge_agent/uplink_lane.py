"""One lane of the uplink in the shell: its connection, its thread and the records it has read.

When the lane reads and sends is decided in `edge_agent.core_lanes`.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, assert_never

from edge_agent.counters import Counters
from edge_agent.messages import (
    Answer,
    NotAllowed,
    Piece,
    Record,
    Refused,
    Send,
    Settled,
    Stored,
    TooLarge,
    Unavailable,
)
from edge_agent.ports import Uplink
from edge_agent.records import Lane, StoredRecord
from edge_agent.watches import Trouble
from edge_agent.worker import Calls

logger = logging.getLogger(__name__)

SEND_TIMEOUT_S: Final = 600.0
"""A request that is neither answered nor broken off by then is given up with its thread."""


class UplinkLane:
    """Sends what one lane is told to send.

    Parameters
    ----------
    lane : {"alarm", "backlog"}
        Which one it is.
    make_uplink : callable
        Makes a lane's connection to the store; called again if one has to be given up.
    make_worker : callable
        Makes what runs the calls to it.
    trouble : Trouble
        What is known of the connection.
    counters : Counters
        Where to count faults.
    """

    def __init__(
        self,
        lane: Lane,
        make_uplink: Callable[[Lane], Uplink],
        make_worker: Callable[[str], Calls],
        trouble: Trouble,
        counters: Counters,
    ) -> None:
        self.lane: Lane = lane
        self.trouble = trouble
        self._make_uplink = make_uplink
        self._make_worker = make_worker
        self._counters = counters
        self._uplink = make_uplink(lane)
        self._worker = make_worker(f"uplink {lane}")
        self._loaded: dict[int, StoredRecord] = {}

    @property
    def place(self) -> str:
        """Where samples go."""
        return self._uplink.place

    def load(self, records: Sequence[StoredRecord]) -> tuple[Record, ...]:
        """Keep what was read, in place of what was read before.

        Parameters
        ----------
        records : sequence of StoredRecord
            Records with their bytes.

        Returns
        -------
        tuple of Record
            What the core has to know of them.
        """
        self._loaded = {record.sequence: record for record in records}
        return tuple(
            Record(
                record.sequence,
                len(record.body),
                record.n_samples,
                record.priority,
                n_lines=_n_lines(record.body),
            )
            for record in records
        )

    def n_samples(self, sequences: Sequence[int]) -> int:
        """Count the samples of records that were read.

        Parameters
        ----------
        sequences : sequence of int
            The records.

        Returns
        -------
        int
            Samples in them.
        """
        return sum(self._loaded[sequence].n_samples for sequence in sequences)

    def lines(self, sequence: int, places: Sequence[int]) -> list[bytes]:
        """Give single lines of a record that was read.

        Parameters
        ----------
        sequence : int
            The record.
        places : sequence of int
            Which lines, from 0.

        Returns
        -------
        list of bytes
            The lines, without their line breaks.
        """
        lines = self._loaded[sequence].body.split(b"\n")
        return [lines[place] for place in places]

    async def send(self, step: Send) -> Answer:
        """Send and wait for the answer.

        Parameters
        ----------
        step : Send
            What to send.

        Returns
        -------
        Answer
            The store's, or that there was none.
        """
        records = [self._piece(piece) for piece in step.pieces]
        uplink = self._uplink
        answer: Answer
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                answer = await self._worker.call(lambda: uplink.send(records, step.max_body_bytes))
        except TimeoutError:
            answer = Unavailable(f"{uplink.place} gave no answer within {SEND_TIMEOUT_S:.0f} s")
            self._worker.stop(0.0)
            self._worker = self._make_worker(f"uplink {self.lane}")
            self._uplink = self._make_uplink(self.lane)
        except Exception as error:
            # The top of the uplink: whatever this is, the samples are kept and tried again.
            logger.exception("fault in the uplink")
            self._counters.faults += 1
            answer = Unavailable(f"fault in the uplink: {error!r}")
        self._tell(answer)
        return answer

    def close(self) -> None:
        """Give the connection up; a request that hangs is left to its thread."""
        self._worker.stop(0.0)

    def _piece(self, piece: Piece) -> StoredRecord:
        record = self._loaded[piece.sequence]
        if piece.lines is None:
            return record
        body = b"".join(line + b"\n" for line in self.lines(piece.sequence, piece.lines))
        return replace(record, body=body, n_samples=len(piece.lines))

    def _tell(self, answer: Answer) -> None:
        """Log what the store says when it begins to say it, not each time."""
        what, place = f"uplink ({self.lane} lane)", self._uplink.place
        said = None
        match answer:
            case Stored() | Refused() | TooLarge() | Settled(rest=None):
                if self.trouble.end():
                    logger.info("%s to %s works again", what, place)
            case NotAllowed(reason) | Settled(rest=NotAllowed(reason)):
                said = f"{what} to {place} is not allowed: {reason}; samples are kept"
            case Unavailable(reason) | Settled(rest=Unavailable(reason)):
                said = f"{what} to {place} lost: {reason}; samples are kept"
            case Settled():
                return
            case _:
                assert_never(answer)
        if said is not None and self.trouble.begin(said):
            logger.warning("%s", said)


def _n_lines(body: bytes) -> int:
    return body.count(b"\n") + (not body.endswith(b"\n"))
