"""The table of Sparkplug's testable statements: every test it names exists, none is named twice."""

import ast
import re
from functools import cache
from pathlib import Path

from tests.servers.availability import ROOT

PAGE = (ROOT / "docs" / "sparkplug-conformance.md").read_text()
ROWS = re.findall(r"^\| `([\w-]+)` \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
N_STATEMENTS = 299
"""In the text of the specification, by its own marks."""


@cache
def functions_of(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_statement_is_there_once() -> None:
    _, _, others = PAGE.partition("## Not ours")
    named = [statement for statement, _, _ in ROWS] + re.findall(r"`([\w-]+)`", others)

    assert len(named) == len(set(named)) == N_STATEMENTS


def test_every_row_names_a_test_that_exists_or_says_why_there_is_none() -> None:
    wrong = []
    for statement, words, shown_by in ROWS:
        found = re.fullmatch(r"`(tests/[^`:]+)::(test_\w+)`", shown_by.strip())
        if found is None:
            if shown_by.strip() != "–" or not words.startswith("does not apply: "):
                wrong.append(statement)
        elif not (ROOT / found[1]).exists() or found[2] not in functions_of(ROOT / found[1]):
            wrong.append(statement)

    assert len(ROWS) > 100
    assert wrong == []
