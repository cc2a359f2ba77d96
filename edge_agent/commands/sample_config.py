"""``staybolt-edge sample-config``: a settings file to begin with."""

import argparse
from typing import TYPE_CHECKING

from edge_agent.commands.shared import EXIT_OK
from edge_agent.settings_file import SAMPLE_CONFIG

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
        "sample-config",
        help="print a settings file that explains every option",
        description="Print a settings file that explains every option.",
    )
    parser.set_defaults(act=_print)


def _print(_options: argparse.Namespace) -> int:
    print(SAMPLE_CONFIG.read_text(encoding="utf-8"), end="")
    return EXIT_OK
