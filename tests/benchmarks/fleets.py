"""Healthy fleets to measure the speed of the detector on, with every chart switched on."""

from dataclasses import dataclass

import numpy as np

from analytics.arrays import Float32Array
from analytics.signals.baseline import Baseline, robust_baseline
from analytics.signals.calibration import healthy_projection, measured_limits
from analytics.signals.detector import AnomalyDetector, DetectorSettings
from analytics.signals.limits import DetectorLimits
from analytics.signals.projection import Projection

N_MACHINES = 1000
N_SIGNALS = 8
N_COMMON = 3
MISSING_RATIO = 0.02
_N_CALIBRATION = 40


@dataclass(frozen=True, slots=True)
class Fleet:
    """A block of samples, and all that the detector needs for it."""

    block: Float32Array
    baseline: Baseline
    settings: DetectorSettings
    limits: DetectorLimits
    projection: Projection

    def detector(self) -> AnomalyDetector:
        """A fresh one with every chart switched on."""
        return AnomalyDetector(
            self.baseline, self.settings, limits=self.limits, projection=self.projection
        )


def healthy_block(rng: np.random.Generator, n_times: int, n_machines: int) -> Float32Array:
    """Eight signals that follow three common causes, with 2 % of the samples missing."""
    cause = rng.standard_normal((n_times, N_COMMON, n_machines), np.float32)
    mixing = rng.standard_normal((N_SIGNALS, N_COMMON)).astype(np.float32)
    block: Float32Array = np.einsum("sc,tcm->tsm", mixing, cause)
    block += 0.5 * rng.standard_normal(block.shape, np.float32)
    block[rng.random(block.shape, np.float32) < MISSING_RATIO] = np.nan
    return block


def fleet(n_times: int, *, n_machines: int = N_MACHINES, seed: int = 1) -> Fleet:
    """Make a fleet; limits are measured on a few of its machines and hold for all."""
    block = healthy_block(np.random.default_rng(seed), n_times, n_machines)
    settings = DetectorSettings()
    baseline = robust_baseline(block[:240])
    few = slice(0, _N_CALIBRATION)
    some = robust_baseline(block[:240, :, few])
    projection = healthy_projection(block[:240, :, few], some, explained_ratio=0.85)
    measured = measured_limits(block[:240, :, few], some, settings, projection=projection)
    shape = baseline.centre.shape
    limits = DetectorLimits(
        *(
            np.broadcast_to(getattr(measured, name)[:, :1], shape).copy()
            for name in ("z", "ewma", "cusum", "drift")
        ),
        *(np.full(n_machines, getattr(measured, name)[0]) for name in ("t2", "spe")),
    )
    return Fleet(block, baseline, settings, limits, projection)
