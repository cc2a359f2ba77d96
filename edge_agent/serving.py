"""Keeps the sources connected: one task for each, which may come and go while the agent runs.

When a source is connected again is decided in `edge_agent.core`; here its task is started, ended,
and what became of it is told.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from edge_agent.counters import Counters
from edge_agent.errors import EdgeError
from edge_agent.messages import Event, SourceAdded, SourceLost, SourceRemoved
from edge_agent.ports import Intake, Source
from edge_agent.watches import SourceWatch, loop_time_s

logger = logging.getLogger(__name__)

STOP_TIMEOUT_S: Final = 8.0
"""To say goodbye and make durable what is in memory; a service manager kills after 10 s or more."""


class Serving:
    """Runs the sources of one agent.

    Parameters
    ----------
    sources : sequence of Source
        Those of the settings that the agent begins with.
    intake : Intake
        Where they deliver.
    handle : callable
        Takes what happens to them.
    counters : Counters
        Where to count faults.
    jitter : callable
        Uniform chance in [0, 1), for pauses.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        intake: Intake,
        handle: Callable[[Event], None],
        counters: Counters,
        jitter: Callable[[], float],
    ) -> None:
        self._intake = intake
        self._handle = handle
        self._counters = counters
        self._jitter = jitter
        self._sources = {source.name: source for source in sources}
        self.watches = {name: SourceWatch(name, intake, loop_time_s) for name in self._sources}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sources."""
        return tuple(self._sources)

    def source(self, name: str) -> Source:
        """Find a source.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        Source
            It.
        """
        return self._sources[name]

    def add(self, source: Source) -> None:
        """Connect one more source.

        Parameters
        ----------
        source : Source
            Its name must be free.
        """
        self._sources[source.name] = source
        self.watches[source.name] = SourceWatch(source.name, self._intake, loop_time_s)
        self._handle(SourceAdded(source.name))

    async def remove(self, name: str) -> None:
        """Disconnect a source; what it delivered becomes durable first, if the disk lets it.

        Parameters
        ----------
        name : str
            The source; its name is free afterwards.
        """
        self._handle(SourceRemoved(name))
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.wait({task}, timeout=STOP_TIMEOUT_S)
        await self.watches[name].until_durable(STOP_TIMEOUT_S)
        del self._sources[name], self.watches[name]

    def connect(self, name: str, delay_s: float) -> None:
        """Connect a source after a pause.

        Parameters
        ----------
        name : str
            The source.
        delay_s : float
            The pause. [s]
        """
        self._tasks[name] = asyncio.create_task(self._serve(name, delay_s))

    def cancel(self) -> None:
        """Ask every source to end."""
        for task in self._tasks.values():
            task.cancel()

    async def stop(self) -> None:
        """End every source, and wait for those that end in time."""
        self.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=STOP_TIMEOUT_S)

    async def _serve(self, name: str, delay_s: float) -> None:
        source, watch = self._sources[name], self.watches[name]
        await asyncio.sleep(delay_s)
        try:
            await source.serve(watch)
            reason = f"{name}: ended without a reason"
        except EdgeError as error:
            # Also a file of the settings that can't be read: somebody may mend it meanwhile.
            reason = str(error)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # A library cancelled what we were waiting for; that must not end the source.
            reason = f"{name}: the connection was given up"
        except Exception as error:
            # The top of a source: whatever this is, the source is connected anew.
            logger.exception("%s: fault in the source; it is connected anew", name)
            self._counters.faults += 1
            reason = f"{name}: {error!r}"
        if watch.lost(reason):
            logger.warning("%s; trying again until it works", reason)
        # A source that took too long to end may have a successor of the same name by now.
        if self._sources.get(name) is source:
            self._handle(SourceLost(name, self._jitter()))
