"""``staybolt-edge run``: the agent itself."""

import argparse
import asyncio
import contextlib
import fcntl
import logging
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.commands.shared import EXIT_OK, add_config
from edge_agent.core import AgentCore
from edge_agent.counters import Counters
from edge_agent.errors import SettingsError
from edge_agent.outbox import Outbox
from edge_agent.ports import Source
from edge_agent.runtime import Runtime
from edge_agent.settings import Settings
from edge_agent.settings_file import load_settings, read_secret
from edge_agent.sources.making import make_sources
from edge_agent.uplink_http import HttpUplink

if TYPE_CHECKING:
    from edge_agent.commands.shared import Commands

logger = logging.getLogger("edge_agent")


def add_to(commands: "Commands") -> None:
    """Add the command.

    Parameters
    ----------
    commands : argparse subparsers
        Where to add it.
    """
    parser = commands.add_parser(
        "run",
        help="read, keep and send until stopped",
        description=(
            "Read, keep and send until stopped by SIGTERM or Ctrl-C. Everything received is in the "
            "outbox before the program ends."
        ),
    )
    add_config(parser)
    parser.add_argument(
        "--verbose", action="store_true", help="log also what the OPC UA library has to say"
    )
    parser.set_defaults(act=_run)


def _run(options: argparse.Namespace) -> int:
    settings = load_settings(options.config)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # What matters of the library's talk is said by our own messages, in words for a person.
    logging.getLogger("asyncua").setLevel(logging.INFO if options.verbose else logging.CRITICAL)
    read_secret(settings.uplink.token_file)
    with _only_agent(settings.state_dir):
        counters = Counters()
        sources = make_sources(settings, counters)
        outbox = Outbox(settings.outbox_path, settings.outbox.max_bytes)
        core = AgentCore(
            group_commit_s=settings.outbox.group_commit_ms / 1000,
            max_body_bytes=settings.uplink.max_batch_bytes,
            retry_max_s=settings.uplink.retry_max_s,
        )
        asyncio.run(_serve(core, outbox, settings, sources, counters))
    return EXIT_OK


async def _serve(
    core: AgentCore,
    outbox: Outbox,
    settings: Settings,
    sources: Sequence[Source],
    counters: Counters,
) -> None:
    runtime = Runtime(core, outbox, lambda _lane: HttpUplink(settings.uplink), sources, counters)
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def unexpected(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        logger.error(
            "fault in the event loop: %s", context["message"], exc_info=context.get("exception")
        )
        counters.faults += 1

    loop.set_exception_handler(unexpected)
    logger.info(
        "site %s: reading %s, sending to %s",
        settings.site,
        ", ".join(source.name for source in sources),
        settings.uplink.url,
    )
    await runtime.run(stop)


@contextlib.contextmanager
def _only_agent(state_dir: Path) -> Iterator[None]:
    """Hold the state folder, so that a second agent can't use the same outbox and sessions.

    Raises
    ------
    SettingsError
        If it can't be written or another agent holds it.
    """
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(state_dir / "agent.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        msg = (
            f"state_dir {state_dir}: {error.strerror or error}; give a folder that this user may "
            "write, or change its owner"
        )
        raise SettingsError(msg) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            msg = (
                f"another agent is running with state_dir {state_dir}; stop it first, or give this "
                "one a folder of its own"
            )
            raise SettingsError(msg) from error
        yield
    finally:
        os.close(descriptor)
