"""Files that can't be trusted are refused with file, column and remedy."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.registry.csv_files import open_folder
from api.registry.errors import ImportRefusedError
from tests.unit.api.registry.business import small_business, write_business, write_table


def read_through(folder: Path) -> None:
    files, _ = open_folder(folder)
    for file in files:
        for _ in file.lines():
            pass


def refusal(folder: Path) -> str:
    with pytest.raises(ImportRefusedError) as caught:
        read_through(folder)
    return str(caught.value)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert "nothing to import; put in any of customers.csv, sites.csv" in refusal(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "No such file or directory; give a folder" in refusal(tmp_path / "elsewhere")


def test_every_fault_of_every_header_is_said_at_once(tmp_path: Path) -> None:
    tables = small_business()
    for row in tables["customers"]:
        row["segmnt"] = row.pop("segment")
    for row in tables["usages"]:
        del row["run_h"]
        row["hours of operation"] = "3"

    message = refusal(write_business(tmp_path, tables))

    assert message.splitlines() == [
        "customers.csv, line 1, segment: this column is missing; add it, and leave its cells empty "
        "where the value is not known",
        'customers.csv, line 1, "segmnt": no column of this table; rename it to segment',
        "usages.csv, line 1, run_h: this column is missing; add it, and leave its cells empty "
        "where the value is not known",
        'usages.csv, line 1, "hours of operation": no column of this table; take it out; there are '
        "key, valid_at, machine_key, month, run_h, n_logins, source, recorded_at",
    ]


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = write_table(tmp_path, "customers", small_business()["customers"])
    lines = path.read_text().splitlines()
    path.write_text("\n".join(f"{line},x" if i else f"{line},name" for i, line in enumerate(lines)))

    assert refusal(tmp_path) == "customers.csv, line 1, name: stands there twice; take one out"


def test_a_file_without_a_line_is_refused(tmp_path: Path) -> None:
    (tmp_path / "customers.csv").touch()

    assert "customers.csv: empty; its first line must name the columns key" in refusal(tmp_path)


def test_a_quote_that_is_not_closed_is_refused_with_its_line(tmp_path: Path) -> None:
    path = write_table(tmp_path, "customers", small_business()["customers"])
    with path.open("a") as file:
        file.write('cust-003,"no end\n')

    assert refusal(tmp_path).startswith("customers.csv, line 4: cannot be taken apart")


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ("utf-16", 'customers.csv: UTF-16 text, not UTF-8; save it as "CSV UTF-8"'),
        ("latin-1", "customers.csv, line 2: byte 0xfc is not UTF-8"),
    ],
)
def test_other_encodings_are_refused(tmp_path: Path, encoding: str, message: str) -> None:
    path = write_table(tmp_path, "customers", small_business()["customers"][:1])
    path.write_bytes(path.read_text().encode(encoding))

    assert message in refusal(tmp_path)


def test_a_misnamed_file_is_pointed_out(tmp_path: Path) -> None:
    write_business(tmp_path, small_business())
    (tmp_path / "visit.csv").write_text("key\n")
    (tmp_path / "notes.txt").write_text("hello")

    _, notes = open_folder(tmp_path)

    assert notes == [
        "visit.csv: not read, because no table has this name; if it is meant to be visits.csv, "
        "rename it"
    ]


def test_a_row_is_named_by_its_first_line(tmp_path: Path) -> None:
    customers = small_business()["customers"]
    customers[0]["name"] = "Mill\nand\nSons"
    path = write_table(tmp_path, "customers", customers)
    path.write_text(path.read_text() + "\n,,,,,\n")

    files, _ = open_folder(tmp_path)

    assert [line for line, _ in files[0].lines()] == [2, 5]


@given(
    rest=st.one_of(st.binary(max_size=200), st.text('",;\n\ra\x00', max_size=60).map(str.encode))
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_or_refused_with_the_name_of_the_file(
    tmp_path: Path, rest: bytes
) -> None:
    path = write_table(tmp_path, "customers", small_business()["customers"])
    path.write_bytes(path.read_bytes() + rest)

    told = ""
    try:
        read_through(tmp_path)
    except ImportRefusedError as error:
        told = str(error)

    assert told == "" or told.startswith("customers.csv, line ")
