import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.arrays import DomainError, FloatArray, NotEnoughDataError
from analytics.signals.monitor import Monitor, MonitorSettings
from analytics.signals.monitor_fit import fit_monitor
from analytics.signals.projection import ranked
from analytics.signals.regimes import find_regimes
from tests.naive import detection as naive


def _plant(seed: int, n: int, *, drift: float = 0.0) -> FloatArray:
    """Five signals with two causes; the last one may wander."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(2, 5))
    x = rng.normal(size=(n, 2)) @ mixing + 0.3 * rng.normal(size=(n, 5)) + 50.0
    x[:, 4] += np.cumsum(drift * rng.normal(size=n))
    return x


def _fitted(drift: float = 0.0) -> Monitor:
    return fit_monitor(_plant(1, 500, drift=drift))


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000), drift=st.sampled_from([0.0, 0.5]))
def test_scores_are_those_of_the_plain_loop(seed: int, drift: float) -> None:
    monitor = _fitted(drift)
    rng = np.random.default_rng(seed)
    x = _plant(seed, 120, drift=drift)
    x[60:90, 1] += 6.0
    x[rng.random(x.shape) < 0.1] = np.nan
    x[20:24] = np.nan

    found = monitor.score(x)

    scores, alarms = naive.monitor_scores(monitor, x)
    np.testing.assert_allclose(found.score, scores, rtol=1e-9)
    assert found.is_alarm.tolist() == alarms


def test_a_healthy_plant_raises_hardly_an_alarm_and_a_shift_is_found() -> None:
    monitor = _fitted()
    faulty = _plant(3, 400)
    faulty[200:, 2] += 3.0

    assert monitor.score(_plant(2, 3000)).is_alarm.mean() < 0.002
    found = monitor.score(faulty)
    assert not found.is_alarm[:200].any()
    assert found.is_alarm[240:].all()


def test_a_broken_relation_is_found_though_every_signal_keeps_its_range() -> None:
    monitor = _fitted()
    faulty = _plant(4, 400)
    # Opposite to the way in which the two move together.
    faulty[200:, 0] = 2 * 50.0 - faulty[200:, 0]

    found = monitor.score(faulty)

    assert found.is_alarm[260:].mean() > 0.5 or found.chart_ratio[260:, 1:].max() > 1.0


@pytest.mark.parametrize("guilty", range(4))
def test_the_guilty_signal_is_named_first(guilty: int) -> None:
    monitor = _fitted()
    faulty = _plant(5, 300)
    faulty[150:, guilty] += 8.0

    found = monitor.score(faulty)
    shares = monitor.contributions(found.smoothed)

    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert ranked(shares[200:].mean(axis=0))[0] == guilty


def test_a_wandering_signal_is_held_against_its_own_level() -> None:
    monitor = _fitted(drift=1.0)
    healthy = _plant(1, 1500, drift=1.0)[500:]

    assert monitor.wanders.tolist() == [False, False, False, False, True]
    assert monitor.score(healthy).is_alarm.mean() < 0.05


def test_an_alarm_on_a_wandering_signal_stands_until_it_returns() -> None:
    monitor = _fitted(drift=0.2)
    x = _plant(1, 2500, drift=0.2)[500:]
    x[100:300, 4] += 60.0

    found = monitor.score(x)

    assert found.is_alarm[110:300].all()
    # The level has moved meanwhile and is taken up again.
    assert found.is_alarm[1200:].mean() < 0.2


@given(seed=st.integers(0, 10_000), shift=st.floats(-100.0, 100.0), factor=st.floats(0.1, 100.0))
@settings(max_examples=10)
def test_units_of_measurement_do_not_matter(seed: int, shift: float, factor: float) -> None:
    healthy, x = _plant(seed, 300), _plant(seed + 1, 60)

    usual = fit_monitor(healthy).score(x).score
    moved = fit_monitor(healthy * factor + shift * factor).score((x + shift) * factor).score

    np.testing.assert_allclose(moved, usual, rtol=1e-3, atol=1e-3)


def test_signals_in_any_order_have_the_same_scores() -> None:
    healthy, x = _plant(7, 300), _plant(8, 60)
    order = [3, 1, 4, 0, 2]

    moved = fit_monitor(healthy[:, order]).score(x[:, order])

    np.testing.assert_allclose(moved.score, fit_monitor(healthy).score(x).score, rtol=1e-6)


def test_each_regime_has_its_own_usual() -> None:
    rng = np.random.default_rng(1)
    speed = np.where(rng.random(800) < 0.5, 1450.0, 2950.0)
    healthy = np.stack([speed, speed / 100 + rng.normal(size=800), rng.normal(size=800)], axis=1)
    regimes = find_regimes(healthy, (0,))
    monitor = fit_monitor(healthy, regimes=regimes)
    # At the low speed the second signal shows what is usual at the high one.
    wrong = np.stack([np.full(60, 1450.0), np.full(60, 29.5), np.zeros(60)], axis=1)

    assert regimes.n_regimes == 2
    assert monitor.score(wrong).is_alarm[20:].all()
    assert monitor.score(healthy[:300]).is_alarm.mean() < 0.01


def test_silence_and_constants_have_documented_answers() -> None:
    healthy = _plant(1, 300)
    healthy[:, 3] = 7.0
    monitor = fit_monitor(healthy)

    silent = monitor.score(np.full((20, 5), np.nan))

    assert np.isnan(silent.score).all()
    assert not silent.is_alarm.any()
    assert np.isfinite(monitor.score(healthy[:50]).score).all()


def test_what_can_not_be_learned_is_refused_with_numbers() -> None:
    with pytest.raises(NotEnoughDataError, match="not enough data: 12 of 64 healthy samples"):
        fit_monitor(_plant(1, 12))
    with pytest.raises(DomainError, match="MonitorSettings"):
        MonitorSettings(k=3, n=6)
