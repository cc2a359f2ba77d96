"""The documents say what is there, and what they say is there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.telemetry import UNIT_BY_SUFFIX
from tests.servers.availability import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], key=str)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)

    dead = [
        link
        for link in LINK.findall(text)
        if not link.startswith(("http://", "https://", "mailto:"))
        and not (document.parent / link).exists()
    ]

    assert dead == []


def test_every_unit_is_in_the_glossary() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text()

    missing = [
        suffix
        for suffix, unit in UNIT_BY_SUFFIX.items()
        if f"| `_{suffix}` | {unit} |" not in glossary
    ]

    assert missing == []


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = set(LINK.findall((folder / "README.md").read_text()))

    assert listed == {path.name for path in folder.glob("*.md")} - {"README.md"}


def test_every_make_target_shown_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = {
        target
        for document in DOCUMENTS
        for target in re.findall(r"\bmake ([a-z-]+)\b", document.read_text())
        if f"`make {target}" in document.read_text() or f"\nmake {target}" in document.read_text()
    }

    assert shown <= targets


def test_make_help_lists_every_target() -> None:
    listed = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    for target in ("demo", "test", "check", "fix", "bench", "docs", "help"):
        assert f"make {target}" in listed


def test_the_changelog_can_be_gathered_from_its_fragments() -> None:
    fragments = sorted((ROOT / "changelog.d").glob("*.md"))

    gathered = subprocess.run(
        ["towncrier", "build", "--draft", "--version", "0.0.0", "--date", "2026-01-01"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )

    assert gathered.returncode == 0, gathered.stderr
    for fragment in fragments:
        first_words = " ".join(fragment.read_text().split()[:4])
        assert first_words in " ".join(gathered.stdout.split()), fragment.name
