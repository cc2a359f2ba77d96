"""Every option, endpoint, field and setting in the code is described in the reference."""

import argparse
import importlib

import pytest

from tests.docs import generate
from tests.servers.availability import ROOT


@pytest.mark.parametrize("page", generate.PAGES)
def test_the_reference_is_what_the_code_says(page: str) -> None:
    written = (ROOT / page).read_text() if (ROOT / page).exists() else ""

    assert written == generate.PAGES[page](), f"{page} is out of date; run `make docs`"


@pytest.mark.parametrize("program", generate.PROGRAMS)
def test_every_option_has_a_help_text(program: str) -> None:
    parser = importlib.import_module(generate.PROGRAMS[program]).build_parser()

    silent = [
        f"{name} {action.dest}"
        for name, command in generate._commands(program, parser)
        for action in command._actions
        if not isinstance(action, argparse._SubParsersAction) and not action.help
    ]

    assert silent == []


def test_every_endpoint_has_a_summary_and_every_field_a_shape() -> None:
    document = generate.openapi()

    silent = [
        f"{method} {path}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if not operation.get("summary")
    ]

    assert silent == []
