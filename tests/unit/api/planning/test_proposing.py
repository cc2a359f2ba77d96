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
