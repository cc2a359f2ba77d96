"""An event loop whose clock jumps to the next timer, and workers that take time on it.

Six hours of a site pass in seconds, in one thread, in an order that is the same each time.
"""

import asyncio
import selectors
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

Result = TypeVar("Result")

MOST_IDLE_TURNS: Final = 200_000
"""Turns of the loop without a tick of the clock: so many mean that something spins."""


class _Clock(selectors.SelectSelector):
    """Waits for no socket; a wait only moves the time."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.n_idle_turns = 0
        self.on_turn: Callable[[], None] = lambda: None

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            msg = "nothing will ever happen again: every task waits and no timer is set"
            raise RuntimeError(msg)
        self.n_idle_turns = 0 if timeout > 0 else self.n_idle_turns + 1
        if self.n_idle_turns > MOST_IDLE_TURNS:
            msg = f"the loop turned {MOST_IDLE_TURNS} times at {self.now_s} s: something spins"
            raise RuntimeError(msg)
        self.now_s += max(0.0, timeout)
        self.on_turn()
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop in virtual time; it has no input or output.

    `on_turn` is called between two rounds of callbacks, which is where a process can die.
    """

    def __init__(self) -> None:
        self._virtual = _Clock()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now_s

    def set_on_turn(self, on_turn: Callable[[], None]) -> None:
        self._virtual.on_turn = on_turn


def run_virtual(main: Callable[[], "asyncio.Future[Result] | Any"]) -> Any:  # noqa: ANN401
    """Run a coroutine function on a virtual loop; whatever still waits afterwards is dropped."""
    loop = VirtualLoop()
    faults: list[Mapping[str, Any]] = []
    loop.set_exception_handler(lambda _loop, context: faults.append(context))
    try:
        asyncio.set_event_loop(loop)
        result = loop.run_until_complete(main())
    finally:
        _drop_tasks(loop)
        asyncio.set_event_loop(None)
        loop.close()
    if faults:
        msg = f"fault in a callback: {faults[0].get('message')}"
        raise RuntimeError(msg) from faults[0].get("exception")
    return result


def _drop_tasks(loop: VirtualLoop) -> None:
    loop.set_on_turn(lambda: None)
    for _ in range(20):
        left = asyncio.all_tasks(loop)
        if not left:
            return
        for task in left:
            task.cancel()
        loop.call_soon(loop.stop)
        loop.run_forever()


class VirtualWorker:
    """Runs calls one after the other, each at a time of its own.

    A call begins after a delay, is done at one instant, and its result comes after another delay:
    whoever dies in between has done it and does not know.

    Parameters
    ----------
    delay_s : callable
        Draws a delay. [s]
    is_alive : callable
        Whether the process that this thread belongs to still runs.
    """

    def __init__(self, delay_s: Callable[[], float], is_alive: Callable[[], bool]) -> None:
        self._delay_s = delay_s
        self._is_alive = is_alive
        self._free_at_s = 0.0

    def call(self, function: Callable[[], Result]) -> "asyncio.Future[Result]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        done_at_s = max(loop.time(), self._free_at_s) + self._delay_s()
        told_at_s = done_at_s + self._delay_s()
        self._free_at_s = told_at_s

        def run() -> None:
            if not self._is_alive():
                return
            try:
                result = function()
            except Exception as error:  # noqa: BLE001 - handed to whoever awaits the future
                loop.call_at(told_at_s, tell, None, error)
            else:
                loop.call_at(told_at_s, tell, result, None)

        def tell(result: Result | None, error: Exception | None) -> None:
            if future.done() or not self._is_alive():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]  # None only beside an error

        loop.call_at(done_at_s, run)
        return future

    def stop(self, timeout_s: float) -> None:
        """Nothing runs in the background here."""
