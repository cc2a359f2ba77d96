"""What is watched in a subscription, and how it is brought in line with the settings.

Only differences are sent: a node whose settings did not change is not touched. A node that the
server does not have, or no longer has, is left out and asked for again now and then.
"""

import contextlib
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from asyncua import Client, ua

from edge_agent.settings_opcua import Monitoring, OpcuaNodeSettings, OpcuaSettings
from edge_agent.sources.opcua_nodes import resolve_nodes
from ingest.telemetry import Series

logger = logging.getLogger(__name__)

ITEMS_PER_REQUEST: Final = 500
"""Servers limit the items of one call; 500 is below the limits of those we know."""

HANDLES_RESERVED: Final = 1_000_000
"""More than are given out between two writings of what is watched."""

GONE: Final = frozenset({ua.StatusCodes.BadNodeIdUnknown, ua.StatusCodes.BadNodeIdInvalid})

_FILTER_REFUSED: Final = frozenset({
    ua.StatusCodes.BadDeadbandFilterInvalid,
    ua.StatusCodes.BadFilterNotAllowed,
    ua.StatusCodes.BadMonitoredItemFilterInvalid,
    ua.StatusCodes.BadMonitoredItemFilterUnsupported,
})
_TRIGGERS: Final = {
    "status": ua.DataChangeTrigger.Status,
    "status-value": ua.DataChangeTrigger.StatusValue,
    "status-value-timestamp": ua.DataChangeTrigger.StatusValueTimestamp,
}
_WITHOUT_DEADBAND: Final = 1
_WITHOUT_FILTER: Final = 2

Part = TypeVar("Part")


class NodeKey(NamedTuple):
    """What makes a node of the settings the same node after they were changed."""

    namespace_uri: str
    place: str
    machine: str
    signal: str


@dataclass(frozen=True, slots=True)
class WatchedItem:
    """A node that the server watches for us."""

    handle: int
    key: NodeKey
    node_id: str
    item_id: int
    monitoring: Monitoring
    sampling_ms: float
    queue_size: int


