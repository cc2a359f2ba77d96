"""Any settings file is taken or refused in words: file, place, what is wrong, how to mend it.

Two kinds of file: documents that differ from the sample in a few places, written as TOML again, and
the sample's text with a few characters changed. Each example of hypothesis tries a handful of
them, so that more than ten thousand are tried within seconds.
"""

import copy
import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edge_agent.errors import SettingsError
from edge_agent.settings import Settings
from edge_agent.settings_file import SAMPLE_CONFIG, load_settings

N_EXAMPLES: Final = 505
N_INPUTS: Final = 10
"""For each example and each kind."""

SAMPLE: Final = SAMPLE_CONFIG.read_text()
DOCUMENT: Final = tomllib.loads(SAMPLE)

_FORM = re.compile(
    r"edge\.toml(?:, [^:\n]+| is not TOML)?: .+; .+"
    r"|edge\.toml is too large: .+; .+|.*edge\.toml can't be read: .+; .+"
)

Place = tuple[str | int, ...]


def places_in(value: object, place: Place = ()) -> list[Place]:
    """Every place of a document, tables and lists included."""
    found = [place] if place else []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += places_in(inner, (*place, key))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            found += places_in(inner, (*place, position))
    return found


PLACES: Final = places_in(DOCUMENT)

_scalars = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.sampled_from([
        "", "\0", "a\nb", "x" * 70, "../../etc/passwd", "http://", "http://[", "opc.tcp://:0",
        "opc.tcp://a:99999999", "https://u:p@h", "//", "{machine}", "{machine}/{machine}", "+/#",
        "s=", "i=x", "ns=2;s=x", "none-on-loopback", "127.0.0.1", "::1", "alarm", 0, -1, 1e999,
    ]),
)  # fmt: skip
_values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text('abc_"\\é .', max_size=4), inner, max_size=3)
    ),
    max_leaves=4,
)
_changes = st.tuples(
    st.sampled_from(["put", "remove", "add", "repeat", "wrap"]), st.sampled_from(PLACES), _values
)
_slips = st.tuples(
    st.integers(0, len(SAMPLE)),
    st.integers(0, 12),
    st.text(st.sampled_from('[]{}="\\\n#.,-_:;aé0\x00 '), max_size=5),
)


def changed(document: dict[str, Any], what: str, place: Place, value: object) -> None:
    """Change a document in one place, if it still has it."""
    holder: Any = document
    try:
        for part in place[:-1]:
            holder = holder[part]
        last: Any = place[-1]
        match what:
            case "put":
                holder[last] = value
            case "remove":
                del holder[last]
            case "add" if isinstance(holder, dict):
                holder[f"{last}_"] = value
            case "repeat" if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[last]))
            case "wrap":
                holder[last] = [holder[last]]
    except (KeyError, IndexError, TypeError):
        return


def toml_of(value: object) -> str:
    """Write a value as TOML, tables inline: the slow and obvious way."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return {"inf": "inf", "-inf": "-inf", "nan": "nan"}.get(repr(value), repr(value))
        case str():
            return '"' + "".join(_escaped(character) for character in value) + '"'
        case list():
            return f"[{', '.join(toml_of(inner) for inner in value)}]"
        case dict():
            inner = ", ".join(f"{toml_of(key)} = {toml_of(one)}" for key, one in value.items())
            return f"{{{inner}}}"
    raise TypeError(value)


def _escaped(character: str) -> str:
    if character in '"\\' or ord(character) < 32 or ord(character) == 127:
        return f"\\u{ord(character):04x}"
    return character


def assert_taken_or_refused_in_words(path: Path) -> bool:
    try:
        taken = load_settings(path)
    except SettingsError as error:
        lines = str(error).splitlines()
        assert lines
        for line in lines:
            assert _FORM.fullmatch(line), line
            assert "Traceback" not in line
            assert "validation error" not in line
        return False
    assert isinstance(taken, Settings)
    return True


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "edge.toml"


def test_the_writer_says_what_the_document_says(file: Path) -> None:
    text = "\n".join(f"{key} = {toml_of(value)}" for key, value in DOCUMENT.items())

    assert tomllib.loads(text) == DOCUMENT


N_TRIED = {"taken": 0, "refused": 0}


@settings(
    max_examples=N_EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
)  # fmt: skip
@given(st.lists(st.lists(_changes, min_size=1, max_size=3), min_size=N_INPUTS, max_size=N_INPUTS))
def test_any_document_is_taken_or_refused_in_words(file: Path, inputs: list[list[Any]]) -> None:
    for changes in inputs:
        document = copy.deepcopy(DOCUMENT)
        for what, place, value in changes:
            changed(document, what, place, value)
        lines = (f"{toml_of(key)} = {toml_of(value)}" for key, value in document.items())
        file.write_text("\n".join(lines), encoding="utf-8")
        N_TRIED["taken" if assert_taken_or_refused_in_words(file) else "refused"] += 1


@settings(
    max_examples=N_EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
)  # fmt: skip
@given(st.lists(st.lists(_slips, min_size=1, max_size=3), min_size=N_INPUTS, max_size=N_INPUTS))
@example([[(0, 10**6, "")]])
@example([[(0, 0, "[" * 5)]])
def test_any_text_is_taken_or_refused_in_words(
    file: Path, inputs: list[list[tuple[int, int, str]]]
) -> None:
    for slips in inputs:
        text = SAMPLE
        for start, length, put in slips:
            text = text[:start] + put + text[start + length :]
        file.write_text(text, encoding="utf-8")
        N_TRIED["taken" if assert_taken_or_refused_in_words(file) else "refused"] += 1


def test_more_than_ten_thousand_files_were_tried() -> None:
    if not sum(N_TRIED.values()):
        pytest.skip("it counts what the tests before it tried, and they were not run")
    print(N_TRIED)
    assert sum(N_TRIED.values()) >= 10_000
    assert min(N_TRIED.values()) >= 100


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        b"\x00" * 100,
        b"a = " + b"[" * 5000,
        b"a = " + b"{a=" * 3000,
        b"a" * 10**6,
        b"#" * 10_000_001,
    ],
)
def test_bytes_that_are_no_settings_at_all_are_refused_in_words(file: Path, content: bytes) -> None:
    file.write_bytes(content)

    assert not assert_taken_or_refused_in_words(file)
