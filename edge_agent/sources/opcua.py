"""Reads an OPC UA server through a subscription, and never writes to it.

The supervisor of one server: it connects, goes on with the subscription that the server still has
for us (of the connection before, or of the agent's run before), subscribes anew where it has none,
keeps what is watched in line with the settings, and notices when the server is no longer heard.

asyncua's own supervisor takes 20 s to come back and can republish without end, its `Subscription`
hands every value to a task of its own, and its decoder can be made to hang; its services are used,
those three are not. A notification is acknowledged only after the outbox has it
(`edge_agent.sources.opcua_publish`): a server keeps what we don't have.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge_agent.counters import Counters
from edge_agent.errors import EdgeError, SourceError
from edge_agent.keys import OwnKeys
from edge_agent.ports import Intake
from edge_agent.settings_opcua import OpcuaSettings, is_live_change
from edge_agent.sources.opcua_adoption import Memory, Notebook
from edge_agent.sources.opcua_certificates import CertificateWatch
from edge_agent.sources.opcua_delivery import Delivery
from edge_agent.sources.opcua_gaps import GapFiller
from edge_agent.sources.opcua_items import Items
from edge_agent.sources.opcua_link import CLIENT_ERRORS, OpcuaLink
from edge_agent.sources.opcua_publish import PublishLoop
from edge_agent.sources.opcua_sequences import Sequences
from edge_agent.sources.opcua_subscription import (
    SILENCE_MIN_S,
    make_subscription,
    modify_subscription,
    take_over,
)
from ingest.telemetry import Series

logger = logging.getLogger(__name__)

WATCH_INTERVAL_S: Final = 0.25

KNOCK_S: Final = (0.4, 0.8)
"""Pause between two questions whether a server that nobody answered at is there again."""

NODE_RETRY_S: Final = 60.0
"""Which nodes are gone, or there again, is asked so often: not every server tells."""

VANISHED_CHECK_S: Final = 5.0
"""The same where the server has told that some node is gone."""

MAX_DEAF_ADOPTIONS: Final = 2
"""A subscription that was taken over and says nothing so often is given up for a new one."""


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
        Where subscriptions are remembered, and where certificates that are not trusted are put.
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
    _link: OpcuaLink = field(init=False)
    _items: Items = field(init=False)
    _delivery: Delivery = field(init=False)
    _notebook: Notebook = field(init=False)
    _certificates: CertificateWatch = field(init=False)
    _gaps: GapFiller = field(init=False)
    _memory: Memory | None = None
    _publishing: PublishLoop | None = None
    _has_read_notebook: bool = False
    _is_subscribed: bool = False
    _is_away: bool = False
    _silence_s: float = SILENCE_MIN_S
    _bad_nodes: int = 0
    _n_deaf: int = 0
    _retry_at_s: float = 0.0
    _look_at_s: float = 0.0
    _reconciling: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self._items = Items(self.name, self.series[0].site)
        self._delivery = Delivery(self.name, self._items, self.counters, self.clock_ns)
        self._notebook = Notebook(self.state_dir, self.settings.name)
        self._certificates = CertificateWatch(self.name, self.keys, self.state_dir, self.counters)
        self._gaps = GapFiller(self.name, self._items, self._delivery, self.clock_ns)
        self._link = OpcuaLink(self.settings, self.keys, self.state_dir)

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
        self._delivery.intake, self._delivery.is_proven = intake, False
        self._delivery.is_server_time = self.settings.timestamps == "server"
        self._recall()
        try:
            await self._connect_when_reachable()
            reason = await self._watch()
        except CLIENT_ERRORS as error:
            raise self._link.lost(error) from error
        except SourceError:
            self._certificates.refused(self._link.keys)
            raise
        finally:
            await self._leave()
        msg = f"{self._link.place}: {reason}"
        raise SourceError(msg)

    async def apply(self, settings: OpcuaSettings) -> bool:
        """Take changed settings without disturbing what did not change.

        Parameters
        ----------
        settings : OpcuaSettings
            Of the same server.

        Returns
        -------
        bool
            False if the server must be connected anew for them; nothing was changed then.
        """
        if not is_live_change(self.settings, settings):
            return False
        site = self.series[0].site
        is_interval_new = settings.publishing_interval_ms != self.settings.publishing_interval_ms
        self.settings = settings
        self.series = tuple(Series(site, node.machine, node.signal) for node in settings.nodes)
        self._delivery.is_server_time = settings.timestamps == "server"
        if self._is_subscribed:
            # A connection that is lost meanwhile brings everything in line when it is back.
            with contextlib.suppress(*CLIENT_ERRORS, SourceError):
                publishing = self._publishing
                if is_interval_new and publishing is not None:
                    _, self._silence_s = await modify_subscription(
                        self._link, publishing.subscription_id, settings
                    )
                await self._reconcile()
        return True

    # --- connecting ----------------------------------------------------------------------------

    def _recall(self) -> None:
        """Read what an earlier run of the agent wrote down, once."""
        if self._has_read_notebook:
            return
        self._has_read_notebook = True
        known = self._notebook.load()
        if known is None:
            return
        self._memory, self._delivery.marks = known
        if self._memory.endpoint != self.settings.endpoint:
            self._forget()
            return
        self._items.adopt(self._memory.items, self._memory.rows, self._memory.next_handle)
        self._silence_s = self._memory.silence_s

    async def _connect_when_reachable(self) -> None:
        """Connect; where nobody answers, and that was told already, ask again until one does.

        The pauses between connections grow, so that a server that refuses us is not flooded;
        asking whether anybody is there costs a server nothing, and data flow sooner.

        Raises
        ------
        SourceError
            The first time that nobody answers, and whenever the server does not let us in.
        """
        while True:
            self._link = OpcuaLink(self.settings, self._certificates.newest(), self.state_dir)
            try:
                await self._connect()
            except SourceError as error:
                is_away = isinstance(error.__cause__, OSError | TimeoutError)
                if not is_away or not self._is_away:
                    self._is_away = is_away
                    raise
                self._link.drop()
                await asyncio.sleep(random.uniform(*KNOCK_S))  # noqa: S311 - keeps no secret
            else:
                self._is_away = False
                return

    async def _connect(self) -> None:
        """Connect, and go on with the subscription we had, or make a new one."""
        if self._memory is not None and await self._adopt(self._memory):
            return
        if not self._link.is_connected:
            await self._link.open()
        await self._subscribe()

    async def _adopt(self, memory: Memory) -> bool:
        """Go on with a subscription of an earlier connection; False if the server has it not."""
        link = self._link
        how = await take_over(link, memory)
        if how is None:
            return False
        away_s = self._delivery.away_s()
        publishing = self._publishing
        if publishing is None or publishing.subscription_id != memory.subscription_id:
            publishing = self._new_publishing(memory.subscription_id)
            last = 0 if self._delivery.marks is None else self._delivery.marks.last_sequence
            publishing.sequences = Sequences(last=last or None)
        if away_s > self._items.queued_for_s / 2:
            self._delivery.note_gap()
        # The server wants another answer from now on; without it the session could not be resumed.
        self._remember(link, memory.subscription_id)
        publishing.start(link.client.uaclient.session)
        await self._begin_watch()
        logger.info(
            "%s: connected again after %.1f s, the server has %s, %d of %d nodes subscribed",
            link.place,
            away_s,
            how,
            len(self._items.watched),
            len(self.settings.nodes),
        )
        return True

    async def _subscribe(self) -> None:
        """Make a new subscription to every node that the server has."""
        link = self._link
        if self._memory is not None:
            self.counters.gaps += 1
            self._delivery.note_gap()
            logger.warning(
                "%s: nothing of ours is left on the server after %.0f s; its queue is lost, %s",
                link.place,
                self._delivery.away_s(),
                "the gap is filled from its history where it keeps one"
                if self.settings.read_history
                else "and read_history is off",
            )
        subscription_id, self._silence_s = await make_subscription(link, self.settings)
        self._items.begin()
        self._lay_out(is_new=self._delivery.marks is None)
        if self._delivery.marks is not None:
            self._delivery.marks.last_sequence = 0
        publishing = self._new_publishing(subscription_id)
        publishing.start(link.client.uaclient.session)
        await self._begin_watch()
        # Only now: what is not written down can't be taken for what it is not.
        self._remember(link, subscription_id)
        logger.info(
            "%s: connected, %d of %d nodes subscribed",
            link.place,
            len(self._items.watched),
            len(self.settings.nodes),
        )

    def _new_publishing(self, subscription_id: int) -> PublishLoop:
        delivery = self._delivery

        def kept(sequence: int) -> None:
            if delivery.marks is not None and publishing is self._publishing:
                delivery.marks.last_sequence = max(delivery.marks.last_sequence, sequence)

        publishing = PublishLoop(
            self.name,
            subscription_id,
            delivery.take,
            self.counters,
            on_kept=kept,
            on_missed=delivery.note_gap,
        )
        self._publishing = publishing
        return publishing

    async def _begin_watch(self) -> None:
        self._is_subscribed = True
        self._retry_at_s = time.monotonic() + NODE_RETRY_S
        await self._reconcile()

    # --- what is watched -----------------------------------------------------------------------

    def _lay_out(self, *, is_new: bool = False) -> None:
        """Give each series its row in the watermarks."""
        if self._items.lay_out(self.settings) or is_new:
            former = self._delivery.marks
            rows = range(0 if former is None else former.n_rows)
            self._delivery.marks = self._notebook.begin_marks(len(self._items.series), former, rows)

    async def _reconcile(self) -> None:
        """Bring what is watched in line with the settings."""
        async with self._reconciling:
            publishing = self._publishing
            if publishing is None:
                return
            has_rows = self._delivery.marks
            self._lay_out()
            is_changed = await self._items.reconcile(
                self._link.client, publishing.subscription_id, self.settings
            )
            missing = len(self._items.missing)
            self.counters.bad_nodes += missing - self._bad_nodes
            self._bad_nodes = missing
            if self._memory is not None and (is_changed or self._delivery.marks is not has_rows):
                self._remember(self._link, publishing.subscription_id)

    async def _look_for_vanished(self) -> None:
        publishing = self._publishing
        if publishing is None:
            return
        self._delivery.has_vanished = publishing.has_notice = False
        self._look_at_s = time.monotonic() + VANISHED_CHECK_S
        self._retry_at_s = time.monotonic() + NODE_RETRY_S
        gone = await self._items.find_vanished(self._link.client)
        async with self._reconciling:
            await self._items.unwatch(self._link.client, publishing.subscription_id, gone)
        if gone or self._items.missing:
            await self._reconcile()

    # --- watching ------------------------------------------------------------------------------

    async def _watch(self) -> str:
        """Wait until the connection is lost, and say why."""
        while True:
            publishing, link = self._publishing, self._link
            assert publishing is not None  # noqa: S101 - made while connecting
            await asyncio.sleep(WATCH_INTERVAL_S)
            if publishing.has_heard:
                self._n_deaf = 0
                self._delivery.note_heard(time.monotonic() - publishing.heard_at_s)
            if publishing.end is not None:
                self._forget()
                return publishing.end
            if not link.is_connected:
                return "the connection was cut"
            if publishing.failure is not None:
                return publishing.failure
            silent_s = time.monotonic() - publishing.heard_at_s
            if not publishing.is_keeping and silent_s > self._silence_s:
                return f"no word for {silent_s:.0f} s"
            await link.keep()
            is_told = publishing.has_notice or self._delivery.has_vanished
            if time.monotonic() > (self._look_at_s if is_told else self._retry_at_s):
                await self._look_for_vanished()
            if self.settings.read_history:
                self._gaps.work(link, self.settings.history_max_h)
            self._certificates.warn(link.server_certificate)
            if self._certificates.is_new_due(link.keys):
                await self._change_certificate()

    async def _change_certificate(self) -> None:
        """Go over to a connection with our new certificate, before the old one is let go."""
        old, publishing = self._link, self._publishing
        new = OpcuaLink(self.settings, self._certificates.newest(), self.state_dir)
        if publishing is None or self._memory is None:
            return
        self._remember(old, publishing.subscription_id)
        publishing.stop()
        self._link = new
        try:
            is_taken = await self._adopt(self._memory)
        except (*CLIENT_ERRORS, SourceError) as error:
            is_taken = False
            logger.warning(
                "%s: the server does not take our new certificate %s yet (%s); going on with the "
                "old one",
                old.place,
                new.keys.certificate_path,
                error,
            )
        is_same = new.token.authentication_token == old.token.authentication_token
        unused = old if is_taken else new
        if is_same:
            unused.drop()
        else:
            await unused.end(is_subscription_kept=True)
        if is_taken:
            logger.info("%s: goes on with our new certificate", new.place)
            return
        self._certificates.refused(new.keys)
        self._link = old
        publishing.start(old.client.uaclient.session)

    # --- leaving -------------------------------------------------------------------------------

    async def _leave(self) -> None:
        """Let go of the connection; what is written down stays on the server for the next one."""
        self._is_subscribed = False
        self._gaps.stop()
        publishing = self._publishing
        if publishing is not None:
            publishing.stop()
            if not publishing.has_heard and self._memory is not None:
                self._n_deaf += 1
                if self._n_deaf >= MAX_DEAF_ADOPTIONS:
                    self._forget()
        if self._memory is not None:
            self._link.drop()
        else:
            # A session that nobody resumes is closed, or the server runs out of them.
            await self._link.end()

    def _remember(self, link: OpcuaLink, subscription_id: int) -> None:
        """Write down how to go on with the subscription on another connection."""
        try:
            self._memory = self._notebook.save(
                self.settings.endpoint, link.token, subscription_id, self._silence_s, self._items
            )
        except EdgeError as error:
            logger.warning("%s: %s; a restart of the agent begins a new session", self.name, error)

    def _forget(self) -> None:
        """Give the subscription up: the next connection makes a new one."""
        self._memory, self._n_deaf = None, 0
        self._notebook.forget()
