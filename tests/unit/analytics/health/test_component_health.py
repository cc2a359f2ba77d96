import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.arrays import DomainError, FloatArray, NotEnoughDataError, ShapeError
from analytics.health.component_health import component_health, indicator_quality

COMPONENTS = {"bearing": (0, 1), "seal": (2,)}


def _wearing(seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(60, 3, 4)) + np.linspace(0, 15, 60)[:, np.newaxis, np.newaxis]
    z[rng.random(z.shape) < 0.2] = np.nan
    z[:, :, 3] = np.nan
    return z


def _plainly(z: FloatArray, own: tuple[int, ...], machine: int, resets: set[int]) -> list[float]:
    kept, last, out = math.nan, [0.0, 0.0], []
    for t in range(z.shape[0]):
        if t in resets:
            kept, last = math.nan, [0.0, 0.0]
        present = [float(z[t, s, machine]) for s in own if math.isfinite(z[t, s, machine])]
        if present:
            size = math.sqrt(sum(v * v for v in present) / len(present))
            damage = min(1.0, max(0.0, math.log(max(size, 1e-300) / 2) / math.log(10)))
            lasting = min(damage, *last)
            kept = lasting if math.isnan(kept) else max(kept, lasting)
            last = [last[1], damage]
        out.append(100 * (1 - kept))
    return out


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), reset=st.integers(0, 59))
def test_health_is_that_of_each_component_by_itself(seed: int, reset: int) -> None:
    z = _wearing(seed)
    is_reset = np.zeros((60, 4), np.bool_)
    is_reset[reset, 1] = True

    found = component_health(z, COMPONENTS, is_reset=is_reset)

    for (place, own), machine in itertools.product(enumerate(COMPONENTS.values()), range(4)):
        slow = _plainly(z, own, machine, {reset} if machine == 1 else set())
        np.testing.assert_allclose(found.health_pct[:, place, machine], slow, atol=1e-9)


@given(seed=st.integers(0, 10_000))
def test_health_never_rises_and_the_machine_is_as_its_worst_component(seed: int) -> None:
    found = component_health(_wearing(seed), COMPONENTS)

    known = found.health_pct[:, :, :3]
    assert (np.diff(known[np.isfinite(known).all(axis=(1, 2))], axis=0) <= 1e-12).all()
    np.testing.assert_array_equal(found.machine_pct[:, :3], np.fmin(known[:, 0], known[:, 1]))
    assert np.isnan(found.machine_pct[:, 3]).all()


def test_a_wild_sample_is_not_wear_and_a_repair_makes_new() -> None:
    z = np.zeros((12, 1, 1))
    z[[2, 3]] = 50.0
    z[6:9] = 50.0
    is_reset = np.zeros((12, 1), np.bool_)
    is_reset[10] = True

    health = component_health(z, {"bearing": (0,)}, is_reset=is_reset).machine_pct[:, 0]

    assert health.tolist() == [100.0] * 8 + [0.0] * 2 + [100.0] * 2


def test_quality_is_full_for_equal_lives_and_low_for_noise() -> None:
    rng = np.random.default_rng(1)
    good = indicator_quality([np.linspace(100, 3, n) for n in (40, 70, 90)])
    noise = indicator_quality([rng.normal(size=n) for n in (40, 70, 90)])

    assert good.monotonicity == good.prognosability == 1.0
    assert good.trendability == pytest.approx(1.0)
    assert noise.monotonicity < 0.3
    assert noise.trendability < 0.5


@given(seed=st.integers(0, 1000), shift=st.floats(-100.0, 100.0), factor=st.floats(0.1, 10.0))
def test_quality_does_not_see_level_and_size(seed: int, shift: float, factor: float) -> None:
    rng = np.random.default_rng(seed)
    lives = [np.cumsum(rng.random(n)) for n in (20, 30)]

    usual, moved = (
        indicator_quality(some) for some in (lives, [factor * x + shift for x in lives])
    )

    assert moved.monotonicity == usual.monotonicity
    assert moved.trendability == pytest.approx(usual.trendability, abs=1e-6)
    assert moved.prognosability == pytest.approx(usual.prognosability, rel=1e-6)


def test_what_can_not_be_told_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"\['seal'\]"):
        component_health(np.zeros((5, 2, 1)), {"bearing": (0,), "seal": (2,)})
    with pytest.raises(DomainError, match=r"above 2\.0"):
        component_health(np.zeros((5, 3, 1)), COMPONENTS, worn_z=1.0)
    with pytest.raises(NotEnoughDataError, match="1 of 2 units"):
        indicator_quality([np.arange(5.0), np.full(5, np.nan)])
