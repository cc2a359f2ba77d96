"""Stores of the API tests: real ones, in a folder of the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from analytics.health.model import HealthModel
from api.context import AppContext
from tests.unit.api import fleet


@pytest.fixture(scope="session")
def press_model() -> HealthModel:
    """Health model of the test presses."""
    return fleet.fitted_model()


@pytest.fixture
def clock() -> fleet.Clock:
    """A clock that stands until the test moves it."""
    return fleet.Clock()


@pytest.fixture
def context(tmp_path: Path, clock: fleet.Clock) -> Iterator[AppContext]:
    """Empty stores."""
    with fleet.open_context(tmp_path, clock) as opened:
        yield opened


@pytest.fixture
def presses(context: AppContext, press_model: HealthModel) -> AppContext:
    """Three customers with their history, and a fitted model; no sample yet."""
    fleet.keep_model(context, press_model)
    fleet.record(context, fleet.business_facts())
    return context


@pytest.fixture
def worn_presses(presses: AppContext) -> AppContext:
    """The same, after forty days of samples: one press nearly worn out, one fresh."""
    fleet.store_samples(
        presses,
        fleet.worn("acme-press-1", fleet.NOW, age_h=800.0),
        fleet.worn("calm-press-1", fleet.NOW, age_h=200.0),
    )
    return presses
