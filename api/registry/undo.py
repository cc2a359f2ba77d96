"""Takes an import back."""

from datetime import datetime
from typing import Any

from sqlalchemy import Engine, delete, func, select
from sqlalchemy.orm import Session, aliased

from api.registry.csv_rows import TABLES, ImportedTable
from api.registry.database import session
from api.registry.errors import UndoRefusedError
from api.registry.models import ImportBatch, SetAsideRow
from api.registry.report import count_rows


def undo_import(engine: Engine, import_id: int, *, now: datetime) -> int:
    """Take back everything an import wrote, as if it had never been.

    Rows of other imports stay, also those this one had found known already. What was computed
    from the rows meanwhile (health, proposals, risks) stays as a record of what was said.

    Parameters
    ----------
    engine : Engine
        The registry.
    import_id : int
        Number the import was given.
    now : datetime
        The present moment, kept with the import.

    Returns
    -------
    int
        Rows taken out.

    Raises
    ------
    UndoRefusedError
        If there is no such import, it is undone already, or rows of a later import hang on it.
    """
    with session(engine, is_exclusive=True) as writer:
        batch = writer.get(ImportBatch, import_id)
        if batch is None:
            msg = f"import {import_id}: there is none; `staybolt imports list` shows them"
            raise UndoRefusedError(msg)
        if batch.undone_at is not None:
            msg = (
                f"import {import_id}: was taken back already, {batch.undone_at:%Y-%m-%d %H:%M} UTC"
            )
            raise UndoRefusedError(msg)
        hanging = [line for table in TABLES for line in _hanging(writer, table, import_id)]
        if hanging:
            msg = f"import {import_id}: other facts hang on it; " + "; ".join(hanging)
            raise UndoRefusedError(msg)
        n_rows = 0
        for table in TABLES:
            statement = delete(table.model).where(table.model.import_id == import_id)
            n_rows += getattr(writer.execute(statement), "rowcount", 0)
        writer.execute(delete(SetAsideRow).where(SetAsideRow.import_id == import_id))
        batch.undone_at = now
    return n_rows


def _hanging(writer: Session, table: ImportedTable, import_id: int) -> list[str]:
    found = []
    for column_name, file in table.references.items():
        target = next(each.model for each in TABLES if each.file == file)
        other = aliased(target)
        reference: Any = getattr(table.model, column_name)
        goes = select(target.key).where(target.import_id == import_id)
        stays = select(other.key).where(other.import_id.is_distinct_from(import_id))
        batches = writer.execute(
            select(table.model.import_id, func.count())
            .where(
                table.model.import_id.is_distinct_from(import_id),
                reference.in_(goes),
                reference.not_in(stays),
            )
            .group_by(table.model.import_id)
            .order_by(table.model.import_id)
        )
        found += [
            f"{count_rows(n_rows)} of {table.file} from {_origin(batch)} through {column_name}"
            for batch, n_rows in batches
        ]
    return found


def _origin(import_id: int | None) -> str:
    return "elsewhere" if import_id is None else f"import {import_id} (take that back first)"
