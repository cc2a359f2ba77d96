"""The registry's part of the program `staybolt`: import, take back, and what was set aside.

`add_commands` registers the sub-commands; each leaves in ``arguments.run`` the function that does
it and returns the exit code.
"""

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError, OperationalError

from api.registry.csv_rows import TABLES
from api.registry.database import (
    MEND_DAMAGE,
    database_url,
    is_damage,
    migrate,
    open_engine,
    read_session,
)
from api.registry.errors import (
    ImportRefusedError,
    RegistryError,
    RegistryUnavailableError,
    UndoRefusedError,
)
from api.registry.importer import import_folder
from api.registry.models import ImportBatch, SetAsideRow
from api.registry.report import SetAside, listed
from api.registry.undo import undo_import

if TYPE_CHECKING:
    # argparse has no public name for what add_subparsers returns.
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_REFUSED: Final = 2
EXIT_SET_ASIDE: Final = 3

LARGEST_NUMBER: Final = 2**31 - 1
"""PostgreSQL's integer ends here."""

_IMPORT_HELP: Final = f"""\
Import business facts from a folder of CSV files: any of
{", ".join(table.file for table in TABLES)}.

UTF-8; comma, semicolon or tab; dates as 2026-01-31, times as 2026-01-31T14:00:00Z, true or false,
an empty cell where a value is not known. Rows that can't be understood are set aside with their
line, column and remedy, and all others go in together. Importing a folder again changes nothing;
a changed row goes in as a correction.

Exit code 0: all rows are in; 3: some were set aside; 2: refused, nothing was written; 1: failed.
"""


def add_commands(subparsers: "Subparsers") -> None:
    """Add ``import``, ``imports`` and ``set-aside`` to a program.

    Parameters
    ----------
    subparsers : argparse subparsers
        What ``parser.add_subparsers()`` returned.
    """
    importing = subparsers.add_parser(
        "import",
        help="import business facts from CSV files",
        description=_IMPORT_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    importing.add_argument("folder", type=Path, metavar="FOLDER", help="folder with the CSV files")
    _add_place(importing)
    importing.set_defaults(run=_guarded(_import, must_exist=False))

    imports = subparsers.add_parser("imports", help="list imports, or take one back")
    actions = imports.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="every import, newest last")
    _add_place(listing)
    listing.set_defaults(run=_guarded(_list_imports))
    undoing = actions.add_parser("undo", help="take back everything one import wrote")
    undoing.add_argument("import_id", type=_number, metavar="NUMBER", help="number of the import")
    _add_place(undoing)
    undoing.set_defaults(run=_guarded(_undo))

    set_aside = subparsers.add_parser("set-aside", help="rows that could not be imported")
    set_aside_actions = set_aside.add_subparsers(required=True, metavar="ACTION")
    showing = set_aside_actions.add_parser(
        "list", help="rows set aside by the newest import of each folder, with their remedies"
    )
    showing.add_argument(
        "--import",
        dest="import_id",
        type=_number,
        metavar="NUMBER",
        help="rows of this import instead",
    )
    showing.add_argument(
        "--limit", type=_number, default=1000, metavar="N", help="show at most so many (1000)"
    )
    _add_place(showing)
    showing.set_defaults(run=_guarded(_list_set_aside))


def _number(text: str) -> int:
    """Read a number from 1 up that every database can hold.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is none.
    """
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= LARGEST_NUMBER:
        msg = f"{text!r} is not a number from 1 to {LARGEST_NUMBER}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=Path("staybolt-state"),
        metavar="DIR",
        help="folder of everything the server keeps (./staybolt-state)",
    )
    parser.add_argument(
        "--database",
        metavar="URL",
        help="postgresql+psycopg://user@host/database, if the records are not in the state "
        "folder; leave the password to PGPASSFILE or PGPASSWORD",
    )


