"""What sources, uplinks and the agent need from each other."""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from edge_agent.messages import Answer
from edge_agent.records import Misfit, Priority, StoredRecord
from ingest.telemetry import TelemetryBatch


class Intake(Protocol):
    """Makes durable what sources deliver. All methods belong to the event loop's thread."""

    def submit(
        self,
        batch: TelemetryBatch | None,
        misfits: Sequence[Misfit] = (),
        *,
        is_urgent: bool = False,
        priority: Priority = "raw",
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
        priority : {"raw", "alarm"}
            Of all samples of the batch; a source parts what it has by priority first, and calls
            what it has read received only when both parts are durable.

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


@runtime_checkable
class TakesChanges(Protocol):
    """A source that can take changed settings on its live connection."""

    async def apply(self, settings: Any) -> bool:  # noqa: ANN401 - of its own kind
        """Take changed settings of the same source without disturbing what did not change.

        Parameters
        ----------
        settings : OpcuaSettings or MqttSettings
            Of the kind that the source was made with.

        Returns
        -------
        bool
            False if the source must be connected anew for them; nothing was changed then.
        """


class Uplink(Protocol):
    """One connection to where samples are stored. All methods but `place` belong to one thread."""

    @property
    def place(self) -> str:
        """Where samples go, for messages; no secret is in it."""

    def send(self, records: Sequence[StoredRecord], max_body_bytes: int) -> Answer:
        """Send records and wait for the store's word on them.

        Sending the same record again stores it once, so whatever is in doubt may be sent again.

        Parameters
        ----------
        records : sequence of StoredRecord
            What to send, together.
        max_body_bytes : int
            Largest message or request body; more is sent in several. [byte]

        Returns
        -------
        Answer
            `Stored` only if the store has answered that every line is durable. It is never an
            exception: what can't be sent is `Unavailable` or `NotAllowed`.
        """

    def close(self) -> None:
        """Close the connection; a later `send` may open it again."""
