"""When each machine was last heard of, without asking the store on every page."""

import threading
import time
from collections.abc import Callable

import numpy as np

from api.arrivals import Arrivals
from ingest.ports import TelemetryStore


class NewestSamples:
    """Knows the newest sample of each machine.

    What ingest stores in this process is known at once; the store is asked now and then, for
    samples that came by another way.

    Parameters
    ----------
    store : TelemetryStore
        Where samples are kept.
    arrivals : Arrivals
        What this process stored.
    check_s : float
        How often the store is asked. [s]
    clock_s : callable, optional
        Steady clock. [s]
    """

    def __init__(
        self,
        store: TelemetryStore,
        arrivals: Arrivals,
        *,
        check_s: float,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._arrivals = arrivals
        self._check_s = check_s
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._newest_ns: dict[str, int] = {}
        self._asked_at_s = -np.inf

    def by_machine(self) -> dict[str, int]:
        """Newest sample of each machine ever heard of; may be called from any thread.

        Returns
        -------
        dict of str to int
            Source time, of whatever quality. [ns]

        Raises
        ------
        StoreUnavailableError
            If the store can't be reached when it is its turn.
        """
        with self._lock:
            if self._clock_s() - self._asked_at_s >= self._check_s:
                self._newest_ns = self._ask()
                self._asked_at_s = self._clock_s()
            newest = dict(self._newest_ns)
        for machine, time_ns in self._arrivals.newest_ns().items():
            newest[machine] = max(newest.get(machine, 0), time_ns)
        return newest

    def _ask(self) -> dict[str, int]:
        latest = self._store.latest(self._store.series())
        newest: dict[str, int] = {}
        for index, time_ns in zip(
            latest.series_index.tolist(), latest.source_time_ns.tolist(), strict=True
        ):
            machine = latest.series[index].machine
            newest[machine] = max(newest.get(machine, 0), time_ns)
        return newest
