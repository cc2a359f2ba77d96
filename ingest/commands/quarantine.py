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
        help="look at the lines that were set aside, mend them and try them again",
        description=(
            "Look at the lines that were set aside, mend them, and have them tried again. Used "
            "while ingest runs: it tries what is asked for within a minute, and a line that is "
            "stored by then leaves the quarantine."
        ),
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
    retry = actions.add_parser(
        "retry",
        help="have lines tried again, for example after a machine was added",
        description=(
            "Have lines tried again as they are, for example after their machine was added to the "
            "registry. Those that are still refused stay, with the reason they have then."
        ),
    )
    _add_place(retry)
    retry.add_argument("id", type=_number, nargs="*", help="numbers of the lines, from `list`")
    retry.add_argument(
        "--reason",
        metavar="TEXT",
        help="instead of numbers: all lines whose reason holds this text",
    )
    retry.set_defaults(act=_retry)
    mend = actions.add_parser(
        "mend",
        help="have something else tried in a line's place",
        description=(
            "Have something else tried in a line's place. The line as it came is kept until what "
            "was mended is stored."
        ),
    )
    _add_place(mend)
    mend.add_argument("id", type=_number, help="number of the line, from `list`")
    mend.add_argument("line", help="what to try, line protocol in quotes")
    mend.set_defaults(act=_mend)
    drop = actions.add_parser(
        "drop",
        help="remove lines that nobody needs",
        description="Remove lines that nobody needs. They can't be had back.",
    )
    _add_place(drop)
    drop.add_argument("id", type=_number, nargs="+", help="numbers of the lines, from `list`")
    drop.set_defaults(act=_drop)


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
        + ("" if line.mended is None else f"\nmended    {_plain(line.mended)}")
    )
    return EXIT_OK


def _retry(options: argparse.Namespace) -> int:
    if bool(options.id) == (options.reason is not None):
        print("give numbers of lines, or --reason TEXT, and not both", file=sys.stderr)
        return EXIT_SETTINGS
    with Quarantine(_place_of(options), must_exist=True) as quarantine:
        ids = options.id or _with_reason(quarantine, options.reason)
        return _said(quarantine.want(ids), len(ids), "are to be tried again, within a minute")


def _with_reason(quarantine: Quarantine, text: str) -> list[int]:
    ids: list[int] = []
    before_id = None
    while lines := quarantine.lines(limit=1000, before_id=before_id):
        ids += [line.id for line in lines if text in line.reason]
        before_id = lines[-1].id
    return ids


def _mend(options: argparse.Namespace) -> int:
    with Quarantine(_place_of(options), must_exist=True) as quarantine:
        n_there = quarantine.want([options.id], mended=options.line)
    return _said(n_there, 1, "are to be tried as mended, within a minute")


def _drop(options: argparse.Namespace) -> int:
    with Quarantine(_place_of(options), must_exist=True) as quarantine:
        return _said(quarantine.let_go(options.id), len(options.id), "are removed")


def _said(n_there: int, n_asked: int, what: str) -> int:
    print(f"{n_there} lines {what}")
    if n_there == n_asked:
        return EXIT_OK
    print(
        f"{n_asked - n_there} lines are not there (any more); `quarantine list` shows those that "
        "there are",
        file=sys.stderr,
    )
    return EXIT_SETTINGS


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
