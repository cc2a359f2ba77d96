"""The inner steps of the fleet's detector: in place, on whole fleets, one tick at a time.

Every kernel works on each machine by itself with the same few additions and multiplications, in
the same order, wherever the machine stands in the array. So any order of machines and any cut
into blocks gives the same bits; this is why nothing here calls a matrix product of BLAS, whose
edges are rounded otherwise than its middle.

Operands are arrays of equal shape where numpy is faster with them: a maximum with an array of
zeros takes a quarter of the time of a maximum with 0.0.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from analytics.arrays import BoolArray, Float32Array

N_SUMS: Final = 4
"""Cumulative sums kept: CUSUM up and down, Page-Hinkley up and down."""


def standardise(
    x: Float32Array,
    centre: Float32Array,
    per_scale: Float32Array,
    highest: Float32Array,
    lowest: Float32Array,
    *,
    z: Float32Array,
    present: BoolArray,
    presence: Float32Array,
) -> bool:
    """Write deviations in standard deviations, clipped; 0 where missing.

    Call it where numpy's warnings of invalid values and overflow are off.

    Parameters
    ----------
    x : ndarray of float32, shape (n_signals, n_machines)
        Samples, each in its signal's unit; ``nan`` or infinite where missing.
    centre, per_scale : ndarray of float32, shape (n_signals, n_machines)
        Usual level and one over the usual standard deviation.
    highest, lowest : ndarray of float32, shape (n_signals, n_machines)
        Where to clip.
    z : ndarray of float32, shape (n_signals, n_machines)
        Deviations, written.
    present : ndarray of bool, shape (n_signals, n_machines)
        Which samples there are, written.
    presence : ndarray of float32, shape (n_signals, n_machines)
        The same as 1 and 0, written unless all are there.

    Returns
    -------
    bool
        Whether all are there.
    """
    # nan and inf run through and are masked; a value too large for float32 becomes inf.
    np.subtract(x, centre, out=z)
    np.multiply(z, per_scale, out=z)
    np.isfinite(z, out=present)
    # fmin and fmax put the bound in the place of nan.
    np.fmin(z, highest, out=z)
    np.fmax(z, lowest, out=z)
    if present.all():
        return True
    np.copyto(presence, present)
    np.multiply(z, presence, out=z)
    return False


def smooth(
    state: Float32Array,
    z: Float32Array,
    weight: np.float32,
    presence: Float32Array | None,
    *,
    scratch: Float32Array,
) -> None:
    """Move an exponentially weighted average towards the newest deviations.

    Parameters
    ----------
    state : ndarray of float32, shape (n_signals, n_machines)
        The average, moved.
    z : ndarray of float32, shape (n_signals, n_machines)
        Deviations, 0 where missing.
    weight : float32
        Of the newest.
    presence : ndarray of float32 or None
        1 where there is a sample, else 0; None if there are all.
    scratch : ndarray of float32, shape (n_signals, n_machines)
        Overwritten: by how much the average moved.
    """
    np.subtract(z, state, out=scratch)
    np.multiply(scratch, weight, out=scratch)
    if presence is not None:
        np.multiply(scratch, presence, out=scratch)
    np.add(state, scratch, out=state)


def add_to_sums(
    sums: Float32Array,
    slow_mean: Float32Array,
    z: Float32Array,
    presence: Float32Array | None,
    *,
    slacks: Float32Array,
    drift_weight: np.float32,
    lowest: Float32Array,
    highest: Float32Array,
    scratch: Float32Array,
    masked_slacks: Float32Array,
) -> None:
    """Two-sided CUSUM [1]_ and Page-Hinkley [2]_, as one stack of reflected sums.

    Page-Hinkley compares a sum of deviations from the running mean with its smallest value so
    far; that difference is the sum reflected at zero, which needs no memory of the smallest.

    Parameters
    ----------
    sums : ndarray of float32, shape (4, n_signals, n_machines)
        CUSUM up and down, Page-Hinkley up and down, those down at most 0; moved.
    slow_mean : ndarray of float32, shape (n_signals, n_machines)
        Slow mean of the deviations; moved.
    z : ndarray of float32, shape (n_signals, n_machines)
        Deviations, 0 where missing.
    presence : ndarray of float32 or None
        1 where there is a sample, else 0; None if there are all. Missing samples add nothing.
    slacks : ndarray of float32, shape (2, n_signals, n_machines)
        What CUSUM and Page-Hinkley forgive each tick.
    drift_weight : float32
        Of the newest deviation in the slow mean.
    lowest, highest : ndarray of float32, shape (4, n_signals, n_machines)
        Between which the sums are held: one is 0, the other lets an alarm end in bounded time.
    scratch : ndarray of float32, shape (4, n_signals, n_machines)
        Overwritten.
    masked_slacks : ndarray of float32, shape (2, n_signals, n_machines)
        Overwritten.

    References
    ----------
    .. [1] E. S. Page, "Continuous inspection schemes", Biometrika, vol. 41, pp. 100-115, 1954.
    .. [2] D. V. Hinkley, "Inference about the change-point from cumulative sum tests",
       Biometrika, vol. 58, no. 3, pp. 509-523, 1971.
    """
    off_mean, step = scratch[2], scratch[3]
    np.subtract(z, slow_mean, out=off_mean)
    if presence is not None:
        np.multiply(off_mean, presence, out=off_mean)
        np.multiply(slacks, presence, out=masked_slacks)
        slacks = masked_slacks
    np.multiply(off_mean, drift_weight, out=step)
    np.add(slow_mean, step, out=slow_mean)
    np.subtract(z, slacks[0], out=scratch[0])
    np.add(z, slacks[0], out=scratch[1])
    np.add(off_mean, slacks[1], out=scratch[3])
    np.subtract(off_mean, slacks[1], out=scratch[2])
    np.add(sums, scratch, out=sums)
    np.maximum(sums, lowest, out=sums)
    np.minimum(sums, highest, out=sums)


def project(
    z: Float32Array,
    loadings: Float32Array,
    per_variance: Float32Array,
    *,
    along: Float32Array,
    t2: Float32Array,
    spe: Float32Array,
    scratch: Float32Array,
) -> None:
    """Hotelling's T² within the usual plane, and the squared distance from it (SPE, Q).

    Parameters
    ----------
    z : ndarray of float32, shape (n_signals, n_machines)
        Deviations, 0 where missing: a missing signal adds to neither.
    loadings : ndarray of float32, shape (n_components, n_signals)
        Orthonormal directions.
    per_variance : ndarray of float32, shape (n_components, 1)
        One over the healthy variance along each.
    along : ndarray of float32, shape (n_components, n_machines)
        Overwritten.
    t2, spe : ndarray of float32, shape (n_machines,)
        Written.
    scratch : ndarray of float32, shape (n_signals, n_machines)
        Overwritten.
    """
    np.einsum("ks,sm->km", loadings, z, out=along)
    np.square(along, out=along)
    np.add.reduce(along, axis=0, out=t2)
    np.square(z, out=scratch)
    np.add.reduce(scratch, axis=0, out=spe)
    np.subtract(spe, t2, out=spe)
    # Rounding may leave a trace below zero.
    np.abs(spe, out=spe)
    np.multiply(along, per_variance, out=along)
    np.add.reduce(along, axis=0, out=t2)


def persist(
    registers: npt.NDArray[np.unsignedinteger],
    is_alarm: BoolArray,
    bits: BoolArray,
    *,
    has_evidence: BoolArray,
    k: int,
    n: int,
    scratch: npt.NDArray[np.unsignedinteger],
) -> None:
    """Raise and clear alarms by k of the last n ticks.

    Parameters
    ----------
    registers : ndarray of unsigned int, shape (2, n_machines)
        The last ticks as bits, newest lowest: at or over the limit that raises; below the limit
        that clears. Shifted.
    is_alarm : ndarray of bool, shape (n_machines,)
        Raised and cleared.
    bits : ndarray of bool, shape (2, n_machines)
        The same of this tick. Overwritten.
    has_evidence : ndarray of bool, shape (n_machines,)
        Machines without a sample in this tick stay as they are.
    k, n : int
        ``2 * k > n``, so that no pair of registers can both raise and clear.
    scratch : ndarray of the type of `registers`, shape (2, n_machines)
        Overwritten.
    """
    kind = registers.dtype.type
    mask = kind((1 << n) - 1)
    np.left_shift(registers, kind(1), out=scratch)
    # A bool is a byte of 0 or 1: without a cast where registers are bytes too.
    np.bitwise_or(scratch, bits.view(np.uint8), out=scratch)
    if has_evidence.all():
        np.bitwise_and(scratch, mask, out=registers)
    else:
        np.bitwise_and(scratch, mask, out=registers, where=has_evidence)
    np.greater_equal(np.bitwise_count(registers), np.uint8(k), out=bits)
    np.logical_or(is_alarm, bits[0], out=is_alarm)
    np.greater(is_alarm, bits[1], out=is_alarm)
