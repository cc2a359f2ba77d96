"""Moments at the border: aware UTC for people, nanoseconds for samples, seconds for charts."""

from datetime import UTC, datetime
from typing import Final

NS_PER_S: Final = 1_000_000_000
NS_PER_H: Final = 3600 * NS_PER_S


def to_ns(moment: datetime) -> int:
    """Turn a moment into the time of a sample.

    Parameters
    ----------
    moment : datetime
        Aware time.

    Returns
    -------
    int
        Exact to the microsecond. [ns since 1970-01-01 UTC]

    Examples
    --------
    >>> to_ns(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000000
    """
    whole = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return ((whole.days * 86_400 + whole.seconds) * 1_000_000 + whole.microseconds) * 1000


def from_ns(time_ns: int) -> datetime:
    """Turn the time of a sample into a moment.

    Parameters
    ----------
    time_ns : int
        [ns since 1970-01-01 UTC]

    Returns
    -------
    datetime
        Aware UTC, cut to the microsecond below.

    Examples
    --------
    >>> from_ns(1_500_000_000).isoformat()
    '1970-01-01T00:00:01.500000+00:00'
    """
    seconds, rest_ns = divmod(time_ns, NS_PER_S)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest_ns // 1000)
