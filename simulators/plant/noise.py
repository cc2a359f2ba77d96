"""Sensor noise that is the same in whatever order, pieces or process it is asked for."""

import functools
from typing import Final

import numpy as np
import numpy.typing as npt

from simulators.chance import chance
from simulators.reading import NS_PER_S

Float32Array = npt.NDArray[np.float32]

NOISE_BLOCK: Final = 4096
"""Points of time drawn at once; long enough that making a generator costs little."""

_BLOCKS_KEPT: Final = 512
"""Live play asks for one point at a time, and each machine for its own block: as many as the
largest plant of `simulators.scenarios` has machines. Of eight signals they take 64 MiB."""


def draw_noise(seed: int, machine: str, step_s: int, block: int, n_signals: int) -> Float32Array:
    """Draw one block of noise.

    Parameters
    ----------
    seed : int
        Seed of the plant.
    machine : str
        Whose sensors.
    step_s : int
        Time between points. [s]
    block : int
        Number of the block since 1970-01-01.
    n_signals : int
        How many sensors.

    Returns
    -------
    ndarray of float32, shape (n_signals, NOISE_BLOCK)
        Standard normal.
    """
    rng = chance(seed, machine, "noise", step_s, block)
    return rng.standard_normal((n_signals, NOISE_BLOCK), dtype=np.float32)


kept_noise = functools.lru_cache(maxsize=_BLOCKS_KEPT)(draw_noise)


def noise_at(
    seed: int, machine: str, time_ns: npt.NDArray[np.int64], step_ns: int, n_signals: int
) -> Float32Array:
    """Noise at given times.

    Parameters
    ----------
    seed : int
        Seed of the plant.
    machine : str
        Whose sensors.
    time_ns : ndarray of int64, shape (n_times,)
        In any order. [ns since 1970-01-01 UTC]
    step_ns : int
        Grid that noise is drawn for; times within one step share theirs. [ns]
    n_signals : int
        How many sensors.

    Returns
    -------
    ndarray of float32, shape (n_signals, n_times)
        Standard normal.
    """
    point = time_ns // step_ns
    block = point // NOISE_BLOCK
    noise = np.empty((n_signals, time_ns.size), dtype=np.float32)
    for number in np.unique(block).tolist():
        is_here = block == number
        drawn = kept_noise(seed, machine, step_ns // NS_PER_S, number, n_signals)
        noise[:, is_here] = drawn[:, point[is_here] - number * NOISE_BLOCK]
    return noise
