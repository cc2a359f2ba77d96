"""Raw vibration: fault orders where closed forms put them, and parts equal to plain loops."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from simulators.__main__ import main
from simulators.errors import ScenarioError
from simulators.machines import BEARING_CONVEYOR, GEARBOX, KINDS, MACHINING_SPINDLE
from simulators.machines.kind import MachineKind
from simulators.vibration.geometry import BEARINGS, BearingGeometry
from simulators.vibration.sources import (
    GEAR_TEETH,
    VIBRATING_KINDS,
    Operation,
    draw_snapshot,
    fault_orders,
    operation_of,
)
from simulators.vibration.synthesis import (
    RATE_HZ,
    Float32Array,
    Resonance,
    add_blows,
    add_tone,
    blow_times_s,
)
from tests.naive import simulators_vibration as naive
from tests.unit.simulators.machines.test_modes import levels, wear_by

N_SAMPLES = 51_200


def envelope_peak_order(signal: Float32Array, shaft_hz: float, low: float, high: float) -> float:
    """Order of the highest peak of the envelope's spectrum between two orders."""
    band = scipy.signal.butter(4, (1500.0, 6000.0), "bandpass", fs=RATE_HZ, output="sos")
    envelope = np.abs(scipy.signal.hilbert(scipy.signal.sosfiltfilt(band, signal)))
    spectrum = np.abs(np.fft.rfft((envelope - envelope.mean()) * np.hanning(signal.size)))
    order = np.fft.rfftfreq(signal.size, 1 / RATE_HZ) / shaft_hz
    inside = (order > low) & (order < high)
    return float(order[inside][np.argmax(spectrum[inside])])


def test_fault_orders_are_those_published_for_real_bearings() -> None:
    # Case Western Reserve University, drive-end bearing: multiples of the running speed.
    bearing = BEARINGS["6205"]
    assert bearing.outer_order == pytest.approx(3.5848, abs=2e-4)
    assert bearing.inner_order == pytest.approx(5.4152, abs=2e-4)
    assert 2 * bearing.spin_order == pytest.approx(4.7135, abs=2e-3)
    assert bearing.cage_order == pytest.approx(0.39828, abs=1e-4)
    # PRONOSTIA at 1800 1/min: 168.3 Hz on the outer race.
    assert BEARINGS["pronostia"].outer_order * 30 == pytest.approx(168.3, abs=0.1)


@given(
    n=st.integers(4, 30), ball=st.floats(1.0, 20.0), gap=st.floats(1.0, 80.0),
    contact=st.floats(0.0, 40.0),
)  # fmt: skip
def test_races_share_the_balls_between_them(
    n: int, ball: float, gap: float, contact: float
) -> None:
    bearing = BearingGeometry(n, ball, ball + gap, contact)

    assert bearing.outer_order + bearing.inner_order == pytest.approx(n)
    assert bearing.outer_order == pytest.approx(n * bearing.cage_order)
    assert bearing.cage_order < 0.5


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("rpm", [900.0, 1460.0, 2900.0])
@pytest.mark.parametrize("mode", [0, 1, 2])
def test_the_envelope_peaks_at_the_planted_order(mode: int, rpm: float, seed: int) -> None:
    wear = [0.0, 0.0, 0.0]
    wear[mode] = 0.35
    operation = Operation(rpm / 60, 1.0, tuple(wear), 1.5)
    (order,) = list(fault_orders(BEARING_CONVEYOR).values())[mode : mode + 1]

    signal = draw_snapshot(BEARING_CONVEYOR, operation, np.random.default_rng(seed), N_SAMPLES)

    # Two seconds resolve half a hertz; the window and slip widen that.
    found = envelope_peak_order(signal, rpm / 60, 2.5, 6.9)
    sideband = {0: 0.0, 1: 1.0, 2: BEARINGS["6205"].cage_order}[mode]
    assert min(abs(found - order - k * sideband) for k in (-2, -1, 0, 1, 2)) < 0.06


