"""The intake as a source sees it in a reader process: what it submits goes to the agent."""

import asyncio
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge_agent.reader.frames import Kind, Submission, frame, json_frame, submit_frame
from edge_agent.records import Misfit, Priority
from ingest.telemetry import Series, TelemetryBatch


class RemoteIntake:
    """Frames what a source submits; see `edge_agent.ports.Intake`.

    Parameters
    ----------
    writer : StreamWriter
        The way to the agent.
    series : sequence of Series
        The series table that the agent knows too; what is new is told to it.
    """

    def __init__(self, writer: asyncio.StreamWriter, series: Sequence[Series]) -> None:
        self._writer = writer
        self._series = self._last_series = tuple(series)
        self._last_rows: npt.NDArray[np.uint32] | None = None
        self._row_of = {series: row for row, series in enumerate(self._series)}
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._next_ticket = 0

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
            Done when the agent says that all of it is durable.
        """
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if batch is not None:
            batch = self._in_our_table(batch)
        self._next_ticket += 1
        self._waiting[self._next_ticket] = durable
        submission = Submission(self._next_ticket, batch, tuple(misfits), is_urgent, priority)
        self._writer.write(submit_frame(submission))
        return durable

    def heard(self, source: str) -> None:  # noqa: ARG002 - the agent knows whose process we are
        """Note that the source delivers; see `edge_agent.ports.Intake`.

        Parameters
        ----------
        source : str
            Its name.
        """
        self._writer.write(frame(Kind.HEARD))

    def durable(self, ticket: int) -> None:
        """Take the agent's word for what was submitted.

        Parameters
        ----------
        ticket : int
            Its number.
        """
        future = self._waiting.pop(ticket, None)
        if future is not None and not future.done():
            future.set_result(None)

    def _in_our_table(self, batch: TelemetryBatch) -> TelemetryBatch:
        if batch.series is not self._last_series:
            self._last_series, self._last_rows = batch.series, self._rows_of(batch.series)
        if self._last_rows is None:
            return batch
        return TelemetryBatch(
            self._series,
            self._last_rows[batch.series_index],
            batch.source_time_ns,
            batch.value,
            batch.quality,
        )

    def _rows_of(self, series: tuple[Series, ...]) -> npt.NDArray[np.uint32] | None:
        """Row of each series in the table that the agent knows; None if each is in its place."""
        new = [one for one in series if one not in self._row_of]
        if new:
            self._writer.write(json_frame(Kind.SERIES, {"series": new}))
            self._series += tuple(new)
            self._row_of = {one: row for row, one in enumerate(self._series)}
        rows = np.array([self._row_of[one] for one in series], dtype=np.uint32)
        return None if np.array_equal(rows, np.arange(rows.size)) else rows
