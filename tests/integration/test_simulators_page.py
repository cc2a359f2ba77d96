"""Every command of the simulators' page runs as it is shown, and the page knows every machine."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from simulators.machines import KINDS
from simulators.scenarios.loading import scenario_names
from tests.servers.availability import ROOT

PAGE = (ROOT / "docs" / "simulators.md").read_text()
COMMANDS = [
    line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
]


@pytest.mark.timeout(120)
def test_every_command_shown_runs(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    assert len(COMMANDS) >= 7

    for command in COMMANDS:
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env={**os.environ, "PATH": path},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    assert len(list((tmp_path / "fleet" / "telemetry").iterdir())) == 3


def test_the_page_says_what_every_scenario_is_for() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| ", PAGE.split("| scenario |", 1)[1], re.MULTILINE)

    assert sorted(rows[: len(scenario_names())]) == scenario_names()


def test_the_page_names_every_kind_and_failure_mode() -> None:
    for kind in KINDS.values():
        for name in (kind.key, *(mode.key for mode in kind.modes)):
            assert f"`{name}`" in PAGE, name
