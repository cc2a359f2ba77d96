import numpy as np
import pytest

from analytics.arrays import ShapeError
from analytics.health.indicator import health_indicator, health_pct
from tests.naive import health as naive
from tests.unit.analytics.health.wearing import as_block, fitted_model, wearing_units

UNITS = wearing_units(5, seed=40)


def test_damage_rises_from_about_zero_to_about_one() -> None:
    model = fitted_model()
    whole_lives = as_block(UNITS, [unit.time_h.size for unit in UNITS])

    damage = health_indicator(model, whole_lives)

    starts = [damage.shape[0] - unit.time_h.size for unit in UNITS]
    early = np.array([damage[s : s + 20, m].mean() for m, s in enumerate(starts)])
    np.testing.assert_allclose(early, 0.0, atol=0.2)
    np.testing.assert_allclose(damage[-1], 1.0, atol=0.3)


def test_damage_of_a_fitted_model_is_that_of_the_plain_loop() -> None:
    model = fitted_model()
    block = as_block(UNITS, [40, 60, 30, 50, 64])
    block[10:14, 0, 1] = np.nan

    damage = health_indicator(model, block)

    slow = naive.damage(model.fusion, block.astype(np.float64))
    np.testing.assert_allclose(damage, slow, rtol=1e-9, atol=1e-12)


def test_machines_in_any_order_have_the_same_bits() -> None:
    model = fitted_model()
    block = as_block(UNITS, [40, 60, 30, 50, 64])
    order = [3, 0, 4, 2, 1]

    damage = health_indicator(model, block)

    assert health_indicator(model, block[:, :, order]).tobytes() == damage[:, order].tobytes()


def test_later_samples_do_not_change_earlier_damage() -> None:
    model = fitted_model()
    block = as_block(UNITS, [60] * 5)

    whole, part = health_indicator(model, block), health_indicator(model, block[:35])

    np.testing.assert_array_equal(whole[:35], part)


def test_an_infinite_sample_counts_as_missing() -> None:
    model = fitted_model()
    block = as_block(UNITS, [60] * 5)
    with_inf = block.copy()
    block[30, 0], with_inf[30, 0] = np.nan, np.inf

    np.testing.assert_array_equal(health_indicator(model, with_inf), health_indicator(model, block))


def test_signals_of_another_kind_are_refused() -> None:
    with pytest.raises(ShapeError, match="takes the 4 signals"):
        health_indicator(fitted_model(), np.zeros((10, 3, 2)))


def test_health_runs_from_a_hundred_to_zero() -> None:
    pct = health_pct(np.array([[-1.0, 0.0], [0.4, 7.0]]))

    assert pct.tolist() == [[100.0, 100.0], [60.0, 0.0]]
