"""``staybolt-edge trust``: which OPC UA servers may be connected to."""

import argparse
import datetime
import logging
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
        "trust",
        help="list, accept or reject the certificates of OPC UA servers",
        description=(
            "List, accept or reject the certificates that OPC UA servers have shown. A server that "
            "is not trusted is refused and its certificate waits here; compare its fingerprint "
            "with the server's own display before you accept it. May be used while the agent "
            "runs: the next try to connect, seconds later, finds it trusted."
        ),
    )
    parser.add_argument("action", choices=("list", "accept", "reject"), help="what to do")
    parser.add_argument(
        "fingerprint", nargs="?", help="beginning of the SHA-256 fingerprint, as `list` shows it"
    )
    parser.add_argument(
        "--state-dir", type=Path, required=True, help="state folder of the agent, as in edge.toml"
    )
    parser.add_argument(
        "--trusted-servers-dir",
        type=Path,
        help="folder with trusted certificates (default: pki/trusted below the state folder)",
    )
    parser.set_defaults(act=_trust)


def _trust(options: argparse.Namespace) -> int:
    from edge_agent.errors import SettingsError
    from edge_agent.trust import rejected_folder
    from edge_agent.trust_requests import accept, reject, shown_certificates

    logging.basicConfig(format="%(message)s")
    trusted = options.trusted_servers_dir or options.state_dir / "pki" / "trusted"
    rejected = rejected_folder(options.state_dir)
    if options.action != "list":
        if options.fingerprint is None:
            msg = f"trust {options.action}: give the fingerprint of a certificate, see `trust list`"
            raise SettingsError(msg)
        act = accept if options.action == "accept" else reject
        shown = act(options.fingerprint, trusted, rejected)
        done = "is trusted" if options.action == "accept" else "is not trusted any more"
        print(f"{shown.certificate.subject.rfc4514_string()} {done}")
        return EXIT_OK
    now = datetime.datetime.now(datetime.UTC)
    certificates = list(shown_certificates(trusted, rejected))
    for each in certificates:
        print(each.words(now))
    if not certificates:
        print(f"no certificate in {trusted}, and none waits in {rejected}")
    return EXIT_OK
