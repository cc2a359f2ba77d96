"""``staybolt-sim generate``: make data offline."""

import argparse
from datetime import UTC, datetime

from simulators.chance import check_seed
from simulators.commands.shared import add_folder, add_seed
from simulators.errors import ScenarioError
from simulators.machines import KINDS
from simulators.plant.fleet import FleetPlan, fleet_of, write_fleet
from simulators.plant.run_to_failure import write_run_to_failure
from simulators.progress import Progress
from simulators.reading import NS_PER_S
from simulators.world.cast import N_CAST
from simulators.world.law import N_MONTHS


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command.

    Parameters
    ----------
    commands : argparse subparsers
        Where to add it.
    """
    generate = commands.add_parser(
        "generate",
        help="make data offline, as CSV or Parquet",
        description="Make data offline, without any server.",
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
    _add_telemetry(
        things.add_parser(
            "telemetry",
            help="a fleet's samples, a Parquet file a machine",
            description="Write telemetry/<machine>.parquet for each machine, with a column for "
            "each signal, and what is true of it to truth/<machine>.jsonl.",
        )
    )
    _add_business(
        things.add_parser(
            "business",
            help="years of customers, contracts, visits and more",
            description="Write years of customers, contracts, visits and more, one CSV for each "
            "table, for `staybolt import`; the true risks go to truth/ beside --dir.",
        )
    )


def _add_run_to_failure(parser: argparse.ArgumentParser) -> None:
    add_folder(parser, "folder for one <kind>.csv each: unit,time_h,<signal>,…")
    add_seed(parser)
    parser.add_argument(
        "--units-per-kind", type=int, default=20, metavar="N", help="units in a file (default 20)"
    )
    parser.add_argument(
        "--modes",
        choices=("all", "first"),
        default="all",
        help="all failure modes of a kind compete, or only its most usual one (default all)",
    )
    parser.set_defaults(run=_generate_run_to_failure)


def _add_telemetry(parser: argparse.ArgumentParser) -> None:
    add_folder(parser, "folder for telemetry/ and truth/")
    add_seed(parser)
    parser.add_argument(
        "--kinds",
        default=",".join(KINDS),
        metavar="KINDS",
        help="kinds of machine between commas, taken in turn (default all)",
    )
    for name, default, kind, text in (
        ("--machines", 7, int, "how many machines"),
        ("--days", 30.0, float, "how long, ending at --until"),
        ("--step-s", 60, int, "seconds between samples: 1, 10, 60, 600, ..."),
        ("--processes", 1, int, "processes that share the work; they change no byte"),
    ):
        parser.add_argument(
            name, type=kind, default=default, metavar="N", help=f"{text} (default {default:g})"
        )
    parser.add_argument(
        "--until", metavar="TIME", help="where the samples end, 2026-01-31 (default now)"
    )
    parser.set_defaults(run=_generate_telemetry)


def _add_business(parser: argparse.ArgumentParser) -> None:
    add_folder(parser, "folder for customers.csv, visits.csv and the other tables")
    add_seed(parser)
    parser.add_argument(
        "--until", metavar="TIME", help="where the two years end, 2026-01-31 (default now)"
    )
    for name, default, text in (
        ("--customers", N_CAST, "how many customers; the demo's four are the first"),
        ("--months", N_MONTHS, "months in which customers may leave"),
    ):
        parser.add_argument(
            name, type=int, default=default, metavar="N", help=f"{text} (default {default})"
        )
    parser.set_defaults(run=_generate_business)


def _generate_run_to_failure(options: argparse.Namespace) -> None:
    paths = write_run_to_failure(
        options.dir,
        seed=options.seed,
        units_per_kind=options.units_per_kind,
        n_modes=1 if options.modes == "first" else None,
    )
    print("\n".join(str(path) for path in paths))


def _generate_telemetry(options: argparse.Namespace) -> None:
    until = datetime.now(UTC) if options.until is None else _moment(options.until)
    check_seed(options.seed)
    roles = fleet_of([kind.strip() for kind in options.kinds.split(",")], options.machines)
    plan = FleetPlan.until(
        int(until.timestamp()) * NS_PER_S,
        roles,
        options.seed,
        days=options.days,
        step_s=options.step_s,
    )
    progress = Progress()
    n_samples = 0
    for number, n_written in enumerate(
        write_fleet(options.dir, plan, n_processes=options.processes), 1
    ):
        n_samples += n_written
        progress.show(f"  {number} of {len(roles)} machines")
    print(f"{n_samples} samples of {len(roles)} machines in {options.dir / 'telemetry'}")


def _generate_business(options: argparse.Namespace) -> None:
    from simulators.world import generate_business

    check_seed(options.seed)
    until = datetime.now(UTC) if options.until is None else _moment(options.until)
    generate_business(
        options.dir,
        options.seed,
        until,
        n_customers=options.customers,
        n_months=options.months,
    )
    print(options.dir)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"--until: {text!r} is not a date; write it as 2026-01-31 or 2026-01-31T12:00:00Z"
        raise ScenarioError(msg) from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
