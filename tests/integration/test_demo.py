"""The demo is the first page's promise: it closes the chain, within its time and memory."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

LINKS = ("sample", "health", "proposal", "churn risk", "evidence")
MAX_CHAIN_S = 60.0
MAX_MEMORY_MIB = 1536.0


@pytest.mark.timeout(240)
def test_the_demo_closes_the_whole_chain_and_stops(
    tmp_path: Path, show: Callable[[str], None]
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "api", "demo", "--check", "--dir", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )

    show(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    closed_s = {
        link: float(seconds)
        for seconds, link in re.findall(
            rf"^\s*([\d.]+) s  ({'|'.join(LINKS)}):", done.stdout, re.MULTILINE
        )
    }
    assert tuple(closed_s) == LINKS
    assert max(closed_s.values()) <= MAX_CHAIN_S
    memory = re.search(r"memory of all programs (\d+) MiB", done.stdout)
    assert memory is not None
    assert float(memory[1]) <= MAX_MEMORY_MIB


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("three years of work")

    done = subprocess.run(
        [sys.executable, "-m", "api", "demo", "--check", "--dir", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 2
    assert "holds something that is not a demo" in done.stderr
    assert (tmp_path / "thesis.txt").read_text() == "three years of work"


def test_a_demo_that_is_terminated_leaves_no_program_behind(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "api", "demo", "--check", "--dir", str(tmp_path / "demo")],
        stdout=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "server ready" in line:
                break
        started = psutil.Process(demo.pid).children(recursive=True)
        demo.terminate()
        said = demo.stdout.read()

    assert len(started) >= 2
    assert "everything stopped" in said
    assert [child for child in started if child.is_running()] == []
