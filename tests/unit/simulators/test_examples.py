"""Examples in docstrings do what they show."""

import doctest
import importlib
import pkgutil

import pytest

import simulators

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(simulators.__path__, "simulators.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
