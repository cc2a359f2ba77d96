"""Live events: published from any thread, followed by any number of readers.

Readers share one ring of recent events and each remembers the last one it saw, so a slow reader
costs no memory of its own. The ring is bounded in bytes too: one event of a thousand machines
weighs as much as hundreds of the demo's. One who fell behind the ring, or who knew another
process, is told ``reset`` and should reload what it shows.
"""

import asyncio
import json
import secrets
import threading
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal

EventKind = Literal["samples", "health", "alarm", "proposal", "risk", "update", "reset"]

RING_EVENTS: Final = 4096
"""About ten minutes of the demo at its busiest; a browser reconnects within seconds."""

RING_BYTES: Final = 16 * 1024 * 1024
"""Four thousand events of twelve machines fit; of a thousand machines, about a minute. [bytes]"""

HEARTBEAT_S: Final = 15.0
"""Proxies cut silent connections after 30 to 60 s."""

MAX_DIGITS: Final = 18
"""Python refuses to read numbers of thousands of digits; no process publishes so many events."""

RETRY_MS: Final = 2000
"""How long a browser waits before it connects again."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that changed.

    Parameters
    ----------
    number : int
        Counts up from 1 in this process.
    kind : str
        What changed.
    data : str
        Facts about it, as JSON.
    """

    number: int
    kind: EventKind
    data: str


@dataclass(slots=True, eq=False)
class _Follower:
    loop: asyncio.AbstractEventLoop
    news: asyncio.Event = field(default_factory=asyncio.Event)


class EventHub:
    """Ring of recent events and the readers that follow it.

    Parameters
    ----------
    ring_events : int
        How many events are kept at most for readers that come back.
    ring_bytes : int
        How long their data may be together; the newest event is always kept. [bytes]
    """

    def __init__(self, ring_events: int = RING_EVENTS, ring_bytes: int = RING_BYTES) -> None:
        self.boot = secrets.token_hex(4)
        """Tells the events of this process from those of an earlier one."""
        self._ring: deque[Event] = deque()
        self._ring_events = ring_events
        self._ring_bytes = ring_bytes
        self._n_bytes = 0
        self._lock = threading.Lock()
        self._followers: set[_Follower] = set()
        self._is_closed = False
        self._n_published = 0

    def publish(self, kind: EventKind, data: Mapping[str, Any]) -> Event:
        """Tell every reader; may be called from any thread.

        Parameters
        ----------
        kind : str
            What changed.
        data : mapping
            JSON-able facts about it.

        Returns
        -------
        Event
            As published.
        """
        # Escaped to ASCII, so that characters are bytes.
        text = json.dumps(data, separators=(",", ":"), allow_nan=False)
        with self._lock:
            self._n_published += 1
            event = Event(self._n_published, kind, text)
            self._ring.append(event)
            self._n_bytes += len(text)
            while len(self._ring) > self._ring_events or (
                self._n_bytes > self._ring_bytes and len(self._ring) > 1
            ):
                self._n_bytes -= len(self._ring.popleft().data)
            followers = tuple(self._followers)
        self._wake(followers)
        return event

    def close(self) -> None:
        """End every reader, so that the server can stop."""
        with self._lock:
            self._is_closed = True
            followers = tuple(self._followers)
        self._wake(followers)

    def since(self, number: int) -> list[Event]:
        """Events after one that was seen.

        Parameters
        ----------
        number : int
            Number of the last event seen; 0 for none.

        Returns
        -------
        list of Event
            In order; begins with a ``reset`` if some are no longer kept.
        """
        with self._lock:
            oldest = self._ring[0].number if self._ring else self._n_published + 1
            if number + 1 < oldest or number > self._n_published:
                return [Event(self._n_published, "reset", "{}")]
            return [event for event in self._ring if event.number > number]

    def resume_from(self, last_event_id: str | None) -> int | None:
        """Read a ``Last-Event-ID`` header.

        Parameters
        ----------
        last_event_id : str or None
            As the reader sent it; None for a reader that is new.

        Returns
        -------
        int or None
            Number to resume after; None if the id is not one of this process.
        """
        if last_event_id is None:
            return self._n_published
        boot, _, number = last_event_id.partition("-")
        is_number = number.isdecimal() and len(number) <= MAX_DIGITS
        return int(number) if boot == self.boot and is_number else None

    async def stream(
        self, last_event_id: str | None = None, *, heartbeat_s: float = HEARTBEAT_S
    ) -> AsyncIterator[bytes]:
        """Follow the events as ``text/event-stream``.

        Parameters
        ----------
        last_event_id : str, optional
            Last event the reader saw.
        heartbeat_s : float
            A comment is sent after this much silence. [s]

        Yields
        ------
        bytes
            One or more whole events, or a heartbeat.
        """
        follower = _Follower(asyncio.get_running_loop())
        with self._lock:
            self._followers.add(follower)
        try:
            resumed = self.resume_from(last_event_id)
            yield f"retry: {RETRY_MS}\n\n".encode()
            if resumed is None:
                resumed = self._n_published
                yield self._encode(Event(resumed, "reset", "{}"))
            while not self._is_closed:
                follower.news.clear()
                events = self.since(resumed)
                if events:
                    resumed = events[-1].number
                    yield b"".join(map(self._encode, events))
                    continue
                try:
                    await asyncio.wait_for(follower.news.wait(), heartbeat_s)
                except TimeoutError:
                    yield b": still here\n\n"
        finally:
            with self._lock:
                self._followers.discard(follower)

    def _encode(self, event: Event) -> bytes:
        lines = f"id: {self.boot}-{event.number}\nevent: {event.kind}\ndata: {event.data}\n\n"
        return lines.encode()

    @staticmethod
    def _wake(followers: tuple[_Follower, ...]) -> None:
        for follower in followers:
            # A loop that has ended, perhaps just now, has no reader left to wake.
            with suppress(RuntimeError):
                follower.loop.call_soon_threadsafe(follower.news.set)
