"""Finds every message that pages say, in templates and in Python."""

import ast
from collections.abc import Iterator
from pathlib import Path

from jinja2 import nodes

import api.web
from api.web.rendering import environment

FOLDER = Path(api.web.__file__).parent


def said_messages() -> set[str]:
    """English messages; of plural ones the singular and the plural."""
    return {*_in_templates(), *_in_python()}


def singulars() -> set[str]:
    """English messages as the catalogue is keyed: plural ones by their singular."""
    return {*_in_templates(plurals=False), *_in_python(plurals=False)}


def _in_templates(*, plurals: bool = True) -> Iterator[str]:
    jinja = environment()
    for path in sorted((FOLDER / "templates").glob("*.html")):
        tree = jinja.parse(path.read_text(encoding="utf-8"))
        for call in tree.find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name in {"_", "n_"}:
                n_said = 2 if call.node.name == "n_" and plurals else 1
                for said in call.args[:n_said]:
                    if isinstance(said, nodes.Const):
                        yield said.value


def _in_python(*, plurals: bool = True) -> Iterator[str]:
    for path in sorted(FOLDER.glob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            name = call.func.attr if isinstance(call.func, ast.Attribute) else None
            name = call.func.id if isinstance(call.func, ast.Name) else name
            if name not in {"say", "say_n", "N_"}:
                continue
            n_said = 2 if name == "say_n" and plurals else 1
            for said in call.args[:n_said]:
                if isinstance(said, ast.Constant) and isinstance(said.value, str):
                    yield said.value
