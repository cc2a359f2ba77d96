"""What holds for every kind: moments on their own, heat that goes, and a page that tells it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from simulators.conditions import Conditions
from simulators.machines import KINDS
from simulators.machines.kind import MachineKind
from simulators.wear.laws import ExponentialWear, GammaWear, WearLaw, WienerWear, WithShocks
from tests.naive.simulators_machines import levels_moment_by_moment, steady
from tests.servers.availability import ROOT

EACH_KIND = pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.key)
PAGE = ROOT / "docs" / "simulated-machines.md"


@st.composite
def any_conditions(draw: st.DrawFn, n_modes: int) -> Conditions:
    n_times = draw(st.integers(1, 6))

    def each(low: float, high: float) -> np.ndarray:
        return draw(hnp.arrays(np.float64, n_times, elements=st.floats(low, high)))

    is_idle = draw(hnp.arrays(np.bool_, n_times))
    return Conditions(
        time_h=np.arange(n_times, dtype=np.float64),
        wear=np.stack([each(0.0, 1.0) for _ in range(n_modes)]),
        load_ratio=np.where(is_idle, 0.0, each(0.0, 1.5)),
        lagged_load_ratio=each(0.0, 1.5),
        ambient_c=each(-20.0, 45.0),
        program=draw(hnp.arrays(np.int64, n_times, elements=st.integers(0, 2))),
        is_idle=is_idle,
    )


@EACH_KIND
@given(data=st.data())
def test_a_moment_shows_the_same_alone_as_among_others(
    kind: MachineKind, data: st.DataObject
) -> None:
    conditions = data.draw(any_conditions(len(kind.modes)))
    traits = np.linspace(-2.0, 2.0, kind.n_traits)

    together = kind.levels(conditions, traits)

    assert together.shape == (len(kind.signals), len(conditions.time_h))
    assert np.isfinite(together).all()
    alone = levels_moment_by_moment(kind, conditions, traits)
    assert together == pytest.approx(alone, rel=1e-12, abs=1e-12)


@EACH_KIND
def test_a_worn_machine_that_has_long_stood_is_as_cold_as_the_hall(kind: MachineKind) -> None:
    wear: dict[str, float | np.ndarray] = {mode.key: 1.0 for mode in kind.modes}

    values = steady(kind, wear, is_idle=True, ambient=17.0)

    for signal in kind.signals:
        if signal.endswith("_c"):
            assert values[signal] == pytest.approx(17.0), signal


@EACH_KIND
def test_a_machine_cools_and_does_not_jump_as_its_load_is_forgotten(kind: MachineKind) -> None:
    wear: dict[str, float | np.ndarray] = {mode.key: 1.0 for mode in kind.modes}

    values = steady(kind, wear, is_idle=True, warmth=np.linspace(1.0, 0.0, 1001))

    for signal in kind.signals:
        if signal.endswith("_c"):
            steps = np.diff(values[signal])
            assert np.all(steps <= 0), signal
            assert steps.min() > -0.5, signal


@EACH_KIND
def test_a_machine_that_stands_hides_what_only_turning_shows(kind: MachineKind) -> None:
    wear: dict[str, float | np.ndarray] = {mode.key: 1.0 for mode in kind.modes}

    sound, worn = steady(kind, is_idle=True), steady(kind, wear, is_idle=True)

    for signal in kind.signals:
        if signal.endswith(("kurtosis_ratio", "level_ratio", "_rpm", "_nm", "_kn", "_a", "_pct")):
            assert worn[signal] == pytest.approx(sound[signal]), signal


def test_modes_wear_by_several_laws() -> None:
    laws = [mode.law for kind in KINDS.values() for mode in kind.modes]
    inner = [law.law if isinstance(law, WithShocks) else law for law in laws]

    assert {type(law) for law in inner} == {GammaWear, ExponentialWear, WienerWear}
    assert sum(isinstance(law, WithShocks) for law in laws) >= 2
    assert sum(isinstance(law, WienerWear) for law in inner) >= 2


@EACH_KIND
def test_waiting_for_the_failure_costs_more_than_a_planned_visit(kind: MachineKind) -> None:
    costs = kind.costs

    planned_eur = (
        costs.planned_visit_cost_eur + costs.planned_visit_h * costs.downtime_cost_eur_per_h
    )
    unplanned_eur = (
        costs.unplanned_repair_cost_eur + costs.unplanned_repair_h * costs.downtime_cost_eur_per_h
    )
    assert 0 < 2 * planned_eur < unplanned_eur
    low_h, high_h = kind.standstill_range_h
    assert low_h < costs.unplanned_repair_h < high_h


@EACH_KIND
def test_the_page_tells_what_each_mode_does_to_each_signal(kind: MachineKind) -> None:
    section = PAGE.read_text().split(f"## `{kind.key}`", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:1] == "|"]
    head, _, *signals, wear = [[cell.strip("` ") for cell in row] for row in rows]
    sound = steady(kind)

    assert f"`{kind.model}`" in section
    assert head == ["signal", "sound", *(mode.key for mode in kind.modes)]
    assert [row[0] for row in signals] == list(kind.signals)
    assert wear[-len(kind.modes) :] == [law_in_words(mode.law) for mode in kind.modes]
    for name, healthy, *failed in signals:
        assert float(healthy) == pytest.approx(sound[name][0], rel=0.01)
        for mode, told in zip(kind.modes, failed, strict=True):
            is_touched = told != "–"
            shown = steady(kind, {mode.key: 1.0})[name]
            assert is_touched == (abs(shown - sound[name]) > 1e-9), (mode.key, name)
            if is_touched:
                assert float(told) == pytest.approx(shown[0], rel=0.01)


def law_in_words(law: WearLaw) -> str:
    words = {GammaWear: "gamma", ExponentialWear: "exponential", WienerWear: "Wiener"}
    if isinstance(law, WithShocks):
        return f"{words[type(law.law)]} with shocks"
    return words[type(law)]
