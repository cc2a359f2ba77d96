"""Takes changed settings while the agent runs: what did not change is not touched.

A file that is wrong changes nothing: the agent goes on with the settings it has, and says in the
log and in its status what is wrong and how to mend it. What is different is found by
`edge_agent.settings_changes`; a source takes its own changes if it can, or is served anew.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from edge_agent.counters import Counters
from edge_agent.errors import SettingsError
from edge_agent.ports import Source, TakesChanges
from edge_agent.serving import Serving
from edge_agent.settings import Settings
from edge_agent.settings_changes import Changes, SourceSettings, compare, sources_of
from edge_agent.settings_file import load_settings

logger = logging.getLogger(__name__)

APPLY_TIMEOUT_S: Final = 30.0
"""A server that takes longer to change a subscription is asked over a new connection."""

MakeSource = Callable[[Settings, str], Source]
"""Makes the source of this name, not connected yet."""


@dataclass(frozen=True, slots=True)
class ReloadOutcome:
    """What became of the last reload.

    Parameters
    ----------
    outcome : {"none", "taken", "refused"}
        None if there was no reload yet.
    at_ns : int
        When. [ns since 1970-01-01 UTC]
    problem : str or None
        What is wrong with the file and how to mend it; None unless refused.
    needs_restart : tuple of str
        Options in the file that take effect only when the agent is started again.
    """

    outcome: Literal["none", "taken", "refused"] = "none"
    at_ns: int = 0
    problem: str | None = None
    needs_restart: tuple[str, ...] = ()


class Reloader:
    """Reads the settings again when asked to.

    Parameters
    ----------
    path : Path
        The settings file.
    settings : Settings
        What is in force.
    serving : Serving
        The sources.
    make_source : callable
        Makes a source that the new settings name.
    prepare : callable
        Sees, away from the event loop, that what the new settings name can be used.
    counters : Counters
        Where to count.
    clock_ns : callable
        Wall clock. [ns since 1970-01-01 UTC]
    """

    def __init__(
        self,
        path: Path,
        settings: Settings,
        serving: Serving,
        make_source: MakeSource,
        prepare: Callable[[Settings], object],
        counters: Counters,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._path = path
        self.settings = settings
        self._serving = serving
        self._make_source = make_source
        self._prepare = prepare
        self._counters = counters
        self._clock_ns = clock_ns
        self._asked = asyncio.Event()
        self.last = ReloadOutcome()

    def ask(self) -> None:
        """Ask for the settings to be read again; asking often before it happens is asking once."""
        self._asked.set()

    async def run(
        self,
        begins: Callable[[], object] = lambda: None,
        ends: Callable[[], object] = lambda: None,
    ) -> None:
        """Read the settings again whenever asked, for ever.

        Parameters
        ----------
        begins, ends : callable
            Told around each reload.
        """
        while True:
            await self._asked.wait()
            self._asked.clear()
            begins()
            try:
                await self.reload()
            except Exception as error:
                # The top of a reload: whatever this is, the agent goes on.
                logger.exception("fault while taking new settings; the agent goes on")
                self._counters.faults += 1
                self._refuse(f"fault while taking new settings: {error!r}")
            finally:
                ends()

    async def reload(self) -> None:
        """Read the settings now, and take what is different."""
        try:
            new = await asyncio.to_thread(self._load)
        except SettingsError as error:
            self._refuse(str(error))
            return
        changes = compare(self.settings, new)
        await self._take(changes)
        self.settings = changes.settings
        self._counters.reloads += 1
        self.last = ReloadOutcome("taken", self._clock_ns(), None, changes.needs_restart)
        logger.info(
            "%s: read again; sources: %d added, %d removed, %d changed, %d untouched",
            self._path.name,
            len(changes.added),
            len(changes.removed),
            len(changes.changed),
            len(sources_of(changes.settings)) - len(changes.added) - len(changes.changed),
        )
        if changes.needs_restart:
            logger.warning(
                "%s: %s changed, which takes effect when the agent is started again "
                "(`systemctl restart staybolt-edge`)",
                self._path.name,
                ", ".join(changes.needs_restart),
            )

    def _load(self) -> Settings:
        new = load_settings(self._path)
        self._prepare(new)
        return new

    def _refuse(self, problem: str) -> None:
        self._counters.reloads_refused += 1
        self.last = ReloadOutcome("refused", self._clock_ns(), problem, self.last.needs_restart)
        logger.error(
            "the new settings are refused, the agent goes on with those it has; %s", problem
        )

    async def _take(self, changes: Changes) -> None:
        after = sources_of(changes.settings)
        await asyncio.gather(*(self._serving.remove(name) for name in changes.removed))
        for name in changes.removed:
            logger.info("%s: removed from the settings; it is no longer read", name)
        for name in changes.changed:
            if await self._takes(self._serving.source(name), after[name]):
                logger.info("%s: took its new settings without a new connection", name)
                continue
            await self._serving.remove(name)
            self._serving.add(self._make_source(changes.settings, name))
            logger.info("%s: is connected anew with its new settings", name)
        for name in changes.added:
            self._serving.add(self._make_source(changes.settings, name))
            logger.info("%s: added by the settings", name)

    async def _takes(self, source: Source, settings: SourceSettings) -> bool:
        """Whether a source takes changed settings on its live connection."""
        if not isinstance(source, TakesChanges):
            return False
        try:
            async with asyncio.timeout(APPLY_TIMEOUT_S):
                return await source.apply(settings)
        except TimeoutError:
            logger.warning(
                "%s: no answer to its changes in time; it is connected anew", source.name
            )
            return False
        except Exception:
            # Whatever this is, a new connection begins with the new settings.
            logger.exception("%s: fault while taking new settings", source.name)
            self._counters.faults += 1
            return False
