"""The last values of each node, for clients that read history."""

from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from asyncua import ua
from asyncua.server.history import HistoryStorageInterface

_MOST_IN_ONE_ANSWER = 10_000


class RecentHistory(HistoryStorageInterface):
    """Keeps what was written, in memory, a bounded number of values a node.

    Parameters
    ----------
    n_values : int
        Values of each node that are kept.
    """

    def __init__(self, n_values: int) -> None:
        super().__init__(_MOST_IN_ONE_ANSWER)
        self._n_values = n_values
        self._values: dict[ua.NodeId, deque[ua.DataValue]] = {}

    async def init(self) -> None:
        """Do nothing: there is nothing to open."""

    async def stop(self) -> None:
        """Do nothing: there is nothing to close."""

    async def new_historized_node(
        self,
        node_id: ua.NodeId,
        period: timedelta | None,  # noqa: ARG002 - bounded by number here
        count: int = 0,  # noqa: ARG002 - one bound for all nodes
    ) -> None:
        """Begin to keep a node.

        Parameters
        ----------
        node_id : NodeId
            The node.
        period : timedelta or None
            Not used.
        count : int
            Not used.
        """
        self._values.setdefault(node_id, deque(maxlen=self._n_values))

    async def save_node_value(self, node_id: ua.NodeId, datavalue: ua.DataValue) -> None:
        """Keep a value.

        Parameters
        ----------
        node_id : NodeId
            Its node.
        datavalue : DataValue
            Value, status and times.
        """
        self._values.setdefault(node_id, deque(maxlen=self._n_values)).append(datavalue)

    async def read_node_history(
        self,
        node_id: ua.NodeId,
        start: datetime | None,
        end: datetime | None,
        nb_values: int,
    ) -> tuple[list[ua.DataValue], datetime | None]:
        """Give what was kept of a node.

        Parameters
        ----------
        node_id : NodeId
            The node.
        start, end : datetime or None
            First and last source time; backwards if the end is given alone or lies before.
        nb_values : int
            Values at most, 0 for no limit.

        Returns
        -------
        list of DataValue
            In order of time, or against it.
        datetime or None
            Source time of the first value that is left out.
        """
        low, high = _aware(start), _aware(end)
        is_backwards = (low is None and high is not None) or (
            low is not None and high is not None and high < low
        )
        if is_backwards:
            low, high = high if low is not None else None, low or high
        kept: Iterable[ua.DataValue] = self._values.get(node_id, ())
        found = [value for value in kept if _is_between(value, low, high)]
        found.sort(key=_time, reverse=is_backwards)
        most = min(nb_values or _MOST_IN_ONE_ANSWER, _MOST_IN_ONE_ANSWER)
        rest = next(islice(found, most, None), None)
        return found[:most], None if rest is None else _time(rest)

    async def new_historized_event(self, *_: Any) -> None:  # noqa: ANN401 - asyncua's interface
        """Refuse: machines here have no events."""

    async def save_event(self, event: Any) -> None:  # noqa: ANN401 - asyncua's interface
        """Refuse: machines here have no events."""

    async def read_event_history(self, *_: Any) -> tuple[list[Any], datetime | None]:  # noqa: ANN401
        """Give no events.

        Returns
        -------
        list, None
            Empty.
        """
        return [], None


def _aware(moment: datetime | None) -> datetime | None:
    """Give asyncua's times a zone; its "no time" is 1601."""
    if moment is None or moment.year <= 1601:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _time(value: ua.DataValue) -> datetime:
    moment = _aware(value.SourceTimestamp)
    return moment if moment is not None else datetime(1970, 1, 1, tzinfo=UTC)


def _is_between(value: ua.DataValue, low: datetime | None, high: datetime | None) -> bool:
    moment = _time(value)
    return (low is None or moment >= low) and (high is None or moment <= high)
