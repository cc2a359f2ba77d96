"""``staybolt-edge keys``: the agent's own certificate."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.commands.shared import EXIT_OK

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
        "keys",
        help="make the agent's own certificate",
        description=(
            "Make the agent's own OPC UA certificate and key if they are not there, and print the "
            "certificate's path; copy that file into the trust list of each OPC UA server."
        ),
    )
    parser.add_argument(
        "--state-dir", type=Path, required=True, help="state folder of the agent, as in edge.toml"
    )
    parser.add_argument(
        "--application-uri",
        help="application URI of a new certificate (default: urn:staybolt:edge: and the host name)",
    )
    parser.set_defaults(act=_ensure)


def _ensure(options: argparse.Namespace) -> int:
    # Not above: it brings a library along that the running agent has no use for.
    from edge_agent.keys import ensure_keys

    keys, _ = ensure_keys(options.state_dir, options.application_uri)
    print(keys.certificate_path)
    return EXIT_OK
