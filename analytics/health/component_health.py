"""Health of a machine and its components without run-to-failure histories, and how good it is.

Where histories exist, `analytics.health.model` fuses signals into damage that means something in
hours. Without them deviations still tell how far each component is from healthy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.arrays import BoolArray, DomainError, FloatArray, NotEnoughDataError, ShapeError

HEALTHY_Z: Final = 2.0
"""Smoothed deviation up to which a component counts as wholly healthy."""

WORN_Z: Final = 20.0
"""Smoothed deviation at which it counts as worn out, unless told."""

_N_RESAMPLED: Final = 100


@dataclass(frozen=True, slots=True, eq=False)
class ComponentHealth:
    """Health along time.

    Parameters
    ----------
    components : tuple of str
        Names.
    health_pct : ndarray of shape (n_times, n_components, n_machines)
        100 as new, 0 worn out; never rises but at a reset. ``nan`` before anything is known. [%]
    machine_pct : ndarray of shape (n_times, n_machines)
        That of the worst component. [%]
    """

    components: tuple[str, ...]
    health_pct: FloatArray
    machine_pct: FloatArray


def component_health(
    smoothed_z: FloatArray,
    components: Mapping[str, tuple[int, ...]],
    *,
    worn_z: float = WORN_Z,
    is_reset: BoolArray | None = None,
) -> ComponentHealth:
    """Fuse deviations into health that only falls.

    A component's damage is the root mean square of its signals' deviations, from 0 at `HEALTHY_Z`
    to 1 at `worn_z` on a logarithmic scale. What has been reached in three samples running is
    kept: wear does not heal, and one or two wild samples are not wear.

    Parameters
    ----------
    smoothed_z : ndarray of shape (n_times, n_signals, n_machines)
        Deviations in healthy spreads, smoothed; missing ones leave damage where it is.
    components : mapping of str to tuple of int
        Places of the signals that tell of each component; a signal may tell of several.
    worn_z : float
        Deviation at which a component is worn out, above `HEALTHY_Z`.
    is_reset : ndarray of bool, shape (n_times, n_machines), optional
        Where a machine came back from a repair and is as new.

    Returns
    -------
    ComponentHealth
        Of every component and machine.

    Raises
    ------
    ShapeError
        If a component names a signal that is not there, or resets do not fit.
    DomainError
        If `worn_z` is not above `HEALTHY_Z`.

    Examples
    --------
    >>> z = np.array([0.0, 5.0, 5.0, 5.0, 1.0, 40.0]).reshape(6, 1, 1)
    >>> component_health(z, {"bearing": (0,)}).machine_pct[:, 0].round()
    array([100., 100., 100.,  60.,  60.,  60.])
    """
    n_times, n_signals, n_machines = smoothed_z.shape
    wrong = [name for name, own in components.items() if not own or not _fits(own, n_signals)]
    if wrong or (is_reset is not None and is_reset.shape != (n_times, n_machines)):
        msg = (
            f"component_health: components {wrong} name no signal of {n_signals}, or is_reset does "
            f"not have the shape {(n_times, n_machines)}"
        )
        raise ShapeError(msg)
    if not worn_z > HEALTHY_Z:
        msg = f"component_health: worn_z is {worn_z}; give a deviation above {HEALTHY_Z}"
        raise DomainError(msg)
    size = np.stack([_root_mean_square(smoothed_z[:, own]) for own in components.values()], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        bare = np.log(size / HEALTHY_Z) / np.log(worn_z / HEALTHY_Z)
    bare = np.where(np.isnan(size), np.nan, np.clip(bare, 0.0, 1.0))
    reset = np.zeros((n_times, n_machines), np.bool_) if is_reset is None else is_reset
    health = 100.0 * (1.0 - _only_rising(bare, reset))
    worst = np.fmin.reduce(health, axis=1)
    return ComponentHealth(tuple(components), health, worst)


def _fits(own: tuple[int, ...], n_signals: int) -> bool:
    return all(0 <= place < n_signals for place in own)


def _root_mean_square(z: FloatArray) -> FloatArray:
    known = np.isfinite(z)
    count = known.sum(axis=1)
    total = (np.where(known, z, 0.0) ** 2).sum(axis=1)
    out = np.full(count.shape, np.nan)
    np.divide(total, count, out=out, where=count > 0)
    return np.asarray(np.sqrt(out))


def _only_rising(bare: FloatArray, reset: BoolArray) -> FloatArray:
    """Largest damage reached in three known samples running since the last reset."""
    out = np.empty_like(bare)
    kept = np.full(bare.shape[1:], np.nan)
    last = np.full((2, *bare.shape[1:]), 0.0)
    for t, now in enumerate(bare):
        renewed = np.broadcast_to(reset[t], kept.shape)
        kept = np.where(renewed, np.nan, kept)
        last = np.where(renewed, 0.0, last)
        known = np.isfinite(now)
        lasting = np.minimum(now, last.min(axis=0))
        kept = np.where(known, np.fmax(kept, lasting), kept)
        last = np.where(known, np.stack([last[1], now]), last)
        out[t] = kept
    return out


@dataclass(frozen=True, slots=True)
class IndicatorQuality:
    """How good an indicator is for prognosis [1]_; each from 0 to 1, higher is better.

    Parameters
    ----------
    monotonicity : float
        Share of steps in the main direction less those against it, mean over units.
    trendability : float
        Smallest correlation between two units over the part of life lived.
    prognosability : float
        1 where all units end at one value, less the more they scatter against their range.

    References
    ----------
    .. [1] J. Coble and J. W. Hines, "Identifying optimal prognostic parameters from data: a genetic
       algorithms approach", PHM Society 2009.
    """

    monotonicity: float
    trendability: float
    prognosability: float


def indicator_quality(lives: list[FloatArray]) -> IndicatorQuality:
    """Measure an indicator on units that were watched until they failed.

    Parameters
    ----------
    lives : list of ndarray of shape (n_times,)
        The indicator of each unit from new to failure; missing samples are left out.

    Returns
    -------
    IndicatorQuality
        Steps without a change count for neither direction.

    Raises
    ------
    NotEnoughDataError
        If there are fewer than two units with two samples.

    Examples
    --------
    >>> indicator_quality([np.linspace(100, 0, 50), np.linspace(100, 0, 80)])
    IndicatorQuality(monotonicity=1.0, trendability=1.0, prognosability=1.0)
    """
    known = [life[np.isfinite(life)] for life in lives]
    known = [life for life in known if life.size >= 2]
    if len(known) < 2:
        msg = (
            f"indicator_quality: not enough data: {len(known)} of 2 units with two samples or more"
        )
        raise NotEnoughDataError(msg)
    steps = [np.sign(np.diff(life)) for life in known]
    one_way = [abs(float(step.sum())) / max(int((step != 0).sum()), 1) for step in steps]
    ends = np.array([life[-1] for life in known])
    span = np.mean([abs(float(life[-1] - life[0])) for life in known])
    scatter = float(np.std(ends))
    return IndicatorQuality(
        monotonicity=float(np.mean(one_way)),
        trendability=_trendability(known),
        prognosability=float(np.exp(-scatter / span)) if span > 0 else 0.0,
    )


def _trendability(known: list[FloatArray]) -> float:
    part = np.linspace(0.0, 1.0, _N_RESAMPLED)
    even = [np.interp(part, np.linspace(0.0, 1.0, life.size), life) for life in known]
    off = [life - life.mean() for life in even]
    length = [float(np.sqrt((life**2).sum())) for life in off]
    least = 1.0
    for i in range(len(off)):
        for j in range(i):
            size = length[i] * length[j]
            least = min(least, abs(float(off[i] @ off[j])) / size if size > 0 else 0.0)
    return round(min(least, 1.0), 12)
