"""What is served beside the pages: vendored files as they came, and nothing inline."""

import hashlib
import re
from pathlib import Path

import pytest

from api.web.rendering import STATIC_DIR
from tests.unit.api.web.messages import FOLDER

TEMPLATES = sorted((FOLDER / "templates").glob("*.html"))


def test_vendored_files_are_the_recorded_ones() -> None:
    vendor = STATIC_DIR / "vendor"
    lines = (vendor / "SHA256SUMS").read_text().splitlines()
    recorded = {name: digest for digest, name in map(str.split, lines)}

    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in vendor.iterdir()
        if path.name != "SHA256SUMS"
    }

    assert found == recorded


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_templates_hold_no_inline_script_or_style(template: Path) -> None:
    text = re.sub(r"{#.*?#}", "", template.read_text())

    assert not re.search(r"\sstyle\s*=|\son\w+\s*=|hx-on|javascript:", text)
    assert not re.search(r"<style|<script(?![^>]*\ssrc=)", text)
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", text)


@pytest.mark.parametrize("name", ["live.js", "charts.js"])
def test_scripts_hold_no_eval_and_name_no_other_place(name: str) -> None:
    text = (STATIC_DIR / name).read_text()

    assert not re.search(r"\beval\(|new Function|innerHTML|https?://", text)


def _contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(theme: int) -> None:
    css = (STATIC_DIR / "staybolt.css").read_text()
    roots = re.findall(r":root {(.*?)}", css, re.DOTALL)
    tokens = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", roots[theme]))

    for text in ("ink", "muted", "link"):
        for ground in ("ground", "surface", "raised"):
            assert _contrast(tokens[text], tokens[ground]) >= 4.5, (text, ground)
    for state in ("alarm", "watch"):
        for ground in ("ground", "surface", "raised", f"{state}-ground"):
            assert _contrast(tokens[state], tokens[ground]) >= 4.5, (state, ground)
    assert _contrast(tokens["ink"], tokens["alarm-ground"]) >= 4.5
