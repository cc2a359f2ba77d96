"""The program ``staybolt``: serve, import, fit health models, and the demo."""

import argparse
import sys
from collections.abc import Sequence

import api.demo.command
import api.health.commands
import api.registry.commands
import api.serving

EXIT_STOPPED = 130
"""128 + SIGINT, as shells have it."""


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line.

    Returns
    -------
    argparse.ArgumentParser
        Every command leaves in ``run`` what does it.
    """
    parser = argparse.ArgumentParser(
        prog="staybolt",
        description=(
            "Keeps machines running and the customers who rely on them staying. "
            "Start with `staybolt demo`."
        ),
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    api.demo.command.add_command(commands)
    api.serving.add_commands(commands)
    api.registry.commands.add_commands(commands)
    api.health.commands.add_commands(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command line; that of the process unless told.

    Returns
    -------
    int
        Exit code: 0 done, 2 bad input or settings, 1 anything else.
    """
    chosen = build_parser().parse_args(arguments)
    try:
        return int(chosen.run(chosen))
    except KeyboardInterrupt:
        return EXIT_STOPPED


if __name__ == "__main__":
    sys.exit(main())
