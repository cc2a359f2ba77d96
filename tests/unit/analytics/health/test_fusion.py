import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.arrays import FloatArray, NotEnoughDataError
from analytics.health.fusion import Fusion
from analytics.health.fusion_fit import fit_standardiser, fit_weights, unit_sums
from analytics.health.settings import HealthSettings
from tests.naive import health as naive

SIGNALS = ("vibration_mm_s", "load_kw", "level_m")


def _fusion(seed: int) -> Fusion:
    rng = np.random.default_rng(seed)
    return Fusion(
        used=np.array([0, 2]),
        regime=np.zeros(0, np.int64),
        regime_centre=np.zeros(0),
        regime_scale=np.ones(0),
        usual=rng.normal(size=(1, 2)),
        scale=rng.uniform(0.1, 2.0, 2),
        memory_steps=np.array([3.0, 20.0]),
        weights=rng.normal(size=(2, 2)),
        intercept=0.3,
    )


def _values(seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    values = rng.normal(scale=20.0, size=(30, 3, 4))
    values[rng.random(values.shape) < 0.2] = np.nan
    values[rng.random((30, 1, 4)).repeat(3, axis=1) < 0.1] = np.nan
    values[:7, :, 1] = np.nan
    values[:, 2, 3] = np.nan
    return values


@given(seed=st.integers(0, 10_000))
def test_damage_is_that_of_the_plain_loop(seed: int) -> None:
    fusion, values = _fusion(seed), _values(seed)

    fast = fusion.damage(fusion.features(values))

    np.testing.assert_allclose(fast, naive.damage(fusion, values), rtol=1e-9, atol=1e-12)


def test_damage_is_not_known_before_every_used_signal_was_seen_nor_in_silence() -> None:
    fusion, values = _fusion(1), _values(1)

    damage = fusion.damage(fusion.features(values))

    assert np.isnan(damage[:7, 1]).all()
    assert np.isnan(damage[:, 3]).all()
    assert np.isnan(damage[np.isnan(values[:, [0, 2]]).all(axis=1)]).all()


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), ridge=st.sampled_from([1e-6, 1e-3, 1.0]))
def test_weights_from_sums_are_those_from_the_rows(seed: int, ridge: float) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.random((2, 25, 5))
    features = rng.normal(3.0, 2.0, size=(25, 4, 5))
    features += rng.normal(scale=3.0, size=(4, 1)) * labels[1, :, np.newaxis]
    features[:3, :, 2] = np.nan
    labels[:, 20:, 4] = np.nan
    is_in = np.array([True, True, False, True, True])

    sums = unit_sums(features, labels, sample_weight=1.0)
    sums += unit_sums(features[:10], labels[:, :10], sample_weight=0.25)
    fitted = fit_weights(_fusion(0), sums, 1, is_in, ridge=ridge)

    new = np.array(naive.rows_of(features, labels[1], is_in))
    late = np.array(naive.rows_of(features[:10], labels[1, :10], is_in))
    rows = np.vstack([new, late])
    weight = np.concatenate([np.ones(len(new)), np.full(len(late), 0.25)])
    slow = naive.ridge_weights(rows[:, :-1], rows[:, -1], weight, ridge, n_memories=2)
    np.testing.assert_allclose(fitted.intercept, slow[0], atol=1e-8)
    np.testing.assert_allclose(fitted.weights.ravel(), slow[1:], atol=1e-8)


@given(seed=st.integers(0, 10_000))
def test_a_signal_further_in_its_direction_of_wear_never_lowers_damage(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.linspace(0.0, 1.0, 25)[np.newaxis, :, np.newaxis].repeat(5, axis=2)
    # Two signals that say the same but for noise, the best case for cancelling weights.
    wear = labels[0, :, np.newaxis] + 0.3 * rng.normal(size=(25, 1, 5))
    features = wear * rng.choice([-1.0, 1.0], size=(2, 1)).repeat(2, axis=0)
    features += 0.1 * rng.normal(size=(25, 4, 5))

    sums = unit_sums(features, labels, sample_weight=1.0)
    fitted = fit_weights(_fusion(0), sums, 0, np.ones(5, np.bool_), ridge=1e-6)

    direction = np.sign((features * (labels[0] - 0.5)[:, np.newaxis]).sum(axis=(0, 2)))[::2]
    assert (fitted.weights.sum(axis=1) * direction >= -1e-12).all()
    assert (fitted.weights[:, 0] * direction >= -1e-12).all()


def _lives(n_units: int = 6, n_times: int = 80) -> FloatArray:
    rng = np.random.default_rng(4)
    values = rng.normal(size=(n_times, 3, n_units))
    values[:, 2] = 5.0
    return values


def _standardise(values: FloatArray, how: HealthSettings | None = None) -> Fusion:
    n_steps = np.full(values.shape[2], values.shape[0])
    return fit_standardiser(values, n_steps, SIGNALS, how or HealthSettings(), kind="pump")


def test_signals_that_stand_still_or_are_mostly_missing_are_not_used() -> None:
    values = _lives()
    values[: len(values) // 2, 1] = np.nan

    assert _standardise(values).used.tolist() == [0]


def test_no_signal_of_use_is_an_error_that_names_them() -> None:
    with pytest.raises(NotEnoughDataError, match="vibration_mm_s"):
        _standardise(np.ones((80, 3, 6)))


def test_deviations_do_not_depend_on_the_unit_of_measurement() -> None:
    values = _lives()
    other = values * np.array([25.4, 0.001, 1.0])[:, np.newaxis] + 100.0

    deviations = _standardise(values).deviations(values)
    other_deviations = _standardise(other).deviations(other)

    np.testing.assert_allclose(other_deviations, deviations, atol=1e-6)


@pytest.mark.parametrize("is_smooth", [True, False])
def test_what_a_regime_explains_is_not_taken_for_wear(is_smooth: bool) -> None:
    rng = np.random.default_rng(8)
    values = _lives()
    load = rng.uniform(1.0, 3.0, size=(80, 6))
    if not is_smooth:
        load = rng.choice([1.0, 1.7, 3.0], size=(80, 6))
    values[:, 1] = load
    values[:, 0] = 4.0 + 2.0 * load**2 + 0.1 * rng.normal(size=(80, 6))

    fusion = _standardise(values, HealthSettings(regime_signals=("load_kw",)))

    assert fusion.used.tolist() == [0]
    assert fusion.scale.item() == pytest.approx(0.1, rel=0.15)
    values[40, 1, 2] = np.nan
    assert np.isnan(fusion.deviations(values)[40, 0, 2])
