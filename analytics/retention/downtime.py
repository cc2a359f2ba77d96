"""Standstills in hours and money: overlaps count once, and both sides of the bill are shown."""

from dataclasses import dataclass

import numpy as np

from analytics.arrays import BoolArray, DomainError, FloatArray, IntArray, ShapeError


def downtime_exposure_h(
    machine_index: IntArray,
    start_h: FloatArray,
    end_h: FloatArray,
    *,
    n_machines: int,
    window_start_h: float,
    window_end_h: float,
) -> FloatArray:
    """Hours in the window during which each machine stood still.

    Overlapping or repeated standstills of one machine count once: their union is measured.

    Parameters
    ----------
    machine_index : ndarray of int, shape (n_standstills,)
        Which machine stood still, from 0 to ``n_machines - 1``.
    start_h, end_h : ndarray of shape (n_standstills,)
        Start and end; an end of ``nan`` is a standstill that goes on. [h]
    n_machines : int
        Number of machines.
    window_start_h, window_end_h : float
        Only what lies between counts. [h]

    Returns
    -------
    ndarray of shape (n_machines,)
        Hours of standstill, at most the window's length. [h]

    Raises
    ------
    ShapeError
        If the arrays differ in length.
    DomainError
        If the window or a standstill ends before it starts, a start is not finite, or a machine
        is out of range.

    Examples
    --------
    >>> downtime_exposure_h(
    ...     np.array([0, 0, 1]),
    ...     np.array([1.0, 3.0, 90.0]),
    ...     np.array([4.0, 6.0, np.nan]),
    ...     n_machines=3,
    ...     window_start_h=0.0,
    ...     window_end_h=100.0,
    ... )
    array([ 5., 10.,  0.])
    """
    _check(machine_index, start_h, end_h, n_machines, window_start_h, window_end_h)
    start = np.clip(start_h, window_start_h, window_end_h)
    end = np.clip(np.where(np.isnan(end_h), np.inf, end_h), window_start_h, window_end_h)
    order = np.lexsort((end, start, machine_index))
    machine, start, end = machine_index[order], start[order], end[order]
    # Latest end so far on the same machine. Ranks stand in for hours so that adding a machine's
    # offset, which makes the running maximum begin anew, can't round anything away.
    by_end = np.argsort(end, kind="stable")
    rank = np.empty_like(by_end)
    rank[by_end] = np.arange(end.size)
    latest = np.maximum.accumulate(machine * end.size + rank) - machine * end.size
    covered_until = np.full(end.size, -np.inf)
    same_machine = machine[1:] == machine[:-1]
    covered_until[1:][same_machine] = end[by_end][latest[:-1][same_machine]]
    added = np.maximum(end - np.maximum(start, covered_until), 0.0)
    hours = np.bincount(machine, weights=added, minlength=n_machines)
    # Adding many pieces may pass the window by a rounding error.
    return np.minimum(hours, window_end_h - window_start_h)


@dataclass(frozen=True, slots=True, eq=False)
class DowntimeSplit:
    """Hours of standstill by kind.

    Parameters
    ----------
    unplanned_h : ndarray of shape (n_machines,)
        Not planned; what is both planned and not counts here. [h]
    planned_h : ndarray of shape (n_machines,)
        Planned only. [h]
    total_h : ndarray of shape (n_machines,)
        Their sum: the union of all. [h]
    """

    unplanned_h: FloatArray
    planned_h: FloatArray
    total_h: FloatArray


def split_downtime_h(
    machine_index: IntArray,
    start_h: FloatArray,
    end_h: FloatArray,
    is_planned: BoolArray,
    *,
    n_machines: int,
    window_start_h: float,
    window_end_h: float,
) -> DowntimeSplit:
    """Split each machine's standstill into unplanned and planned-only hours.

    Parameters
    ----------
    machine_index : ndarray of int, shape (n_standstills,)
        Which machine stood still.
    start_h, end_h : ndarray of shape (n_standstills,)
        Start and end; an end of ``nan`` is a standstill that goes on. [h]
    is_planned : ndarray of bool, shape (n_standstills,)
        True where it was agreed beforehand.
    n_machines : int
        Number of machines.
    window_start_h, window_end_h : float
        Only what lies between counts. [h]

    Returns
    -------
    DowntimeSplit
        Hours by kind. [h]

    Raises
    ------
    ShapeError
        If the arrays differ in length.

    Examples
    --------
    >>> split = split_downtime_h(
    ...     np.array([0, 0]),
    ...     np.array([0.0, 4.0]),
    ...     np.array([6.0, 8.0]),
    ...     np.array([True, False]),
    ...     n_machines=1,
    ...     window_start_h=0.0,
    ...     window_end_h=100.0,
    ... )
    >>> split.unplanned_h, split.planned_h, split.total_h
    (array([4.]), array([4.]), array([8.]))
    """
    if is_planned.shape != machine_index.shape:
        msg = f"split_downtime_h: {machine_index.size} standstills but {is_planned.size} is_planned"
        raise ShapeError(msg)

    def union_h(chosen: BoolArray) -> FloatArray:
        return downtime_exposure_h(
            machine_index[chosen],
            start_h[chosen],
            end_h[chosen],
            n_machines=n_machines,
            window_start_h=window_start_h,
            window_end_h=window_end_h,
        )

    unplanned_h = union_h(~is_planned)
    planned_h = np.maximum(union_h(np.ones_like(is_planned)) - unplanned_h, 0.0)
    return DowntimeSplit(unplanned_h, planned_h, unplanned_h + planned_h)


