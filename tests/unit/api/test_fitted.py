"""Fitted models: the newest of a kind is in use, and one that is broken takes no other with it."""

import pytest

from analytics.health.model import HealthModel
from api.context import AppContext
from api.registry.database import session
from api.registry.models import HealthModelRecord
from tests.unit.api import fleet


def test_the_newest_model_of_a_kind_is_in_use(
    context: AppContext, press_model: HealthModel
) -> None:
    fleet.keep_model(context, press_model)
    assert context.models.newest()[fleet.KIND].version == press_model.version

    newer = fleet.fitted_model(n_units=6)
    fleet.keep_model(context, newer)

    assert context.models.newest()[fleet.KIND].version == newer.version


def test_a_model_that_can_not_be_read_is_said_once_and_the_others_stay(
    presses: AppContext, caplog: pytest.LogCaptureFixture
) -> None:
    with session(presses.engine) as writing:
        writing.add(
            HealthModelRecord(
                kind="broken", version="0", created_at=fleet.NOW, document={"format": 0}, card={}
            )
        )

    found = [presses.models.newest() for _ in range(3)]

    assert [set(models) for models in found] == [{fleet.KIND}] * 3
    assert caplog.text.count("the newest health model of broken can't be used") == 1
