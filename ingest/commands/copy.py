"""``staybolt-ingest copy``: samples from one store to another."""

import argparse
import contextlib
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ingest.commands.shared import EXIT_OK, open_named_store
from ingest.copying import Copied, copy_samples
from ingest.settings import load_settings

if TYPE_CHECKING:
    from ingest.commands.shared import Commands

_SHOW_EVERY_S: Final = 0.2


def add_to(commands: "Commands") -> None:
    """Add the command.

    Parameters
    ----------
    commands : argparse subparsers
        Where to add it.
    """
    parser = commands.add_parser(
        "copy",
        help="copy all samples from one store to another, and compare them",
        description=(
            "Copy all samples from the store of one settings file to that of another, window by "
            "window; each window is read back and compared before it counts as done. A copy that "
            "was interrupted goes on where it was. Stop ingest first if its store is a DuckDB file."
        ),
        epilog=(
            "For example from DuckDB to InfluxDB: staybolt-ingest copy --config duckdb.toml "
            "--to influx.toml --notes copy.notes"
        ),
    )
    parser.add_argument(
        "--config", type=Path, required=True, help="settings file whose store is copied from"
    )
    parser.add_argument(
        "--to", type=Path, required=True, help="settings file whose store is copied to"
    )
    parser.add_argument(
        "--notes", type=Path, required=True,
        help="file that remembers what is done; the same one goes on with the same copy",
    )  # fmt: skip
    parser.add_argument(
        "--since", type=_moment, default="1970-01-01", metavar="DATE",
        help="samples from this day on, UTC (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--until", type=_moment, default="2100-01-01", metavar="DATE",
        help="samples before this day, UTC (default: %(default)s)",
    )  # fmt: skip
    parser.set_defaults(act=_copy)


def _copy(options: argparse.Namespace) -> int:
    source, target = load_settings(options.config), load_settings(options.to)
    with (
        contextlib.closing(open_named_store(source, options.config.name)) as here,
        contextlib.closing(open_named_store(target, options.to.name)) as there,
    ):
        progress = _Progress(options.since, options.until)
        copied = copy_samples(
            here,
            there,
            options.notes,
            start_ns=options.since,
            end_ns=options.until,
            watch=progress.show,
        )
    progress.end()
    print(f"{copied.n_samples} samples are in both stores, compared one by one")
    print(f"digest {copied.digest or 'of nothing'}")
    return EXIT_OK


class _Progress:
    """A line on the terminal that renews itself; nothing where nobody watches."""

    def __init__(self, start_ns: int, end_ns: int) -> None:
        self._start_ns, self._end_ns = start_ns, max(end_ns, start_ns + 1)
        self._shown_at_s = 0.0

    def show(self, state: Copied) -> None:
        now_s = time.monotonic()
        if not sys.stderr.isatty() or now_s - self._shown_at_s < _SHOW_EVERY_S:
            return
        self._shown_at_s = now_s
        of_group = (state.upto_ns - self._start_ns) / (self._end_ns - self._start_ns)
        share = (state.group + of_group) / max(state.n_groups, 1)
        bar = "#" * round(30 * share)
        print(
            f"\r[{bar:<30}] {share:4.0%}  {state.n_samples} samples",
            end="",
            file=sys.stderr,
            flush=True,
        )

    def end(self) -> None:
        if self._shown_at_s:
            print(file=sys.stderr)


def _moment(text: str) -> int:
    """Read a day as the moment at which it begins.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is none.
    """
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        msg = f"{text!r} is no day; write it as in 2026-01-31"
        raise argparse.ArgumentTypeError(msg) from error
    return int(day.timestamp()) * 1_000_000_000
