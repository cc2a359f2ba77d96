"""The page for the person on call: every test it names exists, and what it quotes is said."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from edge_agent.oncall import health, metrics
from tests.servers.availability import ROOT

PAGE = (ROOT / "docs" / "edge-failures.md").read_text()
ENTRIES = re.findall(r"^### (\d+)\. ([^\n]+)\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
PARTS = ("Agent", "You see", "Do", "Shown by")


@cache
def functions_of(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@cache
def said_by_the_agent() -> str:
    """Every text in the program, with … where it differs."""
    texts = [(ROOT / "deploy" / "edge" / "install.sh").read_text()]
    for path in (ROOT / "edge_agent").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (getattr(part, "value", "…") for part in node.values)
                texts.append("".join(part if isinstance(part, str) else "…" for part in parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(re.sub(r"%[-.\d]*[a-z]", "…", node.value))
    return "\n".join(texts)


def part_of(entry: str, name: str) -> str:
    found = re.search(rf"- \*\*{name}:\*\*(.*?)(?=^- \*\*|\Z)", entry, re.MULTILINE | re.DOTALL)
    assert found is not None, f"no {name}"
    return " ".join(found[1].split())


def test_there_are_many_numbered_in_order() -> None:
    assert len(ENTRIES) >= 15
    assert [int(number) for number, *_ in ENTRIES] == list(range(1, len(ENTRIES) + 1))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry[1].replace(" ", "-"))
def test_each_says_what_happens_what_is_seen_what_to_do_and_which_test_shows_it(
    entry: tuple[str, str, str],
) -> None:
    parts = {name: part_of(entry[2], name) for name in PARTS}

    assert all(parts.values())
    named = re.findall(r"`(tests/[^`:]+)::(\w+)`", parts["Shown by"])
    assert named
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).exists() or name not in functions_of(ROOT / path)
    ]
    assert missing == []


def test_every_metric_that_is_named_exists() -> None:
    known = {metrics.PREFIX + metric.name for metric in metrics.all_metrics()}

    assert set(re.findall(r"`(staybolt_edge_\w+)`", PAGE)) - known == set()


def test_every_reason_of_being_unwell_is_on_the_page() -> None:
    source = Path(health.__file__).read_text()
    codes = set(re.findall(r'Reason\(\s*"(\w+)"', source))

    assert len(codes) >= 9
    assert [code for code in sorted(codes) if f"`{code}`" not in PAGE] == []


def test_every_quoted_line_is_said_by_the_program() -> None:
    quoted = [
        text
        for _, _, entry in ENTRIES
        for text in re.findall(r"`([^`]*…[^`]*)`", " ".join(entry.split()))
    ]

    unsaid = [
        fragment
        for text in quoted
        for fragment in (part.strip() for part in text.split("…"))
        if len(fragment) > 8 and fragment not in said_by_the_agent()
    ]

    assert len(quoted) >= 15
    assert unsaid == []
