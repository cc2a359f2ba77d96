"""``staybolt-edge run``: the agent itself."""

import argparse
import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.agent import run_agent
from edge_agent.commands.shared import EXIT_OK, add_config
from edge_agent.errors import SettingsError
from edge_agent.making import prepare_sources
from edge_agent.memory import use_one_arena
from edge_agent.oncall.log_lines import LineHandler
from edge_agent.outbox import Outbox
from edge_agent.settings_file import load_settings, read_secret

if TYPE_CHECKING:
    from edge_agent.commands.shared import Commands


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
    # Until the event loop listens to it, a reload asked for too soon must not end the agent.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    use_one_arena()
    settings = load_settings(options.config)
    logging.basicConfig(level=logging.INFO, handlers=[LineHandler(sys.stderr, os.environ)])
    # What matters of the library's talk is said by our own messages, in words for a person.
    logging.getLogger("asyncua").setLevel(logging.INFO if options.verbose else logging.CRITICAL)
    for path in (settings.uplink.token_file, settings.uplink.password_file):
        if path is not None:
            read_secret(path)
    with _only_agent(settings.state_dir):
        prepare_sources(settings)
        outbox = Outbox(
            settings.outbox_path,
            settings.outbox.max_bytes,
            max_age_h=settings.outbox.max_age_h,
        )
        asyncio.run(run_agent(settings, options.config, outbox))
    return EXIT_OK


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
