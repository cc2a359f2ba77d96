import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.arrays import DomainError, FloatArray, NotEnoughDataError
from analytics.signals.shape_score import VIEWS, phase_view, shape_score, shape_views
from analytics.signals.subsequences import (
    fit_shape_plane,
    nearest_distances,
    over_windows,
    period_of,
    windows_of,
)
from tests.naive import detection as naive


def _wave(seed: int, n: int = 1200, period: int = 40) -> FloatArray:
    rng = np.random.default_rng(seed)
    return np.sin(2 * np.pi * np.arange(n) / period) + 0.1 * rng.normal(size=n)


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), is_causal=st.booleans())
def test_the_matrix_profile_is_that_of_the_plain_pairs(seed: int, is_causal: bool) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=60)
    x[20:32] = 4.0
    x[45] = np.nan

    fast = nearest_distances(x, 8, is_causal=is_causal)

    slow = naive.nearest_distances(x.tolist(), 8, is_causal=is_causal)
    np.testing.assert_allclose(fast, slow, atol=1e-6)


@given(seed=st.integers(0, 10_000), shift=st.floats(-10.0, 10.0), factor=st.floats(0.1, 10.0))
@settings(max_examples=20)
def test_the_matrix_profile_does_not_see_level_and_size(
    seed: int, shift: float, factor: float
) -> None:
    x = _wave(seed, 200)

    np.testing.assert_allclose(
        nearest_distances(factor * x + shift, 20), nearest_distances(x, 20), atol=1e-5
    )


@pytest.mark.parametrize("period", [12, 48, 150])
def test_a_period_is_found_and_noise_has_none(period: int) -> None:
    assert abs(period_of(_wave(1, 2000, period)) - period) <= 1
    assert period_of(np.random.default_rng(1).normal(size=2000)) == 100
    assert period_of(np.full(90, 3.0)) == 30


@pytest.mark.parametrize("is_causal", [False, True])
def test_a_beat_that_is_missing_scores_highest_where_it_is(is_causal: bool) -> None:
    x = _wave(2)
    x[800:840] = 0.1 * np.random.default_rng(3).normal(size=40)

    score = shape_score(x, 400, is_causal=is_causal)

    assert 780 <= int(score.argmax()) <= 900
    assert np.isfinite(score).all()


def test_a_causal_score_does_not_see_what_comes_after() -> None:
    x, other = _wave(4), _wave(4)
    other[900:] += 5.0

    before, after = (shape_score(one, 400, is_causal=True)[:900] for one in (x, other))

    np.testing.assert_array_equal(before, after)


@given(seed=st.integers(0, 1000), shift=st.floats(-10.0, 10.0), factor=st.floats(0.1, 10.0))
@settings(max_examples=10)
def test_units_of_measurement_do_not_matter(seed: int, shift: float, factor: float) -> None:
    x = _wave(seed, 500)

    moved = shape_score(factor * x + shift, 300, width=20)

    np.testing.assert_allclose(moved, shape_score(x, 300, width=20), atol=1e-4)


def _days(seed: int, n_days: int = 8) -> tuple[FloatArray, FloatArray]:
    """A load that is low at night, every quarter of an hour."""
    time_h = np.arange(n_days * 96) / 4
    noise = np.random.default_rng(seed).normal(size=time_h.size)
    return np.where(time_h % 24 < 8, 10.0, 90.0) + noise, time_h


@given(seed=st.integers(0, 1000), shift=st.floats(-10.0, 10.0), factor=st.floats(0.5, 10.0))
@settings(max_examples=10)
def test_a_night_at_day_level_stands_out_in_any_unit(
    seed: int, shift: float, factor: float
) -> None:
    x, time_h = _days(seed)
    x[600:616] = 90.0  # from two to six in the seventh night

    view = phase_view(x, time_h, 384)

    assert 600 <= int(view.argmax()) <= 619
    assert view[384:600].max() < 0.2 * view.max()
    moved = phase_view(factor * x + shift, time_h, 384)
    np.testing.assert_allclose(moved, view, rtol=1e-6, atol=1e-6)


def test_the_view_of_the_day_is_the_mean_of_the_last_hour_written_out() -> None:
    x, time_h = _days(4)

    view = phase_view(x, time_h, 384)

    usual = [naive.profile_centre(x[:384].tolist(), time_h[:384].tolist(), 24.0, 24, b)
             for b in range(24)]  # fmt: skip
    off = [float(v) - usual[int(t % 24)] for v, t in zip(x, time_h, strict=True)]
    spread = 1.4826 * float(np.median(np.abs(off[:384])))
    for t in (3, 50, 500, 700):
        assert view[t] == pytest.approx(abs(sum(off[t - 3 : t + 1])) / 4 / spread)


def test_less_than_two_days_tell_nothing_of_the_hour() -> None:
    x, time_h = _days(1)

    assert np.isnan(phase_view(x, time_h, 150)).all()


def test_windows_with_a_gap_say_nothing_and_the_others_go_on() -> None:
    x = _wave(5)
    x[600] = np.nan
    plane = fit_shape_plane(x[:400], 40)

    distance = plane.distance(x)

    assert np.flatnonzero(np.isnan(distance)).tolist() == list(range(561, 601))
    views = shape_views(x, 400, is_causal=True)
    assert views.shape == (len(VIEWS), 1200)


def test_figures_of_windows_are_spread_over_their_samples() -> None:
    of_windows = np.array([1.0, 2.0, np.nan])

    both = over_windows(of_windows, 4, 2, is_causal=False)
    causal = over_windows(of_windows, 4, 2, is_causal=True)

    np.testing.assert_array_equal(both, [1.0, 1.5, 2.0, np.nan])
    np.testing.assert_array_equal(causal, [np.nan, 1.0, 2.0, np.nan])


def test_what_is_too_short_is_refused_with_numbers() -> None:
    with pytest.raises(NotEnoughDataError, match="60 of 200 ordinary samples"):
        shape_score(_wave(1), 60, width=40)
    with pytest.raises(NotEnoughDataError, match="30 of 40 samples"):
        nearest_distances(np.zeros(30), 20)
    with pytest.raises(DomainError, match="width is 1"):
        windows_of(np.zeros(30), 1)
