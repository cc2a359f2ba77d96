"""Puts one agent together and runs it: the runtime, and beside it those who watch over it.

What watches never has a say: if a part of it fails, that is logged and counted, and samples go on.
"""

import asyncio
import logging
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

from edge_agent.core import AgentCore
from edge_agent.counters import Counters
from edge_agent.making import make_source, prepare_sources
from edge_agent.memory import give_back_forever
from edge_agent.oncall.health import reasons
from edge_agent.oncall.heartbeat import Heartbeat
from edge_agent.oncall.observer import Observer
from edge_agent.oncall.service_manager import ServiceManager
from edge_agent.oncall.status_server import StatusServer
from edge_agent.outbox import Outbox
from edge_agent.reload import Reloader
from edge_agent.runtime import Runtime
from edge_agent.settings import Settings
from edge_agent.settings_changes import sources_of
from edge_agent.uplink_making import make_uplink

logger = logging.getLogger(__name__)

STATUS_LINE_EVERY_S: Final = 30.0


async def run_agent(settings: Settings, config: Path, outbox: Outbox) -> None:
    """Run until SIGTERM or SIGINT; SIGHUP reads the settings again.

    Parameters
    ----------
    settings : Settings
        What to do.
    config : Path
        File that they come from.
    outbox : Outbox
        Where samples are kept; closed at the end.
    """
    counters = Counters()
    names = list(sources_of(settings))
    runtime = Runtime(
        AgentCore(
            group_commit_s=settings.outbox.group_commit_ms / 1000,
            max_body_bytes=settings.uplink.max_batch_bytes,
            retry_max_s=settings.uplink.retry_max_s,
        ),
        outbox,
        lambda lane: make_uplink(settings, lane, lambda: outbox.outbox_id),
        [make_source(settings, name, counters) for name in names],
        counters,
    )
    reloader = Reloader(
        config,
        settings,
        runtime.serving,
        lambda new, name: make_source(new, name, counters),
        prepare_sources,
        counters,
    )
    stop = asyncio.Event()
    _listen_to_signals(stop, reloader, counters)
    logger.info(
        "site %s, agent %s: reading %s, sending to %s",
        settings.site,
        settings.agent,
        ", ".join(names),
        runtime.place,
    )
    async with _Watchers(runtime, reloader, counters):
        await runtime.run(stop)


def _listen_to_signals(stop: asyncio.Event, reloader: Reloader, counters: Counters) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reloader.ask)

    def unexpected(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        logger.error(
            "fault in the event loop: %s", context["message"], exc_info=context.get("exception")
        )
        counters.faults += 1

    loop.set_exception_handler(unexpected)


class _Watchers:
    """Everything that runs beside the runtime, from its start to its end."""

    def __init__(self, runtime: Runtime, reloader: Reloader, counters: Counters) -> None:
        self._reloader = reloader
        self._counters = counters
        self._manager = ServiceManager()
        self._observer = observer = Observer(runtime, reloader)
        self._server = StatusServer(observer.look)
        self._heartbeat = Heartbeat(
            observer.look,
            lambda: runtime.ask_outbox(Outbox.gaps),
            runtime,
            lambda: reloader.settings,
            counters,
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> None:
        manager = self._manager
        await self._listen()
        self._start("watchdog", manager.feed_watchdog())
        self._start("reload", self._reloader.run(manager.reloading, manager.ready))
        self._start("certificates", self._observer.watch_certificates())
        self._start("status line", self._tell_status_line())
        self._start("heartbeat", self._heartbeat.run())
        self._start("memory", give_back_forever())
        manager.ready()

    async def __aexit__(self, *_: object) -> None:
        self._manager.stopping()
        for task in self._tasks:
            task.cancel()
        await self._server.close()

    async def _listen(self) -> None:
        """Answer who asks; a place that can't be had is no reason not to run."""
        settings = self._reloader.settings
        status, path = settings.status, settings.status_socket_path
        try:
            await self._server.listen_at(path)
        except OSError as error:
            logger.warning("%s: can't answer there (%s); `status` will not work", path, error)
        if status.port:
            try:
                await self._server.listen_on(status.host, status.port)
            except OSError as error:
                logger.warning(
                    "status.port: can't answer at %s:%d (%s); /healthz and /metrics will not "
                    "work; choose another port, or 0 for none",
                    status.host,
                    status.port,
                    error.strerror or error,
                )

    async def _tell_status_line(self) -> None:
        """Tell systemd now and then how the agent is, which `systemctl status` shows."""
        while self._manager.is_there:
            found = reasons(await self._observer.look())
            codes = ", ".join(sorted({reason.code for reason in found}))
            self._manager.tell(f"STATUS={f'not well: {codes}' if codes else 'well'}")
            await asyncio.sleep(STATUS_LINE_EVERY_S)

    def _start(self, name: str, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("fault in %s; samples are not concerned", task.get_name(), exc_info=error)
            self._counters.faults += 1
