"""Broken sensors spoil what they should, the same in whatever pieces it is asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import ScenarioError
from simulators.faults.sensors import (
    HOLD_STEP_NS,
    SENSOR_FAULT_KINDS,
    SensorFault,
    SensorFaultKind,
    spoil,
)
from simulators.plant.fleet import fleet_of
from simulators.plant.machine import build_plant
from simulators.reading import BAD, NS_PER_H, NS_PER_S, Readings
from tests.naive import simulators_faults as naive

STEP_NS = 600 * NS_PER_S
NOW_NS = 1_700_000_000_000_000_000 // STEP_NS * STEP_NS
TIMES = NOW_NS + STEP_NS * np.arange(-900, 0)
(MACHINE,) = build_plant(fleet_of(("centrifugal-pump",), 1), seed=3, now_ns=NOW_NS)
SOUND = MACHINE.readings(TIMES, step_ns=STEP_NS)


def fault(kind: SensorFaultKind, **more: float) -> SensorFault:
    values = {"size": 2.5, "every_h": 5.0, "lasting_h": 3.0, **more}
    return SensorFault(
        MACHINE.outlet.machine, "flow_m3_h", kind, NOW_NS - 100 * NS_PER_H, NOW_NS - 20 * NS_PER_H,
        values["size"], values["every_h"], values["lasting_h"],
    )  # fmt: skip


def spoilt(
    faults: list[SensorFault], readings: Readings = SOUND, step_ns: int = STEP_NS
) -> Readings:
    return spoil(
        readings, MACHINE.outlet.signals, faults, seed=3, step_ns=step_ns,
        read_again=lambda times: MACHINE.readings(times, step_ns=HOLD_STEP_NS),
    )  # fmt: skip


@pytest.mark.parametrize("kind", SENSOR_FAULT_KINDS)
def test_a_fault_is_that_of_a_plain_loop(kind: SensorFaultKind) -> None:
    broken = fault(kind)
    column = MACHINE.outlet.signals.index("flow_m3_h")
    held_ns = broken.from_ns // HOLD_STEP_NS * HOLD_STEP_NS
    held = float(MACHINE.readings(np.array([held_ns]), step_ns=HOLD_STEP_NS).values[0, column])

    told = spoilt([broken])

    expected = [
        naive.told(broken, 0, 3, STEP_NS, at_ns, value, quality, held)
        for at_ns, value, quality in zip(
            TIMES.tolist(), SOUND.values[:, column].tolist(), SOUND.quality[:, column].tolist(),
            strict=True,
        )
    ]  # fmt: skip
    assert told.values[:, column] == pytest.approx([v for v, _ in expected], nan_ok=True)
    assert told.quality[:, column].tolist() == [q for _, q in expected]
    assert not (
        np.array_equal(told.values, SOUND.values, equal_nan=True)
        and np.array_equal(told.quality, SOUND.quality)
    )
    others = [n for n in range(len(MACHINE.outlet.signals)) if n != column]
    assert np.array_equal(told.values[:, others], SOUND.values[:, others], equal_nan=True)


@given(
    kinds=st.lists(st.sampled_from(SENSOR_FAULT_KINDS), min_size=1, max_size=3),
    cuts=st.lists(st.integers(1, 899), max_size=5, unique=True),
)
def test_pieces_are_spoilt_as_the_whole(kinds: list[SensorFaultKind], cuts: list[int]) -> None:
    faults = [fault(kind) for kind in kinds]
    whole = spoilt(faults)

    pieces = []
    for rows in np.split(np.arange(900), sorted(cuts)):
        part = Readings(TIMES[rows], SOUND.values[rows], SOUND.quality[rows])
        pieces.append(spoilt(faults, part))

    assert np.array_equal(np.concatenate([p.values for p in pieces]), whole.values, equal_nan=True)
    assert np.array_equal(np.concatenate([p.quality for p in pieces]), whole.quality)


def test_sound_sensors_are_left_alone() -> None:
    assert spoilt([]).values is SOUND.values


def test_a_stuck_sensor_holds_one_value_however_often_it_is_asked() -> None:
    column = MACHINE.outlet.signals.index("flow_m3_h")

    held = set()
    for step_ns in (7200 * NS_PER_S, STEP_NS, NS_PER_S):
        times = (NOW_NS - 50 * NS_PER_H) // step_ns * step_ns + step_ns * np.arange(3)
        sound = MACHINE.readings(times, step_ns=step_ns)
        held |= set(spoilt([fault("stuck")], sound, step_ns).values[:, column].tolist())

    assert len(held) == 1


def test_a_sensor_stuck_while_its_machine_stood_has_nothing_to_tell() -> None:
    column = MACHINE.outlet.signals.index("flow_m3_h")
    nothing = Readings(
        TIMES[:1], np.full((1, SOUND.values.shape[1]), np.nan), SOUND.quality[:1] + BAD
    )

    told = spoil(
        SOUND, MACHINE.outlet.signals, [fault("stuck")], seed=3, step_ns=STEP_NS,
        read_again=lambda _: nothing,
    )  # fmt: skip

    is_at_work = np.isnan(told.values[:, column])
    assert is_at_work.any()
    assert set(told.quality[is_at_work, column].tolist()) == {BAD}


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("spikes", {"size": -1.0}, "give size from 1e-06 to 1e.09; -1 is not"),
        ("spikes", {"every_h": 0.0}, "every_h from .*; 0 is not"),
        ("spikes", {"size": float("nan")}, "size from .*; nan is not"),
        ("drift", {"size": float("inf")}, "size from .*; inf is not"),
        ("drift", {"size": -1e300}, "size from .*; -1e.300 is not"),
        ("coarse", {"size": 1e-310}, "size from .*; 1e-310 is not"),
        ("dropout", {"every_h": 1e-300}, "every_h from .*; 1e-300 is not"),
        ("dropout", {"lasting_h": 1e300}, "lasting_h from .* to 744; 1e.300 is not"),
    ],
)
def test_impossible_faults_are_refused(
    kind: SensorFaultKind, change: dict[str, float], words: str
) -> None:
    with pytest.raises(ScenarioError, match=words):
        fault(kind, **change)


def test_a_missing_number_is_named() -> None:
    with pytest.raises(ScenarioError, match=r"give every_h from .*; it is missing"):
        SensorFault("pump-01", "flow_m3_h", "not-a-number", 0, 10)


@pytest.mark.parametrize("kind", SENSOR_FAULT_KINDS)
def test_the_worst_that_is_allowed_stays_finite_and_quick(kind: SensorFaultKind) -> None:
    worst = [
        fault(kind, size=size, every_h=every_h, lasting_h=lasting_h)
        for size in (1e-6, 1e9)
        for every_h, lasting_h in ((1 / 3600, 744.0), (87_660.0, 1 / 3600))
    ]

    for broken in worst:
        told = spoilt([broken])

        assert not np.isinf(told.values).any()


def test_a_fault_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ScenarioError, match="ends before it begins"):
        SensorFault("pump-01", "flow_m3_h", "bad", 10, 5)
