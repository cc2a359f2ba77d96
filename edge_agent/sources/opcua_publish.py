"""Asks an OPC UA server for notifications, and acknowledges each only after the outbox has it.

asyncua's own publish loop decodes every value into objects, has one request under way at a time,
and acknowledges when a callback returns. Here several requests wait at the server, so that it can
send while the disk still writes; each one's answer is handed over as bytes, in the order it came,
and its number goes into the acknowledgements of a later request once it is durable. While nothing
becomes durable no further request is sent: the server then keeps what it has.
"""

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from asyncua import ua
from asyncua.client.ua_session import UaSession
from asyncua.ua.ua_binary import struct_from_binary

from edge_agent.counters import Counters
from edge_agent.records import Misfit
from edge_agent.sources.opcua_bytes import MalformedError
from edge_agent.sources.opcua_envelope import (
    Notification,
    PublishAnswer,
    RefusedError,
    read_publish_answer,
    read_republish_answer,
)
from edge_agent.sources.opcua_link import CLIENT_ERRORS, words
from edge_agent.sources.opcua_sequences import Sequences

logger = logging.getLogger(__name__)

N_REQUESTS: Final = 5
"""Publish requests that wait at the server; many servers take no more than 10 of a session."""

RETRY_S: Final = 0.2
"""Pause after a server ended a request for being too old, which some do at once."""

ENDS: Final = frozenset({
    ua.StatusCodes.BadTimeout,
    ua.StatusCodes.GoodSubscriptionTransferred,
    ua.StatusCodes.BadSubscriptionIdInvalid,
    ua.StatusCodes.BadShutdown,
    ua.StatusCodes.BadServerHalted,
})
"""Statuses with which a subscription ends (OPC UA Part 4, 5.14.1 and 7.25.4)."""

MAX_MISFIT_BYTES: Final = 1_000_000
"""Of a message that can't be read, so much is set aside."""

Deliver = Callable[[Sequence[bytes], Sequence[Misfit], bool], Sequence["asyncio.Future[None]"]]
"""Takes bodies of data changes, what could not be read, and whether it is urgent; its futures are
done when all of it is durable."""


