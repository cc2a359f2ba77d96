"""Whose token it is, and what is wrong with a token file."""

from pathlib import Path

import pytest

from ingest.errors import SettingsError
from ingest.tokens import TokenTable

FIRST = "6f1c" * 8
SECOND = "70ab" * 8


def read(tmp_path: Path, text: str) -> TokenTable:
    path = tmp_path / "tokens"
    path.write_text(text)
    return TokenTable.read(path)


def test_a_token_alone_belongs_to_a_device_without_a_name(tmp_path: Path) -> None:
    table = read(tmp_path, FIRST + "\n")

    assert table(FIRST) == "device"
    assert table(SECOND) is None
    assert table("") is None


def test_a_token_with_a_name_belongs_to_that_name(tmp_path: Path) -> None:
    table = read(tmp_path, f"# agents\nmill-7 {FIRST}\n\n  mill-8   {SECOND}\r\n")

    assert (table(FIRST), table(SECOND)) == ("mill-7", "mill-8")
    assert table("mill-7") is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", r"holds no token; write one"),
        ("# only a comment\n", r"holds no token; write one"),
        ("short\n", r"line 1: the token has 5 characters, 16 are needed"),
        (f"\nmill/7 {FIRST}\n", r"line 2: 'mill/7' is not a legal name"),
        (f"a b {FIRST}\n", r"line 1: 3 words"),
        (f"a {FIRST}\nb {FIRST}\n", r"line 2: this token stands above already"),
    ],
)
def test_a_wrong_token_file_is_told_line_and_remedy_but_no_token(
    tmp_path: Path, text: str, fault: str
) -> None:
    with pytest.raises(SettingsError, match=fault) as told:
        read(tmp_path, text)

    assert FIRST not in str(told.value)


def test_a_missing_token_file_is_told_plainly(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"can't be read: No such file .* put the token there"):
        TokenTable.read(tmp_path / "nowhere")
