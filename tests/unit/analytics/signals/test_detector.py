import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.arrays import DomainError, Float32Array, ShapeError
from analytics.signals.baseline import Baseline, robust_baseline
from analytics.signals.detector import AnomalyDetector, DetectorSettings, score_block
from tests.naive import signals as naive

N_BASELINE = 60


def _block(seed: int, n_times: int = 120) -> Float32Array:
    """Three signals of four machines; the second machine goes wrong half way."""
    rng = np.random.default_rng(seed)
    block = rng.normal(5.0, 1.0, size=(n_times, 3, 4))
    block[n_times // 2 :, 1, 1] += np.linspace(0.0, 6.0, n_times - n_times // 2)
    block[rng.random(block.shape) < 0.2] = np.nan
    block[rng.random(block.shape) < 0.02] = np.inf
    block[:, 2, 2] = np.nan
    block[:, :, 3] = np.nan
    return block.astype(np.float32)


def _usual(block: Float32Array) -> Baseline:
    return robust_baseline(block[:N_BASELINE], min_samples=10)


@given(seed=st.integers(0, 10_000), split=st.integers(0, 120))
def test_batch_and_stream_agree_bit_for_bit_across_a_snapshot(seed: int, split: int) -> None:
    block = _block(seed)
    baseline, how = _usual(block), DetectorSettings()
    batch = score_block(block, baseline, how)

    first = AnomalyDetector(baseline, how)
    ticks = [first.tick(x) for x in block[:split]]
    second = AnomalyDetector(baseline, how)
    second.restore(first.snapshot())
    # The first one going on must not disturb what was handed over.
    first.tick(np.full_like(block[0], 99.0))
    ticks += [second.tick(x) for x in block[split:]]

    for name in ("score", "z", "is_alarm"):
        stream = np.stack([getattr(tick, name) for tick in ticks])
        assert stream.tobytes() == getattr(batch, name).tobytes(), name


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_the_fleet_is_scored_as_each_machine_by_itself(seed: int) -> None:
    block = _block(seed)
    baseline, how = _usual(block), DetectorSettings()

    fleet = score_block(block, baseline, how)

    for machine in range(block.shape[2]):
        alone = naive.MachineDetector(baseline, machine, how)
        for t, x in enumerate(block[:, :, machine].tolist()):
            score, z, is_alarm = alone.tick(x)
            np.testing.assert_allclose(fleet.score[t, machine], score, atol=2e-5)
            np.testing.assert_allclose(fleet.z[t, :, machine], z, atol=2e-4)
            assert fleet.is_alarm[t, machine] == is_alarm


@given(seed=st.integers(0, 10_000))
def test_machines_in_any_order_have_the_same_bits(seed: int) -> None:
    block = _block(seed)
    order = np.random.default_rng(seed).permutation(4)

    fleet = score_block(block, _usual(block), DetectorSettings())
    moved = block[:, :, order].copy()
    shuffled = score_block(moved, _usual(moved), DetectorSettings())

    assert shuffled.score.tobytes() == fleet.score[:, order].tobytes()
    assert shuffled.is_alarm.tobytes() == fleet.is_alarm[:, order].tobytes()


@given(
    seed=st.integers(0, 10_000),
    shift=st.floats(-10.0, 10.0),
    factor=st.sampled_from([-4.0, 0.3, 1.0, 25.0]),
)
def test_units_of_measurement_do_not_matter(seed: int, shift: float, factor: float) -> None:
    block = _block(seed)
    other_unit = (block * np.float32(factor) + np.float32(shift)).astype(np.float32)

    score = score_block(block, _usual(block), DetectorSettings()).score
    other_score = score_block(other_unit, _usual(other_unit), DetectorSettings()).score

    np.testing.assert_allclose(other_score, score, atol=2e-3)


def test_a_slow_rise_raises_one_alarm_and_the_quiet_machines_none() -> None:
    block = _block(11)

    scores = score_block(block, _usual(block), DetectorSettings())

    n_raised = (np.diff(scores.is_alarm.astype(int), axis=0) == 1).sum(axis=0)
    assert n_raised.tolist() == [0, 1, 0, 0]
    assert np.nanargmax(np.abs(scores.z[-1, :, 1])) == 1


def test_a_machine_that_never_sent_a_sample_is_not_called_healthy() -> None:
    block = _block(2)

    scores = score_block(block, _usual(block), DetectorSettings())

    assert np.isnan(scores.score[:, 3]).all()
    assert not scores.is_alarm[:, 3].any()
    assert np.isfinite(scores.score[-1, :3]).all()


def test_healthy_machines_pass_the_limit_about_as_rarely_as_promised() -> None:
    rng = np.random.default_rng(3)
    block = rng.normal(size=(600, 4, 300)).astype(np.float32)
    how = DetectorSettings(false_alarm_ratio=1e-3)

    scores = score_block(block, robust_baseline(block[:200]), how)

    assert 0.0003 < (scores.score[200:] >= 0.5).mean() < 0.003


def test_healthy_machines_with_memory_raise_no_flood() -> None:
    rng = np.random.default_rng(4)
    noise = rng.normal(size=(800, 2, 200))
    for t in range(1, 800):
        noise[t] += 0.8 * noise[t - 1]
    block = noise.astype(np.float32)

    scores = score_block(block, robust_baseline(block[:240]), DetectorSettings())

    # Without regard for memory every second machine would be in alarm at some time.
    assert (scores.is_alarm[240:].any(axis=0)).mean() < 0.1


def _tiny() -> AnomalyDetector:
    usual = Baseline(centre=np.array([[0.0]]), scale=np.array([[1.0]]))
    return AnomalyDetector(usual, DetectorSettings())


def _sample(x: float) -> Float32Array:
    return np.array([[x]], dtype=np.float32)


def test_one_wild_sample_raises_no_alarm() -> None:
    detector = _tiny()

    alarms = [detector.tick(_sample(x)).is_alarm[0] for x in (0.0, 1e30, *([0.0] * 10))]

    assert not any(alarms)


def test_an_alarm_does_not_flicker_between_the_two_limits() -> None:
    detector = _tiny()
    for _ in range(30):
        detector.tick(_sample(3.0))
    below_half = 0.95 * float(detector.limit[0]) / 3.0  # z of a steady 1.0 is 3

    alarms = [detector.tick(_sample(below_half)) for _ in range(40)]

    assert alarms[-1].score[0] < 0.5
    assert all(tick.is_alarm[0] for tick in alarms)
    assert not [detector.tick(_sample(0.0)) for _ in range(40)][-1].is_alarm[0]


def test_silence_leaves_an_alarm_standing() -> None:
    detector = _tiny()
    for _ in range(30):
        detector.tick(_sample(3.0))

    silent = [detector.tick(_sample(np.nan)) for _ in range(100)]

    assert all(tick.is_alarm[0] and tick.score[0] > 0.5 for tick in silent)


def test_a_repaired_machine_starts_afresh() -> None:
    detector = _tiny()
    for _ in range(30):
        detector.tick(_sample(3.0))

    detector.reset(np.array([True]))

    tick = detector.tick(_sample(0.0))
    assert tick.score[0] == 0.0
    assert not tick.is_alarm[0]


def test_answers_of_one_tick_outlive_the_next() -> None:
    detector = _tiny()
    first = detector.tick(_sample(1.0))
    before = first.score.copy()

    detector.tick(_sample(5.0))

    assert first.score == before


def test_a_sample_of_another_fleet_is_refused() -> None:
    with pytest.raises(ShapeError, match="one sample per signal and machine"):
        _tiny().tick(np.zeros((2, 2), np.float32))
    with pytest.raises(ShapeError, match="baseline"):
        score_block(np.zeros((3, 2, 2), np.float32), _usual(_block(1)), DetectorSettings())


def test_a_snapshot_of_another_fleet_is_refused() -> None:
    other = AnomalyDetector(_usual(_block(1)), DetectorSettings())

    with pytest.raises(ShapeError, match="same machines"):
        _tiny().restore(other.snapshot())


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("alpha", 0.0),
        ("z_clip", -1.0),
        ("false_alarm_ratio", 1.0),
        ("alarm_k", 3),
        ("alarm_n", 40),
        ("clear_score", 0.6),
    ],
)
def test_settings_out_of_range_are_refused_by_name(setting: str, value: float) -> None:
    with pytest.raises(DomainError, match=setting):
        DetectorSettings(**{setting: value})  # type: ignore[arg-type]  # a wrong value on purpose
