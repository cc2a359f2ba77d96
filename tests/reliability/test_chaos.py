"""Real processes and a failing network: a short run; `edge_chaos` in tests/benchmarks is longer."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.reliability.chaos import Chaos

pytestmark = pytest.mark.server("mosquitto")

LEAST_KINDS = 11


def test_nothing_is_lost_doubled_or_wrong_among_all_kinds_of_faults(
    tmp_path: Path, show: Callable[[str], None]
) -> None:
    outcome = Chaos(tmp_path, seed=1).run(25.0)

    show(
        f"edge chaos: {outcome.verdict.n_sensed} values, {sum(outcome.injected.values())} faults "
        f"of {len(outcome.injected)} kinds, drained in {outcome.drain_s:.1f} s; "
        f"{outcome.n_only_in_killed} were held by killed OPC UA servers alone"
    )
    assert outcome.problem == ""
    assert len(outcome.injected) >= LEAST_KINDS
    assert outcome.n_flipped_bits > 0
    assert outcome.verdict.n_sensed > 500


def test_an_agent_that_acknowledges_what_is_in_memory_is_found(tmp_path: Path) -> None:
    planted = "acknowledges what is in memory"
    outcome = Chaos(tmp_path, seed=1, planted=planted, drain_timeout_s=4.0).run(15.0)

    assert outcome.verdict.lost
