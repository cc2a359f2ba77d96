"""Fills gaps from a server's history while the subscription goes on.

What was lost is noted where it is noticed (`Delivery.note_gap`); here it is read in a task of its
own, one gap at a time, and noted again if the connection is lost over it.
"""

import asyncio
import datetime
import logging
import time
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from edge_agent.sources.opcua_delivery import Delivery
from edge_agent.sources.opcua_history import HistoryReader
from edge_agent.sources.opcua_items import Items
from edge_agent.sources.opcua_link import CLIENT_ERRORS, OpcuaLink, words

logger = logging.getLogger(__name__)

OVERLAP: Final = datetime.timedelta(seconds=5)
"""Read so far into what is sent live: clocks of machines, servers and ours differ."""

RETRY_FIRST_S: Final = 1.0
MAX_FAILURES: Final = 6
"""Then about a minute has passed, and the server fails at this question and not at the moment."""


class GapFiller:
    """Reads what one source has missed.

    Parameters
    ----------
    name : str
        What the source is called in logs.
    items : Items
        What is watched.
    delivery : Delivery
        Where gaps are noted, and what was read goes.
    clock_ns : callable
        Wall clock. [ns since 1970-01-01 UTC]
    """

    def __init__(
        self, name: str, items: Items, delivery: Delivery, clock_ns: Callable[[], int]
    ) -> None:
        self._name = name
        self._items = items
        self._delivery = delivery
        self._clock_ns = clock_ns
        self._reader = HistoryReader(name, delivery.take_history)
        self._task: asyncio.Task[None] | None = None
        self._n_failures = 0
        self._wait_until_s = 0.0

    def work(self, link: OpcuaLink, max_h: float) -> None:
        """Begin to fill a gap if one is noted and none is being filled.

        Parameters
        ----------
        link : OpcuaLink
            A connection that is up.
        max_h : float
            How far back a gap is filled. [h]
        """
        is_busy = self._task is not None and not self._task.done()
        is_early = time.monotonic() < self._wait_until_s
        if self._delivery.gap_starts is None or is_busy or is_early:
            return
        starts, self._delivery.gap_starts = self._delivery.gap_starts, None
        self._task = asyncio.create_task(self._fill(link, starts, max_h))

    def stop(self) -> None:
        """Stop reading: the connection is gone. What was not read is still noted."""
        if self._task is not None:
            self._task.cancel()

    async def _fill(self, link: OpcuaLink, starts: npt.NDArray[np.int64], max_h: float) -> None:
        now = datetime.datetime.fromtimestamp(self._clock_ns() / 1e9, datetime.UTC)
        rows = self._items.rows
        gaps = [
            (item, int(starts[rows[item.handle]]))
            for item in self._items.watched.values()
            # What was never read has no gap.
            if rows[item.handle] < len(starts) and starts[rows[item.handle]] > 0
        ]
        is_given_up = False
        try:
            n_read = await self._reader.fill(
                link.client, gaps, now - datetime.timedelta(hours=max_h), now + OVERLAP
            )
            self._n_failures = 0
            is_given_up = True
            if n_read:
                logger.info("%s: %d values read from history to fill a gap", self._name, n_read)
        except CLIENT_ERRORS as error:
            is_given_up = self._failed(link, error)
        finally:
            if not is_given_up:
                self._delivery.note_gap_since(starts)

    def _failed(self, link: OpcuaLink, error: BaseException) -> bool:
        """Plan the next try; True if there is none."""
        if not link.is_connected:
            return False
        self._n_failures += 1
        if self._n_failures >= MAX_FAILURES:
            self._n_failures = 0
            logger.warning(
                "%s: a gap can't be filled from history: %s; set read_history = false if the "
                "server's history is of no use",
                self._name,
                words(error),
            )
            return True
        self._wait_until_s = time.monotonic() + RETRY_FIRST_S * 2.0**self._n_failures
        return False
