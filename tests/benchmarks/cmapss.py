"""Remaining useful life of NASA's turbofan engines, against figures that others published.

The model is fitted on the training set alone; label, bandwidth and calibration come from
engine-wise cross-validation inside it. Then each test engine is judged once, at its last cycle.
Capped figures clip truth and estimate at 125 cycles. One cycle is counted as one hour.
"""

import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from analytics.arrays import Float32Array, FloatArray
from analytics.health.indicator import health_indicator
from analytics.health.model import (
    DEFAULT_SETTINGS,
    HealthModel,
    HealthSettings,
    RunToFailure,
    fit_health_model,
)
from analytics.health.rul import estimate_rul
from analytics.scoring.rul_errors import RulScores, rmse_h, score_rul
from simulators.replay.cmapss import SIGNALS
from tests.benchmarks.common import report

SUBSETS: Final = ("FD001", "FD002", "FD003", "FD004")
OPERATING_SETTINGS: Final = SIGNALS[:3]
LATE_START_CYCLES: Final = 50

PUBLISHED: Final = {
    # Ramasso 2014, the nearest in kind: similarity of health trajectories.
    "FD001_rulclipper_rmse": 13.27,
    "FD001_rulclipper_phm08": 216.0,
    "FD003_rulclipper_rmse": 16.00,
    "FD003_rulclipper_phm08": 317.0,
    # Li et al. 2018, the deep convolutional network that most papers compare with.
    "FD001_dcnn_rmse": 12.61,
    "FD001_dcnn_phm08": 274.0,
    "FD003_dcnn_rmse": 12.64,
    "FD003_dcnn_phm08": 284.0,
}
"""Capped root mean square errors and PHM08 scores, as published."""


def run(data: Path) -> dict[str, Any]:
    """Fit and judge every subset whose test set is there."""
    folder = data / "cmapss"
    subsets = [name for name in SUBSETS if (folder / f"RUL_{name}.txt").exists()]
    if not subsets:
        raise FileNotFoundError(2, "no test set", str(folder / "RUL_FD001.txt"))
    figures: dict[str, float] = {}
    ratios: dict[str, float] = {}
    print(
        f"{'':6} {'engines':>7} {'RMSE':>6} {'raw':>6} {'PHM08':>6} {'raw':>7} {'80 % holds':>10} "
        f"{'width':>6} {'last 50':>7} {'age only':>8} {'fit':>6}"
    )
    for subset in subsets:
        for name, value in _judge(folder, subset).items():
            figures[f"{subset}_{name}"] = round(value, 4)
        ratios[f"{subset}_rmse_to_age_only"] = round(
            figures[f"{subset}_rmse"] / figures[f"{subset}_age_only_rmse"], 4
        )
    print("RMSE and PHM08: truth and estimate clipped at 125 cycles, then raw. last 50: RMSE when")
    print("only the last 50 cycles are known. age only: typical life less age. fit: CPU seconds.")
    return report("cmapss", figures, against=PUBLISHED, ratios=ratios)


def _judge(folder: Path, subset: str) -> dict[str, float]:
    engines = _read(folder / f"train_{subset}.txt")
    started = time.process_time()
    model = _fit(subset, engines)
    fit_cpu_s = time.process_time() - started
    tested = _read(folder / f"test_{subset}.txt")
    true_life = np.loadtxt(folder / f"RUL_{subset}.txt")
    started = time.process_time()
    scores = _score(model, _block(tested), true_life)
    estimate_cpu_s = time.process_time() - started
    late = _score(model, _block(tested)[-LATE_START_CYCLES:], true_life)
    age_only = rmse_h(true_life, _life_by_age(engines, tested), cap_h=scores.cap_h)
    card = model.card
    print(
        f"{subset:6} {scores.n:7} {scores.rmse_capped_h:6.2f} {scores.rmse_raw_h:6.2f} "
        f"{scores.phm08_capped:6.0f} {scores.phm08_raw:7.0f} {scores.coverage_ratio:10.0%} "
        f"{scores.mean_width_h:6.1f} {late.rmse_capped_h:7.2f} {age_only:8.2f} {fit_cpu_s:5.1f}s"
    )
    return {
        "n_engines": scores.n,
        "rmse": scores.rmse_capped_h,
        "rmse_raw": scores.rmse_raw_h,
        "phm08": scores.phm08_capped,
        "phm08_raw": scores.phm08_raw,
        "coverage_80": scores.coverage_ratio,
        "mean_width_80": scores.mean_width_h,
        "late_start_rmse": late.rmse_capped_h,
        "late_start_coverage_80": late.coverage_ratio,
        "age_only_rmse": age_only,
        "cv_rmse_raw": card["rmse_h"],
        "cv_coverage_80": card["coverage_ratio"],
        "fit_cpu_s": fit_cpu_s,
        "estimate_cpu_s": estimate_cpu_s,
    }


def _fit(subset: str, engines: list[FloatArray]) -> HealthModel:
    # FD002 and FD004 fly in six regimes; in the others the settings hardly move.
    is_multi_regime = subset in {"FD002", "FD004"}
    settings = (
        HealthSettings(regime_signals=OPERATING_SETTINGS) if is_multi_regime else DEFAULT_SETTINGS
    )
    skipped = 0 if is_multi_regime else len(OPERATING_SETTINGS)
    histories = [
        RunToFailure(f"engine-{int(engine[0, 0]):03d}", engine[:, 1], engine[:, 2 + skipped :])
        for engine in engines
    ]
    kind = f"turbofan-{subset.lower()}"
    return fit_health_model(kind, SIGNALS[skipped:], histories, step_h=1.0, settings=settings)


def _score(model: HealthModel, block: Float32Array, true_life: FloatArray) -> RulScores:
    values = block[:, len(SIGNALS) - len(model.signals) :]
    estimate = estimate_rul(model, health_indicator(model, values))
    return score_rul(true_life, estimate.median_h, estimate.lower_h, estimate.upper_h)


def _life_by_age(engines: list[FloatArray], tested: list[FloatArray]) -> FloatArray:
    """Median life that was left to training engines of the same age."""
    lives = np.array([len(engine) for engine in engines])
    ages = [len(engine) for engine in tested]
    return np.array([np.median(lives[lives > age] - age) for age in ages])


def _read(path: Path) -> list[FloatArray]:
    """Rows of each engine: unit, cycle, three settings, 21 sensors."""
    if not path.exists():
        raise FileNotFoundError(2, "no such file", str(path))
    rows = np.loadtxt(path)
    return [rows[rows[:, 0] == unit] for unit in np.unique(rows[:, 0])]


def _block(engines: list[FloatArray]) -> Float32Array:
    """All engines side by side, each one's last cycle in the last row."""
    n_times = max(len(engine) for engine in engines)
    block = np.full((n_times, len(SIGNALS), len(engines)), np.nan, np.float32)
    for column, engine in enumerate(engines):
        block[n_times - len(engine) :, :, column] = engine[:, 2:]
    return block
