import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.arrays import BoolArray, DomainError, FloatArray, ShapeError
from analytics.scoring.ranking import auc_pr, auc_roc, volumes_under_surface
from tests.naive import scoring as naive


def _case(seed: int, n: int = 120) -> tuple[BoolArray, FloatArray]:
    """A few anomalies, some at the ends, and scores with ties."""
    rng = np.random.default_rng(seed)
    truth = np.zeros(n, np.bool_)
    for _ in range(int(rng.integers(1, 5))):
        first = int(rng.integers(0, n))
        truth[first : first + int(rng.integers(1, 15))] = True
    return truth, np.round(rng.random(n) + 0.3 * truth.astype(np.float64), 2)


@given(seed=st.integers(0, 10_000))
def test_areas_are_those_of_the_plain_count(seed: int) -> None:
    truth, score = _case(seed, 60)

    assert auc_roc(truth, score) == pytest.approx(naive.auc_roc(truth.tolist(), score.tolist()))
    assert auc_pr(truth, score) == pytest.approx(naive.auc_pr(truth.tolist(), score.tolist()))


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), buffer=st.integers(0, 12))
def test_volumes_are_those_of_the_published_procedure(seed: int, buffer: int) -> None:
    truth, score = _case(seed)

    found = volumes_under_surface(truth, score, buffer, n_thresholds=25)

    roc, pr = naive.volumes(truth.tolist(), score.tolist(), buffer, 25)
    assert found.vus_roc == pytest.approx(roc)
    assert found.vus_pr == pytest.approx(pr)


@given(seed=st.integers(0, 10_000))
def test_only_the_order_of_scores_matters(seed: int) -> None:
    truth, score = _case(seed)

    assert auc_pr(truth, np.exp(3 * score)) == auc_pr(truth, score)
    moved, usual = (volumes_under_surface(truth, s, 6) for s in (7 * score - 1, score))
    assert moved == usual


@given(seed=st.integers(0, 10_000))
def test_time_run_backwards_ranks_alike(seed: int) -> None:
    truth, score = _case(seed)

    forth, back = (
        volumes_under_surface(t, s, 9) for t, s in ((truth, score), (truth[::-1], score[::-1]))
    )

    assert forth.vus_pr == pytest.approx(back.vus_pr)
    assert forth.vus_roc == pytest.approx(back.vus_roc)


def test_noise_scores_as_noise_should() -> None:
    rng = np.random.default_rng(1)
    truth = np.zeros(20_000, np.bool_)
    truth[5000:7000] = True
    noise = rng.random(20_000)

    assert auc_roc(truth, noise) == pytest.approx(0.5, abs=0.03)
    assert auc_pr(truth, noise) == pytest.approx(0.1, abs=0.01)


def test_what_can_not_be_ranked_is_refused() -> None:
    truth, score = _case(1)

    with pytest.raises(ShapeError, match="one of each per sample"):
        auc_pr(truth, score[1:])
    with pytest.raises(DomainError, match="1 scores are missing"):
        auc_roc(truth, np.append(score[1:], np.nan))
    with pytest.raises(DomainError, match="of one kind"):
        volumes_under_surface(np.zeros_like(truth), score, 5)
    with pytest.raises(DomainError, match="buffer is -1"):
        volumes_under_surface(truth, score, -1)
