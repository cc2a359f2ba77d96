import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.arrays import DomainError, Float32Array, ShapeError
from analytics.signals.baseline import Baseline, robust_baseline
from analytics.signals.detector import (
    AnomalyDetector,
    AnomalyScores,
    DetectorSettings,
    ResetReason,
    score_block,
)
from analytics.signals.detector_state import RESET_REASONS
from analytics.signals.limits import DetectorLimits, theory_limits
from analytics.signals.projection import Projection
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


def _all_charts(baseline: Baseline) -> tuple[DetectorLimits, Projection]:
    """Limits on every chart, and a plane of two directions among three signals."""
    shape = baseline.centre.shape
    z, ewma, cusum, drift = (
        np.where(np.isfinite(baseline.centre), high, np.nan) for high in (4.5, 1.8, 9.0, 14.0)
    )
    limits = DetectorLimits(
        z=z,
        ewma=ewma,
        cusum=cusum,
        drift=drift,
        t2=np.full(shape[1], 20.0),
        spe=np.full(shape[1], 15.0),
    )
    third = 1.0 / np.sqrt(3.0)
    loadings = np.array([[third, third, third], [np.sqrt(0.5), -np.sqrt(0.5), 0.0]])
    return limits, Projection(loadings, np.array([1.5, 0.8]))


def _score_all(block: Float32Array) -> AnomalyScores:
    baseline = _usual(block)
    limits, plane = _all_charts(baseline)
    return score_block(block, baseline, DetectorSettings(), limits=limits, projection=plane)


@given(seed=st.integers(0, 10_000), split=st.integers(0, 120), has_all=st.booleans())
def test_batch_and_stream_agree_bit_for_bit_across_a_snapshot(
    seed: int, split: int, has_all: bool
) -> None:
    block = _block(seed)
    baseline, how = _usual(block), DetectorSettings()
    limits, plane = _all_charts(baseline) if has_all else (None, None)
    batch = score_block(block, baseline, how, limits=limits, projection=plane)

    first = AnomalyDetector(baseline, how, limits=limits, projection=plane)
    ticks = [first.tick(x) for x in block[:split]]
    second = AnomalyDetector(baseline, how, limits=limits, projection=plane)
    second.restore(first.snapshot())
    # The first one going on must not disturb what was handed over.
    first.tick(np.full_like(block[0], 99.0))
    ticks += [second.tick(x) for x in block[split:]]

    for name in ("score", "z", "signal_ratio", "is_alarm"):
        stream = np.stack([getattr(tick, name) for tick in ticks])
        assert stream.tobytes() == getattr(batch, name).tobytes(), name


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), has_all=st.booleans())
def test_the_fleet_is_scored_as_each_machine_by_itself(seed: int, has_all: bool) -> None:
    block = _block(seed)
    baseline, how = _usual(block), DetectorSettings()
    limits, plane = _all_charts(baseline) if has_all else (None, None)

    fleet = score_block(block, baseline, how, limits=limits, projection=plane)

    for machine in range(block.shape[2]):
        alone = naive.MachineDetector(baseline, machine, how, limits=limits, projection=plane)
        for t, x in enumerate(block[:, :, machine].tolist()):
            score, z, is_alarm = alone.tick(x)
            np.testing.assert_allclose(fleet.score[t, machine], score, atol=5e-5)
            np.testing.assert_allclose(fleet.z[t, :, machine], z, atol=2e-4)
            assert fleet.is_alarm[t, machine] == is_alarm


@given(seed=st.integers(0, 10_000))
def test_machines_in_any_order_have_the_same_bits(seed: int) -> None:
    block = _block(seed)
    order = np.random.default_rng(seed).permutation(4)

    fleet, shuffled = _score_all(block), _score_all(block[:, :, order].copy())

    assert shuffled.score.tobytes() == fleet.score[:, order].tobytes()
    assert shuffled.signal_ratio.tobytes() == fleet.signal_ratio[:, :, order].tobytes()
    assert shuffled.is_alarm.tobytes() == fleet.is_alarm[:, order].tobytes()


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 99))
def test_a_fleet_cut_into_blocks_has_the_same_bits(seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    block = rng.normal(size=(40, 3, 100)).astype(np.float32)
    block[rng.random(block.shape) < 0.05] = np.nan

    whole = _score_all(block)
    parts = [_score_all(part.copy()) for part in (block[:, :, :cut], block[:, :, cut:])]

    for name in ("score", "z", "signal_ratio", "is_alarm"):
        joined = np.concatenate([getattr(part, name) for part in parts], axis=-1)
        assert joined.tobytes() == getattr(whole, name).tobytes(), name


def test_machines_that_join_leave_the_others_as_they_were() -> None:
    block = _block(5)
    usual, how = _usual(block), DetectorSettings()
    few = Baseline(usual.centre[:, :2], usual.scale[:, :2], usual.n_samples[:, :2])  # type: ignore[index]
    late = Baseline(usual.centre[:, 2:], usual.scale[:, 2:], usual.n_samples[:, 2:])  # type: ignore[index]
    both = Baseline(usual.centre, usual.scale, usual.n_samples)
    first = AnomalyDetector(few, how)
    for x in block[:70, :, :2]:
        first.tick(x)

    joined = AnomalyDetector(both, how)
    joined.restore(first.snapshot().joined(AnomalyDetector(late, how).snapshot()))

    for x in block[70:]:
        whole, alone = joined.tick(x), first.tick(x[:, :2])
        assert whole.score[:2].tobytes() == alone.score.tobytes()


def test_a_new_signal_midway_is_refused_with_advice() -> None:
    other = AnomalyDetector(_usual(_block(1)), DetectorSettings())

    with pytest.raises(ShapeError, match="a new signal needs a new baseline"):
        _tiny().snapshot().joined(other.snapshot())


@given(n_steps=st.integers(1, 12))
def test_a_gap_of_steps_forgets_as_much_as_as_many_ticks(n_steps: int) -> None:
    by_tick, at_once = _tiny(), _tiny()
    by_tick.tick(_sample(4.0))
    at_once.tick(_sample(4.0))

    last = [by_tick.tick(_sample(1.0)) for _ in range(n_steps)][-1]
    jumped = at_once.tick(_sample(1.0), n_steps=n_steps)

    np.testing.assert_allclose(jumped.z, last.z, rtol=1e-5)


@pytest.mark.parametrize("n_steps", [0.0, -1.0, np.nan, np.inf])
def test_time_that_stands_still_or_runs_back_is_refused(n_steps: float) -> None:
    with pytest.raises(DomainError, match="time must move on"):
        _tiny().tick(_sample(1.0), n_steps=n_steps)


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


UNIT = Baseline(centre=np.array([[0.0]]), scale=np.array([[1.0]]))


def _tiny() -> AnomalyDetector:
    return AnomalyDetector(UNIT, DetectorSettings())


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
    limit = theory_limits(UNIT, DetectorSettings()).ewma.item()
    below_half = 0.95 * limit  # a steady deviation is its own average

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

    detector.reset(np.array([True]), ResetReason.SENSOR_REPLACED)

    tick = detector.tick(_sample(0.0))
    assert tick.score[0] == 0.0
    assert not tick.is_alarm[0]
    assert RESET_REASONS[detector.snapshot().reset_reason[0]] is ResetReason.SENSOR_REPLACED


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
