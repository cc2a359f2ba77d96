"""What has just been stored: tells live readers, and remembers what must be judged again.

Ingest calls `Arrivals.on_stored` after every durable write. Late samples are news like any
other: a machine is judged again from its earliest new sample on.
"""

import threading
from typing import Any

import numpy as np

from api.events import EventHub
from api.times import NS_PER_S
from ingest.telemetry import TelemetryBatch


class Arrivals:
    """Collects what came in since somebody last asked.

    Parameters
    ----------
    hub : EventHub
        Gets one ``samples`` event for each stored batch.
    """

    def __init__(self, hub: EventHub) -> None:
        self._hub = hub
        self._lock = threading.Lock()
        self._dirty_from_ns: dict[str, int] = {}
        self._newest_ns: dict[str, int] = {}
        self._n_samples = 0

    @property
    def n_samples(self) -> int:
        """Samples stored since the start."""
        return self._n_samples

    def on_stored(self, batch: TelemetryBatch) -> None:
        """Take note of a batch that is now durable; may be called from any thread.

        Parameters
        ----------
        batch : TelemetryBatch
            As stored.
        """
        if not len(batch):
            return
        machines: dict[str, dict[str, Any]] = {}
        earliest_ns: dict[str, int] = {}
        latest_ns: dict[str, int] = {}
        order = np.lexsort((batch.source_time_ns, batch.series_index))
        index = batch.series_index[order]
        starts = np.flatnonzero(np.r_[True, index[1:] != index[:-1]])
        ends = np.r_[starts[1:], index.size]
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            series = batch.series[int(index[start])]
            first, last = int(order[start]), int(order[end - 1])
            newest_ns = int(batch.source_time_ns[last])
            value = float(batch.value[last])
            machine = machines.setdefault(
                series.machine, {"n_samples": 0, "newest_s": 0.0, "latest": {}}
            )
            machine["n_samples"] += end - start
            machine["newest_s"] = max(machine["newest_s"], newest_ns / NS_PER_S)
            machine["latest"][series.signal] = [
                newest_ns / NS_PER_S,
                value if np.isfinite(value) else None,
            ]
            first_ns = int(batch.source_time_ns[first])
            earliest_ns[series.machine] = min(earliest_ns.get(series.machine, first_ns), first_ns)
            latest_ns[series.machine] = max(latest_ns.get(series.machine, 0), newest_ns)
        with self._lock:
            self._n_samples += len(batch)
            for name, first_ns in earliest_ns.items():
                self._dirty_from_ns[name] = min(self._dirty_from_ns.get(name, first_ns), first_ns)
            for name, last_ns in latest_ns.items():
                self._newest_ns[name] = max(self._newest_ns.get(name, 0), last_ns)
        self._hub.publish("samples", {"machines": machines})

    def newest_ns(self) -> dict[str, int]:
        """Newest sample of each machine that this process has stored any of.

        Returns
        -------
        dict of str to int
            Source time. [ns]
        """
        with self._lock:
            return dict(self._newest_ns)

    def take(self) -> dict[str, int]:
        """Hand over what is to be judged again, and forget it.

        Returns
        -------
        dict of str to int
            Time of the earliest new sample of each machine that got any. [ns]
        """
        with self._lock:
            taken, self._dirty_from_ns = self._dirty_from_ns, {}
        return taken

    def give_back(self, dirty_from_ns: dict[str, int]) -> None:
        """Put back what could not be judged, to be taken again later.

        Parameters
        ----------
        dirty_from_ns : dict of str to int
            From `take`. [ns]
        """
        with self._lock:
            for machine, first_ns in dirty_from_ns.items():
                known_ns = self._dirty_from_ns.get(machine, first_ns)
                self._dirty_from_ns[machine] = min(known_ns, first_ns)
