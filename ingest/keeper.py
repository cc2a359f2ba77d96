"""Has the store do its upkeep in the background: roll-ups, doubles, samples older than is kept."""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final, Self

from ingest.errors import IngestError
from ingest.ports import TelemetryStore

logger = logging.getLogger(__name__)

ROUND_S: Final = 30.0
"""Between two rounds; until then readers roll up the last hours themselves. [s]"""

DAY_NS: Final = 86_400_000_000_000


class Keeper:
    """A thread that calls `TelemetryStore.maintain` again and again.

    Parameters
    ----------
    store : TelemetryStore
        The store.
    clock_ns : callable
        Wall clock. [ns since 1970-01-01 UTC]
    raw_days : float, optional
        Samples older than this are dropped once they are rolled up; None keeps all. [days]
    chores : sequence of callable
        What else to do in each round, again until it says 0.
    round_s : float
        Pause between two rounds. [s]
    """

    def __init__(
        self,
        store: TelemetryStore,
        clock_ns: Callable[[], int],
        raw_days: float | None = None,
        chores: Sequence[Callable[[], int]] = (),
        *,
        round_s: float = ROUND_S,
    ) -> None:
        self._store = store
        self._clock_ns = clock_ns
        self._raw_days = raw_days
        self._chores = (self._maintain, *chores)
        self._round_s = round_s
        self._stop = threading.Event()
        self._has_failed = False
        self._thread = threading.Thread(target=self._run, name="store upkeep", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                for chore in self._chores:
                    while not self._stop.is_set() and chore():
                        pass
                self._has_failed = False
            except IngestError as error:
                # A full disk is met by every write too; it is said once here, and tried again.
                if not self._has_failed:
                    logger.warning("upkeep of the store: %s; it is tried again", error)
                self._has_failed = True
            self._stop.wait(self._round_s)

    def _maintain(self) -> int:
        raw_from_ns = None
        if self._raw_days is not None:
            raw_from_ns = self._clock_ns() - round(self._raw_days * DAY_NS)
        return self._store.maintain(raw_from_ns=raw_from_ns)
