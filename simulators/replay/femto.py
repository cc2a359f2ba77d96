"""Reads the bearings of the IEEE PHM 2012 challenge: raw vibration, a snapshot every ten seconds.

A gateway at a real machine would not send every sample over OPC UA either: it sends the snapshot's
root mean square, kurtosis and peak for each axis as signals, and the raw snapshot as one message of
its own. [1]_

References
----------
.. [1] P. Nectoux et al., "PRONOSTIA: an experimental platform for bearings accelerated
   degradation tests", IEEE International Conference on Prognostics and Health Management, 2012.
"""

import base64
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from simulators.errors import DataFolderError
from simulators.reading import GOOD, NS_PER_S, Readings
from simulators.replay.mapping import Recording

RATE_HZ: Final = 25_600.0
STEP_S: Final = 10
_AXES: Final = ("horizontal", "vertical")
SIGNALS: Final = tuple(
    f"{axis}_{measure}" for axis in _AXES for measure in ("rms_g", "peak_g", "kurtosis_ratio")
)


@dataclass(frozen=True, slots=True, eq=False)
class RawVibration:
    """Snapshots as they were digitised.

    Parameters
    ----------
    counts : ndarray of int16, shape (n_snapshots, n_samples, 2)
        Horizontal and vertical acceleration.
    scale : float
        What a count is worth. [g]
    """

    counts: npt.NDArray[np.int16]
    scale: float

    def message(self, row: int, time_ns: int) -> bytes:
        """Write one snapshot as a message.

        Parameters
        ----------
        row : int
            Which, from 0.
        time_ns : int
            When it began. [ns since 1970-01-01 UTC]

        Returns
        -------
        bytes
            JSON: ``time_ns``, ``rate_hz``, ``scale_g``, ``axes``, and ``counts``, little-endian
            int16 of one sample after the other, base64.
        """
        block = self.counts[row].astype("<i2").tobytes()
        document = {
            "time_ns": time_ns,
            "rate_hz": RATE_HZ,
            "scale_g": self.scale,
            "axes": list(_AXES),
            "counts": base64.b64encode(block).decode(),
        }
        return json.dumps(document, separators=(",", ":")).encode()


def read_femto(path: Path, *, most_rows: int | None = None) -> tuple[Recording, RawVibration]:
    """Read one bearing's raw record.

    Parameters
    ----------
    path : Path
        An npz file with ``x``, int16 of shape (n_snapshots, n_samples, 2), and ``scale`` in g.
    most_rows : int, optional
        Read no more snapshots.

    Returns
    -------
    recording : Recording
        Root mean square, peak and kurtosis of each axis.
    raw : RawVibration
        The snapshots.

    Raises
    ------
    DataFolderError
        If the file is missing or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            counts, scale = file["x"][:most_rows], float(file["scale"])
    except FileNotFoundError as error:
        msg = f"--data: {path} is not there; name the .npz file with a bearing's raw vibration"
        raise DataFolderError(msg) from error
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        msg = f"--data: {path} holds no raw vibration (x and scale): {error}"
        raise DataFolderError(msg) from error
    if counts.ndim != 3 or counts.shape[2] != len(_AXES) or counts.dtype != np.int16:
        msg = f"{path}: x is {counts.dtype}{counts.shape}, int16 (snapshots, samples, 2) expected"
        raise DataFolderError(msg)
    acceleration = counts.astype(np.float64) * scale
    centred = acceleration - acceleration.mean(axis=1, keepdims=True)
    variance = np.mean(centred**2, axis=1)
    measures = np.stack([
        np.sqrt(np.mean(acceleration**2, axis=1)),
        np.abs(acceleration).max(axis=1),
        np.mean(centred**4, axis=1) / variance**2,
    ], axis=2)  # fmt: skip
    values = measures.reshape(len(counts), -1)
    time_ns = STEP_S * NS_PER_S * np.arange(len(counts), dtype=np.int64)
    readings = Readings(time_ns, values, np.full(values.shape, GOOD, dtype=np.uint8))
    name = "".join(c if c.isalnum() else "-" for c in path.stem.lower())
    recording = Recording(f"femto-{name}", "test-bearing", SIGNALS, readings, {})
    return recording, RawVibration(counts, scale)
