"""A thread of its own for one thing that blocks: the disk, or the network."""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

Result = TypeVar("Result")


class Calls(Protocol):
    """Runs calls one after the other; a thread, or in a simulation the virtual clock."""

    def call(self, function: Callable[[], Result]) -> asyncio.Future[Result]:
        """Run a function; see `Worker.call`."""

    def stop(self, timeout_s: float) -> None:
        """End after the calls there are; see `Worker.stop`."""


class Worker:
    """Runs calls one after the other, away from the event loop.

    The thread is a daemon: a request that hangs can't keep the agent from stopping, and what it
    was sending is still in the outbox.

    Parameters
    ----------
    name : str
        Name of the thread.
    """

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, function: Callable[[], Result]) -> asyncio.Future[Result]:
        """Run a function in the thread.

        Parameters
        ----------
        function : callable
            What to run, without arguments.

        Returns
        -------
        asyncio.Future
            Its result or exception.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def deliver(result: Result | None, error: BaseException | None) -> None:
            if future.cancelled():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]  # None only beside an error

        def run() -> None:
            result, caught = None, None
            try:
                result = function()
            except Exception as error:  # noqa: BLE001 - handed to whoever awaits the future
                caught = error
            if not loop.is_closed():
                loop.call_soon_threadsafe(deliver, result, caught)

        self._calls.put(run)
        return future

    def stop(self, timeout_s: float) -> None:
        """Let the thread end after the calls it has; don't wait longer than this.

        Parameters
        ----------
        timeout_s : float
            Longest wait. [s]
        """
        self._calls.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
