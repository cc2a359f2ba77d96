import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.arrays import DomainError, NotEnoughDataError, ShapeError
from analytics.signals.extremes import Spot, fit_tail, pot_threshold, spot_flags
from tests.naive import detection as naive


@given(
    seed=st.integers(0, 10_000),
    n=st.integers(0, 300),
    tail_ratio=st.sampled_from([0.02, 0.1, 0.5]),
)
def test_tails_of_many_series_are_those_of_each_by_itself(
    seed: int, n: int, tail_ratio: float
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.standard_t(4, size=(n, 3))
    values[rng.random(values.shape) < 0.1] = np.nan

    fast = pot_threshold(values, 1e-4, tail_ratio=tail_ratio)

    slow = [naive.pot_threshold(series, 1e-4, tail_ratio) for series in values.T.tolist()]
    np.testing.assert_allclose(fast, slow, rtol=1e-9)


@given(seed=st.integers(0, 10_000), shift=st.floats(-1e3, 1e3), factor=st.floats(0.01, 100.0))
def test_a_threshold_follows_shift_and_scale(seed: int, shift: float, factor: float) -> None:
    values = np.random.default_rng(seed).normal(size=(400, 2))

    moved = pot_threshold(values * factor + shift, 1e-4)

    size = abs(shift) + factor
    np.testing.assert_allclose(
        moved, pot_threshold(values, 1e-4) * factor + shift, atol=1e-8 * size
    )


@given(seed=st.integers(0, 10_000))
def test_a_rarer_excess_needs_a_higher_threshold(seed: int) -> None:
    tail = fit_tail(np.random.default_rng(seed).normal(size=(500, 3)))

    thresholds = np.stack([tail.quantile(ratio) for ratio in (1e-2, 1e-3, 1e-4, 1e-6)])

    assert (np.diff(thresholds, axis=0) >= 0).all()


def test_a_threshold_is_passed_about_as_rarely_as_asked() -> None:
    rng = np.random.default_rng(3)

    threshold = pot_threshold(rng.normal(size=(2000, 200)), 1e-3)

    passed = 1 - np.vectorize(math.erf)(threshold / math.sqrt(2)) / 2 - 0.5
    assert 0.0007 < passed.mean() < 0.0013


def test_a_series_without_samples_has_no_threshold() -> None:
    values = np.stack([np.full(100, np.nan), np.arange(100.0)], axis=1)

    assert np.isfinite(pot_threshold(values, 1e-3)).tolist() == [False, True]
    assert np.isnan(pot_threshold(np.empty((0, 1)), 1e-3)).all()


def test_a_constant_series_is_its_own_threshold() -> None:
    assert pot_threshold(np.full((50, 1), 7.0), 1e-4).tolist() == [7.0]


def test_spot_flags_what_stands_out_and_little_else() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(size=6000)
    values[[3000, 4500]] = 12.0

    flags = spot_flags(values, 2000, Spot(exceeded_ratio=1e-4))

    assert flags[[3000, 4500]].all()
    assert flags.sum() <= 8


def test_dspot_follows_a_drift_that_spot_takes_for_an_anomaly() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(size=4000) + np.linspace(0.0, 40.0, 4000)
    values[3000] += 15.0

    drifting = spot_flags(values, 500, Spot(depth=50))
    fixed = spot_flags(values, 500, Spot())

    assert drifting[3000]
    assert drifting.sum() < 10 < fixed.sum()


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), shift=st.floats(-100.0, 100.0))
def test_spot_does_not_see_a_shift(seed: int, shift: float) -> None:
    values = np.random.default_rng(seed).normal(size=600)

    flags = spot_flags(values, 200, Spot(exceeded_ratio=1e-2))
    moved = spot_flags(values + shift, 200, Spot(exceeded_ratio=1e-2))

    assert (flags != moved).sum() <= 1  # one sample may lie within rounding of the threshold


def test_spot_passes_over_missing_samples() -> None:
    spot = Spot()
    spot.start(np.append(np.random.default_rng(1).normal(size=300), np.nan))

    assert not spot.step(np.nan)
    assert spot.n_seen == 300


def test_what_can_not_be_fitted_is_refused() -> None:
    with pytest.raises(NotEnoughDataError, match="5 of 20 samples"):
        Spot().start(np.zeros(5))
    with pytest.raises(ShapeError, match="n_series"):
        fit_tail(np.zeros(5))
    with pytest.raises(DomainError, match="tail_ratio"):
        fit_tail(np.zeros((5, 1)), tail_ratio=1.0)
    with pytest.raises(DomainError, match="exceeded_ratio"):
        fit_tail(np.zeros((50, 1))).quantile(0.0)