def test_a_spindle_bearing_strikes_at_its_own_order() -> None:
    operation = Operation(8000 / 60, 1.0, (0.4, 0.0, 0.0), 1.0)

    signal = draw_snapshot(MACHINING_SPINDLE, operation, np.random.default_rng(1), N_SAMPLES)

    order = BEARINGS["pronostia"].outer_order
    assert envelope_peak_order(signal, 8000 / 60, 4.5, 7.0) == pytest.approx(order, abs=0.03)


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_kurtosis_rises_with_a_spall_and_comes_back(mode: int) -> None:
    kurtosis = []
    for wear_now in (0.0, 0.3, 1.0):
        wear = [0.0, 0.0, 0.0]
        wear[mode] = wear_now
        operation = Operation(24.3, 1.0, tuple(wear), 1.05)
        rng = np.random.default_rng(4)
        signal = draw_snapshot(BEARING_CONVEYOR, operation, rng, N_SAMPLES)
        kurtosis.append(scipy.stats.kurtosis(signal, fisher=False))

    assert kurtosis[0] == pytest.approx(3.0, abs=0.15)
    assert kurtosis[1] > 9.0
    assert 3.0 < kurtosis[2] < 0.6 * kurtosis[1]


def test_a_cracked_tooth_puts_sidebands_around_the_mesh() -> None:
    shaft_hz = 985 / 60

    def sideband_ratio(crack: float) -> float:
        operation = Operation(shaft_hz, 1.0, (crack, 0.0), 1.9)
        signal = draw_snapshot(GEARBOX, operation, np.random.default_rng(2), 4 * N_SAMPLES)
        spectrum = np.abs(np.fft.rfft(signal * np.hanning(signal.size)))
        order = np.fft.rfftfreq(signal.size, 1 / RATE_HZ) / shaft_hz
        near = [spectrum[np.abs(order - GEAR_TEETH - k) < 0.15].max() for k in (-1, 0, 1)]
        return float((near[0] + near[2]) / 2 / near[1])

    assert sideband_ratio(0.0) < 0.1
    assert sideband_ratio(0.8) > 0.25


@pytest.mark.parametrize("key", VIBRATING_KINDS)
def test_velocity_below_1000_hz_agrees_with_the_slow_signal(key: str) -> None:
    kind = KINDS[key]
    operation = first_operation(kind, wear=0.0)

    signal = draw_snapshot(kind, operation, np.random.default_rng(3), 4 * N_SAMPLES)

    spectrum = np.fft.rfft(signal)
    frequency_hz = np.fft.rfftfreq(signal.size, 1 / RATE_HZ)
    is_in = (frequency_hz >= 10) & (frequency_hz <= 1000)
    velocity = np.zeros_like(spectrum)
    velocity[is_in] = spectrum[is_in] / (2j * np.pi * frequency_hz[is_in])
    rms_mm_s = 1e3 * np.std(np.fft.irfft(velocity))
    assert 0.9 < rms_mm_s / operation.velocity_mm_s < 1.6


def first_operation(kind: MachineKind, wear: float) -> Operation:
    from simulators.conditions import Conditions

    rows = wear_by(kind, 0, 2) * wear
    conditions = Conditions(
        np.zeros(2), rows, np.ones(2), np.ones(2), np.full(2, 20.0),
        np.ones(2, dtype=np.int64), np.zeros(2, dtype=np.bool_),
    )  # fmt: skip
    operation = operation_of(kind, conditions, np.zeros(kind.n_traits))[1]
    expected = levels(kind, rows)["vibration_mm_s"][1]
    assert operation.velocity_mm_s == pytest.approx(expected)
    return operation


