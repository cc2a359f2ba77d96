"""Units that wear out in a known way, for the tests of health models."""

import functools

import numpy as np
import numpy.typing as npt

from analytics.health.model import HealthModel, HealthSettings, RunToFailure, fit_health_model

SIGNALS = ("vibration_mm_s", "temperature_c", "current_a", "stuck_bar")
STEP_H = 2.0

QUICK = HealthSettings(label_ratios=(0.4, 0.8), bandwidths=(0.01, 0.03, 0.08))
"""Few candidates, so that a fit takes a fraction of a second."""


def wearing_unit(
    unit: str, n_steps: int, rng: np.random.Generator, *, noise: float = 1.0, step_h: float = STEP_H
) -> RunToFailure:
    """One life: vibration grows as the square of age, temperature as its cube, current not."""
    share = np.arange(1, n_steps + 1) / n_steps
    sound = noise * rng.standard_normal((n_steps, 3))
    values = np.stack(
        [
            1.0 + 6.0 * share**2 + 0.1 * sound[:, 0],
            40.0 + 25.0 * share**3 + 0.8 * sound[:, 1],
            12.0 + 0.3 * sound[:, 2],
            np.full(n_steps, 5.0),
        ],
        axis=1,
    )
    return RunToFailure(unit, step_h * np.arange(n_steps, dtype=np.float64), values)


def wearing_units(
    n_units: int,
    seed: int,
    *,
    noise: float = 1.0,
    shortest: int = 80,
    longest: int = 160,
    step_h: float = STEP_H,
) -> list[RunToFailure]:
    """Lives of different lengths."""
    rng = np.random.default_rng(seed)
    lives = rng.integers(shortest, longest, endpoint=True, size=n_units)
    return [
        wearing_unit(f"unit-{i:02d}", int(life), rng, noise=noise, step_h=step_h)
        for i, life in enumerate(lives)
    ]


@functools.cache
def fitted_model(n_units: int = 12, seed: int = 1, noise: float = 1.0) -> HealthModel:
    """A model that many tests may share; models don't change."""
    histories = wearing_units(n_units, seed, noise=noise)
    return fit_health_model("press", SIGNALS, histories, step_h=STEP_H, settings=QUICK)


def as_block(histories: list[RunToFailure], n_seen: list[int]) -> npt.NDArray[np.float32]:
    """First samples of several units, so that each one's newest lies in the last row."""
    n_times = max(n_seen)
    block = np.full((n_times, len(SIGNALS), len(histories)), np.nan, np.float32)
    for machine, (history, n) in enumerate(zip(histories, n_seen, strict=True)):
        block[n_times - n :, :, machine] = history.values[:n]
    return block
