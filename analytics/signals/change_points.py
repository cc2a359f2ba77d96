"""Where the level of a series changed, looking back over all of it."""

import numpy as np

from analytics.arrays import DomainError, FloatArray
from analytics.signals.baseline import MAD_TO_SIGMA


def change_points(x: FloatArray, *, penalty: float | None = None, min_length: int = 8) -> list[int]:
    """Cut a series where that explains it best, at a price per cut (PELT [1]_).

    Parameters
    ----------
    x : ndarray of shape (n,)
        The series; missing samples are taken out and belong to the stretch around them.
    penalty : float, optional
        Price of a cut, in squared noise; ``3 log n`` unless told. Noise is measured from the
        differences of neighbours.
    min_length : int
        Shortest stretch. [samples]

    Returns
    -------
    list of int
        First sample of each new level, rising; empty where nothing changed or there are fewer
        than two stretches' samples.

    Raises
    ------
    DomainError
        If the penalty or `min_length` is not above 0.

    References
    ----------
    .. [1] R. Killick, P. Fearnhead and I. A. Eckley, "Optimal detection of changepoints with a
       linear computational cost", Journal of the American Statistical Association, vol. 107,
       pp. 1590-1598, 2012.

    Examples
    --------
    >>> noise = 0.1 * np.random.default_rng(1).normal(size=200)
    >>> change_points(np.repeat([1.0, 3.0], 100) + noise)
    [100]
    """
    if min_length < 1 or (penalty is not None and not penalty > 0):
        msg = f"change_points: penalty {penalty} and min_length {min_length}; give both above 0"
        raise DomainError(msg)
    place = np.flatnonzero(np.isfinite(x))
    known = x[place].astype(np.float64)
    n = known.size
    if n < 2 * min_length:
        return []
    steps = np.abs(np.diff(known))
    noise = MAD_TO_SIGMA * float(np.median(steps)) / np.sqrt(2.0)
    noise = max(noise, 1e-9 * float(np.abs(known).max()), 1e-300)
    scaled = (known - known.mean()) / noise
    price = 3.0 * np.log(n) if penalty is None else penalty
    cuts = _best_cuts(scaled, price, min_length)
    return [int(place[cut]) for cut in cuts]


def _best_cuts(x: FloatArray, price: float, min_length: int) -> list[int]:
    n = x.size
    total = np.concatenate([[0.0], np.cumsum(x)])
    squares = np.concatenate([[0.0], np.cumsum(x**2)])
    best = np.full(n + 1, np.inf)
    best[0] = -price
    before = np.zeros(n + 1, np.int64)
    candidates = np.array([0])
    for end in range(min_length, n + 1):
        length = end - candidates
        spread = squares[end] - squares[candidates] - (total[end] - total[candidates]) ** 2 / length
        cost = best[candidates] + spread
        least = int(cost.argmin())
        best[end], before[end] = cost[least] + price, candidates[least]
        # A candidate that is already dearer than cutting here can never win again.
        candidates = candidates[cost <= best[end]]
        newest = end + 1 - min_length
        if newest >= min_length:
            candidates = np.append(candidates, newest)
    cuts = []
    end = n
    while before[end] > 0:
        end = int(before[end])
        cuts.append(end)
    return cuts[::-1]
