"""Tells systemd how the agent is, over the socket that it names in ``NOTIFY_SOCKET``.

Protocol of sd_notify(3): a datagram of ``NAME=value`` lines. The watchdog is fed by the event loop
itself, so an agent whose loop hangs is not fed, and systemd starts it anew. Without systemd nothing
of this does anything.
"""

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Mapping
from typing import Final

logger = logging.getLogger(__name__)

FEEDS_PER_INTERVAL: Final = 3
"""systemd recommends twice or more within the interval that it allows."""


class ServiceManager:
    """The other end of ``NOTIFY_SOCKET``.

    Parameters
    ----------
    environment : mapping of str to str
        Environment of the process.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._watchdog_s = _watchdog_s(environment)

    @property
    def is_there(self) -> bool:
        """Whether somebody listens."""
        return self._address is not None

    def tell(self, *lines: str) -> None:
        """Tell something; never waits and never fails.

        Parameters
        ----------
        *lines : str
            Such as ``READY=1``.
        """
        if self._address is None:
            return
        with (
            contextlib.suppress(OSError),
            socket.socket(
                socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            ) as link,
        ):
            link.sendto("\n".join(lines).encode(), self._address)

    def ready(self) -> None:
        """Tell that the agent runs, or has read its settings again."""
        self.tell("READY=1")

    def reloading(self) -> None:
        """Tell that the agent reads its settings again."""
        self.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Tell that the agent is about to end."""
        self.tell("STOPPING=1")

    async def feed_watchdog(self) -> None:
        """Tell for ever that the event loop runs, as often as is asked for."""
        if self._watchdog_s is None or not self.is_there:
            return
        logger.info("systemd restarts this agent if it hangs for %.0f s", self._watchdog_s)
        while True:
            self.tell("WATCHDOG=1")
            await asyncio.sleep(self._watchdog_s / FEEDS_PER_INTERVAL)


def _address(name: str) -> str | None:
    if not name.startswith(("/", "@")):
        return None
    # A name that begins with @ is in Linux's abstract namespace, which begins with a zero byte.
    return f"\0{name[1:]}" if name.startswith("@") else name


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    try:
        interval_s = int(environment["WATCHDOG_USEC"]) / 1e6
        meant = int(environment.get("WATCHDOG_PID", os.getpid()))
    except (KeyError, ValueError):
        return None
    return interval_s if interval_s > 0 and meant == os.getpid() else None
