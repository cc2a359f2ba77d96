import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.arrays import DomainError, NotEnoughDataError, ShapeError
from analytics.signals.change_points import change_points
from analytics.signals.isolation import fit_isolation_forest
from analytics.signals.profiles import DAY_H, fit_profile
from analytics.signals.robust_covariance import robust_covariance
from tests.naive import detection as naive


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_the_forest_scores_as_walking_every_tree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(80, 3))
    forest = fit_isolation_forest(x, rng, n_trees=10, n_samples=40)
    x[5, 1] = np.nan

    scores = forest.score(x)

    assert np.isnan(scores[5])
    slow = [naive.isolation_score(forest, row) for row in x[:5].tolist()]
    np.testing.assert_allclose(scores[:5], slow, rtol=1e-12)


def test_the_forest_sets_far_samples_apart_and_survives_constants() -> None:
    rng = np.random.default_rng(1)
    x = np.column_stack([rng.normal(size=(600, 2)), np.full(600, 3.0)])
    forest = fit_isolation_forest(x, rng)

    odd = forest.score(np.array([[0.0, 0.0, 3.0], [7.0, 0.0, 3.0], [0.0, -7.0, 3.0]]))

    assert odd[0] < 0.5 < odd[1:].min()
    shifted = fit_isolation_forest(x * 4.0, np.random.default_rng(2)).score(x[:9] * 4.0)
    np.testing.assert_allclose(
        shifted, fit_isolation_forest(x, np.random.default_rng(2)).score(x[:9]), rtol=1e-9
    )


@given(seed=st.integers(0, 1000), scale=st.floats(0.1, 50.0))
@settings(max_examples=10, deadline=None)
def test_a_fifth_of_spoilt_samples_does_not_turn_the_covariance(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    x = scale * (rng.normal(size=(300, 3)) @ np.array([[1.0, 0.5, 0.0], [0, 1, 0], [0, 0, 1]]))
    clean = np.cov(x, rowvar=False)
    x[:60] += 30.0 * scale

    found = robust_covariance(x, np.random.default_rng(1))

    # The spoilt ones alone would make it a hundred times as large.
    assert np.linalg.norm(found.covariance - clean) < np.linalg.norm(clean)
    assert np.median(found.distance(x[:60])) > 10 * np.median(found.distance(x[60:]))


def test_a_robust_distance_is_mahalanobis_written_out() -> None:
    rng = np.random.default_rng(3)
    found = robust_covariance(rng.normal(size=(100, 2)), rng)
    x = np.array([[1.0, -2.0], [np.nan, 0.0]])

    distance = found.distance(x)

    off = x[0] - found.middle
    (a, b), (c, d) = found.covariance.tolist()
    inverse = np.array([[d, -b], [-c, a]]) / (a * d - b * c)
    assert distance[0] == pytest.approx(float(np.sqrt(off @ inverse @ off)))
    assert np.isnan(distance[1])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), n_levels=st.integers(1, 3))
def test_cuts_cost_no_more_than_the_cheapest_of_all(seed: int, n_levels: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.repeat(5 * rng.normal(size=n_levels), 15) + rng.normal(size=15 * n_levels)

    cuts = change_points(x, penalty=9.0, min_length=4)

    noise = 1.4826 * float(np.median(np.abs(np.diff(x)))) / np.sqrt(2)
    scaled = ((x - x.mean()) / noise).tolist()
    cheapest, _ = naive.change_points(scaled, 9.0, 4)
    parts = np.split(np.array(scaled), cuts)
    cost = sum(float(((part - part.mean()) ** 2).sum()) for part in parts) + 9.0 * len(cuts)
    assert cost == pytest.approx(cheapest)
    assert min(part.size for part in parts) >= 4


@given(shift=st.floats(-1e3, 1e3), factor=st.floats(0.01, 100.0))
def test_cuts_do_not_see_level_and_size(shift: float, factor: float) -> None:
    x = np.repeat([0.0, 4.0, 1.0], 40) + np.random.default_rng(2).normal(size=120)

    assert change_points(factor * x + shift) == change_points(x) == [40, 80]


def test_missing_samples_belong_to_the_stretch_around_them() -> None:
    x = np.repeat([0.0, 9.0], 50) + np.random.default_rng(2).normal(size=100)
    x[20:25] = np.nan

    assert change_points(x) == [50]
    assert change_points(np.full(100, 5.0)) == change_points(np.full(9, np.nan)) == []


@given(seed=st.integers(0, 10_000))
def test_a_profile_is_the_median_of_each_phase_in_any_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    time_h = rng.uniform(0, 240, 150)
    x = rng.normal(size=(150, 2))
    x[rng.random(x.shape) < 0.2] = np.nan

    profile = fit_profile(x, time_h, cycle_h=DAY_H, n_bins=6)
    order = rng.permutation(150)
    moved = fit_profile(x[order], time_h[order], cycle_h=DAY_H, n_bins=6)

    slow = [naive.profile_centre(x[:, 1].tolist(), time_h.tolist(), 24.0, 6, b) for b in range(6)]
    np.testing.assert_allclose(profile.centre[:, 1], slow)
    assert moved.centre.tobytes() == profile.centre.tobytes()


def test_a_night_at_day_level_stands_out() -> None:
    rng = np.random.default_rng(1)
    time_h = np.arange(24.0 * 21)
    load = np.where(time_h % 24 < 8, 10.0, 90.0)[:, np.newaxis] + rng.normal(size=(time_h.size, 1))
    profile = fit_profile(load, time_h, cycle_h=DAY_H, n_bins=24)

    z = profile.standardise(np.array([[90.0], [90.0]]), np.array([3.0, 12.0]))

    assert abs(z[1, 0]) < 4 < 50 < z[0, 0]


def test_what_can_not_be_learned_is_refused() -> None:
    rng = np.random.default_rng(1)
    with pytest.raises(NotEnoughDataError, match="10 of 32 samples"):
        fit_isolation_forest(np.zeros((10, 2)), rng)
    with pytest.raises(DomainError, match="0 trees"):
        fit_isolation_forest(np.zeros((100, 2)), rng, n_trees=0)
    with pytest.raises(NotEnoughDataError, match="9 of 10 samples"):
        robust_covariance(np.zeros((9, 2)), rng)
    with pytest.raises(DomainError, match="min_length 0"):
        change_points(np.zeros(9), min_length=0)
    with pytest.raises(ShapeError, match="a time per row"):
        fit_profile(np.zeros((3, 1)), np.zeros(2))
    with pytest.raises(DomainError, match="cycle_h"):
        fit_profile(np.zeros((3, 1)), np.zeros(3), cycle_h=0.0)
