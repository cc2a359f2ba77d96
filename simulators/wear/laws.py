"""Laws by which wear grows from its onset to a true end.

Wear is 0 on a healthy machine and 1 when it fails. Each law varies from unit to unit, and each
has a closed-form law of the time from onset to failure that the tests hold drawn paths to.
`simulators.wear.paths` draws them; what wear does to signals is up to `simulators.machines`.
"""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class GammaWear:
    """Wear in random jumps, never back: a gamma process with a power-law clock.

    After onset the wear at age τ is gamma distributed with shape ``jumps * (τ / s) ** power``
    and scale ``1 / jumps``, so that it averages 1 at τ = s. [1]_

    Parameters
    ----------
    onset_range_h : tuple of float
        Healthy time before wear sets in, uniform between these. [h]
    growth_h : float
        Median over units of s, the time from onset to an average wear of 1. [h]
    growth_spread_ratio : float
        Standard deviation over units of ln s.
    power : float
        Above 1, wear speeds up with age.
    jumps : float
        How finely wear comes: the relative spread of wear around its mean at s is
        ``jumps ** -0.5``.

    References
    ----------
    .. [1] J. M. van Noortwijk, "A survey of the application of gamma processes in
       maintenance", Reliability Engineering & System Safety, vol. 94, pp. 2-21, 2009.
    """

    onset_range_h: tuple[float, float]
    growth_h: float
    growth_spread_ratio: float
    power: float
    jumps: float


@dataclass(frozen=True, slots=True)
class ExponentialWear:
    """Wear that feeds on itself: ``(exp(c·τ/T) - 1) / (exp(c) - 1)`` at age τ after onset.

    The noise-free form of [1]_.

    Parameters
    ----------
    onset_range_h : tuple of float
        Healthy time before wear sets in, uniform between these. [h]
    growth_h : float
        Median over units of T, the time from onset to failure. [h]
    growth_spread_ratio : float
        Standard deviation over units of ln T.
    curvature : float
        c above; at 0.01 wear is a straight line, at 5 most of it comes in the last fifth.

    References
    ----------
    .. [1] N. Gebraeel, M. Lawley, R. Li and J. Ryan, "Residual-life distributions from
       component degradation signals: a Bayesian approach", IIE Transactions,
       vol. 37, no. 6, pp. 543-557, 2005.
    """

    onset_range_h: tuple[float, float]
    growth_h: float
    growth_spread_ratio: float
    curvature: float


@dataclass(frozen=True, slots=True)
class WienerWear:
    """Wear that drifts upwards and wavers: Brownian motion with drift.

    At age τ after onset wear is normal with mean ``τ / s`` and variance ``noise² · τ / s``; it
    may heal a little on its way. It first reaches 1 after an inverse Gaussian time of mean s and
    shape ``s / noise²``. [1]_

    Parameters
    ----------
    onset_range_h : tuple of float
        Healthy time before wear sets in, uniform between these. [h]
    growth_h : float
        Median over units of s, the mean time from onset to failure. [h]
    growth_spread_ratio : float
        Standard deviation over units of ln s.
    noise : float
        Standard deviation of wear at age s.

    References
    ----------
    .. [1] R. S. Chhikara and J. L. Folks, "The Inverse Gaussian Distribution: Theory,
       Methodology, and Applications", Marcel Dekker, 1989.
    """

    onset_range_h: tuple[float, float]
    growth_h: float
    growth_spread_ratio: float
    noise: float


@dataclass(frozen=True, slots=True)
class ShockWear:
    """Wear that comes in blows and not in between: a compound Poisson process.

    Blows come at random, on average one every ``s · jump / (1 + jump)``, and each adds an
    exponentially distributed wear of mean `jump`. The number of blows to failure is one more than
    a Poisson number of mean ``1 / jump``, so the mean time from onset to failure is s. [1]_

    Parameters
    ----------
    onset_range_h : tuple of float
        Healthy time before blows may come, uniform between these. [h]
    growth_h : float
        Median over units of s, the mean time from onset to failure. [h]
    growth_spread_ratio : float
        Standard deviation over units of ln s.
    jump : float
        Mean wear of one blow.

    References
    ----------
    .. [1] J. D. Esary, A. W. Marshall and F. Proschan, "Shock models and wear processes", The
       Annals of Probability, vol. 1, no. 4, pp. 627-649, 1973.
    """

    onset_range_h: tuple[float, float]
    growth_h: float
    growth_spread_ratio: float
    jump: float


@dataclass(frozen=True, slots=True)
class WithShocks:
    """A law of steady wear, and blows besides.

    Parameters
    ----------
    law : GammaWear, ExponentialWear or WienerWear
        How it wears between blows.
    every_h : float
        Mean time between blows, from the unit's birth on. [h]
    jump : float
        Mean wear of one blow, exponentially distributed.
    """

    law: "GammaWear | ExponentialWear | WienerWear"
    every_h: float
    jump: float


WearLaw: TypeAlias = GammaWear | ExponentialWear | WienerWear | ShockWear | WithShocks
