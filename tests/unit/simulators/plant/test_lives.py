"""Lives follow each other without gaps, and a story that can't be is refused."""

import itertools

import numpy as np
import pytest

from simulators.errors import ScenarioError
from simulators.machines import BEARING_CONVEYOR, KINDS
from simulators.machines.kind import MachineKind
from simulators.plant.lives import MachineLives, Story, draw_lives

NOW_H = 500_000.0
START_H = NOW_H - 60 * 24


def draw(kind: MachineKind, story: Story, seed: int = 1) -> MachineLives:
    return draw_lives(kind, story, np.random.default_rng(seed), start_h=START_H, now_h=NOW_H)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.key)
def test_each_life_begins_when_the_last_was_repaired(kind: MachineKind) -> None:
    lives = draw(kind, Story((5.0, 9.0), (0.1, 0.9))).until(NOW_H + 5 * 365 * 24)

    assert len(lives) > 15
    for life, following in itertools.pairwise(lives):
        assert following.started_h == life.resumed_h
        assert life.started_h < life.components[0].onset_h < life.stopped_h < life.resumed_h


def test_the_future_is_the_same_asked_for_at_once_or_bit_by_bit() -> None:
    story = Story((5.0, 9.0), (0.1, 0.9))
    at_once, bit_by_bit = draw(BEARING_CONVEYOR, story), draw(BEARING_CONVEYOR, story)

    for day in range(0, 700, 7):
        bit_by_bit.until(NOW_H + 24 * day)

    end_h = NOW_H + 24 * 700
    assert [life.stopped_h for life in at_once.until(end_h)] == [
        life.stopped_h for life in bit_by_bit.until(end_h)
    ]


def test_a_machine_stands_still_exactly_from_failure_to_repair() -> None:
    lives = draw(BEARING_CONVEYOR, Story((5.0, 9.0), (0.1, 0.9)))
    (life,) = lives.until(NOW_H)

    times = np.array([life.stopped_h - 0.01, life.stopped_h, life.resumed_h - 0.01, life.resumed_h])
    wear, is_standing = lives.state_at(times)

    assert is_standing.tolist() == [False, True, True, False]
    assert wear[0, 0] > 0.95
    assert wear[0, 3] == 0.0


def test_no_times_give_no_states() -> None:
    wear, is_standing = draw(BEARING_CONVEYOR, Story((5.0, 9.0), (0.1, 0.9))).state_at(np.empty(0))

    assert wear.size == is_standing.size == 0


def test_a_story_no_life_fits_is_refused() -> None:
    with pytest.raises(ScenarioError, match="widen the ranges of the story"):
        draw(BEARING_CONVEYOR, Story((0.5, 1.0), (0.0, 0.0)))
