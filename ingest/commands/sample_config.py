"""``staybolt-ingest sample-config``: a settings file that explains every option."""

import argparse
from typing import TYPE_CHECKING

from ingest.commands.shared import EXIT_OK
from ingest.settings import SAMPLE_CONFIG

if TYPE_CHECKING:
    from ingest.commands.shared import Commands


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
    parser.set_defaults(act=_show)


def _show(options: argparse.Namespace) -> int:
    del options
    print(SAMPLE_CONFIG.read_text(encoding="utf-8"), end="")
    return EXIT_OK
