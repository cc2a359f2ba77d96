"""``staybolt fit-health-model``: from machines that ran to failure to a model in the registry."""

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Engine

from analytics.arrays import AnalyticsError
from analytics.health.model import HealthModel, HealthSettings, fit_health_model
from api.health.run_to_failure import RunToFailureTable, TableError, read_cmapss, read_table
from api.registry.database import database_url, migrate, open_engine, session
from api.registry.errors import RegistryError
from api.registry.models import HealthModelRecord

if TYPE_CHECKING:
    # argparse has no public name for what add_subparsers returns.
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

EXIT_OK: Final = 0
EXIT_REFUSED: Final = 2

USUAL_REGIME: Final = ("speed_rpm",)
"""A machine is told how fast to turn; other signals follow."""


def add_commands(subparsers: "Subparsers") -> None:
    """Add ``fit-health-model`` to a program.

    Parameters
    ----------
    subparsers : argparse subparsers
        What ``parser.add_subparsers()`` returned.
    """
    parser = subparsers.add_parser(
        "fit-health-model",
        help="learn how a kind of machine wears from units that ran to failure",
        description=(
            "Fit the health model of a kind of machine from histories of units that were "
            "watched until they failed, check it by leaving units out, print how good it proved, "
            "and put it into use. A table has the columns unit, time_h and one per signal; "
            "every unit ends at its failure."
        ),
    )
    parser.add_argument(
        "--table", type=Path, required=True, nargs="+", metavar="CSV",
        help="file with the histories; several files fit several kinds",
    )  # fmt: skip
    parser.add_argument("--kind", help="kind of machine, as in machines.csv (the name of the file)")
    parser.add_argument(
        "--mapping",
        choices=["cmapss"],
        help="the table is a text file of NASA's turbofan data, such as train_FD001.txt",
    )
    parser.add_argument(
        "--hours-per-cycle", type=float, default=1.0, help="with cmapss: length of a flight (1)"
    )
    parser.add_argument(
        "--step-h", type=float, help="time step of the model (the usual one of the table)"
    )
    parser.add_argument(
        "--regime",
        metavar="SIGNALS",
        help="signals that say what the machine is asked to do, separated by commas; the others "
        "are compared at like regimes (speed_rpm if the table has it; none for no signal)",
    )
    parser.add_argument(
        "--state-dir", type=Path, default=Path("staybolt-state"), metavar="DIR",
        help="folder of everything the server keeps (staybolt-state)",
    )  # fmt: skip
    parser.add_argument(
        "--database", metavar="URL", help="if the records are not in the state folder"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Fit, check, tell and keep a model.

    Parameters
    ----------
    arguments : argparse.Namespace
        As parsed from the command line.

    Returns
    -------
    int
        Exit code: 0 done, 2 the table or the registry can't be used.
    """
    try:
        tables = _tables(arguments)
        engine = open_engine(database_url(arguments.state_dir, arguments.database))
        try:
            migrate(engine)
            for kind, path in tables.items():
                _put_into_use(engine, arguments, kind, path)
        finally:
            engine.dispose()
    except (TableError, AnalyticsError, RegistryError) as error:
        sys.stderr.write(f"fit-health-model: {error}\n")
        return EXIT_REFUSED
    return EXIT_OK


def _tables(arguments: argparse.Namespace) -> dict[str, Path]:
    if arguments.kind is None:
        return {path.stem: path for path in arguments.table}
    if len(arguments.table) > 1:
        msg = "--kind names one kind but there are several tables; leave it out"
        raise TableError(msg)
    return {arguments.kind: arguments.table[0]}


def _put_into_use(engine: Engine, arguments: argparse.Namespace, kind: str, path: Path) -> None:
    began_s = time.perf_counter()
    table = _read(arguments, path)
    _say(
        f"{kind}: {len(table.histories)} units, {len(table.signals)} signals; "
        "fitting, and checking by leaving units out ..."
    )
    model = _fit(arguments, kind, table)
    with session(engine) as writing:
        writing.add(
            HealthModelRecord(
                kind=model.kind,
                version=model.version,
                created_at=datetime.now(UTC),
                document=model.to_document(),
                card=model.card,
            )
        )
    _say(card_text(model))
    _say(f"in use after {time.perf_counter() - began_s:.1f} s")


def card_text(model: HealthModel) -> str:
    """Tell how good a model proved.

    Parameters
    ----------
    model : HealthModel
        Just fitted.

    Returns
    -------
    str
        A few lines.
    """
    lines = [f"health model of {model.kind}, version {model.version}"]
    for name, value in model.card.items():
        if name in {"kind", "version"}:
            continue
        shown = f"{value:.3g}" if isinstance(value, float) else json.dumps(value)
        lines.append(f"  {name:<18} {shown}")
    return "\n".join(lines)


def _read(arguments: argparse.Namespace, path: Path) -> RunToFailureTable:
    if arguments.mapping == "cmapss":
        return read_cmapss(path, hours_per_cycle=arguments.hours_per_cycle)
    return read_table(path)


def _fit(arguments: argparse.Namespace, kind: str, table: RunToFailureTable) -> HealthModel:
    regime = table.regime_signals
    if arguments.regime == "none":
        regime = ()
    elif arguments.regime is not None:
        regime = tuple(name.strip() for name in arguments.regime.split(","))
    elif not regime:
        regime = tuple(name for name in USUAL_REGIME if name in table.signals)
    return fit_health_model(
        kind,
        table.signals,
        table.histories,
        step_h=table.step_h if arguments.step_h is None else arguments.step_h,
        settings=HealthSettings(regime_signals=regime),
    )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
