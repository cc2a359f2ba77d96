"""The newest sample of every series, in memory."""

import threading
from typing import Final

import numpy as np
import numpy.typing as npt

from ingest.telemetry import Series, TelemetryBatch

_NONE: Final = np.iinfo(np.int64).min


class NewestSamples:
    """Newest sample by the number of its series. May be used from any thread.

    Parameters
    ----------
    series_id : ndarray of int, shape (n_series,)
        Numbers of the series that have a sample; small and dense.
    source_time_ns : ndarray of int64, shape (n_series,)
        Its time. [ns since 1970-01-01 UTC]
    value : ndarray of float64, shape (n_series,)
        Its value.
    quality : ndarray of uint8, shape (n_series,)
        Its quality.
    """

    def __init__(
        self,
        series_id: npt.NDArray[np.integer],
        source_time_ns: npt.NDArray[np.int64],
        value: npt.NDArray[np.float64],
        quality: npt.NDArray[np.uint8],
    ) -> None:
        self._lock = threading.Lock()
        self._is_there = np.zeros(0, np.bool_)
        self._time_ns = np.zeros(0, np.int64)
        self._value = np.zeros(0)
        self._quality = np.zeros(0, np.uint8)
        self._put(series_id, source_time_ns, value, quality)

    def note(self, series_id: npt.NDArray[np.integer], batch: TelemetryBatch) -> None:
        """Take what was just written.

        Parameters
        ----------
        series_id : ndarray of int, shape (n_samples,)
            Number of the series of each sample.
        batch : TelemetryBatch
            Sorted by series and time, each once.
        """
        if not len(batch):
            return
        is_last = np.ones(series_id.size, np.bool_)
        is_last[:-1] = series_id[1:] != series_id[:-1]
        self._put(
            series_id[is_last],
            batch.source_time_ns[is_last],
            batch.value[is_last],
            batch.quality[is_last],
        )

    def of(self, series: tuple[Series, ...], series_id: npt.NDArray[np.int64]) -> TelemetryBatch:
        """Newest samples of some series.

        Parameters
        ----------
        series : tuple of Series
            Which; this becomes the series table.
        series_id : ndarray of int64, shape (n_series,)
            Their numbers; -1 for one that has never been written.

        Returns
        -------
        TelemetryBatch
            At most one sample for each, in the order given.
        """
        with self._lock:
            is_known = (series_id >= 0) & (series_id < self._is_there.size)
            rows = np.flatnonzero(is_known)
            rows = rows[self._is_there[series_id[rows]]]
            ids = series_id[rows]
            return TelemetryBatch.of(
                series, rows, self._time_ns[ids], self._value[ids], self._quality[ids]
            )

    def _put(
        self,
        series_id: npt.NDArray[np.integer],
        source_time_ns: npt.NDArray[np.int64],
        value: npt.NDArray[np.float64],
        quality: npt.NDArray[np.uint8],
    ) -> None:
        if series_id.size == 0:
            return
        with self._lock:
            self._grow(int(series_id.max()) + 1)
            known_ns = np.where(self._is_there[series_id], self._time_ns[series_id], _NONE)
            is_newer = source_time_ns >= known_ns
            ids = series_id[is_newer]
            self._is_there[ids] = True
            self._time_ns[ids] = source_time_ns[is_newer]
            self._value[ids] = value[is_newer]
            self._quality[ids] = quality[is_newer]

    def _grow(self, size: int) -> None:
        if size <= self._is_there.size:
            return
        size = max(size, 2 * self._is_there.size)
        for name in ("_is_there", "_time_ns", "_value", "_quality"):
            old = getattr(self, name)
            new = np.zeros(size, old.dtype)
            new[: old.size] = old
            setattr(self, name, new)
