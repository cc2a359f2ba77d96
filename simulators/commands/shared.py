"""Options and set-up that several commands of ``staybolt-sim`` share."""

import argparse
import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from simulators.errors import ScenarioError

if TYPE_CHECKING:
    from simulators.live.files import EdgePlan
    from simulators.live.stage import Stage


def add_folder(parser: argparse.ArgumentParser, text: str) -> None:
    """Add ``--dir``.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Parser to add to.
    text : str
        What the folder is for.
    """
    parser.add_argument("--dir", type=Path, required=True, metavar="DIR", help=text)


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Add ``--seed``.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Parser to add to.
    """
    parser.add_argument(
        "--seed", type=int, default=7, metavar="N", help="same seed, same machines (default 7)"
    )


def add_network(parser: argparse.ArgumentParser) -> None:
    """Add where servers listen, whom they trust, and what the edge agent is told.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Parser to add to.
    """
    servers = parser.add_argument_group("servers", "All of them listen on 127.0.0.1 only.")
    servers.add_argument(
        "--trust-client",
        type=Path,
        action="append",
        required=True,
        metavar="CERT.der",
        help="certificate of a client that may read over OPC UA; give it again for each client",
    )
    servers.add_argument(
        "--opcua-port", type=port, metavar="PORT", help="first OPC UA port (default: free ones)"
    )
    servers.add_argument(
        "--mqtt-port", type=port, metavar="PORT", help="MQTT port (default: a free one)"
    )
    edge = parser.add_argument_group("edge agent", "With these, edge.toml is written for it.")
    edge.add_argument("--uplink-url", metavar="URL", help="where the agent sends samples")
    edge.add_argument(
        "--uplink-token-file", type=Path, metavar="FILE", help="file with the token for that"
    )
    edge.add_argument(
        "--edge-state-dir",
        type=Path,
        metavar="DIR",
        help="folder of the agent's outbox and keys (default: edge below --dir)",
    )


def port(text: str) -> int:
    """Read the number of a port.

    Parameters
    ----------
    text : str
        What the user wrote.

    Returns
    -------
    int
        From 1 to 65535.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is anything else.
    """
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 65535:
        msg = f"{text} is not a port; give a number from 1 to 65535"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def make_folder(folder: Path) -> None:
    """Make the folder of ``--dir`` if it is not there.

    Parameters
    ----------
    folder : Path
        The folder.

    Raises
    ------
    ScenarioError
        If it can't be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"--dir: {folder} can't be made a folder ({error.strerror}); choose another place"
        raise ScenarioError(msg) from error
    if not os.access(folder, os.W_OK):
        msg = f"--dir: {folder} can't be written to; choose another place or change its rights"
        raise ScenarioError(msg)


@contextlib.asynccontextmanager
async def on_stage(stage: "Stage") -> AsyncIterator[asyncio.Event]:
    """Start a stage and stop it whatever happens; SIGTERM and Ctrl-C set the event.

    Parameters
    ----------
    stage : Stage
        The servers.

    Yields
    ------
    asyncio.Event
        Set when the play is to end.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await stage.start()
        yield stop
    finally:
        await stage.stop()


def edge_plan(options: argparse.Namespace) -> "EdgePlan | None":
    """Read what the edge agent is to be told.

    Parameters
    ----------
    options : argparse.Namespace
        Options of `add_network`.

    Returns
    -------
    EdgePlan or None
        None when no settings are wanted for it.

    Raises
    ------
    ScenarioError
        If the token is not named.
    """
    from simulators.live.files import EdgePlan

    if options.uplink_url is None:
        return None
    if options.uplink_token_file is None:
        msg = (
            "--uplink-token-file: missing beside --uplink-url; name the file that holds the token "
            "for ingest"
        )
        raise ScenarioError(msg)
    state_dir = options.edge_state_dir or options.dir / "edge"
    return EdgePlan(options.uplink_url, options.uplink_token_file.resolve(), state_dir.resolve())
