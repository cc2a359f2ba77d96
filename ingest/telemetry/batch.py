"""Columns of telemetry: the one type that travels from a machine to numpy."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ingest.errors import BatchError
from ingest.telemetry.units import unit_of

Priority = Literal["alarm", "raw"]
"""How urgent samples are: alarms go first where there is a choice."""


class Quality(IntEnum):
    """Trust in a sample: the two severity bits of an OPC UA status code."""

    GOOD = 0
    UNCERTAIN = 1
    BAD = 2


class Series(NamedTuple):
    """What is measured, and where."""

    site: str
    machine: str
    signal: str

    @property
    def unit(self) -> str | None:
        """Unit of the signal, None if its name ends in no known unit."""
        return unit_of(self.signal)


@dataclass(frozen=True, slots=True, eq=False)
class TelemetryBatch:
    """Samples as columns, each row one sample of one series.

    Parameters
    ----------
    series : tuple of Series
        The series table, without repeats.
    series_index : ndarray of uint32, shape (n_samples,)
        Row of `series` that each sample belongs to.
    source_time_ns : ndarray of int64, shape (n_samples,)
        When the machine measured it. [ns since 1970-01-01 UTC]
    value : ndarray of float64, shape (n_samples,)
        Measured value in the unit of its series; ``nan`` where a bad sample carried none.
    quality : ndarray of uint8, shape (n_samples,)
        A `Quality` each.
    sequence : int, optional
        Number the edge gave the batch; None before it has one.

    Raises
    ------
    BatchError
        If the columns differ in length, or a sample points outside the series table.
    """

    series: tuple[Series, ...]
    series_index: npt.NDArray[np.uint32]
    source_time_ns: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    quality: npt.NDArray[np.uint8]
    sequence: int | None = None

    def __post_init__(self) -> None:
        lengths = {
            "series_index": self.series_index.shape,
            "source_time_ns": self.source_time_ns.shape,
            "value": self.value.shape,
            "quality": self.quality.shape,
        }
        if len(set(lengths.values())) != 1 or self.series_index.ndim != 1:
            msg = f"TelemetryBatch: columns differ in shape {lengths}; give one entry per sample"
            raise BatchError(msg)
        if self.series_index.size and int(self.series_index.max()) >= len(self.series):
            msg = (
                f"TelemetryBatch: series_index reaches {int(self.series_index.max())} but the "
                f"series table has {len(self.series)} rows"
            )
            raise BatchError(msg)

    def __len__(self) -> int:
        return int(self.series_index.size)

    @classmethod
    def empty(cls, series: Sequence[Series] = ()) -> "TelemetryBatch":
        """Make a batch without samples.

        Parameters
        ----------
        series : sequence of Series
            The series table it keeps.

        Returns
        -------
        TelemetryBatch
            No samples.
        """
        return cls.of(series, [], [], [], [])

    @classmethod
    def of(
        cls,
        series: Sequence[Series],
        series_index: npt.ArrayLike,
        source_time_ns: npt.ArrayLike,
        value: npt.ArrayLike,
        quality: npt.ArrayLike,
        sequence: int | None = None,
    ) -> "TelemetryBatch":
        """Build a batch from anything array-like, with the right dtypes.

        Parameters
        ----------
        series : sequence of Series
            The series table.
        series_index, source_time_ns, value, quality : array_like of shape (n_samples,)
            The columns, see the class.
        sequence : int, optional
            Number the edge gave the batch.

        Returns
        -------
        TelemetryBatch
            The batch.
        """
        return cls(
            tuple(series),
            np.asarray(series_index, dtype=np.uint32),
            np.asarray(source_time_ns, dtype=np.int64),
            np.asarray(value, dtype=np.float64),
            np.asarray(quality, dtype=np.uint8),
            sequence,
        )

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> "TelemetryBatch":
        """Select samples, keeping the series table.

        Parameters
        ----------
        rows : ndarray of int or bool
            Positions, or one flag per sample.

        Returns
        -------
        TelemetryBatch
            Those samples, in that order.
        """
        return TelemetryBatch(
            self.series,
            self.series_index[rows],
            self.source_time_ns[rows],
            self.value[rows],
            self.quality[rows],
            self.sequence,
        )

    @staticmethod
    def concatenate(batches: Sequence["TelemetryBatch"]) -> "TelemetryBatch":
        """Join batches under one series table.

        Parameters
        ----------
        batches : sequence of TelemetryBatch
            Batches whose series tables may overlap.

        Returns
        -------
        TelemetryBatch
            All samples in the order given, without a sequence number.
        """
        row_of: dict[Series, int] = {}
        indices = []
        for batch in batches:
            rows = [row_of.setdefault(series, len(row_of)) for series in batch.series]
            indices.append(np.asarray(rows, dtype=np.uint32)[batch.series_index])
        if not batches:
            return TelemetryBatch.empty()
        return TelemetryBatch(
            tuple(row_of),
            np.concatenate(indices),
            np.concatenate([batch.source_time_ns for batch in batches]),
            np.concatenate([batch.value for batch in batches]),
            np.concatenate([batch.quality for batch in batches]),
        )
