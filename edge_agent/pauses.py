"""How long to wait before something that failed is tried again."""


def pause_s(n_failures: int, first_s: float, max_s: float, jitter: float) -> float:
    """Pause before the next try: doubling, bounded, and spread so that agents don't march in step.

    Parameters
    ----------
    n_failures : int
        Failures in a row, from 1.
    first_s : float
        Pause after the first failure, before jitter. [s]
    max_s : float
        Longest pause. [s]
    jitter : float
        Uniform in [0, 1).

    Returns
    -------
    float
        Between half of the doubled pause and all of it, at most `max_s`. [s]

    Examples
    --------
    >>> [pause_s(n, 0.5, 5.0, jitter=1.0) for n in (1, 2, 3, 4, 5)]
    [0.5, 1.0, 2.0, 4.0, 5.0]
    """
    doubled: float = min(max_s, first_s * 2.0 ** min(n_failures - 1, 60))
    return doubled * (0.5 + 0.5 * jitter)
