"""Publish requests: in order, acknowledged after the disk, never more than fit."""

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncua
import pytest
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_to_binary

from edge_agent.counters import Counters
from edge_agent.records import Misfit
from edge_agent.sources.opcua_publish import PublishLoop

ua: Any = asyncua.ua
SUBSCRIPTION = 7


def message(sequence: int, *, available: Sequence[int] = (), is_broken: bool = False) -> bytes:
    response = ua.PublishResponse()
    response.Parameters.SubscriptionId = SUBSCRIPTION
    response.Parameters.AvailableSequenceNumbers = list(available)
    response.Parameters.NotificationMessage.SequenceNumber = sequence
    change = ua.DataChangeNotification([ua.MonitoredItemNotification(sequence, ua.DataValue(1.0))])
    response.Parameters.NotificationMessage.NotificationData = [change]
    made = struct_to_binary(response)
    return made[:-9] if is_broken else made


class Server:
    """Answers what a session sends: Publish when there is something, Republish from its store."""

    def __init__(self, *, n_requests_taken: int = 100) -> None:
        self.acknowledged: list[int] = []
        self.n_waiting = 0
        self._taken = n_requests_taken
        self._said: asyncio.Queue[bytes] = asyncio.Queue()
        self.held: dict[int, bytes] = {}

    def say(self, what: bytes) -> None:
        self._said.put_nowait(what)

    async def _send_request(self, request: Any, timeout: float | None = None) -> Buffer:  # noqa: ANN401, ASYNC109 - asyncua's own
        if isinstance(request, ua.RepublishRequest):
            await asyncio.sleep(0.01)
            return self._republish(request.Parameters.RetransmitSequenceNumber)
        if self.n_waiting >= self._taken:
            raise ua.UaStatusCodeError(ua.StatusCodes.BadTooManyPublishRequests)
        acknowledgements = request.Parameters.SubscriptionAcknowledgements
        self.acknowledged += [one.SequenceNumber for one in acknowledgements]
        self.n_waiting += 1
        try:
            return Buffer(await self._said.get())
        finally:
            self.n_waiting -= 1

    def _republish(self, sequence: int) -> Buffer:
        if sequence not in self.held:
            raise ua.UaStatusCodeError(ua.StatusCodes.BadMessageNotAvailable)
        response = ua.RepublishResponse()
        change = ua.DataChangeNotification([
            ua.MonitoredItemNotification(sequence, ua.DataValue(1.0))
        ])
        response.NotificationMessage.SequenceNumber = sequence
        response.NotificationMessage.NotificationData = [change]
        return Buffer(struct_to_binary(response))


class Disk:
    """Takes what is delivered, and makes it durable when the test says so."""

    def __init__(self) -> None:
        self.delivered: list[int] = []
        self.misfits: list[Misfit] = []
        self.urgent: list[bool] = []
        self.futures: list[asyncio.Future[None]] = []

    def take(
        self, data_changes: Sequence[bytes], misfits: Sequence[Misfit], is_urgent: bool
    ) -> list["asyncio.Future[None]"]:
        # The client handle of the only item is the number of the notification.
        self.delivered += [int.from_bytes(body[4:8], "little") for body in data_changes]
        self.misfits += misfits
        self.urgent.append(is_urgent)
        self.futures.append(asyncio.get_running_loop().create_future())
        return [self.futures[-1]]

    def sync(self) -> None:
        for future in self.futures:
            if not future.done():
                future.set_result(None)


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


def begin(server: Server, disk: Disk, n_requests: int = 3) -> PublishLoop:
    loop = PublishLoop("opcua hall-1", SUBSCRIPTION, disk.take, Counters(), n_requests=n_requests)
    loop.start(server)  # type: ignore[arg-type]  # all that it asks of a session
    return loop


def test_a_notification_is_acknowledged_once_and_only_after_the_disk_has_it() -> None:
    async def run() -> None:
        server, disk = Server(), Disk()
        loop = begin(server, disk)
        server.say(message(1))
        await settle()
        assert (disk.delivered, server.acknowledged, loop.is_keeping) == ([1], [], True)
        server.say(message(2))
        await settle()
        assert server.acknowledged == []
        disk.sync()
        await settle()
        assert sorted(server.acknowledged) == [1, 2]
        for number in range(3, 6):
            server.say(message(number))
            await settle()
            disk.sync()
            await settle()
        assert sorted(server.acknowledged) == [1, 2, 3, 4, 5]
        loop.stop()

    asyncio.run(run())


def test_while_nothing_becomes_durable_no_more_is_asked_for_and_the_last_is_urgent() -> None:
    async def run() -> None:
        server, disk = Server(), Disk()
        loop = begin(server, disk, n_requests=3)
        for number in range(1, 10):
            server.say(message(number))
        await settle()
        assert disk.delivered == [1, 2, 3]
        assert disk.urgent[-1]
        assert server.n_waiting == 0
        disk.sync()
        await settle()
        assert disk.delivered == [1, 2, 3, 4, 5, 6]
        loop.stop()

    asyncio.run(run())


def test_a_gap_is_asked_for_before_what_came_after_it_is_handed_over() -> None:
    async def run() -> None:
        server, disk = Server(), Disk()
        loop = begin(server, disk)
        server.held = {2: b"", 3: b""}
        server.say(message(1))
        server.say(message(5, available=[2, 3, 4]))
        server.say(message(6))
        for _ in range(20):
            await asyncio.sleep(0.01)
            disk.sync()
        assert disk.delivered == [1, 2, 3, 5, 6]
        assert loop._counters.missed == 1
        assert sorted(server.acknowledged) == [1, 2, 3, 5, 6]
        loop.stop()

    asyncio.run(run())


def test_what_can_not_be_read_is_set_aside_whole_and_the_rest_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def run() -> None:
        server, disk = Server(), Disk()
        loop = begin(server, disk)
        broken = message(1, is_broken=True)
        server.say(broken)
        server.say(message(2))
        for _ in range(10):
            await asyncio.sleep(0.01)
            disk.sync()
        assert [misfit.body for misfit in disk.misfits] == [broken]
        assert disk.delivered == [2]
        assert loop.failure is None
        loop.stop()

    asyncio.run(run())
    assert "can't be read and was set aside" in caplog.text


def test_a_server_that_takes_fewer_requests_gets_fewer() -> None:
    async def run() -> None:
        server, disk = Server(n_requests_taken=2), Disk()
        loop = begin(server, disk, n_requests=5)
        await settle()
        assert server.n_waiting == 2
        for number in range(1, 5):
            server.say(message(number))
            await settle()
            disk.sync()
            await settle()
        assert disk.delivered == [1, 2, 3, 4]
        assert loop.failure is None
        loop.stop()

    asyncio.run(run())


def test_what_was_kept_while_the_line_was_down_is_acknowledged_on_the_next() -> None:
    async def run() -> None:
        server, disk = Server(), Disk()
        loop = begin(server, disk)
        server.say(message(1))
        await settle()
        loop.stop()
        await settle()
        disk.sync()
        await settle()
        loop.start(server)  # type: ignore[arg-type]  # all that it asks of a session
        await settle()
        assert server.acknowledged == [1]
        loop.stop()

    asyncio.run(run())
