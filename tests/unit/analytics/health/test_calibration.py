import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.arrays import FloatArray, NotEnoughDataError
from analytics.health.calibration import STRETCH_RANGE, Trial, calibrate
from analytics.health.similarity import LifeDistribution

EDGES = np.linspace(0.0, 200.0, 401)


def _lognormal(median: FloatArray, spread: float) -> LifeDistribution:
    """Distributions of life around given medians, as cells of half a step."""
    cells = np.exp(-0.5 * (np.log((EDGES[1:] - 0.25) / median[:, np.newaxis]) / spread) ** 2)
    cdf = np.concatenate([np.zeros((median.size, 1)), np.cumsum(cells / EDGES[1:], axis=1)], axis=1)
    cdf /= cdf[:, -1:]
    return LifeDistribution(EDGES, cdf, np.ones(median.size), np.zeros(median.size))


def _trials(said_spread: float, true_spread: float, seed: int, n: int = 400) -> list[Trial]:
    rng = np.random.default_rng(seed)
    trials = []
    for _ in range(2):
        median = rng.uniform(20.0, 40.0, n)
        truth = median * np.exp(true_spread * rng.standard_normal(n))
        trials.append(Trial(_lognormal(median, said_spread), truth))
    return trials


@given(seed=st.integers(0, 1000), true_spread=st.sampled_from([0.15, 0.2, 0.3]))
def test_overconfident_and_timid_answers_are_stretched_to_hold_what_they_promise(
    seed: int, true_spread: float
) -> None:
    calibration = calibrate(
        _trials(0.2, true_spread, seed, n=200), clip_steps=60.0, interval_ratio=0.8
    )

    assert calibration.stretch == pytest.approx(true_spread / 0.2, rel=0.2)
    assert 0.7 < calibration.coverage_ratio < 0.9
    assert calibration.n_cases == 400


def test_the_honest_spread_scores_best() -> None:
    scores = [
        calibrate(
            [
                Trial(trial.said.stretched(1.0), trial.true_steps)
                for trial in _trials(spread, 0.2, seed=5)
            ],
            clip_steps=60.0,
            interval_ratio=0.8,
        )
        for spread in (0.02, 0.2)
    ]

    # Ten times too sure is more than stretching may mend.
    assert scores[0].stretch == STRETCH_RANGE[1]
    assert scores[0].crps_steps > scores[1].crps_steps
    assert scores[0].coverage_ratio < scores[1].coverage_ratio


def test_the_score_is_the_integral_over_both_distributions() -> None:
    (trial, _) = _trials(0.2, 0.2, seed=3, n=40)

    calibration = calibrate([trial], clip_steps=50.0, interval_ratio=0.8)

    said = trial.said.stretched(calibration.stretch)
    total = 0.0
    fine = np.linspace(0.0, 50.0, 5001)
    for case, truth in enumerate(trial.true_steps):
        gone = 1.0 - said.survival(fine)[case]
        total += float(np.trapezoid((gone - (fine >= truth)) ** 2, fine))
    assert calibration.crps_steps == pytest.approx(total / trial.true_steps.size, rel=0.03)


def test_nothing_to_try_the_model_on_is_an_error() -> None:
    with pytest.raises(NotEnoughDataError, match="longer lives"):
        calibrate(
            [Trial(_lognormal(np.ones(0), 0.2), np.ones(0))], clip_steps=1.0, interval_ratio=0.8
        )