@dataclass(frozen=True, slots=True, eq=False)
class DowntimeCost:
    """What standstill costs, and who bears it, in whole cents.

    Parameters
    ----------
    total, vendor, customer : ndarray of shape (n_machines,)
        In all; the maker's part by contract; the customer's part. [currency]
    """

    total: FloatArray
    vendor: FloatArray
    customer: FloatArray


def downtime_cost(
    downtime_h: FloatArray, cost_per_h: FloatArray, vendor_share_ratio: FloatArray
) -> DowntimeCost:
    """Put hours of standstill into money.

    Parameters
    ----------
    downtime_h : ndarray of shape (n_machines,)
        Hours of standstill. [h]
    cost_per_h : ndarray of shape (n_machines,)
        What one hour costs the customer. [currency/h]
    vendor_share_ratio : ndarray of shape (n_machines,)
        Part that the maker bears, between 0 and 1.

    Returns
    -------
    DowntimeCost
        Cents of `vendor` and `customer` add up to those of `total`. [currency]

    Raises
    ------
    ShapeError
        If the arrays differ in length.
    DomainError
        If a share is not between 0 and 1, or hours or cost are below 0.

    Examples
    --------
    >>> cost = downtime_cost(np.array([5.0]), np.array([800.0]), np.array([0.25]))
    >>> cost.total, cost.vendor, cost.customer
    (array([4000.]), array([1000.]), array([3000.]))
    """
    if not downtime_h.shape == cost_per_h.shape == vendor_share_ratio.shape:
        msg = (
            f"downtime_cost: shapes {downtime_h.shape}, {cost_per_h.shape} and "
            f"{vendor_share_ratio.shape} differ; pass one entry per machine in each"
        )
        raise ShapeError(msg)
    bad = (vendor_share_ratio < 0) | (vendor_share_ratio > 1) | (downtime_h < 0) | (cost_per_h < 0)
    if bad.any():
        row = int(np.argmax(bad))
        msg = (
            f"downtime_cost: machine {row} has {downtime_h[row]} h at {cost_per_h[row]} per h, of "
            f"which the maker bears {vendor_share_ratio[row]}; hours and cost can't be below 0, "
            "and the share lies between 0 and 1"
        )
        raise DomainError(msg)
    total = np.round(downtime_h * cost_per_h, 2)
    vendor = np.round(total * vendor_share_ratio, 2)
    return DowntimeCost(total, vendor, np.round(total - vendor, 2))


def _check(
    machine_index: IntArray,
    start_h: FloatArray,
    end_h: FloatArray,
    n_machines: int,
    window_start_h: float,
    window_end_h: float,
) -> None:
    if not machine_index.shape == start_h.shape == end_h.shape or machine_index.ndim != 1:
        msg = (
            f"downtime: shapes {machine_index.shape}, {start_h.shape} and {end_h.shape} differ; "
            "pass one entry per standstill in each"
        )
        raise ShapeError(msg)
    if not window_start_h <= window_end_h:
        msg = f"downtime: the window ends at {window_end_h} h, before its start {window_start_h} h"
        raise DomainError(msg)
    bad = ~np.isfinite(start_h) | (end_h < start_h)
    bad |= (machine_index < 0) | (machine_index >= n_machines)
    if bad.any():
        row = int(np.argmax(bad))
        msg = (
            f"downtime: standstill {row} of machine {machine_index[row]} runs from {start_h[row]} "
            f"to {end_h[row]} h; it must start before it ends, on a machine 0..{n_machines - 1}"
        )
        raise DomainError(msg)
