"""Options and exit codes that several commands of ``staybolt-edge`` share."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
    """Where a command adds its parser; argparse has no public name for it."""

EXIT_OK: Final = 0
EXIT_FAILURE: Final = 1
EXIT_SETTINGS: Final = 2


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add ``--config``.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Parser to add to.
    """
    parser.add_argument(
        "--config", type=Path, required=True, help="settings file, see `sample-config`"
    )