def _guarded(
    command: Callable[[Engine, argparse.Namespace], int], *, must_exist: bool = True
) -> Callable[[argparse.Namespace], int]:
    """Open the registry for a command, and turn its errors into a message and an exit code."""

    def run(arguments: argparse.Namespace) -> int:
        try:
            url = database_url(arguments.state_dir, arguments.database)
            engine = open_engine(url, must_exist=must_exist)
            try:
                migrate(engine)
                return command(engine, arguments)
            finally:
                engine.dispose()
        except ImportRefusedError as error:
            _say_wrong(f"{error}\nNothing was imported.")
            return EXIT_REFUSED
        except UndoRefusedError as error:
            _say_wrong(f"{error}\nNothing was changed.")
            return EXIT_REFUSED
        except RegistryUnavailableError as error:
            _say_wrong(str(error))
            return EXIT_FAILED
        except RegistryError as error:
            _say_wrong(str(error))
            return EXIT_REFUSED
        except OperationalError as error:
            _say_wrong(
                f"the registry did not answer: {error.orig}; nothing was written. Check that the "
                "database runs and its disk is not full, then try again"
            )
            return EXIT_FAILED
        except DBAPIError as error:
            if not is_damage(error):
                raise
            _say_wrong(
                f"registry {arguments.database or arguments.state_dir}: {error.orig}; nothing was "
                f"written. {MEND_DAMAGE}"
            )
            return EXIT_FAILED

    return run


def _import(engine: Engine, arguments: argparse.Namespace) -> int:
    report = import_folder(engine, arguments.folder, now=datetime.now(UTC))
    _say(report.to_text())
    return EXIT_SET_ASIDE if report.set_aside else EXIT_OK


def _undo(engine: Engine, arguments: argparse.Namespace) -> int:
    n_rows = undo_import(engine, arguments.import_id, now=datetime.now(UTC))
    _say(f"Import {arguments.import_id} is taken back: {n_rows} rows are out.")
    return EXIT_OK


def _list_imports(engine: Engine, _arguments: argparse.Namespace) -> int:
    with read_session(engine) as session:
        batches = list(session.scalars(select(ImportBatch).order_by(ImportBatch.id)))
    for batch in batches:
        undone = f", taken back {batch.undone_at:%Y-%m-%d %H:%M}" if batch.undone_at else ""
        _say(
            f"{batch.id:>5}  {batch.started_at:%Y-%m-%d %H:%M} UTC  {batch.n_rows} rows, "
            f"{batch.n_set_aside} set aside{undone}  {batch.folder}"
        )
    if not batches:
        _say("Nothing has been imported yet; `staybolt import FOLDER` does it.")
    return EXIT_OK


def _list_set_aside(engine: Engine, arguments: argparse.Namespace) -> int:
    with read_session(engine) as session:
        batches = {batch.id: batch for batch in session.scalars(select(ImportBatch))}
        if arguments.import_id is None:
            wanted = _newest_of_each_folder(batches)
        else:
            wanted = [arguments.import_id]
        rows = list(
            session.scalars(
                select(SetAsideRow)
                .where(SetAsideRow.import_id.in_(wanted))
                .order_by(SetAsideRow.id)
            )
        )
    for import_id in sorted({row.import_id for row in rows}):
        batch = batches[import_id]
        _say(f"Import {import_id} of {batch.folder}, {batch.started_at:%Y-%m-%d %H:%M} UTC:")
        own = [SetAside.of(row) for row in rows if row.import_id == import_id]
        _say("\n".join(listed(own, arguments.limit, "raise --limit to see all")))
    if not rows:
        _say("No row is set aside.")
    return EXIT_OK


def _newest_of_each_folder(batches: dict[int, ImportBatch]) -> list[int]:
    newest = {}
    for import_id in sorted(batches):
        if batches[import_id].undone_at is None:
            newest[batches[import_id].folder] = import_id
    return list(newest.values())


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _say_wrong(text: str) -> None:
    sys.stderr.write(text + "\n")
