"""``staybolt-edge browse``: what an OPC UA server has, as settings."""

import argparse
import asyncio
import logging
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.commands.shared import EXIT_FAILURE, EXIT_OK
from edge_agent.errors import SettingsError
from edge_agent.key_files import keys_folder

if TYPE_CHECKING:
    from edge_agent.commands.shared import Commands
    from edge_agent.settings_opcua import OpcuaSettings
    from edge_agent.sources.opcua_browse import Survey

_ANY_NODE = {
    "namespace_uri": "http://opcfoundation.org/UA/",
    "node_id": "i=2258",
    "machine": "server",
    "signal": "any_count",
    "unit": "1",
}
"""Settings of a server name a node at least; this one is not read."""


def add_to(commands: "Commands") -> None:
    """Add the command.

    Parameters
    ----------
    commands : argparse subparsers
        Where to add it.
    """
    parser = commands.add_parser(
        "browse",
        help="find out what an OPC UA server has, and write it as settings",
        description=(
            "Walk an OPC UA server and write an [[opcua]] block with a node for each variable that "
            "can be read: machine and signal are named after the server's names, units come from "
            "its EngineeringUnits. What has no known unit is written as a comment, for you to "
            "decide. Only reads; nothing is subscribed to."
        ),
        epilog=(
            "Begin with `browse opc.tcp://HOST:4840 --state-dir DIR --endpoints`, which needs no "
            "trust and shows how the server is secured. Then `trust accept` its certificate, let "
            "the server trust ours (`keys`), and run without --endpoints; add --match to choose. "
            "Look through the file, put it into edge.toml, and run `check --connect`."
        ),
    )
    parser.add_argument("endpoint", help="address of the server, such as opc.tcp://10.0.0.5:4840")
    parser.add_argument(
        "--state-dir", type=Path, required=True, help="state folder of the agent, as in edge.toml"
    )
    parser.add_argument(
        "--trusted-servers-dir",
        type=Path,
        help="folder with trusted certificates (default: pki/trusted below the state folder)",
    )
    parser.add_argument("--name", default="server-1", help="name of the server in the settings")
    parser.add_argument("--security", help="as in edge.toml (default: the secure one)")
    parser.add_argument("--user", help="user name, with --password-file (default: anonymous)")
    parser.add_argument("--password-file", type=Path, help="file that holds the password")
    parser.add_argument("--user-certificate-file", type=Path, help="be a user by certificate")
    parser.add_argument("--user-key-file", type=Path, help="file with that certificate's key")
    parser.add_argument(
        "--endpoints", action="store_true", help="only show servers, endpoints and certificates"
    )
    parser.add_argument(
        "--match",
        metavar="REGEX",
        help="only variables whose path matches, such as 'press-0[1-4]/'",
    )
    parser.add_argument("--exclude", metavar="REGEX", help="no variables whose path matches")
    parser.add_argument(
        "--max-depth", type=int, default=10, help="levels below Objects (default: %(default)s)"
    )
    parser.add_argument(
        "--max-nodes", type=int, default=10_000, help="variables at most (default: %(default)s)"
    )
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="file to write; one that exists is not replaced"
    )
    parser.set_defaults(act=_browse)


def _browse(options: argparse.Namespace) -> int:
    # asyncua is loaded only where it is used: other commands start in half the time.
    from edge_agent.sources.opcua_proposal import block

    logging.basicConfig(level=logging.CRITICAL)
    settings = _settings_of(options)
    if options.endpoints:
        return asyncio.run(_endpoints(settings, options.state_dir))
    if options.write is not None and options.write.exists():
        msg = f"--write {options.write}: is there already; name another file, or move it away"
        raise SettingsError(msg)
    found = asyncio.run(_survey(settings, options))
    text = block(options.name, options.endpoint, str(settings.trusted_servers_dir), found.variables)
    n_ready = text.count("\n[[opcua.nodes]]")
    if options.write is None:
        print(text, end="")
    else:
        options.write.write_text(text, encoding="utf-8")
    where = "" if options.write is None else f", written to {options.write}"
    print(
        f"{found.n_seen} nodes seen, {len(found.variables)} variables, {n_ready} ready to be read"
        f"{where}{'; there is more beyond --max-depth or --max-nodes' if found.is_cut else ''}",
        file=sys.stderr,
    )
    return EXIT_OK if found.variables else EXIT_FAILURE


def _settings_of(options: argparse.Namespace) -> "OpcuaSettings":
    """Check the options as those of a settings file are.

    Raises
    ------
    SettingsError
        If one is wrong.
    """
    from pydantic import ValidationError

    from edge_agent.settings_errors import explain
    from edge_agent.settings_opcua import OpcuaSettings

    given: dict[str, Any] = {
        "name": options.name,
        "endpoint": options.endpoint,
        "trusted_servers_dir": options.trusted_servers_dir or options.state_dir / "pki" / "trusted",
        "security": options.security,
        "user": options.user,
        "password_file": options.password_file,
        "user_certificate_file": options.user_certificate_file,
        "user_key_file": options.user_key_file,
    }
    document = {key: value for key, value in given.items() if value is not None}
    try:
        return OpcuaSettings.model_validate({**document, "nodes": [_ANY_NODE]})
    except ValidationError as error:
        raise SettingsError(explain(error, OpcuaSettings, "browse")) from error


async def _survey(settings: "OpcuaSettings", options: argparse.Namespace) -> "Survey":
    from edge_agent.keys import ensure_keys
    from edge_agent.sources.opcua_browse import Bounds, survey
    from edge_agent.sources.opcua_link import CLIENT_ERRORS, OpcuaLink

    keys, _ = ensure_keys(options.state_dir)
    settings.trusted_servers_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    link = OpcuaLink(settings, keys, options.state_dir)
    bounds = Bounds(
        options.max_depth,
        options.max_nodes,
        _pattern("--match", options.match),
        _pattern("--exclude", options.exclude),
    )
    await link.open()
    try:
        return await survey(link.client, bounds, _tell)
    except CLIENT_ERRORS as error:
        raise link.lost(error) from error
    finally:
        await link.end()


def _tell(n_seen: int, n_found: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{n_seen} nodes seen, {n_found} variables …", end="", file=sys.stderr, flush=True)


def _pattern(option: str, text: str | None) -> re.Pattern[str] | None:
    try:
        return None if text is None else re.compile(text)
    except re.error as error:
        msg = f"{option} {text!r}: {error}; write a regular expression, such as 'press-0[1-4]/'"
        raise SettingsError(msg) from error


async def _endpoints(settings: "OpcuaSettings", state_dir: Path) -> int:
    from edge_agent.sources.opcua_discovery import discover

    async for line in discover(settings, state_dir):
        print(line)
    own = keys_folder(state_dir)
    print(f"our own certificate is in {own}; `staybolt-edge keys` makes it and prints its path")
    return EXIT_OK
