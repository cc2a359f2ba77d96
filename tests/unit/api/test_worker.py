"""The worker: one round closes the chain, and nothing that fails ends it."""

import logging
import time

import pytest

from api.app import create_app
from api.context import AppContext
from api.worker import Worker
from ingest.errors import StoreUnavailableError
from tests.unit.api import fleet
from tests.unit.api.asking import ask


def test_one_round_goes_from_samples_to_risks(worn_presses: AppContext) -> None:
    done = Worker(worn_presses).run_once()

    assert done.errors == ()
    assert (done.n_health, done.n_alarms, done.n_risks) == (2, 1, 2)
    assert done.n_proposals >= 1
    assert set(done.steps) == {"health", "planning", "retention"}
    kinds = {event.kind for event in worn_presses.hub.since(0)}
    assert kinds == {"samples", "health", "alarm", "proposal", "risk"}


def test_a_second_round_without_news_writes_nothing(worn_presses: AppContext) -> None:
    worker = Worker(worn_presses)
    worker.run_once()

    done = worker.run_once()

    assert (done.n_health, done.n_alarms, done.n_proposals, done.n_risks) == (0, 0, 0, 0)


def test_a_failing_step_is_said_once_and_the_others_go_on(
    worn_presses: AppContext, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: object) -> None:
        msg = "telemetry.duckdb: the disk is away"
        raise StoreUnavailableError(msg)

    monkeypatch.setattr(worn_presses.store, "read", away)
    worker = Worker(worn_presses)

    rounds = [worker.run_once() for _ in range(3)]

    assert [done.errors for done in rounds] == [("health",)] * 3
    assert rounds[0].n_risks == 2
    assert worker.status.n_errors == {"health": 3}
    said = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(said) == 1
    assert "check that the telemetry store runs" in said[0].getMessage()
    monkeypatch.undo()
    assert worker.run_once().n_health == 2


def test_healthz_tells_of_a_failing_step(
    worn_presses: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(worn_presses)
    monkeypatch.setattr(worker._proposer, "update", lambda _now: 1 / 0)
    worker.run_once()

    body = ask(create_app(worn_presses, worker), "/healthz").json()

    assert body["status"] == "degraded"
    assert body["failing_steps"] == ["planning"]
    assert body["n_samples_stored"] == 3 * (401 + 101)


def test_the_thread_runs_rounds_until_it_is_stopped(
    worn_presses: AppContext, clock: fleet.Clock
) -> None:
    settings = worn_presses.settings.model_copy(update={"update_interval_s": 0.01})
    object.__setattr__(worn_presses, "settings", settings)
    worker = Worker(worn_presses)
    worker.start()
    deadline = time.monotonic() + 20.0
    while worker.status.n_rounds < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    worker.stop()
    n_rounds = worker.status.n_rounds
    time.sleep(0.05)

    assert n_rounds >= 3
    assert worker.status.n_rounds == n_rounds
