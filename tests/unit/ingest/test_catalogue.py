"""Which machines may send, from a CSV file."""

import os
from pathlib import Path

import pytest

from ingest.catalogue import FileCatalogue, OpenCatalogue
from ingest.errors import SettingsError


def test_without_a_list_every_machine_may_send() -> None:
    assert OpenCatalogue().is_known("press-04")


def test_the_machines_of_the_file_are_known_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "machines.csv"
    path.write_bytes("\ufeffsite,machine\r\na,press-04\r\nb, pump-01 \r\nc,\r\n".encode())
    catalogue = FileCatalogue(path)

    assert catalogue.is_known("press-04")
    assert catalogue.is_known("pump-01")
    assert not catalogue.is_known("")
    assert not catalogue.is_known("site")


def test_a_machine_that_is_added_is_known_at_once(tmp_path: Path) -> None:
    path = tmp_path / "machines.csv"
    path.write_text("machine\na\n")
    catalogue = FileCatalogue(path)
    assert not catalogue.is_known("b")

    path.write_text("machine\na\nb\n")
    os.utime(path, ns=(1, 1))

    assert catalogue.is_known("b")


@pytest.mark.parametrize("text", ["name\nb\n", None])
def test_a_file_that_went_bad_takes_nothing_away(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "machines.csv"
    path.write_text("machine\na\n")
    catalogue = FileCatalogue(path)

    if text is None:
        path.unlink()
    else:
        path.write_text(text)
        os.utime(path, ns=(1, 1))

    assert not catalogue.is_known("b")
    assert catalogue.is_known("a")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"name\na\n", r"no column machine"),
        (b"", r"no column machine"),
        (b"machine\na\nb/c\n", r"line 3: 'b/c' is not a legal name"),
        (b"machine\n\xff\n", r"can't be read"),
    ],
)
def test_a_wrong_file_is_told_place_and_remedy(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "machines.csv"
    path.write_bytes(content)

    with pytest.raises(SettingsError, match=fault):
        FileCatalogue(path)
