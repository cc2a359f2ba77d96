"""`kill -9` of the real agent at system calls that change files: nothing lost, nothing doubled.

A sample of the points; `edge_kill_sweep` in tests/benchmarks goes through all of them.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.reliability.kill_scenarios import SCENARIOS, Scenario
from tests.reliability.kill_sweep import CALLS, COMMON_CALLS, Rig, kill_rig, verdict_of

pytestmark = [pytest.mark.server("mosquitto"), pytest.mark.server("strace")]

EVERY = {"pwrite64": 13, "write": 4, "fdatasync": 5}
"""Of these calls one in so many is tried; of the rare others each one."""


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    # Below the system's own folder of temporary files, which the broker's user may enter.
    folder = Path(tempfile.mkdtemp(prefix="staybolt-kill-"))
    folder.chmod(0o755)
    with kill_rig(folder) as rig:
        yield rig
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_nothing_is_lost_or_doubled_wherever_the_agent_is_killed(
    rig: Rig, scenario: Scenario, show: Callable[[str], None]
) -> None:
    points = [
        point
        for calls in (COMMON_CALLS if scenario.is_full else CALLS)
        for point in rig.sweep(scenario, calls, range(1, 10_000, EVERY.get(calls, 1)))
    ]

    killed = [point for point in points if point.is_killed]
    slowest_s = max(point.ready_s for point in points)
    show(f"kill sweep, {scenario.name}: {len(killed)} kills, ready again in {slowest_s:.2f} s")
    assert [point for point in points if point.problems] == []
    assert verdict_of(rig) == ""
    assert {point.calls for point in killed} >= {"pwrite64", "fdatasync"}


@pytest.mark.parametrize("name", ["acknowledges what is in memory", "forgets before stored"])
def test_an_agent_that_forgets_too_early_is_found(name: str) -> None:
    folder = Path(tempfile.mkdtemp(prefix="staybolt-kill-"))
    folder.chmod(0o755)
    try:
        # A long time between two writes is a long time for what should not be forgotten yet.
        with kill_rig(folder, group_commit_ms=200.0) as rig:
            rig.planted, rig.timeout_s = name, 3.0
            often = replace(SCENARIOS[2], store_fails_every=2)
            points = rig.sweep(often, "pwrite64", range(1, 10_000, 3))
            found = next((point for point in points if point.problems), None)
    finally:
        shutil.rmtree(folder, ignore_errors=True)

    assert found is not None
    assert "lost" in found.problems[0]
