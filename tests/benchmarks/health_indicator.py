"""Health of six bearings run to failure (PHM 2012), from deviations alone, and how good it is.

The first tenth of each bearing's life is taken to be healthy; nothing is learned from how it ends.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np

from analytics.arrays import FloatArray
from analytics.health.component_health import component_health, indicator_quality
from analytics.signals.baseline import robust_baseline
from analytics.signals.rolling import ewma
from tests.benchmarks.common import report

HEALTHY_RATIO: Final = 0.1
ALPHA: Final = 0.1


def run(data: Path) -> dict[str, Any]:
    """Follow every bearing to its end."""
    path = data / "femto" / "femto_features.npz"
    if not path.exists():
        raise FileNotFoundError(2, "not there", str(path))
    features = np.load(path)
    names = sorted(name for name in features.files if not name.endswith("_idx"))
    lives = [_health(features[name].astype(np.float64)) for name in names]
    quality = indicator_quality(lives)
    figures = {
        "n_bearings": float(len(names)),
        "monotonicity": round(quality.monotonicity, 3),
        "trendability": round(quality.trendability, 3),
        "prognosability": round(quality.prognosability, 3),
        "median_last_health_pct": round(float(np.median([life[-1] for life in lives])), 1),
    }
    for name, life in zip(names, lives, strict=True):
        halfway = life[life.size // 2]
        print(f"  {name}: {halfway:5.1f} % halfway, {life[-1]:5.1f} % at failure")
    for name, value in figures.items():
        print(f"  {name:28} {value:8.3f}")
    return report("health_indicator", figures)


def _health(features: FloatArray) -> FloatArray:
    x = np.log(np.abs(features) + 1e-12)[:, :, np.newaxis]
    usual = robust_baseline(x[: max(int(HEALTHY_RATIO * x.shape[0]), 24)])
    z = ewma((x - usual.centre) / usual.scale, ALPHA, warm_start=True)
    everything = tuple(range(x.shape[1]))
    return component_health(z, {"bearing": everything}).machine_pct[:, 0]
