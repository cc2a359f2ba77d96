"""Files and tables must not drift apart."""

import types
import typing
from datetime import datetime
from typing import Any

import pytest
from pydantic.fields import FieldInfo
from sqlalchemy import Column

from api.registry.csv_rows import TABLES, ImportedTable
from api.registry.models import Base, Fact, UtcDateTime

all_tables = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.file)


def type_of_field(field: FieldInfo) -> tuple[object, bool]:
    """Type of a field without None, and whether None is allowed."""
    parts = typing.get_args(field.annotation)
    known = [part for part in parts if part is not types.NoneType]
    return (known[0], len(known) < len(parts)) if parts else (field.annotation, False)


def type_of_column(column: Column[Any]) -> type:
    return datetime if isinstance(column.type, UtcDateTime) else column.type.python_type


@all_tables
def test_a_file_has_the_columns_of_its_table(table: ImportedTable) -> None:
    of_table = {column.name for column in table.sql_table.columns} - {"id", "import_id"}

    assert set(table.columns) == of_table
    assert table.optional == ("source", "recorded_at")


@all_tables
def test_a_cell_has_the_type_of_its_column(table: ImportedTable) -> None:
    for name, field in table.row.model_fields.items():
        column = table.sql_table.columns[name]
        of_row, is_optional = type_of_field(field)

        assert of_row is type_of_column(column), name
        if name != "recorded_at":
            assert is_optional == column.nullable, name
        assert field.is_required() != (is_optional or name in table.optional), name


@all_tables
def test_every_key_of_another_table_is_checked_against_that_table(table: ImportedTable) -> None:
    file_of = {each.sql_table.name: each.file for each in TABLES}
    named = {
        column.name: file_of.get(column.name.removesuffix("_key"))
        for column in table.sql_table.columns
        if column.name.endswith("_key")
    }

    # Alarms are raised here, not imported.
    assert named.pop("alarm_key", None) is None
    assert dict(table.references) == named


def test_every_file_comes_after_those_it_refers_to() -> None:
    earlier: set[str] = set()
    for table in TABLES:
        assert set(table.references.values()) <= earlier
        earlier.add(table.file)


def test_every_fact_but_alarms_can_be_imported() -> None:
    facts = {mapper.class_ for mapper in Base.registry.mappers if issubclass(mapper.class_, Fact)}

    assert {fact.__name__ for fact in facts - {table.model for table in TABLES}} == {"Alarm"}
