"""Mending what was set aside, from another program than the agent, which may be running."""

import time
from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from edge_agent.outbox import quarantine
from edge_agent.outbox.engine import Engine
from edge_agent.outbox.file import named_errors
from edge_agent.records import Entry, QuarantineEntry


class QuarantineDesk:
    """Takes entries out of the quarantine, each change one transaction.

    The agent that uses the file notices by itself, and sends what was put back.

    Parameters
    ----------
    path : Path
        File of the outbox, which is there.
    max_bytes : int
        What all its files may take. [byte]

    Raises
    ------
    OutboxError
        If it can't be opened for writing.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._engine = Engine(path, max_bytes, time.time_ns, time.monotonic, str, is_owner=False)
        self._engine.open_as_guest(is_read_only=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._engine.file.close()

    def entries(self, numbers: Sequence[int]) -> list[QuarantineEntry]:
        """Read entries.

        Parameters
        ----------
        numbers : sequence of int
            Which; unknown ones are passed over.

        Returns
        -------
        list of QuarantineEntry
            In the order asked for.

        Raises
        ------
        OutboxError
            If the file can't be read.
        """
        with named_errors(self._path):
            return list(quarantine.of_numbers(self._engine.database, numbers))

    def retry(self, entry: QuarantineEntry, lines: bytes, n_samples: int) -> int | None:
        """Put an entry back among the records.

        Parameters
        ----------
        entry : QuarantineEntry
            Which.
        lines : bytes
            Line protocol to be sent, mended if need be.
        n_samples : int
            Samples in it.

        Returns
        -------
        int or None
            Sequence number of the new record; None if the entry was no longer there.

        Raises
        ------
        OutboxError
            If there is no room for it or the file can't be written; then nothing is changed.
        """

        def work() -> int | None:
            if not quarantine.delete(self._engine.database, [entry.number]):
                return None
            return self._engine.append_one(Entry("raw", lines, n_samples), ())

        return self._engine.commit(work)

    def drop(self, entries: Collection[QuarantineEntry]) -> int:
        """Delete entries for good; their samples count as dropped, and are noted as a gap.

        Parameters
        ----------
        entries : collection of QuarantineEntry
            Which.

        Returns
        -------
        int
            How many were still there.

        Raises
        ------
        OutboxError
            If the file can't be written; then all are still there.
        """

        def work() -> int:
            n_deleted = 0
            for entry in entries:
                if quarantine.delete(self._engine.database, [entry.number]):
                    n_deleted += 1
                    self._engine.room.note("by hand", 0, entry.n_samples, [], [], 0)
            return n_deleted

        return self._engine.commit(work)
