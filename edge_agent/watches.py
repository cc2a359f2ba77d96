"""What the agent remembers of each source, the disk and the uplink, for those who ask how it is.

Nothing here decides anything: the rules are in `edge_agent.core`. Times are those of the event
loop's clock, which knows no date and never jumps.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from edge_agent.ports import Intake
from edge_agent.records import Misfit, Priority
from ingest.telemetry import TelemetryBatch

SourceCondition = Literal["connecting", "delivering", "lost"]


@dataclass(slots=True)
class Trouble:
    """Whether something does not work, since when, and why in words.

    Parameters
    ----------
    clock_s : callable
        A clock that never jumps. [s]
    """

    clock_s: Callable[[], float]
    words: str | None = None
    _since_s: float = 0.0

    @property
    def lasted_s(self) -> float:
        """How long it has not worked; 0 if it does, in seconds."""
        return 0.0 if self.words is None else self.clock_s() - self._since_s

    def begin(self, words: str) -> bool:
        """Note that it does not work.

        Parameters
        ----------
        words : str
            Why.

        Returns
        -------
        bool
            Whether this is news: it worked before, or did not for another reason.
        """
        if self.words is None:
            self._since_s = self.clock_s()
        is_news = words != self.words
        self.words = words
        return is_news

    def end(self) -> bool:
        """Note that it works.

        Returns
        -------
        bool
            Whether this is news.
        """
        is_news = self.words is not None
        self.words = None
        return is_news


@dataclass(slots=True)
class SourceWatch:
    """Hands what one source delivers on to the intake, and remembers how the source is.

    Parameters
    ----------
    name : str
        The source.
    intake : Intake
        Where its deliveries go.
    clock_s : callable
        A clock that never jumps. [s]
    """

    name: str
    intake: Intake
    clock_s: Callable[[], float]
    condition: SourceCondition = "connecting"
    reason: str | None = None
    n_samples: int = 0
    _delivered_at_s: float = 0.0
    _undurable: set["asyncio.Future[None]"] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._delivered_at_s = self.clock_s()

    @property
    def silent_s(self) -> float:
        """Time since it delivered last, or since it was made, in seconds."""
        return self.clock_s() - self._delivered_at_s

    def submit(
        self,
        batch: TelemetryBatch | None,
        misfits: Sequence[Misfit] = (),
        *,
        is_urgent: bool = False,
        priority: Priority = "raw",
    ) -> "asyncio.Future[None]":
        """Take samples; see `edge_agent.ports.Intake`.

        Parameters
        ----------
        batch : TelemetryBatch or None
            Samples.
        misfits : sequence of Misfit
            What came with them and could not be read.
        is_urgent : bool
            Whether the source can't go on before these are durable.
        priority : {"raw", "alarm"}
            Of all samples of the batch.

        Returns
        -------
        asyncio.Future
            Done when all of it is durable.
        """
        self._delivered_at_s = self.clock_s()
        self.condition, self.reason = "delivering", None
        self.n_samples += 0 if batch is None else len(batch)
        durable = self.intake.submit(batch, misfits, is_urgent=is_urgent, priority=priority)
        if not durable.done():
            self._undurable.add(durable)
            durable.add_done_callback(self._undurable.discard)
        return durable

    def heard(self, source: str) -> None:
        """Note that the source delivers; see `edge_agent.ports.Intake`.

        Parameters
        ----------
        source : str
            Its name.
        """
        self.condition, self.reason = "delivering", None
        self.intake.heard(source)

    def lost(self, reason: str) -> bool:
        """Note that the connection could not be made or ended.

        Parameters
        ----------
        reason : str
            Why.

        Returns
        -------
        bool
            Whether this is news.
        """
        is_news = self.reason != reason
        self.condition, self.reason = "lost", reason
        return is_news

    async def until_durable(self, timeout_s: float) -> bool:
        """Wait until all that the source delivered is durable.

        Parameters
        ----------
        timeout_s : float
            Longest wait: a disk that is full may take any time. [s]

        Returns
        -------
        bool
            Whether it is; if not, the intake has it in memory and goes on trying.
        """
        if self._undurable:
            await asyncio.wait(set(self._undurable), timeout=timeout_s)
        return not self._undurable


def loop_time_s() -> float:
    """Read the event loop's clock: it never jumps, and a test may make it run as it likes.

    Returns
    -------
    float
        Time since some moment. [s]
    """
    return asyncio.get_running_loop().time()
