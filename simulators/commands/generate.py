"""``staybolt-sim generate``: make data offline."""

import argparse
from datetime import UTC, datetime

from simulators.chance import check_seed
from simulators.commands.shared import add_folder, add_seed
from simulators.errors import ScenarioError
from simulators.plant.run_to_failure import write_run_to_failure


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command.

    Parameters
    ----------
    commands : argparse subparsers
        Where to add it.
    """
    generate = commands.add_parser(
        "generate", help="make data offline, as CSV", description="Make data offline, as CSV."
    )
    things = generate.add_subparsers(dest="what", required=True, metavar="WHAT")
    _add_run_to_failure(
        things.add_parser(
            "run-to-failure",
            help="machines from new to failed, a file a kind",
            description="Write machines from new to failed, one CSV for each kind, to fit health "
            "models on.",
        )
    )
    _add_business(
        things.add_parser(
            "business",
            help="two years of customers, contracts, visits and more",
            description="Write two years of customers, contracts, visits and more, one CSV for "
            "each table, for `staybolt import`.",
        )
    )


def _add_run_to_failure(parser: argparse.ArgumentParser) -> None:
    add_folder(parser, "folder for one <kind>.csv each: unit,time_h,<signal>,…")
    add_seed(parser)
    parser.add_argument(
        "--units-per-kind", type=int, default=20, metavar="N", help="units in a file (default 20)"
    )
    parser.set_defaults(run=_generate_run_to_failure)


def _add_business(parser: argparse.ArgumentParser) -> None:
    add_folder(parser, "folder for customers.csv, visits.csv and the other tables")
    add_seed(parser)
    parser.add_argument(
        "--until", metavar="TIME", help="where the two years end, 2026-01-31 (default now)"
    )
    parser.set_defaults(run=_generate_business)


def _generate_run_to_failure(options: argparse.Namespace) -> None:
    paths = write_run_to_failure(
        options.dir, seed=options.seed, units_per_kind=options.units_per_kind
    )
    print("\n".join(str(path) for path in paths))


def _generate_business(options: argparse.Namespace) -> None:
    from simulators.world import generate_business

    check_seed(options.seed)
    until = datetime.now(UTC) if options.until is None else _moment(options.until)
    generate_business(options.dir, options.seed, until)
    print(options.dir)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"--until: {text!r} is not a date; write it as 2026-01-31 or 2026-01-31T12:00:00Z"
        raise ScenarioError(msg) from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
