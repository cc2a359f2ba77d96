import functools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.arrays import DomainError, FloatArray, ShapeError
from analytics.health.indicator import health_indicator
from analytics.health.model import HealthModel, fit_health_model
from analytics.health.rul import estimate_rul
from tests.unit.analytics.health.wearing import (
    QUICK,
    SIGNALS,
    STEP_H,
    as_block,
    fitted_model,
    wearing_unit,
    wearing_units,
)

UNITS = wearing_units(6, seed=50)


def _damage(n_seen: list[int]) -> FloatArray:
    return health_indicator(fitted_model(), as_block(UNITS[: len(n_seen)], n_seen))


def test_estimates_come_near_the_truth() -> None:
    n_seen = [unit.time_h.size - 20 for unit in UNITS]

    estimate = estimate_rul(fitted_model(), _damage(n_seen))

    np.testing.assert_allclose(estimate.median_h, 20 * STEP_H, atol=12 * STEP_H)
    assert (estimate.lower_h < estimate.median_h).all()
    assert (estimate.median_h < estimate.upper_h).all()
    assert (estimate.n_evidence > 1).all()


@functools.cache
def _model_of_one_course() -> HealthModel:
    """Units of one life without noise, seen from new: damage alone tells the life left."""
    rng = np.random.default_rng(0)
    alike = [wearing_unit(f"unit-{i}", 120, rng, noise=0.0) for i in range(4)]
    how = replace(QUICK, start_ratios=(0.0,))
    return fit_health_model("press", SIGNALS, alike, step_h=STEP_H, settings=how)


@settings(max_examples=20, deadline=None)
@given(life=st.integers(70, 200), factor=st.floats(0.5, 1.5))
def test_a_machine_further_along_is_never_given_longer(life: int, factor: float) -> None:
    model = _model_of_one_course()
    unit = wearing_unit("new", life, np.random.default_rng(0), noise=0.0)
    n_seen = list(range(30, life, 5))
    block = as_block([unit] * len(n_seen), n_seen)
    block[:, 0] *= factor

    estimate = estimate_rul(model, health_indicator(model, block))

    assert np.diff(estimate.median_h).max() <= 1e-6
    assert np.diff(estimate.lower_h).max() <= 1e-6


@given(seed=st.integers(0, 10_000), interval=st.floats(0.05, 0.99))
def test_survival_starts_at_one_and_never_rises(seed: int, interval: float) -> None:
    rng = np.random.default_rng(seed)
    damage = np.cumsum(rng.normal(0.01, 0.05, size=(60, 3)), axis=0)
    damage[rng.random(damage.shape) < 0.3] = np.nan

    estimate = estimate_rul(fitted_model(), damage, interval=interval)

    assert estimate.horizon_h[0] == 0.0
    assert (np.diff(estimate.horizon_h) > 0).all()
    assert (estimate.survival[:, 0] == 1.0).all()
    assert (np.diff(estimate.survival, axis=1) <= 1e-12).all()
    assert ((estimate.survival >= 0) & (estimate.survival <= 1)).all()
    assert (estimate.lower_h <= estimate.median_h).all()
    assert (estimate.median_h <= estimate.upper_h).all()


def test_quantiles_are_read_from_the_same_curve_as_survival() -> None:
    estimate = estimate_rul(fitted_model(), _damage([60, 70, 50]), interval=0.8)

    for name, still_running in (("lower_h", 0.9), ("median_h", 0.5), ("upper_h", 0.1)):
        at = np.diagonal(estimate.survival_at(getattr(estimate, name)))
        np.testing.assert_allclose(at, still_running, atol=0.02)


def test_a_higher_interval_holds_a_lower_one() -> None:
    damage = _damage([60, 70, 50])

    wide, narrow = (estimate_rul(fitted_model(), damage, interval=i) for i in (0.95, 0.5))

    assert (wide.lower_h < narrow.lower_h).all()
    assert (wide.upper_h > narrow.upper_h).all()
    np.testing.assert_array_equal(wide.median_h, narrow.median_h)


def test_machines_in_any_order_have_the_same_bits() -> None:
    damage = _damage([60, 30, 50, 70])
    order = [2, 0, 3, 1]

    fleet = estimate_rul(fitted_model(), damage)
    shuffled = estimate_rul(fitted_model(), damage[:, order])

    assert shuffled.survival.tobytes() == fleet.survival[order].tobytes()
    assert shuffled.median_h.tobytes() == fleet.median_h[order].tobytes()


def test_a_machine_that_has_gone_silent_is_judged_as_of_its_newest_sample() -> None:
    damage = _damage([60, 60])
    silent = np.concatenate([damage, np.full((40, 2), np.nan)])

    assert estimate_rul(fitted_model(), silent).median_h.tobytes() == (
        estimate_rul(fitted_model(), damage).median_h.tobytes()
    )


def test_too_few_samples_are_said_and_nothing_is_guessed() -> None:
    damage = np.full((30, 3), np.nan)
    damage[-12:, 0] = 0.1
    damage[-24:, 1] = 0.1

    estimate = estimate_rul(fitted_model(), damage)

    assert estimate.note[0] == "not enough data: 12 of 24 samples"
    assert estimate.note[2] == "not enough data: 0 of 24 samples"
    assert np.isnan(estimate.median_h[[0, 2]]).all()
    assert np.isnan(estimate.survival[[0, 2]]).all()
    assert estimate.n_evidence[[0, 2]].tolist() == [0.0, 0.0]
    assert np.isfinite(estimate.median_h[1])


def test_a_machine_that_never_wore_gets_the_lives_left_to_healthy_units() -> None:
    model = fitted_model()
    rng = np.random.default_rng(9)
    for n_seen in (30, 100, 4000):
        damage = 0.02 * rng.normal(size=(n_seen, 1))

        estimate = estimate_rul(model, damage)

        width_h = estimate.upper_h[0] - estimate.lower_h[0]
        assert np.isfinite(estimate.survival).all()
        assert estimate.median_h[0] > 0.2 * np.median(model.life_h)
        assert width_h > 0.05 * np.median(model.life_h)


def test_a_machine_unlike_all_others_is_marked() -> None:
    damage = np.tile([[3.0], [-2.0]], (20, 1))

    estimate = estimate_rul(fitted_model(), damage)

    assert estimate.note[0] is not None
    assert "unlike" in estimate.note[0]
    assert np.isfinite(estimate.median_h[0])


def test_no_machines_get_no_answers() -> None:
    estimate = estimate_rul(fitted_model(), np.empty((50, 0)))

    assert estimate.survival.shape[0] == 0
    assert estimate.note == ()
    assert estimate.survival_at(np.array([1.0])).shape == (0, 1)


def test_no_samples_get_notes() -> None:
    estimate = estimate_rul(fitted_model(), np.empty((0, 2)))

    assert estimate.note == ("not enough data: 0 of 24 samples",) * 2


@pytest.mark.parametrize("interval", [0.0, 1.0, -0.5])
def test_an_interval_that_holds_nothing_or_all_is_refused(interval: float) -> None:
    with pytest.raises(DomainError, match="interval"):
        estimate_rul(fitted_model(), np.zeros((30, 1)), interval=interval)


def test_damage_without_a_machine_axis_is_refused() -> None:
    with pytest.raises(ShapeError, match="n_machines"):
        estimate_rul(fitted_model(), np.zeros(30))