class Items:
    """What is watched in one subscription.

    Parameters
    ----------
    name : str
        What the source is called in logs.
    site : str
        Site of all series.
    """

    def __init__(self, name: str, site: str) -> None:
        self._name = name
        self._site = site
        self.watched: dict[NodeKey, WatchedItem] = {}
        self.missing: set[NodeKey] = set()
        self.series: tuple[Series, ...] = ()
        self.rows: dict[int, int] = {}
        self.is_alarm: npt.NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)
        self._next_handle = 1
        self._told: set[tuple[NodeKey, str]] = set()

    @property
    def queued_for_s(self) -> float:
        """How long an outage the server's smallest queue surely outlasts, in seconds."""
        spans = (item.queue_size * item.sampling_ms / 1000 for item in self.watched.values())
        return min(spans, default=0.0)

    def lay_out(self, settings: OpcuaSettings) -> bool:
        """Give every node of the settings a row; rows stay what they are.

        Parameters
        ----------
        settings : OpcuaSettings
            The settings.

        Returns
        -------
        bool
            Whether there are new rows.
        """
        row_of = {series: row for row, series in enumerate(self.series)}
        before = len(row_of)
        alarms = set()
        for node in settings.nodes:
            row = row_of.setdefault(Series(self._site, node.machine, node.signal), len(row_of))
            if node.priority == "alarm":
                alarms.add(row)
        # Replaced and never changed, so that whoever holds one sees no half of a change.
        self.series = tuple(row_of)
        self.is_alarm = np.isin(np.arange(len(row_of)), list(alarms))
        return len(row_of) > before

    def reserve_handles(self) -> int:
        """Say from where on no handle was ever used, for a run that goes on with the items.

        Returns
        -------
        int
            What this run surely stays below until it says so again.
        """
        return self._next_handle + HANDLES_RESERVED

    def adopt(
        self, items: Sequence[WatchedItem], rows: Sequence[tuple[str, str]], next_handle: int
    ) -> None:
        """Go on with what is watched already; before `lay_out`.

        Parameters
        ----------
        items : sequence of WatchedItem
            What the server watches.
        rows : sequence of (str, str)
            Machine and signal of each row.
        next_handle : int
            From here on no handle was ever used: values of an item that was made and not written
            down must not be taken for those of another node.
        """
        self.series = tuple(Series(self._site, machine, signal) for machine, signal in rows)
        self.watched = {item.key: item for item in items}
        row_of = {pair: row for row, pair in enumerate(rows)}
        self.rows = {item.handle: row_of[item.key[2:]] for item in items}
        self._next_handle = next_handle

    def begin(self) -> None:
        """Forget what was watched: there is a new subscription. Rows stay."""
        self.watched, self.missing, self.rows = {}, set(), {}
        self._next_handle = 1

    async def reconcile(
        self, client: Client, subscription_id: int, settings: OpcuaSettings
    ) -> bool:
        """Bring the subscription in line with the settings.

        Parameters
        ----------
        client : Client
            With the session that has the subscription.
        subscription_id : int
            The server's name for it.
        settings : OpcuaSettings
            What is wanted; laid out already.

        Returns
        -------
        bool
            Whether anything is watched differently now.
        """
        nodes = {key_of(node): node for node in settings.nodes}
        unwanted = [item for key, item in self.watched.items() if key not in nodes]
        changed = [
            (item, settings.monitoring_of(nodes[key]))
            for key, item in self.watched.items()
            if key in nodes and settings.monitoring_of(nodes[key]) != item.monitoring
        ]
        await self.unwatch(client, subscription_id, unwanted)
        await self._modify(client, subscription_id, changed)
        absent = [node for key, node in nodes.items() if key not in self.watched]
        n_before = len(self.watched)
        if absent:
            await self._watch(client, subscription_id, settings, absent)
        self.missing = set(nodes) - set(self.watched)
        return bool(unwanted or changed) or len(self.watched) > n_before

    async def find_vanished(self, client: Client) -> list[WatchedItem]:
        """Ask which watched nodes are no longer on the server.

        Parameters
        ----------
        client : Client
            With an open session.

        Returns
        -------
        list of WatchedItem
            Those whose node is not known there.
        """
        gone = []
        for part in _parts(list(self.watched.values())):
            answers = await client.uaclient.read_attributes(
                [ua.NodeId.from_string(item.node_id) for item in part], ua.AttributeIds.NodeClass
            )
            gone += [
                item
                for item, answer in zip(part, answers, strict=True)
                if answer.StatusCode is not None and answer.StatusCode.value in GONE
            ]
        for item in gone:
            self._warn(item.key, "has vanished from the server; it is asked for again now and then")
        return gone

    async def unwatch(
        self, client: Client, subscription_id: int, items: Sequence[WatchedItem]
    ) -> None:
        """End the watching of some nodes; their handles stay known for values on their way.

        Parameters
        ----------
        client : Client
            With the session that has the subscription.
        subscription_id : int
            The server's name for it.
        items : sequence of WatchedItem
            Which.
        """
        for part in _parts(items):
            # What the server says to an item that has ended itself does not matter.
            with contextlib.suppress(ua.UaStatusCodeError):
                await client.uaclient.delete_monitored_items(
                    ua.DeleteMonitoredItemsParameters(
                        SubscriptionId=subscription_id,
                        MonitoredItemIds=[item.item_id for item in part],
                    )
                )
            for item in part:
                self.watched.pop(item.key, None)

    # --- steps ---------------------------------------------------------------------------------

    async def _modify(
        self,
        client: Client,
        subscription_id: int,
        changes: Sequence[tuple[WatchedItem, Monitoring]],
    ) -> None:
        for part in _parts(changes):
            results = await client.uaclient.modify_monitored_items(
                ua.ModifyMonitoredItemsParameters(
                    SubscriptionId=subscription_id,
                    TimestampsToReturn=ua.TimestampsToReturn.Both,
                    ItemsToModify=[
                        ua.MonitoredItemModifyRequest(
                            MonitoredItemId=item.item_id,
                            RequestedParameters=_parameters(item.handle, how, 0),
                        )
                        for item, how in part
                    ],
                )
            )
            refused = []
            for (item, how), result in zip(part, results, strict=True):
                if result.StatusCode.is_good():
                    self.watched[item.key] = WatchedItem(
                        item.handle,
                        item.key,
                        item.node_id,
                        item.item_id,
                        how,
                        result.RevisedSamplingInterval,
                        result.RevisedQueueSize,
                    )
                else:
                    refused.append(item)
            # They are made anew, which says in full what the server does not like.
            await self.unwatch(client, subscription_id, refused)

    async def _watch(
        self,
        client: Client,
        subscription_id: int,
        settings: OpcuaSettings,
        nodes: Sequence[OpcuaNodeSettings],
    ) -> None:
        found, problems = await resolve_nodes(client, nodes)
        for position, problem in problems.items():
            self._warn(key_of(nodes[position]), problem)
        row_of = {series: row for row, series in enumerate(self.series)}
        wanted = []
        rows = dict(self.rows)
        for position, node_id in found.items():
            node, handle = nodes[position], self._next_handle
            self._next_handle += 1
            rows[handle] = row_of[Series(self._site, node.machine, node.signal)]
            wanted.append((handle, node, node_id))
        # Known before the server is asked: values may come before its answer.
        self.rows = rows
        for part in _parts(wanted):
            await self._watch_part(client, subscription_id, settings, part)

    async def _watch_part(
        self,
        client: Client,
        subscription_id: int,
        settings: OpcuaSettings,
        part: Sequence[tuple[int, OpcuaNodeSettings, ua.NodeId]],
    ) -> None:
        """Create items; where the server refuses the filter, with less of it."""
        for level in (0, _WITHOUT_DEADBAND, _WITHOUT_FILTER):
            hows = [settings.monitoring_of(node) for _, node, _ in part]
            results = await client.uaclient.create_monitored_items(
                ua.CreateMonitoredItemsParameters(
                    SubscriptionId=subscription_id,
                    TimestampsToReturn=ua.TimestampsToReturn.Both,
                    ItemsToCreate=[
                        ua.MonitoredItemCreateRequest(
                            ItemToMonitor=ua.ReadValueId(
                                NodeId=node_id, AttributeId=ua.AttributeIds.Value
                            ),
                            MonitoringMode=ua.MonitoringMode.Reporting,
                            RequestedParameters=_parameters(handle, how, level),
                        )
                        for (handle, _, node_id), how in zip(part, hows, strict=True)
                    ],
                )
            )
            refused = []
            for entry, how, result in zip(part, hows, results, strict=True):
                handle, node, node_id = entry
                status = result.StatusCode
                if status.is_good():
                    self._created(
                        handle, key_of(node), node_id, how, result, settings.publishing_interval_ms
                    )
                elif status.value in _FILTER_REFUSED and level < _WITHOUT_FILTER:
                    self._tell_refused_filter(key_of(node), how, status.name, level)
                    refused.append(entry)
                else:
                    self._warn(
                        key_of(node),
                        f"the server answered {status.name}; correct node_id or remove it",
                    )
            part = refused
            if not part:
                return

    def _created(
        self,
        handle: int,
        key: NodeKey,
        node_id: ua.NodeId,
        how: Monitoring,
        result: ua.MonitoredItemCreateResult,
        publishing_ms: float,
    ) -> None:
        sampling_ms, queue_size = result.RevisedSamplingInterval, result.RevisedQueueSize
        self.watched[key] = WatchedItem(
            handle, key, node_id.to_string(), result.MonitoredItemId, how, sampling_ms, queue_size
        )
        said = {one for one in self._told if one[0] == key and "deadband" not in one[1]}
        if said:
            self._told -= said
            logger.info("%s, node %s (%s): it is there now", self._name, key.place, key.signal)
        # Two sendings, so that one late answer drops nothing; a server that does not say how often
        # it looks looks once in a sending.
        needed = 2 * math.ceil(publishing_ms / (sampling_ms or publishing_ms))
        if queue_size < min(needed, how.queue_size):
            self._warn(
                key,
                f"the server keeps {queue_size} values of it between two sendings, and {needed} "
                "may come in two; make publishing_interval_ms shorter, or sampling_interval_ms "
                "longer, if overflows are counted",
            )

    def _tell_refused_filter(self, key: NodeKey, how: Monitoring, status: str, level: int) -> None:
        if level == 0 and how.deadband_percent:
            problem = (
                f"the server answered {status} to deadband_percent = {how.deadband_percent:g}, "
                "which needs the node's property EURange; every change is sent, write "
                "deadband_absolute to send less"
            )
        elif level == 0 and how.deadband_absolute:
            problem = (
                f"the server answered {status} to deadband_absolute = {how.deadband_absolute:g}; "
                "every change is sent, remove the deadband"
            )
        else:
            problem = (
                f"the server answered {status} to trigger = {how.trigger!r}; it sends a value when "
                "value or status change, without deadband"
            )
        self._warn(key, problem)

    def _warn(self, key: NodeKey, problem: str) -> None:
        if (key, problem) not in self._told:
            self._told.add((key, problem))
            logger.warning("%s, node %s (%s): %s", self._name, key.place, key.signal, problem)


