"""``staybolt backtest``: what the monitor would have said of a data set, with a page to look at."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from analytics.arrays import AnalyticsError
from api.health.backtest import backtest, summary
from api.health.backtest_data import MappingError, read_files, read_mapping
from api.health.backtest_page import page

if TYPE_CHECKING:
    # argparse has no public name for what add_subparsers returns.
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

EXIT_OK: Final = 0
EXIT_REFUSED: Final = 2


def add_command(subparsers: "Subparsers") -> None:
    """Add ``backtest`` to a program.

    Parameters
    ----------
    subparsers : argparse subparsers
        What ``parser.add_subparsers()`` returned.
    """
    parser = subparsers.add_parser(
        "backtest",
        help="try the anomaly monitor on any data set of your own",
        description=(
            "Learn from the healthy rows of each file that a mapping file names, judge the rest as "
            "if it came live, count what was found and what was false, and draw it."
        ),
    )
    parser.add_argument("mapping", type=Path, help="mapping file (TOML), see docs/detectors.md")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="folder of the data (that of the mapping file)"
    )
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="page to write (mapping file's name, .html)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Backtest, tell and draw.

    Parameters
    ----------
    arguments : argparse.Namespace
        As parsed from the command line.

    Returns
    -------
    int
        Exit code: 0 done, 2 the mapping or the data can't be used.
    """
    target = arguments.html or arguments.mapping.with_suffix(".html")
    try:
        mapping = read_mapping(arguments.mapping)
        files = read_files(mapping, arguments.data or arguments.mapping.parent)
        found = []
        for file in files:
            found.append(backtest(mapping, file))
            one = found[-1]
            told = "" if one.events is None else (
                f"{one.events.n_found} of {one.events.n_events} found, {one.events.n_false} false; "
            )  # fmt: skip
            print(f"{file.name}: {told}{one.scores.is_alarm.mean():.1%} of the time in alarm")
    except (MappingError, AnalyticsError) as error:
        sys.stderr.write(f"backtest: {error}\n")
        return EXIT_REFUSED
    figures = summary(found)
    for name, value in figures.items():
        print(f"  {name:32} {value:.4g}")
    target.write_text(page(arguments.mapping.stem, figures, found), encoding="utf-8")
    print(f"drawn in {target}")
    return EXIT_OK
