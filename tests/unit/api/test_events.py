"""Live events: nobody misses one unknowingly, and nobody who is slow costs memory."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

from api.events import EventHub


def follow(
    hub: EventHub, act: Callable[[], Awaitable[None]], n_chunks: int, last: str | None = None
) -> list[str]:
    """First chunks of a stream, with something happening after it has begun."""

    async def run() -> list[str]:
        stream: AsyncIterator[bytes] = hub.stream(last, heartbeat_s=0.05)
        chunks = [(await anext(stream)).decode()]
        await act()
        async with asyncio.timeout(5.0):
            while len(chunks) < n_chunks:
                chunks.append((await anext(stream)).decode())
        return chunks

    return asyncio.run(run())


async def nothing() -> None:
    """Happens."""


def test_a_reader_gets_what_is_published_after_it_came() -> None:
    hub = EventHub()
    hub.publish("health", {"machine_key": "before"})

    async def act() -> None:
        hub.publish("health", {"machine_key": "press-1"})

    _, chunk = follow(hub, act, 2)

    assert chunk == (f'id: {hub.boot}-2\nevent: health\ndata: {{"machine_key":"press-1"}}\n\n')


def test_a_reader_that_comes_back_gets_what_it_missed() -> None:
    hub = EventHub()
    for number in range(3):
        hub.publish("risk", {"number": number})

    _, chunk = follow(hub, nothing, 2, f"{hub.boot}-1")

    numbers = [
        json.loads(line.removeprefix("data: "))["number"]
        for line in chunk.splitlines()
        if line.startswith("data: ")
    ]
    assert numbers == [1, 2]


def test_a_reader_that_missed_too_much_is_told_to_begin_again() -> None:
    hub = EventHub(ring_events=2)
    for number in range(5):
        hub.publish("risk", {"number": number})

    _, chunk = follow(hub, nothing, 2, f"{hub.boot}-1")

    assert "event: reset" in chunk
    assert f"id: {hub.boot}-5" in chunk


def test_a_reader_of_an_earlier_process_is_told_to_begin_again() -> None:
    hub = EventHub()

    _, chunk = follow(hub, nothing, 2, "0badcafe-17")

    assert "event: reset" in chunk


def test_nonsense_in_last_event_id_is_told_to_begin_again() -> None:
    hub = EventHub()

    for last in ("", "x", f"{hub.boot}-", f"{hub.boot}--1", f"{hub.boot}-9999", "é-1"):
        assert "event: reset" in follow(hub, nothing, 2, last)[1]


def test_silence_is_filled_with_heartbeats() -> None:
    assert follow(EventHub(), nothing, 3)[1:] == [": still here\n\n"] * 2


def test_events_of_other_threads_arrive() -> None:
    hub = EventHub()

    async def act() -> None:
        thread = threading.Thread(target=hub.publish, args=("alarm", {"key": "a"}))
        thread.start()
        await asyncio.to_thread(thread.join)

    assert "event: alarm" in follow(hub, act, 2)[1]


def test_closing_the_hub_ends_every_stream() -> None:
    hub = EventHub()

    async def run() -> list[bytes]:
        stream = hub.stream()
        await anext(stream)
        hub.close()
        return [chunk async for chunk in stream]

    assert asyncio.run(run()) == []


def test_what_is_kept_for_those_who_come_back_is_bounded_in_bytes() -> None:
    hub = EventHub(ring_bytes=1000)
    for number in range(50):
        hub.publish("samples", {"number": number, "machines": "x" * 100})

    assert 5 < len(hub.since(45)) + 4 < 10
    assert [event.kind for event in hub.since(1)] == ["reset"]
    hub.publish("samples", {"machines": "x" * 5000})
    assert len(hub.since(50)) == 1


def test_a_last_event_id_of_thousands_of_digits_is_told_to_begin_again() -> None:
    hub = EventHub()

    assert hub.resume_from(f"{hub.boot}-" + "9" * 5000) is None
