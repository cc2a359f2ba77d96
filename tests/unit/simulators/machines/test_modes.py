"""Each way of failing shows in its own signals, and no condition gives nonsense."""

from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.conditions import Conditions
from simulators.machines import KINDS
from simulators.machines.kind import MachineKind
from simulators.wear.paths import draw_wear_paths

SIGNATURES: Final = {
    "outer-race-spall": ("vibration_mm_s", 1),
    "inner-race-spall": ("acceleration_kurtosis_ratio", 1),
    "ball-spall": ("bearing_temperature_c", 1),
    "wear-ring-erosion": ("flow_m3_h", -1),
    "cavitation-erosion": ("vibration_mm_s", 1),
    "seal-leak": ("seal_temperature_c", 1),
    "front-bearing-wear": ("spindle_temperature_c", 1),
    "tool-wear": ("torque_nm", 1),
    "imbalance": ("vibration_mm_s", 1),
    "discharge-valve-leak": ("stage_1_temperature_c", 1),
    "cooler-fouling": ("cooler_outlet_temperature_c", 1),
    "tooth-crack": ("sideband_level_ratio", 1),
    "gear-wear": ("oil_debris_count", 1),
    "insulation-ageing": ("insulation_resistance_mohm", -1),
    "cooling-blocked": ("winding_temperature_c", 1),
    "accumulator-gas-loss": ("pressure_ripple_bar", 1),
    "pump-leakage": ("case_drain_flow_l_min", 1),
}
MODES = [(kind, number) for kind in KINDS.values() for number in range(len(kind.modes))]
IDS = [kind.modes[number].key for kind, number in MODES]


def levels(
    kind: MachineKind, wear: np.ndarray, load: float = 1.0, *, is_idle: bool = False
) -> dict[str, np.ndarray]:
    n_times = wear.shape[1]
    conditions = Conditions(
        time_h=np.zeros(n_times),
        wear=wear,
        load_ratio=np.full(n_times, 0.0 if is_idle else load),
        lagged_load_ratio=np.full(n_times, load),
        ambient_c=np.full(n_times, 20.0),
        program=np.ones(n_times, dtype=np.int64),
        is_idle=np.full(n_times, is_idle),
    )
    values = kind.levels(conditions, np.zeros(kind.n_traits))
    return dict(zip(kind.signals, values, strict=True))


def wear_by(kind: MachineKind, mode: int, n_points: int = 51) -> np.ndarray:
    wear = np.zeros((len(kind.modes), n_points))
    wear[mode] = np.linspace(0.0, 1.0, n_points)
    return wear


@pytest.mark.parametrize(("kind", "mode"), MODES, ids=IDS)
def test_a_mode_moves_the_signal_it_is_known_by_and_never_back(
    kind: MachineKind, mode: int
) -> None:
    signal, direction = SIGNATURES[kind.modes[mode].key]

    values = levels(kind, wear_by(kind, mode))[signal]

    steps = np.diff(values) * direction
    rising = steps[: len(steps) // 2] if "kurtosis" in signal else steps
    assert np.all(rising >= 0)
    assert direction * (values[-1] - values[0]) > 0.08 * abs(values[0])


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.key)
def test_modes_of_one_kind_leave_different_marks(kind: MachineKind) -> None:
    marks = []
    for mode in range(len(kind.modes)):
        values = np.stack(list(levels(kind, wear_by(kind, mode, 2)).values()))
        healthy, failed = values.T
        noise = [s.noise_ratio * v + s.noise for s, v in zip(kind.sensors, healthy, strict=True)]
        change = (failed - healthy) / np.array(noise)
        marks.append(change / np.linalg.norm(change))

    for one in range(len(marks)):
        for other in range(one):
            assert marks[one] @ marks[other] < 0.995


@given(
    kind=st.sampled_from(list(KINDS.values())),
    wear=st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3),
    load=st.floats(0.0, 1.3),
    is_idle=st.booleans(),
)
def test_every_condition_gives_numbers_a_sensor_could_show(
    kind: MachineKind, wear: list[float], load: float, is_idle: bool
) -> None:
    rows = np.array(wear[: len(kind.modes)])[:, np.newaxis]

    values = levels(kind, rows, load, is_idle=is_idle)

    for signal, (value,) in ((name, row.tolist()) for name, row in values.items()):
        assert np.isfinite(value), signal
        if not signal.endswith("_c"):
            assert value >= 0, signal
        else:
            assert 15 <= value < 260, signal


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.key)
def test_an_idle_machine_does_no_work(kind: MachineKind) -> None:
    healthy = np.zeros((len(kind.modes), 1))

    working, idle = levels(kind, healthy), levels(kind, healthy, is_idle=True)

    worked = [name for name in kind.signals if name.endswith(("_kw", "_nm", "_m3_h", "_kn", "_a"))]
    assert worked
    for name in worked:
        assert idle[name] < 0.2 * working[name], name
    for name in kind.signals:
        if "vibration" in name:
            assert idle[name] < 0.5 * working[name]


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.key)
def test_the_first_mode_is_the_most_usual_and_lives_last_weeks_to_months(
    kind: MachineKind,
) -> None:
    rng = np.random.default_rng(1)
    lives_h = np.array([
        [path.failure_h for path in draw_wear_paths(mode.law, rng, 400)] for mode in kind.modes
    ])

    share = np.bincount(lives_h.argmin(axis=0), minlength=len(kind.modes)) / 400

    assert share[0] > 0.5
    assert share.min() >= 0.01
    assert np.quantile(lives_h.min(axis=0), 0.02) > 35 * 24
    assert np.quantile(lives_h.min(axis=0), 0.98) < 130 * 24
