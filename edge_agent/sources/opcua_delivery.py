"""From what an OPC UA server sent to what is durable: decoded, parted by priority, noted.

A status that is not Good becomes the quality of its sample; the full code is counted by its name
and told once, because a sample has room for the severity only.
"""

import asyncio
import functools
import logging
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from asyncua import ua

from edge_agent.counters import Counters
from edge_agent.ports import Intake
from edge_agent.records import Misfit
from edge_agent.sources.opcua_decode import NotificationDecoder
from edge_agent.sources.opcua_items import GONE, Items
from edge_agent.sources.opcua_values import Decoded, decode_notifications
from edge_agent.sources.opcua_watermarks import Watermarks
from ingest.telemetry import TelemetryBatch

logger = logging.getLogger(__name__)

_UNCERTAIN_BIT: Final = 0x4000_0000
_BAD_BIT: Final = 0x8000_0000


class Delivery:
    """Hands over what one server sends.

    Parameters
    ----------
    name : str
        What the source is called in logs.
    items : Items
        What is watched.
    counters : Counters
        Where to count.
    clock_ns : callable
        Wall clock. [ns since 1970-01-01 UTC]
    """

    def __init__(
        self, name: str, items: Items, counters: Counters, clock_ns: Callable[[], int]
    ) -> None:
        self._name = name
        self._items = items
        self._counters = counters
        self._clock_ns = clock_ns
        self._decoder: NotificationDecoder | None = None
        self._decodes: tuple[object, object] | None = None
        self._told: set[str] = set()
        self.intake: Intake | None = None
        self.is_server_time = False
        self.is_proven = False
        self.marks: Watermarks | None = None
        self.has_vanished = False
        """Whether a value said that its node is no longer there."""
        self.gap_starts: npt.NDArray[np.int64] | None = None
        """Watermarks before something was lost; a gap for the history to fill."""

    def take(
        self, data_changes: Sequence[bytes], misfits: Sequence[Misfit], is_urgent: bool
    ) -> "list[asyncio.Future[None]]":
        """Hand over a notification; see `edge_agent.sources.opcua_publish.Deliver`.

        Parameters
        ----------
        data_changes : sequence of bytes
            Bodies of what has changed.
        misfits : sequence of Misfit
            What could not be read.
        is_urgent : bool
            Whether the server can't go on before it is durable.

        Returns
        -------
        list of asyncio.Future
            Done when all of it is durable.
        """
        decoder, now_ns = self._current_decoder(), self._clock_ns()
        batches = [self._count(decoder.decode(body, now_ns)) for body in data_changes]
        if not batches and not misfits:
            return []
        self._prove()
        batch = batches[0] if len(batches) == 1 else TelemetryBatch.concatenate(batches)
        return self._submit(batch, misfits, is_urgent=is_urgent)

    def take_history(
        self, values: Sequence[ua.MonitoredItemNotification]
    ) -> "list[asyncio.Future[None]]":
        """Hand over values of the past; see `edge_agent.sources.opcua_history.Keep`.

        Parameters
        ----------
        values : sequence of MonitoredItemNotification
            As if they had been sent.

        Returns
        -------
        list of asyncio.Future
            Done when all of it is durable.
        """
        decoded = decode_notifications(
            values,
            self._items.rows,
            self._items.series,
            self._clock_ns(),
            is_server_time=self.is_server_time,
        )
        self._counters.history += len(decoded.batch)
        return self._submit(decoded.batch, (), is_urgent=True)

    def note_heard(self, silent_s: float) -> None:
        """Note when the server was heard last.

        Parameters
        ----------
        silent_s : float
            So long ago. [s]
        """
        if self.marks is not None:
            self.marks.heard_at_ns = self._clock_ns() - int(silent_s * 1e9)

    def away_s(self) -> float:
        """Say how long the server has not been heard, over restarts of the agent.

        Returns
        -------
        float
            0 if it never was. [s]
        """
        heard_at_ns = 0 if self.marks is None else self.marks.heard_at_ns
        return max(0.0, (self._clock_ns() - heard_at_ns) / 1e9) if heard_at_ns else 0.0

    def note_gap(self) -> None:
        """Note that something after the present watermarks was lost."""
        if self.marks is not None:
            self.note_gap_since(self.marks.newest_ns())

    def note_gap_since(self, starts_ns: npt.NDArray[np.int64]) -> None:
        """Note that something since these times was lost.

        Parameters
        ----------
        starts_ns : ndarray of int64, shape (n_rows,)
            Newest durable source time before the gap, 0 for no gap. [ns since 1970-01-01 UTC]
        """
        known = np.zeros(max(len(starts_ns), len(self._items.series)), dtype=np.int64)
        known[: len(starts_ns)] = starts_ns
        before = self.gap_starts
        if before is not None:
            both = known[: len(before)]
            known[: len(before)] = np.where(
                (before > 0) & (both > 0), np.minimum(before, both), np.maximum(before, both)
            )
        self.gap_starts = known

    # --- steps ---------------------------------------------------------------------------------

    def _current_decoder(self) -> NotificationDecoder:
        # Rows and series are replaced and never changed, so that a look at which they are is
        # enough; the same for the setting.
        now = (self._items.rows, self._items.series)
        if (
            self._decoder is None
            or self._decodes is None
            or self._decodes[0] is not now[0]
            or self._decodes[1] is not now[1]
        ):
            self._decoder = NotificationDecoder(
                self._items.series, self._items.rows, is_server_time=self.is_server_time
            )
            self._decodes = now
        return self._decoder

    def _prove(self) -> None:
        if not self.is_proven and self.intake is not None:
            self.is_proven = True
            self.intake.heard(self._name)

    def _submit(
        self, batch: TelemetryBatch, misfits: Sequence[Misfit], *, is_urgent: bool
    ) -> "list[asyncio.Future[None]]":
        """Submit at most one batch for each priority."""
        intake, marks = self.intake, self.marks
        if intake is None:
            return []
        alarms = self._items.is_alarm[batch.series_index] if self._items.is_alarm.any() else None
        if alarms is None or not alarms.any():
            kept = [intake.submit(batch, misfits, is_urgent=is_urgent)]
        else:
            kept = [intake.submit(batch.take(alarms), is_urgent=is_urgent, priority="alarm")]
            if misfits or not alarms.all():
                raw = batch.take(~alarms)
                kept.append(intake.submit(raw, misfits, is_urgent=is_urgent))
        if marks is not None and len(batch):
            # What carries no value often carries no time of its own either; and a clock that was
            # wrong for a moment must not hide a gap for ever.
            has_value = np.isfinite(batch.value)
            times = np.minimum(batch.source_time_ns[has_value], self._clock_ns())
            note = functools.partial(_note, marks, batch.series_index[has_value], times, kept)
            for durable in kept:
                durable.add_done_callback(note)
        return kept

    def _count(self, decoded: Decoded) -> TelemetryBatch:
        """Count what was decoded, and log what a person should mend."""
        self._counters.overflows += decoded.n_overflows
        self._counters.misfits += len(decoded.unusable)
        for handle, kind in decoded.unusable.items():
            self._tell_once(
                f"{self._name}, node {self._place_of(handle)}: its value is {kind}, and a sample "
                "is a number; remove the node from opcua.nodes"
            )
        for status, n_values in decoded.n_by_status.items():
            self._count_status(status, n_values)
        if decoded.n_overflows:
            self.note_gap()
            self._tell_once(
                f"{self._name}: the server dropped values because its queue was full; make "
                "queue_size larger or publishing_interval_ms shorter"
            )
        if decoded.n_without_source_time:
            self._tell_once(
                f"{self._name}: values come without source time; the time of the server is taken"
            )
        return decoded.batch

    def _count_status(self, status: int, n_values: int) -> None:
        code = ua.StatusCode(ua.UInt32(status))
        by_name = self._counters.opcua_status
        by_name[code.name] = by_name.get(code.name, 0) + n_values
        if status & _BAD_BIT:
            self._counters.bad += n_values
        elif status & _UNCERTAIN_BIT:
            self._counters.uncertain += n_values
        if status in GONE:
            self.has_vanished = True
        self._tell_once(
            f"{self._name}: values come with status {code.name} (0x{status:08X}, "
            f"{code.doc.rstrip('.')}); they are kept as {_severity(status)}, and counted"
        )

    def _place_of(self, handle: int) -> str:
        places = (item.key.place for item in self._items.watched.values() if item.handle == handle)
        return next(places, str(handle))

    def _tell_once(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            logger.warning("%s", message)


def _severity(status: int) -> str:
    return "bad" if status & _BAD_BIT else "uncertain"


def _note(
    marks: Watermarks,
    series_index: npt.NDArray[np.uint32],
    times_ns: npt.NDArray[np.int64],
    kept: "Sequence[asyncio.Future[None]]",
    _done: "asyncio.Future[None]",
) -> None:
    if all(each.done() and not each.cancelled() for each in kept):
        marks.note(series_index, times_ns)
