"""``staybolt-edge status``: how the running agent is."""

import argparse
import contextlib
import json
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge_agent.commands.shared import EXIT_FAILURE, EXIT_OK
from edge_agent.errors import SettingsError
from edge_agent.oncall.socket_file import NotRunningError, ask
from edge_agent.oncall.status import status_text
from edge_agent.settings_file import load_settings

if TYPE_CHECKING:
    from edge_agent.commands.shared import Commands

EXIT_NOT_RUNNING: Final = 3
"""As of systemctl: the program is not running."""

SOCKET_NAME: Final = "status.sock"


def add_to(commands: "Commands") -> None:
    """Add the command.

    Parameters
    ----------
    commands : argparse subparsers
        Where to add it.
    """
    parser = commands.add_parser(
        "status",
        help="ask the running agent how it is",
        description=(
            "Ask the running agent how it is, over a socket in its state folder. Exit code 0 if it "
            "is well, 1 if it is not or can't be asked, 2 for bad settings, 3 if it is not running."
        ),
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--config", type=Path, help="settings file of the agent")
    where.add_argument(
        "--state-dir", type=Path, help="state folder of the agent, in place of its settings file"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON document for programs")
    parser.set_defaults(act=_status)


def _status(options: argparse.Namespace) -> int:
    folder = options.state_dir if options.config is None else _state_dir(options.config)
    try:
        document = ask(folder / SOCKET_NAME)
    except NotRunningError as error:
        if options.json:
            print(json.dumps({"is_running": False, "is_healthy": False, "text": str(error)}))
        else:
            print(error, file=sys.stderr)
        return EXIT_NOT_RUNNING
    if options.json:
        print(json.dumps({"is_running": True, **document}, ensure_ascii=False, indent=1))
    else:
        print(status_text(document), end="")
    return EXIT_OK if document["is_healthy"] else EXIT_FAILURE


def _state_dir(config: Path) -> Path:
    """Find the state folder, also in settings that are wrong elsewhere.

    After a reload was refused the file is wrong, and the agent that runs is to say so.

    Raises
    ------
    SettingsError
        If it does not even name a state folder.
    """
    try:
        return load_settings(config).state_dir
    except SettingsError:
        with contextlib.suppress(OSError, ValueError):
            named = tomllib.loads(config.read_text(encoding="utf-8")).get("state_dir")
            if isinstance(named, str):
                return config.resolve().parent / named
        raise
