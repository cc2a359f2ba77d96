import numpy as np
import pytest

from analytics.arrays import DomainError, NotEnoughDataError, ShapeError
from analytics.health.histories import RunToFailure, grid_histories


def _unit(name: str, n: int = 10, n_signals: int = 1) -> RunToFailure:
    time_h = np.arange(n, dtype=np.float64)
    return RunToFailure(name, time_h, np.tile(time_h[:, np.newaxis], (1, n_signals)))


def test_a_clock_that_jitters_fills_every_step_once() -> None:
    rng = np.random.default_rng(1)
    jittered = [
        RunToFailure(
            f"u{i}", np.arange(50.0) + rng.uniform(-0.4, 0.0, 50), np.arange(50.0)[:, None]
        )
        for i in range(3)
    ]
    whole = [
        RunToFailure(unit.unit, np.append(0.0, unit.time_h[1:]), unit.values) for unit in jittered
    ]

    gridded = grid_histories("pump", ["a"], whole, step_h=1.0, min_samples=2)

    assert gridded.n_steps.tolist() == [50, 50, 50]
    np.testing.assert_array_equal(gridded.values[:, 0, 1], np.arange(50.0))


def test_samples_of_one_step_become_their_mean_and_gaps_stay_gaps() -> None:
    dense = RunToFailure(
        "u0", np.array([0.0, 0.9, 1.1, 3.0]), np.array([[1.0], [2.0], [4.0], [8.0]])
    )

    gridded = grid_histories(
        "pump", ["a"], [dense, _unit("u1", 4), _unit("u2", 4)], step_h=1.0, min_samples=2
    )

    assert gridded.values[:, 0, 0].tolist()[:2] == [1.0, 3.0]
    assert np.isnan(gridded.values[2, 0, 0])
    assert gridded.values[3, 0, 0] == 8.0


def test_a_short_life_is_left_out_and_said_so() -> None:
    histories = [_unit("a"), _unit("b"), _unit("c"), _unit("d", 3)]

    gridded = grid_histories("pump", ["x"], histories, step_h=1.0, min_samples=5)

    assert gridded.units == ("a", "b", "c")
    assert gridded.left_out == {"d": "lived 3 steps of 1 h, 5 are needed"}


def test_too_few_lives_are_refused_with_the_reasons() -> None:
    with pytest.raises(NotEnoughDataError, match=r"2 usable.*3 are needed; unit c: lived 2 steps"):
        grid_histories(
            "pump", ["x"], [_unit("a"), _unit("b"), _unit("c", 2)], step_h=1.0, min_samples=5
        )


def test_two_units_of_one_name_are_refused() -> None:
    with pytest.raises(DomainError, match="two histories are of unit a"):
        grid_histories("pump", ["x"], [_unit("a"), _unit("a")], step_h=1.0, min_samples=2)


def test_a_missing_column_is_refused() -> None:
    with pytest.raises(ShapeError, match="unit a: 1 columns but 2 signals"):
        grid_histories("pump", ["x", "y"], [_unit("a")], step_h=1.0, min_samples=2)


def test_a_step_without_length_is_refused() -> None:
    with pytest.raises(DomainError, match="step_h is 0"):
        grid_histories("pump", ["x"], [_unit("a")], step_h=0.0, min_samples=2)


@pytest.mark.parametrize("time_h", [[0.0, 2.0, 1.0], [0.0, np.nan, 1.0]])
def test_time_that_falls_or_is_missing_is_refused(time_h: list[float]) -> None:
    with pytest.raises(DomainError, match="sort its rows by time"):
        RunToFailure("u", np.array(time_h), np.zeros((3, 1)))


@pytest.mark.parametrize(
    ("n_times", "shape", "hint"), [(0, (0, 1), "at least one"), (3, (2, 1), "one row per time")]
)
def test_rows_that_do_not_fit_are_refused(n_times: int, shape: tuple[int, int], hint: str) -> None:
    with pytest.raises(ShapeError, match=hint):
        RunToFailure("u", np.zeros(n_times), np.zeros(shape))
