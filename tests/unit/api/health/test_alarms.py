"""Alarms: raised once, cleared once, whatever comes late or is started again."""

from datetime import timedelta

import numpy as np
from sqlalchemy import select

from api.context import AppContext
from api.health.alarms import alarm_key
from api.health.service import HealthService
from api.health.updating import HealthUpdater
from api.registry.database import read_session
from api.registry.models import KEY_LENGTH, Alarm
from tests.unit.api import fleet


def versions(context: AppContext) -> list[Alarm]:
    with read_session(context.engine) as reading:
        return list(reading.scalars(select(Alarm).order_by(Alarm.recorded_at)))


def test_a_worn_press_raises_one_alarm_with_numbers_and_units(worn_presses: AppContext) -> None:
    HealthUpdater(worn_presses).update(fleet.NOW)

    (alarm,) = HealthService(worn_presses).alarms(is_open=True)

    assert alarm.machine_key == "acme-press-1"
    assert alarm.signal in fleet.SIGNALS
    assert "healthy spreads above" in alarm.message
    assert alarm.unit is not None
    assert f" {alarm.unit}, " in alarm.message
    assert alarm.raised_at < fleet.NOW
    assert alarm.samples.from_at < alarm.samples.to_at


def test_judging_again_raises_nothing_twice(worn_presses: AppContext, clock: fleet.Clock) -> None:
    HealthUpdater(worn_presses).update(clock())
    clock.advance(minutes=5)

    HealthUpdater(worn_presses).update(clock())

    assert len(versions(worn_presses)) == 1


def test_an_alarm_survives_the_window_moving_past_its_raising(
    presses: AppContext, clock: fleet.Clock
) -> None:
    short = presses.settings.model_copy(
        update={"health": presses.settings.health.model_copy(update={"window_days": 6.0})}
    )
    object.__setattr__(presses, "settings", short)
    updater = HealthUpdater(presses)
    fleet.store_samples(presses, fleet.worn("acme-press-1", fleet.NOW, age_h=700.0))
    updater.update(clock())
    for later in range(1, 5):
        clock.advance(days=2)
        fleet.store_samples(
            presses, fleet.worn("acme-press-1", clock.now, age_h=700.0 + 48.0 * later)
        )
        updater.update(clock())

    assert len({alarm.key for alarm in versions(presses)}) == 1
    assert len(HealthService(presses).alarms(is_open=True)) == 1


def test_a_repair_clears_the_alarm(worn_presses: AppContext, clock: fleet.Clock) -> None:
    updater = HealthUpdater(worn_presses)
    updater.update(clock())
    stand = np.full((15, 3), np.nan)
    fresh = fleet.readings(np.zeros(40), np.random.default_rng(3))
    fleet.store_samples(
        worn_presses,
        fleet.batch("acme-press-1", fleet.NOW + timedelta(hours=30), stand, quality=2),
        fleet.batch("acme-press-1", fleet.NOW + timedelta(hours=110), fresh),
    )
    clock.advance(hours=110)

    updater.update(clock())

    (alarm,) = HealthService(worn_presses).alarms()
    assert not alarm.is_open
    assert alarm.cleared_at == fleet.NOW + timedelta(hours=32)
    assert len(versions(worn_presses)) == 2


def test_keys_of_alarms_always_fit() -> None:
    assert len(alarm_key("m" * 64, 1_700_000_000)) <= KEY_LENGTH
    assert alarm_key("a" * 64, 1) != alarm_key("b" * 64, 1)
