import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.arrays import DomainError, FloatArray, NotEnoughDataError, ShapeError
from analytics.signals.regimes import RegimeBaseline, find_regimes, regime_baseline
from tests.naive import detection as naive


def _duties(seed: int, n_regimes: int) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    duty = rng.integers(0, n_regimes, 400)
    speed = 1000.0 * (duty + 1) + 5.0 * rng.normal(size=400)
    return np.stack([rng.normal(size=400), speed], axis=1), duty.astype(np.float64)


@given(seed=st.integers(0, 1000), n_regimes=st.integers(1, 4))
def test_regimes_that_lie_apart_are_found(seed: int, n_regimes: int) -> None:
    x, duty = _duties(seed, n_regimes)

    found = find_regimes(x, (1,))

    assert found.n_regimes == n_regimes
    assert found.assign(x).tolist() == duty.astype(int).tolist()


@given(seed=st.integers(0, 1000))
def test_samples_belong_to_the_regime_that_the_plain_search_finds(seed: int) -> None:
    x, _ = _duties(seed, 3)
    x[::17, 1] = np.nan
    found = find_regimes(x, (0, 1), n_regimes=3)

    assert found.assign(x).tolist() == [naive.regime_of(found, row) for row in x.tolist()]


def test_samples_in_any_order_give_a_baseline_of_the_same_bits() -> None:
    x, duty = _duties(3, 2)
    order = np.random.default_rng(1).permutation(400)
    regime = duty.astype(np.int64)

    usual, moved = regime_baseline(x, regime, 2), regime_baseline(x[order], regime[order], 2)

    np.testing.assert_allclose(moved.centre, usual.centre, rtol=1e-12)
    assert moved.scale.tobytes() == usual.scale.tobytes()


def test_a_regime_with_few_samples_is_not_known() -> None:
    x, duty = _duties(4, 2)
    regime = duty.astype(np.int64)
    regime[regime == 1] = 0
    regime[:5] = 1

    usual = regime_baseline(x, regime, 2)

    assert np.isnan(usual.centre[1]).all()
    assert np.isnan(usual.standardise(x[:5], regime[:5])).all()


def test_a_signal_of_few_values_has_the_spread_that_it_shows() -> None:
    flow = np.where(np.arange(200) % 5 == 0, 33.0, 32.0)[:, np.newaxis]

    usual = regime_baseline(flow, np.zeros(200, np.int64), 1)

    # Its median deviation is zero, though every fifth sample is another value.
    assert usual.scale[0, 0] > 0.25


def test_what_can_not_be_grouped_is_refused() -> None:
    x, _ = _duties(1, 2)

    with pytest.raises(NotEnoughDataError, match="3 of 24 samples"):
        find_regimes(x[:3], (1,))
    with pytest.raises(DomainError, match="name at least one signal"):
        find_regimes(x, ())
    with pytest.raises(ShapeError, match="baseline of 2 signals"):
        RegimeBaseline(np.zeros((1, 2)), np.ones((1, 2))).standardise(x, np.zeros(3, np.int64))
