"""Features of the churn model: as defined, from facts known at the moment, and no others."""

from datetime import UTC, date, datetime, timedelta

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from analytics.retention.churn import CHURN_FEATURES
from api.context import AppContext
from api.history import FactHistory, Known
from api.registry.models import (
    Contract,
    Downtime,
    Machine,
    Payment,
    Ticket,
    Usage,
    Visit,
    WorkOrder,
)
from api.retention.features import Features, features_at
from api.retention.learning import training_rows
from tests.unit.api import fleet

NAMES = [spec.name for spec in CHURN_FEATURES]


def known_now(context: AppContext, now: datetime = fleet.NOW) -> Known:
    return context.history.current().at(now)


def features(context: AppContext, now: datetime = fleet.NOW) -> Features:
    known = known_now(context, now)
    return features_at(known, np.zeros(len(known.machines)))


def of(context: AppContext, customer: str, name: str, now: datetime = fleet.NOW) -> float:
    row = known_now(context, now).customers.index(customer)
    return float(features(context, now).x[row, NAMES.index(name)])


@pytest.fixture
def customers(context: AppContext) -> AppContext:
    """Three customers with their history."""
    fleet.record(context, fleet.business_facts())
    return context


def test_a_breakdown_shows_in_every_feature_it_should(customers: AppContext) -> None:
    assert of(customers, "acme", "downtime_h_per_machine_90d") == 50.0 / 2
    # Two visits, one repeat, drawn towards 15 % by four prior visits.
    assert of(customers, "acme", "repeat_visit_ratio_180d") == pytest.approx((1 + 0.6) / 6)
    assert of(customers, "acme", "response_over_target_ratio_90d") == 30.0 / 8.0
    assert of(customers, "acme", "complaints_90d_count") == 1.0
    assert of(customers, "acme", "usage_change_ratio_90d") == pytest.approx(300 / 420 - 1)
    assert of(customers, "acme", "late_payment_days_180d") == pytest.approx(3 * 12 / 5)


def test_a_content_customer_stands_at_the_reference(customers: AppContext) -> None:
    row = known_now(customers).customers.index("calm")

    values = features(customers).x[row]

    for value, spec in zip(values, CHURN_FEATURES, strict=True):
        assert np.isnan(value) or value == pytest.approx(spec.reference)


def test_overlapping_standstills_count_once(customers: AppContext) -> None:
    began = fleet.NOW - timedelta(days=40)
    overlap = {
        "machine_key": "acme-press-2", "is_planned": False, "cause": "seal",
        "work_order_key": None, "started_at": began + timedelta(hours=10),
        "ended_at": began + timedelta(hours=60),
    }  # fmt: skip
    fleet.record(customers, [fleet.fact(Downtime, "again", began, **overlap)])

    assert of(customers, "acme", "downtime_h_per_machine_90d") == 60.0 / 2


def test_planned_standstill_is_not_held_against_us(customers: AppContext) -> None:
    began = fleet.NOW - timedelta(days=5)
    planned = {
        "machine_key": "calm-press-1", "is_planned": True, "cause": "service",
        "work_order_key": None, "started_at": began, "ended_at": began + timedelta(hours=9),
    }  # fmt: skip
    fleet.record(customers, [fleet.fact(Downtime, "planned", began, **planned)])

    assert of(customers, "calm", "downtime_h_per_machine_90d") == 0.0


def test_a_standstill_that_goes_on_counts_until_now(customers: AppContext) -> None:
    began = fleet.NOW - timedelta(hours=12)
    lasting = {
        "machine_key": "calm-press-1", "is_planned": False, "cause": "drive",
        "work_order_key": None, "started_at": began, "ended_at": None,
    }  # fmt: skip
    fleet.record(customers, [fleet.fact(Downtime, "lasting", began, **lasting)])

    assert of(customers, "calm", "downtime_h_per_machine_90d") == 12.0 / 2


def test_silence_is_measured_against_what_is_usual(customers: AppContext) -> None:
    for number in range(12):
        opened = fleet.NOW - timedelta(days=120 + 25 * number)
        question = {
            "customer_key": "calm", "machine_key": None, "kind": "question",
            "opened_at": opened, "closed_at": opened,
        }  # fmt: skip
        fleet.record(customers, [fleet.fact(Ticket, f"question-{number}", opened, **question)])

    assert of(customers, "calm", "tickets_silence_flag_ratio") == 1.0
    assert of(customers, "acme", "tickets_silence_flag_ratio") == 0.0


