"""From samples at their own times to one even grid."""

import numpy as np
import numpy.typing as npt

from analytics.arrays import DomainError, FloatArray, IntArray, ShapeError


def bin_means(
    series_index: npt.NDArray[np.integer],
    time_h: FloatArray,
    value: FloatArray,
    *,
    n_series: int,
    start_h: float,
    step_h: float,
    n_steps: int,
) -> FloatArray:
    """Mean of each series in each step of an even grid.

    Step ``i`` takes the samples with ``start_h + i * step_h <= time < start_h + (i + 1) * step_h``.
    Samples outside the grid, and those whose value is ``nan`` or infinite, are left out. The
    answer does not depend on the order of the samples, to the last bit.

    Parameters
    ----------
    series_index : ndarray of int, shape (n_samples,)
        Series of each sample, from 0 to ``n_series - 1``.
    time_h : ndarray of shape (n_samples,)
        When it was measured. [h]
    value : ndarray of shape (n_samples,)
        What was measured, in the unit of its series.
    n_series : int
        How many series there are.
    start_h : float
        Where the grid begins. [h]
    step_h : float
        Length of a step. [h]
    n_steps : int
        How many steps there are.

    Returns
    -------
    ndarray of shape (n_steps, n_series)
        Means, ``nan`` where a step has no sample.

    Raises
    ------
    ShapeError
        If the three columns differ in length.
    DomainError
        If the step is not above zero, or a sample names a series that does not exist.

    Examples
    --------
    >>> bin_means(
    ...     np.array([0, 0, 1]),
    ...     np.array([0.1, 0.9, 2.5]),
    ...     np.array([1.0, 3.0, 7.0]),
    ...     n_series=2,
    ...     start_h=0.0,
    ...     step_h=1.0,
    ...     n_steps=3,
    ... )
    array([[ 2., nan],
           [nan, nan],
           [nan,  7.]])
    """
    if not series_index.shape == time_h.shape == value.shape or value.ndim != 1:
        msg = (
            f"bin_means: series_index, time_h and value have shapes {series_index.shape}, "
            f"{time_h.shape} and {value.shape}; give one entry per sample in each"
        )
        raise ShapeError(msg)
    if not step_h > 0:
        msg = f"bin_means: step_h is {step_h}; give the length of a step in hours, above 0"
        raise DomainError(msg)
    if series_index.size and not (series_index.min() >= 0 and series_index.max() < n_series):
        msg = (
            f"bin_means: series_index runs from {series_index.min()} to {series_index.max()}, "
            f"but there are {n_series} series; number them from 0"
        )
        raise DomainError(msg)
    position = (time_h - start_h) / step_h
    # Compared before the cast to int: nan and far times have no step number. Comparisons with
    # nan are false, so samples without a time drop out here as well.
    kept = np.isfinite(value) & (position >= 0) & (position < n_steps)
    value, time_h = value[kept], time_h[kept]
    cell = series_index[kept].astype(np.int64) * n_steps + position[kept].astype(np.int64)
    order = _settled_order(cell, time_h, value)
    if order is not None:
        cell, value = cell[order], value[order]
    n_cells = n_series * n_steps
    count = np.bincount(cell, minlength=n_cells)
    total = np.bincount(cell, weights=value, minlength=n_cells)
    mean = np.full(n_cells, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return np.ascontiguousarray(mean.reshape(n_series, n_steps).T)


def _settled_order(cell: IntArray, time_h: FloatArray, value: FloatArray) -> IntArray | None:
    """Order in which to add samples up, None if they stand in it already.

    Floating-point sums depend on their order; a settled one makes late or shuffled samples give
    the same means. Stores answer sorted by series and time, so the sort is rarely needed.
    """
    same_cell = cell[1:] == cell[:-1]
    same_time = same_cell & (time_h[1:] == time_h[:-1])
    is_settled = (
        (cell[1:] > cell[:-1])
        | (same_cell & (time_h[1:] > time_h[:-1]))
        | (same_time & (value[1:] >= value[:-1]))
    )
    if is_settled.all():
        return None
    return np.lexsort((value, time_h, cell))