@given(
    times=st.lists(st.floats(-0.01, 0.03), max_size=12),
    seed=st.integers(0, 100),
    frequency=st.floats(500.0, 6000.0),
    damping=st.floats(0.02, 0.2),
)
def test_blows_ring_as_in_a_plain_loop(
    times: list[float], seed: int, frequency: float, damping: float
) -> None:
    resonance = Resonance(frequency, damping)
    sizes = np.random.default_rng(seed).uniform(0.5, 2.0, len(times))
    signal = np.zeros(600, dtype=np.float32)

    add_blows(signal, resonance, np.sort(np.array(times)), sizes)

    expected = naive.blows(600, resonance, sorted(times), sizes.tolist())
    assert signal == pytest.approx(expected, abs=2e-5)


@given(seed=st.integers(0, 100), order=st.integers(1, 30), amplitude=st.floats(0.0, 50.0))
def test_tones_turn_as_in_a_plain_loop(seed: int, order: int, amplitude: float) -> None:
    turns = np.random.default_rng(seed).random(40).astype(np.float32)
    signal = np.zeros(40, dtype=np.float32)

    add_tone(signal, turns, order, amplitude, 0.7)

    expected = naive.tone(turns.tolist(), order, amplitude, 0.7)
    assert signal == pytest.approx(expected, abs=2e-5 * (1 + amplitude))


def test_blows_come_at_their_rate_and_slip_by_as_much_as_said() -> None:
    times_s = blow_times_s(
        np.random.default_rng(1), order=3.5, shaft_hz=25.0, length_s=200.0, slip_ratio=0.02
    )
    intervals = np.diff(times_s) * 3.5 * 25.0

    assert times_s[0] < 0
    assert times_s[-1] > 200.0
    assert intervals.mean() == pytest.approx(1.0, abs=6e-4)
    assert intervals.std() == pytest.approx(0.02, rel=0.05)


def test_a_standing_machine_is_nearly_silent() -> None:
    standing = Operation(0.0, 0.0, (0.9, 0.0, 0.0), 0.05)

    signal = draw_snapshot(BEARING_CONVEYOR, standing, np.random.default_rng(1), 2560)

    assert signal.std() < 0.15


def test_the_same_chance_gives_the_same_bytes() -> None:
    operation = Operation(24.0, 0.9, (0.2, 0.1, 0.3), 2.0)

    once, again = (
        draw_snapshot(BEARING_CONVEYOR, operation, np.random.default_rng(9), 2560).tobytes()
        for _ in range(2)
    )

    assert once == again


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--kind", "hydraulic-press"], "has no vibration sensor"),
        (["--kind", "pony"], "--kind: 'pony' is not known"),
        (["--mode", "rust"], "a bearing-conveyor has no 'rust'"),
        (["--speed-rpm", "-5"], "no machine runs like that"),
        (["--wear", "1.5"], "from 0 to 1"),
        (["--samples", "0"], "--samples: 0 is below 1"),
        (["--snapshots", "0"], "--snapshots: 0 is below 1"),
        (["--seed", "-1"], "--seed: -1 is below zero"),
    ],
)
def test_impossible_vibration_is_refused(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["vibration", "--dir", str(tmp_path), *arguments]) == 2

    assert words in capsys.readouterr().err


def test_the_command_writes_snapshots_and_what_is_planted_in_them(tmp_path: Path) -> None:
    arguments = ["--mode", "inner-race-spall", "--wear", "0.4", "--snapshots", "3"]

    assert main(["vibration", "--dir", str(tmp_path), *arguments]) == 0

    record = np.load(tmp_path / "bearing-conveyor.npz")
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert record["acceleration_m_s2"].shape == (3, 25_600)
    assert record["rate_hz"] == RATE_HZ
    assert truth["fault_orders"]["inner-race-spall"] == pytest.approx(5.4152, abs=2e-4)
    assert truth["wear"] == {"outer-race-spall": 0, "inner-race-spall": 0.4, "ball-spall": 0}


def test_a_refused_bearing_says_why() -> None:
    with pytest.raises(ScenarioError, match="balls must be smaller"):
        BearingGeometry(8, 20.0, 10.0)