class PublishLoop:
    """Receives the notifications of one subscription.

    It outlives connections: what was seen and what is still to be acknowledged is remembered, and
    after `start` on the next connection of the same session it goes on where it was.

    Parameters
    ----------
    name : str
        What the source is called in logs.
    subscription_id : int
        The subscription.
    deliver : callable
        Takes what came, see `Deliver`. A `MalformedError` that it raises sets the message aside.
    counters : Counters
        Where to count.
    on_kept : callable, optional
        Takes the number of each notification that is durable.
    on_missed : callable, optional
        Called when a notification is lost, before anything newer is handed over.
    n_requests : int
        Publish requests to have at the server.
    """

    def __init__(
        self,
        name: str,
        subscription_id: int,
        deliver: Deliver,
        counters: Counters,
        *,
        on_kept: Callable[[int], None] | None = None,
        on_missed: Callable[[], None] | None = None,
        n_requests: int = N_REQUESTS,
    ) -> None:
        self.subscription_id = subscription_id
        self.sequences = Sequences()
        self.heard_at_s = 0.0
        self.end: str | None = None
        """Why the server will send nothing more to this subscription."""
        self.failure: str | None = None
        """Why this connection is of no more use."""
        self.has_heard = False
        """Whether anything came on this connection."""
        self.has_notice = False
        """Whether the server said that something is wrong with an item, such as its node's end."""
        self._on_kept = on_kept
        self._on_missed = on_missed
        self._name = name
        self._deliver = deliver
        self._counters = counters
        self._n_requests = n_requests
        self._n_askers = 0
        self._n_keeping = 0
        self._acknowledgements: list[int] = []
        self._order = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_keeping(self) -> bool:
        """Whether something that came is not durable yet: the server may have no request then."""
        return self._n_keeping > 0

    def start(self, session: UaSession) -> None:
        """Begin to ask, on a connection that is up.

        Parameters
        ----------
        session : UaSession
            The session that has the subscription.
        """
        self.stop()
        self.has_heard = False
        self.heard_at_s, self.failure, self._n_askers = time.monotonic(), None, self._n_requests
        for _ in range(self._n_requests):
            task = asyncio.create_task(self._ask_forever(session))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Stop asking; what has come becomes durable all the same."""
        for task in self._tasks:
            task.cancel()

    # --- asking --------------------------------------------------------------------------------

    async def _ask_forever(self, session: UaSession) -> None:
        while self.failure is None and self.end is None:
            try:
                message = await self._ask(session)
                if message is not None:
                    self.heard_at_s, self.has_heard = time.monotonic(), True
                    await self._receive(session, message)
                    self.heard_at_s = time.monotonic()
            except ua.UaStatusCodeError as error:
                if error.code == ua.StatusCodes.BadTooManyPublishRequests and self._n_askers > 1:
                    self._n_askers -= 1
                    return
                self.failure = words(error)
            except (*CLIENT_ERRORS, RefusedError) as error:
                self.failure = words(error)
            except Exception as error:
                # The top of the loop: whatever this is, the connection is made anew.
                logger.exception("%s: fault while receiving", self._name)
                self._counters.faults += 1
                self.failure = repr(error)

    async def _ask(self, session: UaSession) -> bytes | None:
        """Send one request and wait for its answer, None if the server let it grow too old.

        Raises
        ------
        UaStatusCodeError
            If the server does not want to.
        """
        request = ua.PublishRequest()
        sequences, self._acknowledgements = self._acknowledgements, []
        request.Parameters.SubscriptionAcknowledgements = [
            ua.SubscriptionAcknowledgement(ua.IntegerId(self.subscription_id), ua.Counter(sequence))
            for sequence in sequences
        ]
        try:
            answer = await session._send_request(request, timeout=0)
        except ua.UaStatusCodeError as error:
            self._acknowledgements += sequences
            if error.code != ua.StatusCodes.BadTimeout:
                raise
            await asyncio.sleep(RETRY_S)
            return None
        except BaseException:
            # Whether the server has read them is not known; to acknowledge twice does no harm.
            self._acknowledgements += sequences
            raise
        return answer.read(len(answer))

    # --- what came -----------------------------------------------------------------------------

    async def _receive(self, session: UaSession, message: bytes) -> None:
        """Hand over one answer, and wait until it is durable."""
        # Answers are handed over in the order they came: the lock is a queue.
        self._n_keeping += 1
        try:
            async with self._order:
                kept = await self._take(session, message)
            for durable in kept:
                await asyncio.shield(durable)
        finally:
            self._n_keeping -= 1

    async def _take(self, session: UaSession, message: bytes) -> "list[asyncio.Future[list[None]]]":
        try:
            answer = read_publish_answer(message)
        except MalformedError as error:
            return [self._keep((), self._misfit(error, message), None)]
        if answer.subscription_id != self.subscription_id:
            return []
        kept = await self._fill_gaps(session, answer)
        notification = answer.notification
        if notification.ended is not None:
            if notification.ended in ENDS:
                name = ua.StatusCode(ua.UInt32(notification.ended)).name
                self.end = f"the server ended the subscription: {name}"
            else:
                # asyncua's server tells of a deleted node in this way; the others go on.
                self.has_notice = True
        if notification.has_content:
            self.sequences.note(notification.sequence)
            kept.append(self._keep_notification(notification, message))
        return kept

    async def _fill_gaps(
        self, session: UaSession, answer: PublishAnswer
    ) -> "list[asyncio.Future[list[None]]]":
        """Ask again for what was sent into a connection that was already dead."""
        kept = []
        # A keep-alive carries the number that the next notification will have.
        upto = answer.notification.sequence - 1
        for sequence in self.sequences.missing(upto, answer.available):
            durable = await self._republish(session, sequence)
            self.sequences.note(sequence)
            if durable is None:
                self._counters.missed += 1
                if self._on_missed is not None:
                    self._on_missed()
            else:
                kept.append(durable)
        return kept

    async def _republish(
        self, session: UaSession, sequence: int
    ) -> "asyncio.Future[list[None]] | None":
        """Ask for one notification again; None if the server does not have it."""
        request = ua.RepublishRequest()
        request.Parameters.SubscriptionId = ua.IntegerId(self.subscription_id)
        request.Parameters.RetransmitSequenceNumber = ua.Counter(sequence)
        try:
            answer = await session._send_request(request)
        except ua.UaStatusCodeError as error:
            logger.warning("%s: notification %d: %s", self._name, sequence, words(error))
            return None
        message = answer.read(len(answer))
        try:
            notification = read_republish_answer(message)
        except MalformedError as error:
            return self._keep((), self._misfit(error, message), sequence)
        except RefusedError as error:
            logger.warning("%s: notification %d: %s", self._name, sequence, error)
            return None
        # asyncua's server answers with an empty message for one that it no longer has.
        if notification.sequence != sequence or not notification.has_content:
            return None
        return self._keep_notification(notification, message)

    def _keep_notification(
        self, notification: Notification, message: bytes
    ) -> "asyncio.Future[list[None]]":
        try:
            return self._keep(notification.data_changes, (), notification.sequence)
        except MalformedError as error:
            return self._keep((), self._misfit(error, message), notification.sequence)
        except Exception as error:
            # A server that is not acknowledged sends the same again: set it aside, so that nothing
            # is lost and nothing beside it waits.
            logger.exception("%s: a notification can't be read", self._name)
            self._counters.faults += 1
            return self._keep((), self._misfit(error, message), notification.sequence)

    def _keep(
        self, data_changes: Sequence[bytes], misfits: Sequence[Misfit], sequence: int | None
    ) -> "asyncio.Future[list[None]]":
        """Hand over; acknowledge when it is durable, whether the connection still lives or not."""
        is_urgent = self._n_keeping >= self._n_askers
        durable = asyncio.gather(*self._deliver(data_changes, misfits, is_urgent))
        if sequence is not None:
            durable.add_done_callback(functools.partial(self._acknowledge, sequence))
        return durable

    def _acknowledge(self, sequence: int, durable: "asyncio.Future[list[None]]") -> None:
        if not durable.cancelled() and durable.exception() is None:
            self._acknowledgements.append(sequence)
            if self._on_kept is not None:
                self._on_kept(sequence)

    def _misfit(self, error: Exception, message: bytes) -> list[Misfit]:
        self._counters.misfits += 1
        logger.warning(
            "%s: a notification can't be read and was set aside: %s (`staybolt-edge outbox` lists "
            "it)",
            self._name,
            error,
        )
        return [Misfit(self._name, f"can't be read: {error}", message[:MAX_MISFIT_BYTES])]


async def create_subscription(
    session: UaSession, parameters: ua.CreateSubscriptionParameters
) -> ua.CreateSubscriptionResult:
    """Make a subscription without the publish loop that asyncua begins with each.

    Parameters
    ----------
    session : UaSession
        Where to make it.
    parameters : CreateSubscriptionParameters
        What is asked for.

    Returns
    -------
    CreateSubscriptionResult
        What the server gives.
    """
    answer = await session._send_request(ua.CreateSubscriptionRequest(Parameters=parameters))
    response = struct_from_binary(ua.CreateSubscriptionResponse, answer)
    response.ResponseHeader.ServiceResult.check()
    given: ua.CreateSubscriptionResult = response.Parameters
    return given
