import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.arrays import FloatArray
from analytics.health.similarity import Kernel, Library, build_library, liken
from tests.naive import health as naive

KERNEL = Kernel(bandwidth=0.1, history_memory_steps=15.0, history_spread=0.3)


def _library(seed: int, n_positions: int = 60) -> Library:
    rng = np.random.default_rng(seed)
    life = np.sort(rng.integers(0, 20, n_positions) + 0.5)
    return Library(
        trajectory=rng.normal(0.5, 0.3, size=(2, n_positions)).astype(np.float32),
        life_steps=life.astype(np.float32),
        history_steps=rng.integers(10, 90, n_positions).astype(np.float32),
        unit=rng.integers(0, 4, n_positions).astype(np.int32),
        n_units=4,
    )


def _machines(seed: int, n: int) -> tuple[FloatArray, np.typing.NDArray[np.int64]]:
    rng = np.random.default_rng(seed + 1)
    return rng.normal(0.5, 0.5, size=(2, n)), rng.integers(1, 100, n)


@given(seed=st.integers(0, 10_000))
def test_likeness_is_that_of_the_plain_loop(seed: int) -> None:
    library = _library(seed)
    trajectory, history_steps = _machines(seed, 3)
    life = np.array([0.0, 0.3, 4.0, 11.5, 40.0])

    fast = liken(library, KERNEL, trajectory, history_steps)

    for machine in range(3):
        slow = naive.liken(library, KERNEL, trajectory[:, machine], int(history_steps[machine]))
        assert fast.n_evidence[machine] == pytest.approx(slow.n_evidence)
        assert fast.distance[machine] == pytest.approx(slow.distance, abs=1e-7)
        np.testing.assert_allclose(
            1 - fast.survival(life)[machine], [slow.failing_by(one) for one in life], atol=1e-9
        )
        for probability in (0.1, 0.5, 0.9):
            assert fast.quantile_steps(probability)[machine] == pytest.approx(
                slow.quantile(probability), abs=1e-6
            )


@given(seed=st.integers(0, 10_000))
def test_a_machine_gets_the_same_bits_in_any_company(seed: int) -> None:
    library = _library(seed)
    trajectory, history_steps = _machines(seed, 7)
    order = np.random.default_rng(seed).permutation(7)

    fleet = liken(library, KERNEL, trajectory, history_steps)
    shuffled = liken(library, KERNEL, trajectory[:, order], history_steps[order])
    alone = liken(library, KERNEL, trajectory[:, 4:5], history_steps[4:5])

    assert shuffled.cdf.tobytes() == fleet.cdf[order].tobytes()
    assert alone.cdf.tobytes() == fleet.cdf[4:5].tobytes()


@given(seed=st.integers(0, 10_000), stretch=st.floats(0.3, 3.0))
def test_survival_starts_at_one_and_never_rises(seed: int, stretch: float) -> None:
    said = liken(_library(seed), KERNEL, *_machines(seed, 5))
    said = said.stretched(stretch)

    survival = said.survival(np.linspace(0.0, 50.0, 97))

    assert (survival[:, 0] == 1.0).all()
    assert (np.diff(survival, axis=1) <= 1e-15).all()
    assert (survival >= 0).all()


@given(seed=st.integers(0, 10_000), stretch=st.floats(0.3, 3.0))
def test_stretching_moves_the_quantiles_but_not_the_median(seed: int, stretch: float) -> None:
    plain = liken(_library(seed), KERNEL, *_machines(seed, 5))
    said = plain.stretched(stretch)

    median = said.quantile_steps(0.5)
    upper = said.quantile_steps(0.9)

    np.testing.assert_allclose(median, plain.quantile_steps(0.5))
    np.testing.assert_allclose(
        upper / median, (plain.quantile_steps(0.9) / median) ** stretch, rtol=1e-9
    )
    for machine in range(5):
        by_median, by_upper = said.survival(np.array([median[machine], upper[machine]]))[machine]
        assert by_median == pytest.approx(0.5, abs=1e-9)
        assert by_upper == pytest.approx(0.1, abs=1e-9)


@given(seed=st.integers(0, 10_000), probability=st.sampled_from([0.05, 0.5, 0.95]))
def test_more_damage_never_lengthens_life_where_damage_only_grows(
    seed: int, probability: float
) -> None:
    rng = np.random.default_rng(seed)
    library = _library(seed)
    # Every memory of damage falls as the life left rises, and equal lives had equal damage.
    step = (np.diff(library.life_steps, prepend=library.life_steps[0]) > 0).cumsum()
    falling = -np.sort(-rng.normal(0.5, 0.5, size=(2, step[-1] + 1)), axis=1)
    monotone = Library(
        falling[:, step].astype(np.float32),
        library.life_steps,
        library.history_steps,
        library.unit,
        library.n_units,
    )
    trajectory = np.cumsum(rng.uniform(0.0, 0.2, size=(2, 10)), axis=1)

    said = liken(monotone, KERNEL, trajectory, np.full(10, 30))

    assert (np.diff(said.quantile_steps(probability)) <= 1e-9).all()


def test_damage_beyond_anything_seen_counts_as_the_worst_seen() -> None:
    library = _library(3)
    worst = library.trajectory.max(axis=1).astype(np.float64)

    said = liken(library, KERNEL, np.stack([worst, worst + 50.0], axis=1), np.array([30, 30]))

    np.testing.assert_array_equal(said.cdf[0], said.cdf[1])


def test_a_machine_watched_for_longer_than_every_unit_counts_as_the_longest_watched() -> None:
    library = _library(3)
    longest = int(library.history_steps.max())

    said = liken(library, KERNEL, np.full((2, 2), 0.2), np.array([longest, 100_000]))

    np.testing.assert_array_equal(said.cdf[0], said.cdf[1])


def test_a_fleet_larger_than_one_chunk_is_answered_as_a_whole() -> None:
    library = _library(5, n_positions=3000)
    trajectory, history_steps = _machines(5, 400)

    fleet = liken(library, KERNEL, trajectory, history_steps)

    last = liken(library, KERNEL, trajectory[:, -1:], history_steps[-1:])
    assert fleet.cdf[-1:].tobytes() == last.cdf.tobytes()


def test_the_library_thins_lives_out_evenly_and_keeps_the_moment_of_failure() -> None:
    n_steps = np.array([100, 60])
    start_steps = np.array([[0, 0], [50, 30]])
    trajectory = np.full((2, 100, 1, 2), 0.5)
    trajectory[1, :50, :, 0] = np.nan

    whole = build_library(trajectory, n_steps, start_steps, min_samples=10, max_positions=10_000)
    thin = build_library(trajectory, n_steps, start_steps, min_samples=10, max_positions=60)

    assert whole.unit.size == (100 - 9) + (60 - 9) + (50 - 9) + (30 - 9)
    assert 45 <= thin.unit.size <= 60
    assert (thin.life_steps[:4] == 0.5).all()
    assert (np.diff(thin.life_steps) >= 0).all()
    is_from_new = whole.history_steps + whole.life_steps - 0.5 == n_steps[whole.unit]
    assert is_from_new.sum() == (100 - 9) + (60 - 9)
    assert whole.history_steps.min() == 10
