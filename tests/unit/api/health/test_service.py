"""Answers about machines."""

import json
from datetime import timedelta

import pytest

from api.app import create_app
from api.context import AppContext
from api.health.service import HealthService
from api.worker import Worker
from tests.unit.api import fleet
from tests.unit.api.asking import ask, get, problem_of


@pytest.fixture
def judged(worn_presses: AppContext) -> AppContext:
    """After one round of the worker."""
    Worker(worn_presses).run_once()
    return worn_presses


def test_machines_that_need_somebody_come_first(judged: AppContext) -> None:
    page = get(judged, "/v1/machines")

    states = [(machine["key"], machine["state"]) for machine in page["items"]]
    assert states[0] == ("acme-press-1", "alarm")
    assert states[-1] == ("gone-press-2", "unknown")
    assert page["n_total"] == 6
    assert page["items"][0]["newest_sample_at"] == "2026-03-15T12:00:00Z"
    assert page["items"][-1]["health"] is None


def test_pages_of_a_list_hold_every_machine_once(judged: AppContext) -> None:
    seen: list[str] = []
    path: str | None = "/v1/machines?limit=4"
    while path is not None:
        page = get(judged, path)
        seen += [machine["key"] for machine in page["items"]]
        cursor = page["next_cursor"]
        path = None if cursor is None else f"/v1/machines?limit=4&cursor={cursor}"

    assert len(seen) == len(set(seen)) == 6


def test_every_estimate_stands_beside_its_interval(judged: AppContext) -> None:
    machine = get(judged, "/v1/machines/acme-press-1")

    life = machine["health"]["remaining_useful_life"]
    assert life["lower_h"] <= life["median_h"] <= life["upper_h"]
    assert life["interval_ratio"] == 0.8
    survival = [point["survival_probability"] for point in machine["health"]["survival"]]
    assert survival[0] == 1.0
    assert survival == sorted(survival, reverse=True)
    assert machine["model_card"]["card"]["n_units"] == 12
    assert {signal["unit"] for signal in machine["signals"]} == {"mm/s", "°C", "A"}
    assert machine["downtime_cost_per_h"] == {"amount": 250.0, "currency": "EUR"}


def test_samples_come_as_columns_with_extremes_kept(judged: AppContext) -> None:
    path = "/v1/machines/acme-press-1/signals/vibration_mm_s/samples"
    whole = get(judged, f"{path}?from=2026-01-01T00:00:00Z")
    few = get(judged, f"{path}?from=2026-01-01T00:00:00Z&max_points=50")

    assert (whole["n_samples"], whole["is_thinned"]) == (401, False)
    assert len(whole["time_s"]) == len(whole["value"]) == len(whole["quality"]) == 401
    assert few["is_thinned"]
    assert len(few["time_s"]) <= 50
    assert max(few["value"]) == max(whole["value"])
    assert min(few["value"]) == min(whole["value"])
    assert few["time_s"] == sorted(few["time_s"])


def test_the_usual_window_is_the_week_before_the_newest_sample(judged: AppContext) -> None:
    samples = get(judged, "/v1/machines/acme-press-1/signals/motor_current_a/samples")

    assert samples["n_samples"] == 7 * 12 + 1
    assert samples["time_s"][-1] == fleet.NOW.timestamp()


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("from=2026-03-15", 400),
        ("from=2026-03-15T12:00:00", 400),
        ("from=2026-03-15T12:00:00Z&to=2026-03-14T12:00:00Z", 400),
        ("from=0001-01-01T00:00:00Z", 400),
        ("to=9999-12-31T00:00:00Z", 400),
        ("from=yesterday", 422),
        ("max_points=1", 422),
    ],
)
def test_bad_windows_are_refused_with_a_remedy(judged: AppContext, query: str, status: int) -> None:
    path = f"/v1/machines/acme-press-1/signals/vibration_mm_s/samples?{query}"

    answer = ask(create_app(judged), path)

    assert answer.status_code == status
    problem_of(answer)


def test_history_grows_with_each_judgement(judged: AppContext, clock: fleet.Clock) -> None:
    worker = Worker(judged)
    for days in range(1, 4):
        clock.advance(days=1)
        age_h = 800.0 + 24.0 * days
        fleet.store_samples(judged, fleet.worn("acme-press-1", clock.now, age_h=age_h))
        worker.run_once()

    history = get(judged, "/v1/machines/acme-press-1/health")

    assert len(history["time_s"]) == 4
    assert history["time_s"] == sorted(history["time_s"])
    assert history["health_pct"][-1] < history["health_pct"][0]
    assert len(get(judged, "/v1/machines/acme-press-1/health?max_points=2")["time_s"]) == 2


def test_alarms_are_filtered(judged: AppContext) -> None:
    assert get(judged, "/v1/alarms?is_open=true")["n_total"] == 1
    assert get(judged, "/v1/alarms?is_open=false")["n_total"] == 0
    assert get(judged, "/v1/alarms?machine=calm-press-1")["n_total"] == 0


def test_a_machine_without_a_model_is_unknown_and_not_healthy(context: AppContext) -> None:
    fleet.record(context, fleet.business_facts())
    fleet.store_samples(context, fleet.worn("acme-press-1", fleet.NOW, age_h=800.0))
    Worker(context).run_once()

    machine = HealthService(context).machine("acme-press-1")

    assert (machine.state, machine.health, machine.model_card) == ("unknown", None, None)
    assert machine.newest_sample_at == fleet.NOW


def test_answers_hold_only_json_numbers(judged: AppContext) -> None:
    for path in ("/v1/machines", "/v1/machines/calm-press-1", "/v1/customers", "/v1/proposals"):
        text = ask(create_app(judged), path).text
        assert "NaN" not in text
        json.loads(text)


def test_dates_of_a_judgement_are_aware(judged: AppContext) -> None:
    reading = HealthService(judged).machine("acme-press-1").health

    assert reading is not None
    assert reading.as_of.utcoffset() == timedelta(0)
