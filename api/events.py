"""Live events: published from any thread, followed by any number of readers.

Readers share one ring of recent events and each remembers the last one it saw, so a slow reader
costs no memory of its own. One who fell behind the ring, or who knew another process, is told
``reset`` and should reload what it shows.
"""

import asyncio
import json
import secrets
import threading
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

EventKind = Literal["samples", "health", "alarm", "proposal", "risk", "update", "reset"]

RING_EVENTS: Final = 4096
"""About ten minutes of the demo at its busiest; a browser reconnects within seconds."""

HEARTBEAT_S: Final = 15.0
"""Proxies cut silent connections after 30 to 60 s."""

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
    data : mapping
        JSON-able facts about it.
    """

    number: int
    kind: EventKind
    data: Mapping[str, Any]


@dataclass(slots=True, eq=False)
class _Follower:
    loop: asyncio.AbstractEventLoop
    news: asyncio.Event = field(default_factory=asyncio.Event)


class EventHub:
    """Ring of recent events and the readers that follow it.

    Parameters
    ----------
    ring_events : int
        How many events are kept for readers that come back.
    """

    def __init__(self, ring_events: int = RING_EVENTS) -> None:
        self.boot = secrets.token_hex(4)
        """Tells the events of this process from those of an earlier one."""
        self._ring: deque[Event] = deque(maxlen=ring_events)
        self._lock = threading.Lock()
        self._followers: set[_Follower] = set()
        self._is_closed = False
        self._n_published = 0

    @property
    def n_published(self) -> int:
        """Events published so far."""
        return self._n_published

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
        with self._lock:
            self._n_published += 1
            event = Event(self._n_published, kind, data)
            self._ring.append(event)
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
                return [Event(self._n_published, "reset", {})]
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
        return int(number) if boot == self.boot and number.isdecimal() else None

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
                yield self._encode(Event(resumed, "reset", {}))
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
        data = json.dumps(event.data, separators=(",", ":"), allow_nan=False)
        return f"id: {self.boot}-{event.number}\nevent: {event.kind}\ndata: {data}\n\n".encode()

    @staticmethod
    def _wake(followers: tuple[_Follower, ...]) -> None:
        for follower in followers:
            # A loop that ended meanwhile has no reader left to wake.
            if not follower.loop.is_closed():
                follower.loop.call_soon_threadsafe(follower.news.set)
