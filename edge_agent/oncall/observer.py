"""Looks at the running agent, and never makes it wait.

The disk is asked at most every few seconds and one question at a time, however often somebody
wants to know; if it hangs, what was known before is told, and for how long it has not answered.
"""

import asyncio
import contextlib
import dataclasses
import datetime
import importlib.metadata
import logging
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from edge_agent.oncall.certificates import CertificateEnd, certificate_ends
from edge_agent.oncall.facts import DiskFacts, Facts, LaneFacts, Limits, SourceFacts
from edge_agent.outbox import Outbox
from edge_agent.records import Lane, OutboxCounts
from edge_agent.reload import Reloader
from edge_agent.runtime import Runtime
from edge_agent.watches import loop_time_s

logger = logging.getLogger(__name__)

LOOK_AT_DISK_EVERY_S: Final = 1.0
LOOK_AT_DISK_SHARE: Final = 20
"""A look that took long, on a slow disk or in a large outbox, is repeated only after so many times
what it took."""

DISK_WAIT_S: Final = 0.5
"""Longer than this nobody is kept waiting for a disk; what was known before is told instead."""

LOOK_AT_CERTIFICATES_EVERY_S: Final = 3600.0


class _OnDisk(NamedTuple):
    """What the disk thread found."""

    counts: OutboxCounts
    free_bytes: int | None
    oldest_ns: dict[Lane, int | None]

    def n_waiting(self, lane: Lane) -> int:
        """Count the samples that wait for a lane."""
        alarms = self.counts.n_alarm_samples
        return alarms if lane == "alarm" else self.counts.n_samples - alarms


class Observer:
    """Tells how the agent is.

    Parameters
    ----------
    runtime : Runtime
        The agent.
    reloader : Reloader
        Knows the settings in force.
    clock_ns : callable
        Wall clock. [ns since 1970-01-01 UTC]
    """

    def __init__(
        self,
        runtime: Runtime,
        reloader: Reloader,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._runtime = runtime
        self._reloader = reloader
        self._clock_ns = clock_ns
        self._started_s = loop_time_s()
        self._version = _version()
        self._found: _OnDisk | None = None
        self._found_at_s = 0.0
        self._asking: asyncio.Future[_OnDisk] | None = None
        self._asked_at_s = self._took_s = 0.0
        self._certificates: tuple[CertificateEnd, ...] = ()

    async def look(self) -> Facts:
        """See how the agent is now.

        Returns
        -------
        Facts
            Everything that is told about it.
        """
        await self._ask_disk()
        settings, runtime = self._reloader.settings, self._runtime
        return Facts(
            agent=settings.agent,
            site=settings.site,
            version=self._version,
            now=datetime.datetime.fromtimestamp(self._clock_ns() / 1e9, datetime.UTC),
            uptime_s=loop_time_s() - self._started_s,
            memory_bytes=_memory_bytes(),
            place=runtime.place,
            sources=tuple(
                SourceFacts(w.name, w.condition, w.silent_s, w.n_samples, w.reason)
                for w in runtime.serving.watches.values()
            ),
            lanes=tuple(
                LaneFacts(
                    lane,
                    trouble.words,
                    trouble.lasted_s,
                    n_in_flight,
                    0 if self._found is None else self._found.n_waiting(lane),
                    self._lag_s(lane),
                )
                for lane, trouble, n_in_flight in runtime.lanes()
            ),
            disk=self._disk_facts(),
            certificates=self._certificates,
            reload=self._reloader.last,
            counters={
                field.name: getattr(runtime.counters, field.name)
                for field in dataclasses.fields(runtime.counters)
            },
            limits=Limits(settings.status.source_silent_s, settings.status.uplink_down_s),
        )

    async def watch_certificates(self) -> None:
        """Look at the certificates once an hour, for ever; say once a day which end soon."""
        told_on: dict[Path, datetime.date] = {}
        while True:
            ends = await asyncio.to_thread(certificate_ends, self._reloader.settings)
            self._certificates = tuple(ends)
            now = datetime.datetime.fromtimestamp(self._clock_ns() / 1e9, datetime.UTC)
            for end in ends:
                if end.ends_soon(now) and told_on.get(end.path) != now.date():
                    told_on[end.path] = now.date()
                    logger.warning(
                        "%s: %s ends on %s; renew it before",
                        end.what,
                        end.path,
                        f"{end.ends_at:%Y-%m-%d}",
                    )
            await asyncio.sleep(LOOK_AT_CERTIFICATES_EVERY_S)

    async def _ask_disk(self) -> None:
        """Ask the disk if what is known is old, and wait a moment for the answer."""
        now_s = loop_time_s()
        lasts_s = max(LOOK_AT_DISK_EVERY_S, LOOK_AT_DISK_SHARE * self._took_s)
        is_old = self._found is None or now_s - self._found_at_s > lasts_s
        if self._asking is None and is_old:
            self._asking, self._asked_at_s = self._runtime.ask_outbox(_look_at_disk), now_s
            self._asking.add_done_callback(self._answered)
        if self._asking is not None:
            await asyncio.wait({self._asking}, timeout=DISK_WAIT_S)

    def _answered(self, answer: "asyncio.Future[_OnDisk]") -> None:
        self._asking, self._found_at_s = None, answer.get_loop().time()
        self._took_s = self._found_at_s - self._asked_at_s
        if not answer.cancelled() and answer.exception() is None:
            self._found = answer.result()

    def _disk_facts(self) -> DiskFacts:
        runtime, found = self._runtime, self._found
        return DiskFacts(
            trouble=runtime.disk_trouble.words,
            trouble_s=runtime.disk_trouble.lasted_s,
            n_parcels_in_memory=runtime.n_parcels,
            max_bytes=self._reloader.settings.outbox.max_bytes,
            free_bytes=None if found is None else found.free_bytes,
            counts=None if found is None else found.counts,
            unanswered_s=0.0 if self._asking is None else loop_time_s() - self._asked_at_s,
        )

    def _lag_s(self, lane: Lane) -> float:
        oldest_ns = None if self._found is None else self._found.oldest_ns[lane]
        return 0.0 if oldest_ns is None else max(0.0, (self._clock_ns() - oldest_ns) / 1e9)


def _look_at_disk(outbox: Outbox) -> _OnDisk:
    free_bytes = None
    with contextlib.suppress(OSError):
        room = os.statvfs(outbox.path.parent)
        free_bytes = room.f_bavail * room.f_frsize
    oldest_ns: dict[Lane, int | None] = {
        "alarm": outbox.oldest_ns("alarm"),
        "backlog": outbox.oldest_ns("raw"),
    }
    return _OnDisk(outbox.counts(), free_bytes, oldest_ns)


def _memory_bytes() -> int:
    """Resident memory of this process: now on Linux, its peak elsewhere."""
    with contextlib.suppress(OSError):
        n_pages = int(Path("/proc/self/statm").read_bytes().split()[1])
        return n_pages * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _version() -> str:
    try:
        return importlib.metadata.version("staybolt")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
