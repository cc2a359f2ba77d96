"""Drawn wear agrees with the closed forms of its law."""

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import ScenarioError
from simulators.wear.laws import (
    ExponentialWear,
    GammaWear,
    ShockWear,
    WearLaw,
    WienerWear,
    WithShocks,
)
from simulators.wear.paths import FloatArray, draw_wear_paths, draw_worn_path

GAMMA = GammaWear(
    onset_range_h=(200.0, 200.0),
    growth_h=400.0,
    growth_spread_ratio=0.0,
    power=1.6,
    jumps=60.0,
)


def first_passage_probability(law: GammaWear, age_h: FloatArray) -> FloatArray:
    """P(failed by age) = P(gamma wear >= 1), since the process never falls."""
    shape = law.jumps * (age_h / law.growth_h) ** law.power
    return np.asarray(scipy.special.gammaincc(shape, law.jumps), dtype=np.float64)


def test_failure_times_follow_the_first_passage_law_of_the_gamma_process() -> None:
    paths = draw_wear_paths(GAMMA, np.random.default_rng(1), 1500)
    growth_h = np.array([path.failure_h - path.onset_h for path in paths])

    # A continuous law maps its own draws to uniform ones.
    test = scipy.stats.kstest(first_passage_probability(GAMMA, growth_h), "uniform")

    assert test.pvalue > 0.01, test


def test_mean_wear_follows_its_power_law() -> None:
    law = GammaWear((0.0, 0.0), 400.0, 0.0, power=1.6, jumps=400.0)
    paths = draw_wear_paths(law, np.random.default_rng(2), 800)
    age_h = np.array([100.0, 200.0, 300.0])

    mean = np.mean([path.wear_at(age_h) for path in paths], axis=0)

    # Standard error of the mean is at most 0.002; nobody has failed before 300 h.
    assert mean == pytest.approx((age_h / 400.0) ** 1.6, abs=0.006)


def test_exponential_wear_is_its_closed_form() -> None:
    law = ExponentialWear((100.0, 100.0), 300.0, 0.0, curvature=2.5)
    (path,) = draw_wear_paths(law, np.random.default_rng(3), 1)
    age_h = np.linspace(0.0, 500.0, 4001)

    share = np.clip((age_h - 100.0) / 300.0, 0.0, 1.0)
    expected = np.expm1(2.5 * share) / np.expm1(2.5)

    # Between its hourly points the path is straight: off by at most w''·h²/8, here 9.5e-6.
    assert path.wear_at(age_h) == pytest.approx(expected, abs=1e-5)


def test_unit_to_unit_variation_is_lognormal() -> None:
    law = ExponentialWear((0.0, 0.0), 300.0, 0.25, curvature=2.0)
    paths = draw_wear_paths(law, np.random.default_rng(4), 1500)

    test = scipy.stats.kstest(
        [path.failure_h for path in paths], scipy.stats.lognorm(0.25, scale=300.0).cdf
    )

    assert test.pvalue > 0.01, test


@given(
    seed=st.integers(0, 10_000),
    power=st.floats(0.8, 3.0),
    jumps=st.floats(2.0, 200.0),
    spread=st.floats(0.0, 0.5),
)
def test_wear_never_falls_and_ends_at_one(
    seed: int, power: float, jumps: float, spread: float
) -> None:
    law = GammaWear((10.0, 90.0), 60.0, spread, power, jumps)

    for path in draw_wear_paths(law, np.random.default_rng(seed), 3):
        assert 10.0 <= path.onset_h <= 90.0
        assert np.all(np.diff(path.wear) >= 0)
        assert np.all(np.diff(path.age_h) >= 0)
        assert path.wear[0] == 0.0
        assert path.wear[-1] == 1.0
        assert math.isclose(path.age_h[-1], path.failure_h)


def test_units_slower_than_the_first_horizon_still_fail() -> None:
    # Few coarse jumps and a clock that slows down: some units last many times the typical life.
    law = GammaWear((0.0, 0.0), 20.0, 0.0, power=0.6, jumps=1.0)

    paths = draw_wear_paths(law, np.random.default_rng(5), 200)

    assert max(path.failure_h for path in paths) > 3 * 20.0


def test_the_same_generator_state_gives_the_same_paths() -> None:
    first, second = (draw_wear_paths(GAMMA, np.random.default_rng(9), 3) for _ in range(2))

    assert [path.failure_h for path in first] == [path.failure_h for path in second]


