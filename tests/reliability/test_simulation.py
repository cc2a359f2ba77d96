"""The whole agent in virtual time among faults: nothing is lost, and the harness can tell."""

import functools
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable

import pytest

from tests.reliability.planted_bugs import PLANTED, first_seed_that_finds
from tests.reliability.simulation import Outcome, is_capped, simulate

N_SEEDS = 20
MOST_DUPLICATES_RATIO = 10.0
"""Answers are lost on purpose, and a refusal is parted down to lines; one in four is bad."""


@functools.cache
def outcome_of(seed: int) -> Outcome:
    """Six hours of one seed, lived through once."""
    return simulate(seed, is_capped=is_capped(seed))


@pytest.mark.parametrize("seed", range(N_SEEDS))
def test_nothing_is_lost_in_six_hours_of_faults(seed: int) -> None:
    outcome = outcome_of(seed)

    assert outcome.problem == ""
    assert outcome.duplicates_ratio <= MOST_DUPLICATES_RATIO


def test_every_window_is_met_in_some_seed(show: Callable[[str], None]) -> None:
    outcomes = [outcome_of(seed) for seed in range(N_SEEDS)]
    struck: Counter[str] = Counter()
    for outcome in outcomes:
        struck.update(outcome.struck)

    n_starts = sum(each.n_starts for each in outcomes)
    n_sensed = sum(outcome.verdict.n_sensed for outcome in outcomes)
    show(
        f"edge simulation: {N_SEEDS} seeds of 6 h, {n_sensed} values, "
        f"{sum(struck.values())} faults of {len(struck)} kinds, {n_starts} starts"
    )
    assert sum(each.n_dropped for each in outcomes) > 0, "no outage ever filled a capped outbox"
    # A point that never strikes tests nothing.
    for what in ("append", "forget"):
        for how in ("fails", "fails_although_done", "dies_at_commit"):
            assert struck[f"{what}.{how}"] > 0, f"{what}.{how} never struck"
        assert struck[f"crash.{what}.before"]
        assert struck[f"crash.{what}.after"]
    for point in ("submit", "acknowledge", "send", "read"):
        assert struck[f"crash.{point}.before"]
        assert struck[f"crash.{point}.after"]


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found_within_twenty_seeds(name: str) -> None:
    seed, problem = first_seed_that_finds(name, n_seeds=N_SEEDS, hours=2.0)

    assert problem, f"{name}: not found"
    assert seed < N_SEEDS


def test_the_same_seed_is_the_same_history_in_any_process() -> None:
    here = simulate(5, hours=0.5).history
    program = (
        "from tests.reliability.simulation import simulate; print(simulate(5, hours=0.5).history)"
    )
    there = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONHASHSEED": "7"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()

    assert there == here
    assert simulate(5, hours=0.5).history == here
    assert simulate(6, hours=0.5).history != here
