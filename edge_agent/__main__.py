"""``staybolt-edge``: the program on a site's field device."""

import argparse
import sys
from collections.abc import Sequence

from edge_agent.commands import browse, check, keys, outbox, run, sample_config, status, trust
from edge_agent.commands.shared import EXIT_FAILURE, EXIT_OK, EXIT_SETTINGS
from edge_agent.errors import EdgeError, SettingsError


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line.

    Returns
    -------
    argparse.ArgumentParser
        Sets ``act``, what the command does, and an attribute for each option.
    """
    parser = argparse.ArgumentParser(
        prog="staybolt-edge",
        description=(
            "Reads machines over OPC UA and MQTT, keeps every sample in a durable outbox, and "
            "sends it to Staybolt or InfluxDB. It only ever reads; a sample is forgotten only when "
            "the store has answered that it is durable."
        ),
        epilog="Begin with `staybolt-edge sample-config > edge.toml`, then `check`, then `run`.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (run, status, check, browse, trust, keys, sample_config, outbox):
        command.add_to(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``staybolt-edge``.

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
    except EdgeError as error:
        print(error, file=sys.stderr)
        return EXIT_FAILURE
    except BrokenPipeError:
        # Whoever read our output has seen enough, as `head` does.
        sys.stderr.close()
        return EXIT_OK
    except OSError as error:
        print(f"stopped: {error}; see that there is room and leave to write", file=sys.stderr)
        return EXIT_FAILURE
    return code


if __name__ == "__main__":
    sys.exit(main())
