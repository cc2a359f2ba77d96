import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.arrays import DomainError, FloatArray, NotEnoughDataError, ShapeError
from analytics.signals.projection import Projection, fit_projection, ranked
from tests.naive import detection as naive


def _healthy(seed: int, n: int = 300) -> FloatArray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)) @ rng.normal(size=(2, 5)) + 0.2 * rng.normal(size=(n, 5))


@given(seed=st.integers(0, 10_000))
def test_t2_and_spe_are_those_of_the_plain_sums(seed: int) -> None:
    z = _healthy(seed)
    plane = fit_projection(z)
    z[0, 1] = np.nan

    for row in range(4):
        t2, spe = naive.t2_and_spe(z[row], plane.loadings, plane.variance)
        np.testing.assert_allclose(plane.t2(z)[row], t2, rtol=1e-9)
        np.testing.assert_allclose(plane.spe(z)[row], spe, rtol=1e-9, atol=1e-12)


@given(seed=st.integers(0, 10_000))
def test_contributions_add_up_to_the_statistic(seed: int) -> None:
    z = _healthy(seed)
    plane = fit_projection(z)

    np.testing.assert_allclose(plane.t2_contributions(z).sum(axis=1), plane.t2(z), atol=1e-9)
    np.testing.assert_allclose(plane.spe_contributions(z).sum(axis=1), plane.spe(z), atol=1e-9)


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000), signal=st.integers(0, 4))
def test_a_reconstruction_frees_as_much_as_the_best_value_would(seed: int, signal: int) -> None:
    z = _healthy(seed)
    plane = fit_projection(z, n_components=2)

    gain = plane.spe_reconstructions(z[:1])[0, signal]

    slow = naive.reconstruction_gain(z[0], plane.loadings, signal)
    np.testing.assert_allclose(gain, slow, rtol=1e-4, atol=1e-6)


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), guilty=st.integers(0, 4))
def test_a_signal_that_leaves_the_plane_alone_is_named_first(seed: int, guilty: int) -> None:
    z = _healthy(seed)
    plane = fit_projection(z, n_components=2)
    # One that the plane holds fast can't be told from the others.
    if 1.0 - (plane.loadings[:, guilty] ** 2).sum() < 0.2:
        return
    z[0, guilty] += 15.0

    assert ranked(plane.spe_reconstructions(z[:1]))[0, 0] == guilty


@given(seed=st.integers(0, 10_000))
def test_signals_in_any_order_have_the_same_statistics(seed: int) -> None:
    z = _healthy(seed)
    order = np.random.default_rng(seed).permutation(5)

    usual, moved = fit_projection(z), fit_projection(z[:, order])

    np.testing.assert_allclose(moved.t2(z[:, order]), usual.t2(z), rtol=1e-6)
    np.testing.assert_allclose(moved.spe(z[:, order]), usual.spe(z), rtol=1e-6, atol=1e-9)


def test_a_signal_that_never_moves_is_left_out_of_the_plane() -> None:
    z = _healthy(1)
    z[:, 3] = 0.0

    plane = fit_projection(z, explained_ratio=1.0)

    assert np.isfinite(plane.t2(z)).all()
    assert np.abs(plane.loadings[:, 3]).max() < 1e-9


def test_too_short_a_history_is_refused_with_numbers() -> None:
    with pytest.raises(NotEnoughDataError, match="not enough data: 12 of 20 samples"):
        fit_projection(_healthy(1)[:12])


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DomainError, match="explained_ratio"):
        fit_projection(_healthy(1), explained_ratio=0.0)
    with pytest.raises(DomainError, match="n_components"):
        fit_projection(_healthy(1), n_components=6)
    with pytest.raises(ShapeError, match="one variance per direction"):
        Projection(np.eye(3), np.ones(2))
