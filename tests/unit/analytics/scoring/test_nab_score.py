import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.arrays import DomainError
from analytics.scoring.nab_score import (
    REWARD_LOW_FALSE,
    REWARD_LOW_MISSED,
    STANDARD,
    NabProfile,
    nab_part,
    nab_score,
    probation_rows,
)
from tests.naive import scoring as naive

PROFILES = [STANDARD, REWARD_LOW_FALSE, REWARD_LOW_MISSED]


@given(seed=st.integers(0, 10_000), profile=st.sampled_from(PROFILES))
def test_raw_scores_are_those_of_the_paper_row_by_row(seed: int, profile: NabProfile) -> None:
    rng = np.random.default_rng(seed)
    alarm = rng.random(300) < rng.choice([0.0, 0.02, 0.3])
    windows = [(20, 60), (100, 139), (200, 201)][: int(rng.integers(0, 4))]

    part = nab_part(alarm, windows, profile)

    expected = naive.nab_raw(alarm.tolist(), windows, profile.hit, profile.false, profile.missed)
    assert part.raw == pytest.approx(expected)


def test_silence_scores_nothing_and_the_first_row_of_each_window_everything() -> None:
    windows = [(200, 260), (700, 760)]
    perfect = np.zeros(1000, np.bool_)
    perfect[[200, 700]] = True

    assert nab_score([nab_part(np.zeros(1000, np.bool_), windows)]) == 0.0
    assert nab_score([nab_part(perfect, windows)]) == pytest.approx(100.0)


def test_a_later_alarm_is_worth_less_and_a_false_one_costs() -> None:
    windows = [(400, 500)]
    scores = []
    for rows in ([400], [480], [480, 900]):
        alarm = np.zeros(1000, np.bool_)
        alarm[rows] = True
        scores.append(nab_part(alarm, windows).raw)

    assert scores[0] > scores[1] > scores[2]


def test_windows_within_probation_do_not_count() -> None:
    assert probation_rows(4032) == 604
    assert nab_part(np.zeros(1000, np.bool_), [(10, 50)]).n_windows == 0


def test_windows_that_can_not_be_are_refused() -> None:
    with pytest.raises(DomainError, match="window 1 runs from row 5"):
        nab_part(np.zeros(50, np.bool_), [(0, 9), (5, 20)])
    with pytest.raises(DomainError, match="nothing to find"):
        nab_score([nab_part(np.zeros(50, np.bool_), [])])
