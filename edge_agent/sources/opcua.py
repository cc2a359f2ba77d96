"""Reads an OPC UA server through a subscription, and never writes to it.

Uses the services of asyncua's client but neither its `Subscription` class, which hands every value
to a task of its own, drops silently when slow, and can republish without end, nor its publish loop
and decoder. Here one publish response becomes one columnar batch, and is acknowledged only after
the outbox has it (`edge_agent.sources.opcua_publish`): a server keeps what we don't have.

When the connection is lost, the next one resumes the session and its subscription, and asks again
for every notification that the server still holds and we have not seen.
"""

import asyncio
import functools
import logging
import math
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

from asyncua import ua

from edge_agent.counters import Counters
from edge_agent.errors import SessionGoneError, SourceError
from edge_agent.keys import OwnKeys
from edge_agent.ports import Intake
from edge_agent.records import Misfit
from edge_agent.settings_opcua import OpcuaNodeSettings, OpcuaSettings
from edge_agent.sources.opcua_decode import NotificationDecoder
from edge_agent.sources.opcua_link import CLIENT_ERRORS, SESSION_TIMEOUT_S, OpcuaLink
from edge_agent.sources.opcua_publish import PublishLoop, create_subscription
from edge_agent.sources.opcua_values import Decoded
from ingest.telemetry import Series, TelemetryBatch

logger = logging.getLogger(__name__)

KEEPALIVE_S: Final = 2.0
"""The server says "still here" at least this often when nothing changes."""

SILENCE_MIN_S: Final = 5.0
SILENCE_KEEPALIVES: Final = 3
"""Without a word for this many keep-alives the connection counts as lost."""

WATCH_INTERVAL_S: Final = 0.25

MAX_NOTIFICATIONS_PER_PUBLISH: Final = 20_000
ITEMS_PER_REQUEST: Final = 500
"""Servers limit the items of one call; 500 is below the limits of those we know."""