def test_a_machine_that_was_removed_does_not_look_like_less_use(customers: AppContext) -> None:
    gone_at = fleet.NOW - timedelta(days=80)
    ended = fleet.contract("calm", fleet.NOW - timedelta(days=700), gone_at.date())
    machine = {
        "site_key": "calm-site", "contract_key": "calm-old", "kind": fleet.KIND,
        "model": "P-100", "installed_on": date(2024, 5, 1), "downtime_cost_per_h": 1.0,
        "planned_visit_cost": 1.0, "planned_visit_h": 1.0, "unplanned_repair_cost": 1.0,
        "unplanned_repair_h": 1.0,
    }  # fmt: skip
    fleet.record(
        customers,
        [
            fleet.fact(Contract, "calm-old", gone_at, **ended),
            fleet.fact(Machine, "calm-press-2", gone_at, **machine),
        ],
    )

    assert of(customers, "calm", "usage_change_ratio_90d") == pytest.approx(0.0)


moments = st.integers(-400, 60).map(lambda days: fleet.NOW + timedelta(days=days))


@hypothesis.settings(
    max_examples=15,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(later=st.lists(moments, min_size=1, max_size=6), data=st.data())
def test_what_is_recorded_later_never_changes_a_past_moment(
    customers: AppContext, later: list[datetime], data: st.DataObject
) -> None:
    asked_at = fleet.NOW - timedelta(days=data.draw(st.integers(0, 500)))
    before = features(customers, asked_at).x
    facts = []
    for number, happened in enumerate(later):
        told_at = asked_at + timedelta(hours=1 + number)
        key = f"late-{len(known_now(customers, datetime(2030, 1, 1, tzinfo=UTC)).rows[Ticket].own)}"
        facts += [
            fleet.fact(
                Downtime, f"{key}-{number}", told_at, machine_key="acme-press-1",
                started_at=happened, ended_at=None, is_planned=False, cause="x",
                work_order_key=None,
            ),
            fleet.fact(
                Ticket, f"{key}-{number}", told_at, customer_key="calm", machine_key=None,
                kind="complaint", opened_at=happened, closed_at=None,
            ),
            fleet.fact(
                Payment, f"{key}-{number}", told_at, contract_key="calm-contract",
                due_on=happened.date(), paid_on=None, amount=1.0, currency="EUR",
            ),
            fleet.fact(
                Usage, f"{key}-{number}", told_at, machine_key="acme-press-1",
                month=happened.date().replace(day=1), run_h=1.0, n_logins=0,
            ),
            fleet.fact(
                WorkOrder, f"{key}-{number}", told_at, machine_key="acme-press-1",
                kind="corrective", fault_code="seal", opened_at=happened, closed_at=None,
                alarm_key=None,
            ),
            fleet.fact(
                Visit, f"{key}-{number}", told_at, work_order_key=f"{key}-{number}",
                technician_key="t", arrived_at=happened, left_at=happened, is_resolved=False,
                incomplete_reason="part",
            ),
        ]  # fmt: skip
    fleet.record(customers, facts)

    np.testing.assert_array_equal(features(customers, asked_at).x, before)


def test_a_correction_counts_from_when_it_was_recorded(customers: AppContext) -> None:
    told_at, began = fleet.NOW - timedelta(days=10), fleet.NOW - timedelta(days=40)
    corrected = {
        "machine_key": "acme-press-2", "is_planned": False, "cause": "seal",
        "work_order_key": "acme-order-1", "started_at": began,
        "ended_at": began + timedelta(hours=20),
    }  # fmt: skip
    fleet.record(customers, [fleet.fact(Downtime, "acme-down-1", told_at, **corrected)])

    day_before = told_at - timedelta(days=1)
    assert of(customers, "acme", "downtime_h_per_machine_90d", day_before) == 25.0
    assert of(customers, "acme", "downtime_h_per_machine_90d") == 10.0


def test_facts_under_a_feature_are_the_ones_it_came_from(customers: AppContext) -> None:
    known, found = known_now(customers), features(customers)
    acme = known.customers.index("acme")
    facts_of = {
        name: [] if column.facts is None else column.facts.of(acme)
        for name, column in zip(NAMES, found.columns, strict=True)
    }

    assert facts_of["downtime_h_per_machine_90d"] == [("acme-down-1", 50.0)]
    assert facts_of["repeat_visit_ratio_180d"] == [("acme-visit-1", 1.0), ("acme-visit-2", 0.0)]
    assert facts_of["response_over_target_ratio_90d"] == [("acme-order-1", 3.75)]
    assert facts_of["complaints_90d_count"] == [("acme-ticket-1", 1.0)]
    assert len(facts_of["usage_change_ratio_90d"]) == 12
    assert sum(days for _, days in facts_of["late_payment_days_180d"]) == 36.0


def test_an_empty_registry_has_no_rows_and_no_customers(context: AppContext) -> None:
    history = context.history.current()
    X, has_left = training_rows(history, fleet.NOW)

    assert X.shape == (0, len(CHURN_FEATURES))
    assert has_left.size == 0
    assert features(context).x.shape == (0, len(CHURN_FEATURES))


def test_a_customer_that_left_is_one_row_with_a_churn_and_none_after(
    customers: AppContext,
) -> None:
    history: FactHistory = customers.history.current()

    X, has_left = training_rows(history, fleet.NOW)

    # May 2024 to February 2026 are whole months since the first contract was known; the one
    # that left did so on 5 November 2025.
    assert X.shape[0] == 2 * 22 + 19
    assert has_left.sum() == 1
    assert X[has_left][0, NAMES.index("downtime_h_per_machine_90d")] == 25.0


def test_a_loss_that_is_recorded_late_is_learnt_from_but_not_known_before(
    customers: AppContext,
) -> None:
    left_on = (fleet.NOW - timedelta(days=70)).date()
    terms = fleet.contract("calm", fleet.NOW - timedelta(days=700), date(2026, 10, 1))
    churned = {**terms, "outcome": "churned", "outcome_on": left_on, "outcome_reason": None}
    told_at = fleet.NOW - timedelta(days=1)
    fleet.record(customers, [fleet.fact(Contract, "calm-contract", told_at, **churned)])

    _, has_left = training_rows(customers.history.current(), fleet.NOW)

    assert has_left.sum() == 2


@pytest.mark.parametrize(
    ("ends_on", "left_on"),
    [(date(2026, 2, 1), date(2026, 2, 1)), (date(2026, 2, 1), date(2026, 2, 10))],
    ids=["leaves at the month's last midnight", "its answer is noted after the end"],
)
def test_a_contract_that_ends_with_the_month_is_learnt_from(
    customers: AppContext, ends_on: date, left_on: date
) -> None:
    terms = fleet.contract("calm", fleet.NOW - timedelta(days=700), ends_on)
    churned = {**terms, "outcome": "churned", "outcome_on": left_on, "outcome_reason": None}
    told_at = fleet.NOW - timedelta(days=1)
    fleet.record(customers, [fleet.fact(Contract, "calm-contract", told_at, **churned)])

    X, has_left = training_rows(customers.history.current(), fleet.NOW)

    assert has_left.sum() == 2
    assert X.shape[0] == 22 + 21 + 19


def test_two_technicians_who_leave_together_share_what_comes_back(customers: AppContext) -> None:
    began = fleet.NOW - timedelta(days=60)
    order = {
        "machine_key": "calm-press-1", "kind": "corrective", "fault_code": "drive",
        "opened_at": began, "closed_at": None, "alarm_key": None,
    }  # fmt: skip
    facts = [fleet.fact(WorkOrder, "calm-order", began, **order)]
    for number, days in enumerate([1, 1, 9]):
        at = began + timedelta(days=days)
        visit = {
            "work_order_key": "calm-order", "technician_key": f"tech-{number}", "arrived_at": at,
            "left_at": at, "is_resolved": True, "incomplete_reason": None,
        }  # fmt: skip
        facts.append(fleet.fact(Visit, f"calm-visit-{number}", at, **visit))
    fleet.record(customers, facts)

    ratio = of(customers, "calm", "repeat_visit_ratio_180d")

    assert ratio == pytest.approx((2 + 0.6) / (3 + 4))


def test_a_machine_stays_under_contract_while_its_record_still_names_the_renewed_one(
    customers: AppContext,
) -> None:
    before = of(customers, "acme", "downtime_h_per_machine_90d")
    began = fleet.NOW - timedelta(days=700)
    today, told_at = fleet.NOW.date(), fleet.NOW - timedelta(days=2)
    old = fleet.contract("acme", began, today)
    renewed = {**old, "outcome": "renewed", "outcome_on": told_at.date()}
    new = fleet.contract("acme", fleet.NOW, today + timedelta(days=365))
    fleet.record(
        customers,
        [
            fleet.fact(Contract, "acme-contract", told_at, **renewed),
            fleet.fact(Contract, "acme-contract-2", told_at, **new),
        ],
    )

    known = known_now(customers)

    assert known.n_machines_of[known.customers.index("acme")] == 2
    assert of(customers, "acme", "downtime_h_per_machine_90d") == before > 0.0
    assert of(customers, "acme", "response_over_target_ratio_90d") > 0.0


def test_a_machine_of_a_contract_that_was_left_does_not_pass_to_another(
    customers: AppContext,
) -> None:
    began, today = fleet.NOW - timedelta(days=700), fleet.NOW.date()
    told_at = fleet.NOW - timedelta(days=2)
    left = {
        **fleet.contract("acme", began, today),
        "outcome": "churned", "outcome_on": told_at.date(), "outcome_reason": None,
    }  # fmt: skip
    other = fleet.contract("acme", began, today + timedelta(days=365))
    fleet.record(
        customers,
        [
            fleet.fact(Contract, "acme-contract", told_at, **left),
            fleet.fact(Contract, "acme-contract-2", told_at, **other),
        ],
    )

    known = known_now(customers)

    assert known.is_active[known.customers.index("acme")]
    assert known.n_machines_of[known.customers.index("acme")] == 0