def key_of(node: OpcuaNodeSettings) -> NodeKey:
    """Say what makes a node the same node after the settings were changed.

    Parameters
    ----------
    node : OpcuaNodeSettings
        The node.

    Returns
    -------
    NodeKey
        Where it is on the server, and what it is to us.
    """
    return NodeKey(node.namespace_uri, node.place, node.machine, node.signal)


def _parameters(handle: int, how: Monitoring, level: int) -> ua.MonitoringParameters:
    kind, value = ua.DeadbandType.None_, 0.0
    if level < _WITHOUT_DEADBAND and how.deadband_absolute:
        kind, value = ua.DeadbandType.Absolute, how.deadband_absolute
    elif level < _WITHOUT_DEADBAND and how.deadband_percent:
        kind, value = ua.DeadbandType.Percent, how.deadband_percent
    wanted: Any = ua.DataChangeFilter(
        Trigger=_TRIGGERS[how.trigger], DeadbandType=ua.UInt32(kind), DeadbandValue=value
    )
    return ua.MonitoringParameters(
        ClientHandle=handle,
        SamplingInterval=how.sampling_interval_ms,
        Filter=None if level >= _WITHOUT_FILTER else wanted,
        QueueSize=how.queue_size,
        DiscardOldest=True,
    )


def _parts(entries: Sequence[Part]) -> Iterator[Sequence[Part]]:
    for start in range(0, len(entries), ITEMS_PER_REQUEST):
        yield entries[start : start + ITEMS_PER_REQUEST]
