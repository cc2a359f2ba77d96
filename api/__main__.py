"""The program ``staybolt``: serve, import, fit health models, and the demo."""

import argparse
import os
import sys
from collections.abc import Sequence

import api.demo.command
import api.health.command_backtest
import api.health.commands
import api.registry.commands
import api.serving

EXIT_STOPPED = 130
"""128 + SIGINT, as shells have it."""

EXIT_UNHEARD = 141
"""128 + SIGPIPE: whoever read our output has seen enough, as `head` does."""

EXIT_FAILED = 1


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
    api.health.command_backtest.add_command(commands)
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
        code = int(chosen.run(chosen))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return EXIT_STOPPED
    except BrokenPipeError:
        _forget_output()
        return EXIT_UNHEARD
    except OSError as error:
        _forget_output()
        where = "" if error.filename is None else f"{error.filename}: "
        sys.stderr.write(
            f"staybolt: {where}{error.strerror or error}; check that the disk has room, also where "
            "the output goes, and that this user may read and write there\n"
        )
        return EXIT_FAILED
    return code


def _forget_output() -> None:
    """Send what is still to be written nowhere, or Python complains of it once more at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
