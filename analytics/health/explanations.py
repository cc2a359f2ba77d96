"""Why is this machine in alarm? Signals to blame, the nearest known fault, and a plain sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.arrays import FloatArray, ShapeError

LEAST_LIKENESS: Final = 0.7
"""Cosine below which a known fault is not named: the next best guess would mislead."""

_N_NAMED: Final = 3
_LEAST_SHARE: Final = 0.1
"""Signals with a smaller part in the alarm are not named."""


@dataclass(frozen=True, slots=True)
class FaultSignature:
    """How a known fault shows.

    Parameters
    ----------
    name : str
        The fault, as people call it.
    direction : tuple of float
        Signed size of the deviation of each signal; only the proportions count.
    """

    name: str
    direction: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Likeness:
    """A known fault that the deviations look like.

    Parameters
    ----------
    name : str
        The fault.
    cosine : float
        1 for the same proportions, 0 for none in common.
    """

    name: str
    cosine: float


@dataclass(frozen=True, slots=True)
class SignalReason:
    """One signal's part in an alarm.

    Parameters
    ----------
    signal, unit : str
        Name, and unit as people write it (empty for a bare number).
    value, usual : float
        What it shows, and what is usual, in that unit.
    z : float
        How far it is off, in healthy spreads, signed.
    share : float
        Part of the alarm, from 0 to 1.
    """

    signal: str
    unit: str
    value: float
    usual: float
    z: float
    share: float


def nearest_fault(
    z: FloatArray, signatures: Sequence[FaultSignature], *, least: float = LEAST_LIKENESS
) -> Likeness | None:
    """Find the known fault whose proportions are nearest.

    Parameters
    ----------
    z : ndarray of shape (n_signals,)
        Smoothed deviations; missing ones count as usual.
    signatures : sequence of FaultSignature
        Known faults of this kind of machine.
    least : float
        Cosine below which none is named.

    Returns
    -------
    Likeness or None
        None if nothing deviates, nothing is known or nothing is near.

    Raises
    ------
    ShapeError
        If a signature is of other signals.

    Examples
    --------
    >>> known = [FaultSignature("seal leak", (1.0, 0.0)), FaultSignature("wear", (0.0, 1.0))]
    >>> nearest_fault(np.array([0.5, 6.0]), known)
    Likeness(name='wear', cosine=0.997)
    """
    known = np.where(np.isfinite(z), z, 0.0)
    best: Likeness | None = None
    for one in signatures:
        direction = np.array(one.direction)
        if direction.shape != z.shape:
            msg = (
                f"nearest_fault: {one.name} is of {direction.size} signals, z of {z.size}; give a "
                "signature with one size per signal"
            )
            raise ShapeError(msg)
        size = float(np.linalg.norm(direction) * np.linalg.norm(known))
        cosine = float(known @ direction) / size if size > 0 else 0.0
        if cosine >= least and (best is None or cosine > best.cosine):
            best = Likeness(one.name, round(cosine, 3))
    return best


def reasons(
    signals: Sequence[str],
    units: Sequence[str],
    value: FloatArray,
    usual: FloatArray,
    z: FloatArray,
    shares: FloatArray,
) -> list[SignalReason]:
    """Name the signals that make an alarm, the largest part first.

    Parameters
    ----------
    signals, units : sequence of str
        Name and written unit of each signal.
    value, usual : ndarray of shape (n_signals,)
        What each shows, and what is usual, in its unit.
    z : ndarray of shape (n_signals,)
        Deviations in healthy spreads, signed.
    shares : ndarray of shape (n_signals,)
        Parts of the alarm, which add up to 1.

    Returns
    -------
    list of SignalReason
        At most three, each with a tenth of the alarm or more; the largest in any case.

    Raises
    ------
    ShapeError
        If the parts differ in number.
    """
    n = len(signals)
    parts = (value, usual, z, shares)
    if len(units) != n or any(part.shape != (n,) for part in parts):
        msg = (
            f"reasons: {n} signals, {len(units)} units and parts of shapes "
            f"{[part.shape for part in parts]}; give one of each per signal"
        )
        raise ShapeError(msg)
    order = np.argsort(-np.where(np.isfinite(shares), shares, -1.0), kind="stable")
    named = [place for rank, place in enumerate(order[:_N_NAMED])
             if rank == 0 or shares[place] >= _LEAST_SHARE]  # fmt: skip
    return [
        SignalReason(
            signals[place], units[place], float(value[place]), float(usual[place]),
            float(z[place]), float(shares[place]),
        )
        for place in named
    ]  # fmt: skip


def sentence(machine: str, why: Sequence[SignalReason], likeness: Likeness | None = None) -> str:
    """Say in plain words why a machine is in alarm.

    Parameters
    ----------
    machine : str
        Its name.
    why : sequence of SignalReason
        From `reasons`.
    likeness : Likeness, optional
        From `nearest_fault`.

    Returns
    -------
    str
        One sentence, or two with the likeness.

    Examples
    --------
    >>> why = [SignalReason("vibration", "mm/s", 8.2, 2.9, 6.1, 0.64)]
    >>> sentence("pump-01", why)[:44]
    'pump-01: vibration is 8.2 mm/s, usually 2.9 '
    """
    parts = [_clause(one) for one in why]
    told = f"{machine}: {'; '.join(parts)}." if parts else f"{machine}: no signal stands out."
    if likeness is not None:
        told += f" It looks like {likeness.name} (likeness {likeness.cosine:.2f} of 1)."
    return told


def _clause(one: SignalReason) -> str:
    unit = f" {one.unit}" if one.unit else ""
    now = f"is {one.value:.3g}{unit}" if np.isfinite(one.value) else "is not measured just now"
    if not np.isfinite(one.z):
        return f"{one.signal} {now}"
    side = "above" if one.z > 0 else "below"
    return (
        f"{one.signal} {now}, usually {one.usual:.3g}{unit} "
        f"({abs(one.z):.1f} healthy spreads {side}, {one.share:.0%} of the alarm)".replace(
            "%", " %"
        )
    )
