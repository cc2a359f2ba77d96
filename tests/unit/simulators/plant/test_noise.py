"""Noise is the same in whatever order and pieces it is asked for."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.plant.noise import NOISE_BLOCK, noise_at
from simulators.reading import NS_PER_S
from tests.naive.simulators_plant import noise


@settings(max_examples=30)
@given(
    seed=st.integers(0, 1000),
    points=st.lists(st.integers(0, 3 * NOISE_BLOCK), max_size=20),
    step_s=st.sampled_from([1, 60, 7200]),
    n_signals=st.integers(1, 8),
)
def test_noise_is_that_of_blocks_drawn_anew_for_each_time(
    seed: int, points: list[int], step_s: int, n_signals: int
) -> None:
    time_ns = [point * step_s * NS_PER_S for point in points]

    drawn = noise_at(
        seed, "pump-01", np.array(time_ns, dtype=np.int64), step_s * NS_PER_S, n_signals
    )

    assert drawn.T.tolist() == noise(seed, "pump-01", time_ns, step_s, n_signals)


def test_noise_is_standard_normal_and_new_for_each_machine_and_signal() -> None:
    time_ns = np.arange(20_000) * NS_PER_S

    both = np.concatenate([noise_at(7, name, time_ns, NS_PER_S, 2) for name in ("a", "b")])

    # Four standard errors of mean, deviation and correlation of 20,000 draws.
    assert np.abs(both.mean(axis=1)).max() < 0.0283
    assert np.abs(both.std(axis=1) - 1.0).max() < 0.02
    assert np.abs(np.corrcoef(both) - np.eye(4)).max() < 0.0283
