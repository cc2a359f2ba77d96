"""Every command of the first steps runs as it is shown, in order, and ends in a living server."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from simulators.loopback import free_port
from tests.servers.availability import ROOT

DOCUMENT = ROOT / "docs" / "first-steps.md"
SHOWN_PORT = "8080"
START_S = 30.0


def shown_commands() -> list[str]:
    """Commands in the document's ``sh`` blocks, in order."""
    blocks = re.findall(r"```sh\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


@pytest.mark.timeout(240)
def test_the_first_steps_lead_to_machines_with_a_health(tmp_path: Path) -> None:
    port = str(free_port())
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    background: list[subprocess.Popen[bytes]] = []
    try:
        for command in shown_commands():
            shown = command.replace(SHOWN_PORT, port)
            if shown.endswith("&"):
                background.append(in_background(shown, tmp_path, path))
                wait_for(lambda c=command: is_up(c, tmp_path, port), command)
            else:
                done = subprocess.run(
                    ["bash", "-c", shown],
                    cwd=tmp_path,
                    env={**os.environ, "PATH": path},
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=120,
                )
                assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        wait_for(lambda: n_judged(port) == 12, "twelve machines with a health")
    finally:
        for process in reversed(background):
            os.killpg(process.pid, signal.SIGTERM)
        for process in background:
            process.wait(20)


def in_background(command: str, folder: Path, path: str) -> "subprocess.Popen[bytes]":
    with (folder / "background.log").open("ab") as log:
        return subprocess.Popen(
            ["bash", "-c", f"exec {command.removesuffix('&')}"],
            cwd=folder,
            env={**os.environ, "PATH": path},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def is_up(command: str, folder: Path, port: str) -> bool:
    """Whether a program started in the background is ready for the next step."""
    if "staybolt serve" in command:
        return n_judged(port) is not None
    if "staybolt-sim run" in command:
        return (folder / "first" / "plant" / "plant.json").exists()
    return True


def n_judged(port: str) -> int | None:
    """How many machines have a health, None while the server does not answer."""
    try:
        page = httpx.get(f"http://127.0.0.1:{port}/v1/machines?limit=500", timeout=10).json()
    except (httpx.HTTPError, ValueError):
        return None
    return sum(
        1
        for machine in page["items"]
        if machine["health"] and machine["health"]["health_pct"] is not None
    )


def wait_for(is_true: object, what: str) -> None:
    assert callable(is_true)
    deadline = time.monotonic() + START_S
    while not is_true():
        assert time.monotonic() < deadline, f"not within {START_S:.0f} s: {what}"
        time.sleep(0.3)
