"""``staybolt-ingest quarantine``: the lines that were set aside."""

import argparse
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ingest.commands.shared import EXIT_OK, EXIT_SETTINGS
from ingest.quarantine import Quarantine, QuarantinedLine
from ingest.settings import load_settings

if TYPE_CHECKING:
    from ingest.commands.shared import Commands

_SHOWN_CHARACTERS: Final = 100
_LARGEST_NUMBER: Final = 2**63 - 1


def add_to(commands: "Commands") -> None:
    """Add the command.

    Parameters
    ----------
    commands : argparse subparsers
        Where to add it.
    """
    quarantine = commands.add_parser(
        "quarantine",
        help="look at the lines that were set aside",
        description="Look at the lines that were set aside. May be used while ingest runs.",
    )
    actions = quarantine.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser(
        "list",
        help="list lines with their reasons, newest first",
        description="List the lines that were set aside with their reasons, newest first.",
    )
    _add_place(listing)
    listing.add_argument(
        "--limit", type=_number, default=20, metavar="N",
        help="lines at most (default: %(default)s)",
    )  # fmt: skip
    listing.add_argument(
        "--before", type=_number, metavar="ID", help="go on below this number, from an earlier list"
    )
    listing.add_argument(
        "--json", action="store_true", help="one JSON object on each line, the lines whole"
    )
    listing.set_defaults(act=_list)
    show = actions.add_parser(
        "show",
        help="show one line whole, and how to mend it",
        description="Show one line whole, why it was set aside, and how to mend it.",
    )
    _add_place(show)
    show.add_argument("id", type=_number, help="number of the line, from `list`")
    show.set_defaults(act=_show)


def _place_of(options: argparse.Namespace) -> Path:
    return options.file or load_settings(options.config).quarantine.path


def _list(options: argparse.Namespace) -> int:
    with Quarantine(_place_of(options), must_exist=True) as quarantine:
        lines = quarantine.lines(limit=options.limit, before_id=options.before)
        count = quarantine.count()
    if options.json:
        for line in lines:
            print(json.dumps(asdict(line)))
        return EXIT_OK
    for line in lines:
        print(f"{line.id}  {_time_of(line)}  {line.device}  {_plain(line.reason)}")
        text = _plain(line.line)
        is_long = len(text) > _SHOWN_CHARACTERS
        print(f"    {text[:_SHOWN_CHARACTERS]}{'…' if is_long else ''}")
    print(
        f"{count.n_kept} lines are set aside"
        + (f", {count.n_dropped} older ones had to make room" if count.n_dropped else "")
    )
    return EXIT_OK


def _show(options: argparse.Namespace) -> int:
    with Quarantine(_place_of(options), must_exist=True) as quarantine:
        line = quarantine.show(options.id)
    if line is None:
        print(
            f"there is no line {options.id}; `quarantine list` shows those that there are",
            file=sys.stderr,
        )
        return EXIT_SETTINGS
    print(
        f"line      {_plain(line.line)}\n"
        f"received  {_time_of(line)} from {line.device}\n"
        f"reason    {_plain(line.reason)}\n"
        f"remedy    {_plain(line.remedy)}"
    )
    return EXIT_OK


def _time_of(line: QuarantinedLine) -> str:
    return f"{datetime.fromtimestamp(line.received_at_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _plain(text: str) -> str:
    """Show control characters as escapes: a line must not steer the terminal it is shown on."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def _number(text: str) -> int:
    """Read a number from 1 up that SQLite can hold.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is none.
    """
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= _LARGEST_NUMBER:
        msg = f"{text!r} is not a number from 1 to {_LARGEST_NUMBER}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _add_place(parser: argparse.ArgumentParser) -> None:
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--config", type=Path, help="settings file of ingest, see `sample-config`")
    place.add_argument(
        "--file", type=Path,
        help="the quarantine itself: quarantine.sqlite in the state folder of `staybolt serve`",
    )  # fmt: skip
