"""What sources and the agent need from each other."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from edge_agent.records import Misfit
from ingest.telemetry import TelemetryBatch


class Intake(Protocol):
    """Makes durable what sources deliver. All methods belong to the event loop's thread."""

    def submit(
        self,
        batch: TelemetryBatch | None,
        misfits: Sequence[Misfit] = (),
        *,
        is_urgent: bool = False,
    ) -> asyncio.Future[None]:
        """Take samples.

        Parameters
        ----------
        batch : TelemetryBatch or None
            Samples with legal names and finite values; ``nan`` only beside bad quality.
        misfits : sequence of Misfit
            What came with them and could not be read.
        is_urgent : bool
            Whether the source can't go on before these are durable.

        Returns
        -------
        asyncio.Future
            Done when all of it survives a power cut. It never fails: a disk that is full keeps the
            source waiting, and what was not acknowledged is delivered again.
        """

    def heard(self, source: str) -> None:
        """Note that a source delivers, so that its next loss is met with a short pause.

        Parameters
        ----------
        source : str
            Its name.
        """


class Source(Protocol):
    """Something to read samples from."""

    @property
    def name(self) -> str:
        """What it is called in logs, such as ``opcua hall-1``."""

    async def serve(self, intake: Intake) -> None:
        """Connect, and deliver until the connection is lost or the task is cancelled.

        Parameters
        ----------
        intake : Intake
            Where to deliver.

        Raises
        ------
        SourceError
            Why it could not connect, or why it ended.
        """
