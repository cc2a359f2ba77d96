"""Risks: they add up, they name the machine, and they are written when something changed."""

import math
from datetime import timedelta

import pytest

from api.context import AppContext
from api.health.updating import HealthUpdater
from api.problem import NotFoundError
from api.registry.models import Contract, Customer, Downtime
from api.retention.risks import RiskUpdater
from api.retention.service import RetentionService
from tests.unit.api import fleet
from tests.unit.api.asking import get


@pytest.fixture
def judged(worn_presses: AppContext) -> AppContext:
    """Health and risks judged once."""
    HealthUpdater(worn_presses).update(fleet.NOW)
    RiskUpdater(worn_presses).update(fleet.NOW)
    return worn_presses


def test_log_odds_and_money_add_up(judged: AppContext) -> None:
    for customer in ("acme", "calm"):
        risk = RetentionService(judged).risk(customer)
        log_odds = risk.baseline_log_odds + sum(driver.log_odds for driver in risk.drivers)
        stays = (1.0 - 1.0 / (1.0 + math.exp(-log_odds))) ** (risk.horizon_days / (365.25 / 12))
        points = risk.baseline_probability + sum(d.probability_points for d in risk.drivers)
        money = risk.baseline_money_per_year + sum(d.money_per_year for d in risk.drivers)

        assert 1.0 - stays == pytest.approx(risk.churn_probability, abs=1e-9)
        assert points == pytest.approx(risk.churn_probability, abs=1e-9)
        assert round(money, 2) == risk.money_at_risk_per_year.amount
        assert risk.lower <= risk.churn_probability <= risk.upper


def test_the_wearing_machine_is_a_driver_by_name(judged: AppContext) -> None:
    risk = RetentionService(judged).risk("acme")

    (driver,) = [d for d in risk.drivers if d.feature == "expected_downtime_h_per_machine_30d"]
    assert driver.machine_key == "acme-press-1"
    assert driver.money_per_year > 0
    assert "acme-press-1" in driver.words
    assert "likely to fail within 30 days" in driver.words
    assert float(driver.parameters["failure_probability"]) > 0.9


def test_a_customer_in_trouble_comes_before_a_content_one(judged: AppContext) -> None:
    page = get(judged, "/v1/customers")

    assert [customer["key"] for customer in page["items"]] == ["acme", "calm"]
    money = [one["risk"]["money_at_risk_per_year"]["amount"] for one in page["items"]]
    assert money == sorted(money, reverse=True)
    assert page["items"][0]["risk"]["top_driver"]["money_per_year"] > 0


def test_customers_that_left_are_shown_when_asked_for(judged: AppContext) -> None:
    listed = RetentionService(judged).customers(include_left=True)

    gone = listed[-1]
    assert (gone.key, gone.is_active, gone.risk) == ("gone", False, None)
    assert gone.left_on is not None
    assert gone.note is not None


def test_a_longer_standstill_never_lowers_the_risk(judged: AppContext, clock: fleet.Clock) -> None:
    before = RetentionService(judged).risk("calm").churn_probability
    began = clock() - timedelta(hours=30)
    standstill = {
        "machine_key": "calm-press-2", "is_planned": False, "cause": "drive",
        "work_order_key": None, "started_at": began, "ended_at": clock(),
    }  # fmt: skip
    fleet.record(judged, [fleet.fact(Downtime, "calm-down", clock(), **standstill)])
    clock.advance(minutes=1)

    RiskUpdater(judged).update(clock())

    after = RetentionService(judged).risk("calm")
    assert after.churn_probability > before
    assert after.drivers[0].machine_key == "calm-press-2"


def test_a_risk_that_did_not_move_is_not_written_again(
    judged: AppContext, clock: fleet.Clock
) -> None:
    updater = RiskUpdater(judged)
    clock.advance(minutes=10)
    assert updater.update(clock()) == 0

    clock.advance(days=1)
    assert updater.update(clock()) == 2


def test_an_earlier_risk_can_still_be_read(judged: AppContext, clock: fleet.Clock) -> None:
    first = RetentionService(judged).risk("acme")
    clock.advance(days=2)
    RiskUpdater(judged).update(clock())

    assert RetentionService(judged).risk("acme").id > first.id
    assert RetentionService(judged).risk("acme", first.id) == first
    with pytest.raises(NotFoundError):
        RetentionService(judged).risk("calm", first.id)