@dataclass(slots=True)
class OpcuaSource:
    """One OPC UA server.

    Parameters
    ----------
    settings : OpcuaSettings
        Where it is and what to read.
    series : tuple of Series
        Series of each node in the settings, in their order.
    keys : OwnKeys
        Our application certificate.
    state_dir : Path
        Where certificates that are not trusted are put.
    counters : Counters
        Where to count.
    clock_ns : callable
        Wall clock, for values without any time. [ns since 1970-01-01 UTC]
    """

    settings: OpcuaSettings
    series: tuple[Series, ...]
    keys: OwnKeys
    state_dir: Path
    counters: Counters
    clock_ns: Callable[[], int] = time.time_ns
    _link: OpcuaLink | None = None
    _resume_until_s: float = 0.0
    _publishing: PublishLoop | None = None
    _silence_s: float = SILENCE_MIN_S
    _bad_nodes: int = 0
    _told: set[str] = field(default_factory=set)
    _is_proven: bool = False
    _decoder: NotificationDecoder = field(init=False)

    def __post_init__(self) -> None:
        # A client handle is a position in the settings, from 1.
        rows = {row + 1: row for row in range(len(self.series))}
        self._decoder = NotificationDecoder(
            self.series, rows, is_server_time=self.settings.timestamps == "server"
        )

    @property
    def name(self) -> str:
        """What it is called in logs."""
        return f"opcua {self.settings.name}"

    async def serve(self, intake: Intake) -> None:
        """Connect, subscribe, and deliver until the connection is lost.

        Parameters
        ----------
        intake : Intake
            Where to deliver.

        Raises
        ------
        SourceError
            Why it could not connect, or why it ended.
        """
        self._is_proven = False
        if self._link is not None and time.monotonic() < self._resume_until_s:
            try:
                await self._serve(self._link, self._resume(self._link))
            except SessionGoneError as error:
                logger.info("%s; beginning a new session", error)
        self._resume_until_s = 0.0
        self._link = link = OpcuaLink(self.settings, self.keys, self.state_dir)
        await self._serve(link, self._begin(link, intake))

    async def _serve(self, link: OpcuaLink, connecting: Coroutine[Any, Any, None]) -> NoReturn:
        """Connect in this way, and stay until the connection is lost.

        Raises
        ------
        SourceError
            Why it could not connect, or why it ended.
        SessionGoneError
            If what was to be resumed is no longer there.
        CancelledError
            If the agent stops.
        """
        try:
            await connecting
            reason = await self._watch(link)
        except CLIENT_ERRORS as error:
            raise link.lost(error) from error
        except (SessionGoneError, asyncio.CancelledError):
            self._resume_until_s = 0.0
            raise
        finally:
            if self._publishing is not None:
                self._publishing.stop()
            # A session that will not be resumed is closed, or the server runs out of them.
            if time.monotonic() < self._resume_until_s:
                link.drop()
            else:
                self._set_bad_nodes(0)
                await link.end()
        msg = f"{link.place}: {reason}"
        raise SourceError(msg)

    async def _begin(self, link: OpcuaLink, intake: Intake) -> None:
        await link.open()
        await self._subscribe(link, intake)

    # --- subscribing ---------------------------------------------------------------------------

    async def _subscribe(self, link: OpcuaLink, intake: Intake) -> None:
        """Make a new subscription to every node that the server has."""
        wanted = list(self.resolve(await link.client.get_namespace_array()))
        interval_ms = self.settings.publishing_interval_ms
        answer = await create_subscription(
            link.client.uaclient.session,
            ua.CreateSubscriptionParameters(
                RequestedPublishingInterval=interval_ms,
                RequestedMaxKeepAliveCount=max(1, math.ceil(KEEPALIVE_S * 1000 / interval_ms)),
                RequestedLifetimeCount=math.ceil(SESSION_TIMEOUT_S * 1000 / interval_ms),
                MaxNotificationsPerPublish=MAX_NOTIFICATIONS_PER_PUBLISH,
                PublishingEnabled=True,
            ),
        )
        self._publishing = PublishLoop(
            self.name,
            answer.SubscriptionId,
            functools.partial(self._deliver, intake),
            self.counters,
        )
        self._publishing.start(link.client.uaclient.session)
        keepalive_s = answer.RevisedPublishingInterval * answer.RevisedMaxKeepAliveCount / 1000
        self._silence_s = max(SILENCE_MIN_S, SILENCE_KEEPALIVES * keepalive_s)
        n_watched = 0
        for start in range(0, len(wanted), ITEMS_PER_REQUEST):
            part = wanted[start : start + ITEMS_PER_REQUEST]
            n_watched += await self._watch_nodes(link, answer.SubscriptionId, part)
        self._set_bad_nodes(len(self.settings.nodes) - n_watched)
        self._resume_until_s = time.monotonic() + SESSION_TIMEOUT_S
        logger.info(
            "%s: connected, %d of %d nodes subscribed",
            link.place,
            n_watched,
            len(self.settings.nodes),
        )

    def resolve(self, namespace_uris: Sequence[str]) -> Iterator[tuple[int, ua.NodeId]]:
        """Find the nodes of the settings in the server's namespaces.

        Parameters
        ----------
        namespace_uris : sequence of str
            Namespaces of the server, in the order of their indices.

        Yields
        ------
        tuple of (int, NodeId)
            Position in the settings and id on this server; others are logged.
        """
        for position, node in enumerate(self.settings.nodes):
            if node.namespace_uri not in namespace_uris:
                self._warn(
                    node,
                    f"the server has no namespace {node.namespace_uri}; "
                    f"write one of {', '.join(namespace_uris)}",
                )
                continue
            text = f"ns={list(namespace_uris).index(node.namespace_uri)};{node.node_id}"
            try:
                yield position, ua.NodeId.from_string(text)
            except (ua.UaError, ValueError) as error:
                self._warn(node, f"{error}; correct node_id")

    async def _watch_nodes(
        self, link: OpcuaLink, subscription_id: int, part: Sequence[tuple[int, ua.NodeId]]
    ) -> int:
        results = await link.client.uaclient.create_monitored_items(
            ua.CreateMonitoredItemsParameters(
                SubscriptionId=subscription_id,
                TimestampsToReturn=ua.TimestampsToReturn.Both,
                ItemsToCreate=[self._item(position, node_id) for position, node_id in part],
            )
        )
        n_watched = 0
        for (position, _), result in zip(part, results, strict=True):
            if not result.StatusCode.is_good():
                self._warn(
                    self.settings.nodes[position],
                    f"the server answered {result.StatusCode.name}; correct node_id or remove it",
                )
                continue
            n_watched += 1
            wanted = self.settings.monitoring_of(self.settings.nodes[position]).queue_size
            if result.RevisedQueueSize < wanted:
                self._tell_once(
                    f"{link.place}: the server keeps {result.RevisedQueueSize} values of a node "
                    f"between two sendings, not {wanted}; make "
                    "publishing_interval_ms shorter if overflows are counted"
                )
        return n_watched

    def _item(self, position: int, node_id: ua.NodeId) -> ua.MonitoredItemCreateRequest:
        how = self.settings.monitoring_of(self.settings.nodes[position])
        return ua.MonitoredItemCreateRequest(
            ItemToMonitor=ua.ReadValueId(NodeId=node_id, AttributeId=ua.AttributeIds.Value),
            MonitoringMode=ua.MonitoringMode.Reporting,
            RequestedParameters=ua.MonitoringParameters(
                ClientHandle=position + 1,
                SamplingInterval=how.sampling_interval_ms,
                # A value that is measured again and is the same is still a sample.
                Filter=ua.DataChangeFilter(Trigger=ua.DataChangeTrigger.StatusValueTimestamp),
                QueueSize=how.queue_size,
                DiscardOldest=True,
            ),
        )

    async def _resume(self, link: OpcuaLink) -> None:
        """Go on with the subscription of the lost connection.

        Raises
        ------
        SessionGoneError
            If the server no longer has it.
        """
        publishing = self._publishing
        if publishing is None:
            msg = f"{link.place}: there was no subscription yet"
            raise SessionGoneError(msg)
        await link.resume()
        (status,) = await link.client.uaclient.set_publishing_mode(
            ua.SetPublishingModeParameters(
                PublishingEnabled=True, SubscriptionIds=[publishing.subscription_id]
            )
        )
        if not status.is_good():
            msg = f"{link.place}: the server has ended our subscription: {status.name}"
            raise SessionGoneError(msg)
        publishing.start(link.client.uaclient.session)
        logger.info("%s: connected again, the server has kept our subscription", link.place)

    # --- delivering ----------------------------------------------------------------------------

    def _deliver(
        self,
        intake: Intake,
        data_changes: Sequence[bytes],
        misfits: Sequence[Misfit],
        is_urgent: bool,
    ) -> "list[asyncio.Future[None]]":
        """Take what a notification holds; see `edge_agent.sources.opcua_publish.Deliver`."""
        batches = [self._take(self._decoder.decode(body, self.clock_ns())) for body in data_changes]
        if not batches and not misfits:
            return []
        if not self._is_proven:
            self._is_proven = True
            intake.heard(self.name)
        batch = batches[0] if len(batches) == 1 else TelemetryBatch.concatenate(batches)
        return [intake.submit(batch, misfits, is_urgent=is_urgent)]

    def _take(self, decoded: Decoded) -> TelemetryBatch:
        """Count what was decoded, and log what a person should mend."""
        self.counters.overflows += decoded.n_overflows
        self.counters.misfits += len(decoded.unusable)
        for handle, kind in decoded.unusable.items():
            node = self.settings.nodes[handle - 1]
            self._tell_once(
                f"{self.name}, node {node.node_id}: its value is {kind}, and a sample is a number; "
                "remove the node from opcua.nodes"
            )
        if decoded.n_overflows:
            self._tell_once(
                f"{self.name}: the server dropped values because its queue was full; make "
                "queue_size larger or publishing_interval_ms shorter"
            )
        if decoded.n_without_source_time:
            self._tell_once(
                f"{self.name}: values come without source time; the time of the server is taken"
            )
        return decoded.batch

    # --- watching ------------------------------------------------------------------------------

    async def _watch(self, link: OpcuaLink) -> str:
        """Wait until the connection is lost, and say why."""
        publishing = self._publishing
        assert publishing is not None  # noqa: S101 - made while connecting
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            if publishing.end is not None:
                self._resume_until_s = 0.0
                return publishing.end
            if not link.is_connected:
                return "the connection was cut"
            if publishing.failure is not None:
                return publishing.failure
            silent_s = time.monotonic() - publishing.heard_at_s
            if not publishing.is_keeping and silent_s > self._silence_s:
                return f"no word for {silent_s:.0f} s"
            await link.keep()
            self._resume_until_s = time.monotonic() + SESSION_TIMEOUT_S

    def _set_bad_nodes(self, count: int) -> None:
        self.counters.bad_nodes += count - self._bad_nodes
        self._bad_nodes = count

    def _warn(self, node: OpcuaNodeSettings, problem: str) -> None:
        logger.warning("%s, node %s (%s): %s", self.name, node.node_id, node.signal, problem)

    def _tell_once(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            logger.warning("%s", message)
