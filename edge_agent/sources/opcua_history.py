"""Reads what an OPC UA server has kept of its nodes, to fill a gap in what it sent.

Each answer is made durable before more is asked for. A sample that came both ways is the same
sample: same series, same time. Most servers keep no history, and say so once.
"""

import asyncio
import datetime
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from asyncua import Client, ua

from edge_agent.sources.opcua_items import WatchedItem
from edge_agent.sources.opcua_link import words

logger = logging.getLogger(__name__)

NODES_PER_REQUEST: Final = 50
VALUES_PER_ANSWER: Final = 1000
"""Of one node; 50 nodes of 1000 values are about 1 MB."""

MAX_VALUES_PER_NODE: Final = 1_000_000
"""A gap is never filled with more of one node, whatever the server says."""

MAX_SPREAD_S: Final = 60.0
"""Nodes whose gaps begin within this time are asked for together."""

_NS_PER_US: Final = 1000
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_TOO_MANY: Final = frozenset({
    ua.StatusCodes.BadTooManyOperations,
    ua.StatusCodes.BadResponseTooLarge,
    ua.StatusCodes.BadEncodingLimitsExceeded,
    ua.StatusCodes.BadNoContinuationPoints,
})
_NOT_KEPT: Final = frozenset({
    ua.StatusCodes.BadServiceUnsupported,
    ua.StatusCodes.BadHistoryOperationUnsupported,
    ua.StatusCodes.BadHistoryOperationInvalid,
    ua.StatusCodes.BadNotImplemented,
})

Keep = Callable[[Sequence[ua.MonitoredItemNotification]], Sequence["asyncio.Future[None]"]]
"""Takes values as if they had been sent; its futures are done when they are durable."""


@dataclass(slots=True)
class _Want:
    """What is still to be read of one node."""

    item: WatchedItem
    start: datetime.datetime
    point: bytes | None = None
    n_read: int = 0


class HistoryReader:
    """Fills gaps of one source.

    Parameters
    ----------
    name : str
        What the source is called in logs.
    keep : callable
        Takes what was read, see `Keep`.
    """

    def __init__(self, name: str, keep: Keep) -> None:
        self._name = name
        self._keep = keep
        self._without: set[str] = set()
        self._is_told = False

    async def fill(
        self,
        client: Client,
        gaps: Sequence[tuple[WatchedItem, int]],
        not_before: datetime.datetime,
        end: datetime.datetime,
    ) -> int:
        """Read the values of nodes since a time of each.

        Parameters
        ----------
        client : Client
            With an open session.
        gaps : sequence of (WatchedItem, int)
            Nodes, and the newest source time that is durable. [ns since 1970-01-01 UTC]
        not_before : datetime
            Nothing older is read.
        end : datetime
            Nothing newer is read.

        Returns
        -------
        int
            Values that were read and are durable.

        Raises
        ------
        UaStatusCodeError
            If the connection is lost; it may be called again.
        """
        wants = [
            _Want(item, max(not_before, _time_of(start_ns)))
            for item, start_ns in gaps
            if item.node_id not in self._without
        ]
        wants = sorted((want for want in wants if want.start < end), key=lambda want: want.start)
        n_read, n_nodes = 0, NODES_PER_REQUEST
        while wants:
            group = list(_group(wants, n_nodes))
            try:
                n_new = await self._read(client, group, end)
            except ua.UaStatusCodeError as error:
                if error.code in _TOO_MANY and n_nodes > 1:
                    n_nodes = max(1, n_nodes // 4)
                    continue
                if error.code in _NOT_KEPT:
                    self._tell_without(words(error))
                    return n_read
                raise
            n_read += n_new
            wants = wants[len(group) :]
        return n_read

    async def _read(self, client: Client, group: list[_Want], end: datetime.datetime) -> int:
        """Read a group of nodes to its end."""
        n_read = 0
        while group:
            answers = await client.uaclient.history_read(_request(group, end))
            rest: list[_Want] = []
            values: list[ua.MonitoredItemNotification] = []
            for want, answer in zip(group, answers, strict=True):
                found = self._values_of(want, answer)
                values += [
                    ua.MonitoredItemNotification(ClientHandle=want.item.handle, Value=value)
                    for value in found
                ]
                if found and _advance(want, found, answer.ContinuationPoint):
                    rest.append(want)
            for durable in self._keep(values) if values else ():
                await asyncio.shield(durable)
            n_read += len(values)
            # A request has either a start of its own or goes on with what the server holds.
            with_points = [want for want in rest if want.point]
            group = with_points or rest
            if with_points and len(with_points) < len(rest):
                n_read += await self._read(client, [w for w in rest if not w.point], end)
        return n_read

    def _values_of(self, want: _Want, answer: ua.HistoryReadResult) -> list[ua.DataValue]:
        if answer.StatusCode.is_bad():
            if answer.StatusCode.value in _NOT_KEPT:
                self._without.add(want.item.node_id)
            elif not want.n_read:
                logger.info(
                    "%s, node %s: no history: %s",
                    self._name,
                    want.item.key.place,
                    answer.StatusCode.name,
                )
            return []
        data: Any = answer.HistoryData
        return list(getattr(data, "DataValues", None) or [])

    def _tell_without(self, reason: str) -> None:
        if not self._is_told:
            self._is_told = True
            logger.info("%s: no history to fill gaps from: %s", self._name, reason)


def _group(wants: Sequence[_Want], n_nodes: int) -> Iterator[_Want]:
    for want in wants[:n_nodes]:
        if (want.start - wants[0].start).total_seconds() > MAX_SPREAD_S:
            return
        yield want


def _request(group: Sequence[_Want], end: datetime.datetime) -> ua.HistoryReadParameters:
    details: Any = ua.ReadRawModifiedDetails(
        IsReadModified=False,
        StartTime=min(want.start for want in group),
        EndTime=end,
        NumValuesPerNode=VALUES_PER_ANSWER,
        ReturnBounds=False,
    )
    return ua.HistoryReadParameters(
        HistoryReadDetails=details,
        TimestampsToReturn=ua.TimestampsToReturn.Both,
        ReleaseContinuationPoints=False,
        NodesToRead=[
            ua.HistoryReadValueId(
                NodeId=ua.NodeId.from_string(want.item.node_id), ContinuationPoint=want.point
            )
            for want in group
        ],
    )


def _advance(want: _Want, found: Sequence[ua.DataValue], point: bytes | None) -> bool:
    """Note what came; say whether there is more."""
    want.n_read += len(found)
    want.point = point or None
    if want.n_read >= MAX_VALUES_PER_NODE:
        return False
    if want.point is not None:
        return True
    if len(found) < VALUES_PER_ANSWER:
        return False
    # Some servers cut at the number asked for without a word of the rest.
    newest = found[-1].SourceTimestamp or found[-1].ServerTimestamp
    if newest is None or newest <= want.start:
        return False
    want.start = newest
    return True


def _time_of(time_ns: int) -> datetime.datetime:
    return _EPOCH + datetime.timedelta(microseconds=time_ns // _NS_PER_US)
