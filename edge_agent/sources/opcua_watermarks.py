"""How far each series of an OPC UA server has been made durable, kept through `kill -9`.

A memory-mapped file of whole numbers: noting is a store into memory, and what was stored is in
the file whatever ends the process. A power cut may bring back older numbers, never newer ones;
older ones only mean that something durable is asked for again.
"""

import os
from pathlib import Path
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from edge_agent.errors import SourceError

MAGIC: Final = 0x53_42_57_4D_0001
"""Begins the file and names its layout."""

_N_HEAD: Final = 3


class Watermarks:
    """Newest durable source time of each series, and the last notification that was delivered.

    Parameters
    ----------
    numbers : ndarray of int64
        Layout mark, last sequence number, wall clock when the server was last heard
        [ns since 1970-01-01 UTC], then one source time per row of the series table [same].
    """

    def __init__(self, numbers: npt.NDArray[np.int64]) -> None:
        self._numbers = numbers

    @classmethod
    def create(cls, path: Path, newest_ns: npt.NDArray[np.int64], last_sequence: int = 0) -> Self:
        """Make a file.

        Parameters
        ----------
        path : Path
            Where; a file that is there is replaced.
        newest_ns : ndarray of int64, shape (n_rows,)
            What is known already, 0 for nothing. [ns since 1970-01-01 UTC]
        last_sequence : int
            Notification that was delivered last.

        Returns
        -------
        Watermarks
            Backed by the file.

        Raises
        ------
        SourceError
            If it can't be written.
        """
        numbers = np.concatenate([[MAGIC, last_sequence, 0], newest_ns]).astype(np.int64)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                numbers.tofile(file)
                file.flush()
                os.fsync(file.fileno())
            return cls(np.memmap(path, dtype=np.int64, mode="r+"))
        except OSError as error:
            msg = f"{path} can't be written: {error.strerror or error}; make room, or change rights"
            raise SourceError(msg) from error

    @classmethod
    def open(cls, path: Path, n_rows: int) -> Self | None:
        """Go on with a file.

        Parameters
        ----------
        path : Path
            Where it is.
        n_rows : int
            Rows that it must have.

        Returns
        -------
        Watermarks or None
            None if it is not there or not of this form.
        """
        try:
            numbers = np.memmap(path, dtype=np.int64, mode="r+")
        except (OSError, ValueError):
            return None
        if numbers.shape != (_N_HEAD + n_rows,) or numbers[0] != MAGIC:
            return None
        return cls(numbers)

    @property
    def n_rows(self) -> int:
        """Rows of the series table."""
        return len(self._numbers) - _N_HEAD

    @property
    def last_sequence(self) -> int:
        """Number of the notification that was delivered last."""
        return int(self._numbers[1])

    @last_sequence.setter
    def last_sequence(self, number: int) -> None:
        self._numbers[1] = number

    @property
    def heard_at_ns(self) -> int:
        """When the server was last heard [ns since 1970-01-01 UTC], 0 for never."""
        return int(self._numbers[2])

    @heard_at_ns.setter
    def heard_at_ns(self, time_ns: int) -> None:
        self._numbers[2] = time_ns

    def newest_ns(self) -> npt.NDArray[np.int64]:
        """Copy the newest durable source times.

        Returns
        -------
        ndarray of int64, shape (n_rows,)
            0 where nothing is durable yet. [ns since 1970-01-01 UTC]
        """
        return np.array(self._numbers[_N_HEAD:], dtype=np.int64)

    def note(
        self, series_index: npt.NDArray[np.uint32], source_time_ns: npt.NDArray[np.int64]
    ) -> None:
        """Note samples that are durable.

        Parameters
        ----------
        series_index : ndarray of uint32, shape (n_samples,)
            Row of each.
        source_time_ns : ndarray of int64, shape (n_samples,)
            Its source time. [ns since 1970-01-01 UTC]
        """
        np.maximum.at(self._numbers[_N_HEAD:], series_index, source_time_ns)
