"""``staybolt-edge check``: whether what the settings name is there, and answers."""

import argparse
import asyncio
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from edge_agent.commands.shared import EXIT_FAILURE, EXIT_OK, EXIT_SETTINGS, add_config
from edge_agent.settings_file import load_settings

if TYPE_CHECKING:
    from edge_agent.commands.shared import Commands
    from edge_agent.findings import Finding


def add_to(commands: "Commands") -> None:
    """Add the command.

    Parameters
    ----------
    commands : argparse subparsers
        Where to add it.
    """
    parser = commands.add_parser(
        "check",
        help="look at settings, files and servers",
        description=(
            "Look at the settings and the files they name, and say how to mend what is wrong."
        ),
    )
    add_config(parser)
    parser.add_argument(
        "--connect",
        action="store_true",
        help="also connect to the store, every server and every broker, and read every node once",
    )
    parser.set_defaults(act=_check)


def _check(options: argparse.Namespace) -> int:
    # Not above: it brings the OPC UA library along, which the running agent keeps out of its way.
    from edge_agent.check import check_connections, check_files

    logging.basicConfig(level=logging.CRITICAL)
    name = options.config.name
    settings = load_settings(options.config)
    print(f"{name}: settings can be read")
    files = _show(check_files(settings, name))
    connections = True
    if options.connect:
        connections = _show(asyncio.run(check_connections(settings, name)))
    if not files:
        return EXIT_SETTINGS
    return EXIT_OK if connections else EXIT_FAILURE


def _show(findings: "Iterable[Finding]") -> bool:
    is_good = True
    for finding in findings:
        print(f"{'ok  ' if finding.is_good else 'MEND'} {finding.text}")
        is_good = is_good and finding.is_good
    return is_good
