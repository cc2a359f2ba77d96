"""``staybolt-ingest``: takes line protocol over HTTP and MQTT, and keeps it."""

import argparse
import os
import sys
from collections.abc import Sequence

from ingest.commands import copy, machines, quarantine, sample_config, serve
from ingest.commands.shared import EXIT_FAILURE, EXIT_OK, EXIT_SETTINGS
from ingest.errors import IngestError, SettingsError


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line.

    Returns
    -------
    argparse.ArgumentParser
        Sets ``act``, what the command does, and an attribute for each option.
    """
    parser = argparse.ArgumentParser(
        prog="staybolt-ingest",
        description=(
            "Takes telemetry over InfluxDB's write API and keeps it in DuckDB or InfluxDB. A write "
            "is acknowledged only when the store has answered that it is durable; lines that can't "
            "be taken are set aside with a reason and a remedy."
        ),
        epilog="Begin with `staybolt-ingest sample-config > ingest.toml`, adapt it, then `serve`.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (serve, sample_config, machines, quarantine, copy):
        command.add_to(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``staybolt-ingest``.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command line without the program's name; None takes the process's own.

    Returns
    -------
    int
        0 if all went well, 2 for bad settings, 1 for any other failure.
    """
    options = build_parser().parse_args(arguments)
    try:
        code: int = options.act(options)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return EXIT_SETTINGS
    except IngestError as error:
        print(error, file=sys.stderr)
        return EXIT_FAILURE
    except BrokenPipeError:
        # Whoever read our output has seen enough, as `head` does.
        _forget_output()
        return EXIT_OK
    except OSError as error:
        _forget_output()
        where = "" if error.filename is None else f"{error.filename}: "
        print(
            f"{where}{error.strerror or error}; check that the disk has room, also where the "
            "output goes, and that this user may read and write there",
            file=sys.stderr,
        )
        return EXIT_FAILURE
    return code


def _forget_output() -> None:
    """Send what is still to be written nowhere, or Python complains of it once more at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