@pytest.mark.parametrize(
    "law",
    [
        GammaWear((5.0, 1.0), 10.0, 0.1, 1.0, 10.0),
        GammaWear((0.0, 1.0), -10.0, 0.1, 1.0, 10.0),
        ExponentialWear((0.0, 1.0), 10.0, -0.1, 1.0),
        ExponentialWear((0.0, 1.0), 10.0, 0.1, 0.0),
    ],
)
def test_impossible_wear_is_refused(law: GammaWear | ExponentialWear) -> None:
    with pytest.raises(ScenarioError, match="no machine can wear like this"):
        draw_wear_paths(law, np.random.default_rng(0), 1)


WIENER = WienerWear((50.0, 50.0), growth_h=300.0, growth_spread_ratio=0.0, noise=0.3)
SHOCK = ShockWear((50.0, 50.0), growth_h=300.0, growth_spread_ratio=0.0, jump=0.25)


def test_failure_times_follow_the_inverse_gaussian_law_of_the_wiener_process() -> None:
    paths = draw_wear_paths(WIENER, np.random.default_rng(5), 2000)
    growth_h = np.array([path.failure_h - 50.0 for path in paths])

    shape_h = 300.0 / 0.3**2
    test = scipy.stats.kstest(growth_h, scipy.stats.invgauss(300.0 / shape_h, scale=shape_h).cdf)

    assert test.pvalue > 0.01, test


def test_wiener_paths_waver_like_brownian_motion_that_has_not_passed_yet() -> None:
    # Drawn in tiny steps and thrown away when they pass the level before 150 h.
    rng = np.random.default_rng(6)
    steps = rng.normal(0.25 / 300.0, 0.3 * np.sqrt(0.25 / 300.0), size=(600, 4000))
    plain = np.cumsum(steps, axis=0)
    survives = plain.max(axis=0) < 1.0
    expected = np.clip(plain[-1, survives], 0.0, 1.0)

    paths = draw_wear_paths(WIENER, np.random.default_rng(7), 3000)
    drawn = [path.wear_at(np.array([200.0]))[0] for path in paths if path.failure_h > 200.0]

    assert len(drawn) / 3000 == pytest.approx(survives.mean(), abs=0.025)
    assert np.mean(drawn) == pytest.approx(expected.mean(), abs=0.015)
    assert np.std(drawn) == pytest.approx(expected.std(), abs=0.015)


def test_failure_times_follow_the_law_of_blows() -> None:
    paths = draw_wear_paths(SHOCK, np.random.default_rng(8), 2000)
    growth_h = np.array([path.failure_h - 50.0 for path in paths])
    every_h = 300.0 * 0.25 / 1.25
    n_blows = np.arange(1, 60)
    weight = scipy.stats.poisson(1 / 0.25).pmf(n_blows - 1)

    cdf = (scipy.stats.gamma(n_blows, scale=every_h).cdf(growth_h[:, np.newaxis]) * weight).sum(1)
    test = scipy.stats.kstest(cdf, "uniform")

    assert growth_h.mean() == pytest.approx(300.0, rel=0.03)
    assert test.pvalue > 0.01, test


def test_failure_times_follow_the_law_of_steady_wear_and_blows() -> None:
    law = WithShocks(ExponentialWear((0.0, 0.0), 400.0, 0.0, curvature=1.5), every_h=80.0, jump=0.1)
    paths = draw_wear_paths(law, np.random.default_rng(9), 2000)
    failure_h = np.array([path.failure_h for path in paths])
    n_blows = np.arange(1, 80)

    # Neither part ever falls: failed by t if the blows by t reach what steady wear left over.
    steady = np.expm1(1.5 * np.minimum(failure_h, 400.0) / 400.0) / np.expm1(1.5)
    left = np.maximum(1.0 - steady, 0.0)[:, np.newaxis]
    weight = scipy.stats.poisson(failure_h[:, np.newaxis] / 80.0).pmf(n_blows)
    cdf = (scipy.stats.gamma(n_blows, scale=0.1).sf(left) * weight).sum(axis=1)
    # Some live to the end of steady wear, where the law has an atom; the rest is continuous.
    is_early = failure_h < 400.0 - 1e-9
    highest = (
        scipy.stats.gamma(n_blows, scale=0.1).sf(1e-12) * scipy.stats.poisson(5.0).pmf(n_blows)
    ).sum()
    test = scipy.stats.kstest(cdf[is_early] / highest, "uniform")

    assert is_early.mean() == pytest.approx(highest, abs=0.02)
    assert test.pvalue > 0.01, test


