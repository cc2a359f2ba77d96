"""Proposals: opened in time, changed when it matters, closed when the machine is well again."""

from datetime import timedelta

import numpy as np
import pytest

from api.context import AppContext
from api.health.updating import HealthUpdater
from api.planning.proposing import Proposer
from api.planning.service import ProposalService
from tests.unit.api import fleet
from tests.unit.api.asking import get


@pytest.fixture
def proposed(worn_presses: AppContext) -> AppContext:
    """Health judged, visits proposed."""
    HealthUpdater(worn_presses).update(fleet.NOW)
    Proposer(worn_presses).update(fleet.NOW)
    return worn_presses


def test_a_worn_press_is_to_be_visited_soon(proposed: AppContext) -> None:
    first = ProposalService(proposed).proposals()[0]

    assert first.machine_key == "acme-press-1"
    assert first.visit_by <= fleet.NOW + timedelta(days=5)
    assert first.failure_probability > 0.9
    assert first.planned_cost.amount == 900.0 + 4.0 * 250.0
    assert first.failure_cost.amount == 6000.0 + 30.0 * 250.0
    assert first.cost_of_waiting_per_day.amount > 100.0
    assert "healthy spreads above" in first.reason


def test_waiting_costs_nothing_on_the_cheapest_day_and_more_on_every_other(
    proposed: AppContext,
) -> None:
    for proposal in ProposalService(proposed).proposals(is_open=None):
        extra = [point.extra_cost for point in proposal.waiting_cost]

        assert len(extra) == proposal.horizon_days + 1
        assert extra[proposal.best_day] == min(extra) == 0.0
        assert proposal.waiting_cost[proposal.best_day].at == proposal.visit_by


def test_the_same_health_proposes_nothing_anew(proposed: AppContext) -> None:
    assert Proposer(proposed).update(fleet.NOW + timedelta(minutes=1)) == 0


def test_a_repaired_press_is_proposed_no_more(proposed: AppContext, clock: fleet.Clock) -> None:
    stand = np.full((15, 3), np.nan)
    fresh = fleet.readings(np.zeros(60), np.random.default_rng(3))
    fleet.store_samples(
        proposed,
        fleet.batch("acme-press-1", fleet.NOW + timedelta(hours=30), stand, quality=2),
        fleet.batch("acme-press-1", fleet.NOW + timedelta(hours=150), fresh),
    )
    clock.advance(hours=150)
    HealthUpdater(proposed).update(clock())
    old = ProposalService(proposed).for_machine("acme-press-1")
    Proposer(proposed).update(clock())

    new = ProposalService(proposed).for_machine("acme-press-1")

    assert old is not None
    assert new is not None
    assert old.is_open
    assert new.failure_probability < old.failure_probability
    assert new.visit_by > old.visit_by
    assert ProposalService(proposed).proposal(old.id) == old


def test_a_proposal_ends_with_the_repair_even_if_too_little_is_known_since(
    proposed: AppContext, clock: fleet.Clock
) -> None:
    old = ProposalService(proposed).for_machine("acme-press-1")
    stand = np.full((15, 3), np.nan)
    fresh = fleet.readings(np.zeros(4), np.random.default_rng(3))
    fleet.store_samples(
        proposed,
        fleet.batch("acme-press-1", fleet.NOW + timedelta(hours=30), stand, quality=2),
        fleet.batch("acme-press-1", fleet.NOW + timedelta(hours=38), fresh),
    )
    clock.advance(hours=38)
    HealthUpdater(proposed).update(clock())
    Proposer(proposed).update(clock())

    new = ProposalService(proposed).for_machine("acme-press-1")

    assert old is not None
    assert new is not None
    assert new.remaining_useful_life_h is None
    assert not new.is_open
    assert "repaired since" in new.reason
    assert Proposer(proposed).update(clock()) == 0


def test_a_visit_whose_day_has_passed_is_due_at_once(
    proposed: AppContext, clock: fleet.Clock
) -> None:
    before = ProposalService(proposed).proposals()[0]
    clock.now = before.visit_by + timedelta(hours=30)

    after = ProposalService(proposed).proposals()[0]

    assert before.days_to_visit == before.best_day
    assert after.visit_by == before.visit_by
    assert after.days_to_visit == 0


def test_danger_below_the_setting_is_not_proposed(
    worn_presses: AppContext,
) -> None:
    planning = worn_presses.settings.planning.model_copy(
        update={"open_at_failure_probability": 0.8}
    )
    settings = worn_presses.settings.model_copy(update={"planning": planning})
    object.__setattr__(worn_presses, "settings", settings)
    HealthUpdater(worn_presses).update(fleet.NOW)

    Proposer(worn_presses).update(fleet.NOW)

    machines = [one.machine_key for one in ProposalService(worn_presses).proposals()]
    assert machines == ["acme-press-1"]


def test_proposals_are_filtered_over_http(proposed: AppContext) -> None:
    every = get(proposed, "/v1/proposals")
    is_open = get(proposed, "/v1/proposals?is_open=true")

    assert every["n_total"] >= is_open["n_total"] >= 1
    one = get(proposed, f"/v1/proposals/{is_open['items'][0]['id']}")
    assert one == is_open["items"][0]
    assert one["lower_h"] <= one["remaining_useful_life_h"] <= one["upper_h"]


def test_a_proposal_is_taken_back_when_its_life_is_over_and_the_next_too_young_to_judge(
    proposed: AppContext, clock: fleet.Clock
) -> None:
    stand = np.full((15, 3), np.nan)
    fresh = fleet.readings(np.zeros(5), np.random.default_rng(3))
    fleet.store_samples(
        proposed,
        fleet.batch("acme-press-1", fleet.NOW + timedelta(hours=30), stand, quality=2),
        fleet.batch("acme-press-1", fleet.NOW + timedelta(hours=40), fresh),
    )
    clock.advance(hours=40)
    HealthUpdater(proposed).update(clock())

    n_written = Proposer(proposed).update(clock())

    assert n_written == 1
    assert "acme-press-1" not in {one.machine_key for one in ProposalService(proposed).proposals()}
    assert Proposer(proposed).update(clock()) == 0


def test_a_proposal_is_seen_from_the_present_even_if_nothing_else_changed(
    proposed: AppContext, clock: fleet.Clock
) -> None:
    keys = {one.machine_key for one in ProposalService(proposed).proposals()}

    # Half a day comes in at once, sooner than snapshots of a steady machine are otherwise kept.
    clock.advance(hours=14)
    fleet.store_samples(
        proposed,
        fleet.worn("acme-press-1", clock(), age_h=814.0),
        fleet.worn("calm-press-1", clock(), age_h=214.0),
    )
    clock.now = fleet.NOW + timedelta(hours=14)
    HealthUpdater(proposed).update(fleet.NOW + timedelta(seconds=1))
    Proposer(proposed).update(fleet.NOW + timedelta(seconds=1))

    for one in ProposalService(proposed).proposals():
        assert one.machine_key in keys
        assert one.as_of == clock(), one.machine_key