def test_without_any_history_the_experts_judge(context: AppContext) -> None:
    terms = fleet.contract("new", fleet.NOW, (fleet.NOW + timedelta(days=365)).date())
    fleet.record(
        context,
        [
            fleet.fact(Customer, "new", fleet.NOW, name="New", segment="s", region="r"),
            fleet.fact(Contract, "new-contract", fleet.NOW, **terms),
        ],
    )
    updater = RiskUpdater(context)

    assert updater.update(fleet.NOW) == 1

    assert updater.model(fleet.NOW).n_rows == 0
    risk = RetentionService(context).risk("new")
    assert risk.drivers == []
    assert risk.churn_probability == pytest.approx(risk.baseline_probability)


def test_contracts_in_two_currencies_are_not_added_up(context: AppContext) -> None:
    euros = fleet.contract("two", fleet.NOW, (fleet.NOW + timedelta(days=90)).date())
    francs = {**euros, "currency": "CHF", "recurring_value_per_year": 10.0}
    fleet.record(
        context,
        [
            fleet.fact(Customer, "two", fleet.NOW, name="Two", segment="s", region="r"),
            fleet.fact(Contract, "two-a", fleet.NOW, **euros),
            fleet.fact(Contract, "two-b", fleet.NOW, **francs),
        ],
    )
    RiskUpdater(context).update(fleet.NOW)

    (customer,) = RetentionService(context).customers()

    assert customer.recurring_value_per_year is not None
    assert customer.recurring_value_per_year.amount == 120_000.0
    assert customer.note == "only contracts in EUR are counted; others are in CHF"


def test_one_customer_in_full_agrees_with_the_list(judged: AppContext) -> None:
    customer = get(judged, "/v1/customers/acme")

    assert customer["risk_detail"]["id"] == customer["risk"]["id"]
    assert customer["exposure_90d"]["downtime_h"] == 50.0
    assert customer["exposure_90d"]["cost"] == {"amount": 12500.0, "currency": "EUR"}
    assert customer["exposure_90d"]["vendor_cost"] == {"amount": 3125.0, "currency": "EUR"}
    worn = customer["machines"][0]
    assert worn["lower_h"] <= worn["remaining_useful_life_h"] <= worn["upper_h"]
    assert worn["has_open_alarm"]
    assert 0 < worn["expected_downtime_h_30d"] <= 30.0
    times = [entry["at"] for entry in customer["timeline"]]
    assert times == sorted(times, reverse=True)
    assert {"alarm", "visit", "downtime", "ticket", "payment"} == {
        entry["kind"] for entry in customer["timeline"]
    }


def test_first_time_fix_says_how_it_is_defined_and_what_is_pending(judged: AppContext) -> None:
    metric = get(judged, "/v1/metrics/first-time-fix")

    assert (metric["n_fixed"], metric["n_failed"], metric["n_pending"]) == (2, 2, 0)
    assert metric["lower"] < metric["first_time_fix_ratio"] < metric["upper"]
    assert "within 30 days" in metric["definition"]
    none = get(judged, "/v1/metrics/first-time-fix?customer=calm")
    assert none["first_time_fix_ratio"] is None
    assert none["note"]


def test_exposure_adds_up_over_customers(judged: AppContext) -> None:
    exposure = get(judged, "/v1/metrics/downtime-exposure?window_days=90")

    (total,) = exposure["totals"]
    customers = exposure["customers"]
    assert total["downtime_h"] == sum(one["downtime_h"] for one in customers) == 50.0
    assert customers[0]["customer_key"] == "acme"


def test_a_signed_renewal_moves_the_renewal_date_to_its_own_end(context: AppContext) -> None:
    today = fleet.NOW.date()
    old = fleet.contract("acme", fleet.NOW - timedelta(days=350), today + timedelta(days=15))
    new = fleet.contract("acme", fleet.NOW + timedelta(days=15), today + timedelta(days=380))
    decided = {"outcome": "renewed", "outcome_on": today - timedelta(days=2)}
    fleet.record(
        context,
        [
            fleet.fact(Customer, "acme", fleet.NOW, name="A", segment="s", region="r"),
            fleet.fact(Contract, "first", fleet.NOW, **{**old, **decided}),
            fleet.fact(Contract, "second", fleet.NOW, **new),
        ],
    )

    RiskUpdater(context).update(fleet.NOW)

    risk = RetentionService(context).risk("acme")
    assert risk.renewal_on == today + timedelta(days=380)
    assert risk.horizon_days == 380
    assert risk.recurring_value_per_year.amount == 120_000.0
