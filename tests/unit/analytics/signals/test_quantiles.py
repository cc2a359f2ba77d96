import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from analytics.arrays import DomainError, FloatArray, ShapeError
from analytics.signals.quantiles import QuantileSketch


def _sketch(samples: FloatArray) -> QuantileSketch:
    sketch = QuantileSketch.empty(np.zeros(samples.shape[1:]), np.ones(samples.shape[1:]))
    for x in samples:
        sketch.add(x)
    return sketch


@given(
    seed=st.integers(0, 10_000),
    q=st.floats(0.0, 1.0),
    size=st.sampled_from([0.1, 1.0, 50.0, 3000.0]),
)
@example(seed=683, q=0.3828125, size=50.0)
def test_a_quantile_lies_within_the_promised_error_of_the_sample_of_its_rank(
    seed: int, q: float, size: float
) -> None:
    samples = size * np.random.default_rng(seed).normal(size=(80, 3))

    sketched = _sketch(samples).quantile(q)

    exact = np.sort(samples, axis=0)[max(int(np.ceil(q * 80)), 1) - 1]
    assert (np.abs(sketched - exact) <= 0.02001 * np.hypot(exact, 1.0)).all()


@given(seed=st.integers(0, 10_000), cut=st.integers(0, 50))
def test_order_and_parts_of_the_samples_do_not_matter(seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    samples = rng.normal(size=(50, 2))
    samples[rng.random(samples.shape) < 0.1] = np.nan

    whole = _sketch(samples)
    parts = _sketch(samples[cut:]).merged(_sketch(samples[:cut]))

    assert whole.counts.tobytes() == parts.counts.tobytes()
    assert whole.n_samples.tolist() == np.isfinite(samples).sum(axis=0).tolist()


def test_a_series_without_samples_has_no_quantile() -> None:
    sketch = _sketch(np.array([[1.0, np.nan], [2.0, np.inf]]))

    assert np.isfinite(sketch.quantile(0.5)).tolist() == [True, False]


def test_what_does_not_fit_is_refused() -> None:
    sketch = _sketch(np.zeros((1, 2)))

    with pytest.raises(ShapeError, match="one sample per series"):
        sketch.add(np.zeros(3))
    with pytest.raises(ShapeError, match="same grid"):
        sketch.merged(_sketch(np.zeros((1, 3))))
    with pytest.raises(DomainError, match="q is 2"):
        sketch.quantile(2.0)
    with pytest.raises(DomainError, match="scales above 0"):
        QuantileSketch.empty(np.zeros(1), np.zeros(1))
    with pytest.raises(ShapeError, match="one scale per middle"):
        QuantileSketch.empty(np.zeros(1), np.ones(2))
