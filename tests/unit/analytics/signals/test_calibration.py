import numpy as np
import pytest

from analytics.arrays import Float32Array, NotEnoughDataError
from analytics.signals.baseline import Baseline, robust_baseline
from analytics.signals.calibration import healthy_projection, measured_limits
from analytics.signals.detector import AnomalyDetector, DetectorSettings, score_block
from analytics.signals.limits import DetectorLimits


def _fleet(seed: int, n_times: int = 1000, n_machines: int = 60) -> Float32Array:
    """Signals that share a cause and remember the last step, each machine at its own level."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n_times, 4, n_machines))
    noise += 0.8 * rng.normal(size=(n_times, 1, n_machines))
    for t in range(1, n_times):
        noise[t] += 0.6 * noise[t - 1]
    level = np.array([20.0, 3.0, 500.0, -7.0])[:, np.newaxis]
    block: Float32Array = (level + 0.05 * np.abs(level) * noise).astype(np.float32)
    return block


def test_new_healthy_machines_pass_measured_limits_about_as_rarely_as_promised() -> None:
    how = DetectorSettings(false_alarm_ratio=2e-3)
    healthy, other = _fleet(1), _fleet(2)
    usual, present = robust_baseline(healthy[:400]), robust_baseline(other[:400])
    plane = healthy_projection(healthy[:400], usual)

    limits = measured_limits(healthy[400:], usual, how, projection=plane)
    scores = score_block(other[400:], present, how, limits=limits, projection=plane)

    # Six charts share the allowance; those that rise together use less of it.
    assert 2e-4 < (scores.score[50:] >= 0.5).mean() < 4e-3


@pytest.mark.parametrize("chart", ["z", "ewma", "cusum", "drift", "t2", "spe"])
def test_each_chart_by_itself_finds_what_it_is_for(chart: str) -> None:
    how = DetectorSettings()
    healthy, other = _fleet(1), _fleet(2)
    usual, present = robust_baseline(healthy), robust_baseline(other[:500])
    plane = healthy_projection(healthy, usual, explained_ratio=0.7)
    all_limits = measured_limits(healthy, usual, how, projection=plane)
    alone = DetectorLimits(**{
        name: getattr(all_limits, name) * (1.0 if name == chart else np.inf)
        for name in ("z", "ewma", "cusum", "drift", "t2", "spe")
    })
    other[600:, 0, 7] += 8.0 * present.scale[0, 7].astype(np.float32)

    scores = score_block(other, present, how, limits=alone, projection=plane)

    assert scores.score[600:, 7].max() > 0.5
    assert (scores.score[:600] >= 0.5).mean() < 1e-3


def test_statistics_are_nan_where_nothing_was_measured() -> None:
    usual = Baseline(np.zeros((2, 3)), np.ones((2, 3)))
    x = np.array([[1.0, np.nan, np.nan], [1.0, 1.0, np.nan]], np.float32)

    found = AnomalyDetector(usual, DetectorSettings()).statistics(x)

    assert np.isnan(found.z).tolist() == np.isnan(x).tolist()
    assert np.isnan(found.t2).tolist() == [False, False, True]


def test_too_short_a_history_is_refused_with_numbers() -> None:
    healthy = _fleet(1, n_times=60, n_machines=2)

    with pytest.raises(NotEnoughDataError, match="56 of 200 samples of signal 0"):
        measured_limits(healthy, robust_baseline(healthy), DetectorSettings())


def test_a_signal_without_a_baseline_has_no_limit() -> None:
    healthy = _fleet(3)
    healthy[:, 2, 5] = np.nan
    usual = robust_baseline(healthy)

    limits = measured_limits(healthy, usual, DetectorSettings())

    assert np.isnan(limits.ewma[2, 5])
    assert np.isfinite(np.delete(limits.ewma[2], 5)).all()
    assert np.isinf(limits.t2).all()
