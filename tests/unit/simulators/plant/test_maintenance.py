"""Service does what the policy says, as often as it says."""

import numpy as np
import pytest

from simulators.errors import ScenarioError
from simulators.plant.maintenance import (
    PATCHED_WEAR,
    Effect,
    MaintenancePolicy,
    Service,
    draw_service,
)


def test_effects_come_as_often_as_their_probabilities_say() -> None:
    policy = MaintenancePolicy(0.5, 0.3, kept_wear_ratio=(0.2, 0.6))
    rng = np.random.default_rng(1)

    services = [draw_service(policy, rng) for _ in range(20_000)]

    effects = [service.effect for service in services]
    kept = [service.kept_wear_ratio for service in services if service.effect == "imperfect"]
    # Four standard errors of a share of 20,000.
    shares: dict[Effect, float] = {"perfect": 0.5, "imperfect": 0.3, "none": 0.2}
    for effect, probability in shares.items():
        assert effects.count(effect) / 20_000 == pytest.approx(probability, abs=0.0142)
    assert 0.2 <= min(kept) <= max(kept) <= 0.6
    assert np.mean(kept) == pytest.approx(0.4, abs=0.006)


@pytest.mark.parametrize("effect", ["perfect", "imperfect", "none"])
def test_a_planned_visit_has_its_own_effect_if_it_is_given_one(effect: Effect) -> None:
    policy = MaintenancePolicy(planned_every_days=30.0, planned_effect=effect)
    rng = np.random.default_rng(2)

    assert draw_service(policy, rng, is_planned=True).effect == effect
    assert draw_service(policy, rng).effect == "perfect"


def test_service_leaves_a_part_of_the_wear_and_a_patch_runs_again() -> None:
    assert Service("perfect", 0.0).wear_left(1.0) == 0.0
    assert Service("imperfect", 0.25).wear_left(0.8) == 0.2
    assert Service("none", 1.0).wear_left(0.3) == 0.3
    assert Service("none", 1.0).wear_left(1.0) == PATCHED_WEAR


def test_a_visit_sees_to_the_modes_that_the_policy_says() -> None:
    usual = MaintenancePolicy()
    thorough = MaintenancePolicy(overhauls=True, planned_modes=("seal-leak",))

    assert usual.touches("seal-leak", is_failed=True, is_planned=False)
    assert not usual.touches("seal-leak", is_failed=False, is_planned=False)
    assert usual.touches("seal-leak", is_failed=False, is_planned=True)
    assert thorough.touches("cavitation-erosion", is_failed=False, is_planned=False)
    assert not thorough.touches("cavitation-erosion", is_failed=False, is_planned=True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"perfect_probability": 0.7, "imperfect_probability": 0.4}, "at most 1 together"),
        ({"perfect_probability": -0.1}, "must be 0 or above"),
        ({"perfect_probability": float("nan")}, "must be 0 or above"),
        ({"kept_wear_ratio": (0.5, 0.2)}, "must run from low to high"),
        ({"kept_wear_ratio": (0.5, 1.0)}, "within 0 to below 1"),
        ({"planned_every_days": 0.0}, "must be above 0"),
        ({"planned_every_days": float("nan")}, "must be above 0"),
        ({"planned_standstill_h": -1.0}, "must be above 0"),
        ({"planned_effect": "magic"}, "planned_effect 'magic' is not one of perfect"),
    ],
)
def test_an_impossible_policy_is_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        MaintenancePolicy(**arguments)  # type: ignore[arg-type] # what a file may hold
