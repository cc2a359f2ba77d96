from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analytics.arrays import FloatArray
from analytics.health.crossvalidation import crossvalidate, trajectory_memory_steps
from analytics.health.fusion_fit import fit_standardiser
from analytics.health.histories import grid_histories
from analytics.health.similarity import Library
from tests.unit.analytics.health.wearing import QUICK, SIGNALS, STEP_H, wearing_units


def _early_damage(library: Library, unit: int, n_steps: int, *, until: int) -> FloatArray:
    """Damage of one unit, seen from new, at ages up to `until`, oldest first."""
    age = n_steps - (library.life_steps - 0.5)
    is_early = (library.unit == unit) & (library.history_steps == age) & (age <= until)
    return library.trajectory[:, is_early].astype(np.float64)


def test_a_unit_never_helps_to_judge_itself() -> None:
    gridded = grid_histories(
        "press", SIGNALS, wearing_units(6, seed=3), step_h=STEP_H, min_samples=48
    )
    one_label = replace(QUICK, label_ratios=(0.5,), bandwidths=(0.03,))
    blank = fit_standardiser(gridded.values, gridded.n_steps, SIGNALS, one_label, kind="press")
    other_end = gridded.values.copy()
    # The same life but for a temperature that falls at its end instead of rising.
    other_end[60:, 1, 1] = 80.0 - other_end[60:, 1, 1]

    plain = crossvalidate(blank, gridded.values, gridded.n_steps, one_label).library
    changed = crossvalidate(blank, other_end, gridded.n_steps, one_label).library

    def is_only_rescaled(unit: int) -> bool:
        n_steps = int(gridded.n_steps[unit])
        before = _early_damage(plain, unit, n_steps, until=60).ravel()
        after = _early_damage(changed, unit, n_steps, until=60).ravel()
        left_over = after - np.polyval(np.polyfit(before, after, 1), before)
        return bool(np.abs(left_over).max() < 1e-5)

    # Levels of 0 and 1 are common to all; beyond them, what a unit's end taught must show in the
    # damage of units of other folds alone.
    assert is_only_rescaled(1)
    assert not is_only_rescaled(2)


def test_figures_do_not_depend_on_the_order_of_candidates() -> None:
    gridded = grid_histories(
        "press", SIGNALS, wearing_units(6, seed=3), step_h=STEP_H, min_samples=48
    )
    blank = fit_standardiser(gridded.values, gridded.n_steps, SIGNALS, QUICK, kind="press")
    turned = replace(
        QUICK, label_ratios=QUICK.label_ratios[::-1], bandwidths=QUICK.bandwidths[::-1]
    )

    forward = crossvalidate(blank, gridded.values, gridded.n_steps, QUICK)
    backward = crossvalidate(blank, gridded.values, gridded.n_steps, turned)

    assert forward.calibration == backward.calibration
    assert forward.kernel == backward.kernel


@given(life=st.floats(1.0, 1e4))
def test_memories_are_never_shorter_than_a_step(life: float) -> None:
    assert (trajectory_memory_steps(life, QUICK) >= 1.0).all()
