import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.health.crossvalidation import crossvalidate, trajectory_memory_steps
from analytics.health.fusion import fit_standardiser
from analytics.health.histories import grid_histories
from tests.unit.analytics.health.wearing import QUICK, SIGNALS, STEP_H, wearing_units


def test_a_unit_never_helps_to_judge_itself() -> None:
    gridded = grid_histories(
        "press", SIGNALS, wearing_units(6, seed=3), step_h=STEP_H, min_samples=48
    )
    blank = fit_standardiser(gridded.values, gridded.n_steps, SIGNALS, QUICK, kind="press")
    plain = crossvalidate(blank, gridded.values, gridded.n_steps, QUICK)

    # With six units and five folds, the second unit is alone in its fold. Making its signals
    # absurd changes what others learn from it, but its own library damage must follow only
    # from weights that were learned without it.
    absurd = gridded.values.copy()
    absurd[:, :, 1] = np.where(np.isfinite(absurd[:, :, 1]), 2.0 * absurd[:, :, 1], np.nan)
    changed = crossvalidate(blank, absurd, gridded.n_steps, QUICK)

    own, other = plain.library, changed.library
    assert not np.array_equal(
        own.trajectory[:, own.unit == 0], other.trajectory[:, other.unit == 0]
    )
    doubled = changed.library.trajectory[:, other.unit == 1]
    assert np.median(doubled) > np.median(own.trajectory[:, own.unit == 1])


def test_figures_do_not_depend_on_the_order_of_candidates() -> None:
    gridded = grid_histories(
        "press", SIGNALS, wearing_units(6, seed=3), step_h=STEP_H, min_samples=48
    )
    blank = fit_standardiser(gridded.values, gridded.n_steps, SIGNALS, QUICK, kind="press")
    turned = type(QUICK)(label_ratios=QUICK.label_ratios[::-1], bandwidths=QUICK.bandwidths[::-1])

    forward = crossvalidate(blank, gridded.values, gridded.n_steps, QUICK)
    backward = crossvalidate(blank, gridded.values, gridded.n_steps, turned)

    assert forward.figures == pytest.approx(backward.figures)
    assert forward.kernel == backward.kernel


@given(life=st.floats(1.0, 1e4))
def test_memories_are_never_shorter_than_a_step(life: float) -> None:
    assert (trajectory_memory_steps(life, QUICK) >= 1.0).all()