@given(seed=st.integers(0, 10_000), law=st.sampled_from([WIENER, SHOCK, GAMMA]))
def test_the_age_of_a_wear_is_where_it_is_first_reached(seed: int, law: WearLaw) -> None:
    (path,) = draw_wear_paths(law, np.random.default_rng(seed), 1)

    for wear in (0.1, 0.5, 0.9):
        age_h = path.age_at(wear)
        before = path.wear_at(np.linspace(0.0, age_h, 200)[:-1])
        assert before.max() <= wear + 1e-9
        assert path.wear_at(np.array([age_h + 1e-9]))[0] >= wear - 1e-6
    assert path.age_at(0.0) == 0.0
    assert path.age_at(1.0) == pytest.approx(path.failure_h)


@pytest.mark.parametrize(
    "law",
    [
        WienerWear((0.0, 1.0), 10.0, 0.1, noise=0.0),
        ShockWear((0.0, 1.0), 10.0, 0.1, jump=-0.1),
        WithShocks(GAMMA, every_h=0.0, jump=0.1),
        WithShocks(WienerWear((5.0, 1.0), 10.0, 0.1, noise=0.1), every_h=1.0, jump=0.1),
    ],
)
def test_a_law_no_machine_can_wear_by_is_refused(law: WearLaw) -> None:
    with pytest.raises(ScenarioError, match="no machine can wear like this"):
        draw_wear_paths(law, np.random.default_rng(1), 1)


def test_a_worn_unit_needs_the_inverse_gaussian_time_of_what_is_left() -> None:
    rng = np.random.default_rng(11)
    drawn = [draw_worn_path(WIENER, rng, 0.4) for _ in range(1500)]
    left_h = np.array([path.failure_h - age_h for path, age_h in drawn])

    # Brownian motion begins anew wherever it is stopped: the level is only 0.6 away.
    mean_h, shape_h = 0.6 * 300.0, 0.6**2 * 300.0 / 0.3**2
    test = scipy.stats.kstest(left_h, scipy.stats.invgauss(mean_h / shape_h, scale=shape_h).cdf)

    assert test.pvalue > 0.01, test


def test_blows_go_on_from_the_wear_that_is_there() -> None:
    rng = np.random.default_rng(12)
    drawn = [draw_worn_path(SHOCK, rng, 0.4) for _ in range(1500)]
    left_h = np.array([path.failure_h - age_h for path, age_h in drawn])
    n_blows = np.arange(1, 60)
    weight = scipy.stats.poisson(0.6 / 0.25).pmf(n_blows - 1)

    every_h = 300.0 * 0.25 / 1.25
    cdf = (scipy.stats.gamma(n_blows, scale=every_h).cdf(left_h[:, np.newaxis]) * weight).sum(1)
    test = scipy.stats.kstest(cdf, "uniform")

    assert test.pvalue > 0.01, test


@given(
    seed=st.integers(0, 10_000),
    wear=st.floats(0.0, 0.95),
    law=st.sampled_from([
        WIENER,
        SHOCK,
        GAMMA,
        WithShocks(GAMMA, every_h=50.0, jump=0.3),
        WithShocks(WIENER, every_h=50.0, jump=0.3),
    ]),
)
def test_a_worn_unit_has_just_the_wear_asked_for_and_lives_on(
    seed: int, wear: float, law: WearLaw
) -> None:
    path, age_h = draw_worn_path(law, np.random.default_rng(seed), wear)

    assert path.wear_at(np.array([age_h]))[0] == pytest.approx(wear, abs=1e-9)
    assert path.failure_h > age_h
    assert path.wear[-1] == 1.0
    assert path.onset_h == age_h if wear > 0 else path.onset_h > age_h


@given(seed=st.integers(0, 10_000))
def test_a_new_unit_is_one_worn_by_nothing(seed: int) -> None:
    law = WithShocks(GAMMA, every_h=50.0, jump=0.3)
    (new,) = draw_wear_paths(law, np.random.default_rng(seed), 1)

    path, age_h = draw_worn_path(law, np.random.default_rng(seed), 0.0)

    assert age_h == 0.0
    assert path.failure_h == new.failure_h
    assert np.array_equal(path.wear, new.wear)
